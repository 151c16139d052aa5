"""What is beside every program: how runs begin, stack frames, faults; and all of it as modules."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir

from pfcompile.ebpf.isa import MAX_CALL_FRAMES, R1, R2, R10, STACK_SIZE
from pfcompile.ebpf.machine.memory import CONTEXT_REGION, FIRST_FRAME_REGION, REGION_BITS
from pfcompile.jit.arithmetic import I64
from pfcompile.jit.finding import write_far, write_near, write_pointer_field
from pfcompile.jit.state import FIRST_ROW, ROW_WORDS, Column, Status, Word
from pfcompile.jit.support import (
    ACCESSES,
    ENTRY,
    I8,
    POINTER,
    PREFIX,
    WORD_BYTES,
    begin_function,
    declare_support,
    load_word,
    near_name,
    number,
    status,
    store_word,
    word_address,
)

if TYPE_CHECKING:
    from pfcompile.jit.arithmetic import Builder, Value


@cache
def support_text() -> str:
    """Return the module that programs call, in LLVM's language."""
    module = ir.Module(name="support")
    support = declare_support(module)
    for name, column, accesses in ACCESSES:
        write_far(getattr(support, f"far_{name}"), column, accesses)
    write_pointer_field(support.pointer_field)
    _write_note(support.fault, Status.FAULT)
    _write_note(support.exhausted, Status.BUDGET)
    _write_enter_frame(support.enter_frame)
    _write_leave_frame(support.leave_frame)
    _write_begin(module)
    return str(module)


@cache
def near_text(*, inlines: bool) -> str:
    """Return the module that is put into every program; `inlines` as of `effort.Effort`."""
    module = ir.Module(name="near")
    support = declare_support(module)
    for name, column, _ in ACCESSES:
        far = getattr(support, f"far_{name}")
        for is_frame, proved in product((False, True), repeat=2):
            near = getattr(support, near_name(name, is_frame=is_frame, proved=proved))
            write_near(near, far, column, is_frame=is_frame, proved=proved)
            near.linkage = "linkonce_odr"
            near.attributes.add("alwaysinline" if inlines else "noinline")
    return str(module)


def _write_note(function: Any, result: Status) -> None:
    builder = begin_function(function)
    state, code, slot, value = function.args
    store_word(builder, state, Word.CODE, code)
    store_word(builder, state, Word.SLOT, slot)
    store_word(builder, state, Word.VALUE, value)
    builder.ret(status(result))


def _frame_row(builder: Builder, depth: Value) -> Value:
    """Return which word is the first of the row of a stack frame, counted from 0."""
    rows = builder.add(depth, number(FIRST_FRAME_REGION))
    return builder.add(builder.mul(rows, number(ROW_WORDS)), number(FIRST_ROW))


def _set_row(builder: Builder, state: Value, row: Value, base: Value, size: int) -> None:
    """Set the row that begins at a word, as readable and writable."""
    store_word(builder, state, row, base)
    for column in (Column.READABLE, Column.WRITABLE):
        store_word(builder, state, builder.add(row, number(column)), number(size))


def _clear(builder: Builder, place: Value, size: int) -> None:
    """Write zeros, `size` bytes."""
    _call_memory(builder, "llvm.memset.p0.i64", [place, ir.Constant(I8, 0), number(size)])


def _call_memory(builder: Builder, name: str, arguments: list[Value]) -> None:
    """Call a function of LLVM's that writes memory, and may not be volatile."""
    module = builder.module
    function = module.globals.get(name)
    if function is None:
        types = (*(each.type for each in arguments), _BIT)
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), types), name)
    builder.call(function, [*arguments, ir.Constant(_BIT, 0)])


_BIT: Final = ir.IntType(1)


def _write_enter_frame(function: Any) -> None:
    builder = begin_function(function)
    (state,) = function.args
    depth = load_word(builder, state, Word.DEPTH)
    with builder.if_then(builder.icmp_unsigned(">=", depth, number(MAX_CALL_FRAMES))):
        builder.ret(number(0))
    base = builder.add(
        load_word(builder, state, Word.FRAMES), builder.mul(depth, number(STACK_SIZE))
    )
    _clear(builder, builder.inttoptr(base, POINTER), STACK_SIZE)
    _set_row(builder, state, _frame_row(builder, depth), base, STACK_SIZE)
    store_word(builder, state, Word.DEPTH, builder.add(depth, number(1)))
    region = builder.add(depth, number(FIRST_FRAME_REGION))
    builder.ret(builder.add(builder.shl(region, number(REGION_BITS)), number(STACK_SIZE)))


def _write_leave_frame(function: Any) -> None:
    builder = begin_function(function)
    (state,) = function.args
    depth = builder.sub(load_word(builder, state, Word.DEPTH), number(1))
    _set_row(builder, state, _frame_row(builder, depth), number(0), 0)
    store_word(builder, state, Word.DEPTH, depth)
    builder.ret_void()


def _write_begin(module: Any) -> None:
    """Write the function that runs a program, so many times, with fresh registers and stack."""
    begin = ir.Function(module, ENTRY, BEGIN)
    state, times = begin.args
    start, again, out = (begin.append_basic_block(name) for name in ("start", "again", "out"))
    builder = ir.IRBuilder(start)
    constants = load_word(builder, state, Word.CONSTANTS)
    program = builder.inttoptr(load_word(builder, state, Word.PROGRAM), ENTRY.as_pointer())
    builder.branch(again)

    builder.position_at_end(again)
    done = builder.phi(I64)
    done.add_incoming(number(0), start)
    following = builder.add(done, number(1))
    for register in range(R10):
        store_word(builder, state, Word.FIRST_REGISTER + register, number(0))
    for word, source in _AT_START:
        store_word(builder, state, word, load_word(builder, state, source))
    # A program that a tail call went to has put its own there.
    store_word(builder, state, Word.CONSTANTS, constants)
    _clear_frames(builder, state)
    _restore_metadata(builder, state)
    result = builder.call(program, [state, number(0)])
    is_over = builder.icmp_unsigned("<=", result, status(Status.LEFT))
    goes_on = builder.and_(is_over, builder.icmp_unsigned("<", following, times))
    done.add_incoming(following, builder.block)
    builder.cbranch(goes_on, again, out)

    builder.position_at_end(out)
    builder.ret(result)


BEGIN: Final = PREFIX + "begin"
"""The function that begins a run; takes how often the program is to be run."""

_AT_START: Final = (
    (Word.FIRST_REGISTER + R1, Word.ARGUMENT_1),
    (Word.FIRST_REGISTER + R2, Word.ARGUMENT_2),
    (Word.REMAINING, Word.BUDGET),
    (Word.LOOPS, Word.LOOP_LIMIT),
)
"""What is set before each run, and from where."""

_METADATA_ROW: Final = FIRST_ROW + CONTEXT_REGION * ROW_WORDS
_FIRST_FRAME_ROW: Final = FIRST_ROW + FIRST_FRAME_REGION * ROW_WORDS


def _clear_frames(builder: Builder, state: Value) -> None:
    """Leave one stack frame, of zeros where anybody looks at it."""
    depth = load_word(builder, state, Word.DEPTH)
    with builder.if_then(builder.icmp_unsigned(">", depth, number(1)), likely=False):
        # The last run ended in the depth.
        rows = word_address(builder, state, _FIRST_FRAME_ROW)
        _clear(builder, rows, MAX_CALL_FRAMES * ROW_WORDS * WORD_BYTES)
    base = load_word(builder, state, Word.FRAMES)
    has_stack = builder.icmp_unsigned("!=", load_word(builder, state, Word.HAS_STACK), number(0))
    with builder.if_then(has_stack):
        _clear(builder, builder.inttoptr(base, POINTER), STACK_SIZE)
    _set_row(builder, state, number(_FIRST_FRAME_ROW), base, STACK_SIZE)
    store_word(builder, state, Word.DEPTH, number(1))
    end = (FIRST_FRAME_REGION << REGION_BITS) + STACK_SIZE
    store_word(builder, state, Word.FIRST_REGISTER + R10, number(end))


def _restore_metadata(builder: Builder, state: Value) -> None:
    """Undo what the last run did to the packet's bounds, which proofs take for true."""
    size = load_word(builder, state, Word.METADATA_BYTES)
    with builder.if_then(builder.icmp_unsigned("!=", size, number(0)), likely=False):
        place, kept = (
            builder.inttoptr(load_word(builder, state, word), POINTER)
            for word in (_METADATA_ROW + Column.BASE, Word.METADATA)
        )
        _call_memory(builder, "llvm.memcpy.p0.p0.i64", [place, kept, size])
