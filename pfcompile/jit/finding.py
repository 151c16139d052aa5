"""The functions that find where an address really is, or that there is no memory there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir

from pfcompile.ebpf.machine.memory import (
    CONTEXT_REGION,
    FIRST_DECLARED_REGION,
    FIRST_DYNAMIC_REGION,
    PACKET_REGION,
)
from pfcompile.jit.arithmetic import I64
from pfcompile.jit.contexts import SIZES, Access
from pfcompile.jit.state import FIRST_ROW, FIXED_ROWS, ROW_WORDS, Column, Word
from pfcompile.jit.support import (
    I8,
    POINTER,
    begin_function,
    load_word,
    number,
    split,
    word_address,
)

if TYPE_CHECKING:
    from pfcompile.jit.arithmetic import Builder, Value


def write_near(function: Any, far: Any, column: Column, *, is_frame: bool, proved: bool) -> None:
    """Write a function that tells where an address is if it is where most are, else asks `far`.

    Args:
        function: It.
        far: The support function for everything else.
        column: What the row must say is large enough.
        is_frame: Whether most are in a stack frame, or in the packet.
        proved: Whether all of it is known to be inside of where it is: then nothing asks how large
            the packet or the stack frame is. Whether it is there, and not elsewhere, is asked
            always; and for elsewhere `far` does all that it does for what is not proved.
    """
    builder = begin_function(function)
    state, address, log_size = function.args
    region, offset = split(builder, address)
    if is_frame:
        is_near = builder.icmp_unsigned("<", region, number(FIXED_ROWS))
        # There is nothing in region 0.
        row = builder.select(is_near, region, number(0))
    else:
        is_near = builder.icmp_unsigned("==", region, number(PACKET_REGION))
        # A constant, so that several accesses share what they load from there.
        row = number(PACKET_REGION)
    row = builder.add(builder.mul(row, number(ROW_WORDS)), number(FIRST_ROW))
    base = load_word(builder, state, builder.add(row, number(Column.BASE)))
    is_here = is_near
    if proved and is_frame:
        is_here = builder.and_(is_near, builder.icmp_unsigned("!=", base, number(0)))
    elif not proved:
        limit = load_word(builder, state, builder.add(row, number(column)))
        end = builder.add(offset, builder.shl(number(1), log_size))
        is_here = builder.and_(is_near, builder.icmp_unsigned("<=", end, limit))
    with builder.if_then(builder.not_(is_here), likely=False):
        builder.ret(builder.call(far, function.args))
    place = builder.add(base, offset)
    # So that the caller need not ask.
    _assume(builder, builder.icmp_unsigned("!=", place, number(0)))
    builder.ret(place)


def _assume(builder: Builder, condition: Value) -> None:
    """Tell LLVM that something holds."""
    name = "llvm.assume"
    assume = builder.module.globals.get(name)
    if assume is None:
        kind = ir.FunctionType(ir.VoidType(), (ir.IntType(1),))
        assume = ir.Function(builder.module, kind, name)
    builder.call(assume, [condition])


def write_far(function: Any, column: Column, accesses: Word | None) -> None:
    """Write a function that tells where any address really is."""
    builder = begin_function(function)
    state, address, log_size = function.args
    region, offset = split(builder, address)
    end = builder.add(offset, builder.shl(number(1), log_size))
    for first, table, rows in (
        (0, word_address(builder, state, FIRST_ROW), number(FIXED_ROWS)),
        (FIRST_DYNAMIC_REGION, *_table(builder, state, Word.DYNAMIC, Word.DYNAMIC_ROWS)),
        (FIRST_DECLARED_REGION, *_table(builder, state, Word.DECLARED, Word.DECLARED_ROWS)),
    ):
        index = builder.sub(region, number(first))
        with builder.if_then(builder.icmp_unsigned("<", index, rows)):
            row = builder.mul(index, number(ROW_WORDS))
            limit = load_word(builder, table, builder.add(row, number(column)))
            base = load_word(builder, table, builder.add(row, number(Column.BASE)))
            is_inside = builder.icmp_unsigned("<=", end, limit)
            with builder.if_then(is_inside):
                builder.ret(builder.add(base, offset))
    if accesses is not None:
        access = _access(builder, state, (region, offset, log_size), accesses)
        with builder.if_then(builder.icmp_unsigned(">=", access, number(Access.PLAIN))):
            place = builder.sub(offset, builder.sub(access, number(Access.PLAIN)))
            builder.ret(builder.add(load_word(builder, state, Word.CONTEXT), place))
    builder.ret(number(0))


def _table(builder: Builder, state: Value, table: Word, rows: Word) -> tuple[Value, Value]:
    """Return where rows are that are not in the state, and how many."""
    place = builder.inttoptr(load_word(builder, state, table), POINTER)
    return place, load_word(builder, state, rows)


def _access(
    builder: Builder, state: Value, place: tuple[Value, Value, Value], accesses: Word
) -> Value:
    """Return the `Access` of a context at a region, offset and size's logarithm.

    Leaves the function with 0 where there is no context, or it ends before the offset.
    """
    region, offset, log_size = place
    is_context = builder.icmp_unsigned("==", region, number(CONTEXT_REGION))
    size = load_word(builder, state, Word.CONTEXT_BYTES)
    is_inside = builder.and_(is_context, builder.icmp_unsigned("<", offset, size))
    with builder.if_then(builder.not_(is_inside)):
        builder.ret(number(0))
    table = builder.inttoptr(load_word(builder, state, accesses), POINTER)
    entry = builder.add(builder.mul(offset, number(SIZES)), log_size)
    return builder.zext(builder.load(builder.gep(table, [entry], source_etype=I8), typ=I8), I64)


def write_pointer_field(function: Any) -> None:
    """Write a function that tells what address a field of the context holds, 0 if it is none."""
    builder = begin_function(function)
    state, address, log_size = function.args
    region, offset = split(builder, address)
    access = _access(builder, state, (region, offset, log_size), Word.CONTEXT_READS)
    for kind, word in (
        (Access.DATA, Word.CONTEXT_DATA),
        (Access.DATA_END, Word.CONTEXT_DATA_END),
    ):
        with builder.if_then(builder.icmp_unsigned("==", access, number(kind))):
            builder.ret(load_word(builder, state, word))
    builder.ret(number(0))
