"""The prover's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Equal:
    """Both programs give the same verdict on every packet that neither reads past the end of."""


@dataclass(frozen=True, slots=True)
class Different:
    """A packet on which two programs differ; both were run on it.

    Their verdicts are those that proofs speak of: where a program shifts by 32 or more, which gives
    0 in proofs, a kernel may return something else.

    Attributes:
        packet: The captured bytes: as many as the programs read, zero where neither reads.
        wire_length: The packet's length on the wire, an unsigned word.
        verdicts: What the first and the second program return.
        ancillary: The kernel's metadata words that a program may read, by their offset from
            SKF_AD_OFF (`cbpf.isa.Ancillary`).
    """

    packet: bytes
    wire_length: int
    verdicts: tuple[int, int]
    ancillary: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holds:
    """What was asked is so for every packet that no program reads past the end of."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet that shows what was asked for, or against; every program was run on it.

    Attributes:
        packet: The captured bytes: as many as the programs read, zero where none reads.
        wire_length: The packet's length on the wire, an unsigned word.
        verdicts: What each program returns, in the order in which they were given.
        ancillary: The kernel's metadata words that a program may read, by their offset from
            SKF_AD_OFF (`cbpf.isa.Ancillary`).
        in_kernel: What each returns in a kernel, which shifts by the low five bits of an amount;
            None where that is the same.
    """

    packet: bytes
    wire_length: int
    verdicts: tuple[int, ...]
    ancillary: Mapping[int, int] = field(default_factory=dict)
    in_kernel: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """The solver gave up.

    Attributes:
        reason: Why, in a few words: the time allowed ran out, or the only packets are too long.
    """

    reason: str
