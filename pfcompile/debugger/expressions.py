"""What is printed, watched and waited for: `A == 0x800 && pkt[23] == 6`.

Numbers are decimal, 0x hexadecimal, 0b binary, or IPv4 addresses. Names are those of registers and
of the run: `pc`, `packet`, `steps`, `len` (on the wire) and `caplen`. `pkt[12:2]` are two bytes of
the packet from byte 12 on, in network order; `M[0]` and `mem[r10-8:8]` as the program has them.

Operators are those of C and of filters, and bind as in filters: `A & 0xf == 5` is about `A & 0xf`.
Results are as wide as the program's registers: in a classic program `0 - 1` is 0xffffffff.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, TypeAlias, assert_never

from pfcompile.debugger.mistakes import ExpressionMistake, Mistake
from pfcompile.errors import Span
from pfcompile.names.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: int


@dataclass(frozen=True, slots=True)
class Name:
    """A register, or a number that the run has."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """Memory, as `pkt[12:2]`."""

    memory: str
    at: Expression
    size: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`-`, `~` or `!` of something."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """Two things and what is between them."""

    operator: str
    left: Expression
    right: Expression


Expression: TypeAlias = Number | Name | Item | Unary | Binary


class Scope(Protocol):
    """Where names get their meaning."""

    @property
    def bits(self) -> int:
        """How wide results are."""

    def value(self, name: str) -> int:
        """Return what a name stands for."""

    def load(self, memory: str, at: int, size: int) -> int:
        """Return what is in memory; raises Mistake where there is nothing."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What an expression can be about.

    Attributes:
        names: Of registers and the like.
        memories: What can be followed by an index, with an example of each.
    """

    names: Sequence[str]
    memories: Mapping[str, str]


_TOKEN: Final = re.compile(
    r"\s*(?:(?P<address>\d+\.\d+\.\d+\.\d+)|(?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)(?![\w.])"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>&&|\|\||==|!=|<=|>=|<<|>>|[-+*/%&|^~!<>=()\[\]:])|(?P<bad>\S))"
)
_SPELLINGS: Final = MappingProxyType({"and": "&&", "or": "||", "not": "!", "=": "=="})
_MOST_DIGITS: Final = 40
_DEEPEST: Final = 25
"""Parentheses and signs in each other."""
_LONGEST: Final = 1000
"""Characters; so many that Python's own stack is deep enough for any."""

_LEVELS: Final = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">="),
    ("|",),
    ("^",),
    ("&",),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
"""The operators, those that bind least first."""
_NOT_LEVEL: Final = 2
"""Where `!` stands, as in filters: it is about a whole comparison."""

_LAZY: Final = frozenset({"&&", "||"})
_DIVIDING: Final = frozenset({"/", "%"})
_SHIFTING: Final = frozenset({"<<", ">>"})
_OPERATIONS: Final[Mapping[str, Callable[[int, int], int]]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "|": operator.or_,
        "^": operator.xor,
        "&": operator.and_,
        "<<": operator.lshift,
        ">>": operator.rshift,
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.floordiv,
        "%": operator.mod,
    }
)


def evaluate(expression: Expression, scope: Scope) -> int:
    """Return the value of an expression, unsigned; comparisons are 0 or 1.

    Raises:
        Mistake: It divides by zero, or looks where there is nothing.
    """
    mask = (1 << scope.bits) - 1
    match expression:
        case Number(value):
            return value
        case Name(name):
            return scope.value(name)
        case Item(memory, at, size):
            return scope.load(memory, evaluate(at, scope), size)
        case Unary("!", operand):
            return int(not evaluate(operand, scope))
        case Unary(sign, operand):
            value = evaluate(operand, scope)
            return (-value if sign == "-" else ~value) & mask
        case Binary("&&", left, right):
            return int(bool(evaluate(left, scope)) and bool(evaluate(right, scope)))
        case Binary("||", left, right):
            return int(bool(evaluate(left, scope)) or bool(evaluate(right, scope)))
        case Binary(sign, left, right):
            a, b = evaluate(left, scope), evaluate(right, scope)
            if sign in _DIVIDING and b == 0:
                raise Mistake("division by zero")
            if sign in _SHIFTING and b >= scope.bits:
                return 0
            return int(_OPERATIONS[sign](a, b)) & mask
        case _:
            assert_never(expression)


def parse(text: str, vocabulary: Vocabulary) -> Expression:
    """Return the expression that a text spells.

    Raises:
        Mistake: It spells none, or names what there is not; drawn with its place.
    """
    if len(text) > _LONGEST:
        raise Mistake(f"the expression has {len(text)} characters, more than {_LONGEST}")
    reader = _Reader(text, vocabulary)
    expression = reader.read(0)
    reader.end()
    return expression


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    span: Span


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        word = match[kind]
        spelled = _SPELLINGS.get(word)
        yield _Token(
            kind if spelled is None else "sign",
            word if spelled is None else spelled,
            Span(*match.span(kind)),
        )
    yield _Token("end", "", Span(len(text), len(text)))


class _Reader:
    """Reads an expression by climbing the levels of `_LEVELS`."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text = text
        self._vocabulary = vocabulary
        self._tokens = list(_tokens(text))
        self._place = 0
        self._depth = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *signs: str) -> str | None:
        token = self._next
        if token.kind != "sign" or token.text not in signs:
            return None
        self._place += 1
        return token.text

    def _fail(self, message: str, hint: str | None = None) -> NoReturn:
        raise ExpressionMistake(message, self._text, self._next.span, hint)

    def end(self) -> None:
        """Refuse what is left."""
        if self._next.kind != "end":
            self._fail(f"'{self._shown()}' does not fit here")

    def _shown(self) -> str:
        span = self._next.span
        return self._text[span.start : span.end]

    def read(self, level: int) -> Expression:
        """Return what binds at least as much as `level` says."""
        self._depth += 1
        if self._depth > _DEEPEST * len(_LEVELS):
            self._fail("the expression is nested too deeply")
        expression = self._at(level)
        self._depth -= 1
        return expression

    def _at(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        if level == _NOT_LEVEL and self._take("!") is not None:
            return Unary("!", self.read(level))
        left = self.read(level + 1)
        while (sign := self._take(*_LEVELS[level])) is not None:
            left = Binary(sign, left, self.read(level + 1))
        return left

    def _unary(self) -> Expression:
        sign = self._take("-", "~", "!")
        return self._atom() if sign is None else Unary(sign, self.read(len(_LEVELS)))

    def _atom(self) -> Expression:
        token = self._next
        if self._take("(") is not None:
            inside = self.read(0)
            self._expect(")")
            return inside
        if token.kind == "word":
            return self._named(token)
        if token.kind == "end":
            self._fail("something is missing here, such as a register or a number")
        if token.kind not in {"number", "address"}:
            self._fail(f"'{self._shown()}' does not fit here")
        value = self._address(token) if token.kind == "address" else self._number(token)
        self._place += 1
        return Number(value)

    def _number(self, token: _Token) -> int:
        if len(token.text) > _MOST_DIGITS:
            raise ExpressionMistake("the number is too long", self._text, token.span)
        digits = token.text.lower()
        return int(digits, 16 if digits.startswith("0x") else 2 if digits.startswith("0b") else 10)

    def _address(self, token: _Token) -> int:
        parts = [int(part[:4]) for part in token.text.split(".")]
        if max(parts) > 0xFF:
            self._fail(f"'{token.text}' is no IPv4 address")
        return int.from_bytes(bytes(parts), "big")

    def _named(self, token: _Token) -> Expression:
        follows = self._tokens[self._place + 1]
        is_indexed = follows.kind == "sign" and follows.text == "["
        known = self._vocabulary.memories if is_indexed else self._vocabulary.names
        # A program's registers have no second spelling, so that case tells nothing.
        name = next((each for each in known if each.lower() == token.text.lower()), None)
        if name is None:
            self._unknown(token, is_indexed=is_indexed)
        self._place += 1
        if not is_indexed:
            return Name(name)
        self._place += 1
        at = self.read(0)
        size = 1
        if self._take(":") is not None:
            size = self._size()
        self._expect("]")
        return Item(name, at, size)

    def _size(self) -> int:
        token = self._next
        if token.kind != "number":
            self._fail("a size in bytes must stand here")
        size = self._number(token)
        if not 1 <= size <= 8:
            self._fail(f"{size} bytes cannot be read at once, only 1 to 8")
        self._place += 1
        return size

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            self._fail(f"a '{sign}' is missing here")

    def _unknown(self, token: _Token, *, is_indexed: bool) -> NoReturn:
        names, memories = self._vocabulary.names, self._vocabulary.memories
        if is_indexed:
            self._fail(f"'{token.text}' cannot be indexed", " or ".join(memories.values()))
        if token.text in memories:
            self._fail(f"'{token.text}' needs an index", f"such as {memories[token.text]}")
        close = nearest(token.text, names)
        hint = f"did you mean {' or '.join(close)}?" if close else "one of: " + _gathered(names)
        self._fail(f"there is no '{token.text}' here", hint)


def _gathered(names: Sequence[str]) -> str:
    """Return names in a line, `r0` to `r10` as one."""
    shown = [name for name in names if name[1:] in {"", "0"} or not name[1:].isdecimal()]
    return ", ".join(f"{name} to {name[0]}10" if name[1:] == "0" else name for name in shown)
