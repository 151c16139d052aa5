"""Which register holds what in a translated program, and what lies on its stack.

A is in R0, so that LD_ABS, helpers and EXIT find it where they want it. What must outlive a call is
in the registers that calls preserve. Everything between two calls may use R1 to R5.
"""

from __future__ import annotations

from typing import Final

from pfcompile.cbpf.isa import SCRATCH_WORDS
from pfcompile.ebpf.isa import R0, R1, R2, R3, R6, R7, R8, R9

A: Final = R0
X: Final = R7

ARGUMENT: Final = R1
"""The context at the program's start; the first argument of a helper."""
CONTEXT: Final = R6
"""The context from then on; LD_ABS wants it here."""

DATA: Final = R8
"""The packet's first byte, in programs with direct access."""
DATA_END: Final = R9
"""The end of the packet, in programs with direct access."""
KEPT_A: Final = R8
"""A while something else needs R0, in programs without direct access."""
LENGTH: Final = R9
"""The packet's length, in programs without direct access that compare with it."""

SCRATCH: Final = R1
BOUND: Final = R2
"""Short-lived: an address or an offset, and the end of what is read there."""
HEADER: Final = R3
"""The address of the lowest byte of a group of `[x + k]`, as long as the group lasts."""

_WORD_BYTES: Final = 8
"""The verifier follows a value through the stack best where it has an aligned slot to itself."""
BUFFER: Final = -_WORD_BYTES * (SCRATCH_WORDS + 1)
"""Where helpers put packet bytes, from R10; the scratch words lie above."""

DISGUISE: Final = BUFFER - 4
"""Where disguised values pass through. The verifier remembers what it knows about a value on the
stack only for one at a multiple of eight bytes."""
UNKNOWN_ZERO: Final = BUFFER - 2 * _WORD_BYTES
"""A zero of which the verifier does not know that it is one."""


def scratch_offset(word: int) -> int:
    """Return where M[word] lies, in bytes from R10."""
    return -_WORD_BYTES * (word + 1)
