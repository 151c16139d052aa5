"""Filters for one kind of record, ready to scan blocks of memory."""

from __future__ import annotations

import ctypes
from collections import deque
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from pfcompile.analysis.counters import Counting
from pfcompile.captures.blocks.scans import ROW, Extent, Rows, Sums, Wanted
from pfcompile.captures.formats.layouts import INTERFACE_WORDS, PcapLayout
from pfcompile.cbpf.check import check_structure
from pfcompile.errors import InternalError
from pfcompile.jit.scan.filter import check_scannable
from pfcompile.jit.scan.loop import (
    BASE,
    BLOCK_SIZE,
    COUNTERS,
    DESCRIPTOR,
    END,
    INTERFACE_COUNT,
    INTERFACES,
    LIMIT,
    MEMMOVE,
    PLACE,
    POSITION,
    PREAD,
    READS_AT,
    TABLES,
    WANTED,
)
from pfcompile.jit.scan.machine import Code, function_address
from pfcompile.jit.scan.notes import OUTPUT_SLACK, Matched, matches_word
from pfcompile.jit.scan.tables import ALIGNMENT
from pfcompile.jit.scan.walk import places_of, scan_module, state_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    from pfcompile.captures.blocks.scans import Memory, Reads
    from pfcompile.captures.formats.layouts import Layout
    from pfcompile.jit.scan.counted import Scanned

_SCAN: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

_WORD_BYTES: Final = 8
_ROW_BYTES: Final = _WORD_BYTES * len(ROW)

_LEAST_BLOCK: Final = 16
"""Bytes of the shortest pcapng block that is a packet."""

_MODULUS: Final = 1 << 64

_GIVEN: Final = (
    *(POSITION, END, BASE, PLACE, WANTED, LIMIT, BLOCK_SIZE, READS_AT),
    *(DESCRIPTOR, PREAD),
)
"""The words that a scan is given each time; the first three are what it gives back."""

_MOST_IN_A_CALL: Final = 1 << 32
"""No call goes through so many bytes: see `Matched`."""

_NEVER: Final = (1 << 64) - 1
"""The earliest time of no packets."""


class Scanner:
    """Some filters and the loop around them as native code, which any number of scans share.

    Attributes:
        layout: The records that it is for.
        function: The code; takes the addresses of a block and of a scan's state.
        tables: The address of its tables.
        places: Where it has the counters of graphs.
    """

    def __init__(
        self,
        programs: Sequence[Sequence[Scanned]],
        layout: Layout,
        wanted: Wanted,
        *,
        cached: bool = False,
    ) -> None:
        """Compile.

        Args:
            programs: For each link type a valid program for each filter, or a graph to be counted.
            layout: The records of the file.
            wanted: What is taken down of them.
            cached: Whether compiled code may be taken from the user's cache, and is kept there.

        Raises:
            ProgramError: A program is not valid, or does what only the interpreter can.
        """
        for filters in programs:
            for each in filters:
                if not isinstance(each, Counting):
                    check_structure(each)
                    check_scannable(each)
        self.layout = layout
        self.places = places_of(programs)
        module = scan_module(programs, layout, wanted)
        self._code = Code(module.text, "scan", cached=cached)
        self._tables = (ctypes.c_char * (len(module.tables) + ALIGNMENT))()
        self.tables = -(-ctypes.addressof(self._tables) // ALIGNMENT) * ALIGNMENT
        ctypes.memmove(self.tables, module.tables, len(module.tables))
        self.function = _SCAN(self._code.address)


class Scan:
    """What one walk through a file counts and keeps; a `captures.blocks.scans.BlockScan`.

    It is for one thread at a time; while it scans, other threads run.

    Attributes:
        layout: The records.
        memory: That of the last block.
    """

    def __init__(self, layout: Layout, wanted: Wanted, filters: int) -> None:
        """Begin with nothing counted, and without native code: it stops at the first record.

        Args:
            layout: The records.
            wanted: What is taken down of them.
            filters: How many filters there are.
        """
        words = state_words(layout, wanted, filters)
        self.layout = layout
        self.memory: bytearray | mmap = bytearray()
        self._filters = filters
        self._scanner: Scanner | None = None
        self._prefix = layout.prefix if isinstance(layout, PcapLayout) else 0
        self._indexes = {word: index for index, word in enumerate(words)}
        self._state = (ctypes.c_uint64 * len(words))()
        for word in words:
            if word in {"first", "matched_first"}:
                self._set(word, _NEVER)
        self._given = [self._indexes[word] for word in _GIVEN]
        self._set(MEMMOVE, _memmove())
        self._extent = 0
        # Up to the last call; what that has added is in the words of matches.
        self._before = [Matched(0, 0)] * filters
        self._outputs = [_Memory(f"out_{n}") for n in range(filters)] if wanted.copies else []
        self._rows = _Memory("row")
        self._memories = [*self._outputs, *([self._rows] if wanted.rows is not Rows.NONE else [])]
        self._count = 0
        self._counters = (ctypes.c_uint64 * 0)()
        self._interfaces = (ctypes.c_uint64 * len(INTERFACE_WORDS))()
        self._place_interfaces()

    def use(self, scanner: Scanner) -> None:
        """Go on with native code for the same kind of records."""
        self._scanner = scanner
        self.layout = scanner.layout
        self._set(TABLES, scanner.tables)
        counters = (ctypes.c_uint64 * scanner.places.words)()
        ctypes.memmove(counters, self._counters, ctypes.sizeof(self._counters))
        self._counters = counters
        self._set(COUNTERS, ctypes.addressof(counters))

    def scan(self, memory: Memory, reads: Reads, limit: int) -> tuple[int, int, int]:
        """Walk records; see `BlockScan`."""
        self.memory = memory.memory
        if self._scanner is None:
            return memory.start, memory.end, memory.base
        size = memory.end - memory.start + reads.wanted
        if size >= _MOST_IN_A_CALL:
            raise InternalError(f"a scan of {size} bytes in one call")
        self._take_matches()
        left = min(max(limit - self._before[0].packets, 0), _MOST_IN_A_CALL - 1)
        words = (
            *(memory.start, memory.end, memory.base % _MODULUS, memory.base + memory.end),
            *(reads.wanted, Matched(left, 0).word, memory.size, memory.reads_at),
            *(reads.descriptor % _MODULUS, _pread() if reads.wanted else 0),
        )
        state = self._state
        for index, word in zip(self._given, words, strict=True):
            state[index] = word
        for each in self._memories:
            self._make_room(each, size)
        block = ctypes.c_char.from_buffer(memory.memory)
        self._scanner.function(ctypes.addressof(block), ctypes.addressof(state))
        del block  # which keeps the memory from being resized
        position, end, base = (state[index] for index in self._given[:3])
        base -= _MODULUS if base > _MODULUS // 2 else 0
        self._extent += base + position - memory.base - memory.start
        return position, end, base

    def _take_matches(self) -> None:
        """Empty the words of matches: their halves have room for one call."""
        self._before = self._matched()
        for number in range(self._filters):
            self._set(matches_word(number), 0)

    def _matched(self) -> list[Matched]:
        """Return what each filter has matched since the beginning."""
        words = [Matched.of(self._get(matches_word(n))) for n in range(self._filters)]
        return [
            Matched(before.packets + more.packets, before.bytes + more.bytes)
            for before, more in zip(self._before, words, strict=True)
        ]

    def sums(self) -> Sums:
        """Return the sums since the beginning."""
        packets = self._get("packets")
        total = self._get("bytes") if "bytes" in self._indexes else 0
        if self._prefix:
            total = self._extent - packets * self._prefix
        matched = self._matched()
        return Sums(
            packets,
            total,
            tuple(each.packets for each in matched),
            tuple(each.bytes for each in matched),
        )

    def counters(self) -> list[tuple[Counting, tuple[int, ...]]]:
        """Return the graphs that are counted with their counters since the beginning."""
        return [] if self._scanner is None else self._scanner.places.counted(self._counters[:])

    def kept(self, number: int = 0) -> memoryview:
        """Return the records that a filter has kept since `forget_kept`."""
        return self._written(self._outputs[number]) if self._outputs else memoryview(b"")

    def detached(self) -> Detached:
        """Return the same in memory that this uses no more; see `BlockScan`."""
        kept = [(each, self._get(each.word) - each.address) for each in self._outputs]
        self._outputs = [_Memory(each.word) for each in self._outputs]
        self._memories = [*self._outputs, *self._memories[len(kept) :]]
        for each in self._outputs:
            self._set(each.word, 0)
        return Detached(kept)

    def rows(self) -> memoryview:
        """Return the rows since `forget_kept`."""
        return self._written(self._rows).cast("Q")

    def forget_kept(self) -> None:
        """Make room: the memory of what has been kept is used again."""
        for each in self._memories:
            self._set(each.word, each.address)

    def extents(self, interface: int = 0) -> tuple[Extent, Extent]:
        """Return the extent of an interface's packets, and of those that the first filter keeps."""
        if self._prefix:
            sums = self.sums()
            words = {
                "packets": sums.packets,
                "bytes": sums.bytes,
                "matched": sums.matched[0],
                "matched_bytes": sums.matched_bytes[0],
                **{w: self._get(w) for w in ("first", "last", "matched_first", "matched_last")},
            }
        else:
            start = interface * len(INTERFACE_WORDS)
            numbers = self._interfaces[start : start + len(INTERFACE_WORDS)]
            words = dict(zip(INTERFACE_WORDS, numbers, strict=True))
        return (
            _extent(words["packets"], words["bytes"], words["first"], words["last"]),
            _extent(
                words["matched"],
                words["matched_bytes"],
                words["matched_first"],
                words["matched_last"],
            ),
        )

    def set_interface(self, index: int, chosen: int, snaplen: int) -> None:
        """Tell of an interface, a new one behind the others or one of them.

        Args:
            index: Its number within the section.
            chosen: Which of the link types' filters it has; `NO_FILTER` for none yet.
            snaplen: Where simple packets are cut.
        """
        start = index * len(INTERFACE_WORDS)
        if len(self._interfaces) < start + len(INTERFACE_WORDS):
            grown = (ctypes.c_uint64 * (2 * (start + len(INTERFACE_WORDS))))()
            ctypes.memmove(grown, self._interfaces, ctypes.sizeof(self._interfaces))
            self._interfaces = grown
        numbers = {"filter": chosen, "snaplen": snaplen}
        if index >= self._count:
            numbers = dict.fromkeys(INTERFACE_WORDS, 0) | numbers
            numbers |= {"first": _NEVER, "matched_first": _NEVER}
        for word, number in numbers.items():
            self._interfaces[start + INTERFACE_WORDS.index(word)] = number
        self._count = max(self._count, index + 1)
        self._place_interfaces()

    def _place_interfaces(self) -> None:
        self._set(INTERFACES, ctypes.addressof(self._interfaces))
        self._set(INTERFACE_COUNT, self._count)

    def _make_room(self, each: _Memory, size: int) -> None:
        """Let a memory have room for what a block of `size` bytes can give."""
        used = self._get(each.word) - each.address
        if each is self._rows:
            size = (size // (self._prefix or _LEAST_BLOCK) + 1) * _ROW_BYTES
        if each.make_room(used, size + OUTPUT_SLACK):
            self._set(each.word, each.address + used)

    def _written(self, each: _Memory) -> memoryview:
        return each.view(self._get(each.word) - each.address)

    def _get(self, word: str) -> int:
        return self._state[self._indexes[word]]

    def _set(self, word: str, number: int) -> None:
        self._state[self._indexes[word]] = number


@cache
def _pread() -> int:
    """Return the address of the C library's `pread`, with offsets of 64 bits."""
    library = ctypes.CDLL(None)
    # Where a C library has but one, its offsets have 64 bits.
    return function_address("pread64" if hasattr(library, "pread64") else "pread")


@cache
def _memmove() -> int:
    return function_address("memmove")


def _extent(packets: int, total: int, first: int, last: int) -> Extent:
    return (
        Extent(packets, total, first, last) if first <= last else Extent(packets, total, None, None)
    )


class Detached:
    """Records that a scan has kept; a `captures.blocks.scans.Kept` without rows."""

    memory: bytearray | mmap = bytearray()

    def __init__(self, kept: Sequence[tuple[_Memory, int]]) -> None:
        """Take over the memory of each filter, of which so much is in use."""
        self._kept = kept

    def kept(self, number: int) -> memoryview:
        """Return the records that a filter has kept."""
        if not self._kept:
            return memoryview(b"")
        memory, used = self._kept[number]
        return memory.view(used)

    def rows(self) -> memoryview:
        """Return no rows."""
        return memoryview(b"")

    def detached(self) -> Detached:
        """Return itself."""
        return self


class _Memory:
    """Memory that a scan writes to, from the address in one of its words on."""

    def __init__(self, word: str) -> None:
        self.word = word
        self._memory = bytearray()
        self.address = 0

    def make_room(self, used: int, more: int) -> bool:
        """Have `more` bytes behind those in use; return whether the address is another now."""
        if used + more <= len(self._memory):
            return False
        size = -(-(used + more) // _STEP) * _STEP
        grown = _spare(size) or bytearray(max(size, 2 * used))
        grown[:used] = self._memory[:used]
        self._memory = grown
        block = ctypes.c_char.from_buffer(grown)
        self.address = ctypes.addressof(block)
        del block
        return True

    def view(self, used: int) -> memoryview:
        """Return what is in use."""
        return memoryview(self._memory)[:used].toreadonly()

    def __del__(self) -> None:
        """Let another scan have the memory, unless somebody still looks at it."""
        with suppress(BufferError):
            self._memory.append(0)  # as nobody can who is looked at
            _SPARE.append(self._memory)


_STEP: Final = 256 * 1024
"""Bytes that memory is asked for in, so that what fits a block mostly fits the next as well."""

_SPARE: Final[deque[bytearray]] = deque(maxlen=8)
"""Memory that was written to before: new memory costs more than what is done in it."""


def _spare(size: int) -> bytearray | None:
    """Return spare memory of at least so many bytes, but not of many more; or None."""
    for _ in range(len(_SPARE)):
        try:
            memory = _SPARE.pop()
        except IndexError:  # another thread has taken it
            return None
        if size <= len(memory) <= 2 * size:
            return memory
        _SPARE.appendleft(memory)
    return None
