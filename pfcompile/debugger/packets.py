"""The packets of a capture by number, from 1.

They are read as they are asked for. What was read stays in memory up to a limit, then what was read
first goes; to see it again, the capture is read again from its start, where that can be done.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pfcompile.captures.reader import STANDARD_INPUT, open_source, read_records
from pfcompile.debugger.mistakes import Mistake
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Generator

    from pfcompile.captures.formats.records import Record

KEPT_BYTES: Final = 64 << 20
"""Of packets in memory."""
RECORD_BYTES: Final = 320
"""What a packet takes in memory besides its own bytes, about."""
_NOTHING: Final = memoryview(b"")


class Packets:
    """The packets of one capture.

    Attributes:
        damage: What is wrong with the capture behind its last whole packet; None if nothing is, or
            if that is not known yet.

    Args:
        name: A path, a URL, or "-" for standard input, which is read once.
        kept_bytes: How much stays in memory; the last packet always does.
    """

    def __init__(self, name: str, kept_bytes: int = KEPT_BYTES) -> None:
        self.name = name
        self.damage: CaptureError | None = None
        self._limit = kept_bytes
        self._rewind()

    def get(self, number: int) -> Record | None:
        """Return a packet, None past the last whole one.

        Raises:
            CaptureError: The capture cannot be opened.
            Mistake: The packet was dropped, and cannot be read again.
        """
        if number < self._first:
            if self.name == STANDARD_INPUT:
                raise Mistake(
                    f"packet {number} is no longer in memory, and standard input is read only once",
                    "write it to a file first",
                )
            self._rewind()
        while number >= self._first + len(self._kept):
            record = next(self._records, None)
            if record is None:
                return None
            self._keep(record)
        return self._kept[number - self._first]

    @property
    def last(self) -> int:
        """The number of the last packet that was read, after which there may be more."""
        return self._first + len(self._kept) - 1

    def close(self) -> None:
        """Close the capture."""
        self._records.close()

    def _rewind(self) -> None:
        self._records = self._read()
        self._first = 1
        self._kept: deque[Record] = deque()
        self._bytes = 0

    def _read(self) -> Generator[Record, None, None]:
        with open_source(self.name) as stream:
            found = read_records(stream, self.name)
            while True:
                try:
                    record = next(found, None)
                except CaptureError as error:
                    self.damage = error
                    return
                if record is None:
                    return
                yield record

    def _keep(self, record: Record) -> None:
        # A record's own bytes in its file would keep all that was read with them.
        self._kept.append(record._replace(raw=_NOTHING))
        self._bytes += len(record.data) + RECORD_BYTES
        while self._bytes > self._limit and len(self._kept) > 1:
            self._bytes -= len(self._kept.popleft().data) + RECORD_BYTES
            self._first += 1
