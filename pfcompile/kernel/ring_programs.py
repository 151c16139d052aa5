"""The programs that a ring's socket is given: those that the kernel can run, and can hold."""

from __future__ import annotations

import socket
from enum import Enum
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import MAX_INSTRUCTIONS, Ancillary, Instruction, Op
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.kernel import cooked
from pfcompile.kernel.opening import MAX_SNAPLEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.kernel.cooked import Header

REJECT: Final = (Instruction(Op.RET_K, 0, 0, 0),)
ACCEPT: Final = (Instruction(Op.RET_K, 0, 0, MAX_SNAPLEN),)

_EXPANSION: Final = 12
"""So many of its own instructions the kernel makes of one, at most (bpf_convert_filter)."""
_LEAST_OPTMEM: Final = 1 << 18


class Direction(Enum):
    """Which packets are captured, by the words of tcpdump's -Q."""

    BOTH = "inout"
    IN = "in"
    OUT = "out"


def for_kernel(
    instructions: Sequence[Instruction], header: Header | None, direction: Direction
) -> tuple[Sequence[Instruction] | None, str]:
    """Return what of a program the kernel can run, and why not, where it is nothing.

    Args:
        instructions: The program.
        header: The cooked header that it is for; None: the kernel shows all that it looks at.
        direction: Which packets it is to take.
    """
    shown: Sequence[Instruction] | None = instructions
    if header is not None:
        shown = cooked.for_kernel(instructions, header)
    if shown is None:
        return None, "the kernel does not show a filter all of the cooked header"
    program = directed(shown, direction)
    if len(program) > MAX_INSTRUCTIONS:
        return None, f"it has more than {MAX_INSTRUCTIONS} instructions"
    return program, ""


def directed(program: Sequence[Instruction], direction: Direction) -> Sequence[Instruction]:
    """Return a program that takes only what leaves, if that is wanted.

    What only comes in needs none: the socket ignores what leaves.
    """
    if direction is not Direction.OUT:
        return program
    return (
        Instruction(Op.LD_W_ABS, 0, 0, ANCILLARY_BASE + Ancillary.PKTTYPE),
        Instruction(Op.JEQ_K, 1, 0, socket.PACKET_OUTGOING),
        Instruction(Op.RET_K, 0, 0, 0),
        Instruction(Op.LD_IMM, 0, 0, 0),
        *program,
    )


def sufficient_optmem(instructions: Sequence[Instruction]) -> int:
    """Return a value of net.core.optmem_max with which a program can be attached, and exchanged."""
    needed = 2 * 8 * _EXPANSION * len(instructions)
    return max(_LEAST_OPTMEM, 1 << needed.bit_length())
