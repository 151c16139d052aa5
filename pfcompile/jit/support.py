"""The functions that native code has beside the program's own, as programs see them.

An access through R10 looks among the stack frames first, any other at the packet: these are found
in a few instructions, which are put into the program. The other functions are compiled once in a
process. They are written by `pfcompile.jit.finding` and `pfcompile.jit.runtime`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir

from pfcompile.ebpf.machine.memory import OFFSET_MASK, REGION_BITS
from pfcompile.jit.arithmetic import I64, Builder, Value
from pfcompile.jit.state import Column, Status, Word

if TYPE_CHECKING:
    from collections.abc import Mapping

I8: Final = ir.IntType(8)
STATUS: Final = ir.IntType(32)
POINTER: Final = ir.PointerType()
ENTRY: Final = ir.FunctionType(STATUS, (POINTER, I64))
"""What every function of a program is, and the one that begins a run: takes the state and a
number."""
CALLBACK: Final = ir.FunctionType(STATUS, (POINTER, I64, I64))
"""What native code calls in Python: takes the state, the program's number and a slot."""

WORD_BYTES: Final = 8
"""Bytes of a word of the state."""


def number(value: int) -> Value:
    """Return a constant of 64 bits."""
    return ir.Constant(I64, value)


def status(value: Status) -> Value:
    """Return a constant status."""
    return ir.Constant(STATUS, value.value)


def word_address(builder: Builder, state: Value, index: int | Value) -> Value:
    """Return the address of a word of the state."""
    place = number(int(index)) if isinstance(index, int) else index
    return builder.gep(state, [place], source_etype=I64)


def load_word(builder: Builder, state: Value, index: int | Value) -> Value:
    """Return a word of the state."""
    return builder.load(word_address(builder, state, index), typ=I64, align=WORD_BYTES)


def store_word(builder: Builder, state: Value, index: int | Value, value: Value) -> None:
    """Set a word of the state."""
    builder.store(value, word_address(builder, state, index), align=WORD_BYTES)


def split(builder: Builder, address: Value) -> tuple[Value, Value]:
    """Return the region and the offset that an address says."""
    region = builder.lshr(address, number(REGION_BITS))
    return region, builder.and_(address, number(OFFSET_MASK))


@dataclass(frozen=True, slots=True)
class Support:
    """The functions; each takes the state first.

    Attributes:
        far_read: From an address and a size's logarithm to where that can be read, or 0.
        far_write: The same for writing.
        far_change: The same for reading and writing, but not for a context.
        packet_read: As `far_read`, and faster for the packet; there is one for each of the three.
        frame_read: As `far_read`, and faster for stack frames; the same.
        packet_read_proved: As `packet_read`, where it is known to be inside; one for each of the
            six.
        pointer_field: From the same to the address that a field of the context holds, or 0.
        fault: Notes a program's number, a slot, and what its address register holds; returns
            Status.FAULT.
        exhausted: Notes a program's number, a slot, and how many instructions after it the budget
            ends; returns Status.BUDGET.
        enter_frame: Adds a stack frame of zeros; returns its end, or 0 where there are too many.
        leave_frame: Takes the last one away.
    """

    far_read: Any
    far_write: Any
    far_change: Any
    packet_read: Any
    packet_write: Any
    packet_change: Any
    frame_read: Any
    frame_write: Any
    frame_change: Any
    packet_read_proved: Any
    packet_write_proved: Any
    packet_change_proved: Any
    frame_read_proved: Any
    frame_write_proved: Any
    frame_change_proved: Any
    pointer_field: Any
    fault: Any
    exhausted: Any
    enter_frame: Any
    leave_frame: Any


ACCESSES: Final = (
    ("read", Column.READABLE, Word.CONTEXT_READS),
    ("write", Column.WRITABLE, Word.CONTEXT_WRITES),
    ("change", Column.WRITABLE, None),
)
"""What memory is reached for: the column that must be large enough, and the context's table."""


def near_name(access: str, *, is_frame: bool, proved: bool) -> str:
    """Return the name of the function that looks in one place first.

    Args:
        access: "read", "write" or "change".
        is_frame: Whether that is a stack frame, or the packet.
        proved: Whether it is known to be inside.
    """
    return f"{'frame' if is_frame else 'packet'}_{access}{'_proved' if proved else ''}"


_INLINED: Final = tuple(
    near_name(access, is_frame=is_frame, proved=proved)
    for access, *_ in ACCESSES
    for is_frame, proved in product((False, True), repeat=2)
)

PREFIX: Final = "pfcompile_"
"""What the functions' names begin with, since all modules of the process see them."""

_FIND: Final = ir.FunctionType(I64, (POINTER, I64, I64))
_NOTE: Final = ir.FunctionType(STATUS, (POINTER, I64, I64, I64))
_TYPES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **dict.fromkeys(_INLINED, _FIND),
        "far_read": _FIND,
        "far_write": _FIND,
        "far_change": _FIND,
        "pointer_field": _FIND,
        "fault": _NOTE,
        "exhausted": _NOTE,
        "enter_frame": ir.FunctionType(I64, (POINTER,)),
        "leave_frame": ir.FunctionType(ir.VoidType(), (POINTER,)),
    }
)
OUTLINED: Final = tuple(PREFIX + name for name in _TYPES if name not in _INLINED)
"""The functions of `support_text` that programs call."""


def declare_support(module: Any) -> Support:
    """Make the functions known in a module that calls them."""
    functions = {}
    for name, kind in _TYPES.items():
        function = functions[name] = ir.Function(module, kind, PREFIX + name)
        function.attributes.add("nounwind")
        if kind is _FIND:
            # What was loaded from the state before it still holds.
            function.attributes.add("readonly")
        function.args[0].add_attribute("noalias")
    return Support(**functions)


def begin_function(function: Any) -> Builder:
    """Return what writes the first block of a function."""
    return ir.IRBuilder(function.append_basic_block("start"))
