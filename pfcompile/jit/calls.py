"""Calls of all kinds, and 64-bit immediates, some of which only Python knows."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import R0, R10, SLOT_BYTES, Callee, Wide, wide_value
from pfcompile.ebpf.machine.memory import CODE_ADDRESS, CODE_REGION
from pfcompile.jit.state import Status, Word
from pfcompile.jit.support import POINTER, load_word, number, split, status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pfcompile.jit.arithmetic import Value
    from pfcompile.jit.blocks import Site
    from pfcompile.jit.writer import Writer


def write_call(writer: Writer, site: Site) -> None:
    """Write a call of a helper, of a function of the program, or of what a register says."""
    callee = site.row.operation
    assert isinstance(callee, Callee)
    _CALLS[callee](writer, site)


def write_wide(writer: Writer, site: Site) -> None:
    """Write a 64-bit immediate load."""
    wide = site.row.operation
    assert isinstance(wide, Wide)
    known = _KNOWN.get(wide)
    writer.set(site.instruction.dst, _asked(writer, site) if known is None else known(site))


def is_asked(site: Site) -> bool:
    """Tell whether an instruction is a 64-bit immediate load that Python must give the value of."""
    return isinstance(site.row.operation, Wide) and site.row.operation not in _KNOWN


def _constant(site: Site) -> Value:
    assert site.second is not None
    return number(wide_value(site.instruction, site.second))


def _code_address(site: Site) -> Value:
    assert site.target is not None
    return number(CODE_ADDRESS + site.target * SLOT_BYTES)


_KNOWN: Final[Mapping[Wide, Callable[[Site], Value]]] = MappingProxyType(
    {Wide.VALUE: _constant, Wide.CODE: _code_address}
)
"""The others are addresses that a run gives out in the order in which they are asked for."""


def _asked(writer: Writer, site: Site) -> Value:
    builder = writer.builder
    table = builder.inttoptr(writer.constants(), POINTER)
    place = writer.program.constants[site.slot]
    known = load_word(builder, table, place)
    # No address is 0.
    with writer.unlikely(builder.icmp_unsigned("==", known, number(0))):
        result = writer.call_python(site)
        with writer.unlikely(builder.icmp_unsigned("!=", result, status(Status.DONE))):
            writer.give_up(result)
    return load_word(builder, table, place)


def _call_python(writer: Writer, site: Site) -> None:
    writer.store_arguments()
    result = writer.call_python(site)
    builder = writer.builder
    done, ended = writer.new_block("called"), writer.new_block("ended")
    switch = builder.switch(result, ended)
    switch.add_case(status(Status.DONE), done)
    switch.add_case(status(Status.TAIL_CALL), writer.tail_call())
    builder.position_at_end(ended)
    writer.give_up(result)
    builder.position_at_end(done)
    writer.set(R0, writer.word(Word.FIRST_REGISTER + R0))


def _call_local(writer: Writer, site: Site) -> None:
    assert site.target is not None
    function = writer.program.functions[site.target]
    _call_function(writer, site, function, number(site.target), number(0))


def _call_function(writer: Writer, site: Site, function: Any, slot: Value, register: Value) -> None:
    builder = writer.builder
    end = builder.call(writer.support.enter_frame, [writer.state])
    with writer.unlikely(builder.icmp_unsigned("==", end, number(0))):
        writer.fault(site, register)
    writer.set_word(Word.FIRST_REGISTER + R10, end)
    writer.call_native(function, slot)


def _call_register(writer: Writer, site: Site) -> None:
    """Write a call of what a register says: an instruction's address, or a helper's number."""
    builder, program = writer.builder, writer.program
    where = writer.get(site.instruction.dst)
    region, offset = split(builder, where)
    inside, outside = writer.new_block("inside"), writer.new_block("outside")
    done = writer.new_block("after_call")
    is_code = builder.icmp_unsigned("==", region, number(CODE_REGION))
    builder.cbranch(is_code, inside, outside)

    builder.position_at_end(outside)
    writer.set_word(Word.VALUE, where)
    _call_python(writer, site)
    builder.branch(done)

    builder.position_at_end(inside)
    slot = builder.udiv(offset, number(SLOT_BYTES))
    is_odd = builder.icmp_unsigned("!=", builder.urem(offset, number(SLOT_BYTES)), number(0))
    is_entry = builder.call(program.is_entry, [writer.state, slot])
    is_none = builder.icmp_unsigned("==", is_entry, number(0))
    with writer.unlikely(builder.or_(is_odd, is_none)):
        writer.fault(site, where)
    _call_function(writer, site, program.enter, slot, where)
    builder.branch(done)
    builder.position_at_end(done)


_CALLS: Final[Mapping[Callee, Callable[[Writer, Site], None]]] = MappingProxyType(
    {
        Callee.HELPER: _call_python,
        Callee.LOCAL: _call_local,
        Callee.KFUNC: _call_python,
        Callee.REGISTER: _call_register,
    }
)
