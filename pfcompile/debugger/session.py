"""A program on the packets of a capture: where it is, and all the ways to go on, or back.

A session knows no terminal and writes no text: every deed gives a `Stop`, and what cannot be done
raises a Mistake and changes nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from threading import Event
from typing import TYPE_CHECKING, Final

from pfcompile.debugger.breakpoints import Breakpoint
from pfcompile.debugger.course import Course
from pfcompile.debugger.expressions import Expression, Vocabulary, evaluate, parse
from pfcompile.debugger.mistakes import Mistake
from pfcompile.debugger.stops import MapView, Reason, Stop, View
from pfcompile.ebpf.maps.vocabulary import MapType
from pfcompile.errors import CaptureError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pfcompile.captures.formats.records import Record
    from pfcompile.debugger.machines import Code, End, Run
    from pfcompile.debugger.packets import Packets
    from pfcompile.ebpf.maps.vocabulary import Map

RUN_NAMES: Final = ("pc", "packet", "steps", "len", "caplen")
"""What an expression can name besides registers."""

_ARRAYS: Final = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})
_LOOK_UP: Final = 1024
"""Instructions between looks whether somebody wants to stop."""


class Session:
    """A program on the packets of a capture.

    Attributes:
        breakpoints: Where runs stop, by number.

    Args:
        packets: The packets.
        code_for: Gives the program for a packet, the same one for the same kind of packets.

    Raises:
        CaptureError: The capture has no packet, or cannot be read.
        FilterError: The expression is wrong for the first packet's link type.
    """

    def __init__(self, packets: Packets, code_for: Callable[[Record], Code]) -> None:
        self.breakpoints: dict[int, Breakpoint] = {}
        self._packets = packets
        self._code_for = code_for
        self._courses: dict[Code, Course] = {}
        self._last_number = 0
        self._interrupted = Event()
        record = packets.get(1)
        if record is None:
            raise packets.damage or CaptureError("there are no packets in it", packets.name)
        self._number, self._record = 1, record
        self._code, self._run = self._begin(1, record)

    @property
    def code(self) -> Code:
        """The program for the packet."""
        return self._code

    @property
    def number(self) -> int:
        """The packet's number."""
        return self._number

    @property
    def vocabulary(self) -> Vocabulary:
        """What expressions can be about."""
        return Vocabulary((*self._code.names, *RUN_NAMES), self._code.memories)

    def view(self) -> View:
        """Return what there is to see."""
        run = self._run
        return View(
            self._number,
            self._record,
            self._code,
            run.position,
            run.steps,
            run.end,
            tuple(run.registers()),
            tuple(run.regions()),
            tuple(_map_view(number, each) for number, each in self._code.maps.items()),
            run.packet,
            run.access,
            tuple(run.printed),
        )

    def stop_here(self) -> Stop:
        """Return a stop where it is, for the start."""
        return Stop(Reason.BEGIN, self.view())

    # Expressions; `Session` is their `Scope`.

    @property
    def bits(self) -> int:
        """How wide results are."""
        return self._code.bits

    def value(self, name: str) -> int:
        """Return what a name stands for; raises Mistake where this program has no such register."""
        match name:
            case "pc":
                return self._run.position
            case "packet":
                return self._number
            case "steps":
                return self._run.steps
            case "len":
                return self._record.wire_length
            case "caplen":
                return len(self._record.data)
        found = self._run.value(name)
        if found is None:
            raise Mistake(f"there is no register {name} here")
        return found

    def load(self, memory: str, at: int, size: int) -> int:
        """Return what is in memory; raises Mistake where there is nothing."""
        return self._run.load(memory, at, size)

    def evaluate(self, text: str) -> int:
        """Return the value of an expression; raises Mistake."""
        return evaluate(self.parse(text), self)

    def parse(self, text: str) -> Expression:
        """Return the expression that a text spells; raises Mistake."""
        return parse(text, self.vocabulary)

    # Breakpoints.

    def add_breakpoint(
        self,
        what: str,
        where: Callable[[Code], frozenset[int]] | None = None,
        condition: Expression | None = None,
        watched: Expression | None = None,
    ) -> Breakpoint:
        """Add a breakpoint and return it; see `Breakpoint`."""
        self._last_number += 1
        added = Breakpoint(self._last_number, what, where, condition, watched)
        added.look(self)
        self.breakpoints[added.number] = added
        return added

    def delete_breakpoint(self, number: int) -> Breakpoint:
        """Take a breakpoint away and return it; raises Mistake where there is none."""
        if number not in self.breakpoints:
            known = ", ".join(map(str, self.breakpoints)) or "there are none"
            raise Mistake(f"there is no breakpoint {number}", f"breakpoints: {known}")
        return self.breakpoints.pop(number)

    def interrupt(self) -> None:
        """Make the deed that another thread is at, or begins, stop as soon as it can."""
        self._interrupted.set()

    def forget_interrupt(self) -> None:
        """Let deeds run again; whoever can interrupt does this before each."""
        self._interrupted.clear()

    # Within a packet.

    def step(self, count: int = 1) -> Stop:
        """Run up to `count` instructions, to the first breakpoint or the program's end."""
        before = self.view()
        if before.end is not None:
            return Stop(Reason.NOWHERE, before, before, note="the program has ended on this packet")
        hits = self._go(count)
        is_done = self._run.end is not None or self._run.steps == before.steps + count
        return self._stop(Reason.STEP if is_done else Reason.INTERRUPT, before, hits)

    def back(self, count: int = 1) -> Stop:
        """Go back up to `count` instructions, but not to before the packet's first one."""
        before = self.view()
        if before.steps == 0:
            note = "this is the packet's first instruction"
            return Stop(Reason.NOWHERE, before, before, note=note)
        steps = max(0, before.steps - count)
        self._go_to(self._number, steps)
        return self._stop(Reason.STEP if steps else Reason.BEGIN, before)

    # From packet to packet.

    def resume(self, verdicts: int | None = 1) -> Stop:
        """Run to a breakpoint or the program's end; from there, on the next packet.

        Args:
            verdicts: How often the program may end; None for on all packets to come.

        Raises:
            FilterError: The expression is wrong for the next packet's link type. Of a later
                packet the stop before it says so.
        """
        before = self.view()
        seen: Counter[End] = Counter()
        while True:
            hits: tuple[Breakpoint, ...] = ()
            if self._run.end is not None:
                if self._packets.get(self._number + 1) is None:
                    reason = Reason.END if seen else Reason.NOWHERE
                    return self._stop(reason, before, (), self._no_more(), seen)
                try:
                    self._enter(self._number + 1)
                except PfcompileError as error:
                    if not seen:
                        raise
                    return self._stop(Reason.END, before, (), str(error), seen)
                hits = self._arrive(is_first=True)
            hits = hits or self._go(None)
            if hits or self._run.end is None:
                return self._stop(Reason.INTERRUPT, before, hits, "", seen)
            seen[self._run.end] += 1
            if seen.total() == verdicts:
                return self._stop(Reason.END, before, (), "", seen)
            if self._interrupted.is_set():
                return self._stop(Reason.INTERRUPT, before, (), "", seen)

    def select(self, number: int) -> Stop:
        """Go to a packet's first instruction; raises Mistake where there is no such packet."""
        before = self.view()
        if number < 1:
            raise Mistake(f"there is no packet {number}", "they are counted from 1")
        self._go_to(number, 0)
        return self._stop(Reason.BEGIN, before)

    def next_packet(self, *, keeps: bool | None = None) -> Stop:
        """Go to the first instruction of the next packet; breakpoints on the way do not count.

        Args:
            keeps: Whether the program must match it, or must not; None where that is all the same.
        """
        return self._find(itertools.count(self._number + 1), keeps, self._no_more)

    def previous_packet(self, *, keeps: bool | None = None) -> Stop:
        """Go to the first instruction of the packet before; as `next_packet`."""
        numbers = range(self._number - 1, 0, -1)
        return self._find(numbers, keeps, lambda: "packet 1 is the first one")

    def _find(self, numbers: Iterable[int], keeps: bool | None, nowhere: Callable[[], str]) -> Stop:
        before = self.view()
        try:
            for number in numbers:
                if self._packets.get(number) is None:
                    break
                self._enter(number)
                end = None if keeps is None else self._finish()
                if keeps is None or (end is not None and end.keeps == keeps):
                    self._go_to(number, 0)
                    return self._stop(Reason.BEGIN, before)
                if self._interrupted.is_set():
                    self._go_to(number, 0)
                    return self._stop(Reason.INTERRUPT, before)
        except PfcompileError:
            self._go_to(before.number, before.steps)
            raise
        self._go_to(before.number, before.steps)
        kind = {None: "", True: "no more packets match: ", False: "all other packets match: "}
        return self._stop(Reason.NOWHERE, before, (), kind[keeps] + nowhere())

    # How it is done.

    def _begin(self, number: int, record: Record) -> tuple[Code, Run]:
        """Return the program for a packet, and its run."""
        code = self._code_for(record)
        if code not in self._courses:
            maps = code.maps.values()
            self._courses[code] = Course(maps, lambda earlier: self._run_through(code, earlier))
        self._courses[code].prepare(number)
        return code, code.start(record, number)

    def _run_through(self, code: Code, number: int) -> None:
        record = self._packets.get(number)
        assert record is not None
        run = code.start(record, number)
        while run.end is None:
            run.step()

    def _enter(self, number: int) -> None:
        """Begin a run on a packet.

        Raises:
            Mistake: There is no such packet, or it cannot be had any more.
            FilterError: The expression is wrong for its link type.
        """
        record = self._record if number == self._number else self._packets.get(number)
        if record is None:
            raise Mistake(f"there is no packet {number}", self._no_more())
        self._code, self._run = self._begin(number, record)
        self._number, self._record = number, record

    def _go_to(self, number: int, steps: int) -> None:
        """Go to where `steps` instructions were run on a packet."""
        self._enter(number)
        for _ in range(steps):
            self._run_one()
        for each in self.breakpoints.values():
            each.look(self)

    def _run_one(self) -> None:
        self._run.step()
        if self._run.end is not None:
            self._courses[self._code].ended(self._number)

    def _finish(self) -> End | None:
        """Run to the end and return it; None where somebody wants to stop."""
        while self._run.end is None:
            self._run_one()
            if not self._run.steps % _LOOK_UP and self._interrupted.is_set():
                break
        return self._run.end

    def _go(self, most: int | None) -> tuple[Breakpoint, ...]:
        """Run on to a breakpoint, the end, or `most` instructions; return the breakpoints."""
        run = self._run
        last = None if most is None else run.steps + most
        while run.end is None and run.steps != last:
            self._run_one()
            hits = self._arrive() if self.breakpoints and run.end is None else ()
            if hits:
                return hits
            if not run.steps % _LOOK_UP and self._interrupted.is_set():
                break
        return ()

    def _arrive(self, *, is_first: bool = False) -> tuple[Breakpoint, ...]:
        """Return the breakpoints that stop a run here, where it has just come to."""
        code, position = self._code, self._run.position
        hits = tuple(
            each
            for each in self.breakpoints.values()
            if each.stops(code, position, self, is_first=is_first)
        )
        for each in hits:
            each.hits += 1
        return hits

    def _stop(
        self,
        reason: Reason,
        before: View,
        hits: tuple[Breakpoint, ...] = (),
        note: str = "",
        seen: Counter[End] | None = None,
    ) -> Stop:
        """Return a stop here; what is to be seen may overrule the reason."""
        view = self.view()
        if hits:
            reason = Reason.BREAK
        elif view.end is not None and reason is Reason.STEP:
            reason = Reason.END
        return Stop(reason, view, before, hits, note, tuple((seen or {}).items()))

    def _no_more(self) -> str:
        """Return what is said at the end of the capture."""
        text = f"packet {self._packets.last} is the last one"
        damage = self._packets.damage
        return text if damage is None else f"{text}, for the capture is damaged: {damage}"


def _map_view(number: int, map_: Map) -> MapView:
    spec = map_.spec
    zeros = spec.value_size if spec.type in _ARRAYS else None
    return MapView(spec.name or f"{number}", tuple(map_.entries()), zeros)
