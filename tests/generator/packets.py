"""Packets that lead a classic program down its branches.

Random bytes hardly ever get past a filter's first test. Here the program is walked with a packet
that comes into being on the way: a byte is chosen when it is first loaded, and at a conditional
jump a coin says which way to go. Where the compared value is a load, or simple arithmetic on one,
the bytes are rewritten so that the jump goes there; a bit that an earlier jump relied on stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import (
    ROW_OF,
    SCRATCH_WORDS,
    Class,
    Instruction,
    Operand,
    Place,
    Row,
    successors,
)
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import WORD, ArithmeticOp, alu
from pfcompile.ir.comparison import Comparison

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

_LONGEST: Final = 4096
"""Reads from here on are let run past the end."""

# What the bytes of real headers often are.
_USUAL: Final = (0, 0, 0, 1, 2, 4, 5, 6, 8, 17, 0x45, 0x60, 0x80, 0xFF)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet to run a program on.

    Attributes:
        data: The captured bytes.
        wire_length: The length on the wire. Where a program asks for it, it is now and then less
            than the captured length: no packet is so, but a program can be run on it.
        truncated: Whether some path of the program may read past the end: programs that mean the
            same may differ on it. (An offset that is computed from more than the length of an IPv4
            header can lead past the end of any packet.)
    """

    data: bytes
    wire_length: int
    truncated: bool


def packets_for(program: Sequence[Instruction], rng: random.Random, count: int) -> Iterator[Packet]:
    """Yield `count` packets, a fifth of them cut short.

    Programs with jumps backward are walked too, for a bounded number of steps.
    """
    reach = _reach(program)
    for _ in range(count):
        yield _Walk(program, rng, reach).packet()


def _reach(program: Sequence[Instruction]) -> int:
    """Return how many bytes any path may read, with IPv4 headers of up to 60 bytes."""
    ends = [0]
    for one in program:
        row = ROW_OF[one.code]
        end = one.k + row.size + (60 if row.operand is Operand.INDIRECT else 0)
        if Place.PACKET in row.reads and end <= _LONGEST:
            ends.append(end)
    return max(ends)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a value comes from: a load, and what was done to it since.

    Attributes:
        offset: The load's first byte, or None for the wire length.
        size: Its bytes.
        steps: Operators with their known right operands, in order.
    """

    offset: int | None
    size: int
    steps: tuple[tuple[ArithmeticOp, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Value:
    word: int
    source: _Source | None = None


_ZERO: Final = _Value(0)
_COMMUTES: Final = frozenset(
    {ArithmeticOp.ADD, ArithmeticOp.MUL, ArithmeticOp.AND, ArithmeticOp.OR, ArithmeticOp.XOR}
)


@dataclass(slots=True)
class _Walk:
    program: Sequence[Instruction]
    rng: random.Random
    reach: int
    a: _Value = _ZERO
    x: _Value = _ZERO
    scratch: list[_Value] = field(default_factory=lambda: [_ZERO] * SCRATCH_WORDS)
    content: dict[int, int] = field(default_factory=dict)
    relied_on: dict[int, int] = field(default_factory=dict)
    """For each byte the bits that a jump has been decided by."""
    wire_length: int | None = None
    wire_relied_on: bool = False

    def packet(self) -> Packet:
        position: int | None = 0
        for _ in range(4 * len(self.program) + 64):
            if position is None:
                break
            position = self._step(position)
        return self._finished()

    def _finished(self) -> Packet:
        needed = max(self.reach, max(self.content, default=-1) + 1)
        length = needed + self.rng.choice((0, 0, 1, 7, 40))
        wire_length = length
        if self.wire_length is not None and self.wire_length <= _LONGEST:
            wire_length = self.wire_length
            if wire_length > length or self.rng.random() < 0.5:
                length = wire_length
        if self.rng.random() < 0.2:
            length = self.rng.randrange(min(length, needed + 16) + 1)
        data = bytearray(self.rng.randbytes(length) if self.rng.random() < 0.5 else length)
        for offset, value in self.content.items():
            if offset < length:
                data[offset] = value
        return Packet(bytes(data), wire_length, length < needed)

    def _step(self, position: int) -> int | None:
        """Execute one instruction; return the next one's position, or None at the end."""
        one = self.program[position]
        row, k = ROW_OF[one.code], one.k
        match row.instruction_class:
            case Class.RET:
                return None
            case Class.JMP:
                return self._jump(row, position, one)
            case Class.ALU:
                return position + 1 if self._compute(row, k) else None
            case Class.ST:
                self.scratch[k] = self.a
            case Class.STX:
                self.scratch[k] = self.x
            case Class.MISC:
                self.a = self.x = self.a if Place.X in row.writes else self.x
            case _:
                value = self._loaded(row, k)
                if value is None:
                    return None
                if Place.A in row.writes:
                    self.a = value
                else:
                    self.x = value
        return position + 1

    def _jump(self, row: Row, position: int, one: Instruction) -> int:
        ways = successors(position, one)
        if row.comparison is None:
            return ways[0] & WORD
        yes, no = ways
        right = self._operand(row, one.k)
        return yes if self._decide(row.comparison, right, same=yes == no) else no

    def _operand(self, row: Row, k: int) -> _Value:
        return self.x if row.operand is Operand.INDEX else _Value(k)

    def _loaded(self, row: Row, k: int) -> _Value | None:
        match row.operand:
            case Operand.CONSTANT:
                return _Value(k)
            case Operand.SCRATCH:
                return self.scratch[k]
            case Operand.LENGTH:
                if self.wire_length is None:
                    self.wire_length = self.rng.choice((60, 64, 128, 576, 1500))
                return _Value(self.wire_length, _Source(None, 4))
            case Operand.HEADER:
                return self._header_length(k)
            case Operand.INDIRECT:
                return self._load(self.x.word + k & WORD, row.size)
            case _:
                return _ZERO if k >= ANCILLARY_BASE else self._load(k, row.size)

    def _header_length(self, offset: int) -> _Value | None:
        if offset not in self.content:
            words = 5 if self.rng.random() < 0.7 else self.rng.getrandbits(4)
            if offset < _LONGEST:
                self.content[offset] = 0x40 | words
        first = self._load(offset, 1)
        if first is None:
            return None
        self._rely_on(offset, 1, 0x0F)
        return _Value(4 * (first.word & 0x0F))

    def _load(self, offset: int, size: int) -> _Value | None:
        if offset + size > _LONGEST:
            return None
        word = 0
        for place in range(offset, offset + size):
            if place not in self.content:
                usual = self.rng.random() < 0.6
                self.content[place] = self.rng.choice(_USUAL) if usual else self.rng.getrandbits(8)
            word = word << 8 | self.content[place]
        return _Value(word, _Source(offset, size))

    def _compute(self, row: Row, k: int) -> bool:
        """Do arithmetic; return False for a division by zero."""
        if row.arithmetic is None:
            combined = self._combined(ArithmeticOp.SUB, _ZERO, self.a)
        else:
            combined = self._combined(row.arithmetic, self.a, self._operand(row, k))
        self.a = combined or self.a
        return combined is not None

    def _combined(self, op: ArithmeticOp, left: _Value, right: _Value) -> _Value | None:
        word = alu(op, left.word, right.word)
        if word is None:
            return None
        if left.source is not None:
            steps = (*left.source.steps, (op, right.word))
            return _Value(word, replace(left.source, steps=steps))
        if right.source is None:
            return _Value(word)
        steps = right.source.steps
        if op in _COMMUTES:
            return _Value(word, replace(right.source, steps=(*steps, (op, left.word))))
        if op is ArithmeticOp.SUB:
            # a - b is (b ^ all ones) + 1 + a.
            flipped = ((ArithmeticOp.XOR, WORD), (ArithmeticOp.ADD, left.word + 1 & WORD))
            return _Value(word, replace(right.source, steps=(*steps, *flipped)))
        return _Value(word)

    def _decide(self, test: Comparison, right: _Value, *, same: bool) -> bool:
        """Return which way a conditional jump goes, after trying to make it a coin's choice."""
        wanted = self.rng.random() < 0.5
        if not same and _holds(test, self.a.word, right.word) != wanted:
            self._rewrite(test, right, wanted=wanted)
        holds = _holds(test, self.a.word, right.word)
        if holds and test is Comparison.EQ:
            self._settle(self.a.source, self.a.word, WORD)
        elif test is Comparison.SET:
            self._settle(self.a.source, self.a.word, right.word)
        return holds

    def _rewrite(self, test: Comparison, right: _Value, *, wanted: bool) -> None:
        """Try to change the compared bytes so that the jump's test is `wanted`."""
        for word in self._candidates(test, self.a.word, right.word):
            if _holds(test, word, right.word) == wanted and self._put(self.a.source, word):
                self.a = replace(self.a, word=word)
                return

    def _candidates(self, test: Comparison, word: int, limit: int) -> list[int]:
        near = [limit, limit + 1 & WORD, limit - 1 & WORD, word ^ 1, self.rng.getrandbits(8)]
        if test is Comparison.SET:
            near = [word & ~limit & WORD, word | limit, word | limit & -limit]
        self.rng.shuffle(near)
        return near

    def _put(self, source: _Source | None, word: int) -> bool:
        """Rewrite the bytes of `source` so that its value becomes `word`, if that can be."""
        inverse = None if source is None else _inverse(source, word)
        if source is None or inverse is None:
            return False
        loaded, matters = inverse
        if source.offset is None:
            if self.wire_relied_on or matters != WORD or loaded > 1 << 20:
                return False
            self.wire_length = loaded
            return True
        for place, shift in _places(source):
            value, care = loaded >> shift & 0xFF, matters >> shift & 0xFF
            fixed = self.relied_on.get(place, 0) & care
            if (value ^ self.content[place]) & fixed:
                return False
        for place, shift in _places(source):
            value, care = loaded >> shift & 0xFF, matters >> shift & 0xFF
            self.content[place] = self.content[place] & ~care | value & care
        return True

    def _settle(self, source: _Source | None, word: int, bits: int) -> None:
        """Note that a jump relied on the `bits` of the value of `source`, which is `word`."""
        inverse = None if source is None else _inverse(source, word)
        if source is None or inverse is None:
            return
        if source.offset is None:
            self.wire_relied_on = True
            return
        self._rely_on(source.offset, source.size, inverse[1] if source.steps else bits)

    def _rely_on(self, offset: int, size: int, bits: int) -> None:
        for place, shift in _places(_Source(offset, size)):
            self.relied_on[place] = self.relied_on.get(place, 0) | bits >> shift & 0xFF


def _places(source: _Source) -> Iterator[tuple[int, int]]:
    """Yield each byte's offset with how far left it stands in the loaded word."""
    for step in range(source.size):
        yield (source.offset or 0) + step, 8 * (source.size - 1 - step)


def _holds(test: Comparison, a: int, right: int) -> bool:
    match test:
        case Comparison.EQ:
            return a == right
        case Comparison.GT:
            return a > right
        case Comparison.GE:
            return a >= right
        case Comparison.SET:
            return a & right != 0


def _inverse(source: _Source, word: int) -> tuple[int, int] | None:
    """Return a loaded value for which `source` gives `word`, and the bits of it that matter.

    None if there is none, or none that is easily found. The whole is run forward to be sure.
    """
    loaded, matters = word, WORD
    for op, operand in reversed(source.steps):
        match op:
            case ArithmeticOp.ADD:
                loaded = loaded - operand & WORD
            case ArithmeticOp.SUB:
                loaded = loaded + operand & WORD
            case ArithmeticOp.XOR:
                loaded ^= operand
            case ArithmeticOp.AND:
                matters &= operand
            case ArithmeticOp.OR:
                matters &= ~operand
            case ArithmeticOp.LSH:
                loaded, matters = _shifted(loaded, -operand), _shifted(matters, -operand)
            case ArithmeticOp.RSH:
                loaded, matters = _shifted(loaded, operand), _shifted(matters, operand)
            case ArithmeticOp.MUL:
                loaded = loaded // operand if operand else 0
            case ArithmeticOp.DIV:
                loaded = loaded * operand & WORD
            case ArithmeticOp.MOD:
                pass
    loaded &= (1 << 8 * source.size) - 1
    forward: int | None = loaded & matters
    for op, operand in source.steps:
        forward = None if forward is None else alu(op, forward, operand)
    return (loaded, matters) if forward == word else None


def _shifted(word: int, left: int) -> int:
    return word << left & WORD if left >= 0 else word >> -left
