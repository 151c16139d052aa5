"""What a program is checked for: how it starts, what it finds there, and what it may not do.

Source: linux/bpf.h for the contexts; kernel/bpf/verifier.c for the limits of Linux.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.check.signatures import SIGNATURES, Signature
from pfcompile.ebpf.isa import MAX_CALL_FRAMES, STACK_SIZE
from pfcompile.ebpf.machine.contexts import SK_BUFF, XDP_MD, Layout, Pointer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.ebpf.maps.vocabulary import MapSpec


class Content(Enum):
    """What a load from the context gives."""

    NUMBER = "number"
    PACKET = "packet"
    PACKET_END = "packet end"


@dataclass(frozen=True, slots=True)
class ContextShape:
    """What can be loaded from a context, and stored to it.

    Attributes:
        name: The kernel's name of the structure, or ours.
        loads: What each load gives, by offset and size in bytes.
        stores: The stores that there are.
        is_memory: Whether it is plain memory, which a store through a wrong pointer could change.
    """

    name: str
    loads: Mapping[tuple[int, int], Content]
    stores: frozenset[tuple[int, int]] = frozenset()
    is_memory: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How strict a place is.

    Attributes:
        farthest_packet: Bytes up to which a comparison with the packet's end is believed.
        farthest_pointer: Bytes that any pointer may be away from the start of its area.
        total_stack: Bytes of stack of all calls in each other.
        is_kernel: Whether to refuse what Linux refuses though it does no harm: code that nothing
            reaches, stack accesses that are not aligned, subtraction from stack pointers, atomic
            operations on packets, shifts by constants too great, divisions by a constant 0,
            packet accesses at a negative constant offset.
    """

    farthest_packet: int
    farthest_pointer: int
    total_stack: int
    is_kernel: bool


KERNEL_RULES: Final = Rules(
    farthest_packet=0xFFFF, farthest_pointer=1 << 29, total_stack=STACK_SIZE, is_kernel=True
)
"""MAX_PACKET_OFF, BPF_MAX_VAR_OFF and MAX_BPF_STACK."""

USER_RULES: Final = Rules(
    farthest_packet=1 << 33,
    farthest_pointer=1 << 34,
    total_stack=STACK_SIZE * MAX_CALL_FRAMES,
    is_kernel=False,
)
"""No address of a process is so high that 2**34 more would wrap around."""


class Beginning(Enum):
    """What R1 holds at the start, and R2."""

    NOTHING = "0 and 0"
    CONTEXT = "the context's address"
    PACKET = "the packet's address and its length"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a program is checked for.

    Attributes:
        name: For messages.
        beginning: What R1 and R2 hold.
        context: The context, where there is one.
        is_packet_writable: Whether a program may change the packet.
        has_packet_loads: Whether there are legacy packet loads.
        rules: How strict to be.
        helpers: What can be called, by number.
        maps: By the number in 64-bit immediate loads.
        variables: Sizes in bytes, by the number in loads of variables.
    """

    name: str
    beginning: Beginning
    context: ContextShape | None = None
    is_packet_writable: bool = True
    has_packet_loads: bool = False
    rules: Rules = USER_RULES
    helpers: Mapping[int, Signature] = field(default_factory=lambda: SIGNATURES)
    maps: Mapping[int, MapSpec] = field(default_factory=lambda: MappingProxyType({}))
    variables: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))


_CONTENTS: Final[Mapping[Pointer, Content]] = MappingProxyType(
    {Pointer.DATA: Content.PACKET, Pointer.DATA_END: Content.PACKET_END}
)
_METADATA_POINTER: Final = "data_meta"
"""Where the bytes before the packet begin; in the kernel not the packet's own pointer."""


def _kernel_context(layout: Layout, without: frozenset[str] = frozenset()) -> ContextShape:
    """Return a context of the kernel, without some of its fields."""
    fields = [each for each in layout.fields if each.name not in without]
    loads = {
        (offset, size): (
            Content.NUMBER
            if each.pointer is None or each.name == _METADATA_POINTER
            else _CONTENTS[each.pointer]
        )
        for each in fields
        for offset, size in _places(each.offset, each.size, each.reads)
    }
    stores = frozenset(
        place for each in fields for place in _places(each.offset, each.size, each.writes)
    )
    return ContextShape(layout.name, MappingProxyType(loads), stores)


def _places(offset: int, length: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the aligned accesses of those sizes inside a field."""
    for size in sizes:
        for place in range(offset, offset + length - size + 1):
            if place % size == 0:
                yield place, size


def metadata_context(size: int, data: int, data_end: int) -> ContextShape:
    """Return a context of our own: memory with two pointers of 64 bits in it.

    Args:
        size: Bytes of it.
        data: Offset of the address of the packet's first byte.
        data_end: Offset of the address behind its last one.
    """
    pointers = {data: Content.PACKET, data_end: Content.PACKET_END}
    taken = {start + byte for start in pointers for byte in range(8)}
    loads = {
        (offset, length): Content.NUMBER
        for length in (1, 2, 4, 8)
        for offset in range(size - length + 1)
        if taken.isdisjoint(range(offset, offset + length))
    }
    loads |= {(offset, 8): content for offset, content in pointers.items()}
    return ContextShape("metadata", MappingProxyType(loads), is_memory=True)


_SOCKET_WITHOUT: Final = frozenset(
    {
        "data", "data_end", "data_meta", "tc_classid", "wire_len", "gso_segs", "gso_size",
        "tstamp", "tstamp_type", "hwtstamp", "sk",
    }
)  # fmt: skip
"""Fields of `struct __sk_buff` that socket filters do not have: bpf_sk_buff access rules."""

NO_DATA: Final = Subject("program without data", Beginning.NOTHING)
RAW_PACKET: Final = Subject("program on a packet", Beginning.PACKET, has_packet_loads=True)
USER: Final = Subject("user", Beginning.CONTEXT, metadata_context(20, 0, 8), has_packet_loads=True)
"""What `translate` writes for "user": two addresses and the length on the wire."""
XDP: Final = Subject("xdp", Beginning.CONTEXT, _kernel_context(XDP_MD), rules=KERNEL_RULES)
TC: Final = Subject(
    "tc",
    Beginning.CONTEXT,
    _kernel_context(SK_BUFF, frozenset({"sk"})),
    has_packet_loads=True,
    rules=KERNEL_RULES,
)
SOCKET: Final = Subject(
    "socket",
    Beginning.CONTEXT,
    _kernel_context(SK_BUFF, _SOCKET_WITHOUT),
    is_packet_writable=False,
    has_packet_loads=True,
    rules=KERNEL_RULES,
)

SUBJECTS: Final[Mapping[str, Subject]] = MappingProxyType(
    {subject.name: subject for subject in (USER, XDP, TC, SOCKET)}
)
"""By the names of the targets that programs are translated for."""
