"""eBPF programs in the kernel: loaded, and run on packets that are made up.

Needs root, or CAP_BPF with CAP_NET_ADMIN and CAP_PERFMON (capabilities(7)).

Sources: bpf(2); linux/bpf.h, `union bpf_attr`; Documentation/bpf/bpf_prog_run.rst of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.errors import KernelError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from pfcompile.ebpf.program import EbpfProgram

MIN_FRAME: Final = 14
"""Bytes of the shortest packet that a test run takes: an Ethernet header, net/bpf/test_run.c."""

_SYSCALL_OF_MACHINE: Final[Mapping[str, int]] = MappingProxyType(
    {"x86_64": 321, "i686": 357, "s390x": 351, "ppc64le": 361, "ppc64": 361, "armv7l": 386}
)
_SYSCALL_ELSEWHERE: Final = 280
"""asm-generic/unistd.h: aarch64, riscv64, loongarch64 and whatever comes."""

_PROG_LOAD: Final = 5
_PROG_TEST_RUN: Final = 10
_OBJ_GET_INFO_BY_FD: Final = 15
_LOAD_ATTR: Final = struct.Struct("=IIQQIIQII16sII")
"""Type, count, instructions, license, log level, log size, log, kernel version, flags, name,
interface, expected attachment."""
_TEST_RUN_ATTR: Final = struct.Struct("=iIIIQQIIIIQQIII4x")
"""Program, verdict, bytes in and out, their addresses, repeat, duration, bytes of context in and
out, their addresses, flags, CPU, batch."""
_INFO_ATTR: Final = struct.Struct("=iIQ")
"""File descriptor, bytes of room, address."""
_INFO: Final = struct.Struct("=II8xI")
"""The begin of `struct bpf_prog_info`: type, number, tag, bytes of machine code."""
_VERDICT_OFFSET: Final = 4
_SIZE_OUT_OFFSET: Final = 12
_DURATION_OFFSET: Final = 36

_LOG_SIZES: Final = (1 << 18, 1 << 22, 1 << 26)
"""Bytes of room for the verifier's log, one after the other until it fits."""
_SHOWN_LINES: Final = 12
_MAX_NAME: Final = 15
"""BPF_OBJ_NAME_LEN without the closing zero."""
_HEADROOM: Final = 512
"""Bytes by which a program may make its packet longer."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_libc.syscall.restype = ctypes.c_long


class _Asked(Enum):
    """What was asked of the kernel; the value completes "cannot ..."."""

    LOAD = "load the eBPF program '{name}'"
    TEST_RUN = "run the eBPF program '{name}' on a packet"
    INFO = "ask what the kernel has made of the eBPF program '{name}'"


_PRIVILEGE: Final = (
    "the capability CAP_BPF is missing, or CAP_NET_ADMIN for programs that see packets: run it"
    " with sudo"
)

_MEANINGS: Final[Mapping[tuple[_Asked, int], str]] = MappingProxyType(
    {
        (_Asked.LOAD, errno.EPERM): _PRIVILEGE,
        (_Asked.LOAD, errno.EACCES): "the verifier does not find it safe",
        (_Asked.LOAD, errno.EINVAL): "the verifier does not find it valid",
        (_Asked.LOAD, errno.E2BIG): "it is longer than the kernel takes, or too complex to verify",
        (_Asked.LOAD, errno.ENOSYS): "this kernel has no bpf(2)",
        (_Asked.TEST_RUN, errno.EINVAL): (
            f"the packet is shorter than {MIN_FRAME} bytes or longer than such programs take here,"
            " or its Ethernet header announces more"
        ),
        (_Asked.TEST_RUN, errno.EOPNOTSUPP): "the kernel has no test runs for programs of its type",
        (_Asked.TEST_RUN, errno.EPERM): _PRIVILEGE,
    }
)


class VerifierError(KernelError):
    """The kernel does not take a program, and says why.

    Attributes:
        log: The last lines of the verifier's log.
        lines_left_out: How many came before; at least, where there was no room for all.
    """

    def __init__(self, message: str, errno: int, log: Sequence[str], lines_left_out: int) -> None:
        super().__init__(message, errno)
        self.log = tuple(log)
        self.lines_left_out = lines_left_out

    def __str__(self) -> str:
        """Draw the log below the message."""
        left_out = [f"... {self.lines_left_out} lines left out"] if self.lines_left_out else []
        return "\n    ".join((super().__str__(), *left_out, *self.log))


class TestRun(NamedTuple):
    """What came of running a program.

    Attributes:
        verdict: What it returned, 0 to 2**32 - 1.
        data: The packet afterwards.
        duration_ns: Mean nanoseconds a run; means something from some 100,000 repetitions on.
    """

    verdict: int
    data: bytes
    duration_ns: int


class LoadedProgram:
    """A program in the kernel, which lives until it is closed and nothing uses it any more.

    A context manager. `load` makes one.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return its file descriptor; -1 after `close`."""
        return self._fd

    def close(self) -> None:
        """Give up the file descriptor; again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def test_run(self, data: bytes, context: bytes = b"", repeat: int = 1) -> TestRun:
        """Run the program on a packet that belongs to nobody.

        Socket filters get what is behind the Ethernet header; tc and XDP programs all of it.

        Args:
            data: At least `MIN_FRAME` bytes, an Ethernet header first. With an EtherType of IPv4
                or IPv6, such a header has to follow, except for XDP.
            context: A `struct __sk_buff` or `struct xdp_md`, of which few fields may be set; none
                when empty.
            repeat: How often.

        Raises:
            KernelError: EINVAL for a packet or context that the kernel does not take.
        """
        packet = ctypes.create_string_buffer(data, max(len(data), 1))
        ctx = ctypes.create_string_buffer(context, max(len(context), 1))
        result = ctypes.create_string_buffer(len(data) + _HEADROOM)
        attr = bytearray(
            _TEST_RUN_ATTR.pack(
                self._fd,
                0,
                len(data),
                len(result),
                ctypes.addressof(packet),
                ctypes.addressof(result),
                repeat,
                0,
                len(context),
                0,
                ctypes.addressof(ctx) if context else 0,
                0,
                0,
                0,
                0,
            )
        )
        if _bpf(_PROG_TEST_RUN, attr) < 0:
            raise _refused(_Asked.TEST_RUN, self._name, ctypes.get_errno())
        (size,) = struct.unpack_from("=I", attr, _SIZE_OUT_OFFSET)
        (verdict,) = struct.unpack_from("=I", attr, _VERDICT_OFFSET)
        (duration,) = struct.unpack_from("=I", attr, _DURATION_OFFSET)
        return TestRun(verdict, result.raw[:size], duration)

    def machine_bytes(self) -> int:
        """Return how many bytes of machine code it is; 0 where the kernel does not tell.

        It tells it only to root, and it compiles programs only with net.core.bpf_jit_enable.

        Raises:
            KernelError: EINVAL before Linux 4.13.
        """
        info = ctypes.create_string_buffer(_INFO.size)
        attr = bytearray(_INFO_ATTR.pack(self._fd, len(info), ctypes.addressof(info)))
        if _bpf(_OBJ_GET_INFO_BY_FD, attr) < 0:
            raise _refused(_Asked.INFO, self._name, ctypes.get_errno())
        return int(_INFO.unpack(info.raw)[-1])


def load(program: EbpfProgram) -> LoadedProgram:
    """Have the kernel verify and compile a program.

    Raises:
        ProgramError: It is for machines outside the kernel, or its name or license is not valid.
        VerifierError: The verifier refuses it.
        KernelError: EPERM without the privilege, ENOSYS without bpf(2).
    """
    if program.program_type is None:
        raise ProgramError(f"the kernel runs no programs for the target '{program.target}'")
    code, count = program.to_bytes(_BYTE_ORDER), len(program.instructions)
    name, license_ = _text(program.name, "name"), _text(program.license, "license")
    if len(name) > _MAX_NAME:
        raise ProgramError(f"the name '{program.name}' is longer than {_MAX_NAME} bytes")
    instructions = ctypes.create_string_buffer(code, max(len(code), 1))
    license_buffer = ctypes.create_string_buffer(license_)

    def attempt(log: ctypes.Array[ctypes.c_char] | None) -> int:
        attr = _LOAD_ATTR.pack(
            program.program_type,
            count,
            ctypes.addressof(instructions),
            ctypes.addressof(license_buffer),
            0 if log is None else 1,
            0 if log is None else len(log),
            0 if log is None else ctypes.addressof(log),
            0,
            program.flags,
            name,
            0,
            0,
        )
        return _bpf(_PROG_LOAD, bytearray(attr))

    # A log costs time and room, so that only a program that has failed gets one.
    fd = attempt(None)
    if fd >= 0:
        return LoadedProgram(fd, program.name)
    reason = ctypes.get_errno()
    if reason in {errno.EPERM, errno.ENOSYS, errno.EFAULT}:
        raise _refused(_Asked.LOAD, program.name, reason)
    for size in _LOG_SIZES:
        log = ctypes.create_string_buffer(size)
        fd = attempt(log)
        if fd >= 0:
            return LoadedProgram(fd, program.name)
        if ctypes.get_errno() != errno.ENOSPC:
            break
    lines = log.value.decode(errors="replace").splitlines()
    raise VerifierError(
        _message(_Asked.LOAD, program.name, reason),
        reason,
        lines[-_SHOWN_LINES:],
        max(0, len(lines) - _SHOWN_LINES),
    )


_BYTE_ORDER: Final = "little" if struct.pack("=H", 1)[0] else "big"


def _bpf(command: int, attr: bytearray) -> int:
    """Do the system call; `attr` afterwards holds what the kernel has written."""
    number = _SYSCALL_OF_MACHINE.get(platform.machine(), _SYSCALL_ELSEWHERE)
    buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
    result: int = _libc.syscall(number, command, buffer, len(attr))
    return result


def _text(words: str, what: str) -> bytes:
    """Return a name or license as the kernel takes it, without the closing zero."""
    if not words.isascii() or "\0" in words:
        raise ProgramError(f"the program's {what} is not ASCII text: {words!r}")
    return words.encode("ascii")


def _message(asked: _Asked, name: str, number: int) -> str:
    meaning = _MEANINGS.get((asked, number), "")
    request = "cannot " + asked.value.format(name=name)
    return f"{request}: {meaning}" if meaning else request


def _refused(asked: _Asked, name: str, number: int) -> KernelError:
    return KernelError(_message(asked, name, number), number)
