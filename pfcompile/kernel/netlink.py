"""Programs attached by netlink: tc filters, and XDP for kernels without links.

What is attached so belongs to nobody: it stays when its process ends, until somebody takes it away
or the interface goes. `tc_filter` and `xdp_program` take it away when their block ends; where the
kernel has links (`bpf.links`), they are the better way.

Needs pyroute2, which is asked for when a function is called.

Source: rtnetlink(7), tc-bpf(8); linux/pkt_cls.h, linux/if_link.h.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pfcompile.errors import MissingExtraError, ProgramError
from pfcompile.kernel.bpf.links import XdpMode
from pfcompile.kernel.bpf.refusals import Asked, BpfError, refused
from pfcompile.kernel.bpf.syscall import BYTE_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.kernel.bpf.programs import LoadedProgram

_ALL_PROTOCOLS: Final = 3
"""ETH_P_ALL, linux/if_ether.h."""
_CLSACT: Final = "clsact"
_DIRECT_ACTION: Final = 1
"""TCA_BPF_FLAG_ACT_DIRECT, linux/pkt_cls.h."""
_PROGRAM_ID: Final = 11
"""TCA_BPF_ID, linux/pkt_cls.h."""
_ATTRIBUTE_HEADER: Final = 4
_PRIORITIES: Final = range(1, 0x10000)

_XDP_ONLY_IF_NONE: Final = 1 << 0
_XDP_REPLACE: Final = 1 << 4
"""XDP_FLAGS_UPDATE_IF_NOEXIST and XDP_FLAGS_REPLACE, linux/if_link.h."""
_NO_PROGRAM: Final = -1
_XDP_MODES: Final = {
    XdpMode.NATIVE: ("IFLA_XDP_DRV_PROG_ID", "xdp"),
    XdpMode.GENERIC: ("IFLA_XDP_SKB_PROG_ID", "xdpgeneric"),
}
"""What tells each mode's program, and how pyroute2 calls the mode where it is the only one."""


class Hook(IntEnum):
    """Where tc filters are: TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_*) of linux/pkt_sched.h."""

    INGRESS = 0xFFFF_FFF2
    EGRESS = 0xFFFF_FFF3


class TcFilter(NamedTuple):
    """A tc filter that is a program.

    Attributes:
        hook: Where it is.
        priority: Those of lower numbers come first.
        handle: Its number among those of its priority.
        name: For people.
        is_direct: Whether the program's verdict says what becomes of the packet.
        program_id: The program's number, None before Linux 4.13.
    """

    hook: Hook
    priority: int
    handle: int
    name: str
    is_direct: bool
    program_id: int | None


def ensure_clsact(interface: int) -> bool:
    """Give an interface what tc filters hang on; return whether it was not there.

    Raises:
        KernelError: ENODEV, EPERM.
        MissingExtraError: pyroute2 is not installed.

    Source: tc-bpf(8); Linux 4.5.
    """
    with _asking(Asked.TC_QDISC, interface) as route:
        try:
            route.tc("add", _CLSACT, interface)
        except _refusal() as error:
            if error.code == errno.EEXIST:
                return False
            raise
    return True


def remove_clsact(interface: int) -> None:
    """Take away what tc filters hang on, and with it all of them.

    Raises:
        KernelError: EINVAL or ENOENT where it is not there, ENODEV, EPERM.
    """
    with _asking(Asked.TC_QDISC, interface) as route:
        route.tc("del", _CLSACT, interface)


def add_filter(
    interface: int,
    program: LoadedProgram,
    hook: Hook = Hook.INGRESS,
    priority: int = 1,
    handle: int = 1,
    name: str = "",
) -> TcFilter:
    """Add a tc filter whose program's verdict says what becomes of the packet (direct action).

    Args:
        interface: Its number; it has a clsact qdisc, see `ensure_clsact`.
        program: Of BPF_PROG_TYPE_SCHED_CLS.
        hook: Packets that come in, or that go out.
        priority: 1 to 65535; those of lower numbers come first.
        handle: Its number among those of its priority, from 1.
        name: For people; the program's where it is empty.

    Raises:
        KernelError: EEXIST where there is one, EINVAL without clsact, ENODEV, EPERM.
        MissingExtraError: pyroute2 is not installed.

    Source: tc-bpf(8); linux/pkt_cls.h, TCA_BPF_*.
    """
    return _set_filter("add-filter", interface, program, hook, priority, handle, name)


def replace_filter(
    interface: int,
    program: LoadedProgram,
    hook: Hook = Hook.INGRESS,
    priority: int = 1,
    handle: int = 1,
    name: str = "",
) -> TcFilter:
    """Set a tc filter in one step, whether there was one or not; see `add_filter`."""
    return _set_filter("replace-filter", interface, program, hook, priority, handle, name)


def delete_filter(
    interface: int, hook: Hook = Hook.INGRESS, priority: int = 1, handle: int = 1
) -> None:
    """Take a tc filter away.

    Raises:
        KernelError: ENOENT where there is none, EINVAL without clsact, EPERM.
    """
    with _asking(Asked.TC_DELETE, interface) as route:
        route.tc(
            "del-filter",
            "bpf",
            interface,
            handle,
            parent=hook,
            prio=priority,
            protocol=_ALL_PROTOCOLS,
        )


def filters(interface: int, hook: Hook = Hook.INGRESS) -> tuple[TcFilter, ...]:
    """Return the programs among an interface's tc filters, in the order in which they run.

    Empty without clsact.

    Raises:
        KernelError: ENODEV, EPERM.
    """
    with _asking(Asked.TC_LIST, interface) as route:
        try:
            messages = tuple(route.get_filters(index=interface, parent=hook))
        except _refusal() as error:
            if error.code == errno.EINVAL:
                return ()
            raise
    found = (_filter(message, hook) for message in messages)
    return tuple(sorted((each for each in found if each), key=lambda each: each.priority))


@contextmanager
def tc_filter(
    interface: int,
    program: LoadedProgram,
    hook: Hook = Hook.INGRESS,
    priority: int = 1,
    handle: int = 1,
    name: str = "",
) -> Iterator[TcFilter]:
    """Have a tc filter while the block runs, on an interface that may have no clsact yet.

    What was there before stays: clsact goes only if it was made here and nothing hangs on it.

    Raises:
        KernelError: As of `add_filter`.
    """
    is_new = ensure_clsact(interface)
    try:
        added = add_filter(interface, program, hook, priority, handle, name)
        try:
            yield added
        finally:
            _unless_gone(lambda: delete_filter(interface, hook, priority, handle))
    finally:
        if is_new and not _has_filters(interface):
            _unless_gone(lambda: remove_clsact(interface))


def attach_xdp(
    interface: int,
    program: LoadedProgram,
    mode: XdpMode = XdpMode.BEST,
    *,
    replace: bool = False,
) -> None:
    """Set an interface's XDP program by netlink.

    Args:
        interface: Its number.
        program: Of BPF_PROG_TYPE_XDP.
        mode: Where it is to run.
        replace: Whether it may take the place of one that is there.

    Raises:
        KernelError: EBUSY where there is one, or a link; EEXIST for the other mode, EOPNOTSUPP
            without native XDP, EINVAL, EPERM.
        MissingExtraError: pyroute2 is not installed.

    Source: linux/if_link.h, IFLA_XDP_*; Linux 4.8, generic mode 4.12.
    """
    flags = mode | (0 if replace else _XDP_ONLY_IF_NONE)
    _set_xdp(interface, [("IFLA_XDP_FD", program.fileno()), ("IFLA_XDP_FLAGS", flags)])


def detach_xdp(
    interface: int, mode: XdpMode = XdpMode.BEST, expected: LoadedProgram | None = None
) -> None:
    """Take an interface's XDP program away; where there is none, do nothing.

    Args:
        interface: Its number.
        mode: Where it runs.
        expected: The program that is to go; any where it is None (Linux 5.7).

    Raises:
        KernelError: EEXIST where another program than expected is there, EBUSY where it is a
            link's, EPERM.
    """
    told: list[tuple[str, int]] = [("IFLA_XDP_FD", _NO_PROGRAM)]
    if expected is None:
        told.append(("IFLA_XDP_FLAGS", mode))
    else:
        told.append(("IFLA_XDP_FLAGS", mode | _XDP_REPLACE))
        told.append(("IFLA_XDP_EXPECTED_FD", expected.fileno()))
    _set_xdp(interface, told)


def xdp_programs(interface: int) -> dict[XdpMode, int]:
    """Return the numbers of an interface's XDP programs by mode, however they were attached.

    Raises:
        KernelError: ENODEV, EPERM.
    """
    with _asking(Asked.NETLINK_XDP_STATE, interface) as route:
        (message,) = route.get_links(interface)
    told = message.get_attr("IFLA_XDP")
    if told is None:
        return {}
    found = {}
    for mode, (attribute, alone) in _XDP_MODES.items():
        number = told.get_attr(attribute)
        if number is None and told.get_attr("IFLA_XDP_ATTACHED") == alone:
            number = told.get_attr("IFLA_XDP_PROG_ID")
        if number is not None:
            found[mode] = int(number)
    return found


@contextmanager
def xdp_program(
    interface: int, program: LoadedProgram, mode: XdpMode = XdpMode.GENERIC
) -> Iterator[None]:
    """Have an XDP program on an interface while the block runs.

    Raises:
        KernelError: As of `attach_xdp`.
    """
    attach_xdp(interface, program, mode)
    try:
        yield
    finally:
        _unless_gone(lambda: detach_xdp(interface, mode, program))


def _set_filter(
    command: str,
    interface: int,
    program: LoadedProgram,
    hook: Hook,
    priority: int,
    handle: int,
    name: str,
) -> TcFilter:
    if priority not in _PRIORITIES or handle < 1:
        raise ProgramError(
            f"a tc filter's priority is 1 to 65535 and its handle from 1: {priority}, {handle}"
        )
    name = name or program.name or "pfcompile"
    with _asking(Asked.TC_FILTER, interface) as route:
        route.tc(
            command,
            "bpf",
            interface,
            handle,
            fd=program.fileno(),
            name=name,
            parent=hook,
            prio=priority,
            protocol=_ALL_PROTOCOLS,
            direct_action=True,
        )
    return TcFilter(hook, priority, handle, name, is_direct=True, program_id=program.info().id)


def _filter(message: Any, hook: Hook) -> TcFilter | None:
    """Return what a message tells of a filter; None where it is none, or no program."""
    options = message.get_attr("TCA_OPTIONS")
    if message.get_attr("TCA_KIND") != "bpf" or options is None:
        return None
    return TcFilter(
        hook,
        message["info"] >> 16,
        message["handle"],
        options.get_attr("TCA_BPF_NAME") or "",
        bool((options.get_attr("TCA_BPF_FLAGS") or 0) & _DIRECT_ACTION),
        _program_id(options),
    )


def _program_id(options: Any) -> int | None:
    """Return a filter's program, which pyroute2 has no word for."""
    for name, value in options["attrs"]:
        if name == "UNKNOWN" and value["header"]["type"] == _PROGRAM_ID:
            begin = value.offset + _ATTRIBUTE_HEADER
            return int.from_bytes(value.data[begin : begin + 4], BYTE_ORDER)
        if name == "TCA_BPF_ID":
            return int(value)
    return None


def _set_xdp(interface: int, told: list[tuple[str, int]]) -> None:
    with _asking(Asked.NETLINK_XDP, interface) as route:
        route.link("set", index=interface, IFLA_XDP={"attrs": told})


def _has_filters(interface: int) -> bool:
    """Tell whether anything hangs on an interface's clsact, be it a program or not."""
    with _asking(Asked.TC_LIST, interface) as route:
        try:
            return any(tuple(route.get_filters(index=interface, parent=hook)) for hook in Hook)
        except _refusal():  # the interface went
            return True


def _unless_gone(action: Any) -> None:
    """Take something away, which may have gone by itself or with its interface."""
    try:
        action()
    except BpfError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV, errno.EINVAL}:
            raise


@contextmanager
def _asking(asked: Asked, interface: int) -> Iterator[Any]:
    """Talk to the kernel; what it refuses is told in our words and its own."""
    try:
        from pyroute2 import IPRoute  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise MissingExtraError("pyroute2", "kernel", "attaching by netlink") from None
    with IPRoute() as route:
        try:
            yield route
        except _refusal() as error:
            words = str(error.args[1]) if len(error.args) > 1 else ""
            # The kernel may say more than the error number does.
            detail = "" if words == os.strerror(error.code) else words
            raise refused(asked, error.code, str(interface), detail) from error


def _refusal() -> Any:
    """Return pyroute2's exception for what the kernel refuses; it has the number as `code`."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 - an extra

    return NetlinkError
