"""Questions about classic programs, answered for every packet at once.

All of them have one form: is there a packet that no program reads past the end of, and whose
verdicts are thus and so? z3 says no, or gives one. A packet that it gives is made as short as the
reads allow, with zeros where nothing reads, and every program is run on it before it is believed:
by the interpreter, which does what a kernel does. Only where a program shifts by 32 or more, which
gives 0 here, may a kernel return something else; what it returns then is told with the packet.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from pfcompile.cbpf.interpreter import run
from pfcompile.errors import InternalError, ProgramError
from pfcompile.prove.packet import GREATEST_LENGTH, SymbolicPacket, all_within
from pfcompile.prove.result import Undecided, Witness
from pfcompile.prove.solver import z3
from pfcompile.prove.walk import Return, read_program
from pfcompile.prove.words import at_most, both, either, negation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.prove.packet import Read
    from pfcompile.prove.verdicts import VerdictTest
    from pfcompile.prove.words import Condition, Word

TIMEOUT_MS: Final = 5000
"""How long the solver may take if nobody says, in milliseconds."""

SHORT: Final = 2048
"""A packet longer than this, in bytes, is tried again with this for its limit."""

LONGEST_SHOWN: Final = 1 << 27
"""The longest packet that is built, in bytes: the largest snapshot length that libpcap gives any
link type (D-Bus, USBPcap)."""


class Limits(TypedDict, total=False):
    """What every question can be asked with.

    Attributes:
        timeout_ms: How long the solver may take for all answers together, in milliseconds, at
            least 1; `TIMEOUT_MS` by default.
        real_lengths: Whether to consider only packets whose wire length is at least their captured
            length, as in captures; by default the wire length is any 32-bit word.
    """

    timeout_ms: int
    real_lengths: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a model of the solver says about the packet.

    Attributes:
        length: Where the last read ends, in bytes.
        values: The bytes that are read, by offset.
        wire_length: The length on the wire, or None if no program asks for it.
        ancillary: The metadata words that a program may read.
        verdicts: What each program returns.
        shifts_far: Whether a program shifts by 32 or more.
    """

    length: int
    values: dict[int, int]
    wire_length: int | None
    ancillary: dict[int, int]
    verdicts: tuple[int, ...]
    shifts_far: bool


class Question:
    """Some programs read on one unknown packet, about which any number of things can be asked."""

    def __init__(self, programs: Sequence[Sequence[Instruction]], **limits: Unpack[Limits]) -> None:
        """Read the programs.

        Args:
            programs: Classic programs without loops, of any length.
            **limits: As in `Limits`.

        Raises:
            ProgramError: A program is not valid, or has a loop.
        """
        self._programs = programs
        self._packet = SymbolicPacket()
        self._ends: list[list[Return]] = []
        self._reads: list[list[Read]] = []
        for program in programs:
            before = len(self._packet.reads)
            self._ends.append(read_program(program, self._packet))
            self._reads.append(self._packet.reads[before:])
        self._real_lengths = limits.get("real_lengths", False)
        self._deadline = time.monotonic() + limits.get("timeout_ms", TIMEOUT_MS) / 1000

    def find(self, wanted: VerdictTest) -> Witness | Undecided | None:
        """Return a packet whose verdicts are as `wanted` says; None if there is none."""
        condition = wanted.formula(self._ends)
        if condition is False:
            return None
        # A solver that has been asked before is a slower one: it must be able to take things back.
        solver = z3.SolverFor("QF_BV")
        solver.add(condition)
        outcome = self._check(solver)
        if outcome == z3.sat:
            # Only now say what makes the bytes those of one packet, and of one long enough. When
            # programs agree they mostly do so for any bytes at all, and building the ties between
            # offsets takes longer than everything else.
            solver.add(*self._of_one_packet())
            outcome = self._check(solver)
        if outcome == z3.unsat:
            return None
        if outcome == z3.unknown:
            return Undecided(f"the solver gave up: {solver.reason_unknown()}")
        reading = self._shortened(solver, self._reading(solver.model()))
        if reading.length > LONGEST_SHOWN:
            return Undecided(f"found no packet of {LONGEST_SHOWN} bytes or fewer, only longer ones")
        return self._witness(reading, wanted)

    def is_known_never(self, unwanted: VerdictTest) -> bool:
        """Return whether no packet has such verdicts, wherever its captured bytes end.

        Here a load past the end makes a program return 0. False also where the time ran out.
        """
        captured = z3.BitVec("captured", 32)
        ends = [
            cut(ends, all_within(reads, captured))
            for ends, reads in zip(self._ends, self._reads, strict=True)
        ]
        facts = [at_most(captured, GREATEST_LENGTH)]
        if self._real_lengths and self._packet.asks_for_wire_length:
            facts.append(at_most(captured, self._packet.wire_length))
        return self._is_impossible(unwanted.formula(ends), facts)

    def may_shift_far(self) -> bool:
        """Return whether a program shifts by an X of 32 or more on a packet that none reads past.

        True also where the time ran out.
        """
        return not self._is_impossible(either(self._packet.far_shifts), self._long_enough())

    def _is_impossible(self, condition: Condition, facts: Sequence[Condition]) -> bool:
        """Return whether it is known that `condition` never holds where `facts` do."""
        if condition is False:
            return True
        solver = z3.SolverFor("QF_BV")
        solver.add(condition, *facts)
        # As in `find`, most is known without the ties.
        outcome = self._check(solver)
        if outcome == z3.sat:
            solver.add(*self._packet.ties())
            outcome = self._check(solver)
        return bool(outcome == z3.unsat)

    def _check(self, solver: z3.Solver) -> z3.CheckSatResult:
        left = self._deadline - time.monotonic()
        # 0 would mean no limit.
        solver.set("timeout", max(1, int(left * 1000)))
        return solver.check()

    def _of_one_packet(self) -> list[Condition]:
        return [*self._packet.ties(), *self._long_enough()]

    def _long_enough(self) -> list[Condition]:
        packet = self._packet
        facts = packet.all_within(GREATEST_LENGTH)
        if self._real_lengths and packet.asks_for_wire_length:
            facts += packet.all_within(packet.wire_length)
        return facts

    def _shortened(self, solver: z3.Solver, reading: _Reading) -> _Reading:
        """Return a reading of a short packet if there is one, else `reading`."""
        for limit in (SHORT, LONGEST_SHOWN):
            if reading.length <= limit:
                break
            solver.push()
            solver.add(*self._packet.all_within(limit))
            if self._check(solver) == z3.sat:
                reading = self._reading(solver.model())
            solver.pop()
        return reading

    def _reading(self, model: z3.ModelRef) -> _Reading:
        packet = self._packet
        values: dict[int, int] = {}
        length = 0
        for read in packet.reads:
            if not _holds(model, read.reached):
                continue
            start = _word(model, read.address.word)
            length = max(length, start + read.size)
            for step in range(read.size):
                values[start + step] = _word(model, packet.byte(read.address.plus(step)))
        return _Reading(
            length,
            values,
            _word(model, packet.wire_length) if packet.asks_for_wire_length else None,
            {int(word): _word(model, value) for word, value in packet.ancillary.items()},
            tuple(_verdict(model, ends) for ends in self._ends),
            any(_holds(model, far) for far in packet.far_shifts),
        )

    def _witness(self, reading: _Reading, wanted: VerdictTest) -> Witness | Undecided:
        """Return the packet of `reading`, after running every program on it.

        Raises:
            InternalError: A program does something else than the solver says.
        """
        content = bytearray(reading.length)
        for offset, value in reading.values.items():
            content[offset] = value
        packet = bytes(content)
        wire_length = len(packet) if reading.wire_length is None else reading.wire_length
        found = Witness(packet, wire_length, reading.verdicts, reading.ancillary)
        ran = tuple(
            _run(program, found, expected)
            for program, expected in zip(self._programs, reading.verdicts, strict=True)
        )
        if self._packet.is_searched:
            if not wanted.shows(ran):
                return Undecided("it hangs on where a netlink attribute lies in the packet")
            return replace(found, verdicts=ran)
        if ran == reading.verdicts:
            return found
        if reading.shifts_far:
            return replace(found, in_kernel=ran)
        raise InternalError(f"the programs return {ran} on the solver's packet: {found}")


def cut(ends: Sequence[Return], fits: Sequence[Condition]) -> list[Return]:
    """Return how a program ends where a load past the captured bytes ends it with 0.

    Args:
        ends: How it ends if they never end.
        fits: That they reach to each of its loads.
    """
    too_short = either([negation(each) for each in fits])
    return [
        *(Return(both(end.reached, negation(too_short)), end.value) for end in ends),
        Return(too_short, 0),
    ]


def _run(program: Sequence[Instruction], found: Witness, expected: int) -> int:
    """Return what a kernel does with a packet; what is expected, where none would do it.

    That is so for programs that a kernel refuses for anything but their length, such as those with
    a division by a constant zero.
    """
    try:
        return run(program, found.packet, found.wire_length, found.ancillary)
    except ProgramError:
        return expected


def _holds(model: z3.ModelRef, condition: Condition) -> bool:
    if isinstance(condition, bool):
        return condition
    return bool(z3.is_true(model.eval(condition, model_completion=True)))


def _word(model: z3.ModelRef, value: Word) -> int:
    if isinstance(value, int):
        return value
    return int(model.eval(value, model_completion=True).as_long())


def _verdict(model: z3.ModelRef, ends: Sequence[Return]) -> int:
    """Return the value of the one end that is reached."""
    return next(_word(model, end.value) for end in ends if _holds(model, end.reached))
