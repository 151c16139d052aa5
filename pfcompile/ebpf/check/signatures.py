"""What helpers take and give back, as rows.

Source: bpf-helpers(7); linux/bpf.h, enum bpf_func_id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.machine.contexts import SK_BUFF, XDP_MD
from pfcompile.ebpf.maps.vocabulary import MapType

if TYPE_CHECKING:
    from collections.abc import Mapping


class Argument(Enum):
    """What an argument must be."""

    NUMBER = "a number"
    CONTEXT = "the context"
    MAP = "a map"
    KEY = "memory with a key of that map"
    VALUE = "memory with a value of that map"
    READ = "memory to be read, its size in the next argument"
    WRITTEN = "memory to be written, its size in the next argument"
    SIZE = "a size of at least 1"
    SIZE_OR_ZERO = "a size"
    RECORD_SIZE = "a size that is a constant"
    RECORD = "a reserved record"


class Result(Enum):
    """What a call gives back."""

    NUMBER = "a number"
    VALUE_OR_NULL = "the value of a map, or null"
    RECORD_OR_NULL = "a reserved record, or null"


_ANY_LOOKUP: Final = frozenset(
    {
        MapType.HASH, MapType.ARRAY, MapType.PERCPU_HASH, MapType.PERCPU_ARRAY,
        MapType.LRU_HASH, MapType.LRU_PERCPU_HASH, MapType.LPM_TRIE,
    }
)  # fmt: skip
_RING: Final = frozenset({MapType.RINGBUF})


@dataclass(frozen=True, slots=True)
class Signature:
    """One helper.

    Attributes:
        number: As in linux/bpf.h.
        name: The same.
        arguments: What R1, R2, ... must be; none of the others is looked at.
        result: What R0 is afterwards.
        maps: The types of maps that it takes.
        contexts: The names of the contexts that it takes.
        may_leave: Whether the program may end there.
    """

    number: int
    name: str
    arguments: tuple[Argument, ...] = ()
    result: Result = Result.NUMBER
    maps: frozenset[MapType] = frozenset()
    contexts: frozenset[str] = frozenset()
    may_leave: bool = False


_A: Final = Argument
_PACKETS: Final = frozenset({SK_BUFF.name, XDP_MD.name})
_COPY: Final = (_A.CONTEXT, _A.NUMBER, _A.WRITTEN, _A.SIZE)

_ROWS: Final = (
    Signature(1, "map_lookup_elem", (_A.MAP, _A.KEY), Result.VALUE_OR_NULL, _ANY_LOOKUP),
    Signature(2, "map_update_elem", (_A.MAP, _A.KEY, _A.VALUE, _A.NUMBER), maps=_ANY_LOOKUP),
    Signature(3, "map_delete_elem", (_A.MAP, _A.KEY), maps=_ANY_LOOKUP),
    Signature(5, "ktime_get_ns"),
    Signature(6, "trace_printk", (_A.READ, _A.SIZE)),
    Signature(7, "get_prandom_u32"),
    Signature(8, "get_smp_processor_id"),
    Signature(
        12, "tail_call", (_A.CONTEXT, _A.MAP, _A.NUMBER),
        maps=frozenset({MapType.PROG_ARRAY}), contexts=_PACKETS, may_leave=True,
    ),
    Signature(
        25, "perf_event_output", (_A.CONTEXT, _A.MAP, _A.NUMBER, _A.READ, _A.SIZE_OR_ZERO),
        maps=frozenset({MapType.PERF_EVENT_ARRAY}), contexts=_PACKETS,
    ),
    Signature(26, "skb_load_bytes", _COPY, contexts=frozenset({SK_BUFF.name})),
    Signature(130, "ringbuf_output", (_A.MAP, _A.READ, _A.SIZE_OR_ZERO, _A.NUMBER), maps=_RING),
    Signature(
        131, "ringbuf_reserve", (_A.MAP, _A.RECORD_SIZE, _A.NUMBER), Result.RECORD_OR_NULL, _RING
    ),
    Signature(132, "ringbuf_submit", (_A.RECORD, _A.NUMBER)),
    Signature(133, "ringbuf_discard", (_A.RECORD, _A.NUMBER)),
    Signature(188, "xdp_get_buff_len", (_A.CONTEXT,), contexts=frozenset({XDP_MD.name})),
    Signature(189, "xdp_load_bytes", _COPY, contexts=frozenset({XDP_MD.name})),
)  # fmt: skip

SIGNATURES: Final[Mapping[int, Signature]] = MappingProxyType({row.number: row for row in _ROWS})
"""By the kernel's numbers."""
