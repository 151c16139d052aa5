"""An assembler for bpf_asm's language, and the listing that it reads back.

One statement a line, any number of labels before it or on lines of their own::

          ldh [12]
          jeq #0x800, L2, drop   ; two ways, or one: the other falls through
    L2:   ldb [23]               /* jneq, jlt and jle are jeq, jge and jgt turned round */
          jneq #6, drop
          ret #262144
    drop: ret #0

Where bpf_asm has no words for an instruction, `insn code, jt, jf, k` gives its four fields; this
statement is ours alone. Sources: Documentation/networking/filter.rst of Linux; McCanne and
Jacobson 1993 for the syntax that it comes from.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from pfcompile.cbpf.isa import (
    ROW_OF,
    ROWS,
    Instruction,
    Op,
    Operand,
    Row,
    is_canonical,
    successors,
)
from pfcompile.cbpf.notation import ROW_WRITTEN, asm_operand, fault, read_number, read_operand
from pfcompile.errors import ProgramError, Span
from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FARTHEST_CONDITIONAL: Final = 255
"""Instructions that a conditional jump can skip: jt and jf are bytes."""

RAW: Final = "insn"
"""The statement that gives an instruction's fields as numbers."""


class _Alias(NamedTuple):
    """A mnemonic that stands for another.

    `negated` jumps where the other does not; `constant_only` takes nothing but a constant, whose
    # may be left out.
    """

    mnemonic: str
    negated: bool = False
    constant_only: bool = False


_ALIASES: Final[Mapping[str, _Alias]] = MappingProxyType(
    {
        "ldi": _Alias("ld", constant_only=True),
        "ldxi": _Alias("ldx", constant_only=True),
        "jmp": _Alias("ja"),
        "jne": _Alias("jeq", negated=True),
        "jneq": _Alias("jeq", negated=True),
        "jlt": _Alias("jge", negated=True),
        "jle": _Alias("jgt", negated=True),
    }
)
_MNEMONICS: Final = frozenset({row.mnemonic for row in ROWS} | set(_ALIASES) | {RAW})

_COMMENT: Final = re.compile(r"/\*.*?\*/|/\*|;[^\n]*|^#[^\n]*", re.DOTALL | re.MULTILINE)
_LABEL: Final = re.compile(r"\s*([A-Za-z_]\w*)[ \t]*:")
_WORD: Final = re.compile(r"\s*([^\s\[#(,%]+)")
_BARE_NUMBER: Final = re.compile(r"[-+]?[0-9]\w*")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")


class _Part(NamedTuple):
    """A piece of a statement between commas, and where it stands."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class _Plain:
    """An instruction that needs no label."""

    instruction: Instruction


@dataclass(frozen=True, slots=True)
class _Branch:
    """A conditional jump; a way without a label falls through."""

    row: Row
    k: int
    yes: _Part | None
    no: _Part | None


@dataclass(frozen=True, slots=True)
class _Goto:
    """An unconditional jump."""

    target: _Part


_Statement = _Plain | _Branch | _Goto


@dataclass(slots=True)
class _Source:
    """A text being assembled: its statements, and the labels with what they stand before."""

    text: str
    statements: list[_Statement] = field(default_factory=list)
    labels: dict[str, _Label] = field(default_factory=dict)


class _Label(NamedTuple):
    """A label: the position that it names and where it is written."""

    position: int
    span: Span


def assemble(text: str) -> tuple[Instruction, ...]:
    """Return the program that `text` spells.

    The program is not checked (`check` does that), but every jump in it goes forward to a label.

    Raises:
        ProgramError: The text has a mistake; says where, in one line with a caret under it.
    """
    source = _Source(text)
    bare = _without_comments(text)
    start = 0
    for line in bare.splitlines(keepends=True):
        _read_line(source, line, start)
        start += len(line)
    count = len(source.statements)
    if not count:
        raise ProgramError("there is no instruction in the text")
    for name, label in source.labels.items():
        if label.position == count:
            raise fault(f"label '{name}' stands before no instruction", text, label.span)
    return tuple(
        _resolve(source, position, statement)
        for position, statement in enumerate(source.statements)
    )


def disassemble(instructions: Sequence[Instruction]) -> str:
    """Return `instructions` in bpf_asm's language, labels `L<position>` where jumps lead.

    `assemble` gives the same instructions back, whatever they are: what is unknown, has a value in
    a field that it does not use, or jumps out of the program is written as `insn`.
    """
    count = len(instructions)
    ways = [
        successors(position, instruction)
        if _is_jump(instruction) and _is_writable(position, instruction, count)
        else ()
        for position, instruction in enumerate(instructions)
    ]
    targets = {target for way in ways for target in way}
    width = max((len(f"L{target}: ") for target in targets), default=0)
    lines = []
    for position, instruction in enumerate(instructions):
        label = f"L{position}: " if position in targets else ""
        if _is_writable(position, instruction, count):
            row = ROW_OF[instruction.code]
            operand = "" if row.operand is Operand.TARGET else asm_operand(row, instruction)
            parts = [operand, *(f"L{target}" for target in ways[position])]
            statement = f"{row.mnemonic} {', '.join(part for part in parts if part)}".rstrip()
        else:
            code, jt, jf, k = instruction
            statement = f"{RAW} 0x{code:x}, {jt}, {jf}, 0x{k:x}"
        lines.append(f"{label:<{width}}{statement}\n")
    return "".join(lines)


def _is_jump(instruction: Instruction) -> bool:
    row = ROW_OF.get(instruction.code)
    return row is not None and (row.comparison is not None or row.operand is Operand.TARGET)


def _is_writable(position: int, instruction: Instruction, count: int) -> bool:
    """Tell whether bpf_asm has words for `instruction` of a program of `count`."""
    inside = not _is_jump(instruction) or max(successors(position, instruction)) < count
    return inside and is_canonical(instruction)


def _without_comments(text: str) -> str:
    """Return `text` with blanks for comments, so that every place in it stays the same."""

    def blank(match: re.Match[str]) -> str:
        if match[0] == "/*":
            raise fault("this comment has no end", text, Span(*match.span()), "it ends with */")
        return "".join("\n" if character == "\n" else " " for character in match[0])

    return _COMMENT.sub(blank, text)


def _read_line(source: _Source, line: str, start: int) -> None:
    """Add the labels and the statement of one line, which begins at `start` of the text."""
    column = 0
    while (match := _LABEL.match(line, column)) is not None:
        name, span = match[1], Span(start + match.start(1), start + match.end(1))
        if (earlier := source.labels.get(name)) is not None:
            line_number = source.text.count("\n", 0, earlier.span.start) + 1
            raise fault(f"label '{name}' is already on line {line_number}", source.text, span)
        source.labels[name] = _Label(len(source.statements), span)
        column = match.end()
    if not line[column:].strip():
        return
    match = _WORD.match(line, column)
    if match is None:
        place = start + column + len(line[column:]) - len(line[column:].lstrip())
        raise fault("an instruction's name must stand here", source.text, Span(place, place))
    word = _Part(match[1], Span(start + match.start(1), start + match.end(1)))
    source.statements.append(_read_statement(source, word, _parts(line, match.end(), start)))


def _parts(line: str, column: int, start: int) -> list[_Part]:
    """Split what follows an instruction's name at its commas; empty for nothing."""
    if not line[column:].strip():
        return []
    parts = []
    for piece in line[column:].split(","):
        text = piece.strip()
        place = start + column + (len(piece) - len(piece.lstrip()) if text else 0)
        parts.append(_Part(text, Span(place, place + len(text))))
        column += len(piece) + 1
    return parts


def _read_statement(source: _Source, word: _Part, parts: list[_Part]) -> _Statement:
    name = word.text.lower()
    if name == RAW:
        return _Plain(_read_raw(source.text, word, parts))
    if name not in _MNEMONICS:
        close = difflib.get_close_matches(name, sorted(_MNEMONICS), n=1)
        hint = f"did you mean {close[0]}?" if close else None
        raise fault(f"unknown instruction '{word.text}'", source.text, word.span, hint)
    alias = _ALIASES.get(name, _Alias(name))
    if (alias.mnemonic, Operand.TARGET) in ROW_WRITTEN:
        _expect(source.text, word, parts[1:], 0)
        if not parts:
            raise fault(f"{word.text} needs a label", source.text, word.span)
        return _Goto(parts[0])
    operand_part = parts[0] if parts else _Part("", Span(word.span.end, word.span.end))
    row, k = _read_operand(source.text, word, alias, operand_part)
    if row.comparison is None:
        _expect(source.text, word, parts[1:], 0)
        return _Plain(Instruction(row.op, 0, 0, k))
    _expect(source.text, word, parts[1:], 2)
    if len(parts) == 1:
        raise fault(f"{word.text} needs one or two labels", source.text, word.span)
    ways = (parts[1], parts[2] if len(parts) == 3 else None)
    yes, no = reversed(ways) if alias.negated else ways
    return _Branch(row, k, yes, no)


def _expect(text: str, word: _Part, labels: list[_Part], most: int) -> None:
    """Refuse more than `most` labels after an operand."""
    if len(labels) > most:
        raise fault(f"too much for {word.text}", text, labels[most].span)


def _read_operand(text: str, word: _Part, alias: _Alias, part: _Part) -> tuple[Row, int]:
    """Return the row that a mnemonic and an operand together name, and the constant."""
    is_bare = alias.constant_only and _BARE_NUMBER.fullmatch(part.text) is not None
    written = f"#{part.text}" if is_bare else part.text
    place = part.span if part.text else word.span
    try:
        operand, k = read_operand(written)
    except ValueError as error:
        raise fault(str(error), text, place, _forms(alias.mnemonic)) from None
    # ldx is also bpf_asm's name for ldxb: only the operand tells.
    names = (alias.mnemonic, "ldxb") if alias.mnemonic == "ldx" else (alias.mnemonic,)
    for name in names:
        row = ROW_WRITTEN.get((name, operand))
        if row is not None and (operand is Operand.CONSTANT or not alias.constant_only):
            return row, k
    wrong = f"{word.text} cannot take '{part.text}'" if part.text else f"{word.text} needs more"
    raise fault(wrong, text, place, _forms(alias.mnemonic))


def _forms(mnemonic: str) -> str:
    """Return the hint that lists what `mnemonic` can stand before."""
    forms = [row.operand.written("k") for row in ROWS if row.mnemonic == mnemonic]
    return f"{mnemonic} takes {' or '.join(form or 'nothing' for form in forms)}"


def _read_raw(text: str, word: _Part, parts: list[_Part]) -> Instruction:
    if len(parts) != 4:
        raise fault(f"{word.text} needs four numbers: code, jt, jf, k", text, word.span)
    code, jt, jf, k = (
        _field(text, part, limit)
        for part, limit in zip(parts, (0xFFFF, 0xFF, 0xFF, WORD), strict=True)
    )
    return Instruction(code, jt, jf, k)


def _field(text: str, part: _Part, limit: int) -> int:
    """Return the number that `part` gives a field which holds at most `limit`."""
    try:
        value = read_number(part.text)
    except ValueError as error:
        raise fault(str(error), text, part.span) from None
    if value > limit:
        raise fault(f"{part.text} is more than {limit}", text, part.span)
    return value


def _resolve(source: _Source, position: int, statement: _Statement) -> Instruction:
    """Return the instruction of a statement, its labels turned into distances."""
    match statement:
        case _Plain(instruction):
            return instruction
        case _Goto(target):
            return Instruction(Op.JA, 0, 0, _distance(source, position, target))
        case _Branch(row, k, yes, no):
            return Instruction(row.op, _skip(source, position, yes), _skip(source, position, no), k)
        case _:
            assert_never(statement)


def _skip(source: _Source, position: int, target: _Part | None) -> int:
    """Return what a conditional jump at `position` skips to reach `target`; 0 to fall through."""
    if target is None:
        return 0
    distance = _distance(source, position, target)
    if distance > FARTHEST_CONDITIONAL:
        raise fault(
            f"'{target.text}' is {distance} instructions away; a conditional jump skips at most "
            f"{FARTHEST_CONDITIONAL}",
            source.text,
            target.span,
            "jump the other way over a ja",
        )
    return distance


def _distance(source: _Source, position: int, target: _Part) -> int:
    """Return how many instructions lie between the jump at `position` and its target."""
    if _NAME.fullmatch(target.text) is None:
        wrong = f"'{target.text}' is not a label" if target.text else "a label must stand here"
        raise fault(wrong, source.text, target.span)
    label = source.labels.get(target.text)
    if label is None:
        close = difflib.get_close_matches(target.text, source.labels, n=1)
        hint = f"did you mean {close[0]}?" if close else None
        raise fault(f"there is no label '{target.text}'", source.text, target.span, hint)
    if label.position <= position:
        raise fault(
            f"'{target.text}' stands above: jumps go forward only", source.text, target.span
        )
    return label.position - position - 1
