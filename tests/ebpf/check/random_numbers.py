"""Random sets of numbers, each with members of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pfcompile.ebpf.arithmetic import MASK32, MASK64
from pfcompile.ebpf.check import bounds
from pfcompile.ebpf.check.bounds import everything
from pfcompile.ebpf.check.scalars import Scalar, constant, scalar
from pfcompile.ebpf.check.tnum import ANY, Tnum

if TYPE_CHECKING:
    import random

EDGES = (
    0, 1, 2, 7, 8, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF,
    0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000,
    0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_7FFF_FFFF,
)  # fmt: skip


class Sample(NamedTuple):
    """A set, and numbers in it."""

    numbers: Scalar
    members: tuple[int, ...]


def random_number(rng: random.Random) -> int:
    match rng.randrange(4):
        case 0:
            return rng.choice(EDGES)
        case 1:
            return rng.choice(EDGES) + rng.randint(-3, 3) & MASK64
        case 2:
            return rng.getrandbits(rng.choice((4, 8, 16, 32, 33, 64)))
        case _:
            return -rng.getrandbits(rng.choice((4, 16, 31, 40))) & MASK64


def random_sample(rng: random.Random) -> Sample:
    """Return a set made around two numbers, by bits, by bounds, or by several at once."""
    members = (random_number(rng), random_number(rng))
    if rng.random() < 0.5:
        members = (members[0], members[0] + rng.randint(0, 20) & MASK64)
    if rng.random() < 0.15:
        return Sample(constant(members[0]), members[:1])
    bits, wide, low = ANY, everything(64), everything(32)
    if rng.random() < 0.5:
        mask = (members[0] ^ members[1]) | rng.getrandbits(64) & rng.getrandbits(64)
        bits = Tnum(members[0] & ~mask, mask)
    if rng.random() < 0.6:
        one, other = (constant(member).wide for member in members)
        wide = bounds.unite(one, other)
        if rng.random() < 0.5:
            wide = everything(64)._replace(umin=wide.umin, umax=wide.umax)
    if rng.random() < 0.5:
        one, other = (constant(member & MASK32).low for member in members)
        low = bounds.unite(one, other)
        if rng.random() < 0.3:
            low = everything(32)._replace(smin=low.smin, smax=low.smax)
    made = scalar(bits, wide, low)
    assert made is not None, (members, bits, wide, low)
    assert all(made.contains(member) for member in members), (members, made)
    more = (made.wide.umin, made.wide.umax, made.wide.smin & MASK64, made.wide.smax & MASK64,
            made.bits.value, made.bits.value | made.bits.mask)  # fmt: skip
    return Sample(made, (*members, *(number for number in more if made.contains(number))))
