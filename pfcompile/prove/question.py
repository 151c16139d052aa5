"""Questions about classic programs, answered for every packet at once.

All of them have one form: is there a packet that no program reads past the end of, and whose
verdicts are thus and so? z3 says no, or gives one. A packet that it gives is made as short as the
reads allow, with zeros where nothing reads, and every program is run on it before it is believed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.isa import ROW_OF, Operand
from pfcompile.errors import InternalError, ProgramError
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.prove.packet import GREATEST_LENGTH, SymbolicPacket
from pfcompile.prove.result import Different, Equal, Holds, Undecided, Witness
from pfcompile.prove.solver import z3
from pfcompile.prove.walk import Return, read_program
from pfcompile.prove.words import Condition, Word, both, choose, either, equal, negation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.cbpf.isa import Instruction

TIMEOUT_MS: Final = 5000

_SHIFTS: Final = frozenset({ArithmeticOp.LSH, ArithmeticOp.RSH})

SHORT: Final = 2048
"""A packet longer than this, in bytes, is tried again with this for its limit."""

LONGEST_SHOWN: Final = 1 << 27
"""The longest packet that is built, in bytes: the largest snapshot length that libpcap gives any
link type (D-Bus, USBPcap)."""


def prove(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Equal | Different | Undecided:
    """Say whether `a` and `b` return the same on every packet that neither reads past the end of.

    What the words of a program mean here is told at the top of `walk`.

    Args:
        a: A classic program without loops, of any length.
        b: Another.
        timeout_ms: How long the solver may take, in milliseconds.
        real_lengths: Consider only packets whose wire length is at least their captured length,
            as in captures; otherwise the wire length is any 32-bit word.

    Raises:
        ProgramError: A program is not valid, or has a loop.
    """
    question = _Question((a, b), real_lengths=real_lengths, timeout_ms=timeout_ms)
    answer = question.find(_differ(*question.ends), lambda first, second: first != second)
    match answer:
        case None:
            return Equal()
        case Undecided():
            return answer
        case Witness(verdicts=verdicts):
            first, second = verdicts
            return Different(answer.packet, answer.wire_length, (first, second), answer.ancillary)


def implies(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Holds | Witness | Undecided:
    """Say whether `b` accepts whatever `a` accepts; a witness is a packet that only `a` accepts.

    Arguments and errors are those of `prove`.
    """
    question = _Question((a, b), real_lengths=real_lengths, timeout_ms=timeout_ms)
    first, second = question.ends
    only_a = both(_accepts(first), negation(_accepts(second)))
    answer = question.find(only_a, lambda one, other: one != 0 and other == 0)
    return Holds() if answer is None else answer


def disjoint(
    a: Sequence[Instruction],
    b: Sequence[Instruction],
    *,
    timeout_ms: int = TIMEOUT_MS,
    real_lengths: bool = False,
) -> Holds | Witness | Undecided:
    """Say whether no packet is accepted by both; a witness is one that is.

    Arguments and errors are those of `prove`.
    """
    question = _Question((a, b), real_lengths=real_lengths, timeout_ms=timeout_ms)
    first, second = question.ends
    answer = question.find(
        both(_accepts(first), _accepts(second)), lambda one, other: one != 0 and other != 0
    )
    return Holds() if answer is None else answer


def satisfiable(
    a: Sequence[Instruction], *, timeout_ms: int = TIMEOUT_MS, real_lengths: bool = False
) -> Witness | Undecided | None:
    """Return a packet that `a` accepts, or None when there is none.

    Arguments and errors are those of `prove`.
    """
    question = _Question((a,), real_lengths=real_lengths, timeout_ms=timeout_ms)
    return question.find(_accepts(question.ends[0]), lambda verdict: verdict != 0)


def _accepts(ends: Sequence[Return]) -> Condition:
    """Return when a program that ends in one of `ends` returns anything but 0."""
    return either([both(end.reached, negation(equal(end.value, 0))) for end in ends])


def _differ(first: Sequence[Return], second: Sequence[Return]) -> Condition:
    """Return when two programs return different words."""
    by_value, other_by_value = _by_value(first), _by_value(second)
    if by_value is None or other_by_value is None:
        return negation(equal(_value(first), _value(second)))
    # Every end returns a known word: two conditions a word are easier than words of 32 bits.
    # Exactly one end is reached, so when all other words agree, so does 0.
    return either(
        [
            _exclusive(either(by_value.get(value, [])), either(other_by_value.get(value, [])))
            for value in sorted({*by_value, *other_by_value} - {0})
        ]
    )


def _by_value(ends: Sequence[Return]) -> dict[int, list[Condition]] | None:
    """Return when each word is returned, or None if one of them is not known."""
    found: dict[int, list[Condition]] = {}
    for end in ends:
        if not isinstance(end.value, int):
            return None
        found.setdefault(end.value, []).append(end.reached)
    return found


def _value(ends: Sequence[Return]) -> Word:
    value: Word = 0
    for end in ends:
        value = choose(end.reached, end.value, value)
    return value


def _exclusive(a: Condition, b: Condition) -> Condition:
    """Return when one of the two holds and the other does not."""
    if isinstance(a, bool):
        return negation(b) if a else b
    if isinstance(b, bool):
        return negation(a) if b else a
    return False if a.eq(b) else z3.Xor(a, b)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a model of the solver says about the packet.

    Attributes:
        length: Where the last read ends, in bytes.
        values: The bytes that are read, by offset.
        wire_length: The length on the wire, or None if no program asks for it.
        ancillary: The metadata words that a program may read.
        verdicts: What each program returns.
    """

    length: int
    values: dict[int, int]
    wire_length: int | None
    ancillary: dict[int, int]
    verdicts: tuple[int, ...]


class _Question:
    """Some programs read on one unknown packet, and the solver to ask about it."""

    def __init__(
        self, programs: Sequence[Sequence[Instruction]], *, real_lengths: bool, timeout_ms: int
    ) -> None:
        self._programs = programs
        self._packet = SymbolicPacket()
        self.ends = [read_program(program, self._packet) for program in programs]
        self._real_lengths = real_lengths
        self._solver = z3.SolverFor("QF_BV")
        self._deadline = time.monotonic() + timeout_ms / 1000

    def find(self, wanted: Condition, shows: Callable[..., bool]) -> Witness | Undecided | None:
        """Return a packet for which `wanted` holds, None if there is none.

        `shows` says of the programs' verdicts whether they are as `wanted` wants them.
        """
        if wanted is False:
            return None
        self._solver.add(wanted)
        outcome = self._check()
        if outcome == z3.sat:
            # Only now say what makes the bytes those of one packet, and of one long enough. When
            # programs agree they mostly do so for any bytes at all, and building the ties between
            # offsets takes longer than everything else.
            self._solver.add(*self._of_one_packet())
            outcome = self._check()
        if outcome == z3.unsat:
            return None
        if outcome == z3.unknown:
            return Undecided(f"the solver gave up: {self._solver.reason_unknown()}")
        reading = self._shortened(self._reading(self._solver.model()))
        if reading.length > LONGEST_SHOWN:
            return Undecided(f"found no packet of {LONGEST_SHOWN} bytes or fewer, only longer ones")
        return self._witness(reading, shows)

    def _check(self) -> z3.CheckSatResult:
        left = self._deadline - time.monotonic()
        # 0 would mean no limit.
        self._solver.set("timeout", max(1, int(left * 1000)))
        return self._solver.check()

    def _of_one_packet(self) -> list[Condition]:
        packet = self._packet
        facts = [*packet.ties(), *packet.all_within(GREATEST_LENGTH)]
        if self._real_lengths and packet.asks_for_wire_length:
            facts += packet.all_within(packet.wire_length)
        return facts

    def _shortened(self, reading: _Reading) -> _Reading:
        """Return a reading of a short packet if there is one, else `reading`."""
        for limit in (SHORT, LONGEST_SHOWN):
            if reading.length <= limit:
                break
            self._solver.push()
            self._solver.add(*self._packet.all_within(limit))
            if self._check() == z3.sat:
                reading = self._reading(self._solver.model())
            self._solver.pop()
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
            tuple(_verdict(model, ends) for ends in self.ends),
        )

    def _witness(self, reading: _Reading, shows: Callable[..., bool]) -> Witness | Undecided:
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
        verdicts = tuple(
            _run(program, found, expected)
            for program, expected in zip(self._programs, reading.verdicts, strict=True)
        )
        if self._packet.is_searched:
            if not shows(*verdicts):
                return Undecided("it hangs on where a netlink attribute lies in the packet")
            return replace(found, verdicts=verdicts)
        if verdicts != reading.verdicts:
            raise InternalError(f"the programs return {verdicts} on the solver's packet: {found}")
        return found


def _run(program: Sequence[Instruction], found: Witness, expected: int) -> int:
    """Return what `program` does on a packet; what is expected, where it cannot be said.

    That is so for programs that a kernel refuses, for instance by their length, and for those that
    shift by X: the interpreter shifts as a kernel does, by the low five bits.
    """
    if any(
        ROW_OF[one.code].arithmetic in _SHIFTS and ROW_OF[one.code].operand is Operand.INDEX
        for one in program
    ):
        return expected
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
