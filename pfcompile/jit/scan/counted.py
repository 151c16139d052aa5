"""A graph inside the loop over records, with a counter at every test: which ways packets take.

What is counted is `analysis.counters.Counting`. Every block of the graph is a block here::

    b3:     load what the test looks at; to b3.end where that is not captured
            branch on the test: to the one target, or by b3.way to the other
    b3.way: counter += 1; on to the target
    b3.end: counter += 1; no match

Nothing is written without branches here, as short programs are (`flows`): a counter that is added
to for every packet costs more than a branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from pfcompile.analysis.counters import Counting
from pfcompile.cbpf.isa import Instruction
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Let, Reject, used_values
from pfcompile.ir.values import (
    Ancillary,
    Arithmetic,
    Const,
    Load,
    Numbers,
    PacketLength,
    Variable,
    parts,
)
from pfcompile.jit.scan.filter import OPERATIONS, PREDICATES, greatest, packet_number
from pfcompile.jit.scan.loop import COUNTERS
from pfcompile.jit.scan.text import FALSE, TRUE

if TYPE_CHECKING:
    from pfcompile.ir.graph import Block, Label, Test
    from pfcompile.ir.values import Value
    from pfcompile.jit.scan.filter import Packet
    from pfcompile.jit.scan.tables import Tables
    from pfcompile.jit.scan.text import Text

Scanned: TypeAlias = Sequence[Instruction] | Counting
"""What a scan can have for a filter: a classic program, or a graph whose ways are counted."""

_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})


class Places:
    """Where the counters of some graphs lie, one graph behind the other, in 64-bit words."""

    def __init__(self) -> None:
        self._starts: dict[Counting, int] = {}
        self.words = 0

    def add(self, counting: Counting) -> None:
        """Make room for a graph's counters, and behind them its variables."""
        if counting not in self._starts:
            self._starts[counting] = self.words
            self.words += counting.words + len(_variables(counting))

    def __contains__(self, counting: object) -> bool:
        return counting in self._starts

    def start(self, counting: Counting) -> int:
        """Return the number of a graph's first word."""
        return self._starts[counting]

    def counted(self, words: Sequence[int]) -> list[tuple[Counting, tuple[int, ...]]]:
        """Return each graph with its counters."""
        return [
            (counting, tuple(words[start : start + counting.words]))
            for counting, start in self._starts.items()
        ]


def _variables(counting: Counting) -> list[Variable]:
    """Return the variables of a graph that are read: not its marks."""
    found: dict[Variable, None] = {}
    for block in counting.graph.blocks:
        waiting = list(used_values(block))
        while waiting:
            value = waiting.pop()
            if isinstance(value, Variable):
                found[value] = None
            waiting += parts(value)
    return list(found)


class _CannotBeComputedError(Exception):
    """A value that no capture has: the block ends the filter."""


class CountedGraph:
    """One graph while it is written, for one kind of packets."""

    def __init__(
        self,
        counting: Counting,
        start: int,
        text: Text,
        packet: Packet,
        tables: Tables,
        known: int,
        name: str,
    ) -> None:
        """Prepare.

        Args:
            counting: The graph.
            start: The number of its first counter's word.
            text: Where it is written.
            packet: What it looks at.
            tables: Where look-ups have their tables.
            known: So many bytes of the packet are known to be captured.
            name: What its labels begin with.
        """
        self._counting = counting
        self._start = start
        self._text = text
        self._packet = packet
        self._tables = tables
        self._known = known
        self._name = name
        behind = start + counting.words
        self._slots = {each: behind + n for n, each in enumerate(_variables(counting))}
        self._verdicts: list[tuple[str, str]] = []
        self._ends: list[Label] = []

    def write(self) -> str:
        """Write it; the text is then in a block of its own. Return the bit that is its verdict."""
        text = self._text
        self._increase(0)
        text.act(f"br label %{self._label(self._counting.graph.entry)}")
        for label in self._counting.graph.labels:
            text.begin(self._label(label))
            self._write_block(label, self._counting.graph[label])
        for label in self._ends:
            text.begin(f"{self._label(label)}.end")
            self._increase(self._counting.end_counters[label])
            self._verdict(FALSE)
        text.begin(f"{self._name}.done")
        return text.value(
            "phi i1 " + ", ".join(f"[{bit}, %{label}]" for bit, label in self._verdicts)
        )

    def _label(self, label: Label) -> str:
        return f"{self._name}.b{label}"

    def _write_block(self, label: Label, block: Block) -> None:
        try:
            match block:
                case Branch(test=test):
                    self._branch(label, block, self._test(label, test))
                case Let(variable=variable, value=value, next=after):
                    if variable in self._slots:
                        self._set(variable, self._value(label, value))
                    self._text.act(f"br label %{self._label(after)}")
                case Accept():
                    self._verdict(TRUE)
                case Reject():
                    self._verdict(FALSE)
                case _:
                    assert_never(block)
        except _CannotBeComputedError:
            self._text.act(f"br label %{self._end(label)}")

    def _verdict(self, bit: str) -> None:
        self._verdicts.append((bit, self._text.label))
        self._text.act(f"br label %{self._name}.done")

    def _end(self, label: Label) -> str:
        """Return the label of where a block ends the filter, which is written at last."""
        if label not in self._ends:
            self._ends.append(label)
        return f"{self._label(label)}.end"

    def _branch(self, label: Label, block: Branch, test: str) -> None:
        counts_yes = self._counting.counted_yes[label]
        counted, way = block.yes if counts_yes else block.no, f"{self._label(label)}.way"
        ways = [self._label(block.yes), self._label(block.no)]
        ways[not counts_yes] = way
        self._text.act(f"br i1 {test}, label %{ways[0]}, label %{ways[1]}")
        self._text.begin(way)
        self._increase(self._counting.way_counters[label])
        self._text.act(f"br label %{self._label(counted)}")

    def _word(self, number: int) -> str:
        return self._text.value(f"getelementptr i64, ptr %{COUNTERS}, i64 {number}")

    def _increase(self, number: int) -> None:
        place = self._word(self._start + number)
        before, after = (f"%{self._text.new_label()}" for _ in range(2))
        self._text.act(f"{before} = load i64, ptr {place}")
        self._text.act(f"{after} = add i64 {before}, 1")
        self._text.act(f"store i64 {after}, ptr {place}")

    def _set(self, variable: Variable, number: str) -> None:
        # The block ends here, so that nothing in it has been loaded from there.
        self._text.act(f"store i32 {number}, ptr {self._word(self._slots[variable])}")

    # Values

    def _test(self, label: Label, test: Test) -> str:
        left = self._value(label, test.left)
        if isinstance(test.right, Numbers):
            return self._tables.member(self._text, left, test.right.ranges)
        right = self._value(label, test.right)
        if test.op is Comparison.SET:
            shared = self._text.value(f"and i32 {left}, {right}")
            return self._text.value(f"icmp ne i32 {shared}, 0")
        return self._text.value(f"icmp {PREDICATES[test.op]} i32 {left}, {right}")

    def _value(self, label: Label, value: Value) -> str:
        """Write a value; return the name of its 32 bits."""
        text = self._text
        match value:
            case Const(value=k):
                return str(k)
            case Load():
                return self._load(label, value)
            case PacketLength():
                return self._packet.wire
            case Variable():
                return text.value(f"load i32, ptr {self._word(self._slots[value])}")
            case Arithmetic():
                return self._arithmetic(label, value)
            case Ancillary():
                raise _CannotBeComputedError  # a capture file has no metadata
            case Numbers():
                raise AssertionError
            case _:
                assert_never(value)

    def _load(self, label: Label, value: Load) -> str:
        text, size = self._text, value.size
        if value.base is None:
            end = value.offset + size
            if end > self._known:
                self._guard(label, f"icmp uge i64 {self._packet.captured}, {end}")
            return packet_number(text, self._packet, size, str(value.offset))
        base = self._value(label, value.base)
        most = greatest(ArithmeticOp.ADD, text.most(base), value.offset)
        sum_ = text.value(f"add i32 {base}, {value.offset}", most=most)
        offset = text.value(f"zext i32 {sum_} to i64")
        end_ = text.value(f"add i64 {offset}, {size}")
        self._guard(label, f"icmp ule i64 {end_}, {self._packet.captured}")
        return packet_number(text, self._packet, size, offset)

    def _guard(self, label: Label, condition: str) -> None:
        """End the filter unless the condition holds."""
        text = self._text
        holds = text.value(condition)
        on = text.new_label()
        text.act(f"br i1 {holds}, label %{on}, label %{self._end(label)}, !prof !0")
        text.begin(on)

    def _arithmetic(self, label: Label, value: Arithmetic) -> str:
        text, op = self._text, value.op
        left, right = (self._value(label, each) for each in (value.left, value.right))
        if op in _DIVISIONS:
            self._guard(label, f"icmp ne i32 {right}, 0")
        if op in _SHIFTS:
            right = text.value(f"and i32 {right}, 31", most=31)
        most = greatest(op, text.most(left), text.most(right))
        return text.value(f"{OPERATIONS[op]} i32 {left}, {right}", most=most)
