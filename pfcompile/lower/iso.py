"""Tests of ISO network layer protocols: CLNP, ES-IS, IS-IS.

Sources: ISO/IEC TR 9577, ISO/IEC 10589.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts import frame_relay, isis, llc_saps
from pfcompile.facts.link_layouts import Encoding
from pfcompile.ir.values import add, const
from pfcompile.lower.formula import Formula, byte, equal, every, half, some
from pfcompile.lower.link_protocol import link_protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.errors import Span
    from pfcompile.ir.values import Value
    from pfcompile.lower.context import Context

_PDU_TYPE_OFFSET: Final = 4
_HDLC_ISO: Final = 0xFEFE


def protocol(context: Context, number: int, span: Span) -> Formula:
    """Return the test for `iso proto number`, 0 to 255."""
    frame = context.frame
    if not frame.mpls_depth:
        if frame.layout.encoding is Encoding.HDLC:
            # A byte of padding stands before the network layer (cisco's framing of OSI).
            return every(
                equal(half(frame.type_field), _HDLC_ISO), equal(byte(_start(context)), number)
            )
        if frame.layout.encoding is Encoding.FRAME_RELAY:
            return equal(half(frame.header, 2), frame_relay.ISO + number)
    is_iso = link_protocol(context, llc_saps.ISO, span)
    return every(is_iso, equal(byte(_start(context)), number))


def _start(context: Context) -> Value:
    """Return where the ISO network layer begins."""
    frame = context.frame
    start = frame.network_header_no_snap
    if frame.layout.encoding is Encoding.HDLC:
        return add(start, const(1))
    return start


def isis_pdu(context: Context, types: Sequence[int], span: Span) -> Formula:
    """Return the test for IS-IS with any of some PDU types, each 0 to 31."""
    is_isis = protocol(context, isis.ISIS, span)
    field = byte(_start(context), _PDU_TYPE_OFFSET)
    return every(is_isis, some(*(equal(field, number, isis.PDU_TYPE_MASK) for number in types)))
