"""How operands and instructions are written: by tcpdump, by bpf_asm, and read from either.

Sources: tcpdump(1), -d; Documentation/networking/filter.rst of Linux for bpf_asm's language.
"""

from __future__ import annotations

import re
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import (
    ANCILLARY_WORDS,
    ROW_OF,
    ROWS,
    Instruction,
    Operand,
    Row,
    ancillary_word,
    successors,
)
from pfcompile.errors import ProgramError, Span, draw
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Mapping

ROW_WRITTEN: Final[Mapping[tuple[str, Operand], Row]] = MappingProxyType(
    {(row.mnemonic, row.operand): row for row in ROWS}
)
"""The rows by what stands in a listing."""

ANCILLARY_NAMED: Final[Mapping[str, int]] = MappingProxyType(
    {
        name: ANCILLARY_BASE + word.word
        for word in ANCILLARY_WORDS
        for name in (word.dump_name, *word.asm_names)
    }
)
"""The load offset of a metadata word by any of its names, in lower case."""

_NUMBER: Final = r"[-+]?\s*(?:0x[0-9a-f]+|0b[01]+|[0-9]+)"
_BASES: Final = ((re.compile(r"0x"), 16), (re.compile(r"0b"), 2), (re.compile(r"0[0-9]"), 8))
_SIGN_BIT: Final = 0x80000000
_MOST_DIGITS: Final = 64

_FORMS: Final = (
    (Operand.NONE, r""),
    (Operand.ACCUMULATOR, r"%?\s*a"),
    (Operand.INDEX, r"%?\s*x"),
    (Operand.LENGTH, r"#?\s*(?:pktlen|len)"),
    (Operand.CONSTANT, r"#\s*NUMBER"),
    (Operand.ABSOLUTE, r"\[\s*NUMBER\s*\]"),
    (Operand.INDIRECT, r"\[\s*%?\s*x\s*(?:\+\s*|(?=-))NUMBER\s*\]"),
    (Operand.SCRATCH, r"m\s*\[\s*NUMBER\s*\]"),
    (Operand.HEADER, r"4\s*\*\s*\(\s*\[\s*NUMBER\s*\]\s*&\s*(?:0xf|15|017|0b1111)\s*\)"),
    (Operand.TARGET, r"NUMBER"),
    # Last, since it would take any word. tcpdump writes [vlan_tci], bpf_asm vlan_tci.
    (Operand.ABSOLUTE, r"\[\s*(?P<name>\w+)\s*\]|#?\s*(?P<bare>[a-z_]\w*)"),
)


@cache
def _patterns() -> tuple[tuple[Operand, re.Pattern[str]], ...]:
    """Return the forms of operands, compiled when a program is first read."""
    return tuple(
        (operand, re.compile(form.replace("NUMBER", f"(?P<k>{_NUMBER})"), re.IGNORECASE))
        for operand, form in _FORMS
    )


def fault(message: str, text: str, span: Span, hint: str | None = None) -> ProgramError:
    """Return the error for a mistake at `span` of a program's `text`, drawn with a caret."""
    return ProgramError(draw(message, text, span, hint))


def signed(word: int) -> int:
    """Return a 32-bit word as the signed number of the same bits."""
    return (word & WORD) - ((word & _SIGN_BIT) << 1)


def tcpdump_operand(position: int, instruction: Instruction) -> str:
    """Return the operand of `instruction` as `tcpdump -d` writes it.

    Offsets are signed or a metadata word's name; a jump's target is a position. An unknown code
    is its own operand.
    """
    row = ROW_OF.get(instruction.code)
    if row is None:
        return f"0x{instruction.code:x}"
    if row.operand is Operand.ACCUMULATOR:
        return ""
    if (word := ancillary_word(instruction)) is not None:
        return f"[{word.dump_name}]"
    if row.operand is Operand.TARGET:
        return str(signed(position + 1 + instruction.k))
    k = f"0x{instruction.k:x}" if row.hexadecimal else str(signed(instruction.k))
    return row.operand.written(k)


def asm_operand(row: Row, instruction: Instruction) -> str:
    """Return the operand of `instruction`, whose row is `row`, as bpf_asm reads it.

    Targets of jumps are not part of it. Numbers from 2**31 on are hexadecimal.
    """
    word = ancillary_word(instruction)
    if word is not None and word.asm_names:
        return word.asm_names[0]
    if row.operand is Operand.LENGTH:
        return "len"  # bpf_asm does not know tcpdump's #pktlen
    wide = row.hexadecimal or instruction.k >= _SIGN_BIT
    return row.operand.written(f"0x{instruction.k:x}" if wide else str(instruction.k))


def mnemonic(instruction: Instruction) -> str:
    """Return the name of the operation, "unimp" for an unknown one, as tcpdump does."""
    row = ROW_OF.get(instruction.code)
    return "unimp" if row is None else row.mnemonic


def describe(position: int, instruction: Instruction) -> str:
    """Return `instruction` in one line without padding, such as `jeq #0x800 jt 2 jf 5`."""
    words = [mnemonic(instruction), tcpdump_operand(position, instruction)]
    if (row := ROW_OF.get(instruction.code)) is not None and row.comparison is not None:
        yes, no = successors(position, instruction)
        words.append(f"jt {yes} jf {no}")
    return " ".join(word for word in words if word)


def read_number(text: str) -> int:
    """Return the word that `text` names: decimal, 0x hexadecimal, 0b binary or 0 octal.

    Raises:
        ValueError: It is no number, or lies outside -2**31 to 2**32 - 1; says which.
    """
    digits = text.strip().lower().replace(" ", "").replace("\t", "")
    if re.fullmatch(_NUMBER, digits) is None:
        raise ValueError(f"'{text.strip()}' is not a number")
    bare = digits.lstrip("+-")
    base = next((base for prefix, base in _BASES if prefix.match(bare)), 10)
    if base == 8 and not set(bare) <= set("01234567"):
        raise ValueError(f"'{text.strip()}' starts with 0 and so is octal, but has a digit over 7")
    # Far more digits than any word has; Python refuses to convert thousands of them.
    if len(bare) > _MOST_DIGITS:
        raise ValueError(f"{text.strip()[:_MOST_DIGITS]}... does not fit in 32 bits")
    value = int(bare, base) * (-1 if digits.startswith("-") else 1)
    if not -_SIGN_BIT <= value <= WORD:
        raise ValueError(f"{text.strip()} does not fit in 32 bits")
    return value & WORD


def read_operand(text: str) -> tuple[Operand, int]:
    """Return the form of an operand and its constant, which is 0 where the form has none.

    Raises:
        ValueError: It has no known form, or its number or name is wrong; says which.
    """
    for operand, pattern in _patterns():
        if (match := pattern.fullmatch(text.strip())) is None:
            continue
        found = match.groupdict()
        if (k := found.get("k")) is not None:
            return operand, read_number(k)
        if (name := found.get("name") or found.get("bare")) is None:
            return operand, 0
        if name.lower() not in ANCILLARY_NAMED:
            raise ValueError(f"unknown name '{name}'")
        return operand, ANCILLARY_NAMED[name.lower()]
    raise ValueError(f"cannot read the operand '{text.strip()}'")
