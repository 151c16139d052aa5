"""32-bit arithmetic, the one meaning of it: constants are folded and programs are run with this."""

from __future__ import annotations

from enum import Enum
from typing import Final

WORD: Final = 0xFFFFFFFF
"""All bits of a 32-bit word: every value of classic BPF is one, unsigned."""


class ArithmeticOp(Enum):
    """The binary operators of the filter language, as they are written in it."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    AND = "&"
    OR = "|"
    XOR = "^"
    LSH = "<<"
    RSH = ">>"

    # Members are single objects; Enum would hash their names anew each time.
    __hash__ = object.__hash__


def alu(op: ArithmeticOp, a: int, b: int) -> int | None:
    """Return `a op b` modulo 2**32, or None for a division or modulus by zero.

    `a` and `b` are unsigned words. A shift by more than 31 gives 0, as in libpcap's bpf_filter();
    the kernel looks only at the amount's low five bits, so whoever wants its answer masks `b`.
    """
    match op:
        case ArithmeticOp.ADD:
            return (a + b) & WORD
        case ArithmeticOp.SUB:
            return (a - b) & WORD
        case ArithmeticOp.MUL:
            return (a * b) & WORD
        case ArithmeticOp.DIV:
            return a // b if b else None
        case ArithmeticOp.MOD:
            return a % b if b else None
        case ArithmeticOp.AND:
            return a & b
        case ArithmeticOp.OR:
            return a | b
        case ArithmeticOp.XOR:
            return a ^ b
        case ArithmeticOp.LSH:
            return (a << b) & WORD if b < 32 else 0
        case ArithmeticOp.RSH:
            return a >> b if b < 32 else 0
