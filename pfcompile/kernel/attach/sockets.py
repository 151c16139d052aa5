"""Filters on sockets, which nobody has to take off.

What is attached to a socket stays with the socket, whoever attached it. So what is attached is a
program of five instructions that goes on in the program which stands in an array, and lets every
packet through where none does. The kernel empties such an array when the last process has closed it
and no pin is left: a filter does not outlive its owner, however that ends. To replace a filter is
to set the array's only element, which happens in one step.

Source: socket(7), SO_ATTACH_BPF; linux/bpf.h, bpf_tail_call; kernel/bpf/arraymap.c of Linux,
prog_array_map_clear(); pidfd_getfd(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import R0, R2, R3, Wide
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import KernelError
from pfcompile.kernel.abi import SO_DETACH_FILTER
from pfcompile.kernel.attach.rows import Kind
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.maps import Map, create_map
from pfcompile.kernel.bpf.programs import LoadedProgram, load
from pfcompile.kernel.bpf.refusals import Asked, refused
from pfcompile.kernel.socket_filter import read_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    Borrow: TypeAlias = Callable[[], AbstractContextManager[socket.socket]]
    """Lends a socket; raises KernelError where it is gone."""

SLOT_MAP: Final = "pf_slot"

_SO_ATTACH_BPF: Final = 50
_SOCKET_FILTER: Final = 1
_TAIL_CALL: Final = 12
_ALL_BYTES: Final = -1
_KEY: Final = bytes(4)
_PIDFD_GETFD: Final = 438
"""The same on every machine."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class SocketHold:
    """A filter on a socket, which ends with this unless it is pinned."""

    def __init__(self, slot: Map, borrow: Borrow | None = None) -> None:
        """Hold what `attach_socket` has made, or what a pin is of.

        Args:
            slot: The array.
            borrow: Lends the socket; None where the filter is to stay when this is closed.
        """
        self._slot = slot
        self._borrow = borrow

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Return the one that is pinned at `path`; raises KernelError."""
        return cls(Map.open(path))

    def program_id(self) -> int | None:
        """Return the number of the program that runs; None where none does any more."""
        number = self._slot.get(_KEY)
        return None if number is None else int(struct.unpack("=I", number)[0])

    def is_attached(self) -> bool:
        """Tell whether the filter is there, and the socket as far as that is known here."""
        if self._borrow is not None:
            try:
                with self._borrow() as sock:
                    if sock.fileno() < 0:
                        return False
            except (OSError, KernelError):
                return False
        return self.program_id() is not None

    def update(self, program: LoadedProgram) -> None:
        """Replace the program in one step; raises KernelError."""
        self._slot.set(_KEY, struct.pack("=i", program.fileno()))

    def pin(self, path: str | Path) -> Path:
        """Keep it after this process, as long as there is the socket; raises KernelError."""
        pinned = self._slot.pin(path)
        self._borrow = None  # only now: what could not be pinned is taken off by `close`
        return pinned

    def detach(self) -> None:
        """Let all packets through from now on, even where it is pinned; raises KernelError."""
        self._slot.delete(_KEY)

    def close(self) -> None:
        """Give it up, and take the filter off unless it is pinned; again does nothing."""
        borrow, self._borrow = self._borrow, None
        if borrow is not None:
            self.detach()
            # What is left there lets everything through; without the socket, that is gone as well.
            with suppress(OSError, KernelError), borrow() as sock:
                sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        self._slot.close()


def attach_socket(program: LoadedProgram, borrow: Borrow, *, force: bool = False) -> SocketHold:
    """Have a program say which packets a socket gets, and how many bytes of each.

    Args:
        program: Of BPF_PROG_TYPE_SOCKET_FILTER.
        borrow: Lends the socket, now and when the filter is to be taken off.
        force: Whether it may take the place of another filter, which does not come back.

    Raises:
        KernelError: EEXIST where it has another filter, EPERM where that is locked.

    Source: socket(7), SO_ATTACH_BPF.
    """
    with borrow() as sock:
        if not force and _has_filter(sock):
            raise refused(Asked.ATTACH_SOCKET, errno.EEXIST, "the socket")
        slot = create_map(MapKind.PROG_ARRAY, max_entries=1, name=SLOT_MAP)
        try:
            hold = SocketHold(slot, borrow)
            hold.update(program)
            with load(_jump_to_slot(), [slot]) as first:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, first.fileno())
                except OSError as error:
                    number = error.errno or errno.EIO
                    raise refused(Asked.ATTACH_SOCKET, number, "the socket") from error
        except BaseException:
            slot.close()
            raise
    return hold


def socket_of(process: int, descriptor: int) -> socket.socket:
    """Return a socket of another process, which both then have.

    Args:
        process: The process's number.
        descriptor: The number of the file descriptor there.

    Raises:
        KernelError: ESRCH, EBADF, EPERM without CAP_SYS_PTRACE, ENOTSOCK.

    Source: pidfd_getfd(2), Linux 5.6.
    """
    named = f"{process}:{descriptor}"
    try:
        handle = os.pidfd_open(process)
    except OSError as error:
        raise refused(Asked.OPEN_SOCKET, error.errno or errno.EIO, named) from error
    try:
        fd = int(_libc.syscall(ctypes.c_long(_PIDFD_GETFD), handle, descriptor, 0))
        if fd < 0:
            raise refused(Asked.OPEN_SOCKET, ctypes.get_errno(), named)
    finally:
        os.close(handle)
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        os.close(fd)
        raise refused(Asked.OPEN_SOCKET, error.errno or errno.EIO, named) from error


def _jump_to_slot() -> EbpfProgram:
    b = Builder().wide(R2, 0, Wide.MAP_INDEX).mov(R3, 0).call(_TAIL_CALL)
    b.mov(R0, _ALL_BYTES).exit()
    return EbpfProgram(b.finish(), Kind.SOCKET.value, _SOCKET_FILTER, name="pfcompile_slot")


def _has_filter(sock: socket.socket) -> bool:
    try:
        return bool(read_back(sock))
    except KernelError as error:
        if error.errno == errno.EACCES:  # an extended one, which cannot be read back
            return True
        raise
