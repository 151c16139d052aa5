"""Ways to write an instruction, each good for reading and for writing.

A form is a row and a template such as ``if {dst} s> {imm} goto {target}``. Writing fills in the
fields. Reading cuts the template into words as it does statements, and keeps all forms in a tree
whose branches are words, so that a mistake is found at the word where no form goes on.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.asm.tokens import Token, Word, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pfcompile.ebpf.isa import Row


class Field(Enum):
    """What stands in a template's braces."""

    DST = "dst"
    SRC = "src"
    DST32 = "wdst"
    SRC32 = "wsrc"
    OFFSET = "offset"
    """A distance in memory, with its sign."""
    IMM = "imm"
    """A constant; for 64-bit operations it must fit 32 bits as a signed number."""
    BITS = "bits"
    """A constant, or any 32 bits written as an unsigned number."""
    DISPLACEMENT = "displacement"
    """A constant that is added to a register: with its sign, or nothing for 0."""
    LOW = "low"
    """A number in the first slot of a wide instruction."""
    HIGH = "high"
    """A number in the second slot, with its sign, that is added to an address."""
    SECOND = "second"
    """Another number in the second slot."""
    WIDE = "wide"
    """64 bits over both slots."""
    TARGET = "target"
    """Where a jump goes: a label or a number of slots, with its sign."""
    CALLEE = "callee"
    """What a local call goes to: a label; a number of slots is written behind `pc`."""
    DISTANCE = "distance"
    """A number of slots: only read."""
    INDEX = "index"
    """A number in `offset`."""
    COMMENT = "name"
    """A name that means nothing: only read."""


_WORDS: Final[Mapping[Field, tuple[Word, ...]]] = MappingProxyType(
    {
        Field.DST: (Word.REGISTER,),
        Field.SRC: (Word.REGISTER,),
        Field.DST32: (Word.HALF,),
        Field.SRC32: (Word.HALF,),
        Field.TARGET: (Word.NUMBER, Word.NAME),
        Field.CALLEE: (Word.NAME,),
        Field.COMMENT: (Word.NAME,),
    }
)
"""The words that fill a field, where it is not a NUMBER alone."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write one operation."""

    row: Row
    template: str

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields in the order in which they stand."""
        return tuple(Field(name) for name in _PLACEHOLDER.findall(self.template))

    def written(self, values: Mapping[Field, str]) -> str:
        """Return the template, filled in."""
        return _PLACEHOLDER.sub(lambda match: values[Field(match[1])], self.template)

    def words(self) -> Iterator[tuple[str | Word, ...]]:
        """Yield for each place in a statement what can stand there."""
        for index, part in enumerate(_PLACEHOLDER.split(self.template)):
            if index % 2:
                yield _WORDS.get(Field(part), (Word.NUMBER,))
            else:
                yield from ((token.text,) for token in tokens(part, 0, len(part)))


@dataclass(frozen=True, slots=True)
class Syntax:
    """A language for programs.

    Attributes:
        name: What users call it.
        forms: One for each row: how it is written.
        aliases: Other forms that are read, too.
        number: How a constant is written.
        offset: How a distance in memory is written, which may be 0.
    """

    name: str
    forms: Mapping[Row, Form]
    aliases: Sequence[Form]
    number: Callable[[int], str]
    offset: Callable[[int], str]


class Match(NamedTuple):
    """A form that fits a statement, and the words that fill its fields."""

    form: Form
    fillings: tuple[tuple[Field, Token], ...]


class Mismatch(NamedTuple):
    """Where no form goes on: the number of the word, and what could have stood there."""

    position: int
    expected: tuple[str | Word, ...]

    def hint(self, found: Token | None) -> str | None:
        """Return advice, or None when nothing more could have stood there."""
        literals = sorted(word for word in self.expected if isinstance(word, str))
        choices = sorted(word.value for word in self.expected if isinstance(word, Word))
        if found is not None and found.word is Word.NAME and len(literals) > _FEW:
            close = difflib.get_close_matches(found.text, literals, n=1)
            if close:
                return f"did you mean {close[0]}?"
        choices += literals if len(literals) <= _MANY else ["something else"]
        return f"expected {' or '.join(choices)}" if choices else None


_FEW: Final = 2
"""Words that are simply listed, however close one of them is to what was written."""

_MANY: Final = 12
"""Words that are still listed."""


@dataclass(slots=True)
class _Node:
    """The forms that end here, and those that go on, by the next word."""

    forms: list[Form] = field(default_factory=list)
    after: dict[str | Word, _Node] = field(default_factory=dict)


class FormTree:
    """All forms of one language or several, by their words."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._root = _Node()
        for form in forms:
            nodes = [self._root]
            for choices in form.words():
                nodes = [
                    node.after.setdefault(choice, _Node()) for node in nodes for choice in choices
                ]
            for node in nodes:
                node.forms.append(form)

    def find(self, statement: Sequence[Token]) -> list[Match] | Mismatch:
        """Return every form that fits `statement`, the usual one first, or where it goes wrong."""
        farthest = Mismatch(0, ())
        # Depth first; a word that is written out goes before a value that it might also be.
        waiting: list[tuple[_Node, int, tuple[Token, ...]]] = [(self._root, 0, ())]
        matches: list[Match] = []
        while waiting:
            node, position, values = waiting.pop()
            if position == len(statement) and node.forms:
                matches.extend(
                    Match(form, tuple(zip(form.fields, values, strict=True))) for form in node.forms
                )
                continue
            ways = []
            if position < len(statement):
                token = statement[position]
                if (by_value := node.after.get(token.word)) is not None:
                    ways.append((by_value, position + 1, (*values, token)))
                if (by_text := node.after.get(token.text)) is not None:
                    ways.append((by_text, position + 1, values))
            if ways:
                waiting.extend(ways)
            elif position > farthest.position or not farthest.expected:
                farthest = Mismatch(position, tuple(node.after))
            elif position == farthest.position:
                expected = dict.fromkeys((*farthest.expected, *node.after))
                farthest = Mismatch(position, tuple(expected))
        return matches or farthest
