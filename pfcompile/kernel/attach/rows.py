"""The kinds of places where filters are attached, as rows: what is found there and what returned.

Sources: linux/bpf.h, `struct xdp_md`, `struct __sk_buff`; kernel/bpf/tcx.c, kernel/bpf/cgroup.c and
net/core/filter.c of Linux for the verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.translate.targets import CGROUP_FORMS, FORMS, NETWORK_FORM, Access
from pfcompile.kernel.bpf.links import XDP_HAS_FRAGS

if TYPE_CHECKING:
    from pfcompile.ebpf.translate.targets import Form


class Kind(Enum):
    """The kinds of places, by the name that the command line has for each."""

    XDP = "xdp"
    TC = "tc"
    CGROUP = "cgroup"
    SOCKET = "socket"


class Direction(Enum):
    """Which packets of an interface or a cgroup."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class Row:
    """What programs at one kind of place find, and what they return.

    Attributes:
        name: Of the row.
        kind: Of the place.
        program_type: BPF_PROG_TYPE_*, linux/bpf.h.
        forms: How packets are read: first as far as they lie in one piece, then all of them. One
            alone where that reads all.
        passes: What lets a packet go on as if no program were there.
        drops: What ends its way.
        interface: Where in the context the interface's number is.
        length: Where in the context the packet's length is; None where a helper tells.
        is_interrupted: Whether a run may begin on a CPU before another has ended there: then
            counting has to be atomic. At XDP and tc, softirqs are off.
        flags: BPF_F_* for loading.
    """

    name: str
    kind: Kind
    program_type: int
    forms: tuple[Form, ...]
    passes: int
    drops: int
    interface: int
    length: int | None = 0
    is_interrupted: bool = False
    flags: int = 0


_XDP_INTERFACE: Final = 12
_SKB_INTERFACE: Final = 40
_XDP_PASS: Final = 2
_XDP_DROP: Final = 1
_TCX_NEXT: Final = -1
"""The next program decides; behind the last one the packet goes on."""
_TCX_DROP: Final = 2
_ALL_BYTES: Final = -1
"""A socket filter returns how many of the packet's bytes stay."""


def _forms(target: str) -> tuple[Form, ...]:
    """Return a target's ways to read packets that can be in a function of their own.

    LD_ABS cannot: it ends the whole program, and the kernel takes it nowhere else.
    """
    return tuple(
        form for form in FORMS if form.target.name == target and form.access is not Access.LEGACY
    )


ROWS: Final = (
    Row(
        "xdp", Kind.XDP, 6, _forms("xdp"), _XDP_PASS, _XDP_DROP, _XDP_INTERFACE,
        length=None, flags=XDP_HAS_FRAGS,
    ),
    Row("tc", Kind.TC, 3, _forms("tc"), _TCX_NEXT, _TCX_DROP, _SKB_INTERFACE),
    Row("cgroup", Kind.CGROUP, 8, CGROUP_FORMS, 1, 0, _SKB_INTERFACE, is_interrupted=True),
    Row(
        "packet socket", Kind.SOCKET, 1, _forms("socket"), _ALL_BYTES, 0, _SKB_INTERFACE,
        is_interrupted=True,
    ),
    Row(
        "network socket", Kind.SOCKET, 1, (NETWORK_FORM,), _ALL_BYTES, 0, _SKB_INTERFACE,
        is_interrupted=True,
    ),
)  # fmt: skip
"""Every kind. Packet sockets get packets from the link layer on; others from behind the IP header,
which can be read nevertheless."""

ROW_OF: Final = {row.name: row for row in ROWS}
