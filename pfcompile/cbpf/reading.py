"""Read a program in whatever format it comes: told apart by how it begins.

What `listing` writes is read back, and so is the output of tcpdump, bpf_asm and nfbpf_compile.
"raw" is the exception: eight bytes an instruction have nothing to know them by.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf import savefile
from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.isa import ROW_OF, Instruction, Operand
from pfcompile.cbpf.notation import ROW_WRITTEN, fault, read_number, read_operand
from pfcompile.errors import ProgramError, Span
from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LIMITS: Final = Instruction(code=0xFFFF, jt=0xFF, jf=0xFF, k=WORD)
_FIELDS: Final = Instruction._fields

_TCPDUMP_LINE: Final = re.compile(
    r"\s*\((?P<position>[0-9]{1,10})\)\s+(?P<mnemonic>\w+)(?:[ \t]+(?P<operand>\S.*?))??"
    r"(?:\s+jt\s+(?P<jt>[0-9]{1,10})\s+jf\s+(?P<jf>[0-9]{1,10}))?\s*"
)
_C_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_C_TEXT: Final = re.compile(
    r"(?:\s|/\*.*?\*/|//[^\n]*)*(?:\{|(?:\w+\s+)+\w+\s*\[[^]]*\]\s*=)", re.DOTALL
)
_C_DECLARATION: Final = re.compile(r"[^{}=]*=\s*\{")
_C_ENTRY: Final = re.compile(r"\s*\{([^{}]*)\}\s*,?")
_C_END: Final = re.compile(r"\s*")
_C_DECLARATION_END: Final = re.compile(r"\s*\}\s*;?\s*")
_TOKEN: Final = re.compile(r"\S+")


class _Format(NamedTuple):
    """A format: how its text begins, and what reads it."""

    name: str
    start: re.Pattern[str]
    read: Callable[[str], tuple[Instruction, ...]]


def parse_program(source: str | bytes) -> tuple[Instruction, ...]:
    """Return the program in `source`, which is not checked.

    Args:
        source: A savefile's bytes; or, as text or UTF-8 bytes, a listing of `tcpdump -d`, -dd or
            -ddd, the bytecode of iptables (with or without a comma at its end), JSON as `listing`
            writes it, or bpf_asm's language.

    Raises:
        ProgramError: It is none of these, or has a mistake; draws the place in a text.
    """
    if isinstance(source, bytes):
        # All of the magic matters less than a clear message: a cut-off savefile is still one.
        if source[:4] == savefile.MAGIC[:4]:
            return savefile.read(source).instructions
        try:
            source = source.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ProgramError("the program is neither text nor a cBPF savefile") from None
        if "\0" in source:
            raise ProgramError("the program is neither text nor a cBPF savefile")
    text = source.replace("\r\n", "\n")
    if not text.strip():
        raise ProgramError("the program is empty")
    return next(form.read(text) for form in _FORMATS if form.start.match(text) is not None)


def _read_tcpdump(text: str) -> tuple[Instruction, ...]:
    instructions: list[Instruction] = []
    start = 0
    for line in text.splitlines(keepends=True):
        if line.strip():
            instructions.append(_read_tcpdump_line(text, line, start, len(instructions)))
        start += len(line)
    return tuple(instructions)


def _read_tcpdump_line(text: str, line: str, start: int, position: int) -> Instruction:
    whole = Span(start, start + len(line.rstrip()))
    match = _TCPDUMP_LINE.fullmatch(line)
    if match is None:
        raise fault("not a line of a tcpdump -d listing", text, whole)
    if int(match["position"]) != position:
        span = Span(start + match.start("position"), start + match.end("position"))
        raise fault(f"expected instruction {position} here", text, span)
    name, written = match["mnemonic"], match["operand"] or ""
    group = "operand" if written else "mnemonic"
    span = Span(start + match.start(group), start + match.end(group))
    if name == "unimp":
        return _read_unknown(text, written, span)
    try:
        operand, k = read_operand(written)
    except ValueError as error:
        raise fault(str(error), text, span) from None
    # tcpdump leaves the a of `ret a` out.
    row = ROW_WRITTEN.get((name, operand))
    if row is None and operand is Operand.NONE:
        row = ROW_WRITTEN.get((name, Operand.ACCUMULATOR))
    if row is None:
        raise fault(f"there is no instruction '{name} {written}'".rstrip(), text, span)
    if (row.comparison is None) != (match["jt"] is None):
        wrong = "needs jt and jf" if match["jt"] is None else "has no jt and jf"
        raise fault(f"{name} {wrong}", text, whole)
    if row.operand is Operand.TARGET:
        return Instruction(row.op, 0, 0, (k - position - 1) & WORD)
    skips = [0, 0]
    if row.comparison is not None:
        for which, target in enumerate((match["jt"], match["jf"])):
            skips[which] = int(target) - position - 1
            if not 0 <= skips[which] <= _LIMITS.jt:
                raise fault(f"{name} cannot jump from {position} to {target}", text, whole)
    return Instruction(row.op, skips[0], skips[1], k)


def _read_unknown(text: str, written: str, span: Span) -> Instruction:
    """Return an instruction that tcpdump lists by its code alone, if that says all of it."""
    row = next((ROW_OF[code] for code in ROW_OF if f"0x{code:x}" == written), None)
    if row is None or row.operand is not Operand.LENGTH:
        raise fault(f"tcpdump did not know the instruction {written}", text, span)
    return Instruction(row.op, 0, 0, 0)


def _read_c(text: str) -> tuple[Instruction, ...]:
    """Read initialisers, alone or inside `struct sock_filter name[] = { ... };`."""
    bare = _C_COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    declaration = _C_DECLARATION.match(bare)
    place = 0 if declaration is None else declaration.end()
    instructions = []
    while (entry := _C_ENTRY.match(bare, place)) is not None:
        instructions.append(_read_fields(text, bare, Span(*entry.span(1)), ","))
        place = entry.end()
    end = _C_END if declaration is None else _C_DECLARATION_END
    if not instructions or end.fullmatch(bare, place) is None:
        culprit = _trimmed(bare, Span(place, len(bare)))
        raise fault("expected { code, jt, jf, k }", text, culprit)
    return tuple(instructions)


def _read_decimal(text: str) -> tuple[Instruction, ...]:
    """Read a count and that many lines of four numbers."""
    spans = _spans(text, Span(0, len(text)), "\n")
    filled = [span for span in spans if text[span.start : span.end].strip()]
    return _counted(text, filled)


def _read_iptables(text: str) -> tuple[Instruction, ...]:
    """Read a count and that many groups of four numbers, commas between and perhaps after."""
    spans = _spans(text, Span(0, len(text)), ",")
    if not text[spans[-1].start : spans[-1].end].strip():
        spans.pop()
    return _counted(text, spans)


def _counted(text: str, spans: Sequence[Span]) -> tuple[Instruction, ...]:
    """Read the count in the first span and an instruction in each of the others."""
    first, *others = spans
    try:
        count = read_number(text[first.start : first.end])
    except ValueError as error:
        raise fault(str(error), text, _trimmed(text, first)) from None
    if count != len(others):
        message = f"says {count} instructions, but {len(others)} follow"
        raise fault(message, text, _trimmed(text, first))
    return tuple(_read_fields(text, text, span, None) for span in others)


def _read_fields(text: str, bare: str, span: Span, separator: str | None) -> Instruction:
    """Return the instruction whose four numbers stand in `span` of `bare`.

    `bare` is `text` without its comments; None separates by blanks.
    """
    if separator is None:
        spans = [Span(*match.span()) for match in _TOKEN.finditer(bare, span.start, span.end)]
    else:
        spans = _spans(bare, span, separator)
    if len(spans) != len(_FIELDS):
        raise fault("expected four numbers: code, jt, jf, k", text, _trimmed(text, span))
    code, jt, jf, k = (
        _read_field(text, bare, place, name, limit)
        for name, limit, place in zip(_FIELDS, _LIMITS, spans, strict=True)
    )
    return Instruction(code, jt, jf, k)


def _read_field(text: str, bare: str, span: Span, name: str, limit: int) -> int:
    try:
        value = read_number(bare[span.start : span.end])
    except ValueError as error:
        raise fault(str(error), text, _trimmed(bare, span)) from None
    if value > limit:
        raise fault(f"{name} is at most {limit}", text, _trimmed(bare, span))
    return value


def _spans(text: str, span: Span, separator: str) -> list[Span]:
    """Return the pieces of `span` between separators."""
    pieces = []
    start = span.start
    for piece in text[span.start : span.end].split(separator):
        pieces.append(Span(start, start + len(piece)))
        start += len(piece) + len(separator)
    return pieces


def _trimmed(text: str, span: Span) -> Span:
    """Return `span` without the blanks at its ends."""
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    return Span(start, max(start, span.start + len(piece.rstrip())))


def _read_json(text: str) -> tuple[Instruction, ...]:
    """Read a list of objects; members other than code, jt, jf and k are not looked at."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise fault(f"not JSON: {error.msg}", text, Span(error.pos, error.pos)) from None
    except ValueError:
        # Python's own limit on the digits of a number.
        raise ProgramError("the JSON text has a number that is far too long") from None
    except RecursionError:
        raise ProgramError("the JSON text is nested too deeply for a program") from None
    if not isinstance(entries, list):
        raise ProgramError("the JSON text is not a list of instructions")
    return tuple(_from_json(position, entry) for position, entry in enumerate(entries))


def _from_json(position: int, entry: object) -> Instruction:
    if not isinstance(entry, dict):
        raise ProgramError(f"JSON, instruction {position}: not an object")
    code, jt, jf, k = (
        _json_number(position, entry, name, limit)
        for name, limit in zip(_FIELDS, _LIMITS, strict=True)
    )
    return Instruction(code, jt, jf, k)


def _json_number(position: int, entry: Mapping[str, object], name: str, limit: int) -> int:
    value = entry.get(name)
    # A bool is an int to Python, but not to whoever wrote the file.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise ProgramError(
            f'JSON, instruction {position}: "{name}" must be a number from 0 to {limit}'
        )
    return value


_FORMATS: Final = (
    _Format("tcpdump", re.compile(r"\s*\([0-9]+\)"), _read_tcpdump),
    _Format("c", _C_TEXT, _read_c),
    _Format("iptables", re.compile(r"\s*[0-9]+\s*,"), _read_iptables),
    _Format("decimal", re.compile(r"\s*[0-9]+\s"), _read_decimal),
    _Format("json", re.compile(r"\s*\["), _read_json),
    _Format("asm", re.compile(r""), assemble),
)
"""In the order in which they are tried; what begins like nothing else is for the assembler."""
