"""The contexts that the kernel starts programs with, field by field.

A program sees `struct xdp_md` and `struct __sk_buff` through loads that the kernel rewrites: fields
that are no memory at all, and among them `data` and `data_end`, which are declared with 32 bits but
load as whole pointers. So a context here is no region of bytes but a table: what is not a field, in
a size that the kernel takes, is a fault.

Source: linux/bpf.h; of `__sk_buff`, the fields and the sizes that tc programs may use, which is
the most of any kind of program.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.machine.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping


class Pointer(Enum):
    """What a field points to."""

    DATA = "data"
    DATA_END = "data_end"


_WORD: Final = (4,)
_UP_TO_WORD: Final = (1, 2, 4)
_UP_TO_DOUBLE: Final = (1, 2, 4, 8)
_DOUBLE: Final = (8,)
_NEVER: Final = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a context.

    Attributes:
        name: As in linux/bpf.h.
        offset: In bytes.
        size: In bytes.
        reads: Sizes in which it can be read; the smaller ones at any multiple of them inside it.
        writes: The same for writing.
        pointer: What it points to, if it does; the whole pointer is loaded, whatever its size.
        network_order: Whether it holds a 16-bit number in network order.
        held: Bytes that the kernel itself has for it, where that is fewer: a load of as many or
            more gives all of it then, wherever in the field it begins.
    """

    name: str
    offset: int
    size: int = 4
    reads: tuple[int, ...] = _UP_TO_WORD
    writes: tuple[int, ...] = _NEVER
    pointer: Pointer | None = None
    network_order: bool = False
    held: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of context: its name, its size in bytes, and its fields."""

    name: str
    size: int
    fields: tuple[Field, ...]

    def by_name(self) -> Mapping[str, Field]:
        """Return the fields by name."""
        return MappingProxyType({field.name: field for field in self.fields})


XDP_MD: Final = Layout(
    "struct xdp_md",
    24,
    (
        Field("data", 0, reads=_WORD, pointer=Pointer.DATA),
        Field("data_end", 4, reads=_WORD, pointer=Pointer.DATA_END),
        Field("data_meta", 8, reads=_WORD, pointer=Pointer.DATA),
        Field("ingress_ifindex", 12, reads=_WORD),
        Field("rx_queue_index", 16, reads=_WORD),
        Field("egress_ifindex", 20, reads=_WORD),
    ),
)
"""What XDP programs get. There is no metadata before the packet: `data_meta` is `data`."""

SK_BUFF: Final = Layout(
    "struct __sk_buff",
    192,
    (
        Field("len", 0),
        Field("pkt_type", 4, held=1),
        Field("mark", 8, writes=_WORD),
        Field("queue_mapping", 12, writes=_WORD, held=2),
        Field("protocol", 16, network_order=True, held=2),
        Field("vlan_present", 20),
        Field("vlan_tci", 24, held=2),
        Field("vlan_proto", 28, network_order=True, held=2),
        Field("priority", 32, writes=_WORD),
        Field("ingress_ifindex", 36),
        Field("ifindex", 40),
        Field("tc_index", 44, writes=_WORD, held=2),
        Field("cb", 48, 20, reads=_UP_TO_DOUBLE, writes=_UP_TO_DOUBLE),
        Field("hash", 68),
        Field("tc_classid", 72, writes=_WORD, held=2),
        Field("data", 76, reads=_WORD, pointer=Pointer.DATA),
        Field("data_end", 80, reads=_WORD, pointer=Pointer.DATA_END),
        Field("napi_id", 84),
        Field("data_meta", 140, reads=_WORD, pointer=Pointer.DATA),
        Field("tstamp", 152, 8, reads=_DOUBLE, writes=_DOUBLE),
        Field("wire_len", 160),
        Field("gso_segs", 164, held=2),
        Field("sk", 168, 8, reads=_DOUBLE),
        Field("gso_size", 176, held=2),
        Field("tstamp_type", 180, 1, reads=(1,)),
        Field("hwtstamp", 184, 8, reads=_DOUBLE),
    ),
)
"""What tc programs get, and socket filters a part of it. No socket is known: `sk` is null.
What the kernel holds in how many bytes was found by trying (Linux 6.18)."""


def _accesses(layout: Layout, *, write: bool) -> Mapping[tuple[int, int], Field]:
    """Return the field that an access at each offset, of each size, reaches."""
    return MappingProxyType(
        {
            (offset, size): field
            for field in layout.fields
            for size in (field.writes if write else field.reads)
            for offset in range(field.offset, field.offset + field.size - size + 1)
            # The kernel demands alignment.
            if offset % size == 0
        }
    )


_READS: Final[Mapping[str, Mapping[tuple[int, int], Field]]] = MappingProxyType(
    {layout.name: _accesses(layout, write=False) for layout in (XDP_MD, SK_BUFF)}
)
_WRITES: Final[Mapping[str, Mapping[tuple[int, int], Field]]] = MappingProxyType(
    {layout.name: _accesses(layout, write=True) for layout in (XDP_MD, SK_BUFF)}
)


class Context:
    """A context of one run.

    Attributes:
        layout: Its kind.

    Args:
        layout: Its kind.
        values: Of its fields, by name, cut to their sizes; those not named are 0. 16-bit numbers
            in network order are given as plain numbers.
        pointers: Where the packet begins and ends.
    """

    __slots__ = ("_bytes", "_pointers", "_reads", "_writes", "layout")

    def __init__(
        self, layout: Layout, values: Mapping[str, int], pointers: Mapping[Pointer, int]
    ) -> None:
        self.layout = layout
        self._pointers = pointers
        self._reads = _READS[layout.name]
        self._writes = _WRITES[layout.name]
        self._bytes = bytearray(layout.size)
        fields = layout.by_name()
        for name, value in values.items():
            field = fields[name]
            shown = int.from_bytes((value & 0xFFFF).to_bytes(2, "big"), "little")
            size = field.size if field.held is None else field.held
            number = shown if field.network_order else value & (1 << 8 * size) - 1
            self._bytes[field.offset : field.offset + field.size] = number.to_bytes(
                field.size, "little"
            )

    def load(self, offset: int, size: int) -> int:
        """Return what a load of `size` bytes at `offset` gives: of pointers, all 64 bits.

        Raises:
            Fault: There is no such field.
        """
        field = self._reads.get((offset, size))
        if field is None:
            raise Fault(f"reads {size} bytes at offset {offset} of {self.layout.name}: no field")
        if field.pointer is not None:
            return self._pointers[field.pointer]
        if field.held is not None and size >= field.held:
            offset = field.offset
        return int.from_bytes(self._bytes[offset : offset + size], "little")

    def store(self, offset: int, new: bytes) -> None:
        """Write a field.

        Raises:
            Fault: There is none that can be written like that.
        """
        if (offset, len(new)) not in self._writes:
            raise Fault(
                f"writes {len(new)} bytes at offset {offset} of {self.layout.name}: "
                "no field that can be written so"
            )
        self._bytes[offset : offset + len(new)] = new

    def value(self, name: str) -> int:
        """Return a field that is no pointer, as a program would load it."""
        field = self.layout.by_name()[name]
        return int.from_bytes(self._bytes[field.offset : field.offset + field.size], "little")
