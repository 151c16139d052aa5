"""The loop around a filter: numbers that go from record to record, and where they come from.

Before the first record they are loaded from the words of `state`, and behind the last stored there,
so that a caller sees the sums of all blocks that it has had scanned::

    entry:   load the words
    record:  a phi a word; what a record is (`records`); the filter
    next:    the words' new numbers (`notes`)
             on to record
    halt:    from record, where there is no further whole record
    out:     store the words
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.jit.scan.tables import DECLARATIONS
from pfcompile.jit.scan.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POSITION: Final = "position"
END: Final = "end"
LIMIT: Final = "limit"
TABLES: Final = "tables"
BASE: Final = "base"
INTERFACES: Final = "interfaces"
INTERFACE_COUNT: Final = "interface.count"
FIXED_WORDS: Final = (END, LIMIT, TABLES, BASE, INTERFACES, INTERFACE_COUNT)
"""Words that the loop only reads: where the block ends, how many matches are wanted, where the
filters' tables are, the place in the file of the block's first byte, and where the words of the
interfaces are and how many there are."""

_POINTERS: Final = frozenset({TABLES, INTERFACES})

_DECLARATIONS: Final = """\
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
"""

_NO_CONSTANTS: Final = 'attributes #0 = { nounwind "no-jump-tables"="true" }'
"""A table of jump targets would be data outside of the code, which then could not be cached."""

_LIKELY: Final = '!0 = !{!"branch_weights", i32 1000, i32 1}\n'


class Loop:
    """A function `scan(block, state)` while it is written.

    Attributes:
        text: What a record takes, to be written from block `record` on; ends in block `next`.
        words: The words that are carried from record to record, in the order of `state`.
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
        return (*self.words, *FIXED_WORDS)

    def finish(self, after: Mapping[str, str], *, matched: str | None = None) -> str:
        """Return the module; the text must have ended in block `next`, without a last branch.

        Args:
            after: The names of the words' numbers behind the record.
            matched: The word that is compared with the limit; None for a loop without one.
        """
        entry, phis, out = [], [], []
        for index, word in enumerate(self.state):
            entry.append(f"  %{word}.place = getelementptr i64, ptr %state, i64 {index}")
            name = word
            if word in self.words:
                name = f"{word}.first"
            elif word in _POINTERS:
                name = f"{word}.word"
            entry.append(f"  %{name} = load i64, ptr %{word}.place")
        entry += [f"  %{word} = inttoptr i64 %{word}.word to ptr" for word in sorted(_POINTERS)]
        for word in self.words:
            phis.append(f"  %{word} = phi i64 [%{word}.first, %entry], [{after[word]}, %next]")
            last = f"[%{word}, %halt]"
            if matched is not None:
                last += f", [{after[word]}, %next]"
            out.append(f"  %{word}.last = phi i64 {last}")
        out += [f"  store i64 %{word}.last, ptr %{word}.place" for word in self.words]
        onward = ["  br label %record"]
        if matched is not None:
            onward = [
                f"  %full = icmp uge i64 {after[matched]}, %limit",
                "  br i1 %full, label %out, label %record",
            ]
        return "\n".join(
            (
                f"{_DECLARATIONS}{DECLARATIONS}",
                "define void @scan(ptr noalias %block, ptr noalias %state) #0 {",
                "entry:",
                *entry,
                "  br label %record",
                "record:",
                *phis,
                *self.text.lines,
                *onward,
                "halt:",
                "  br label %out",
                "out:",
                *out,
                "  ret void",
                "}",
                _NO_CONSTANTS,
                _LIKELY,
            )
        )
