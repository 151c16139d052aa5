"""The rows of a header: its fields, one behind the other as its document draws them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """How the numbers in a field are written."""

    NUMBER = auto()
    """Decimal: ports, lengths, counts."""
    BITS = auto()
    """Hexadecimal: identifiers, checksums, flags."""
    ETHERTYPE = auto()
    IP_PROTOCOL = auto()
    PPP_PROTOCOL = auto()
    FAMILY = auto()
    """A 32-bit AF_ value, in the byte order of any machine."""
    ICMP_TYPE = auto()
    ICMP6_TYPE = auto()
    TCP_FLAGS = auto()
    WLAN_TYPE = auto()
    IPV4 = auto()
    IPV6 = auto()
    MAC = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """Some bits of a header.

    Attributes:
        name: What they are called, behind the header's name and a dot.
        start: The first bit, from the header's start on.
        bits: How many there are.
        kind: How their value is written.
    """

    name: str
    start: int
    bits: int
    kind: Kind = Kind.NUMBER

    @property
    def end(self) -> int:
        """The bit behind the last one."""
        return self.start + self.bits


@dataclass(frozen=True, slots=True)
class Header:
    """A protocol's header.

    Attributes:
        name: What its fields' names begin with.
        fields: Those that share no bit with another, in order.
        parts: Bits of those that have names of their own.
        source: The document that draws it.
        accessor: The filter language's word for its bytes, as in `tcp[20:4]`; None where it has
            none.
    """

    name: str
    fields: tuple[Field, ...]
    source: str
    parts: tuple[Field, ...] = field(default=())
    accessor: str | None = None


Row = tuple[str, int] | tuple[str, int, Kind]
"""Name, bits and kind of a field; a number where nothing is said. No name for what is unused."""


def in_order(*rows: Row) -> tuple[Field, ...]:
    """Return the fields of a header that stand one behind the other; gaps have the name ''."""
    made = []
    start = 0
    for row in rows:
        name, bits, kind = row if len(row) == 3 else (*row, Kind.NUMBER)
        if name:
            made.append(Field(name, start, bits, kind))
        start += bits
    return tuple(made)
