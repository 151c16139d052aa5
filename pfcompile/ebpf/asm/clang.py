"""The syntax of clang, llvm-objdump and bpftool: ``r0 = *(u16 *)(r1 + 12)``.

Where they differ, clang's is written and both are read. Neither has words for 64-bit immediates
that name a BTF variable, or for the module of a kernel function; those are ours.

Sources: LLVM's BPF target, as its printer writes; bpftool-prog(8), `dump xlated`.
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

_BINARY: Final[Mapping[Arithmetic, str]] = MappingProxyType(
    {
        Arithmetic.ADD: "+=",
        Arithmetic.SUB: "-=",
        Arithmetic.MUL: "*=",
        Arithmetic.DIV: "/=",
        Arithmetic.SDIV: "s/=",
        Arithmetic.OR: "|=",
        Arithmetic.AND: "&=",
        Arithmetic.LSH: "<<=",
        Arithmetic.RSH: ">>=",
        Arithmetic.MOD: "%=",
        Arithmetic.SMOD: "s%=",
        Arithmetic.XOR: "^=",
        Arithmetic.MOV: "=",
        Arithmetic.ARSH: "s>>=",
    }
)
_CASTS: Final[Mapping[Arithmetic, str]] = MappingProxyType(
    {Arithmetic.MOVSX8: "s8", Arithmetic.MOVSX16: "s16", Arithmetic.MOVSX32: "s32"}
)
_CONDITIONS: Final[Mapping[Condition, str]] = MappingProxyType(
    {
        Condition.EQ: "==",
        Condition.GT: ">",
        Condition.GE: ">=",
        Condition.SET: "&",
        Condition.NE: "!=",
        Condition.SGT: "s>",
        Condition.SGE: "s>=",
        Condition.LT: "<",
        Condition.LE: "<=",
        Condition.SLT: "s<",
        Condition.SLE: "s<=",
    }
)
_ATOMIC_SIGNS: Final[Mapping[Atomic, str]] = MappingProxyType(
    {Atomic.ADD: "+=", Atomic.OR: "|=", Atomic.AND: "&=", Atomic.XOR: "^="}
)
_WIDE: Final[Mapping[Wide, str]] = MappingProxyType(
    {
        Wide.VALUE: "{dst} = {wide} ll",
        Wide.MAP_FD: "{dst} = map[fd:{low}]",
        Wide.MAP_VALUE_FD: "{dst} = map[fd:{low}][0]{high}",
        Wide.VARIABLE: "{dst} = variable[btf:{low}][fd:{second}]",
        Wide.CODE: "{dst} = subprog[{target}]",
        Wide.MAP_INDEX: "{dst} = map[idx:{low}]",
        Wide.MAP_VALUE_INDEX: "{dst} = map[idx:{low}][0]{high}",
    }
)
_CALLS: Final[Mapping[Callee, str]] = MappingProxyType(
    {
        Callee.HELPER: "call {bits}",
        Callee.LOCAL: "call {callee}",
        Callee.KFUNC: "call kfunc {bits}, {index}",
        Callee.REGISTER: "callx {dst}",
    }
)


def _registers(row: Row) -> tuple[str, str]:
    """Return the placeholders for the two registers of an operation that has 32-bit ones."""
    return ("{wdst}", "{wsrc}") if row.width == Size.W else ("{dst}", "{src}")


def _arithmetic(row: Row) -> str:
    dst, src = _registers(row)
    operation = row.operation
    assert isinstance(operation, Arithmetic)
    if operation in _CASTS:
        return f"{dst} = ({_CASTS[operation]}){src}"
    if operation is Arithmetic.NEG:
        return f"{dst} = -{dst}"
    if operation not in _BINARY:
        return f"{dst} = {operation.value} {dst}"
    return f"{dst} {_BINARY[operation]} {'{imm}' if row.operand is Operand.IMMEDIATE else src}"


def _branch(row: Row) -> str:
    dst, src = _registers(row)
    assert isinstance(row.operation, Condition)
    second = "{imm}" if row.operand is Operand.IMMEDIATE else src
    return f"if {dst} {_CONDITIONS[row.operation]} {second} goto {{target}}"


def _atomic(row: Row) -> str:
    src = _registers(row)[1]
    operation = row.operation
    assert isinstance(operation, Atomic)
    typed = f"(u{row.width} *)({{dst}} {{offset}})"
    bits = "_64" if row.width == Size.DW else "32_32"
    if operation in _ATOMIC_SIGNS:
        return f"lock *{typed} {_ATOMIC_SIGNS[operation]} {src}"
    if operation is Atomic.XCHG:
        return f"{src} = xchg{bits}({{dst}} {{offset}}, {src})"
    if operation is Atomic.CMPXCHG:
        r0 = "r0" if row.width == Size.DW else "w0"
        return f"{r0} = cmpxchg{bits}({{dst}} {{offset}}, {r0}, {src})"
    return f"{src} = atomic_{operation.name.lower()}({typed}, {src})"


def _packet(row: Row) -> str:
    place = "{bits}" if row.operand is Operand.IMMEDIATE else "{src}{displacement}"
    return f"r0 = *(u{row.width} *)skb[{place}]"


def _template(row: Row) -> str:
    """Return how `row` is written."""
    match row.kind, row.operation:
        case Kind.ALU, _:
            return _arithmetic(row)
        case Kind.BRANCH, _:
            return _branch(row)
        case Kind.ATOMIC, _:
            return _atomic(row)
        case Kind.PACKET, _:
            return _packet(row)
        case Kind.WIDE, Wide() as wide:
            return _WIDE[wide]
        case Kind.CALL, Callee() as callee:
            return _CALLS[callee]
        case Kind.LOAD, _:
            return f"{{dst}} = *(u{row.width} *)({{src}} {{offset}})"
        case Kind.LOAD_SIGNED, _:
            return f"{{dst}} = *(s{row.width} *)({{src}} {{offset}})"
        case Kind.STORE, _:
            value = "{imm}" if row.operand is Operand.IMMEDIATE else "{src}"
            return f"*(u{row.width} *)({{dst}} {{offset}}) = {value}"
        case Kind.JUMP, _:
            return "goto {target}" if row.width == Size.DW else "gotol {target}"
        case Kind.MAY_GOTO, _:
            return "may_goto {target}"
        case _:
            return "exit"


def _variants(form: Form) -> Iterator[str]:
    """Yield how else `form` may be written: as bpftool does, or shorter."""
    row, template = form.row, form.template
    yield template.replace("{target}", "pc{distance}")
    if row.kind in _NARROW_KINDS and row.width != Size.DW:
        yield template.replace("{dst} =", "{wdst} =").replace("= {src}", "= {wsrc}")
    if row.kind is Kind.ATOMIC:
        yield template.replace("{wsrc}", "{src}").replace("w0", "r0")
        yield from _bpftool_atomic(row)
    match row.operation:
        case Arithmetic.MOV if template == "{wdst} = {wsrc}":
            yield "{dst} = {wsrc}"  # clang's, for a move that is there to clear the high half
        case Wide.VALUE:
            yield "{dst} = {wide}"
        case Wide() as wide:
            yield f"ld_pseudo {{dst}}, {wide.value}, {{wide}}"
            yield template.replace("map[fd:{low}]", "map_fd {low}").replace("[0]", "")
        case Callee.HELPER:
            yield "call {name}#{bits}"
        case Callee.LOCAL:
            yield "call pc{distance}"
        case Callee.KFUNC:
            yield "call kfunc {bits}"
        case _:
            pass


_NARROW_KINDS: Final = (Kind.LOAD, Kind.STORE)
"""clang writes these with the names of 32-bit registers where they move at most 32 bits."""


def _bpftool_atomic(row: Row) -> Iterator[str]:
    operation = row.operation
    assert isinstance(operation, Atomic)
    if not operation.fetches:
        return
    name = ("atomic64_" if row.width == Size.DW else "atomic_") + operation.name.lower()
    place = f"(u{row.width} *)({{dst}} {{offset}})"
    if operation is Atomic.CMPXCHG:
        yield f"r0 = {name}({place}, r0, {{src}})"
    else:
        yield f"{{src}} = {name}({place}, {{src}})"


def _aliases(forms: Mapping[Row, Form]) -> Iterator[Form]:
    for form in forms.values():
        for template in dict.fromkeys((form.template, *_variants(form))):
            bare = template.replace(" {offset}", "").replace("{displacement}", "")
            yield from (Form(form.row, text) for text in {template, bare} - {form.template})


_FORMS: Final[Mapping[Row, Form]] = MappingProxyType(
    {row: Form(row, _template(row)) for row in ROWS}
)

CLANG: Final = Syntax(
    name="clang",
    forms=_FORMS,
    aliases=tuple(_aliases(_FORMS)),
    number=str,
    offset=lambda offset: f"{'-' if offset < 0 else '+'} {abs(offset)}",
)
"""How clang and bpftool write programs."""
