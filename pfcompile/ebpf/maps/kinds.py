"""The kinds of maps, as rows: which class each is, and what it can be made from.

Source: linux/bpf.h; the limits were found by trying MAP_CREATE (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.maps.array import ArrayMap
from pfcompile.ebpf.maps.hashed import HashMap
from pfcompile.ebpf.maps.lpm_trie import MAX_ADDRESS_BYTES, LpmTrie
from pfcompile.ebpf.maps.programs import ProgramArray
from pfcompile.ebpf.maps.rings import PerfEventArray, RingBuffer
from pfcompile.ebpf.maps.vocabulary import U32, Map, MapFlag, MapSpec, MapType
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGE_BYTES: Final = 4096
_MAX_BYTES: Final = 1 << 21
"""Half of what the kernel can allocate at once (KMALLOC_MAX_SIZE), of a key as of a value."""
_MAX_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of map.

    Attributes:
        type: Which.
        make: Makes one.
        key_bytes: Least and most.
        value_bytes: Least and most.
        needs: Flags without which the kernel does not make it.
        is_ring: Whether `max_entries` counts bytes: a power of two of whole pages.
    """

    type: MapType
    make: Callable[[MapSpec], Map]
    key_bytes: tuple[int, int]
    value_bytes: tuple[int, int]
    needs: MapFlag = MapFlag.NONE
    is_ring: bool = False


_NUMBER: Final = (U32, U32)
_KEY: Final = (1, _MAX_BYTES)
_VALUE: Final = (1, _MAX_BYTES)

KINDS: Final[Mapping[MapType, KindRow]] = MappingProxyType(
    {
        row.type: row
        for row in (
            KindRow(MapType.HASH, HashMap, _KEY, _VALUE),
            KindRow(MapType.ARRAY, ArrayMap, _NUMBER, _VALUE),
            KindRow(MapType.PROG_ARRAY, ProgramArray, _NUMBER, _NUMBER),
            KindRow(MapType.PERF_EVENT_ARRAY, PerfEventArray, _NUMBER, _NUMBER),
            KindRow(MapType.PERCPU_HASH, HashMap, _KEY, _VALUE),
            KindRow(MapType.PERCPU_ARRAY, ArrayMap, _NUMBER, _VALUE),
            KindRow(MapType.LRU_HASH, HashMap, _KEY, _VALUE),
            KindRow(MapType.LRU_PERCPU_HASH, HashMap, _KEY, _VALUE),
            KindRow(
                MapType.LPM_TRIE,
                LpmTrie,
                (U32 + 1, U32 + MAX_ADDRESS_BYTES),
                _VALUE,
                needs=MapFlag.NO_PREALLOC,
            ),
            KindRow(MapType.RINGBUF, RingBuffer, (0, 0), (0, 0), is_ring=True),
        )
    }
)
"""Every kind that there is here."""


def create(spec: MapSpec) -> Map:
    """Return an empty map.

    Raises:
        ProgramError: The kernel would not make one like this; says why.
    """
    kind = KINDS[spec.type]
    name = spec.type.name
    for what, size, (least, most) in (
        ("key", spec.key_size, kind.key_bytes),
        ("value", spec.value_size, kind.value_bytes),
        ("entries", spec.max_entries, (1, _MAX_U32)),
    ):
        if not least <= size <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            unit = "" if what == "entries" else "_size"
            raise ProgramError(f"map {spec.name or name}: {what}{unit} is {size}, not {wanted}")
    if kind.needs & ~spec.flags:
        raise ProgramError(f"map {spec.name or name}: {name} needs the flag {kind.needs.name}")
    if kind.is_ring and (spec.max_entries % PAGE_BYTES or spec.max_entries.bit_count() != 1):
        raise ProgramError(
            f"map {spec.name or name}: max_entries is {spec.max_entries}, not a power of two "
            f"of at least {PAGE_BYTES}: it is the size of the ring in bytes"
        )
    return kind.make(spec)
