"""SS7 message transfer part, level 2 and the head of level 3: signal units and their fields.

The words with an `h` before them are for high-speed links, whose sequence numbers take two bytes
each instead of one (ITU-T Q.703, annex A), so that everything behind them stands three bytes on.

Sources: ITU-T Q.703 (signal units) and Q.704 (routing label); pcap-filter(7) for the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pfcompile.facts.link_types import by_name

HIGH_SPEED_SHIFT: Final = 3
"""How many bytes further on the fields of high-speed links stand."""


def _header_lengths() -> dict[int, int]:
    """Return DLT -> bytes before the MTP2 header."""
    lengths = {"MTP2": 0, "MTP2_WITH_PHDR": 4, "ERF": 20}
    return {row.dlt: n for name, n in lengths.items() if (row := by_name(name)) is not None}


MTP2_OFFSETS: Final[dict[int, int]] = _header_lengths()
"""DLT to where its MTP2 header starts; these are the link types with SS7 primitives."""


@dataclass(frozen=True, slots=True)
class SignalUnit:
    """A kind of signal unit, told by its length indicator.

    It is one if `above < indicator <= up_to`.

    Attributes:
        keyword: The word; `lsu` is another for `lssu`.
        offset: Byte offset of the indicator from the MTP2 header.
        size: Bytes to load there, 1 or 2, big-endian.
        mask: The bits that are the indicator.
        above: What the masked value must exceed; None: nothing.
        up_to: What it must not exceed; None: nothing.
    """

    keyword: str
    offset: int
    size: int
    mask: int
    above: int | None
    up_to: int | None


SIGNAL_UNITS: Final[dict[str, SignalUnit]] = {
    row.keyword: row
    for row in (
        SignalUnit("fisu", 2, 1, 0x3F, None, 0),
        SignalUnit("lssu", 2, 1, 0x3F, 0, 2),
        SignalUnit("msu", 2, 1, 0x3F, 2, None),
        # The indicator has nine bits here, at the top of its two bytes.
        SignalUnit("hfisu", 4, 2, 0xFF80, None, 0),
        SignalUnit("hlssu", 4, 2, 0xFF80, 0, 0x0100),
        SignalUnit("hmsu", 4, 2, 0xFF80, 0x0100, None),
    )
}


@dataclass(frozen=True, slots=True)
class Mtp3Field:
    """A field that a filter compares with a number.

    The loaded word, masked, is compared with the number shifted left by `shift` and then, where
    `little_endian` is set, with its bytes reversed: SS7 sends the routing label low byte first.

    Attributes:
        keyword: The word.
        offset: Byte offset from the MTP2 header.
        size: Bytes to load there, 1, 2 or 4, big-endian.
        mask: The bits that are the field, as loaded.
        shift: Bits that the number moves left.
        little_endian: Whether the shifted number's bytes are then reversed.
        maximum: Largest number that fits.
    """

    keyword: str
    offset: int
    size: int
    mask: int
    shift: int
    little_endian: bool
    maximum: int

    def encode(self, value: int) -> int:
        """Return `value`, 0 to `maximum`, as the masked load shows it."""
        shifted = value << self.shift
        sent = shifted.to_bytes(self.size, "little" if self.little_endian else "big")
        return int.from_bytes(sent, "big")


_LOW_SPEED_FIELDS = (
    Mtp3Field("sio", 3, 1, 0xFF, 0, little_endian=False, maximum=255),
    Mtp3Field("opc", 4, 4, 0x00C0FF0F, 14, little_endian=True, maximum=16383),
    Mtp3Field("dpc", 4, 2, 0xFF3F, 0, little_endian=True, maximum=16383),
    Mtp3Field("sls", 7, 1, 0xF0, 4, little_endian=False, maximum=15),
)

MTP3_FIELDS: Final[dict[str, Mtp3Field]] = {
    field.keyword: field
    for low in _LOW_SPEED_FIELDS
    for field in (
        low,
        Mtp3Field(
            keyword=f"h{low.keyword}",
            offset=low.offset + HIGH_SPEED_SHIFT,
            size=low.size,
            mask=low.mask,
            shift=low.shift,
            little_endian=low.little_endian,
            maximum=low.maximum,
        ),
    )
}
