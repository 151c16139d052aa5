"""The assembler: text to instructions.

A line holds any number of labels and one statement. A statement may begin as in a listing of
bpftool, with its slot and the operation's code (``12: (b7) r0 = 0``): the slot is passed over, the
code is held against the statement.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.notation import fault
from pfcompile.ebpf.asm.clang import CLANG
from pfcompile.ebpf.asm.forms import Field, FormTree, Match, Mismatch
from pfcompile.ebpf.asm.tokens import Token, Word, tokens
from pfcompile.ebpf.asm.ubpf import UBPF
from pfcompile.ebpf.asm.writing import RAW
from pfcompile.ebpf.isa import Instruction, Kind, Row
from pfcompile.errors import ProgramError, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMS: Final = FormTree(
    (*CLANG.forms.values(), *UBPF.forms.values(), *CLANG.aliases, *UBPF.aliases)
)
_MNEMONICS: Final = sorted(
    {
        first
        for form in (*CLANG.forms.values(), *UBPF.forms.values())
        if (first := form.template.split()[0]).isidentifier()
    }
    | {RAW}
)

_COMMENT: Final = re.compile(r"/\*.*?\*/|/\*|(?:;|//|(?<!\w)#|#(?![0-9]))[^\n]*", re.DOTALL)
"""A `#` behind a name and before a number belongs to bpftool's `call name#1`."""

_LABEL: Final = re.compile(r"\s*([A-Za-z_.$][\w.$]*)[ \t]*:")
_LISTING: Final = re.compile(r"\s*(?:[0-9]+:[ \t]*)?(?:\(([0-9a-fA-F]{2})\))?")


class _Range(NamedTuple):
    """What a field holds."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"between {self.least} and {self.most}"


_SHORT: Final = _Range(-0x8000, 0x7FFF)
_SIGNED: Final = _Range(-0x8000_0000, 0x7FFF_FFFF)
_EITHER: Final = _Range(-0x8000_0000, 0xFFFF_FFFF)

_RANGES: Final[Mapping[Field, _Range]] = MappingProxyType(
    {
        Field.OFFSET: _SHORT,
        Field.INDEX: _SHORT,
        Field.IMM: _SIGNED,
        Field.DISPLACEMENT: _SIGNED,
        Field.BITS: _EITHER,
        Field.LOW: _EITHER,
        Field.HIGH: _EITHER,
        Field.SECOND: _EITHER,
        Field.WIDE: _Range(-(1 << 63), (1 << 64) - 1),
    }
)
_TARGET_RANGES: Final[Mapping[str, _Range]] = MappingProxyType({"offset": _SHORT, "imm": _SIGNED})
_RAW_FIELDS: Final = (
    ("code", _Range(0, 0xFF)),
    ("dst", _Range(0, 0xF)),
    ("src", _Range(0, 0xF)),
    ("offset", _SHORT),
    ("imm", _EITHER),
)
_DST: Final = (Field.DST, Field.DST32)
_SRC: Final = (Field.SRC, Field.SRC32)
_TARGETS: Final = (Field.TARGET, Field.CALLEE, Field.DISTANCE)


class _Label(NamedTuple):
    """A label: the slot that it names and where it is written."""

    slot: int
    span: Span


class _Jump(NamedTuple):
    """A jump whose label is not looked up yet."""

    slot: int
    row: Row
    target: Token


@dataclass(slots=True)
class _Source:
    """A text being assembled."""

    text: str
    program: list[Instruction] = field(default_factory=list)
    labels: dict[str, _Label] = field(default_factory=dict)
    jumps: list[_Jump] = field(default_factory=list)


def assemble(text: str) -> tuple[Instruction, ...]:
    """Return the program that `text` spells, in either syntax, or both.

    Only what is written is checked: whether a kernel would take the program is another matter.
    Comments go from `;`, `//` or `#` to the end of the line, or from `/*` to `*/`.

    Raises:
        ProgramError: The text has a mistake; says where, in one line with a caret under it.
    """
    source = _Source(text)
    bare = _without_comments(text)
    start = 0
    for line in bare.splitlines(keepends=True):
        _read_line(source, bare, start, start + len(line))
        start += len(line)
    if not source.program:
        raise ProgramError("there is no instruction in the text")
    for name, label in source.labels.items():
        if label.slot == len(source.program):
            raise fault(f"label '{name}' stands before no instruction", text, label.span)
    for jump in source.jumps:
        distance = _label_slot(source, jump.target) - jump.slot - 1
        source.program[jump.slot] = _aimed(
            text, source.program[jump.slot], jump.row, jump.target, distance
        )
    return tuple(source.program)


def _without_comments(text: str) -> str:
    """Return `text` with blanks for comments, so that every place in it stays the same."""

    def blank(match: re.Match[str]) -> str:
        if match[0] == "/*":
            raise fault("this comment has no end", text, Span(*match.span()), "it ends with */")
        return "".join("\n" if character == "\n" else " " for character in match[0])

    return _COMMENT.sub(blank, text)


def _read_line(source: _Source, bare: str, start: int, end: int) -> None:
    """Add the labels and the statement of the line from `start` to `end`."""
    while (match := _LABEL.match(bare, start, end)) is not None:
        name, span = match[1], Span(*match.span(1))
        if (earlier := source.labels.get(name)) is not None:
            line_number = bare.count("\n", 0, earlier.span.start) + 1
            raise fault(f"label '{name}' is already on line {line_number}", source.text, span)
        source.labels[name] = _Label(len(source.program), span)
        start = match.end()
    listing = _LISTING.match(bare, start, end)
    assert listing is not None
    code = None if listing[1] is None else int(listing[1], 16)
    statement = _tokens(source.text, bare, listing.end(), end)
    if statement and statement[0].text == RAW:
        source.program.append(_read_raw(source.text, statement))
    elif statement:
        _read_statement(source, statement, code)


def _tokens(text: str, bare: str, start: int, end: int) -> list[Token]:
    """Return the words of a statement; a mistake in them is drawn in the whole text."""
    try:
        return list(tokens(bare, start, end))
    except ProgramError:
        if text == bare:
            raise
    return list(tokens(text, start, end))


def _read_statement(source: _Source, statement: list[Token], code: int | None) -> None:
    found = _FORMS.find(statement)
    if isinstance(found, Mismatch):
        raise _mismatch(source.text, statement, found)
    matches = [match for match in found if code in (None, match.form.row.code)]
    if not matches:
        span = Span(statement[0].span.start, statement[-1].span.end)
        codes = " or ".join(sorted({f"{match.form.row.code:02x}" for match in found}))
        raise fault(f"this is operation {codes}, not {code:02x}", source.text, span)
    # A number too large for the first form may fit a longer one.
    for position, match in enumerate(matches):
        try:
            return _add(source, match, is_listing=code is not None)
        except ProgramError:
            if position == len(matches) - 1 or match.form.row == matches[-1].form.row:
                raise
    return None


def _mismatch(text: str, statement: list[Token], found: Mismatch) -> ProgramError:
    """Return the error for a statement that no form fits."""
    position = found.position
    if position == len(statement):
        end = statement[-1].span.end
        return fault("something is missing here", text, Span(end, end), found.hint(None))
    token = statement[position]
    if position == 0:
        close = difflib.get_close_matches(token.text, _MNEMONICS, n=1)
        hint = f"did you mean {close[0]}?" if close else None
        return fault(f"unknown instruction '{token.text}'", text, token.span, hint)
    return fault(f"'{token.text}' cannot stand here", text, token.span, found.hint(token))


def _add(source: _Source, match: Match, *, is_listing: bool) -> None:
    """Append the instruction of a statement."""
    row = match.form.row
    slot = len(source.program)
    first = Instruction(row.code, row.dst or 0, row.src or 0, row.offset or 0, row.imm or 0)
    high: int = row.high or 0
    jump = None
    seen: dict[Field, Token] = {}
    for name, token in match.fillings:
        before = seen.setdefault(name, token)
        if name in (*_DST, *_SRC) and before.number != token.number:
            raise fault(f"this must be {before.text}, as before", source.text, token.span)
        if name in _DST:
            first = replace(first, dst=token.number)
        elif name in _SRC:
            first = replace(first, src=token.number)
        elif name in _TARGETS:
            if token.word is Word.NAME:
                jump = _Jump(slot, row, token)
            else:
                first = _aimed(source.text, first, row, token, token.number)
        elif name is not Field.COMMENT:
            value = _value(source.text, row, name, token, is_listing=is_listing)
            if name in (Field.OFFSET, Field.INDEX):
                first = replace(first, offset=value)
            elif name in (Field.HIGH, Field.SECOND):
                high = _as_signed(value)
            else:
                first = replace(first, imm=_as_signed(value))
            if name is Field.WIDE:
                high = _high(source.text, row, token, value)
    source.program.append(first)
    if row.kind is Kind.WIDE:
        source.program.append(Instruction(0, imm=high))
    if jump is not None:
        source.jumps.append(jump)


def _value(text: str, row: Row, name: Field, token: Token, *, is_listing: bool) -> int:
    """Return the number that fills a field, if it fits."""
    # bpftool writes -1 as 0xffffffff; where 32 bits are all that count, nothing is lost.
    loose = name is Field.IMM and (is_listing or row.width <= 32)
    allowed = _EITHER if loose else _RANGES[name]
    value = token.number
    if not allowed.least <= value <= allowed.most:
        hint = (
            "a 64-bit operation widens it as a signed number"
            if name is Field.IMM and value <= _EITHER.most
            else None
        )
        raise fault(f"{token.text} is not {allowed}", text, token.span, hint)
    return value


def _high(text: str, row: Row, token: Token, value: int) -> int:
    """Return the half of a 64-bit number that goes to the second slot."""
    high = _as_signed(value >> 32)
    if row.high is not None and high != row.high:
        raise fault(f"{token.text} is not {_EITHER}", text, token.span)
    return high


def _as_signed(value: int) -> int:
    """Return the low 32 bits as a signed number."""
    return ((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


def _aimed(
    text: str, instruction: Instruction, row: Row, target: Token, distance: int
) -> Instruction:
    """Return a jump with its distance filled in."""
    assert row.target is not None
    allowed = _TARGET_RANGES[row.target]
    if not allowed.least <= distance <= allowed.most:
        hint = "gotol goes farther" if row.target == "offset" else None
        raise fault(
            f"{target.text} is {distance} slots away, not {allowed}", text, target.span, hint
        )
    if row.target == "offset":
        return replace(instruction, offset=distance)
    return replace(instruction, imm=distance)


def _label_slot(source: _Source, target: Token) -> int:
    label = source.labels.get(target.text)
    if label is None:
        close = difflib.get_close_matches(target.text, source.labels, n=1)
        hint = f"did you mean {close[0]}?" if close else None
        raise fault(f"there is no label '{target.text}'", source.text, target.span, hint)
    return label.slot


def _read_raw(text: str, statement: list[Token]) -> Instruction:
    """Return the slot whose fields a statement gives as numbers."""
    numbers = statement[1::2]
    shaped = [token.word for token in numbers] == [Word.NUMBER] * len(_RAW_FIELDS)
    if not shaped or [token.text for token in statement[2::2]] != [","] * (len(_RAW_FIELDS) - 1):
        raise fault(
            f"{RAW} needs five numbers: code, dst, src, offset, imm", text, statement[0].span
        )
    for (name, allowed), token in zip(_RAW_FIELDS, numbers, strict=True):
        if not allowed.least <= token.number <= allowed.most:
            raise fault(f"{name} is {token.text}, not {allowed}", text, token.span)
    code, dst, src, offset, imm = (token.number for token in numbers)
    return Instruction(code, dst, src, offset, _as_signed(imm))
