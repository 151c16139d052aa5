"""Links: programs where packets pass, attached as long as somebody holds the link.

A link goes when its descriptor is closed, however its process ends, and with its interface; a pin
keeps it. `update` replaces the program in one step: every packet meets the old one or the new one.

Source: linux/bpf.h, BPF_LINK_CREATE, BPF_LINK_UPDATE, BPF_LINK_DETACH, `struct bpf_link_info`;
kernel/bpf/tcx.c, kernel/bpf/cgroup.c, net/core/dev.c of Linux.
"""

from __future__ import annotations

import errno
import os
import socket
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.kernel.bpf import layouts
from pfcompile.kernel.bpf.descriptors import (
    KernelObject,
    ObjectType,
    ask_info,
    fd_of,
    ids,
)
from pfcompile.kernel.bpf.refusals import Asked, BpfError, refused
from pfcompile.kernel.bpf.syscall import BYTE_ORDER, Command, call

if TYPE_CHECKING:
    from pathlib import Path

    from pfcompile.kernel.bpf.programs import LoadedProgram

XDP_HAS_FRAGS: Final = 1 << 5
"""BPF_F_XDP_HAS_FRAGS, a flag for loading: packets may come in several pieces, as those of large
MTUs do in native mode."""

_REPLACE: Final = 1 << 2
_BEFORE: Final = 1 << 3
_AFTER: Final = 1 << 4


class AttachType(IntEnum):
    """Where a program can be attached; the numbers of enum bpf_attach_type, linux/bpf.h."""

    CGROUP_INET_INGRESS = 0
    CGROUP_INET_EGRESS = 1
    XDP = 37
    TCX_INGRESS = 46
    TCX_EGRESS = 47


class LinkType(IntEnum):
    """The types of links, enum bpf_link_type of linux/bpf.h; there are more of other trades."""

    CGROUP = 3
    NETNS = 5
    XDP = 6
    NETFILTER = 10
    TCX = 11


class XdpMode(IntEnum):
    """Where XDP programs run; the values are XDP_FLAGS_* of linux/if_link.h."""

    BEST = 0
    """Native where the driver can, else generic."""
    GENERIC = 2
    """In the network stack: every interface can, with what it has made of the packets."""
    NATIVE = 4
    """In the driver, before the kernel spends anything on the packet."""


class LinkInfo(NamedTuple):
    """What the kernel tells of a link.

    Attributes:
        type: A `LinkType` where it is known here, else the kernel's number.
        id: Its number in the system.
        program_id: Its program's number.
        interface: Of XDP and tcx links, the interface's number in its own network namespace, 0
            when it has gone; else None.
        cgroup: Of cgroup links, the cgroup's number; else None.
        attach_type: Where; an `AttachType` where it is known here, None where the kernel does not
            tell.
    """

    type: int
    id: int
    program_id: int
    interface: int | None = None
    cgroup: int | None = None
    attach_type: int | None = None


class Link(KernelObject):
    """A program that is attached until this is closed, unless it is pinned. A context manager."""

    type = ObjectType.LINK

    def info(self) -> LinkInfo:
        """Ask the kernel what it is.

        Raises:
            KernelError: EBADF where it is closed.
        """
        got = ask_info(self, layouts.LinkInfoAnswer(), "a link")
        kind, first, second, third = got.type, got.more[0], got.more[1], got.more[2]
        common = (_known(LinkType, kind), got.id, got.prog_id)
        match kind:
            case LinkType.XDP:
                return LinkInfo(*common, interface=first, attach_type=AttachType.XDP)
            case LinkType.TCX:
                return LinkInfo(*common, interface=first, attach_type=_known(AttachType, second))
            case LinkType.CGROUP:
                # A number of 64 bits, which lies in the first two of 32.
                number = int.from_bytes(bytes(got.more)[:8], BYTE_ORDER)
                return LinkInfo(*common, cgroup=number, attach_type=_known(AttachType, third))
            case _:
                return LinkInfo(*common)

    def update(self, program: LoadedProgram, expected: LoadedProgram | None = None) -> None:
        """Replace the program in one step: no packet passes without one.

        Args:
            program: The new one, of the old one's type.
            expected: The old one, for which alone the new one comes; any where it is None.

        Raises:
            KernelError: ENOLINK where what it was attached to has gone, EPERM where another
                program than expected is there, EINVAL for another type of program.

        Source: linux/bpf.h, BPF_LINK_UPDATE.
        """
        attr = layouts.LinkUpdate(
            link_fd=fd_of(self),
            new_prog_fd=fd_of(program),
            flags=0 if expected is None else _REPLACE,
            old_prog_fd=0 if expected is None else fd_of(expected),
        )
        status = call(Command.LINK_UPDATE, attr)
        if status < 0:
            raise refused(Asked.UPDATE_LINK, status, "the link")

    def is_attached(self) -> bool:
        """Tell whether it still is somewhere: not after `detach`, or without its interface.

        Raises:
            KernelError: EBADF where it is closed.
        """
        info = self.info()
        return info.interface != 0 and info.cgroup != 0

    def detach(self) -> None:
        """Take the program off, even where the link is pinned or open elsewhere, too.

        What is left of the link does nothing more.

        Raises:
            KernelError: EOPNOTSUPP for types of links that cannot.

        Source: linux/bpf.h, BPF_LINK_DETACH, Linux 5.9.
        """
        status = call(Command.LINK_DETACH, layouts.LinkOnly(link_fd=fd_of(self)))
        if status < 0:
            raise refused(Asked.DETACH, status, "the link")


def attach_xdp(program: LoadedProgram, interface: int, mode: XdpMode = XdpMode.BEST) -> Link:
    """Have an XDP program see every packet that comes in on an interface.

    Args:
        program: Of BPF_PROG_TYPE_XDP.
        interface: Its number, in this thread's network namespace.
        mode: Where it is to run.

    Raises:
        KernelError: EBUSY where there is one, EEXIST where there is one in the other mode,
            EOPNOTSUPP without native XDP, ENODEV, EINVAL.

    Source: linux/bpf.h, BPF_LINK_CREATE; Linux 5.9.
    """
    attr = layouts.LinkCreate(
        prog_fd=fd_of(program), target=interface, attach_type=AttachType.XDP, flags=mode
    )
    return _attached(attr, Asked.ATTACH_XDP, _called(interface))


def attach_tcx(
    program: LoadedProgram,
    interface: int,
    direction: AttachType = AttachType.TCX_INGRESS,
    *,
    first: bool = False,
) -> Link:
    """Have a tc program see every packet that comes in on an interface, or goes out.

    Programs at such a place run one after the other: what returns TCX_NEXT (-1) leaves a packet to
    the next one.

    Args:
        program: Of BPF_PROG_TYPE_SCHED_CLS.
        interface: Its number, in this thread's network namespace.
        direction: TCX_INGRESS or TCX_EGRESS.
        first: Whether it comes before those that are there, instead of behind them.

    Raises:
        KernelError: EINVAL before Linux 6.6, or for a program of another type; ENODEV.

    Source: linux/bpf.h, BPF_LINK_CREATE; Linux 6.6.
    """
    attr = layouts.LinkCreate(
        prog_fd=fd_of(program),
        target=interface,
        attach_type=direction,
        flags=_BEFORE if first else _AFTER,
    )
    return _attached(attr, Asked.ATTACH_TCX, _called(interface))


def attach_cgroup(program: LoadedProgram, folder: str | Path, direction: AttachType) -> Link:
    """Have a program see the packets of all processes in a cgroup, from their IP header on.

    Args:
        program: Of BPF_PROG_TYPE_CGROUP_SKB, loaded with `direction` as its attach type. It lets a
            packet through with 1, and drops it with 0.
        folder: The cgroup, in a file system of type cgroup2.
        direction: CGROUP_INET_INGRESS or CGROUP_INET_EGRESS.

    Raises:
        KernelError: EINVAL for another program, EBADF where `folder` is no cgroup, EPERM where a
            program is there that allows no other; ENOENT.

    Source: linux/bpf.h, BPF_LINK_CREATE; Linux 5.7.
    """
    try:
        cgroup = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise refused(Asked.ATTACH_CGROUP, error.errno or errno.EIO, str(folder)) from error
    try:
        attr = layouts.LinkCreate(prog_fd=fd_of(program), target=cgroup, attach_type=direction)
        return _attached(attr, Asked.ATTACH_CGROUP, str(folder))
    finally:
        os.close(cgroup)


def all_links() -> tuple[LinkInfo, ...]:
    """Return all links of the system, in the order in which they were made.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN.
    """
    found = []
    for number in ids(ObjectType.LINK):
        try:
            with Link.by_id(number) as each:
                found.append(each.info())
        except BpfError as error:
            # It went since its number was asked for, or is still being made.
            if error.errno not in {errno.ENOENT, errno.EAGAIN}:
                raise
    return tuple(found)


def _attached(attr: layouts.LinkCreate, asked: Asked, subject: str) -> Link:
    fd = call(Command.LINK_CREATE, attr)
    if fd < 0:
        raise refused(asked, fd, subject)
    return Link(fd)


def _called(interface: int) -> str:
    """Return an interface's name in this thread's network namespace; its number without one."""
    try:
        return socket.if_indextoname(interface)
    except (OSError, OverflowError):
        return str(interface)


def _known(kinds: type[IntEnum], number: int) -> int:
    """Return a number as its member of `kinds`, where it has one."""
    try:
        return kinds(number)
    except ValueError:
        return number
