"""How control passes from instruction to instruction.

Jumps of classic BPF go forward only, so each instruction is written once, when all ways to it are
known. There are two manners of writing a way:

* `Branches`: blocks and branches, and phis where ways meet. Work is done only where it is needed.
* `Conditions`: no branch at all. Everything is computed for every packet; with each instruction
  goes the bit that says whether control would reach it, and where ways meet, `select` chooses.
  On mixed traffic this takes half the time of branches, as long as the program is short, since no
  branch is ever mispredicted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.isa import SCRATCH_WORDS
from pfcompile.jit.scan.text import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pfcompile.jit.scan.text import Text


class Registers(NamedTuple):
    """The filter's registers at one place, as names of 32-bit values.

    Attributes:
        a: The accumulator.
        x: The index.
        scratch: M[0] to M[15].
        known: So many bytes of the packet are known to be captured on every way here.
    """

    a: str = "0"
    x: str = "0"
    scratch: tuple[str, ...] = ("0",) * SCRATCH_WORDS
    known: int = 0


class Arrival(NamedTuple):
    """One way to an instruction.

    Attributes:
        way: With branches the label of the block it comes from, with conditions the bit that says
            whether it is taken.
        registers: What they hold on this way.
    """

    way: str
    registers: Registers


_LONGEST_INDEX: Final = 64
"""Indexes that cannot be more are the lengths of IP headers, also with a tag, if anything."""

_EXPECTED_BEHIND: Final = 34
"""Loads behind such an index that end here or before are of an Ethernet, an IP and a TCP header: a
packet that has the first two has what is asked for in the third."""


_SHORTEST: Final = 42
"""Bytes that nearly all frames have: those of an ARP packet, or of a UDP packet without data. To
ask whether a packet has so many takes less than to ask whether that matters."""


class Expected:
    """Loads that packets have for which they are reached, with one check instead of one for each.

    Where it does not hold, what was written with it means nothing, and all is done again with every
    check. Packets for which that is so must be rare: they have been cut.

    Attributes:
        instead: The label of the block that does it again.
    """

    def __init__(self, text: Text, instead: str) -> None:
        """Begin with nothing expected."""
        self.instead = instead
        self._text = text
        self._ends: dict[str, int] = {}
        self._reached: dict[str, str] = {}

    def add(self, index: str, end: int, reached: str) -> None:
        """Expect the packet to have `end` bytes behind those of an index, a value of 32 bits.

        Args:
            index: The index.
            end: How many bytes.
            reached: The bit that says whether control comes to what loads them.
        """
        self._ends[index] = max(end, self._ends.get(index, 0))
        self._reached[index] = self._text.either(self._reached.get(index, FALSE), reached)

    def write(self, captured: str) -> str:
        """Write whether a packet with so many bytes has all that is expected; return the bit."""
        text, bit = self._text, TRUE
        for index, behind in self._ends.items():
            end = text.value(f"add i64 {text.value(f'zext i32 {index} to i64')}, {behind}")
            fits = text.value(f"icmp ule i64 {end}, {captured}")
            reached = self._reached[index]
            bit = text.both(bit, fits if reached == TRUE else text.either(fits, text.not_(reached)))
        return bit


class Flow(ABC):
    """A manner of writing control flow. What it ends with is in `match` when all is written."""

    def __init__(self, text: Text) -> None:
        self.text = text

    @abstractmethod
    def join(self, position: int, arrivals: Sequence[Arrival]) -> Registers:
        """Go on with the instruction at `position`, to which all of `arrivals` lead."""

    @abstractmethod
    def follow(self, position: int) -> str:
        """Return the way from here to the instruction at `position`, where nothing is tested."""

    @abstractmethod
    def fork(self, condition: str, then: int, otherwise: int) -> tuple[str, str]:
        """Return the ways to two instructions: where `condition` holds and where it does not."""

    @abstractmethod
    def dispatch(self, number: str, targets: Sequence[int]) -> list[str]:
        """Return the ways to several instructions, of which `number` says the one to take."""

    @abstractmethod
    def guard(self, condition: str) -> None:
        """End the filter without a match unless `condition` holds."""

    def expect(self, index: str, end: int) -> bool:
        """Return whether a load that ends `end` bytes behind an index will be checked later."""
        del index, end
        return False

    @abstractmethod
    def guarded(self, condition: str, kind: str, number: str, instead: str) -> str:
        """Return `number`, or something harmless where a guard on `condition` has not held."""

    @abstractmethod
    def end(self, match: str) -> None:
        """End the filter; the bit `match` is its verdict."""

    @abstractmethod
    def reject(self) -> None:
        """End the filter without a match."""


class Branches(Flow):
    """Control flow as branches.

    The verdict goes to the block `done`: `verdicts` are its phi's entries.
    """

    def __init__(self, text: Text, done: str, targets: Collection[int]) -> None:
        """Begin in the text's present block.

        Args:
            text: Where it is written.
            done: The label of the block that follows the filter.
            targets: The instructions that begin a block, since jumps lead to them.
        """
        super().__init__(text)
        self._done = done
        self._targets = targets
        self._prefix = text.new_label()
        self.verdicts: list[tuple[str, str]] = []
        self._rejects = False

    def join(self, position: int, arrivals: Sequence[Arrival]) -> Registers:
        """Begin a block if a jump leads here, with phis where the ways differ."""
        if position not in self._targets:
            return arrivals[0].registers
        self.text.begin(self._label(position))
        known = min(arrival.registers.known for arrival in arrivals)
        return _merged(arrivals, self._phi, known)

    def follow(self, position: int) -> str:
        """Jump to a block, or just go on."""
        if position in self._targets:
            self.text.act(f"br label %{self._label(position)}")
        return self.text.label

    def fork(self, condition: str, then: int, otherwise: int) -> tuple[str, str]:
        """Branch."""
        yes, no = self._label(then), self._label(otherwise)
        self.text.act(f"br i1 {condition}, label %{yes}, label %{no}")
        return self.text.label, self.text.label

    def dispatch(self, number: str, targets: Sequence[int]) -> list[str]:
        """Branch."""
        ways = " ".join(
            f"i32 {index}, label %{self._label(target)}" for index, target in enumerate(targets)
        )
        self.text.act(f"switch i32 {number}, label %{self._label(targets[0])} [{ways}]")
        return [self.text.label] * len(targets)

    def guard(self, condition: str) -> None:
        """Leave unless the condition holds."""
        label = self.text.new_label()
        self.text.act(f"br i1 {condition}, label %{label}, label %{self._reject_label}")
        self._rejects = True
        self.text.begin(label)

    def guarded(self, condition: str, kind: str, number: str, instead: str) -> str:
        """Return the number: where the guard has not held, this is not reached."""
        del condition, kind, instead
        return number

    def end(self, match: str) -> None:
        """Go to where the verdict is used."""
        self.verdicts.append((match, self.text.label))
        self.text.act(f"br label %{self._done}")

    def reject(self) -> None:
        """Go to where nothing matches."""
        self._rejects = True
        self.text.act(f"br label %{self._reject_label}")

    def close(self) -> None:
        """Write the block that all rejections share, once the program is written."""
        if self._rejects:
            self.text.begin(self._reject_label)
            self.end(FALSE)

    @property
    def _reject_label(self) -> str:
        return f"{self._prefix}.reject"

    def _label(self, position: int) -> str:
        return f"{self._prefix}.{position}"

    def _phi(self, arrivals: Sequence[Arrival], values: Sequence[str]) -> str:
        entries = (
            f"[{value}, %{arrival.way}]" for arrival, value in zip(arrivals, values, strict=True)
        )
        most = max(map(self.text.most, values))
        return self.text.value(f"phi i32 {', '.join(entries)}", most=most)


class Conditions(Flow):
    """Control flow as conditions.

    Attributes:
        match: The bit that says whether the filter has ended with a match.
    """

    def __init__(self, text: Text, expected: Expected | None = None) -> None:
        """Begin in the text's present block.

        Args:
            text: Where it is written.
            expected: Takes the loads that are checked together; None: each is checked for itself.
        """
        super().__init__(text)
        self.match = FALSE
        self._here = TRUE
        self._expected = expected

    @property
    def always(self) -> bool:
        """Whether control has come here for certain: nothing was tested, no guard was needed."""
        return self._here == TRUE

    def join(self, position: int, arrivals: Sequence[Arrival]) -> Registers:
        """Choose by the ways' conditions, of which at most one holds."""
        del position
        self._here = reduce(self.text.either, (arrival.way for arrival in arrivals))
        known = min(arrival.registers.known for arrival in arrivals)
        return _merged(arrivals, self._select, known)

    def follow(self, position: int) -> str:
        """Return the present condition."""
        del position
        return self._here

    def fork(self, condition: str, then: int, otherwise: int) -> tuple[str, str]:
        """Return the present condition with the test's outcome added."""
        del then, otherwise
        yes = self.text.both(self._here, condition)
        return yes, self.text.both(self._here, self.text.not_(condition))

    def dispatch(self, number: str, targets: Sequence[int]) -> list[str]:
        """Return the present condition with each outcome added."""
        return [
            self.text.both(self._here, self.text.value(f"icmp eq i32 {number}, {index}"))
            for index, _ in enumerate(targets)
        ]

    def guard(self, condition: str) -> None:
        """Add to the present condition."""
        self._here = self.text.both(self._here, condition)

    def expect(self, index: str, end: int) -> bool:
        """Let a load near the packet's start be checked together with others."""
        near = end <= _EXPECTED_BEHIND and self.text.most(index) <= _LONGEST_INDEX
        if self._expected is None or not near:
            return False
        certain = self.text.most(index) + end <= _SHORTEST
        self._expected.add(index, end, TRUE if certain else self._here)
        return True

    def guarded(self, condition: str, kind: str, number: str, instead: str) -> str:
        """Choose, since what follows is computed in any case."""
        return self.text.value(f"select i1 {condition}, {kind} {number}, {kind} {instead}")

    def end(self, match: str) -> None:
        """Add to the matches."""
        if match != FALSE:
            self.match = self.text.either(self.match, self.text.both(self._here, match))

    def reject(self) -> None:
        """Do nothing: what is not added does not match."""

    def _select(self, arrivals: Sequence[Arrival], values: Sequence[str]) -> str:
        # What no way leads to has the first: the length of its header, if it has one, and not that
        # of another protocol, which is a constant and might lie behind a short packet.
        (_, chosen), *others = sorted(
            zip(arrivals, values, strict=True), key=lambda way: way[1].isdecimal()
        )
        most = max(map(self.text.most, values))
        for arrival, value in others:
            if value != chosen:
                choice = f"select i1 {arrival.way}, i32 {value}, i32 {chosen}"
                chosen = self.text.value(choice, most=most)
        return chosen


def _merged(
    arrivals: Sequence[Arrival],
    choose: Callable[[Sequence[Arrival], Sequence[str]], str],
    known: int,
) -> Registers:
    """Return the registers where several ways meet."""

    def one(values: Sequence[str]) -> str:
        return values[0] if len(set(values)) == 1 else choose(arrivals, values)

    all_registers = [arrival.registers for arrival in arrivals]
    a = one([each.a for each in all_registers])
    x = one([each.x for each in all_registers])
    scratch = all_registers[0].scratch
    if any(each.scratch != scratch for each in all_registers):
        words = zip(*(each.scratch for each in all_registers), strict=True)
        scratch = tuple(one(values) for values in words)
    return all_registers[0]._replace(a=a, x=x, scratch=scratch, known=known)
