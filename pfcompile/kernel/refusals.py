"""Why the kernel refuses, and what to do about it, as rows.

Sources: socket(7), packet(7), netdevice(7); net/core/filter.c and net/packet/af_packet.c of Linux
6.18, and trying each.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pfcompile.errors import KernelError


class Operation(Enum):
    """What was asked of the kernel; the value completes "cannot ..."."""

    ATTACH = "attach the filter to the socket"
    DETACH = "detach the filter from the socket"
    LOCK = "lock the socket's filter"
    READ_BACK = "read the socket's filter back"
    OPEN = "open a packet socket"
    BIND = "capture on {subject}"
    PROMISCUOUS = "put {subject} into promiscuous mode"
    CONFIGURE = "set up the packet socket"
    FANOUT = "share the packets of {subject} among workers"
    RECEIVE = "go on capturing on {subject}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason for which an operation fails.

    Attributes:
        operation: What was asked.
        errno: The error number.
        meaning: What it means here and what to do, with `{subject}`, `{optmem_max}` and
            `{python}` replaced.
    """

    operation: Operation
    errno: int
    meaning: str


_LOCKED = "the filter is locked (SO_LOCK_FILTER), which lasts as long as the socket: open a new one"
_CLOSED = "the socket is closed"
_PRIVILEGE = (
    "the capability CAP_NET_RAW is missing: run it with sudo, or give the interpreter the"
    " capability once: sudo setcap cap_net_raw,cap_net_admin=eip {python}"
)
_GONE = "the interface disappeared"
_DOWN = "the interface is down; to bring it up: sudo ip link set {subject} up"

REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        Operation.ATTACH,
        errno.EINVAL,
        "the program is not valid for the kernel: it needs 1 to 4096 known instructions, a `ret`"
        " at the end, jumps that stay inside, M[0] to M[15] written before they are read, no"
        " division by a constant 0 and no shift by a constant of 32 or more",
    ),
    Refusal(
        Operation.ATTACH,
        errno.ENOMEM,
        "the program needs more memory than net.core.optmem_max ({optmem_max} bytes) leaves to"
        " this socket; to raise it: sudo sysctl -w net.core.optmem_max=1048576",
    ),
    Refusal(Operation.ATTACH, errno.EPERM, _LOCKED),
    Refusal(Operation.ATTACH, errno.EBADF, _CLOSED),
    Refusal(Operation.DETACH, errno.ENOENT, "it has none"),
    Refusal(Operation.DETACH, errno.EPERM, _LOCKED),
    Refusal(Operation.DETACH, errno.EBADF, _CLOSED),
    Refusal(Operation.LOCK, errno.EBADF, _CLOSED),
    Refusal(
        Operation.READ_BACK,
        errno.EACCES,
        "it is an eBPF program, which the kernel does not give back as instructions",
    ),
    Refusal(Operation.READ_BACK, errno.EBADF, _CLOSED),
    Refusal(Operation.OPEN, errno.EPERM, _PRIVILEGE),
    Refusal(Operation.OPEN, errno.EACCES, _PRIVILEGE),
    Refusal(
        Operation.OPEN,
        errno.EAFNOSUPPORT,
        "this kernel has no packet sockets (CONFIG_PACKET)",
    ),
    Refusal(
        Operation.CONFIGURE,
        errno.ENOMEM,
        "there is no memory for a ring of that size: ask for less with -B",
    ),
    Refusal(Operation.BIND, errno.ENODEV, _GONE),
    Refusal(Operation.BIND, errno.ENXIO, _GONE),
    Refusal(Operation.BIND, errno.ENETDOWN, _DOWN),
    Refusal(Operation.PROMISCUOUS, errno.ENODEV, _GONE),
    Refusal(Operation.RECEIVE, errno.ENODEV, _GONE),
    Refusal(Operation.RECEIVE, errno.ENETDOWN, _DOWN),
)

_MEANINGS = {(row.operation, row.errno): row.meaning for row in REFUSALS}


def refused(
    operation: Operation, error: OSError | int, subject: str = "the socket", detail: str = ""
) -> KernelError:
    """Return the exception that says what was asked, why the kernel refused and what to do.

    Args:
        operation: What was asked.
        error: What the system call gave: the exception or the error number.
        subject: What the operation was about, such as an interface's name.
        detail: What is known about this very case, in place of the row's meaning.
    """
    number = error if isinstance(error, int) else (error.errno or errno.EIO)
    words = {"subject": subject, "optmem_max": _optmem_max(), "python": _interpreter()}
    asked = operation.value.format(**words)
    meaning = detail or _MEANINGS.get((operation, number), "").format(**words)
    return KernelError(f"cannot {asked}: {meaning}" if meaning else f"cannot {asked}", number)


def _optmem_max() -> str:
    """Return net.core.optmem_max of this network namespace, or "unknown"."""
    try:
        return Path("/proc/sys/net/core/optmem_max").read_text(encoding="ascii").strip()
    except OSError:  # before Linux 6.7, other network namespaces than the first do not show it
        return "unknown"


def _interpreter() -> str:
    """Return the file that a capability has to be put on: a link would be refused by setcap."""
    return str(Path(sys.executable).resolve())
