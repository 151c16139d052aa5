"""Captures filtered in memory, by native code and by the interpreter, for comparison."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from pfcompile.captures import native, pcap
from pfcompile.captures.filtering import Matchers, Tally, scan
from pfcompile.captures.reader import walk_items
from pfcompile.captures.records import Record
from pfcompile.captures.window import Window
from pfcompile.cbpf.interpreter import prepare
from pfcompile.errors import CaptureError
from pfcompile.jit.scan import Layout, Scanner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction


class Outcome(NamedTuple):
    """What filtering has come to: the counts, the records kept and where, and the error."""

    packets: int
    bytes: int
    matched: int
    matched_bytes: int
    kept: bytes
    offsets: list[int]
    error: str | None


class _Collected:
    """A destination that remembers what it takes."""

    def __init__(self) -> None:
        self.kept = b""
        self.offsets: list[int] = []

    def write(self, item) -> None:
        self.kept += item.raw
        if isinstance(item, Record):
            self.offsets.append(item.offset)

    def flush(self) -> None:
        pass


class _CollectedRuns(_Collected):
    """The same for runs, whose records must be the bytes of the run."""

    def write_run(self, run) -> None:
        if not run.scanner.keeps:
            return
        gathered = bytes(run.gathered())
        self.kept += gathered
        records = list(run.records())
        self.offsets += [record.offset for record in records]
        assert b"".join(bytes(record.raw) for record in records) == gathered


class Filter:
    """A program both ways; native code is made once for each kind of record."""

    def __init__(self, program: Sequence[Instruction]) -> None:
        self._program = program
        self._match = prepare(program)
        self._scanners: dict[tuple[Layout, bool], Scanner] = {}

    def interpreted(self, content: bytes, limit: int | None = None) -> Outcome:
        """Filter a capture packet by packet."""
        window = Window(BytesIO(content), "made")
        return self._filtered(walk_items(window, pcap.walk), _Collected(), Tally(), limit)

    def native(
        self, content: bytes, limit: int | None = None, *, block_size: int = 1 << 18, keep=True
    ) -> Outcome:
        """Filter a capture in blocks."""
        tally = Tally()

        def walk(window, header):
            key = (Layout.of(header), keep)
            if key not in self._scanners:
                self._scanners[key] = Scanner(self._program, key[0], keep=keep)
            remaining = None if limit is None else lambda: limit - tally.matched
            return native.walk(window, header, self._scanners[key], remaining, block_size)

        window = Window(BytesIO(content), "made", block_size=block_size)
        return self._filtered(walk_items(window, walk), _CollectedRuns(), tally, limit)

    def _filtered(self, items, destination, tally, limit) -> Outcome:
        error = None
        matchers = Matchers(lambda _dlt, _snaplen: self._match, "made")
        try:
            scan(items, matchers, destination, tally, limit)
        except CaptureError as caught:
            error = str(caught)
        counts = (tally.packets, tally.bytes, tally.matched, tally.matched_bytes)
        return Outcome(*counts, destination.kept, destination.offsets, error)


def agree(each: Filter, content: bytes, note: str, **options) -> Outcome:
    """Require that both ways of filtering come to the same; return what they come to."""
    limit = options.pop("limit", None)
    expected = each.interpreted(content, limit)
    found = each.native(content, limit, **options)
    assert found == expected, f"{note}\nnative {found}\ninterpreter {expected}"
    return expected
