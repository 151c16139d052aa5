"""Loads, stores, atomic operations and legacy packet loads.

An address is a region's number and an offset; `pfcompile.jit.support` finds where that is. In the
packet and in stack frames, an access that is proved asks only whether there is one; any other asks,
too, whether all of it is inside. Elsewhere both do.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from llvmlite import ir

from pfcompile.ebpf.arithmetic import MASK64
from pfcompile.ebpf.isa import HEADER_OFFSETS, R0, R6, R10, Atomic, Kind, Operand
from pfcompile.jit.arithmetic import ATOMIC_NAMES, I64, Value, emit_plain_atomic
from pfcompile.jit.state import Status, Word
from pfcompile.jit.support import POINTER, near_name, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.jit.blocks import Site
    from pfcompile.jit.writer import Writer


class _Reach(NamedTuple):
    """What an access does to the memory that it reaches.

    Attributes:
        access: The word for it in the names of support functions.
        is_address_in_src: Whether `src` names the register with the address, or `dst` does.
    """

    access: str
    is_address_in_src: bool = False


_FALSE: Final = ir.Constant(ir.IntType(1), 0)
_LOAD: Final = _Reach("read", is_address_in_src=True)
_REACHES: Final[Mapping[Kind, _Reach]] = MappingProxyType(
    {
        Kind.LOAD: _LOAD,
        Kind.LOAD_SIGNED: _LOAD,
        Kind.STORE: _Reach("write"),
        Kind.ATOMIC: _Reach("change"),
    }
)


def address_register(site: Site) -> int | None:
    """Return the register that says where an instruction reads, writes or goes, if one does."""
    if site.row.kind is Kind.PACKET:
        return int(R6)
    if site.row.kind is Kind.CALL:
        return site.instruction.dst if site.row.operand is Operand.REGISTER else None
    reach = _REACHES.get(site.row.kind)
    if reach is None:
        return None
    return site.instruction.src if reach.is_address_in_src else site.instruction.dst


def write_load(writer: Writer, site: Site) -> None:
    """Write a load, sign-extending or not."""
    builder, row = writer.builder, site.row
    kind = ir.IntType(row.width)
    is_signed = row.kind is Kind.LOAD_SIGNED
    place = _find(writer, site)
    plain, field, done = (writer.new_block(name) for name in ("plain", "field", "loaded"))
    writer.branch_likely(builder.icmp_unsigned("!=", place, number(0)), plain, field)

    builder.position_at_end(plain)
    loaded = builder.load(builder.inttoptr(place, POINTER), typ=kind, align=1)
    value = builder.sext(loaded, I64) if is_signed else builder.zext(loaded, I64)
    builder.branch(done)

    builder.position_at_end(field)
    arguments = [writer.state, _address(writer, site), _log_size(site)]
    pointer = builder.call(writer.support.pointer_field, arguments)
    with writer.unlikely(builder.icmp_unsigned("==", pointer, number(0))):
        writer.fault(site, writer.get(site.instruction.src))
    # A field is declared with 32 bits: that is what a sign is taken from.
    whole = builder.sext(builder.trunc(pointer, kind), I64) if is_signed else pointer
    field_end = builder.block
    builder.branch(done)

    builder.position_at_end(done)
    result = builder.phi(I64)
    result.add_incoming(value, plain)
    result.add_incoming(whole, field_end)
    writer.set(site.instruction.dst, result)


def write_store(writer: Writer, site: Site) -> None:
    """Write a store."""
    builder = writer.builder
    place = _found(writer, site)
    value = builder.trunc(writer.operand(site), ir.IntType(site.row.width))
    builder.store(value, builder.inttoptr(place, POINTER), align=1)


def write_atomic(writer: Writer, site: Site) -> None:
    """Write an atomic operation.

    Where memory is not aligned to the operation's size, it is done in steps, which the kernel would
    not take at all, and processors do not do at once.
    """
    builder, operation = writer.builder, site.row.operation
    assert isinstance(operation, Atomic)
    kind = ir.IntType(site.row.width)
    place = _found(writer, site)
    pointer = builder.inttoptr(place, POINTER)
    operand = builder.trunc(writer.get(site.instruction.src), kind)
    expected = builder.trunc(writer.get(R0), kind)
    below = builder.and_(place, number(site.row.width // 8 - 1))
    aligned, odd, done = (writer.new_block(name) for name in ("aligned", "odd", "changed"))
    writer.branch_likely(builder.icmp_unsigned("==", below, number(0)), aligned, odd)

    builder.position_at_end(aligned)
    if operation is Atomic.CMPXCHG:
        pair = builder.cmpxchg(pointer, expected, operand, "seq_cst", "seq_cst")
        old_aligned = builder.extract_value(pair, 0)
    else:
        name = ATOMIC_NAMES[operation]
        old_aligned = builder.atomic_rmw(name, pointer, operand, "seq_cst")
    builder.branch(done)

    builder.position_at_end(odd)
    old_odd = builder.load(pointer, typ=kind, align=1)
    new = emit_plain_atomic(builder, operation, old_odd, operand, expected)
    builder.store(new, pointer, align=1)
    builder.branch(done)

    builder.position_at_end(done)
    old = builder.phi(kind)
    old.add_incoming(old_aligned, aligned)
    old.add_incoming(old_odd, odd)
    if operation is Atomic.CMPXCHG:
        writer.set(R0, builder.zext(old, I64))
    elif operation.fetches:
        writer.set(site.instruction.src, builder.zext(old, I64))


def write_packet_load(writer: Writer, site: Site) -> None:
    """Write a legacy packet load: outside the packet it ends the program with 0.

    One from a header that only the kernel finds is a fault, as in the interpreter's step.
    """
    builder, row = writer.builder, site.row
    kind = ir.IntType(row.width)
    has_loads = builder.icmp_unsigned("!=", writer.word(Word.HAS_PACKET_LOADS), number(0))
    wanted = writer.word(Word.CONTEXT_REGISTER)
    is_free = builder.icmp_unsigned("==", wanted, number(0))
    has_context = builder.or_(is_free, builder.icmp_unsigned("==", writer.get(R6), wanted))
    is_indirect = row.operand is Operand.REGISTER
    is_from_header = not is_indirect and site.instruction.imm in HEADER_OFFSETS
    is_possible = _FALSE if is_from_header else builder.and_(has_loads, has_context)
    with writer.unlikely(builder.not_(is_possible)):
        writer.fault(site, writer.get(R6))
    constant = number(site.instruction.imm & MASK64)
    total = builder.add(writer.get(site.instruction.src), constant) if is_indirect else constant
    # As the kernel's, the sum has 32 bits. One below 0 is outside the packet here, where the kernel
    # counts from the headers again (docs/quirks.md, Q8).
    offset = builder.sext(builder.trunc(total, ir.IntType(32)), I64)
    end = builder.add(offset, number(row.width // 8))
    is_before = builder.icmp_signed("<", offset, number(0))
    is_past = builder.icmp_signed(">", end, writer.word(Word.PACKET_BYTES))
    with writer.unlikely(builder.or_(is_before, is_past)):
        writer.set_word(Word.RESULT, number(0))
        writer.end(Status.LEFT)
    place = builder.inttoptr(builder.add(writer.word(Word.PACKET), offset), POINTER)
    loaded = builder.load(place, typ=kind, align=1)
    ordered = loaded if row.width == 8 else builder.bswap(loaded)
    writer.set(R0, builder.zext(ordered, I64))


def _address(writer: Writer, site: Site) -> Value:
    register = address_register(site)
    assert register is not None
    return writer.builder.add(writer.get(register), number(site.instruction.offset & MASK64))


def _log_size(site: Site) -> Value:
    return number((site.row.width // 8).bit_length() - 1)


def _find(writer: Writer, site: Site) -> Value:
    """Return where an access really goes, as a number; 0 where there is no memory for it."""
    name = near_name(
        _REACHES[site.row.kind].access,
        is_frame=address_register(site) == R10,
        proved=site.slot in writer.program.proved,
    )
    arguments = [writer.state, _address(writer, site), _log_size(site)]
    return writer.builder.call(getattr(writer.support, name), arguments)


def _found(writer: Writer, site: Site) -> Value:
    """Return where an access really goes, or end with a fault."""
    place = _find(writer, site)
    with writer.unlikely(writer.builder.icmp_unsigned("==", place, number(0))):
        writer.fault(site, writer.get(site.instruction.dst))
    return place
