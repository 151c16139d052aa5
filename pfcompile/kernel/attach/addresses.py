"""The part of a program that has to do with addresses: are they in the sets, who sent the packet.

::

    clear the source's key
    find the IP header: behind the link header and up to two VLAN tags
    IPv4, and the same for IPv6:
        copy both addresses
        for each set: look them up in its hosts, and in its nets
            in none of them (for an exception: in one): go to "no match"
    count under the source's key

A packet without an IP header is in no set, and is counted under the family 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import R0, R1, R2, R10, Arithmetic, Condition
from pfcompile.facts import link_types
from pfcompile.kernel.attach.writing import LENGTH, SPARE, network_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.kernel.attach.writing import Writer

SOURCES_MAP: Final = "pf_sources"
"""The name in the kernel of the map that counts by source."""
NO_SOURCE: Final = 0
NO_ROOM: Final = 1
"""What stands for the family of packets that have no IP header, and that had no room in the map."""

SETTABLE_LINK_TYPES: Final = (link_types.number("EN10MB"), link_types.number("RAW"))
"""Where an IP header is found by this."""

_FAMILY_BYTES: Final = {4: 4, 6: 16}
_ADDRESSES_AT: Final = {4: 12, 6: 8}
"""Where in the header the source is; the destination is behind it (RFC 791, RFC 8200)."""
_ETHERTYPES: Final = {4: network_order(0x0800), 6: network_order(0x86DD)}
_TAGS: Final = tuple(map(network_order, (0x8100, 0x88A8, 0x9100)))
_MOST_TAGS: Final = 2
_ETHERTYPE_AT: Final = 12

_SMALL: Final = -16
_BOTH: Final = -64
"""Both addresses, 32 bytes."""
_NET_KEY: Final = -88
_SOURCE_KEY: Final = -112
_ZEROS: Final = -128
"""Where on the stack, from R10."""
_IF_NEW: Final = 1
"""BPF_NOEXIST, linux/bpf.h."""


class Side(Enum):
    """Which of a packet's addresses are looked up, by the name that the command line has for it."""

    ANY = ""
    SOURCE = "src"
    DESTINATION = "dst"


@dataclass(frozen=True, slots=True)
class SetRule:
    """A set of addresses outside the program, and what it asks of a packet.

    Attributes:
        name: Of the set.
        side: Which address is looked up; any of both for `Side.ANY`.
        is_exception: Whether only packets match that are not in the set.
    """

    name: str
    side: Side = Side.ANY
    is_exception: bool = False

    @property
    def label(self) -> str:
        """What it asks, in the words of the command line."""
        side = f"{self.side.value}:" if self.side.value else ""
        return f"{'except' if self.is_exception else 'in'} {side}{self.name}"

    def map_name(self, part: str, family: int) -> str:
        """Return what a program calls one of its maps."""
        return f"{self.name} {part}{family}"

    @property
    def maps(self) -> tuple[str, ...]:
        """What a program calls all of them."""
        return tuple(self.map_name(part, family) for family in (4, 6) for part in PARTS)


PARTS: Final = ("hosts", "nets")
"""Each set has a hash table of addresses and a trie of networks, of both families."""


def write_addresses(
    writer: Writer, dlt: int, rules: Sequence[SetRule], *, counts_sources: bool
) -> None:
    """Write the part up to where the packet is known to match.

    Args:
        writer: The program; "no match" is one of its labels.
        dlt: What packets begin with, one of `SETTABLE_LINK_TYPES`.
        rules: The sets.
        counts_sources: Whether `count_source` follows.
    """
    b = writer.code
    if counts_sources:
        writer.clear_stack(_SOURCE_KEY, 20)
    _find_header(writer, dlt)
    for family, size in _FAMILY_BYTES.items():
        b.label(f"is IPv{family}").mov(R2, SPARE).alu(Arithmetic.ADD, R2, _ADDRESSES_AT[family])
        writer.load_packet(_BOTH, 2 * size, "no addresses")
        if counts_sources:
            b.store(32, R10, _SOURCE_KEY, family)
            writer.copy_stack(_BOTH, _SOURCE_KEY + 4, size)
        for rule in rules:
            _ask_set(writer, rule, family)
        b.jump("in the sets")
    b.label("no addresses")
    if all(rule.is_exception for rule in rules):
        b.label("in the sets")
    else:
        b.jump("no match").label("in the sets")


def count_source(writer: Writer) -> None:
    """Write the part that counts a packet under its source's key."""
    b = writer.code
    writer.look_up(SOURCES_MAP, _SOURCE_KEY)
    b.jump_if(Condition.NE, R0, 0, "source found")
    writer.clear_stack(_ZEROS, 16)
    writer.update(SOURCES_MAP, _SOURCE_KEY, _ZEROS, _IF_NEW)
    writer.look_up(SOURCES_MAP, _SOURCE_KEY)
    b.jump_if(Condition.NE, R0, 0, "source found")
    b.store(32, R10, _SOURCE_KEY, NO_ROOM)
    writer.clear_stack(_SOURCE_KEY + 4, 16)
    writer.look_up(SOURCES_MAP, _SOURCE_KEY)
    b.jump_if(Condition.EQ, R0, 0, "source counted")
    b.label("source found")
    writer.add(R0, 0, 1)
    writer.add(R0, 8, LENGTH)
    b.label("source counted")


def _find_header(writer: Writer, dlt: int) -> None:
    """Go to the label of the family, SPARE the offset of its header; or to "no addresses"."""
    b = writer.code
    if dlt != link_types.number("EN10MB"):
        b.mov(SPARE, 0).mov(R2, 0)
        writer.load_packet(_SMALL, 1, "no addresses")
        b.load(8, R1, R10, _SMALL).alu(Arithmetic.RSH, R1, 4)
        for family in _FAMILY_BYTES:
            b.jump_if(Condition.EQ, R1, family, f"is IPv{family}")
        b.jump("no addresses")
        return
    b.mov(SPARE, _ETHERTYPE_AT)
    for number in range(_MOST_TAGS + 1):
        b.mov(R2, SPARE)
        writer.load_packet(_SMALL, 2, "no addresses")
        b.load(16, R1, R10, _SMALL)
        if number < _MOST_TAGS:
            for tag in _TAGS:
                b.jump_if(Condition.EQ, R1, tag, f"tag {number}")
            b.jump("untagged").label(f"tag {number}").alu(Arithmetic.ADD, SPARE, 4)
    b.label("untagged").alu(Arithmetic.ADD, SPARE, 2)
    for family, ethertype in _ETHERTYPES.items():
        b.jump_if(Condition.EQ, R1, ethertype, f"is IPv{family}")
    b.jump("no addresses")


def _ask_set(writer: Writer, rule: SetRule, family: int) -> None:
    """Go to "no match" unless the set says that the packet matches."""
    b, size = writer.code, _FAMILY_BYTES[family]
    sides = {Side.ANY: (0, size), Side.SOURCE: (0,), Side.DESTINATION: (size,)}[rule.side]
    found, follows = b.new_label("in set"), b.new_label("next set")
    for side in sides:
        writer.look_up(rule.map_name("hosts", family), _BOTH + side)
        b.jump_if(Condition.NE, R0, 0, found)
        b.store(32, R10, _NET_KEY, 8 * size)
        writer.copy_stack(_BOTH + side, _NET_KEY + 4, size)
        writer.look_up(rule.map_name("nets", family), _NET_KEY)
        b.jump_if(Condition.NE, R0, 0, found)
    b.jump(follows if rule.is_exception else "no match").label(found)
    if rule.is_exception:
        b.jump("no match")
    b.label(follows)
