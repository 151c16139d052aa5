"""The kernel's kinds of maps, as rows.

Source: linux/bpf.h, enum bpf_map_type; kernel/bpf of Linux for the versions.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.maps.vocabulary import MapFlag

if TYPE_CHECKING:
    from collections.abc import Mapping


class MapKind(IntEnum):
    """The kinds that are made here; those that `MapType` has, too, have the same numbers."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    DEVMAP = 14
    XSKMAP = 17
    DEVMAP_HASH = 25
    RINGBUF = 27


class KindRow(NamedTuple):
    """One kind.

    Attributes:
        kind: Which.
        since: The version of Linux that brought it.
        smallest: Bytes of key and value, and entries, of a small one.
        is_per_cpu: Whether a value is one for each CPU.
        holds_values: Whether what was put in can be read back: not descriptors, and no rings.
        needs: Flags without which the kernel does not make it.
    """

    kind: MapKind
    since: str
    smallest: tuple[int, int, int]
    is_per_cpu: bool = False
    holds_values: bool = True
    needs: MapFlag = MapFlag.NONE


PAGE_BYTES: Final = 4096
_MANY_BITS: Final = 5
"""Bytes of the smallest key of a trie: the prefix's length and 8 bits."""

KINDS: Final[Mapping[int, KindRow]] = MappingProxyType(
    {
        row.kind: row
        for row in (
            KindRow(MapKind.HASH, "3.19", (4, 4, 1)),
            KindRow(MapKind.ARRAY, "3.19", (4, 4, 1)),
            KindRow(MapKind.PROG_ARRAY, "4.2", (4, 4, 1), holds_values=False),
            KindRow(MapKind.PERF_EVENT_ARRAY, "4.3", (4, 4, 1), holds_values=False),
            KindRow(MapKind.PERCPU_HASH, "4.6", (4, 4, 1), is_per_cpu=True),
            KindRow(MapKind.PERCPU_ARRAY, "4.6", (4, 4, 1), is_per_cpu=True),
            KindRow(MapKind.LRU_HASH, "4.10", (4, 4, 1)),
            KindRow(MapKind.LRU_PERCPU_HASH, "4.10", (4, 4, 1), is_per_cpu=True),
            KindRow(MapKind.LPM_TRIE, "4.11", (_MANY_BITS, 4, 1), needs=MapFlag.NO_PREALLOC),
            KindRow(MapKind.DEVMAP, "4.14", (4, 4, 1)),
            KindRow(MapKind.XSKMAP, "4.18", (4, 4, 1), holds_values=False),
            KindRow(MapKind.DEVMAP_HASH, "5.4", (4, 4, 1)),
            KindRow(MapKind.RINGBUF, "5.8", (0, 0, PAGE_BYTES), holds_values=False),
        )
    }
)
"""Every kind that is made here."""
