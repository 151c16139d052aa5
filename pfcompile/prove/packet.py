"""One packet that any program may read, and what must hold for no read to leave it.

The captured length needs no variable of its own. A packet is long enough when it reaches to the
end of the farthest read, so "some captured length fits every read" is the same as "no read ends
past the greatest length", and a known offset says nothing at all about the packet.

A byte at a known offset is a variable. A byte at an offset that the packet decides is one too, tied
to the others where the offsets are equal (Ackermann's reduction): most filters have a handful of
such offsets, and bits without functions or arrays are what the solver is quickest at. Offsets that
share a base and differ by a constant cannot be equal and need no tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.prove.solver import z3
from pfcompile.prove.words import (
    Condition,
    Word,
    arithmetic,
    at_most,
    either,
    equal,
    name_of_term,
    negation,
    same_term,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Ancillary

GREATEST_LENGTH: Final = 2**31 - 1
"""The longest captured length that proofs speak of: a snapshot length is a signed 32-bit int."""


@dataclass(frozen=True, slots=True)
class Address:
    """An offset into the packet: `base + displacement`, modulo 2**32.

    Attributes:
        base: What the packet decides of it, or 0 for a known offset.
        displacement: The known part, an unsigned word.
    """

    base: Word
    displacement: int

    def plus(self, step: int) -> Address:
        """Return the offset `step` bytes further."""
        return Address(self.base, self.displacement + step & WORD)

    @property
    def word(self) -> Word:
        """The offset as one word."""
        return arithmetic(ArithmeticOp.ADD, self.base, self.displacement)

    @property
    def key(self) -> tuple[int, int]:
        """A name that the same offset always has."""
        return name_of_term(self.base), self.displacement


@dataclass(frozen=True, slots=True)
class Read:
    """One load on one path of one program.

    Attributes:
        reached: When the program executes it.
        address: Its first byte.
        size: 1, 2 or 4 bytes.
    """

    reached: Condition
    address: Address
    size: int

    def ends_within(self, limit: Word) -> Condition:
        """Return when the read lies in the first `limit` bytes; it does not wrap around."""
        if isinstance(limit, int):
            if limit < self.size:
                return False
            return at_most(self.address.word, limit - self.size)
        start = self.address.word
        no_wrap = at_most(start, WORD - self.size)
        fits = at_most(arithmetic(ArithmeticOp.ADD, start, self.size), limit)
        return fits if no_wrap is True else z3.And(no_wrap, fits)


class SymbolicPacket:
    """The unknown packet: its bytes, its wire length, its metadata, and what programs do with it.

    Attributes:
        reads: All loads of all programs.
        ancillary: The kernel's metadata words that a program may load.
        far_shifts: When programs shift by an X of 32 or more, where a kernel does something else.
    """

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.ancillary: dict[Ancillary, z3.BitVecRef] = {}
        self.far_shifts: list[Condition] = []
        self._bytes: dict[tuple[int, int], tuple[Address, z3.BitVecRef]] = {}
        self._loads: dict[tuple[int, int, int], z3.BitVecRef] = {}
        self._searches: list[tuple[Ancillary, Word, Word, z3.BitVecRef]] = []
        self._wire_length: z3.BitVecRef | None = None

    @property
    def wire_length(self) -> Word:
        """The length on the wire: any word."""
        if self._wire_length is None:
            self._wire_length = z3.BitVec("wire_length", 32)
        return self._wire_length

    @property
    def asks_for_wire_length(self) -> bool:
        """Whether any program looked at it."""
        return self._wire_length is not None

    @property
    def is_searched(self) -> bool:
        """Whether any program looks for a netlink attribute, whose place is not modelled."""
        return bool(self._searches)

    def metadata(self, word: Ancillary) -> Word:
        """Return one of the kernel's metadata words."""
        if word not in self.ancillary:
            self.ancillary[word] = z3.BitVec(f"ancillary_{word.name}", 32)
        return self.ancillary[word]

    def search(self, word: Ancillary, start: Word, kind: Word) -> Word:
        """Return where the attribute `kind` is, from `start` on: anything, if the same again."""
        for known_word, known_start, known_kind, found in self._searches:
            alike = same_term(known_start, start) and same_term(known_kind, kind)
            if known_word is word and alike:
                return found
        found = z3.BitVec(f"search_{len(self._searches)}", 32)
        self._searches.append((word, start, kind, found))
        return found

    def load(self, reached: Condition, address: Address, size: int) -> Word:
        """Return the big-endian value of `size` bytes, and note the read."""
        self.reads.append(Read(reached, address, size))
        key = *address.key, size
        if key not in self._loads:
            parts = [self.byte(address.plus(step)) for step in range(size)]
            filled = z3.Concat(*parts) if size > 1 else parts[0]
            self._loads[key] = filled if size == 4 else z3.ZeroExt(32 - 8 * size, filled)
        return self._loads[key]

    def byte(self, address: Address) -> z3.BitVecRef:
        """Return the byte at `address`, of eight bits."""
        key = address.key
        if key not in self._bytes:
            # z3 frees no term that `address` holds, so a key stays unique.
            self._bytes[key] = address, z3.BitVec(f"byte_{key[0]}_{key[1]}", 8)
        return self._bytes[key][1]

    @property
    def bytes(self) -> list[tuple[Address, z3.BitVecRef]]:
        """The bytes that are read, with their offsets."""
        return list(self._bytes.values())

    def ties(self) -> list[Condition]:
        """Return that equal offsets hold equal bytes."""
        found: list[Condition] = []
        listed = list(self._bytes.values())
        for position, (address, value) in enumerate(listed):
            if isinstance(address.base, int):
                continue
            for earlier, (other, other_value) in enumerate(listed):
                known = isinstance(other.base, int)
                if not known and (earlier >= position or address.key[0] == other.key[0]):
                    continue
                meet = equal(address.word, other.word)
                found.append(z3.Or(negation(meet), value == other_value))
        return found

    def all_within(self, limit: Word) -> list[Condition]:
        """Return that every read that is reached ends in the first `limit` bytes."""
        return all_within(self.reads, limit)


def all_within(reads: Sequence[Read], limit: Word) -> list[Condition]:
    """Return that each of `reads` that is reached ends in the first `limit` bytes."""
    # Unoptimised programs read the same field many times: one condition for each field.
    alike: dict[tuple[int, int, int], list[Read]] = {}
    for read in reads:
        alike.setdefault((*read.address.key, read.size), []).append(read)
    found: list[Condition] = []
    for same in alike.values():
        fits = same[0].ends_within(limit)
        if fits is not True:
            reached = either([read.reached for read in same])
            found.append(either([negation(reached), fits]))
    return found
