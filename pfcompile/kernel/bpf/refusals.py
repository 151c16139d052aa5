"""Why the kernel refuses what bpf(2) and its kin are asked, and what to do about it, as rows.

Sources: bpf(2), perf_event_open(2), mount(2); kernel/bpf, net/core/dev.c and net/bpf/test_run.c of
Linux 6.18; and trying each.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import Final, NamedTuple

from pfcompile.errors import KernelError

MIN_FRAME: Final = 14
"""Bytes of the shortest packet that a test run takes: an Ethernet header, net/bpf/test_run.c."""


class Asked(Enum):
    """What was asked of the kernel; the value completes "cannot ..."."""

    LOAD = "load the eBPF program '{subject}'"
    TEST_RUN = "run the eBPF program '{subject}' on a packet"
    INFO = "ask what the kernel has made of {subject}"
    CREATE_MAP = "create the map '{subject}'"
    LOOKUP = "look up a key in the map '{subject}'"
    UPDATE = "set a key of the map '{subject}'"
    DELETE = "delete a key of the map '{subject}'"
    NEXT_KEY = "go through the map '{subject}'"
    FREEZE = "freeze the map '{subject}'"
    PIN = "pin at {subject}"
    OPEN_PIN = "open what is pinned at {subject}"
    OPEN_ID = "open {subject}"
    LIST = "list the {subject} of the system"
    ATTACH_XDP = "attach a program to the XDP hook of interface {subject}"
    ATTACH_TCX = "attach a program to the tc hook of interface {subject}"
    ATTACH_CGROUP = "attach a program to the cgroup {subject}"
    ATTACH_SOCKET = "attach a program to {subject}"
    OPEN_SOCKET = "take the socket {subject} of another process"
    UPDATE_LINK = "replace the program of {subject}"
    DETACH = "detach {subject}"
    COUNT_RUNS = "have the kernel count how often programs run"
    OPEN_EVENT = "open events of CPU {subject}"
    MAP_RING = "map the ring of {subject}"
    MOUNT = "mount a file system of type bpf at {subject}"
    UNMOUNT = "unmount {subject}"
    TC_QDISC = "give interface {subject} a clsact qdisc"
    TC_FILTER = "set a tc filter on interface {subject}"
    TC_DELETE = "delete a tc filter of interface {subject}"
    TC_LIST = "list the tc filters of interface {subject}"
    NETLINK_XDP = "set the XDP program of interface {subject} by netlink"
    NETLINK_XDP_STATE = "ask for the XDP program of interface {subject}"


class Refusal(NamedTuple):
    """One reason for which the kernel refuses.

    Attributes:
        asked: What was asked; None for anything.
        errno: The error number.
        meaning: What it means here.
        advice: What to do about it; "" where nothing can be.
    """

    asked: Asked | None
    errno: int
    meaning: str
    advice: str = ""


_NO_INTERFACE: Final = "there is no such interface in this network namespace"
_XDP_BUSY: Final = (
    "another program is attached there, by a link or by netlink",
    (
        "`pfcompile attach list` shows it if it is one of ours, `bpftool net` any; end what holds"
        " it, detach it, or replace that link's program"
    ),
)
_XDP_MODES: Final = (
    "a program is attached there in the other mode, native or generic",
    "detach it, or attach in its mode",
)
_NO_NATIVE: Final = (
    "the interface's driver has no native XDP, or not for programs like this one",
    "attach in generic mode",
)
_XDP_INVALID: Final = (
    (
        "the interface does not take the program: it is of another type, or the interface's MTU"
        " or offloads do not go with XDP in this mode"
    ),
    "attach in generic mode, lower the MTU, or load a program that takes packets in pieces",
)
_NO_PERF: Final = "CAP_PERFMON is missing, and kernel.perf_event_paranoid forbids it"

REFUSALS: Final = (
    Refusal(
        None,
        errno.EPERM,
        "the capability CAP_BPF is missing, or CAP_NET_ADMIN for programs that see packets",
        "run it with sudo",
    ),
    Refusal(None, errno.ENOSYS, "this kernel has no bpf(2)"),
    Refusal(None, errno.EBADF, "it is closed"),
    Refusal(
        None,
        errno.ENOMEM,
        "there is not enough memory, or before Linux 5.11 not enough locked memory",
        "ulimit -l unlimited",
    ),
    Refusal(Asked.LOAD, errno.EACCES, "the verifier does not find it safe"),
    Refusal(Asked.LOAD, errno.EINVAL, "the verifier does not find it valid"),
    Refusal(
        Asked.LOAD,
        errno.E2BIG,
        "it is longer than the kernel takes, or too complex to verify",
    ),
    Refusal(Asked.LOAD, errno.EBADF, "a map that it uses is closed"),
    Refusal(
        Asked.TEST_RUN,
        errno.EINVAL,
        f"the packet is shorter than {MIN_FRAME} bytes or longer than such programs take here, or"
        " its Ethernet header announces more",
    ),
    Refusal(
        Asked.TEST_RUN,
        errno.EOPNOTSUPP,
        "the kernel has no test runs for programs of its type",
    ),
    Refusal(
        Asked.CREATE_MAP,
        errno.EINVAL,
        "this kernel has no such maps, or not of such sizes or with such flags",
        "see `kinds` for what each needs; a ring's size is a power of two of whole pages",
    ),
    Refusal(Asked.CREATE_MAP, errno.E2BIG, "its keys, values or entries are too large"),
    Refusal(Asked.LOOKUP, errno.ENOENT, "it has no such key"),
    Refusal(Asked.LOOKUP, errno.EOPNOTSUPP, "what such maps hold cannot be read"),
    Refusal(Asked.UPDATE, errno.E2BIG, "it is full, or the number is past its end"),
    Refusal(Asked.UPDATE, errno.ENOSPC, "it is full"),
    Refusal(Asked.UPDATE, errno.EEXIST, "the key is there already"),
    Refusal(Asked.UPDATE, errno.ENOENT, "the key is not there"),
    Refusal(
        Asked.UPDATE,
        errno.EINVAL,
        "the key or the value is not one that such maps take, or the flags are not",
    ),
    Refusal(Asked.UPDATE, errno.EPERM, "it is frozen, or may only be read"),
    Refusal(Asked.DELETE, errno.EPERM, "it is frozen, or may only be read"),
    Refusal(Asked.DELETE, errno.ENOENT, "it has no such key"),
    Refusal(Asked.DELETE, errno.EINVAL, "nothing can be taken out of such maps"),
    Refusal(Asked.NEXT_KEY, errno.EOPNOTSUPP, "such maps have no keys"),
    Refusal(Asked.FREEZE, errno.EPERM, "it is frozen, or may only be read"),
    Refusal(Asked.FREEZE, errno.EBUSY, "it is mapped for writing"),
    Refusal(
        Asked.PIN,
        errno.EPERM,
        "the path is in no file system of type bpf, or the privilege is missing",
        "mount one: sudo mount -t bpf bpf /sys/fs/bpf",
    ),
    Refusal(
        Asked.PIN, errno.EEXIST, "something is pinned there", "remove it, or take another name"
    ),
    Refusal(Asked.PIN, errno.ENOENT, "there is no such folder"),
    Refusal(Asked.OPEN_PIN, errno.ENOENT, "nothing is pinned there"),
    Refusal(
        Asked.OPEN_PIN, errno.EACCES, "it is in no file system of type bpf, or may not be opened"
    ),
    Refusal(Asked.OPEN_ID, errno.ENOENT, "there is none of that number any more"),
    Refusal(Asked.OPEN_ID, errno.EPERM, "CAP_SYS_ADMIN is missing", "run it with sudo"),
    Refusal(Asked.LIST, errno.EPERM, "CAP_SYS_ADMIN is missing", "run it with sudo"),
    Refusal(Asked.LIST, errno.EINVAL, "this kernel cannot list them"),
    Refusal(Asked.ATTACH_XDP, errno.ENODEV, _NO_INTERFACE),
    Refusal(Asked.ATTACH_XDP, errno.EBUSY, *_XDP_BUSY),
    Refusal(Asked.ATTACH_XDP, errno.EEXIST, *_XDP_MODES),
    Refusal(Asked.ATTACH_XDP, errno.EOPNOTSUPP, *_NO_NATIVE),
    Refusal(Asked.ATTACH_XDP, errno.EINVAL, *_XDP_INVALID),
    Refusal(Asked.ATTACH_XDP, errno.ERANGE, *_XDP_INVALID),
    Refusal(Asked.ATTACH_TCX, errno.ENODEV, _NO_INTERFACE),
    Refusal(
        Asked.ATTACH_TCX,
        errno.EINVAL,
        "the program is no tc program, or the kernel is older than 6.6 and has no such links",
        "attach it as a tc filter by netlink",
    ),
    Refusal(Asked.ATTACH_TCX, errno.ERANGE, "64 programs are attached there"),
    Refusal(Asked.ATTACH_CGROUP, errno.EBADF, "it is no folder of a cgroup2 file system"),
    Refusal(
        Asked.ATTACH_CGROUP,
        errno.EINVAL,
        "the program is not for this direction of a cgroup's packets",
        "load it with the attach type of the direction",
    ),
    Refusal(Asked.ATTACH_CGROUP, errno.EPERM, "a program there, or above it, allows no other"),
    Refusal(
        Asked.ATTACH_SOCKET,
        errno.EEXIST,
        "it has a filter, which would not come back, or what is left of ours after `kill -9`",
        "take that off first, or say that it may go: `--force`, `force=True`",
    ),
    Refusal(Asked.ATTACH_SOCKET, errno.EPERM, "its filter is locked (SO_LOCK_FILTER)"),
    Refusal(Asked.OPEN_SOCKET, errno.ESRCH, "there is no such process"),
    Refusal(Asked.OPEN_SOCKET, errno.EINVAL, "there is no process of such a number"),
    Refusal(Asked.OPEN_SOCKET, errno.EBADF, "the process has no such descriptor"),
    Refusal(Asked.OPEN_SOCKET, errno.ENOTSOCK, "the descriptor is of something else"),
    Refusal(Asked.OPEN_SOCKET, errno.EPERM, "CAP_SYS_PTRACE is missing", "run it with sudo"),
    Refusal(Asked.UPDATE_LINK, errno.ENOLINK, "what it was attached to is gone"),
    Refusal(Asked.UPDATE_LINK, errno.EPERM, "its program is not the one that was expected"),
    Refusal(Asked.UPDATE_LINK, errno.EINVAL, "the new program is not of the type of the old one"),
    Refusal(Asked.DETACH, errno.EOPNOTSUPP, "such links only go when they are closed"),
    Refusal(Asked.OPEN_EVENT, errno.EACCES, _NO_PERF, "run it with sudo"),
    Refusal(Asked.OPEN_EVENT, errno.EPERM, _NO_PERF, "run it with sudo"),
    Refusal(Asked.OPEN_EVENT, errno.EMFILE, "this process has too many open files", "ulimit -n"),
    Refusal(Asked.MAP_RING, errno.EINVAL, "its size is not a power of two of pages"),
    Refusal(
        Asked.MAP_RING,
        errno.EPERM,
        "the rings are larger than kernel.perf_event_mlock_kb allows",
        "use fewer pages, or run it with sudo",
    ),
    Refusal(Asked.MOUNT, errno.EPERM, "CAP_SYS_ADMIN is missing", "run it with sudo"),
    Refusal(Asked.MOUNT, errno.ENOENT, "there is no such folder"),
    Refusal(Asked.MOUNT, errno.ENODEV, "this kernel has no such file system"),
    Refusal(Asked.UNMOUNT, errno.EINVAL, "nothing is mounted there"),
    Refusal(Asked.TC_QDISC, errno.ENODEV, _NO_INTERFACE),
    Refusal(
        Asked.TC_FILTER,
        errno.EEXIST,
        "there is one of that priority and handle",
        "replace it, or take another priority",
    ),
    Refusal(Asked.TC_FILTER, errno.ENODEV, _NO_INTERFACE),
    Refusal(
        Asked.TC_FILTER,
        errno.EINVAL,
        "the interface has no clsact qdisc, or the program is no tc program",
    ),
    Refusal(Asked.TC_DELETE, errno.ENOENT, "there is none of that priority and handle"),
    Refusal(Asked.TC_DELETE, errno.EINVAL, "the interface has no clsact qdisc"),
    Refusal(Asked.NETLINK_XDP, errno.ENODEV, _NO_INTERFACE),
    Refusal(Asked.NETLINK_XDP, errno.EBUSY, *_XDP_BUSY),
    Refusal(Asked.NETLINK_XDP, errno.EEXIST, "another program is attached there already"),
    Refusal(Asked.NETLINK_XDP, errno.EOPNOTSUPP, *_NO_NATIVE),
    Refusal(Asked.NETLINK_XDP, errno.EINVAL, *_XDP_INVALID),
    Refusal(Asked.NETLINK_XDP, errno.ERANGE, *_XDP_INVALID),
)
"""Every reason that is known."""

_ROWS: Final = {(row.asked, row.errno): row for row in REFUSALS}


class BpfError(KernelError):
    """The kernel refused something that has to do with BPF.

    Attributes:
        asked: What was asked.
        meaning: What the error number means there, or "".
        advice: What to do about it, or "".
        done: Of many that were asked for at once, those that were done before.
    """

    def __init__(
        self, asked: Asked, number: int, subject: str, detail: str = "", done: int | None = None
    ) -> None:
        row = _ROWS.get((asked, number)) or _ROWS.get((None, number))
        self.asked = asked
        self.done = done
        self.meaning = detail or (row.meaning if row else "")
        self.advice = row.advice if row and not detail else ""
        told = ": ".join(filter(None, (self.meaning, self.advice)))
        request = "cannot " + asked.value.format(subject=subject)
        if done is not None:
            request += f" after {done} others"
        super().__init__(f"{request}: {told}" if told else request, number)


def refused(
    asked: Asked, status: int, subject: str, detail: str = "", done: int | None = None
) -> BpfError:
    """Return the exception that says what was asked, why the kernel refused and what to do.

    Args:
        asked: What was asked.
        status: The error number, or the same negative, as calls give it.
        subject: What it was about.
        detail: What is known about this very case, in place of the row's meaning.
        done: Of many that were asked for at once, those that were done before.
    """
    return BpfError(asked, abs(status), subject, detail, done)
