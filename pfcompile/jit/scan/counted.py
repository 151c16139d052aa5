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

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from pfcompile.analysis.counters import Counting, loads
from pfcompile.cbpf.isa import Instruction
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Let, Reject, successors, used_values
from pfcompile.ir.ranges import complement, normal
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
    from pfcompile.analysis.counters import Shortcut
    from pfcompile.ir.graph import Block, Graph, Label, Test
    from pfcompile.ir.values import Value
    from pfcompile.jit.scan.filter import Packet
    from pfcompile.jit.scan.tables import Tables
    from pfcompile.jit.scan.text import Text

Scanned: TypeAlias = Sequence[Instruction] | Counting
"""What a scan can have for a filter: a classic program, or a graph whose ways are counted."""

_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})
_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})


_End: TypeAlias = Callable[[], str]
"""Gives the label of where a value leads that cannot be computed."""


class Places:
    """Where the counters of some graphs lie, one graph behind the other, in 64-bit words."""

    def __init__(self) -> None:
        self._starts: dict[Counting, int] = {}
        self.words = 0

    def add(self, counting: Counting) -> None:
        """Make room for a graph's counters, its variables, and what its shortcuts find."""
        if counting not in self._starts:
            self._starts[counting] = self.words
            self.words += counting.words + len(_variables(counting)) + len(counting.shortcuts)

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
        *,
        takes_shortcuts: bool = True,
        checked: str | None = None,
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
            takes_shortcuts: Whether lists are asked for at once.
            checked: What the labels of the same graph begin with where it has been written with
                all checks: the terms behind shortcuts are not written again. None: they are.
        """
        self._takes_shortcuts = takes_shortcuts
        self._checked = checked
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
        found = behind + len(self._slots)
        self._found = {each: found + n for n, each in enumerate(counting.shortcut_at)}
        self._ends: list[Label] = []

    def write(self) -> str:
        """Write it; the text is then in a block of its own. Return the bit that is its verdict."""
        text = self._text
        self._increase(0)
        text.act(f"br label %{self._label(self._counting.graph.entry)}")
        left_out = self._left_out()
        for label in self._counting.graph.labels:
            if label not in left_out:
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
                    self._branch(label, block, self._test(partial(self._end, label), test))
                case Let() if self._takes_shortcut(label):
                    self._shortcut(label, self._counting.shortcut_at[label])
                case Let(variable=variable, value=value, next=after):
                    if variable in self._slots:
                        self._set(variable, self._value(partial(self._end, label), value))
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
        self._increase_at(self._word(self._start + number))

    def _increase_at(self, place: str) -> None:
        before, after = (f"%{self._text.new_label()}" for _ in range(2))
        self._text.act(f"{before} = load i64, ptr {place}")
        self._text.act(f"{after} = add i64 {before}, 1")
        self._text.act(f"store i64 {after}, ptr {place}")

    def _set(self, variable: Variable, number: str) -> None:
        # The block ends here, so that nothing in it has been loaded from there.
        self._text.act(f"store i32 {number}, ptr {self._word(self._slots[variable])}")

    def _takes_shortcut(self, label: Label) -> bool:
        """Return whether the terms of a list are asked for at once.

        That must not read less than they do, term by term: a packet that is cut off in what one of
        them reads ends the filter. Where the question is only whether none is true, they must read
        nothing but bytes that are known to be there.
        """
        shortcut = self._counting.shortcut_at.get(label)
        if shortcut is None or not self._takes_shortcuts:
            return False
        if shortcut.firsts is not None:
            return True
        return all(
            load.base is None and load.offset + load.size <= self._known
            for behind in self._behind(shortcut)
            for load in loads(self._counting.graph[behind])
        )

    def _behind(self, shortcut: Shortcut) -> set[Label]:
        """Return the blocks that packets come to only where a shortcut has no answer."""
        counting = self._counting
        found: set[Label] = set()
        ends = {counting.target(shortcut.true[0]), counting.target(shortcut.false[-1])}
        waiting = [counting.target(shortcut.begins[0])]
        while waiting:
            label = waiting.pop()
            if label not in ends and label not in found:
                found.add(label)
                waiting += successors(counting.graph[label])
        return found

    def _left_out(self) -> set[Label]:
        """Return the blocks that are not written here, since they are in the checked text."""
        found: set[Label] = set()
        for label, shortcut in self._counting.shortcut_at.items():
            if self._checked is not None and self._takes_shortcut(label):
                found |= self._behind(shortcut)
        return found

    def _shortcut(self, label: Label, shortcut: Shortcut) -> None:
        """Write the question for all terms of a list at once, and what follows from the answer."""
        text, counting, name = self._text, self._counting, self._label(label)
        first = self._start + counting.shortcut_counters[label]
        if shortcut.firsts is None:
            self._ask_whether(name, shortcut.any_of_them)
        else:
            self._ask_which(name, shortcut, first + 1)
            text.act(f"br label %{self._label(counting.target(shortcut.true[0]))}")
        text.begin(f"{name}.none")
        self._increase_at(self._word(first))
        text.act(f"br label %{self._label(counting.target(shortcut.false[-1]))}")
        text.begin(f"{name}.slow")
        where = self._name if self._checked is None else self._checked
        text.act(f"br label %{where}.b{counting.target(label)}")

    def _ask_whether(self, name: str, graph: Graph) -> None:
        """Write a graph whose ends are `none` for no term, and `slow` for any."""
        text = self._text

        def place(label: Label) -> str:
            match graph[label]:
                case Accept():
                    return f"{name}.slow"
                case Reject():
                    return f"{name}.none"
                case _:
                    return f"{name}.s{label}"

        text.act(f"br label %{place(graph.entry)}")
        for label in graph.labels:
            block = graph[label]
            if isinstance(block, Branch):
                text.begin(place(label))
                test = self._test(lambda: f"{name}.slow", block.test)
                text.act(f"br i1 {test}, label %{place(block.yes)}, label %{place(block.no)}")

    def _ask_which(self, name: str, shortcut: Shortcut, counters: int) -> None:
        """Write a graph that goes through all places, and keeps the first term that is true.

        It ends in `none`, in `slow` where bytes are missing, or goes on here after counting.
        """
        text, graph, firsts = self._text, shortcut.any_of_them, shortcut.firsts
        assert firsts is not None
        sets = (*firsts, complement(normal(each for ranges in firsts for each in ranges)))
        kept = self._word(self._found[shortcut.begins[0]])
        text.act(f"store i32 {len(firsts)}, ptr {kept}")
        text.act(f"br label %{name}.s{graph.entry}")
        for label in graph.labels:
            text.begin(f"{name}.s{label}")
            match graph[label]:
                case Branch(test=test, no=no) if isinstance(test.right, Numbers):
                    value = self._value(lambda: f"{name}.slow", test.left)
                    which = self._tables.which(text, value, sets)
                    before, after = (f"%{text.new_label()}" for _ in range(2))
                    text.act(f"{before} = load i32, ptr {kept}")
                    text.act(f"{after} = call i32 @llvm.umin.i32(i32 {before}, i32 {which})")
                    text.act(f"store i32 {after}, ptr {kept}")
                    text.act(f"br label %{name}.s{no}")
                case Branch(test=test, yes=yes, no=no):
                    bit = self._test(lambda: f"{name}.slow", test)
                    text.act(f"br i1 {bit}, label %{name}.s{yes}, label %{name}.s{no}")
                case Accept():
                    text.act("unreachable")  # every question for numbers goes on instead
                case Reject() | Let():
                    text.act(f"br label %{name}.asked")
        text.begin(f"{name}.asked")
        found = f"%{text.new_label()}"
        text.act(f"{found} = load i32, ptr {kept}")
        any_ = text.value(f"icmp ult i32 {found}, {len(firsts)}")
        text.act(f"br i1 {any_}, label %{name}.hit, label %{name}.none")
        text.begin(f"{name}.hit")
        index = text.value(f"zext i32 {found} to i64")
        number = text.value(f"add i64 {index}, {counters}")
        self._increase_at(text.value(f"getelementptr i64, ptr %{COUNTERS}, i64 {number}"))

    # Values

    def _test(self, end: _End, test: Test) -> str:
        left = self._value(end, test.left)
        if isinstance(test.right, Numbers):
            return self._tables.member(self._text, left, test.right.ranges)
        right = self._value(end, test.right)
        if test.op is Comparison.SET:
            shared = self._text.value(f"and i32 {left}, {right}")
            return self._text.value(f"icmp ne i32 {shared}, 0")
        return self._text.value(f"icmp {PREDICATES[test.op]} i32 {left}, {right}")

    def _value(self, end: _End, value: Value) -> str:
        """Write a value; return the name of its 32 bits."""
        text = self._text
        match value:
            case Const(value=k):
                return str(k)
            case Load():
                return self._load(end, value)
            case PacketLength():
                return self._packet.wire
            case Variable():
                return text.value(f"load i32, ptr {self._word(self._slots[value])}")
            case Arithmetic():
                return self._arithmetic(end, value)
            case Ancillary():
                raise _CannotBeComputedError  # a capture file has no metadata
            case Numbers():
                raise AssertionError
            case _:
                assert_never(value)

    def _load(self, end: _End, value: Load) -> str:
        text, size = self._text, value.size
        if value.base is None:
            stop = value.offset + size
            if stop > self._known:
                self._guard(end, f"icmp uge i64 {self._packet.captured}, {stop}")
            return packet_number(text, self._packet, size, str(value.offset))
        base = self._value(end, value.base)
        most = greatest(ArithmeticOp.ADD, text.most(base), value.offset)
        sum_ = text.value(f"add i32 {base}, {value.offset}", most=most)
        offset = text.value(f"zext i32 {sum_} to i64")
        behind = text.value(f"add i64 {offset}, {size}")
        self._guard(end, f"icmp ule i64 {behind}, {self._packet.captured}")
        return packet_number(text, self._packet, size, offset)

    def _guard(self, end: _End, condition: str) -> None:
        """End the filter unless the condition holds."""
        text = self._text
        holds = text.value(condition)
        on = text.new_label()
        text.act(f"br i1 {holds}, label %{on}, label %{end()}, !prof !0")
        text.begin(on)

    def _arithmetic(self, end: _End, value: Arithmetic) -> str:
        text, op = self._text, value.op
        left, right = (self._value(end, each) for each in (value.left, value.right))
        if op in _DIVISIONS:
            self._guard(end, f"icmp ne i32 {right}, 0")
        if op in _SHIFTS:
            right = text.value(f"and i32 {right}, 31", most=31)
        most = greatest(op, text.most(left), text.most(right))
        return text.value(f"{OPERATIONS[op]} i32 {left}, {right}", most=most)
