"""What maps, programs and links have in common: a file descriptor, a number, pins.

Something in the kernel lives as long as a descriptor of it is open, a pin of it is in a file
system, or something else that lives uses it.

Source: bpf(2); linux/bpf.h, BPF_OBJ_PIN, BPF_OBJ_GET, BPF_*_GET_FD_BY_ID.
"""

from __future__ import annotations

import ctypes
import errno
import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from pfcompile.kernel.bpf import layouts
from pfcompile.kernel.bpf.bpffs import check_name
from pfcompile.kernel.bpf.refusals import Asked, refused
from pfcompile.kernel.bpf.syscall import Command, address, buffer_of, call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_Answer = TypeVar("_Answer", bound=ctypes.Structure)


class ObjectType(Enum):
    """What a descriptor is of; the value is what the kernel calls it in /proc/self/fd."""

    MAP = "bpf-map"
    PROGRAM = "bpf-prog"
    LINK = "bpf_link"

    @property
    def word(self) -> str:
        """What people call it."""
        return self.name.lower()


_OPEN_BY_ID = {
    ObjectType.MAP: Command.MAP_GET_FD_BY_ID,
    ObjectType.PROGRAM: Command.PROG_GET_FD_BY_ID,
    ObjectType.LINK: Command.LINK_GET_FD_BY_ID,
}
_NEXT_ID = {
    ObjectType.MAP: Command.MAP_GET_NEXT_ID,
    ObjectType.PROGRAM: Command.PROG_GET_NEXT_ID,
    ObjectType.LINK: Command.LINK_GET_NEXT_ID,
}


class Descriptor:
    """An open file descriptor, which is closed once; a context manager."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

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
        # Taken first, so that no second call can close a descriptor that has become another's.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def pin(self, path: str | Path) -> Path:
        """Keep it after this process, under a name in a file system of type bpf.

        Args:
            path: A new file there. Its name has no dots. Removing the file takes the pin away.

        Raises:
            ProgramError: The name cannot be one.
            KernelError: EPERM outside of such a file system (see `bpffs`), EEXIST, ENOENT.

        Source: bpf(2), BPF_OBJ_PIN.
        """
        path = Path(path)
        check_name(path.name)
        pathname = buffer_of(os.fsencode(path) + b"\0")
        status = call(Command.OBJ_PIN, layouts.Pin(pathname=address(pathname), bpf_fd=fd_of(self)))
        if status < 0:
            raise refused(Asked.PIN, status, str(path))
        return path


def fd_of(descriptor: Descriptor) -> int:
    """Return a descriptor's number as an unsigned one, which a closed one does not have."""
    return descriptor.fileno() & 0xFFFF_FFFF


class KernelObject(Descriptor):
    """A map, a program or a link: what is found again by a pin or a number.

    Attributes:
        type: Which of them.
    """

    type: ClassVar[ObjectType]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Return what is pinned at `path`.

        Raises:
            KernelError: ENOENT; EINVAL where it is something else.
        """
        return cls._found(open_pin(path, cls.type))

    @classmethod
    def by_id(cls, number: int) -> Self:
        """Return what has a number.

        Raises:
            KernelError: ENOENT where there is none, EPERM.
        """
        return cls._found(open_id(number, cls.type))

    @classmethod
    def _found(cls, fd: int) -> Self:
        return cls(fd)


def open_pin(path: str | Path, wanted: ObjectType) -> int:
    """Return a new file descriptor of what is pinned at `path`.

    Raises:
        KernelError: ENOENT; EINVAL where something else than what is wanted is pinned.

    Source: bpf(2), BPF_OBJ_GET.
    """
    pathname = buffer_of(os.fsencode(path) + b"\0")
    fd = call(Command.OBJ_GET, layouts.Pin(pathname=address(pathname)))
    if fd < 0:
        raise refused(Asked.OPEN_PIN, fd, str(path))
    found = type_of(fd)
    if found is not wanted:
        os.close(fd)
        there = "something else" if found is None else f"a {found.word}"
        raise refused(Asked.OPEN_PIN, errno.EINVAL, str(path), f"it is {there}, no {wanted.word}")
    return fd


def type_of(fd: int) -> ObjectType | None:
    """Return what a file descriptor is of, or None for anything else."""
    called = Path(f"/proc/self/fd/{fd}").readlink().name.removeprefix("anon_inode:").strip("[]")
    # Kernels have written both bpf-link and bpf_link.
    called = called.replace("bpf-link", "bpf_link")
    return next((each for each in ObjectType if each.value == called), None)


def open_id(number: int, wanted: ObjectType) -> int:
    """Return a new file descriptor of the map, program or link with a number.

    Raises:
        KernelError: ENOENT where there is none of that number, EPERM.

    Source: linux/bpf.h, BPF_*_GET_FD_BY_ID.
    """
    fd = call(_OPEN_BY_ID[wanted], layouts.Id(id=number))
    if fd < 0:
        raise refused(Asked.OPEN_ID, fd, f"{wanted.word} number {number}")
    return fd


def ids(wanted: ObjectType) -> Iterator[int]:
    """Yield the numbers of all maps, programs or links of the system, in their order.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN.

    Source: linux/bpf.h, BPF_*_GET_NEXT_ID.
    """
    attr = layouts.Id()
    while True:
        status = call(_NEXT_ID[wanted], attr)
        if status == -errno.ENOENT:
            return
        if status < 0:
            raise refused(Asked.LIST, status, f"{wanted.word}s")
        yield int(attr.next_id)
        attr = layouts.Id(id=attr.next_id)


def ask_info(descriptor: Descriptor, answer: _Answer, what: str) -> _Answer:
    """Return `answer` with what the kernel tells of a map, program or link.

    Raises:
        KernelError: EBADF where it is closed, EINVAL before Linux 4.13.

    Source: linux/bpf.h, BPF_OBJ_GET_INFO_BY_FD.
    """
    attr = layouts.InfoByFd(
        bpf_fd=fd_of(descriptor),
        info_len=ctypes.sizeof(answer),
        info=ctypes.addressof(answer),
    )
    status = call(Command.OBJ_GET_INFO_BY_FD, attr)
    if status < 0:
        raise refused(Asked.INFO, status, what)
    return answer
