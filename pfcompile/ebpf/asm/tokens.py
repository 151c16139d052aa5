"""A statement cut into words, each with its place in the text."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.notation import fault
from pfcompile.ebpf.isa import R10
from pfcompile.errors import Span

if TYPE_CHECKING:
    from collections.abc import Iterator


class Word(Enum):
    """The sorts of words that stand for a value; the value is how they are called in errors."""

    REGISTER = "a register"
    HALF = "a 32-bit register"
    NUMBER = "a number"
    NAME = "a label"
    SIGN = "a sign"


class Token(NamedTuple):
    """One word of a statement."""

    word: Word
    text: str
    span: Span

    @property
    def number(self) -> int:
        """The value of a NUMBER, or the number of a REGISTER or HALF."""
        if self.word is not Word.NUMBER:
            return int(self.text.lstrip("%rw"))
        digits = self.text.lower().replace(" ", "").replace("\t", "")
        return int(digits, 16 if "x" in digits else 10)


_TOKEN: Final = re.compile(
    r"""
      (?P<REGISTER> %?r[0-9]+\b )
    | (?P<HALF>     %?w[0-9]+\b )
    | (?P<SIGN>     s>>= | s>= | s<= | s/= | s%= | s> | s<
                  | <<= | >>= | [-+*/%&|^<>=!]= )
    | (?P<NUMBER>   (?:[-+][ \t]*)?[0-9]\w* )
    | (?P<NAME>     [A-Za-z_.$][\w.$]* )
    | (?P<OTHER>    \S )
    """,
    re.VERBOSE,
)
_NUMBER: Final = re.compile(r"[-+]?[ \t]*(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_MOST_DIGITS: Final = 64


def tokens(text: str, start: int, end: int) -> Iterator[Token]:
    """Yield the words of a statement that goes from `start` to `end` of `text`.

    Raises:
        ProgramError: A number or a register that is none.
    """
    for match in _TOKEN.finditer(text, start, end):
        name = match.lastgroup or ""
        word = Word.SIGN if name == "OTHER" else Word[name]
        token = Token(word, match[0], Span(*match.span()))
        if word is Word.NUMBER and (
            _NUMBER.fullmatch(token.text) is None or len(token.text) > _MOST_DIGITS
        ):
            raise fault(f"'{token.text}' is not a number", text, token.span)
        if word in (Word.REGISTER, Word.HALF) and (len(token.text) > 4 or token.number > R10):
            raise fault(
                f"there is no register {token.text}", text, token.span, "there are r0 to r10"
            )
        yield token
