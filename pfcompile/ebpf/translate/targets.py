"""Where translated programs run, and what they find there, as rows.

Sources: linux/bpf.h (`struct __sk_buff`, `struct xdp_md`, the program types, the helpers' numbers,
the actions), linux/pkt_cls.h; net/core/filter.c for what the metadata words of classic BPF are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import Ancillary
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE: Final = "value"
"""The verdict that stands for what the classic program returns: the snaplen, or 0."""


class Access(Enum):
    """How packet bytes are read; the value is what users call it."""

    DIRECT = "direct"
    """Through pointers, after a comparison with the packet's end."""
    LEGACY = "legacy"
    """By LD_ABS and LD_IND, which end the program with 0 where there is no such byte."""
    HELPERS = "helpers"
    """By a helper that copies them to the stack: reaches bytes that lie in no single piece."""


@dataclass(frozen=True, slots=True)
class Field:
    """A number in the context.

    Attributes:
        offset: Bytes from the context's start.
        width: Bits: 32 or 64.
        is_swapped: Whether it holds 16 bits in network byte order.
        is_never_zero: Whether 0 means that there is no such number: the program ends there.
    """

    offset: int
    width: int = 32
    is_swapped: bool = False
    is_never_zero: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What a helper gives back.

    Attributes:
        helper: Its number.
        takes_context: Whether the context is its argument.
    """

    helper: int
    takes_context: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that is the same for every packet."""

    value: int


@dataclass(frozen=True, slots=True)
class Extent:
    """The distance from the packet's first byte to its end."""


Source = Field | Call | Constant | Extent
"""Where a number that is no packet byte comes from."""

_NO_WORDS: Final[Mapping[Ancillary, Source]] = MappingProxyType({})
_NO_ACTIONS: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Target:
    """A place where programs run.

    Attributes:
        name: What users call it.
        program_type: BPF_PROG_TYPE_*, or None outside the kernel.
        words: Metadata words of classic BPF that are there.
        actions: The verdicts that have names there.
        match: The verdict for a packet that matches, unless another is asked for.
        no_match: The same for one that does not.
    """

    name: str
    program_type: int | None
    words: Mapping[Ancillary, Source] = field(default_factory=lambda: _NO_WORDS)
    actions: Mapping[str, int] = field(default_factory=lambda: _NO_ACTIONS)
    match: str = VALUE
    no_match: str = VALUE


@dataclass(frozen=True, slots=True)
class Form:
    """One way to read packets at a target.

    Attributes:
        target: Where.
        access: How.
        length: The packet's length on the wire.
        data: The address of the packet's first byte. Only for direct access.
        data_end: The address behind its last one. Only for direct access.
        load_helper: The helper's number. Only for access by helpers.
        is_from_network: Whether the helper wants to be told to count from the network header.
        farthest: No byte at this offset or behind can be read.
        is_bounded: Whether a verifier wants to see that an offset is at most `farthest`.
        flags: BPF_F_* for loading the program.
    """

    target: Target
    access: Access
    length: Source
    data: Field | None = None
    data_end: Field | None = None
    load_helper: int | None = None
    is_from_network: bool = False
    farthest: int = 0x7FFFFFFF
    is_bounded: bool = False
    flags: int = 0


_MAX_PACKET_OFFSET: Final = 0xFFFF
"""MAX_PACKET_OFF, kernel/bpf/verifier.c: how far the verifier follows a packet pointer. The linear
part of a packet, which is all that pointers reach, is shorter than that."""
_XDP_HAS_FRAGS: Final = 1 << 5
"""BPF_F_XDP_HAS_FRAGS: the program may get packets in several pieces."""

_ANYWHERE: Final[Mapping[Ancillary, Source]] = MappingProxyType(
    {Ancillary.CPU: Call(8), Ancillary.RANDOM: Call(7)}
)

_SKB_LENGTH: Final = Field(0)
_SKB_WORDS: Final[Mapping[Ancillary, Source]] = MappingProxyType(
    {
        Ancillary.PROTOCOL: Field(16, is_swapped=True),
        Ancillary.PKTTYPE: Field(4),
        # Without a device there is none; classic programs end there, in our interpreter with 0.
        Ancillary.IFINDEX: Field(40, is_never_zero=True),
        Ancillary.MARK: Field(8),
        Ancillary.QUEUE: Field(12),
        Ancillary.RXHASH: Field(68),
        Ancillary.VLAN_TAG: Field(24),
        Ancillary.VLAN_TAG_PRESENT: Field(20),
        Ancillary.VLAN_TPID: Field(28, is_swapped=True),
        **_ANYWHERE,
    }
)
"""`struct __sk_buff`. Hardware type, payload offset and netlink attributes are not to be had."""

_XDP_WORDS: Final[Mapping[Ancillary, Source]] = MappingProxyType(
    {
        Ancillary.IFINDEX: Field(12, is_never_zero=True),
        # Nobody has taken a VLAN tag out of the packet yet.
        Ancillary.VLAN_TAG: Constant(0),
        Ancillary.VLAN_TAG_PRESENT: Constant(0),
        Ancillary.VLAN_TPID: Constant(0),
        **_ANYWHERE,
    }
)
"""`struct xdp_md`. Its receive queue is no queue mapping, which drivers count from 1."""

_TC_ACTIONS: Final[Mapping[str, int]] = MappingProxyType(
    {"unspec": -1, "ok": 0, "reclassify": 1, "shot": 2, "pipe": 3, "stolen": 4}
)
"""TC_ACT_*, linux/pkt_cls.h, those that need nothing else."""
_XDP_ACTIONS: Final[Mapping[str, int]] = MappingProxyType(
    {"aborted": 0, "drop": 1, "pass": 2, "tx": 3}
)
"""XDP_*, linux/bpf.h, those that need nothing else."""
_CGROUP_ACTIONS: Final[Mapping[str, int]] = MappingProxyType({"drop": 0, "pass": 1})
"""What programs of BPF_PROG_TYPE_CGROUP_SKB return, kernel/bpf/cgroup.c."""

SOCKET: Final = Target("socket", 1, _SKB_WORDS)
TC: Final = Target("tc", 3, _SKB_WORDS, _TC_ACTIONS, match="ok", no_match="shot")
XDP: Final = Target("xdp", 6, _XDP_WORDS, _XDP_ACTIONS, match="pass", no_match="drop")
CGROUP: Final = Target("cgroup", 8, _SKB_WORDS, _CGROUP_ACTIONS, match="pass", no_match="drop")
USER: Final = Target("user", None)

_SKB_LOAD_BYTES: Final = 26
_SKB_LOAD_BYTES_RELATIVE: Final = 68
_XDP_LOAD_BYTES: Final = 189
_XDP_GET_BUFF_LEN: Final = 188

FORMS: Final = (
    Form(SOCKET, Access.LEGACY, _SKB_LENGTH),
    Form(SOCKET, Access.HELPERS, _SKB_LENGTH, load_helper=_SKB_LOAD_BYTES),
    Form(
        TC, Access.DIRECT, _SKB_LENGTH, Field(76), Field(80),
        farthest=_MAX_PACKET_OFFSET, is_bounded=True,
    ),
    Form(TC, Access.LEGACY, _SKB_LENGTH),
    Form(TC, Access.HELPERS, _SKB_LENGTH, load_helper=_SKB_LOAD_BYTES),
    Form(
        XDP, Access.DIRECT, Extent(), Field(0), Field(4),
        farthest=_MAX_PACKET_OFFSET, is_bounded=True,
    ),
    Form(
        XDP, Access.HELPERS, Call(_XDP_GET_BUFF_LEN, takes_context=True),
        load_helper=_XDP_LOAD_BYTES, flags=_XDP_HAS_FRAGS,
    ),
    # Our own: two addresses and the length on the wire, 8, 8 and 4 bytes.
    Form(USER, Access.DIRECT, Field(16), Field(0, 64), Field(8, 64)),
)  # fmt: skip
"""Every way; the first of a target's is what it gets unless another is asked for."""

CGROUP_FORMS: Final = (
    Form(
        CGROUP, Access.DIRECT, _SKB_LENGTH, Field(76), Field(80),
        farthest=_MAX_PACKET_OFFSET, is_bounded=True,
    ),
    Form(CGROUP, Access.HELPERS, _SKB_LENGTH, load_helper=_SKB_LOAD_BYTES),
)  # fmt: skip
"""For cgroups, where packets begin with the IP header: for what this project attaches itself."""
NETWORK_FORM: Final = Form(
    SOCKET, Access.HELPERS, _SKB_LENGTH, load_helper=_SKB_LOAD_BYTES_RELATIVE, is_from_network=True
)
"""For sockets whose packets begin behind the IP header, which it sees nevertheless; the same."""

TARGETS: Final = tuple(dict.fromkeys(form.target.name for form in FORMS))
"""The targets' names."""


def find_form(target: str, access: str | None = None) -> Form:
    """Return the row of a target and a way to read packets there, by their names.

    Raises:
        ProgramError: There is no such target, or not that way to read packets.
    """
    forms = [form for form in FORMS if form.target.name == target]
    if not forms:
        raise ProgramError(f"there is no target '{target}': there are {', '.join(TARGETS)}")
    for form in forms:
        if access in (None, form.access.value):
            return form
    ways = ", ".join(form.access.value for form in forms)
    raise ProgramError(f"'{target}' cannot read packets by '{access}', only by: {ways}")
