"""The syntax of uBPF and rbpf: ``ldxh r0, [r1+12]``.

Registers may have a percent sign, as uBPF writes them. Where those two have no words (64-bit
immediates that are not values, fetching atomics, kernel functions), the words here are ours, made
like theirs.

Sources: the assembler of uBPF; the documentation of rbpf; RFC 9669 for the newer instructions.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.asm.forms import Form, Syntax
from pfcompile.ebpf.isa import (
    ROWS,
    Arithmetic,
    Atomic,
    Callee,
    Condition,
    Kind,
    Operand,
    Row,
    Size,
    Wide,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOVSX_BITS: Final[Mapping[Arithmetic, int]] = MappingProxyType(
    {Arithmetic.MOVSX8: 8, Arithmetic.MOVSX16: 16, Arithmetic.MOVSX32: 32}
)
"""The bits that stand in a mnemonic before those of the result: movsx832."""

_SIZES: Final[Mapping[int, str]] = MappingProxyType(
    {Size.B: "b", Size.H: "h", Size.W: "w", Size.DW: "dw"}
)
_WIDE: Final[Mapping[Wide, str]] = MappingProxyType(
    {
        Wide.VALUE: "lddw {dst}, {wide}",
        Wide.MAP_FD: "lddw {dst}, map_fd {low}",
        Wide.MAP_VALUE_FD: "lddw {dst}, map_value_fd {low}, {second}",
        Wide.VARIABLE: "lddw {dst}, variable {low}, {second}",
        Wide.CODE: "lddw {dst}, code {target}",
        Wide.MAP_INDEX: "lddw {dst}, map_idx {low}",
        Wide.MAP_VALUE_INDEX: "lddw {dst}, map_value_idx {low}, {second}",
    }
)
_CALLS: Final[Mapping[Callee, str]] = MappingProxyType(
    {
        Callee.HELPER: "call {bits}",
        Callee.LOCAL: "call local {target}",
        Callee.KFUNC: "call kfunc {bits}, {index}",
        Callee.REGISTER: "callx {dst}",
    }
)


def _arithmetic(row: Row) -> str:
    operation = row.operation
    assert isinstance(operation, Arithmetic)
    if operation in _MOVSX_BITS:
        return f"movsx{_MOVSX_BITS[operation]}{row.width} {{dst}}, {{src}}"
    suffix = "32" if row.width == Size.W else ""
    match row.operand:
        case Operand.NONE:
            return f"{operation.value}{suffix} {{dst}}"
        case Operand.IMMEDIATE:
            return f"{operation.value}{suffix} {{dst}}, {{bits}}"
        case Operand.REGISTER:
            return f"{operation.value}{suffix} {{dst}}, {{src}}"


def _branch(row: Row) -> str:
    assert isinstance(row.operation, Condition)
    suffix = "32" if row.width == Size.W else ""
    second = "{bits}" if row.operand is Operand.IMMEDIATE else "{src}"
    return f"{row.operation.value}{suffix} {{dst}}, {second}, {{target}}"


def _atomic(row: Row) -> str:
    assert isinstance(row.operation, Atomic)
    suffix = "32" if row.width == Size.W else ""
    return f"lock {row.operation.name.lower()}{suffix} [{{dst}}{{offset}}], {{src}}"


def _memory(row: Row) -> str:
    size = _SIZES[row.width]
    match row.kind, row.operand:
        case Kind.LOAD, _:
            return f"ldx{size} {{dst}}, [{{src}}{{offset}}]"
        case Kind.LOAD_SIGNED, _:
            return f"ldxs{size} {{dst}}, [{{src}}{{offset}}]"
        case Kind.STORE, Operand.IMMEDIATE:
            return f"st{size} [{{dst}}{{offset}}], {{bits}}"
        case Kind.STORE, _:
            return f"stx{size} [{{dst}}{{offset}}], {{src}}"
        case _, Operand.IMMEDIATE:
            return f"ldabs{size} {{bits}}"
        case _:
            return f"ldind{size} {{src}}, {{bits}}"


def _template(row: Row) -> str:
    """Return how `row` is written."""
    match row.kind, row.operation:
        case Kind.ALU, _:
            return _arithmetic(row)
        case Kind.BRANCH, _:
            return _branch(row)
        case Kind.ATOMIC, _:
            return _atomic(row)
        case Kind.WIDE, Wide() as wide:
            return _WIDE[wide]
        case Kind.CALL, Callee() as callee:
            return _CALLS[callee]
        case ((Kind.LOAD | Kind.LOAD_SIGNED | Kind.STORE | Kind.PACKET), _):
            return _memory(row)
        case Kind.JUMP, _:
            return "ja {target}" if row.width == Size.DW else "ja32 {target}"
        case Kind.MAY_GOTO, _:
            return "may_goto {target}"
        case _:
            return "exit"


def _variants(form: Form) -> Iterator[str]:
    """Yield how else `form` may be written."""
    row, template = form.row, form.template
    mnemonic, _, rest = template.partition(" ")
    if row.kind is Kind.ALU and row.width == Size.DW and not mnemonic[-1].isdigit():
        yield f"{mnemonic}64 {rest}"
    if row.kind is Kind.ALU and mnemonic.startswith("bswap"):
        yield template.replace("bswap", "swap")
    if row.kind is Kind.LOAD_SIGNED:
        yield f"ldx{_SIZES[row.width]}sx {rest}"
    if row.operation is Atomic.ADD:
        yield f"stxxadd{_SIZES[row.width]} [{{dst}}{{offset}}], {{src}}"
    if row.operation is Callee.KFUNC:
        yield "call kfunc {bits}"


def _aliases(forms: Mapping[Row, Form]) -> Iterator[Form]:
    for form in forms.values():
        for template in (form.template, *_variants(form)):
            bare = template.replace("{offset}", "")
            yield from (Form(form.row, text) for text in {template, bare} - {form.template})


_FORMS: Final[Mapping[Row, Form]] = MappingProxyType(
    {row: Form(row, _template(row)) for row in ROWS}
)

UBPF: Final = Syntax(
    name="ubpf",
    forms=_FORMS,
    aliases=tuple(_aliases(_FORMS)),
    number=lambda number: f"{'-' if number < 0 else ''}0x{abs(number):x}",
    offset=lambda offset: f"{offset:+d}",
)
"""How uBPF and rbpf write programs."""
