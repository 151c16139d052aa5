"""What the bits of one packet are called, by scapy: `IP.proto`, `TCP.dport`.

Where scapy is missing, does not know the link type or gives up on a packet, bits have no names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pfcompile.facts.link_types import linktype_of_dlt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PAYLOADS: Final = frozenset({"Raw", "Padding"})


@dataclass(frozen=True, slots=True)
class FieldBits:
    """A field of a packet.

    Attributes:
        name: The layer's and its own, as `IP.proto`.
        start: Its first bit, from the packet's beginning.
        stop: The bit behind its last.
    """

    name: str
    start: int
    stop: int


class FieldNames:
    """The fields of one packet."""

    def __init__(self, dlt: int, packet: bytes) -> None:
        self.fields = tuple(_fields(dlt, packet))

    def of(self, bits: Mapping[int, int]) -> tuple[str, ...]:
        """Return the names of the fields that some bits are in.

        Args:
            bits: Of each byte, by offset, the bits that are meant.
        """
        wanted = {
            8 * offset + place
            for offset, mask in bits.items()
            for place in range(8)
            if mask & 0x80 >> place
        }
        return tuple(
            field.name
            for field in self.fields
            if any(bit in wanted for bit in range(field.start, field.stop))
        )


def _fields(dlt: int, packet: bytes) -> Iterator[FieldBits]:
    try:
        # All of it, since each layer enters itself into conf.l2types as it is loaded.
        from scapy.all import conf  # noqa: PLC0415 - an extra that takes a second to load
    except ImportError:
        return
    # It knows them by their numbers in files, and some by those of this system.
    known = conf.l2types.num2layer
    layer = known.get(linktype_of_dlt(dlt), known.get(dlt))
    if layer is None or not packet:
        return
    try:
        dissected = layer(packet)
        yield from _walked(dissected, packet)
    except Exception:  # noqa: BLE001 - what foreign code raises on bytes that end too early
        return


def _walked(layer: Any, packet: bytes) -> Iterator[FieldBits]:
    """Yield the fields of a layer and of those inside of it, from the outside in."""
    offset = 0
    while layer and type(layer).__name__ not in _PAYLOADS:
        original = bytes(layer.original or b"")
        if original != packet[offset : offset + len(original)]:
            return  # it has not taken its bytes as they are
        rest: Any = packet[offset:]
        name = type(layer).__name__
        for field in layer.fields_desc:
            start = 8 * len(packet) - _bits(rest)
            rest, _ = field.getfield(layer, rest)
            stop = 8 * len(packet) - _bits(rest)
            if stop > start:
                yield FieldBits(f"{name}.{field.name}", start, stop)
        offset = (8 * len(packet) - _bits(rest)) // 8
        layer = layer.payload


def _bits(rest: Any) -> int:
    """Return how many bits are left, as scapy's fields tell it: bytes, and bits taken of them."""
    if isinstance(rest, tuple):
        return 8 * len(rest[0]) - int(rest[1])
    return 8 * len(rest)
