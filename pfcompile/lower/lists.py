"""Lists of addresses and of ports: many operands of one kind, tested as one set of numbers.

`port 80 or 443 or 8080` is one test for each place where a port stands, not three filters joined:
that keeps ten thousand of them as quick to compile as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pfcompile.lower import addresses, transport
from pfcompile.syntax.tree import Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.errors import Span
    from pfcompile.lower.context import Context
    from pfcompile.lower.formula import Formula
    from pfcompile.syntax.tree import Proto


@dataclass(frozen=True, slots=True)
class AddressList:
    """IPv4 networks (address, mask), any of which an address may be in."""

    proto: Proto | None
    direction: Direction | None
    networks: tuple[tuple[int, int], ...]
    span: Span

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        return addresses.ipv4(context, self.proto, self.direction, self.networks, self.span)


@dataclass(frozen=True, slots=True)
class PortList:
    """Ranges of ports (first, last) of some IP protocols, any of which a port may be in."""

    protocols: tuple[int, ...]
    direction: Direction | None
    ranges: tuple[tuple[int, int], ...]
    span: Span

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        return transport.ports(context, self.protocols, self.direction, self.ranges, self.span)


ValueList: TypeAlias = AddressList | PortList


def can_join(a: ValueList, b: ValueList) -> bool:
    """Return whether one list can stand for `a or b`.

    Not where both directions must match: each of the two wants both of its own.
    """
    if a.direction is Direction.SRC_AND_DST or a.direction is not b.direction:
        return False
    match a, b:
        case AddressList(proto=one), AddressList(proto=other):
            return one is other
        case PortList(protocols=ones), PortList(protocols=others):
            return ones == others
        case _:
            return False


def joined(lists: Sequence[ValueList]) -> ValueList:
    """Return the one list that stands for any of some lists that can be joined."""
    first, last = lists[0], lists[-1]
    if len(lists) == 1:
        return first
    span = first.span.to(last.span)
    if isinstance(first, AddressList):
        networks = tuple(
            n for each in lists if isinstance(each, AddressList) for n in each.networks
        )
        return AddressList(first.proto, first.direction, networks, span)
    ranges = tuple(r for each in lists if isinstance(each, PortList) for r in each.ranges)
    return PortList(first.protocols, first.direction, ranges, span)
