"""Classic BPF programs on sockets: attach, detach, lock, and read back.

Works on any socket, and needs no privilege. Where a program's offset 0 lies is the socket's affair:
the link-layer header on AF_PACKET with SOCK_RAW, the IP header on a raw AF_INET socket, the UDP
header on a UDP socket, the first byte sent on a unix socket.

Source: socket(7); Documentation/networking/filter.rst of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import TYPE_CHECKING

from pfcompile.cbpf.check import check
from pfcompile.cbpf.isa import MAX_INSTRUCTIONS, Instruction
from pfcompile.errors import InternalError, KernelError, ProgramError
from pfcompile.kernel.abi import (
    SO_ATTACH_FILTER,
    SO_DETACH_FILTER,
    SO_GET_FILTER,
    SO_LOCK_FILTER,
    SOCK_FILTER,
    SOCK_FPROG,
)
from pfcompile.kernel.refusals import Operation, refused

if TYPE_CHECKING:
    from collections.abc import Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_libc.getsockopt.argtypes = (
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint32),
)
_libc.getsockopt.restype = ctypes.c_int


def attach(instructions: Sequence[Instruction], sock: socket.socket) -> None:
    """Make the kernel drop what a program rejects before `sock` sees it.

    A filter that is already there is replaced. Packets that were queued before stay queued.

    Args:
        instructions: 1 to 4096 of them (BPF_MAXINSNS, linux/bpf_common.h).
        sock: Any open socket.

    Raises:
        ProgramError: A field of an instruction does not fit its place.
        KernelError: EINVAL for a program that is not valid, ENOMEM for one that is longer than
            net.core.optmem_max allows, EPERM for a socket whose filter is locked.

    Source: socket(7), SO_ATTACH_FILTER.
    """
    count = len(instructions)
    if not 1 <= count <= MAX_INSTRUCTIONS:
        # The kernel's own answer, given here because its 16-bit count cannot hold every length.
        raise KernelError(
            f"cannot attach the filter to the socket: it has {count} instructions,"
            f" the kernel takes 1 to {MAX_INSTRUCTIONS}",
            errno.EINVAL,
        )
    code = _encode(instructions)
    # The kernel copies the instructions during the call; until then `buffer` keeps them alive.
    buffer = ctypes.create_string_buffer(code, len(code))
    try:
        sock.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, SOCK_FPROG.pack(count, ctypes.addressof(buffer))
        )
    except OSError as error:
        detail = _fault(instructions) if error.errno == errno.EINVAL else ""
        raise refused(Operation.ATTACH, error, detail=detail) from error


def detach(sock: socket.socket) -> None:
    """Take the filter off `sock`, so that it sees every packet again.

    Raises:
        KernelError: ENOENT where there is none, EPERM where it is locked.

    Source: socket(7), SO_DETACH_FILTER.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        raise refused(Operation.DETACH, error) from error


def lock(sock: socket.socket) -> None:
    """Forbid for good that the filter of `sock` is replaced or detached.

    A process that gives up its privileges locks the filter first, so that whoever takes it over
    sees no more than it did.

    Raises:
        KernelError: The kernel refused.

    Source: socket(7), SO_LOCK_FILTER.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
    except OSError as error:
        raise refused(Operation.LOCK, error) from error


def read_back(sock: socket.socket) -> tuple[Instruction, ...]:
    """Return the program that filters `sock`, as it was attached; empty where there is none.

    Raises:
        KernelError: EACCES where the filter is an eBPF program.

    Source: net/core/filter.c, sk_get_filter().
    """
    # The option's length counts instructions, not bytes: socket.getsockopt(), which allocates
    # that many bytes, would let the kernel write past the end of its buffer.
    count = _get_filter(sock, None, 0)
    if count == 0:
        return ()
    buffer = ctypes.create_string_buffer(count * SOCK_FILTER.size)
    count = _get_filter(sock, buffer, count)
    return tuple(
        Instruction(*fields)
        for fields in SOCK_FILTER.iter_unpack(buffer.raw[: count * SOCK_FILTER.size])
    )


def _get_filter(sock: socket.socket, buffer: ctypes.Array[ctypes.c_char] | None, count: int) -> int:
    """Fill `buffer` with at most `count` instructions; return how many the filter has."""
    length = ctypes.c_uint32(count)
    status = _libc.getsockopt(
        sock.fileno(), socket.SOL_SOCKET, SO_GET_FILTER, buffer, ctypes.byref(length)
    )
    if status != 0:
        raise refused(Operation.READ_BACK, ctypes.get_errno())
    return length.value


def _encode(instructions: Sequence[Instruction]) -> bytes:
    """Return an array of struct sock_filter."""
    try:
        return b"".join(SOCK_FILTER.pack(*instruction) for instruction in instructions)
    except struct.error as error:
        check(instructions)  # names the instruction and the field
        raise InternalError(f"the check accepts what cannot be encoded: {error}") from error


def _fault(instructions: Sequence[Instruction]) -> str:
    """Return what our own check finds wrong with a program; the kernel does not say."""
    try:
        check(instructions)
    except ProgramError as error:
        return str(error)
    return ""
