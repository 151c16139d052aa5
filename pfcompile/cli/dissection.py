"""A packet dissected for a person, by scapy where it is installed and knows the link type."""

from __future__ import annotations

from typing import Any, Final

from pfcompile.facts.link_types import linktype_of_dlt

_FILLING: Final = 64
"""Zeros put behind a packet that ends inside of a header that scapy wants whole, in bytes."""

_MOST_LINES: Final = 40
"""Lines of a dissection; the rest of a packet is in its hex."""


def dissect(dlt: int, packet: bytes) -> str | None:
    """Return what scapy shows of a packet, a field a line; None where it has nothing to show.

    Of a long dissection, such as forty options that are all zero, the beginning is enough.

    Args:
        dlt: The link type.
        packet: The captured bytes, from the link header on; may end anywhere.
    """
    try:
        # All of it, since each layer enters itself into conf.l2types as it is loaded.
        from scapy.all import conf  # noqa: PLC0415 - an extra that takes a second to load
    except ImportError:
        return None
    # It knows them by their numbers in files, and some by those of this system.
    known = conf.l2types.num2layer
    layer = known.get(linktype_of_dlt(dlt), known.get(dlt))
    if layer is None or not packet:
        return None
    shown = _shown(layer, packet)
    if shown is None:
        filled = _shown(layer, packet + bytes(_FILLING))
        if filled is None:
            return None
        shown = f"(dissected with zeros behind its end)\n{filled}"
    lines = shown.splitlines()
    left_out = len(lines) - _MOST_LINES
    if left_out > 0:
        lines[_MOST_LINES:] = [f"... {left_out} more lines"]
    return "\n".join(lines)


def _shown(layer: Any, packet: bytes) -> str | None:
    """Return what a layer shows, or None where it cannot take the packet."""
    try:
        return str(layer(packet).show(dump=True))
    except Exception:  # noqa: BLE001 - what foreign code raises on bytes that end too early
        return None
