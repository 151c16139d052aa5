"""What a scan takes down of each record: sums, times, copies, rows. Each is asked for by name.

No branch depends on a verdict, but for copies of what is longer than most: sums add 0 or what the
packet has, copies and rows are made for every packet, and one that does not match is overwritten
by the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.captures.blocks.scans import ROW, Rows
from pfcompile.captures.formats.layouts import INTERFACE_WORDS, PcapngLayout
from pfcompile.jit.scan.records import POSITION, interface_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.captures.blocks.scans import Wanted
    from pfcompile.captures.formats.layouts import Layout
    from pfcompile.jit.scan.records import Record, Records
    from pfcompile.jit.scan.text import Text

COPIED_AT_ONCE: Final = 128
"""Bytes of a record that are copied whatever its length and verdict: most packets of the small kind
are no longer, and a branch on the length would cost more than the copy."""

_PIECE: Final = 64
"""The bytes that longer records are copied in; up to so many behind a copy are overwritten."""

OUTPUT_SLACK: Final = COPIED_AT_ONCE + _PIECE
"""Room that must be left behind what a block's copies can take."""


class Judged(NamedTuple):
    """A record with its verdicts.

    Attributes:
        record: Its names.
        records: What writes its time.
        matches: A bit for each filter.
    """

    record: Record
    records: Records
    matches: Sequence[str]


def matches_word(number: int) -> str:
    """Return the name of the word with a filter's `Matched`."""
    return f"matches_{number}"


_HALF: Final = 32
"""Bits of half a word."""


class Matched(NamedTuple):
    """How many packets have matched in one call, and their captured bytes.

    In the scan's state both are in one word, which takes two instructions a packet less than two
    words: the packets in its upper half, the bytes in the lower one. A call goes through less than
    2**32 bytes, and so through fewer packets.
    """

    packets: int
    bytes: int

    @classmethod
    def of(cls, word: int) -> Self:
        """Return what a word says."""
        return cls(*divmod(word, 1 << _HALF))

    @property
    def word(self) -> int:
        """The word that says it."""
        return self.packets << _HALF | self.bytes


class Note(ABC):
    """One thing taken down; `words` are carried from record to record."""

    words: tuple[str, ...]

    @abstractmethod
    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        """Write it for one record; return the names of the words' new numbers."""

    def pass_over(self, text: Text, record: Record) -> dict[str, str]:
        """Write it for a record without a packet; by default nothing changes."""
        del text, record
        return {}


def notes_for(layout: Layout, wanted: Wanted, filters: int) -> list[Note]:
    """Return the notes that a scan with some filters takes."""
    sections = isinstance(layout, PcapngLayout)
    notes: list[Note] = [_Packets()]
    if sections:
        notes.append(_Sum("bytes"))
    for number in range(filters):
        notes.append(_Matches(number))
        if wanted.copies:
            notes.append(_Copy(number))
    if wanted.times:
        notes += [_Interface()] if sections else [_Times("{}", None), _Times("matched_{}", 0)]
    if wanted.rows is not Rows.NONE:
        notes.append(_Row(wanted.rows))
    return notes


_KEEP: Final = (("umin", "-1"), ("umax", "0"))
"""LLVM's functions for the earliest and the latest time, and the time that changes neither."""


class _Packets(Note):
    words = ("packets",)

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        del judged
        return {"packets": text.value("add i64 %packets, 1")}


class _Sum(Note):
    """Captured bytes of all packets; in pcap files they follow from the records' extent."""

    def __init__(self, word: str) -> None:
        self.words = (word,)

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        (word,) = self.words
        return {word: text.value(f"add i64 %{word}, {judged.record.captured}")}


class _Matches(Note):
    """Packets that match, and their captured bytes, added up in one go; see `Matched`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.words = (matches_word(number),)

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        match = judged.matches[self._number]
        (word,) = self.words
        one = text.value(f"add i64 {judged.record.captured}, {Matched(1, 0).word}")
        kept = text.value(f"select i1 {match}, i64 {one}, i64 0")
        return {word: text.value(f"add i64 %{word}, {kept}")}


class _Times(Note):
    """The earliest and the latest time, in ticks: of all packets, or of those that match."""

    def __init__(self, pattern: str, number: int | None) -> None:
        self._number = number
        self.words = (pattern.format("first"), pattern.format("last"))

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        after = {}
        for word, (keep, untimed) in zip(self.words, _KEEP, strict=True):
            ticks = judged.records.ticks(text, untimed)
            found = text.value(f"call i64 @llvm.{keep}.i64(i64 %{word}, i64 {ticks})")
            if self._number is not None:
                match = judged.matches[self._number]
                found = text.value(f"select i1 {match}, i64 {found}, i64 %{word}")
            after[word] = found
        return after


class _Interface(Note):
    """Sums and times of each pcapng interface, in its words; of the first filter's matches."""

    words = ()

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        record, match = judged.record, judged.matches[0]
        one = text.value(f"zext i1 {match} to i64")
        kept = text.value(f"select i1 {match}, i64 {record.captured}, i64 0")
        changes = {
            "packets": "add i64 {}, 1",
            "bytes": f"add i64 {{}}, {record.captured}",
            "matched": f"add i64 {{}}, {one}",
            "matched_bytes": f"add i64 {{}}, {kept}",
        }
        # All are loaded before any is stored, as `Text.value` wants it.
        places = {word: interface_place(text, record, word) for word in INTERFACE_WORDS}
        numbers = {
            word: text.value(change.format(text.value(f"load i64, ptr {places[word]}")))
            for word, change in changes.items()
        }
        for word, (keep, untimed) in zip(("first", "last"), _KEEP, strict=True):
            ticks = judged.records.ticks(text, untimed)
            for name in (word, f"matched_{word}"):
                old = text.value(f"load i64, ptr {places[name]}")
                numbers[name] = text.value(f"call i64 @llvm.{keep}.i64(i64 {old}, i64 {ticks})")
            numbers[name] = text.value(f"select i1 {match}, i64 {numbers[name]}, i64 {old}")
        for word, number in numbers.items():
            text.act(f"store i64 {number}, ptr {places[word]}")
        return {}


class _Copy(Note):
    """Matching records, one behind the other from the address in `out` on."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.words = (f"out_{number}",)

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        (word,) = self.words
        match, stop = judged.matches[self._number], judged.record.stop
        source = text.value(f"getelementptr i8, ptr %block, i64 {POSITION}")
        target = text.value(f"inttoptr i64 %{word} to ptr")
        size = text.value(f"sub i64 {stop}, {POSITION}")
        piece = f"load <{COPIED_AT_ONCE} x i8>, ptr {source}, align 1"
        text.act(f"store <{COPIED_AT_ONCE} x i8> {text.value(piece)}, ptr {target}, align 1")
        advance = text.value(f"select i1 {match}, i64 {size}, i64 0")
        after = text.value(f"add i64 %{word}, {advance}")
        longer = text.value(f"icmp ugt i64 {advance}, {COPIED_AT_ONCE}")
        before, loop, done = text.label, f"copy.{self._number}", f"copied.{self._number}"
        text.act(f"br i1 {longer}, label %{loop}, label %{done}")
        text.begin(loop)
        index, following = f"%copy.index.{self._number}", f"%copy.next.{self._number}"
        text.act(f"{index} = phi i64 [{COPIED_AT_ONCE}, %{before}], [{following}, %{loop}]")
        part = text.value(f"getelementptr i8, ptr {source}, i64 {index}")
        place = text.value(f"getelementptr i8, ptr {target}, i64 {index}")
        data = text.value(f"load <{_PIECE} x i8>, ptr {part}, align 1")
        text.act(f"store <{_PIECE} x i8> {data}, ptr {place}, align 1")
        text.act(f"{following} = add i64 {index}, {_PIECE}")
        more = text.value(f"icmp ult i64 {following}, {size}")
        text.act(f"br i1 {more}, label %{loop}, label %{done}")
        text.begin(done)
        return {word: after}

    def pass_over(self, text: Text, record: Record) -> dict[str, str]:
        """Copy it for every filter: it may tell something of what is kept."""
        (word,) = self.words
        source = text.value(f"getelementptr i8, ptr %block, i64 {POSITION}")
        target = text.value(f"inttoptr i64 %{word} to ptr")
        size = text.value(f"sub i64 {record.stop}, {POSITION}")
        copied = f"%copied.other.{self._number}"
        text.act(f"{copied} = call ptr %memmove(ptr {target}, ptr {source}, i64 {size})")
        return {word: text.value(f"add i64 %{word}, {size}")}


class _Row(Note):
    """A row of numbers a packet (`captures.blocks.scans.ROW`), from the address in `row` on."""

    words = ("row",)

    def __init__(self, rows: Rows) -> None:
        self._all = rows is Rows.ALL

    def write(self, text: Text, judged: Judged) -> dict[str, str]:
        record = judged.record
        place = text.value("inttoptr i64 %row to ptr")
        interface = "0"
        if record.interface:
            inside = text.value(f"ptrtoint ptr {record.interface} to i64")
            interface = text.value(f"sub i64 {inside}, %interfaces.word")
            untimed = text.value(f"zext i1 {judged.records.is_untimed(text)} to i64")
            interface = text.value(f"add i64 {interface}, {untimed}")  # UNTIMED is 1
        matched = "0"
        for number, match in enumerate(judged.matches):
            bit = text.value(f"zext i1 {match} to i64")
            matched = text.value(f"or i64 {matched}, {text.value(f'shl i64 {bit}, {number}')}")
        body = text.value(f"ptrtoint ptr {record.data} to i64")
        block = text.value("ptrtoint ptr %block to i64")
        values = {
            "offset": text.value(f"add i64 {POSITION}, %base"),
            "data": text.value(f"sub i64 {body}, {block}"),
            "ticks": judged.records.ticks(text, "0"),
            "captured": record.captured,
            "wire": text.value(f"zext i32 {record.wire} to i64"),
            "interface": interface,
            "matched": matched,
        }
        for index, word in enumerate(ROW):
            to = text.value(f"getelementptr i64, ptr {place}, i64 {index}")
            text.act(f"store i64 {values[word]}, ptr {to}")
        advance = str(8 * len(ROW))
        if not self._all:
            any_match = text.value(f"icmp ne i64 {matched}, 0")
            advance = text.value(f"select i1 {any_match}, i64 {advance}, i64 0")
        return {"row": text.value(f"add i64 %row, {advance}")}
