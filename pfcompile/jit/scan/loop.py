"""The loops around a filter: over the records of a block, and over the blocks of a file.

Numbers that go from record to record are loaded from the words of `state` before the first, and
stored there behind the last, so that a caller sees the sums of all that it has had scanned::

    entry:   load the words
    block:   a phi for each word that goes from block to block
    record:  a phi for each word that goes from record to record; a prefetch; what a record is
             (`records`); the filters (`walk`)
    next:    the words' new numbers (`notes`); on to record
    halt:    from record, where there is no further whole record: on to carry, or out
    carry:   move what is left to in front of where is read to; read; on to block, or out
    out:     store the words

Reading is the C library's `pread`, called by its address. Where there is none (0), or it gives
nothing, or so much is left that it cannot be a record that was only cut, the caller goes on: it
knows how to tell what is wrong.
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Final

from pfcompile.captures.blocks.block import ROOM
from pfcompile.jit.scan.ranked import DECLARATIONS
from pfcompile.jit.scan.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POSITION: Final = "position"
END: Final = "end"
BASE: Final = "base"
PLACE: Final = "place"
WANTED: Final = "wanted"
BLOCK_WORDS: Final = (END, BASE, PLACE, WANTED)
"""Words that go from block to block: where the block ends, the place in the file of the memory's
first byte, the place that is read from next, and how many bytes are to be read."""

LIMIT: Final = "limit"
TABLES: Final = "tables"
COUNTERS: Final = "counters"
INTERFACES: Final = "interfaces"
INTERFACE_COUNT: Final = "interface.count"
DESCRIPTOR: Final = "descriptor"
PREAD: Final = "pread"
MEMMOVE: Final = "memmove"
BLOCK_SIZE: Final = "block.size"
READS_AT: Final = "reads.at"
FIXED_WORDS: Final = (
    *(LIMIT, TABLES, COUNTERS, INTERFACES, INTERFACE_COUNT),
    *(DESCRIPTOR, PREAD, MEMMOVE, BLOCK_SIZE, READS_AT),
)
"""Words that are only read: the word of matches with which the scan stops, where the filters have
their tables and counters, where the words of the interfaces are and how many there are, what is
read from and by which functions, how much at a time, and where to."""

_POINTERS: Final = frozenset({TABLES, COUNTERS, INTERFACES, PREAD, MEMMOVE})

_DECLARATIONS: Final = """\
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare i32 @llvm.umin.i32(i32, i32)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
"""

_CARRY: Final = f"""\
halt:
  %left = sub i64 %end, %position
  %cut = icmp ule i64 %left, {ROOM}
  %more = icmp ne i64 %wanted, 0
  %reads = icmp ne i64 %pread.word, 0
  %both = and i1 %cut, %more
  %all = and i1 %both, %reads
  br i1 %all, label %carry, label %out
carry:
  %from = getelementptr i8, ptr %block, i64 %position
  %begin = sub i64 %reads.at, %left
  %to = getelementptr i8, ptr %block, i64 %begin
  %moved = call ptr %memmove(ptr %to, ptr %from, i64 %left)
  %asked = call i64 @llvm.umin.i64(i64 %block.size, i64 %wanted)
  %target = getelementptr i8, ptr %block, i64 %reads.at
  %file = trunc i64 %descriptor to i32
  %count = call i64 %pread(i32 %file, ptr %target, i64 %asked, i64 %place)
  %got = icmp sgt i64 %count, 0
  %read = select i1 %got, i64 %count, i64 0
  %end.carried = add i64 %reads.at, %read
  %base.carried = sub i64 %place, %reads.at
  %place.carried = add i64 %place, %read
  %wanted.carried = sub i64 %wanted, %read
  br i1 %got, label %block.start, label %out"""

_AHEAD: Final = 4096
"""So far ahead of a record memory is asked for, since a header's place is known only from the one
before. What has been read is in the second-level cache, and there 1024 is as good; what is mapped
comes from memory, and there 1024 and 2048 took up to a fifth and a tenth longer, and 8192 as long.
"""

_LINE: Final = 64
"""Bytes of a line of the cache."""

_PREFETCH: Final = f"""\
  %ahead = add i64 %{POSITION}, {_AHEAD}
  %ahead.place = getelementptr i8, ptr %block, i64 %ahead
  call void @llvm.prefetch.p0(ptr %ahead.place, i32 0, i32 3, i32 1)
  %ahead.next = getelementptr i8, ptr %ahead.place, i64 {_LINE}
  call void @llvm.prefetch.p0(ptr %ahead.next, i32 0, i32 3, i32 1)"""
"""Two lines, so that none is left out between small packets: with them, 1024 bytes ahead, a walk of
packets of 64 to 100 bytes that were read takes as long as in the first-level cache (2.3 ns a
packet; with one line 3.3, with none 5.3), with three lines no less. Where large packets are read it
costs and gives nothing. A place behind the memory does no harm (LLVM Language Reference,
"llvm.prefetch")."""

_NO_CONSTANTS: Final = 'attributes #0 = { nounwind "no-jump-tables"="true" }'
"""A table of jump targets would be data outside of the code, which then could not be cached."""

_LIKELY: Final = '!0 = !{!"branch_weights", i32 1000, i32 1}\n'


class Loop:
    """A function `scan(block, state)` while it is written.

    Attributes:
        text: What a record takes, to be written from block `record` on; ends in block `next`.
        words: The words that are carried from record to record.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Begin.

        Args:
            words: Those carried beside the position.
        """
        self.text = Text()
        self.text.label = "record"
        self.words = (POSITION, *words)

    @property
    def state(self) -> tuple[str, ...]:
        """The names of the 64-bit words of `state`."""
        return (*self.words, *BLOCK_WORDS, *FIXED_WORDS)

    def finish(self, after: Mapping[str, str], *, matches: str | None = None) -> str:
        """Return the module; the text must have ended in block `next`, without a last branch.

        Args:
            after: The names of the words' numbers behind the record.
            matches: The word that is compared with the limit; None for a loop without one.
        """
        return "\n".join(
            (
                f"{_DECLARATIONS}{DECLARATIONS}",
                "define void @scan(ptr %block, ptr noalias %state) #0 {",
                "entry:",
                *self._loads(),
                "  br label %block.start",
                "block.start:",
                *self._block_phis(),
                "  br label %record",
                "record:",
                *(
                    f"  %{word} = phi i64 [%{word}.begun, %block.start], [{after[word]}, %next]"
                    for word in self.words
                ),
                _PREFETCH,
                *_fresh_registers(),
                *self.text.lines,
                *_onward(after, matches),
                _CARRY,
                "out:",
                *self._stores(after, matches),
                "  ret void",
                "}",
                _NO_CONSTANTS,
                _LIKELY,
            )
        )

    def _loads(self) -> list[str]:
        lines = []
        for index, word in enumerate(self.state):
            lines.append(f"  %{word}.place = getelementptr i64, ptr %state, i64 {index}")
            name = word
            if word in _POINTERS:
                name = f"{word}.word"
            elif word not in FIXED_WORDS:
                name = f"{word}.first"
            lines.append(f"  %{name} = load i64, ptr %{word}.place")
        return lines + [
            f"  %{word} = inttoptr i64 %{word}.word to ptr" for word in sorted(_POINTERS)
        ]

    def _block_phis(self) -> list[str]:
        """Return what begins with a block: new places, and the words as they are."""
        lines = []
        for word in (*self.words, *BLOCK_WORDS):
            name, carried = f"{word}.begun", f"%{word}"
            if word == POSITION:
                carried = "%begin"
            elif word in BLOCK_WORDS:
                name, carried = word, f"%{word}.carried"
            lines.append(f"  %{name} = phi i64 [%{word}.first, %entry], [{carried}, %carry]")
        return lines

    def _stores(self, after: Mapping[str, str], matches: str | None) -> list[str]:
        lines = []
        for word in (*self.words, *BLOCK_WORDS):
            carried = f"%{word}"
            if word == POSITION:
                carried = "%begin"
            elif word in BLOCK_WORDS:
                carried = f"%{word}.carried"
            ways = f"[%{word}, %halt], [{carried}, %carry]"
            if matches is not None:
                ways += f", [{after.get(word, f'%{word}')}, %next]"
            lines.append(f"  %{word}.last = phi i64 {ways}")
        stored = (*self.words, *BLOCK_WORDS)
        return lines + [f"  store i64 %{word}.last, ptr %{word}.place" for word in stored]


_WRITTEN_IN_PART: Final = ("r8", "r9", "r10", "r11")
"""Registers of x86-64 that outcomes of comparisons are put into, one byte, most often."""


def _fresh_registers() -> list[str]:
    """Return what makes a record's comparisons independent of the record before, on x86-64.

    `setcc` writes one byte of a register, and so waits for what has written the others: by chance,
    the last outcome of the record before, and then a record takes up to three times as long. A
    register that is set to zero by `xor` waits for nothing (Intel 64 and IA-32 Architectures
    Optimization Reference Manual, "Dependency-Breaking Idioms" and "Partial Register Stalls").
    """
    # A process of 32 bits on such a machine has no such registers.
    if platform.machine() not in {"x86_64", "AMD64"} or sys.maxsize < 1 << 32:
        return []
    code = "\\0A".join(f"xorl %{name}d, %{name}d" for name in _WRITTEN_IN_PART)
    clobbers = ",".join(f"~{{{name}}}" for name in (*_WRITTEN_IN_PART, "dirflag", "fpsr", "flags"))
    return [f'  call void asm sideeffect "{code}", "{clobbers}"()']


def _onward(after: Mapping[str, str], matches: str | None) -> list[str]:
    """Return how a record ends: on to the next, unless enough have matched."""
    if matches is None:
        return ["  br label %record"]
    return [
        f"  %full = icmp uge i64 {after[matches]}, %limit",
        "  br i1 %full, label %out, label %record",
    ]
