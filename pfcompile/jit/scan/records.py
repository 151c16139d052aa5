"""What a record is, as code: its checks, and where its packet lies.

`write` goes from block `record` to block `packet`, or to `halt` before a record that is not whole,
or that the loop cannot deal with; what is wrong with it is for its caller to say. What has no
packet and tells nothing of those that follow leads to block `other`. Headers are read before it is
known that they are whole: behind the end of a block there is slack.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol

from pfcompile.captures.formats import pcapng
from pfcompile.captures.formats.layouts import INTERFACE_WORDS, PcapLayout, PcapngLayout
from pfcompile.captures.formats.pcap import SMALLER_CAPTURED, WIRE_FIRST
from pfcompile.jit.scan.text import FALSE

if TYPE_CHECKING:
    from pfcompile.jit.scan.text import Text

HOST_ORDER: Final = "<" if sys.byteorder == "little" else ">"

POSITION: Final = "%position"
"""Where in the block the record starts."""

_FOR_THE_CALLER: Final = (
    pcapng.SECTION_HEADER,
    pcapng.INTERFACE_DESCRIPTION,
    pcapng.CUSTOM_BLOCK_NOT_COPIED,
)
"""Blocks that the loop leaves alone."""


class Record(NamedTuple):
    """The names of what is known of a record in block `packet`.

    Attributes:
        data: Pointer to the captured bytes.
        captured: Their number, 64 bits.
        wire: The length on the wire, 32 bits.
        stop: Where in the block the record ends, 64 bits.
        interface: Pointer to the words of its interface (`INTERFACE_WORDS`), in pcapng.
    """

    data: str
    captured: str
    wire: str
    stop: str
    interface: str = ""


class Records(Protocol):
    """One kind of record."""

    @property
    def has_others(self) -> bool:
        """Whether there are records without a packet, from which `write` goes to block `other`.

        The names of where they begin and stop are the same.
        """

    def write(self, text: Text) -> Record:
        """Write the checks; the text is then in block `packet`."""

    def ticks(self, text: Text, untimed: str) -> str:
        """Write the time in the unit of the file, 64 bits; return its name.

        Args:
            text: Where it is written.
            untimed: The number for a packet that has none.
        """

    def is_untimed(self, text: Text) -> str:
        """Write whether the packet has no time; return the bit's name."""


@dataclass(frozen=True, slots=True)
class PcapRecords:
    """Records of pcap files (pcap-savefile(5))."""

    layout: PcapLayout
    has_others: ClassVar = False

    def write(self, text: Text) -> Record:
        """Write the checks of lengths.

        That the header is whole needs none: where it is not, the record ends behind the block,
        whatever its length.
        """
        body = text.value(f"add i64 {POSITION}, {self.layout.prefix}")
        first, second = (_word(text, self.layout.byte_order, offset) for offset in (8, 12))
        if self.layout.lengths == WIRE_FIRST:
            first, second = second, first
        elif self.layout.lengths == SMALLER_CAPTURED:
            swapped = text.value(f"icmp ugt i32 {first}, {second}")
            first, second = (
                text.value(f"select i1 {swapped}, i32 {second}, i32 {first}"),
                text.value(f"select i1 {swapped}, i32 {first}, i32 {second}"),
            )
        captured = text.value(f"zext i32 {first} to i64")
        stop = text.value(f"add i64 {body}, {captured}")
        possible = text.value(f"icmp ule i64 {captured}, {self.layout.longest}")
        whole = text.value(f"icmp ule i64 {stop}, %end")
        data = text.value(f"getelementptr i8, ptr %block, i64 {body}")
        text.act(f"br i1 {text.both(possible, whole)}, label %packet, label %halt, !prof !0")
        text.begin("packet")
        return Record(data, captured, second, stop)

    def ticks(self, text: Text, untimed: str) -> str:
        """Write seconds and their fraction as one number of ticks."""
        del untimed  # all have one
        seconds, fraction = (_wide(text, self.layout.byte_order, offset) for offset in (0, 4))
        whole = text.value(f"mul i64 {seconds}, {self.layout.ticks_per_second}")
        return text.value(f"add i64 {whole}, {fraction}")

    def is_untimed(self, text: Text) -> str:
        """Return the bit for a kind of record that always has a time."""
        del text
        return FALSE


@dataclass(frozen=True, slots=True)
class PcapngRecords:
    """Packet blocks of a pcapng section (draft-ietf-opsawg-pcapng).

    `halt` is at blocks that tell something of those that follow, and at the custom blocks that must
    not be copied. The words of the section's interfaces lie in one array, behind the pointer
    `%interfaces`. A packet of an interface that has no filter yet is for the caller, too.
    """

    layout: PcapngLayout
    has_others: ClassVar = True

    def write(self, text: Text) -> Record:
        """Write the checks; enhanced packet blocks take the straight way."""
        order = self.layout.byte_order
        kind, length = (_word(text, order, offset) for offset in (0, 4))
        size = text.value(f"zext i32 {length} to i64")
        stop = text.value(f"add i64 {POSITION}, {size}")
        usual = text.value(f"icmp eq i32 {kind}, {pcapng.ENHANCED_PACKET}")
        text.act(f"br i1 {usual}, label %enhanced, label %unusual, !prof !0")
        text.begin("unusual")
        halts = " ".join(f"i32 {each}, label %halt" for each in _FOR_THE_CALLER)
        text.act(
            f"switch i32 {kind}, label %no.packet [i32 {pcapng.SIMPLE_PACKET}, label %simple "
            f"i32 {pcapng.OBSOLETE_PACKET}, label %obsolete {halts}]"
        )
        self._write_other(text, stop, size)
        ways = []
        text.begin("simple")
        wire = _word(text, order, 8)
        snaplen = _interface_word(text, "%interfaces", "snaplen")
        limit = text.value(f"trunc i64 {snaplen} to i32")
        cut = text.value(f"icmp ult i32 {limit}, {wire}")
        captured = text.value(f"select i1 {cut}, i32 {limit}, i32 {wire}")
        ways.append((text.label, "0", captured, wire, str(pcapng.SIMPLE_DATA)))
        text.act("br label %block.seen")
        for name in ("obsolete", "enhanced"):
            text.begin(name)
            if name == "enhanced":
                number = _word(text, order, 8)
            else:
                half = _load(text, order, 16, 8)
                number = text.value(f"zext i16 {half} to i32")
            captured, wire = (_word(text, order, offset) for offset in (20, 24))
            ways.append((text.label, number, captured, wire, str(pcapng.PACKET_DATA)))
            text.act("br label %block.seen")
        text.begin("block.seen")
        number, captured, wire, start = (
            text.value(f"phi {kind} " + ", ".join(f"[{way[index]}, %{way[0]}]" for way in ways))
            for index, kind in ((1, "i32"), (2, "i32"), (3, "i32"), (4, "i64"))
        )
        return self._checked(text, stop, size, number, captured, wire, start)

    def _write_other(self, text: Text, stop: str, size: str) -> None:
        """Write the checks of a block without a packet: of its frame."""
        text.begin("no.packet")
        enough = text.value(f"icmp uge i64 {size}, {pcapng.FRAME}")
        framed = text.both(enough, self._is_framed(text, stop, size))
        text.act(f"br i1 {framed}, label %no.packet.whole, label %halt")
        text.begin("no.packet.whole")
        same = self._ends_alike(text, stop, size)
        text.act(f"br i1 {same}, label %other, label %halt")

    def _is_framed(self, text: Text, stop: str, size: str) -> str:
        """Write whether all of a block is there, and its length can be one; return the bit."""
        whole = text.value(f"icmp ule i64 {stop}, %end")
        odd = text.value(f"and i64 {size}, 3")
        even = text.value(f"icmp eq i64 {odd}, 0")
        possible = text.value(f"icmp ule i64 {size}, {self.layout.longest}")
        return text.both(whole, text.both(even, possible))

    def _ends_alike(self, text: Text, stop: str, size: str) -> str:
        """Write whether a whole block's second length is its first; return the bit."""
        room = text.value(f"sub i64 {stop}, 4")
        again = text.load(32, text.value(f"getelementptr i8, ptr %block, i64 {room}"))
        if self.layout.byte_order != HOST_ORDER:
            again = text.swapped(32, again)
        again = text.value(f"zext i32 {again} to i64")
        return text.value(f"icmp eq i64 {again}, {size}")

    def _checked(
        self, text: Text, stop: str, size: str, number: str, captured: str, wire: str, start: str
    ) -> Record:
        """Write what all packet blocks are checked for."""
        captured = text.value(f"zext i32 {captured} to i64")
        body = text.value(f"add i64 {POSITION}, {start}")
        behind = text.value(f"add i64 {body}, {captured}")
        # Lengths below the fixed part's need no check of their own: the data would not fit.
        least = text.value(f"add i64 {behind}, 4")
        fits = text.value(f"icmp ule i64 {least}, {stop}")
        index = text.value(f"zext i32 {number} to i64")
        known = text.value(f"icmp ult i64 {index}, %interface.count")
        good = text.both(text.both(fits, known), self._is_framed(text, stop, size))
        text.act(f"br i1 {good}, label %block.whole, label %halt, !prof !0")
        text.begin("block.whole")
        interface = text.value(
            f"getelementptr [{len(INTERFACE_WORDS)} x i64], ptr %interfaces, i64 {index}"
        )
        same = self._ends_alike(text, stop, size)
        chosen = _interface_word(text, interface, "filter")
        has_filter = text.value(f"icmp ult i64 {chosen}, {self.layout.filters}")
        data = text.value(f"getelementptr i8, ptr %block, i64 {body}")
        text.act(f"br i1 {text.both(same, has_filter)}, label %packet, label %halt, !prof !0")
        text.begin("packet")
        return Record(data, captured, wire, stop, interface)

    def ticks(self, text: Text, untimed: str) -> str:
        """Write the time of a packet block; a simple one has none."""
        high, low = (_wide(text, self.layout.byte_order, offset) for offset in (12, 16))
        upper = text.value(f"shl i64 {high}, 32")
        time = text.value(f"or i64 {upper}, {low}")
        return text.value(f"select i1 {self.is_untimed(text)}, i64 {untimed}, i64 {time}")

    def is_untimed(self, text: Text) -> str:
        """Write whether it is a simple packet block."""
        kind = _word(text, self.layout.byte_order, 0)
        return text.value(f"icmp eq i32 {kind}, {pcapng.SIMPLE_PACKET}")


def interface_filter(text: Text, record: Record) -> str:
    """Write which filter the interface of a pcapng packet has; return its number, 64 bits."""
    return _interface_word(text, record.interface, "filter")


def interface_place(text: Text, record: Record, word: str) -> str:
    """Return the pointer to a word of the packet's interface."""
    index = INTERFACE_WORDS.index(word)
    return text.value(f"getelementptr i64, ptr {record.interface}, i64 {index}")


def _interface_word(text: Text, interface: str, word: str) -> str:
    index = INTERFACE_WORDS.index(word)
    place = text.value(f"getelementptr i64, ptr {interface}, i64 {index}")
    return text.value(f"load i64, ptr {place}")


def _word(text: Text, byte_order: str, offset: int) -> str:
    """Load a word of the record's header, in the file's byte order."""
    return _load(text, byte_order, 32, offset)


def _load(text: Text, byte_order: str, bits: int, offset: int) -> str:
    place = text.value(f"getelementptr i8, ptr %block, i64 {POSITION}")
    word = text.load(bits, text.value(f"getelementptr i8, ptr {place}, i64 {offset}"))
    return word if byte_order == HOST_ORDER else text.swapped(bits, word)


def _wide(text: Text, byte_order: str, offset: int) -> str:
    return text.value(f"zext i32 {_word(text, byte_order, offset)} to i64")
