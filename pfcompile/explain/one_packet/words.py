"""What a test found in a packet, in words: `IP.proto is 17 (udp), not 6 (tcp)`."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.facts.ip_protocols import PROTOCOL_NAMES
from pfcompile.facts.link_protocols import LINK_PROTOCOLS
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.text import print_value
from pfcompile.ir.values import Arithmetic, Const, Load, Numbers, PacketLength

if TYPE_CHECKING:
    from pfcompile.explain.one_packet.field_names import FieldNames
    from pfcompile.explain.one_packet.looked_at import Reader
    from pfcompile.ir.graph import Test
    from pfcompile.ir.values import Value

_MOST_RANGES: Final = 4
"""Numbers of a set that are written out."""

_IP_PROTOCOL_FIELDS: Final = frozenset({"proto", "nh"})
_ADDRESS_FIELDS: Final = frozenset({"src", "dst", "psrc", "pdst"})


def found_words(test: Test, asked: str, reader: Reader, names: FieldNames, *, holds: bool) -> str:
    """Return what a test found.

    Args:
        test: The test.
        asked: The same in the words of fields.
        reader: Knows the packet, and the variables as they are on the way.
        names: What its bits are called.
        holds: Whether it held.
    """
    left, right = test.left, test.right
    mask = right.value if test.op is Comparison.SET and isinstance(right, Const) else WORD
    fields = names.of(reader.direct(left, mask))
    what = _what(left, fields)
    number = reader.value(left)
    if number is None:  # it has come out when the packet took this way, so it does here
        return what
    if not fields and not isinstance(left, PacketLength):
        return f"{asked} {'holds' if holds else 'does not hold'} ({_shown(number, left, '')})"
    kind = fields[0].rpartition(".")[2] if len(fields) == 1 and isinstance(left, Load) else ""
    shown = _shown(number, left, kind)
    if isinstance(right, Numbers):
        listed = [f"{a}" if a == b else f"{a}-{b}" for a, b in _shown_ranges(right, left, kind)]
        more = len(right.ranges) - len(listed)
        listed += [f"{more} more"] if more else []
        return f"{what} is {shown}, {'' if holds else 'not '}one of {', '.join(listed)}"
    other = reader.value(right)
    wanted = "?" if other is None else _shown(other, left, kind)
    if not isinstance(right, Const):
        wanted = f"{_what(right, ())} ({wanted})"
    match test.op:
        case Comparison.EQ:
            return f"{what} is {shown}" if holds else f"{what} is {shown}, not {wanted}"
        case Comparison.GT:
            return f"{what} is {shown}, {'above' if holds else 'not above'} {wanted}"
        case Comparison.GE:
            return f"{what} is {shown}, {'at least' if holds else 'below'} {wanted}"
        case Comparison.SET:
            bits = "?" if other is None else f"{other:#x}"
            return f"{what} has {'a' if holds else 'no'} bit of {bits} ({number:#x})"
        case Comparison.IN:
            raise AssertionError
        case _:
            assert_never(test.op)


def cut_words(values: tuple[Value, ...], reader: Reader) -> str:
    """Return why one of some values cannot be computed."""
    for value in values:
        missing = reader.missing(value)
        if missing is not None:
            start, size, length = missing
            where = f"byte {start}" if size == 1 else f"bytes {start}-{start + size - 1}"
            return f"{where} would be needed, but only {length} bytes are captured"
    return "a division by zero, or metadata that a file does not have"


def _what(value: Value, fields: tuple[str, ...]) -> str:
    """Return what a test looks at."""
    match value:
        case PacketLength():
            return "the length"
        case Load() if fields:
            return ", ".join(fields)
        case Arithmetic(op=op, left=Load() as left, right=Const(value=k)) if fields:
            return f"{_what(left, fields)} {op.value} {k:#x}"
        case _:
            return print_value(value)


def _shown(number: int, value: Value, kind: str) -> str:
    """Return a number as a field of that kind has it."""
    if kind in _IP_PROTOCOL_FIELDS:
        return _named(str(number), _IP_NAMES.get(number))
    if kind == "type" and isinstance(value, Load) and value.size == 2:
        return _named(f"{number:#x}", _LINK_NAMES.get(number))
    if kind in _ADDRESS_FIELDS and isinstance(value, Load) and value.size == 4:
        return str(IPv4Address(number))
    if isinstance(value, Load | PacketLength):
        return str(number) if number < _LARGE else f"{number:#x}"
    return f"{number:#x}" if number >= 10 else str(number)


def _shown_ranges(numbers: Numbers, value: Value, kind: str) -> list[tuple[str, str]]:
    return [
        (_shown(low, value, kind), _shown(high, value, kind))
        for low, high in numbers.ranges[:_MOST_RANGES]
    ]


def _named(number: str, name: str | None) -> str:
    return number if name is None else f"{number} ({name})"


_LARGE: Final = 1 << 20
_IP_NAMES: Final = {number: name for name, number in reversed(list(PROTOCOL_NAMES.items()))}
_LINK_NAMES: Final = {number: name for name, number in reversed(list(LINK_PROTOCOLS.items()))}
