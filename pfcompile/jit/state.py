"""What native code and Python tell each other during a run: words of 64 bits, by name.

Both sides read the names here, so that neither counts bytes. A row of the table of regions is three
words: where the region really is, how many of its bytes can be read, and how many written.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum, auto
from typing import Final

from pfcompile.ebpf.isa import REGISTERS


class Status(IntEnum):
    """What native code returns, and what it is told when it has called Python."""

    DONE = 0
    """The function has ended; its result is in the registers."""
    LEFT = 1
    """The whole program has ended; the result is in `Word.RESULT`."""
    FAULT = 2
    """It did what it may not; `Word.SLOT`, `Word.CODE` and `Word.VALUE` say where and with what."""
    BUDGET = 3
    """It has run all its instructions; the next would be the `Word.VALUE`th after `Word.SLOT`."""
    RAISED = 4
    """Python has an exception to raise."""
    TAIL_CALL = 5
    """The program at `Word.NEXT` takes over. Never returned by native code."""


class Column(IntEnum):
    """The words of a row of the table of regions."""

    BASE = 0
    READABLE = 1
    WRITABLE = 2


ROW_WORDS: Final = len(Column)
FIXED_ROWS: Final = 16
"""Regions below this number have their row at it: none, packet, context, stack frames."""


class Word(IntEnum):
    """Where each word is, counted in words."""

    PROGRAM = 0
    """The function that a run begins with."""
    HAS_STACK = auto()
    """Whether anybody can see what is in its stack frame."""
    BUDGET = auto()
    REMAINING = auto()
    LOOP_LIMIT = auto()
    LOOPS = auto()
    DEPTH = auto()
    """Stack frames in use."""
    FRAMES = auto()
    """Where they really are, one after the other."""
    ARGUMENT_1 = auto()
    ARGUMENT_2 = auto()
    CALLBACK = auto()
    """What native code calls to have Python do something."""
    SLOT = auto()
    CODE = auto()
    VALUE = auto()
    RESULT = auto()
    NEXT = auto()
    CONSTANTS = auto()
    """What the 64-bit immediates of the running program stand for, as far as it is known."""
    PACKET = auto()
    """The packet that legacy packet loads see: where it really is."""
    PACKET_BYTES = auto()
    HAS_PACKET_LOADS = auto()
    CONTEXT_REGISTER = auto()
    """What R6 must hold for a legacy packet load; 0 for anything."""
    METADATA = auto()
    """What the metadata is set to before every run, where proofs rely on what is in it."""
    METADATA_BYTES = auto()
    """How much of it; 0 where nothing is to be set."""
    CONTEXT = auto()
    """A context that is no region: where its bytes really are, 0 without one."""
    CONTEXT_BYTES = auto()
    CONTEXT_READS = auto()
    """Where its table of `contexts.Access` for reading is."""
    CONTEXT_WRITES = auto()
    CONTEXT_DATA = auto()
    """What the fields hold that are pointers."""
    CONTEXT_DATA_END = auto()
    DECLARED = auto()
    """Where the rows of declared regions are, and how many."""
    DECLARED_ROWS = auto()
    DYNAMIC = auto()
    """The same for the regions that have come up during the run."""
    DYNAMIC_ROWS = auto()
    FIRST_REGISTER = auto()
    """R0; the others follow, and then the rows of near regions."""


FIRST_ROW: Final = Word.FIRST_REGISTER + REGISTERS
STATE_WORDS: Final = FIRST_ROW + FIXED_ROWS * ROW_WORDS

Words = ctypes.Array[ctypes.c_uint64]
"""Words as Python holds them."""


def make_words(count: int) -> Words:
    """Return `count` words, all 0."""
    return (ctypes.c_uint64 * count)()
