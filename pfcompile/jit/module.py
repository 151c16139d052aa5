"""A whole program as a module of LLVM's: every instruction written, a function for every function.

::

    program(state, slot)   the program, from its start or another of its entries
    from<slot>(…)          its other functions
    enter(state, slot)     any of them, for calls through a register
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir

from pfcompile.ebpf.isa import R10, Arithmetic, Callee, Condition, Kind
from pfcompile.jit.access import write_atomic, write_load, write_packet_load, write_store
from pfcompile.jit.arithmetic import I64, emit_alu, emit_condition
from pfcompile.jit.blocks import find_functions
from pfcompile.jit.calls import is_asked, write_call, write_wide
from pfcompile.jit.support import ENTRY, declare_support, number
from pfcompile.jit.writer import Program, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.jit.blocks import Block, Function, Site

PROGRAM: Final = "program"


def asked_constants(sites: Mapping[int, Site]) -> dict[int, int]:
    """Return the 64-bit immediates that Python gives the value of: a number for each slot."""
    slots = [slot for slot, site in sites.items() if is_asked(site)]
    return {slot: place for place, slot in enumerate(slots)}


def sees_stack(sites: Mapping[int, Site]) -> bool:
    """Tell whether a program can look at its stack frames, or let others do it."""
    return any(
        site.row.kind is Kind.CALL or R10 in site.row.reads.of(site.instruction)
        for site in sites.values()
    )


def write_module(
    sites: dict[int, Site], code: int, proved: frozenset[int], *, counted: bool
) -> str:
    """Return a program in LLVM's language.

    Args:
        sites: Its instructions by slot.
        code: The number that Python knows it by.
        proved: Slots of memory accesses that cannot fault.
        counted: Whether the budget can end within it.
    """
    module = ir.Module(name=f"program{code}")
    support = declare_support(module)
    program = Program(code, support, proved, asked_constants(sites), counted=counted)
    functions = find_functions(sites, proved, counted=counted)
    natives = [_declare(module, function) for function in functions]
    for function, native in zip(functions, natives, strict=True):
        program.functions.update(dict.fromkeys(function.entries, native))
    if any(site.row.operation is Callee.REGISTER for site in sites.values()):
        program.enter = _write_enter(module, program)
        program.is_entry = _write_is_entry(module, sites)
    for function, native in zip(functions, natives, strict=True):
        _write_function(program, native, function)
    return str(module)


def _declare(module: Any, function: Function) -> Any:
    is_first = function.entries[0] == 0
    name = PROGRAM if is_first else f"from{function.entries[0]}"
    native = ir.Function(module, ENTRY, name)
    native.attributes.add("nounwind")
    # Written out in its callers too, it would take twice as long to compile.
    native.attributes.add("noinline")
    if not is_first:
        native.linkage = "internal"
    # Nothing that a program can reach lies in the state.
    native.args[0].add_attribute("noalias")
    return native


def _write_function(program: Program, native: Any, function: Function) -> None:
    writer = Writer(program, native, function)
    for block in function.blocks:
        _write_block(writer, block)


def _write_block(writer: Writer, block: Block) -> None:
    writer.begin_block(block)
    for site in block.sites:
        _WRITERS[site.row.kind](writer, site)
    if not writer.builder.block.is_terminated:
        writer.builder.branch(writer.block(block.sites[-1].after))


def _write_arithmetic(writer: Writer, site: Site) -> None:
    operation, width, dst = site.row.operation, site.row.width, site.instruction.dst
    assert isinstance(operation, Arithmetic)
    result = emit_alu(writer.builder, operation, width, writer.get(dst), writer.operand(site))
    writer.set(dst, result)


def _write_branch(writer: Writer, site: Site) -> None:
    condition, row = site.row.operation, site.row
    assert isinstance(condition, Condition)
    a, b = writer.get(site.instruction.dst), writer.operand(site)
    taken = emit_condition(writer.builder, condition, row.width, a, b)
    writer.builder.cbranch(taken, *(writer.block(way) for way in site.ways))


def _write_jump(writer: Writer, site: Site) -> None:
    writer.builder.branch(writer.block(*site.ways))


def _write_bounded_jump(writer: Writer, site: Site) -> None:
    builder, left = writer.builder, writer.loops()
    target, after = (writer.block(way) for way in site.ways)
    goes_on = writer.new_block("goes_on")
    builder.cbranch(builder.icmp_unsigned("==", left, number(0)), target, goes_on)
    builder.position_at_end(goes_on)
    writer.set_loops(builder.sub(left, number(1)))
    builder.branch(after)


_WRITERS: Final[Mapping[Kind, Callable[[Writer, Site], None]]] = MappingProxyType(
    {
        Kind.ALU: _write_arithmetic,
        Kind.LOAD: write_load,
        Kind.LOAD_SIGNED: write_load,
        Kind.STORE: write_store,
        Kind.ATOMIC: write_atomic,
        Kind.WIDE: write_wide,
        Kind.PACKET: write_packet_load,
        Kind.JUMP: _write_jump,
        Kind.BRANCH: _write_branch,
        Kind.MAY_GOTO: _write_bounded_jump,
        Kind.CALL: write_call,
        Kind.EXIT: lambda writer, _site: writer.exit(),
    }
)


def _internal(module: Any, name: str, kind: Any) -> Any:
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    return function


def _write_enter(module: Any, program: Program) -> Any:
    """Write the function that calls the one which has a slot as an entry."""
    enter = _internal(module, "enter", ENTRY)
    builder = ir.IRBuilder(enter.append_basic_block("start"))
    nowhere = enter.append_basic_block("nowhere")
    switch = builder.switch(enter.args[1], nowhere)
    builder.position_at_end(nowhere)
    builder.unreachable()  # `is_entry` was asked
    blocks: dict[str, Any] = {}
    for slot, function in program.functions.items():
        block = blocks.get(function.name)
        if block is None:
            block = blocks[function.name] = enter.append_basic_block(function.name)
            builder.position_at_end(block)
            builder.ret(builder.call(function, enter.args, tail="musttail"))
        switch.add_case(number(slot), block)
    return enter


def _write_is_entry(module: Any, sites: Mapping[int, Site]) -> Any:
    """Write the function that tells whether an instruction begins at a slot: 0 if not."""
    function = _internal(module, "is_entry", ir.FunctionType(I64, ENTRY.args))
    builder = ir.IRBuilder(function.append_basic_block("start"))
    no = function.append_basic_block("no")
    switch = builder.switch(function.args[1], no)
    builder.position_at_end(no)
    builder.ret(number(0))
    yes = function.append_basic_block("yes")
    builder.position_at_end(yes)
    builder.ret(number(1))
    for slot in sites:
        switch.add_case(number(slot), yes)
    return function
