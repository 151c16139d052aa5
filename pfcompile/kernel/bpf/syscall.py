"""bpf(2) itself: the only door to it.

Source: bpf(2); linux/bpf.h, enum bpf_cmd.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    Bytes: TypeAlias = bytes | bytearray | memoryview
    Buffer: TypeAlias = ctypes.Array[ctypes.c_char]


class Command(IntEnum):
    """What bpf(2) can be asked, as far as it is asked here."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    PROG_GET_NEXT_ID = 11
    MAP_GET_NEXT_ID = 12
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    MAP_FREEZE = 22
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_GET_FD_BY_ID = 30
    LINK_GET_NEXT_ID = 31
    ENABLE_STATS = 32
    LINK_DETACH = 34


_NUMBER_OF_MACHINE: Final[Mapping[str, int]] = MappingProxyType(
    {"x86_64": 321, "i686": 357, "s390x": 351, "ppc64le": 361, "ppc64": 361, "armv7l": 386}
)
_NUMBER_ELSEWHERE: Final = 280
"""asm-generic/unistd.h: aarch64, riscv64, loongarch64 and whatever comes."""

BYTE_ORDER: Final[Literal["little", "big"]] = "little" if struct.pack("=H", 1)[0] else "big"
"""Of this machine, and so of its kernel."""

_ATTEMPTS: Final = 5
"""How often a load is repeated that a signal has cut short; libbpf's number."""

_ENOTSUPP: Final = 524
"""include/linux/errno.h of Linux: a number of its own that errno(3) does not have."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_libc.syscall.restype = ctypes.c_long


def call(command: int, attr: ctypes.Structure | Buffer) -> int:
    """Ask the kernel; `attr` afterwards holds what it has written.

    File descriptors that it gives are closed when another program is executed.

    Returns:
        A file descriptor, or 0; where the kernel refused, a negative errno number.
    """
    number = _NUMBER_OF_MACHINE.get(platform.machine(), _NUMBER_ELSEWHERE)
    size = ctypes.sizeof(attr)
    result = int(_libc.syscall(number, command, ctypes.addressof(attr), size))
    # The verifier gives up when a signal comes, and wants to be asked again.
    for _ in range(_ATTEMPTS):
        if result >= 0 or command != Command.PROG_LOAD or ctypes.get_errno() != errno.EAGAIN:
            break
        result = int(_libc.syscall(number, command, ctypes.addressof(attr), size))
    if result >= 0:
        return result
    reason = ctypes.get_errno()
    return -errno.EOPNOTSUPP if reason == _ENOTSUPP else -reason


def buffer_of(data: Bytes) -> Buffer:
    """Return a copy of `data` that has an address, of at least one byte."""
    if not len(data):
        return ctypes.create_string_buffer(1)
    return (ctypes.c_char * len(data)).from_buffer_copy(data)


def room_for(size: int) -> Buffer:
    """Return zeros that the kernel can write over, at least one."""
    return ctypes.create_string_buffer(max(size, 1))


def address(buffer: Buffer | None) -> int:
    """Return where a buffer is, 0 for none; it has to live until the call is over."""
    return 0 if buffer is None else ctypes.addressof(buffer)
