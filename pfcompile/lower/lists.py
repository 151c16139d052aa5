"""Lists of addresses and of ports: many operands of one kind, tested together.

`port 80 or 443 or 8080` is one test for each place where a port stands, not three filters joined:
that keeps ten thousand of them as quick to compile as one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pfcompile.lower import addresses, transport
from pfcompile.syntax.tree import Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.errors import Span
    from pfcompile.lower.context import Context
    from pfcompile.lower.formula import Formula
    from pfcompile.syntax.tree import Proto


@dataclass(frozen=True, slots=True)
class Ipv4List:
    """IPv4 networks (address, mask), any of which an address may be in."""

    proto: Proto | None
    direction: Direction | None
    values: tuple[tuple[int, int], ...]
    span: Span

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        return addresses.ipv4(context, self.proto, self.direction, self.values, self.span)


@dataclass(frozen=True, slots=True)
class Ipv6List:
    """IPv6 networks (address, mask of a prefix), any of which an address may be in."""

    direction: Direction | None
    values: tuple[tuple[int, int], ...]
    span: Span

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        return addresses.ipv6(context, self.direction, self.values, self.span)


@dataclass(frozen=True, slots=True)
class MacList:
    """Link addresses of 48 bits, any of which an address may be."""

    direction: Direction | None
    values: tuple[bytes, ...]
    span: Span

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        return addresses.mac(context, self.direction, self.values)


@dataclass(frozen=True, slots=True)
class PortList:
    """Ranges of ports (first, last) of some IP protocols, any of which a port may be in."""

    protocols: tuple[int, ...]
    direction: Direction | None
    values: tuple[tuple[int, int], ...]
    span: Span

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        return transport.ports(context, self.protocols, self.direction, self.values, self.span)


ValueList: TypeAlias = Ipv4List | Ipv6List | MacList | PortList


def can_join(a: ValueList, b: ValueList) -> bool:
    """Return whether one list can stand for `a or b`: they differ in their values only.

    Not where both directions must match: each of the two wants both of its own.
    """
    if a.direction is Direction.SRC_AND_DST:
        return False
    return _with(a, (), b.span) == _with(b, (), b.span)


def joined(lists: Sequence[ValueList]) -> ValueList:
    """Return the one list that stands for any of some lists that can be joined."""
    first, last = lists[0], lists[-1]
    if len(lists) == 1:
        return first
    values = tuple(value for each in lists for value in each.values)
    return _with(first, values, first.span.to(last.span))


def _with(kind: ValueList, values: tuple[Any, ...], span: Span) -> ValueList:
    """Return a list of the same kind with other values."""
    changed: Any = kind  # `replace` cannot be told that the values are of its kind.
    made: ValueList = replace(changed, values=values, span=span)
    return made
