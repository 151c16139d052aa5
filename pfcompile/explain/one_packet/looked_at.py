"""Which bytes of a packet a test looks at, on the way that the packet takes.

A byte counts where one of its bits can reach the test: of `ip[6:2] & 0x1fff` both, of
`tcp[12] & 0xf0` the one, of `ip[6:2] & 0xff` the second. The bytes that an offset is computed from
count, too. Whoever changes none of them changes no test on the way, and so not the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.evaluation import EndedError, Run, compute, reads
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.ir.graph import Branch, Let, Test
    from pfcompile.ir.values import Value

_BYTE: Final = 0xFF
_DIVISIONS: Final = frozenset({ArithmeticOp.DIV, ArithmeticOp.MOD})


@dataclass(slots=True)
class Read:
    """What has been looked at.

    Attributes:
        bits: Of each byte, by offset, the bits that count.
        length: Whether the length on the wire counts.
    """

    bits: dict[int, int] = field(default_factory=dict)
    length: bool = False

    @property
    def offsets(self) -> list[int]:
        """The bytes, ascending."""
        return sorted(self.bits)

    def add(self, other: Read) -> None:
        """Take in what else has been looked at."""
        for offset, bits in other.bits.items():
            self.bits[offset] = self.bits.get(offset, 0) | bits
        self.length |= other.length


class Reader:
    """Follows one packet on its way, and tells what each block looks at."""

    def __init__(self, packet: bytes, wire_length: int) -> None:
        self.run = Run(packet, wire_length)
        self._variables: dict[int, Read] = {}

    def test(self, block: Branch) -> Read:
        """Return what a test looks at."""
        found = Read()
        test: Test = block.test
        masks = (WORD, WORD)
        if test.op is Comparison.SET:
            masks = (_constant(test.right), _constant(test.left))
        for value, mask in ((test.left, masks[0]), (test.right, masks[1])):
            self._look(value, mask, found)
            self._look_at_ends(value, found)
        return found

    def assign(self, block: Let) -> Read:
        """Do an assignment, and return what decides that it can be done.

        What its value hangs on counts where a test looks at the variable.
        """
        self._variables[block.variable.number] = self.look(block.value)
        found = Read()
        self._look_at_ends(block.value, found)
        self.run.variables[block.variable.number] = compute(block.value, self.run)
        return found

    def direct(self, value: Value, mask: int = WORD) -> dict[int, int]:
        """Return the bits of `mask` that a load brings, or the one load of some arithmetic.

        What its offset is computed from is not among them.
        """
        match value:
            case Load(base=base):
                found = Read()
                self._look(value, mask, found)
                steering = [] if base is None else self.look(base).bits
                return {each: bits for each, bits in found.bits.items() if each not in steering}
            case Arithmetic(left=Load() as load, right=Const()):
                return self.direct(load, _masks(value, mask)[0])
            case _:
                return {}

    def look(self, value: Value) -> Read:
        """Return what a value hangs on, as far as it can be computed."""
        found = Read()
        self._look(value, WORD, found)
        return found

    def value(self, value: Value) -> int | None:
        """Return what a value is; None where it cannot be computed."""
        try:
            return compute(value, self.run)
        except EndedError:
            return None

    def missing(self, value: Value) -> tuple[int, int, int] | None:
        """Return the load of a value that leaves the packet: offset, size and what there is."""
        length = len(self.run.packet)
        for load, start in reads(value, self.run):
            if start + load.size > length:
                return start, load.size, length
        return None

    def _look(self, value: Value, mask: int, found: Read) -> None:
        """Add what the bits of `mask` hang on."""
        if not mask:
            return
        match value:
            case Load():
                self._look_at(value, mask, found)
            case PacketLength():
                found.length = True
            case Variable(number=number):
                found.add(self._variables.get(number, Read()))
            case Arithmetic():
                left, right = _masks(value, mask)
                self._look(value.left, left, found)
                self._look(value.right, right, found)
            case Const() | Numbers() | Ancillary():
                pass
            case _:
                assert_never(value)

    def _look_at_ends(self, value: Value, found: Read) -> None:
        """Add what decides whether a value can be computed: offsets and divisors."""
        if isinstance(value, Load) and value.base is not None:
            self._look(value.base, WORD, found)
        if isinstance(value, Arithmetic) and value.op in _DIVISIONS:
            self._look(value.right, WORD, found)
        for part in parts(value):
            self._look_at_ends(part, found)

    def _look_at(self, load: Load, mask: int, found: Read) -> None:
        start = load.offset
        if load.base is not None:
            self._look(load.base, WORD, found)
            base = self.value(load.base)
            if base is None:
                return
            start = (base + load.offset) & WORD
        if start + load.size > len(self.run.packet):
            return  # whatever is there: that it is not all there has decided
        for step in range(load.size):
            bits = mask >> 8 * (load.size - 1 - step) & _BYTE
            if bits:
                offset = start + step
                found.bits[offset] = found.bits.get(offset, 0) | bits


def _constant(value: Value) -> int:
    """Return a constant, or all bits of what is none."""
    return value.value if isinstance(value, Const) else WORD


def _masks(value: Arithmetic, mask: int) -> tuple[int, int]:
    """Return which bits of its two operands the bits of `mask` hang on."""
    match value.op, value.left, value.right:
        case ArithmeticOp.AND, left, right:
            return mask & _constant(right), mask & _constant(left)
        case (ArithmeticOp.OR, left, right):
            known = [
                ~each.value & WORD if isinstance(each, Const) else WORD for each in (right, left)
            ]
            return mask & known[0], mask & known[1]
        case ArithmeticOp.XOR, _, _:
            return mask, mask
        case ArithmeticOp.LSH, _, Const(value=k) if k < 32:
            return mask >> k, 0
        case ArithmeticOp.RSH, _, Const(value=k) if k < 32:
            return mask << k & WORD, 0
        case ((ArithmeticOp.ADD | ArithmeticOp.SUB | ArithmeticOp.MUL), _, _):
            lower = (1 << mask.bit_length()) - 1  # what is carried goes up
            return lower, lower
        case _:
            return WORD, WORD


def ranges(offsets: Mapping[int, int] | list[int]) -> list[tuple[int, int]]:
    """Return offsets as ranges: the first, and the one behind the last."""
    found: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if found and found[-1][1] == offset:
            found[-1] = (found[-1][0], offset + 1)
        else:
            found.append((offset, offset + 1))
    return found
