"""A graph as text, for golden tests and `--dump-after`, and back.

One block a line, each before the ones that it may go to; the parts of the expression that asked for
a block may stand at the end, as ranges of characters::

    b0:  br ldh[12] == 0x800, b1, b4       ; 0-3
    b1:  let v0 = (ldb[14] & 15) << 2, b2
    b2:  br ldh[v0 + 16] == 80, b3, b4
    b3:  accept
    b4:  reject

Values are loads of one, two or four bytes (`ldb ldh ldw`) at an offset or of a metadata word
(`ldb[vlanp]`), the wire length `len`, variables, numbers, and arithmetic as in C, with C's
precedence. A test compares with `==`, `>`, `>=` or, for "has a bit in common with", `&`; with `in`
it asks for a set of numbers and ranges, `ldh[36] in {53, 80, 8000-8100}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.errors import ProgramError, Span, draw
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Block, Branch, Graph, Label, Let, Reject, Test
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Value,
    Variable,
    ancillary,
    arithmetic,
    const,
    load_at,
    numbers,
    packet_length,
    variable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ir.graph import Origins

ANCILLARY_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "proto",
        4: "type",
        8: "ifidx",
        12: "nla",
        16: "nlan",
        20: "mark",
        24: "queue",
        28: "hatype",
        32: "rxhash",
        36: "cpu",
        40: "xor_x",
        44: "vlan_tci",
        48: "vlanp",
        52: "poff",
        56: "random",
        60: "vlan_tpid",
    }
)
"""Metadata words by offset from SKF_AD_OFF, under the names of tcpdump's listings.

Source: linux/filter.h; the tests hold it equal to the rows of the classic instruction set, which
lie in a layer above this one.
"""

_ANCILLARY_OFFSETS: Final = {name: offset for offset, name in ANCILLARY_NAMES.items()}

_UNNAMED_ANCILLARY: Final = "ancillary"
"""Metadata without a name: `ldw[ancillary + 100]`."""

_SIZES: Final = {"ldb": 1, "ldh": 2, "ldw": 4}
_LOADS: Final = {size: name for name, size in _SIZES.items()}

PRECEDENCE: Final[Mapping[ArithmeticOp, int]] = MappingProxyType(
    {
        ArithmeticOp.MUL: 6,
        ArithmeticOp.DIV: 6,
        ArithmeticOp.MOD: 6,
        ArithmeticOp.ADD: 5,
        ArithmeticOp.SUB: 5,
        ArithmeticOp.LSH: 4,
        ArithmeticOp.RSH: 4,
        ArithmeticOp.AND: 2,
        ArithmeticOp.XOR: 1,
        ArithmeticOp.OR: 0,
    }
)
"""How tightly the operators bind, as in C, where comparisons stand between shifts and `&`."""

_LOWEST: Final = 0
_IN_A_TEST: Final = 4

_LEAST_HEXADECIMAL: Final = 1000
"""Numbers from here on are written in hexadecimal, but for offsets."""


def print_graph(graph: Graph) -> str:
    """Return `graph` as text, a line for each block and a line end after each."""
    width = len(str(len(graph))) + 3
    return "".join(
        f"{f'b{label}:':<{width}} {_block_text(graph[label])}\n" for label in graph.labels
    )


def print_value(value: Value) -> str:
    """Return `value` as it stands in a graph's text."""
    return _value_text(value, _LOWEST)


def print_test(test: Test) -> str:
    """Return `test` as it stands in a graph's text."""
    left, right = _value_text(test.left, _IN_A_TEST), _value_text(test.right, _IN_A_TEST)
    return f"{left} {test.op.value} {right}"


def _block_text(block: Block) -> str:
    match block:
        case Branch(test=test, yes=yes, no=no, origins=origins):
            return f"br {print_test(test)}, b{yes}, b{no}{_spans_text(origins)}"
        case Let(variable=assigned, value=value, next=after, origins=origins):
            return f"let v{assigned.number} = {print_value(value)}, b{after}{_spans_text(origins)}"
        case Accept():
            return "accept"
        case Reject():
            return "reject"


def _spans_text(origins: Origins) -> str:
    if not origins:
        return ""
    return "  ; " + ", ".join(f"{span.start}-{span.end}" for span in origins)


def _value_text(value: Value, least: int) -> str:
    """Return `value` as text; arithmetic that binds less than `least` stands in parentheses."""
    match value:
        case Const(value=k):
            return _number_text(k)
        case Numbers(ranges=ranges):
            return f"{{{', '.join(_range_text(low, high) for low, high in ranges)}}}"
        case PacketLength():
            return "len"
        case Variable(number=number):
            return f"v{number}"
        case Load(size=size, base=base, offset=offset):
            return f"{_load_name(size)}[{_address_text(base, offset)}]"
        case Ancillary(offset=offset, size=size):
            word = ANCILLARY_NAMES.get(offset, f"{_UNNAMED_ANCILLARY} + {offset}")
            return f"{_load_name(size)}[{word}]"
        case Arithmetic(op=op, left=left, right=right):
            binding = PRECEDENCE[op]
            text = f"{_value_text(left, binding)} {op.value} {_value_text(right, binding + 1)}"
            return f"({text})" if binding < least else text


def _number_text(number: int) -> str:
    return str(number) if number < _LEAST_HEXADECIMAL else f"0x{number:x}"


def _range_text(low: int, high: int) -> str:
    if low == high:
        return _number_text(low)
    return f"{_number_text(low)}-{_number_text(high)}"


def _load_name(size: int) -> str:
    # A wrong size has to be printable as well: the graph's check shows it.
    return _LOADS.get(size, f"ld{size}")


def _address_text(base: Value | None, offset: int) -> str:
    if base is None:
        return str(offset)
    if offset == 0 and not _ends_in_a_constant(base):
        return _value_text(base, _LOWEST)
    return f"{_value_text(base, PRECEDENCE[ArithmeticOp.ADD])} + {offset}"


def _ends_in_a_constant(value: Value) -> bool:
    """Return whether the reader would take part of `value` for a load's constant offset."""
    match value:
        case Arithmetic(op=ArithmeticOp.ADD, right=Const()):
            return True
        case _:
            return False


def parse_graph(text: str) -> Graph:
    """Return the graph that `text` tells; blocks are numbered in the order of their lines.

    Only the form is looked at: whether the graph is sound is for `ir.check`. Labels may be any
    words that begin with b. Blank lines mean nothing.

    Raises:
        ProgramError: The text has no such form; says where.
    """
    reader = _Reader(text)
    blocks: list[Block] = []
    while reader.skip_blank_lines():
        label = reader.take_label("a label, such as b0")
        reader.define(label, len(blocks))
        reader.take(":")
        blocks.append(reader.block())
        reader.end_line()
    if not blocks:
        raise ProgramError("a graph has at least one block")
    targets = reader.resolve()
    return Graph([_with_targets(block, targets) for block in blocks])


def _with_targets(block: Block, targets: Mapping[int, Label]) -> Block:
    match block:
        case Branch(test=test, yes=yes, no=no, origins=origins):
            return Branch(test, targets[yes], targets[no], origins)
        case Let(variable=assigned, value=value, next=after, origins=origins):
            return Let(assigned, value, targets[after], origins)
        case Accept() | Reject():
            return block


_TOKEN: Final = re.compile(
    r"[ \t]*(?P<token>\w+|==|>=|<<|>>|[-+*/%&^|()\[\]{},:=>;]|\n|$)|[ \t]*(?P<unknown>.)"
)
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,8}|[0-9]{1,10}")
_VARIABLE: Final = re.compile(r"v([0-9]{1,9})")
_LABEL: Final = re.compile(r"b\w+")
_COMPARISONS: Final = {comparison.value: comparison for comparison in Comparison}
_OPERATORS: Final = {op.value: op for op in ArithmeticOp}
_DEEPEST: Final = 100
"""How deep parentheses and computed offsets may be nested: far below Python's recursion limit."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    span: Span


class _Reader:
    """Takes a graph's text apart, one token after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[_Token] = []
        self._next = 0
        self._depth = 0
        self._places: dict[str, int] = {}
        # Labels that blocks go to, each numbered until all are known.
        self._mentioned: list[_Token] = []
        for match in _TOKEN.finditer(text):
            kind = "token" if match["unknown"] is None else "unknown"
            token = _Token(match[kind], Span(*match.span(kind)))
            if kind == "unknown":
                raise self._fault(f"'{token.text}' has no place in a graph", token)
            self._tokens.append(token)

    def _fault(self, message: str, token: _Token) -> ProgramError:
        return ProgramError(draw(message, self._text, token.span))

    @property
    def _here(self) -> _Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _advance(self) -> _Token:
        token = self._here
        self._next += 1
        return token

    def _unexpected(self, wanted: str) -> ProgramError:
        here = self._here
        found = "the line ends" if here.text in {"", "\n"} else f"'{here.text}' stands here"
        return self._fault(f"{wanted} is missing: {found}", here)

    def skip_blank_lines(self) -> bool:
        """Move to the next line that is not blank; return whether there is one."""
        while self._here.text == "\n":
            self._advance()
        return self._here.text != ""

    def end_line(self) -> None:
        if self._here.text not in {"", "\n"}:
            raise self._unexpected("the end of the line")

    def take(self, text: str) -> None:
        if self._here.text != text:
            raise self._unexpected(f"'{text}'")
        self._advance()

    def take_label(self, wanted: str) -> _Token:
        if not _LABEL.fullmatch(self._here.text) or self._here.text == "br":
            raise self._unexpected(wanted)
        return self._advance()

    def define(self, label: _Token, place: int) -> None:
        if label.text in self._places:
            raise self._fault(f"two blocks are called {label.text}", label)
        self._places[label.text] = place

    def resolve(self) -> dict[int, Label]:
        """Return the place of each mentioned label."""
        targets = {}
        for number, token in enumerate(self._mentioned):
            place = self._places.get(token.text)
            if place is None:
                raise self._fault(f"there is no block {token.text}", token)
            targets[number] = Label(place)
        return targets

    def block(self) -> Block:
        """Read what stands behind a label; its targets are numbers of mentioned labels."""
        match self._here.text:
            case "accept":
                self._advance()
                return Accept()
            case "reject":
                self._advance()
                return Reject()
            case "br":
                self._advance()
                test = self._test()
                yes, no = self._target(), self._target()
                return Branch(test, yes, no, self._origins())
            case "let":
                self._advance()
                match = _VARIABLE.fullmatch(self._here.text)
                if match is None:
                    raise self._unexpected("a variable, such as v0,")
                self._advance()
                self.take("=")
                value = self._value(_LOWEST)
                return Let(variable(int(match[1])), value, self._target(), self._origins())
            case _:
                raise self._unexpected("br, let, accept or reject")

    def _target(self) -> Label:
        self.take(",")
        self._mentioned.append(self.take_label("the label of a block"))
        return Label(len(self._mentioned) - 1)

    def _origins(self) -> Origins:
        spans: list[Span] = []
        while self._here.text == ("," if spans else ";"):
            self._advance()
            start = self._number()
            self.take("-")
            spans.append(Span(start, self._number()))
        return tuple(spans)

    def _test(self) -> Test:
        left = self._value(_IN_A_TEST)
        op = _COMPARISONS.get(self._here.text)
        if op is None:
            raise self._unexpected("a comparison (==, >, >=, & or in)")
        self._advance()
        return Test(op, left, self._set() if op is Comparison.IN else self._value(_IN_A_TEST))

    def _set(self) -> Numbers:
        """Read numbers and ranges in braces."""
        self.take("{")
        ranges: list[tuple[int, int]] = []
        while self._here.text != "}":
            if ranges:
                self.take(",")
            low = high = self._number()
            if self._here.text == "-":
                self._advance()
                high = self._number()
            ranges.append((low, high))
        self._advance()
        return numbers(ranges)

    def _value(self, least: int) -> Value:
        """Read operands joined by operators that bind at least as tightly as `least`."""
        value = self._operand()
        while True:
            op = _OPERATORS.get(self._here.text)
            if op is None or PRECEDENCE[op] < least:
                return value
            self._advance()
            value = arithmetic(op, value, self._value(PRECEDENCE[op] + 1))

    def _operand(self) -> Value:
        here = self._here
        if here.text in _SIZES:
            self._advance()
            return self._load(_SIZES[here.text])
        if here.text == "(":
            self._advance()
            value = self._nested()
            self.take(")")
            return value
        if here.text == "len":
            self._advance()
            return packet_length()
        match = _VARIABLE.fullmatch(here.text)
        if match is not None:
            self._advance()
            return variable(int(match[1]))
        if here.text[:1].isdigit():
            return const(self._number())
        raise self._unexpected("a value")

    def _nested(self) -> Value:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fault("this is nested too deeply", self._here)
        value = self._value(_LOWEST)
        self._depth -= 1
        return value

    def _load(self, size: int) -> Value:
        self.take("[")
        name = self._here.text
        if name in _ANCILLARY_OFFSETS:
            self._advance()
            value: Value = ancillary(_ANCILLARY_OFFSETS[name], size)
        elif name == _UNNAMED_ANCILLARY:
            self._advance()
            self.take("+")
            value = ancillary(self._number(), size)
        else:
            value = load_at(size, self._nested())
        self.take("]")
        return value

    def _number(self) -> int:
        here = self._here
        if not _NUMBER.fullmatch(here.text):
            raise self._unexpected("a number")
        value = int(here.text, 16 if here.text.startswith("0x") else 10)
        if value > WORD:
            raise self._fault(f"{here.text} does not fit in 32 bits", here)
        self._advance()
        return value
