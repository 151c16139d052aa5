"""Where a link type's headers begin, as values: of some the packet tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.lengths import rounded_up, told_length
from pfcompile.ir.values import Value, add, const

if TYPE_CHECKING:
    from pfcompile.facts.link_layouts import LengthField, LinkLayout

_WLAN_HEADER: Final = 24
_QOS_CONTROL: Final = 2
_PADDED_TO: Final = 4
_RADIOTAP_BITS: Final = 0x1FFFF
"""What the sum of a radiotap header's length and an 802.11 header's may have."""


def headers(layout: LinkLayout) -> tuple[Value, ...]:
    """Return where the link header may begin."""
    return _starts(layout.header)


def payloads(layout: LinkLayout, header: Value) -> tuple[Value, ...]:
    """Return where what the link header carries may begin.

    Behind an 802.11 header of quality of service there are two bytes more, and radiotap has a flag
    for padding (`lower.preamble`).
    """
    if not layout.is_wlan:
        return _starts(layout.payload)
    plain = add(header, const(_WLAN_HEADER))
    padded = _padded(plain) if layout.radiotap_padding else ()
    return (plain, *padded, *longer_payloads(layout, header))


def longer_payloads(layout: LinkLayout, header: Value) -> tuple[Value, ...]:
    """Return where the payload of an 802.11 frame of quality of service begins, or may begin."""
    start = add(header, const(_WLAN_HEADER + _QOS_CONTROL))
    return (start, *(_padded(start) if layout.radiotap_padding else ()))


def _padded(start: Value) -> tuple[Value, ...]:
    """Return the padded forms of where a radiotap frame's payload begins."""
    return tuple(rounded_up(start, _PADDED_TO, most) for most in (WORD, _RADIOTAP_BITS))


def _starts(start: int | LengthField) -> tuple[Value, ...]:
    if isinstance(start, int):
        return (const(start),)
    told = told_length(start)
    if start.align > 1:
        bits = ((1 << 8 * start.size) + start.align - 2).bit_length()
        unaligned = told_length(start._replace(align=1))
        return told, rounded_up(unaligned, start.align, (1 << bits) - 1)
    return (told,) if start.only_if is None else (told, const(start.otherwise))
