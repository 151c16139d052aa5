"""The smallest change to a packet that gives a program another verdict: the fewest bytes.

The packet keeps its length. A byte at a known offset is a variable that should be what it is; the
solver breaks as few of these wishes as it can. A byte at an offset that the packet decides is one
of those at the offsets that it may be, whichever that turns out to be.

Two things are asked. Of the changes that leave every computed offset as it is, where a header ends
and what lies behind it, which is the smallest: a person would think of that one first. And is there
a smaller one at all: a changed header length may make a program find what it looks for in other
bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.interpreter import prepare
from pfcompile.ir.arithmetic import WORD
from pfcompile.prove.packet import SymbolicPacket, all_within
from pfcompile.prove.question import TIMEOUT_MS, cut
from pfcompile.prove.result import Undecided
from pfcompile.prove.solver import z3
from pfcompile.prove.walk import read_program
from pfcompile.prove.words import both, either, equal, negation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.prove.packet import Address
    from pfcompile.prove.words import Condition

LONGEST: Final = 1 << 16
"""Bytes of a packet of which a computed offset may be any; longer ones are looked at up to here."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changed packets that get the other verdict.

    Attributes:
        smallest: One with as few bytes changed as any, or None where no change of bytes will do.
        plain: One with as few as any that leaves every offset which the packet decides as it is;
            the same as `smallest` where that does; None where there is none.
        undecided: Why it is not known whether there is a smaller change than `plain`, where that is
            all that was found; empty otherwise.
    """

    smallest: bytes | None
    plain: bytes | None
    undecided: str = ""


def smallest_change(
    program: Sequence[Instruction],
    packet: bytes,
    wire_length: int,
    *,
    timeout_ms: int = TIMEOUT_MS,
) -> Changes | Undecided:
    """Return how few bytes of a packet must change for a program to give the other verdict.

    Args:
        program: A classic program without loops, of any length.
        packet: The captured bytes.
        wire_length: The length on the wire, which stays.
        timeout_ms: How long the solver may take for all answers together.

    Raises:
        ProgramError: The program is not valid, or has a loop.
    """
    return _Search(program, packet, wire_length, timeout_ms).changes()


class _Search:
    def __init__(
        self, program: Sequence[Instruction], packet: bytes, wire_length: int, timeout_ms: int
    ) -> None:
        self._machine = prepare(program)
        self._packet = packet
        self._wire_length = wire_length
        self._deadline = time.monotonic() + timeout_ms / 1000
        self._unknown = SymbolicPacket()
        ends = read_program(program, self._unknown)
        fits = all_within(self._unknown.reads, len(packet))
        accepts = either(
            [both(end.reached, negation(equal(end.value, 0))) for end in cut(ends, fits)]
        )
        self._wanted: Condition = accepts
        if self._machine(packet, wire_length):
            self._wanted = negation(accepts)
        self._bytes: dict[int, z3.BitVecRef] = {}
        self._computed: list[tuple[Address, z3.BitVecRef]] = []
        for address, value in self._unknown.bytes:
            if not isinstance(address.base, int):
                self._computed.append((address, value))
            elif address.displacement < len(packet):
                self._bytes[address.displacement] = value
        self._facts = self._told()

    def changes(self) -> Changes | Undecided:
        if self._unknown.is_searched or self._unknown.ancillary:
            return Undecided("it hangs on metadata, which no packet of a file has")
        if isinstance(self._wanted, bool):
            return (
                Undecided("the filter says the same of every packet")
                if self._wanted
                else (Changes(None, None))
            )
        plain = self._smallest(self._offsets_as_they_are())
        if isinstance(plain, Undecided) or not self._computed:
            return plain if isinstance(plain, Undecided) else Changes(plain, plain)
        most = None if plain is None else self._count(plain) - 1
        if most == 0:
            return Changes(plain, plain)
        smaller = self._smallest([], most)
        if isinstance(smaller, Undecided):
            return smaller if plain is None else Changes(None, plain, smaller.reason)
        return Changes(plain if smaller is None else smaller, plain)

    def _count(self, changed: bytes) -> int:
        return sum(a != b for a, b in zip(changed, self._packet, strict=True))

    def _told(self) -> list[Condition]:
        """Return what ties the bytes at computed offsets to those at known ones."""
        facts: list[Condition] = []
        for address, value in self._computed:
            where = address.word
            lowest, highest = 0, greatest(where)
            if not isinstance(address.base, int):
                bound = greatest(address.base)
                if bound + address.displacement <= WORD:
                    lowest, highest = address.displacement, bound + address.displacement
            places = range(lowest, min(highest + 1, len(self._packet), LONGEST))
            facts += [z3.Implies(where == each, value == self._byte(each)) for each in places]
        if self._unknown.asks_for_wire_length:
            facts.append(self._unknown.wire_length == self._wire_length & WORD)
        return facts

    def _byte(self, offset: int) -> z3.BitVecRef:
        if offset not in self._bytes:
            self._bytes[offset] = z3.BitVec(f"changed_{offset}", 8)
        return self._bytes[offset]

    def _offsets_as_they_are(self) -> list[Condition]:
        """Return that every offset which the packet decides is what it is in this packet."""
        if not self._computed:
            return []
        solver = z3.SolverFor("QF_BV")
        solver.add(*self._facts)
        solver.add(*(value == self._packet[offset] for offset, value in self._bytes.items()))
        if solver.check() != z3.sat:
            return []
        model = solver.model()
        bases = {address.key[0]: address.base for address, _ in self._computed}
        return [base == model.eval(base, model_completion=True) for base in bases.values()]

    def _values(self, model: z3.ModelRef) -> dict[int, int]:
        """Return what the bytes are in a model; those that may be anything are as they were."""
        found = {}
        for offset, value in self._bytes.items():
            term = model.eval(value)
            found[offset] = term.as_long() if z3.is_bv_value(term) else self._packet[offset]
        return found

    def _settled(self, found: dict[int, int], count: int, more: list[Condition]) -> dict[int, int]:
        """Return the one change of its size that is always chosen.

        It leaves the first bytes alone where it can, which tell what the others are, and of those
        that it changes the first bits.
        """
        solver = z3.Solver()
        solver.add(self._wanted, *self._facts, *more)
        kept = {each: value == self._packet[each] for each, value in self._bytes.items()}
        solver.add(z3.AtMost(*(z3.Not(each) for each in kept.values()), count))
        wishes = _Wishes(solver, self._deadline)
        for offset in sorted(kept):
            if found[offset] == self._packet[offset]:
                solver.add(kept[offset])
            elif (model := wishes.grant(kept[offset])) is not None:
                found = self._values(model)
        for offset in sorted(kept):
            was = self._packet[offset]
            for place in reversed(range(8)) if found[offset] != was else ():
                bit = z3.Extract(place, place, self._bytes[offset])
                wish = bit == (was >> place & 1)
                if not (found[offset] ^ was) >> place & 1:
                    solver.add(wish)
                elif (model := wishes.grant(wish)) is not None:
                    found = self._values(model)
        return found

    def _smallest(self, more: list[Condition], most: int | None = None) -> bytes | Undecided | None:
        """Return a packet with the fewest changed bytes, at most so many; None if there is none."""
        left = int(1000 * (self._deadline - time.monotonic()))
        if left <= 0:
            return Undecided("the time was too short")
        solver = z3.Optimize()
        solver.set("timeout", left)
        solver.add(self._wanted, *self._facts, *more)
        kept = [value == self._packet[offset] for offset, value in self._bytes.items()]
        if most is not None:
            solver.add(z3.AtMost(*(z3.Not(each) for each in kept), most))
        for each in kept:
            solver.add_soft(each)
        outcome = solver.check()
        if outcome == z3.unsat:
            return None
        if outcome != z3.sat:
            return Undecided(f"the solver gave up: {solver.reason_unknown()}")
        model = _model_of(solver)
        if model is None:
            return Undecided("the time was too short")
        found = self._values(model)
        count = sum(found[offset] != self._packet[offset] for offset in found)
        found = self._settled(found, count, more)
        changed = bytearray(self._packet)
        for offset, value in found.items():
            changed[offset] = value
        before, after = (
            bool(self._machine(each, self._wire_length)) for each in (self._packet, bytes(changed))
        )
        if before == after:
            return Undecided("the solver's packet gets the same verdict: a shift by 32 or more")
        return bytes(changed)


@dataclass(slots=True)
class _Wishes:
    """What is wanted of a packet, one thing after the other, as far as each is possible.

    Attributes:
        solver: Has what must hold, and the wishes that have come true.
        deadline: When to stop asking (`time.monotonic`).
    """

    solver: z3.Solver
    deadline: float

    def grant(self, wish: Condition) -> z3.ModelRef | None:
        """Return a model in which a wish comes true, or None where it cannot."""
        left = int(1000 * (self.deadline - time.monotonic()))
        if left <= 0:
            return None
        self.solver.set("timeout", left)
        if self.solver.check(wish) != z3.sat:
            return None
        model = _model_of(self.solver)
        if model is not None:
            self.solver.add(wish)
        return model


def _model_of(solver: z3.Solver | z3.Optimize) -> z3.ModelRef | None:
    """Return what a solver has found; None where its time ended before it could be asked for it."""
    try:
        return solver.model()
    except z3.Z3Exception:
        return None


def greatest(term: z3.BitVecRef) -> int:
    """Return a number that a 32-bit term is never above."""
    width = term.size()
    limit = (1 << width) - 1
    if z3.is_bv_value(term):
        return int(term.as_long())
    kind = term.decl().kind()
    arguments = term.children()
    found = limit
    match kind:
        case z3.Z3_OP_BADD:
            found = sum(map(greatest, arguments))
        case z3.Z3_OP_BMUL:
            found = 1
            for each in arguments:
                found *= greatest(each)
        case z3.Z3_OP_BAND:
            found = min(map(greatest, arguments))
        case z3.Z3_OP_BSHL if z3.is_bv_value(arguments[1]):
            found = greatest(arguments[0]) << min(arguments[1].as_long(), width)
        case z3.Z3_OP_BLSHR if z3.is_bv_value(arguments[1]):
            found = greatest(arguments[0]) >> min(arguments[1].as_long(), width)
        case z3.Z3_OP_ZERO_EXT:
            found = greatest(arguments[0])
        case z3.Z3_OP_CONCAT:
            found = 0
            for each in arguments:
                found = found << each.size() | greatest(each)
        case z3.Z3_OP_ITE:
            found = max(map(greatest, arguments[1:]))
    return int(min(found, limit))
