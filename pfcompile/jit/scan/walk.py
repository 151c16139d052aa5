"""The loop that walks the records of a block, with the filter in it, as a module of LLVM's.

The module has one function::

    scan(block, state, runs)   walks, filters, counts; notes where runs of matches lie

`state` is 64-bit words, see `STATE`; `runs` holds two 32-bit words a run, its start and its end.
`scan` stops at the first record that is not whole or has a captured length that cannot be, before
it; what is wrong with it is for its caller to say. A limit on the matches stops it behind the
last.

No branch depends on the verdict: the extents are stored for every packet, and those of a packet
that does not match are overwritten by the next.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pfcompile.captures.pcap import SMALLER_CAPTURED, WIRE_FIRST
from pfcompile.jit.scan.filter import Packet, constant_ends, jump_targets, write_filter
from pfcompile.jit.scan.flows import Branches, Conditions
from pfcompile.jit.scan.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.jit.scan.records import Layout

STATE: Final = ("position", "end", "limit", "packets", "matched", "matched_bytes", "runs")
"""The words that `scan` and its caller share: it reads the first three, and writes all but two.

`position` and `end` say which bytes of the block to walk, and then how far that went; `limit` is
the number of matches to stop at, at least 1.
"""

SLACK: Final = 64 * 1024
"""So many bytes behind the end of a block must be readable, whatever they hold."""

MOST_CONDITIONS: Final = 30
"""Programs up to this length are written without branches: beyond it, branches were faster."""

USUAL_LENGTH: Final = 64
"""Loads that end here or before are checked at once. Most packets are at least so long as the
filter's loads of headers reach; what a filter loads beyond this it checks for itself."""

_HOST_ORDER: Final = "<" if sys.byteorder == "little" else ">"

_DECLARATIONS: Final = """\
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
"""

_ENTRY: Final = """\
  %end.place = getelementptr i64, ptr %state, i64 1
  %limit.place = getelementptr i64, ptr %state, i64 2
  %packets.place = getelementptr i64, ptr %state, i64 3
  %matched.place = getelementptr i64, ptr %state, i64 4
  %bytes.place = getelementptr i64, ptr %state, i64 5
  %runs.place = getelementptr i64, ptr %state, i64 6
  %first = load i64, ptr %state
  %end = load i64, ptr %end.place
  %limit = load i64, ptr %limit.place
  br label %record
record:
  %at = phi i64 [%first, %entry], [%stop, %next]
  %packets = phi i64 [0, %entry], [%packets.now, %next]
  %matched = phi i64 [0, %entry], [%matched.now, %next]
  %bytes = phi i64 [0, %entry], [%bytes.now, %next]
  %run = phi i64 [0, %entry], [%run.now, %next]
  %begin = phi i64 [0, %entry], [%begin.now, %next]
  %inside = phi i1 [false, %entry], [%match, %next]"""

_COUNT: Final = """\
  %packets.now = add i64 %packets, 1
  %one = zext i1 %match to i64
  %matched.now = add i64 %matched, %one
  %kept = select i1 %match, i64 %captured, i64 0
  %bytes.now = add i64 %bytes, %kept"""

_NOTE_RUN: Final = """\
  %goes.on = and i1 %inside, %match
  %over = xor i1 %inside, %goes.on
  %over.one = zext i1 %over to i64
  %run.now = add i64 %run, %over.one
  %begin.now = select i1 %goes.on, i64 %begin, i64 %at
  %run.place = getelementptr [2 x i32], ptr %runs, i64 %run.now
  %run.end.place = getelementptr i8, ptr %run.place, i64 4
  %begin.word = trunc i64 %begin.now to i32
  %stop.word = trunc i64 %stop to i32
  store i32 %begin.word, ptr %run.place
  store i32 %stop.word, ptr %run.end.place"""

_NOTE_NOTHING: Final = """\
  %run.now = add i64 0, 0
  %begin.now = add i64 0, 0"""

_OUT: Final = """\
  %full = icmp uge i64 %matched.now, %limit
  br i1 %full, label %out, label %record
out:
  %o.at = phi i64 [%at, %record], [%at, %lengths], [%stop, %next]
  %o.packets = phi i64 [%packets, %record], [%packets, %lengths], [%packets.now, %next]
  %o.matched = phi i64 [%matched, %record], [%matched, %lengths], [%matched.now, %next]
  %o.bytes = phi i64 [%bytes, %record], [%bytes, %lengths], [%bytes.now, %next]
  %o.run = phi i64 [%run, %record], [%run, %lengths], [%run.now, %next]
  %o.inside = phi i1 [%inside, %record], [%inside, %lengths], [%match, %next]
  %o.last = zext i1 %o.inside to i64
  %o.runs = add i64 %o.run, %o.last
  store i64 %o.at, ptr %state
  store i64 %o.packets, ptr %packets.place
  store i64 %o.matched, ptr %matched.place
  store i64 %o.bytes, ptr %bytes.place
  store i64 %o.runs, ptr %runs.place
  ret void
}
"""

_LIKELY: Final = '!0 = !{!"branch_weights", i32 1000, i32 1}\n'


def scan_text(instructions: Sequence[Instruction], layout: Layout, *, keep: bool) -> str:
    """Return the module for a program and a kind of record.

    Args:
        instructions: A program that `check_structure` and `check_scannable` have passed.
        layout: The records.
        keep: Whether runs are noted; else `scan` only counts.
    """
    text = Text()
    text.lines.append(_ENTRY)
    text.label = "record"
    _write_record(text, layout)
    _write_verdict(text, instructions)
    text.lines.append(_COUNT)
    text.lines.append(_NOTE_RUN if keep else _NOTE_NOTHING)
    signature = "define void @scan(ptr noalias %block, ptr noalias %state, ptr noalias %runs) {"
    scan = "\n".join([signature, "entry:", *text.lines, _OUT])
    return _DECLARATIONS + scan + _LIKELY


def _write_record(text: Text, layout: Layout) -> None:
    """Write up to where a record is known to be whole; its packet is in block `packet`."""
    text.lines.append(f"  %body = add i64 %at, {layout.prefix}")
    has_header = text.value("icmp ule i64 %body, %end")
    text.act(f"br i1 {has_header}, label %lengths, label %out")
    text.begin("lengths")
    first, second = (_header_word(text, layout, offset) for offset in (8, 12))
    if layout.lengths == WIRE_FIRST:
        first, second = second, first
    elif layout.lengths == SMALLER_CAPTURED:
        swapped = text.value(f"icmp ugt i32 {first}, {second}")
        first, second = (
            text.value(f"select i1 {swapped}, i32 {second}, i32 {first}"),
            text.value(f"select i1 {swapped}, i32 {first}, i32 {second}"),
        )
    text.lines += [
        f"  %captured = zext i32 {first} to i64",
        f"  %wire = add i32 {second}, 0",
        "  %stop = add i64 %body, %captured",
    ]
    possible = text.value(f"icmp ule i64 %captured, {layout.longest}")
    whole = text.value("icmp ule i64 %stop, %end")
    text.act(f"br i1 {text.both(possible, whole)}, label %packet, label %out")
    text.begin("packet")
    text.lines.append("  %data = getelementptr i8, ptr %block, i64 %body")


def _header_word(text: Text, layout: Layout, offset: int) -> str:
    place = text.value(f"add i64 %at, {offset}")
    word = text.load(32, text.value(f"getelementptr i8, ptr %block, i64 {place}"))
    return word if layout.byte_order == _HOST_ORDER else text.swapped(32, word)


def _write_verdict(text: Text, instructions: Sequence[Instruction]) -> None:
    """Write the filter, up to the block `next` and its bit `match`."""
    packet = Packet("%data", "%captured", "%wire")
    ends = constant_ends(instructions)
    verdicts: list[tuple[str, str]] = []
    if len(instructions) > MOST_CONDITIONS or max(ends, default=0) > SLACK:
        verdicts += _branches(text, instructions, packet)
    else:
        known = max((end for end in ends if end <= USUAL_LENGTH), default=0)
        if known:
            usual = text.value(f"icmp uge i64 %captured, {known}")
            text.act(f"br i1 {usual}, label %usual, label %short, !prof !0")
            text.begin("short")
            verdicts += _branches(text, instructions, packet)
            text.begin("usual")
        conditions = Conditions(text)
        write_filter(instructions, conditions, packet, known)
        text.act("br label %next")
        verdicts.append((conditions.match, text.label))
    text.begin("next")
    entries = ", ".join(f"[{match}, %{label}]" for match, label in verdicts)
    text.lines.append(f"  %match = phi i1 {entries}")


def _branches(
    text: Text, instructions: Sequence[Instruction], packet: Packet
) -> list[tuple[str, str]]:
    """Write the filter with branches and every check, for packets of any length."""
    flow = Branches(text, "next", jump_targets(instructions))
    write_filter(instructions, flow, packet, known=0)
    flow.close()
    return flow.verdicts
