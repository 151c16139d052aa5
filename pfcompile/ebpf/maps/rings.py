"""Maps that programs write records to: the ring buffer, and the perf event array.

Source: bpf-helpers(7); linux/bpf.h; Documentation/bpf/ringbuf.rst of Linux.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.maps.vocabulary import Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ebpf.maps.vocabulary import Entries, MapSpec

RECORD_HEADER_BYTES: Final = 8
"""BPF_RINGBUF_HDR_SZ: what a record takes besides its bytes, which are rounded up to 8."""

CURRENT_CPU: Final = 0xFFFF_FFFF
"""BPF_F_CURRENT_CPU: the place in a perf event array that stands for this CPU's."""


class _Unkeyed:
    """A map without keys: no program can look into it."""

    __slots__ = ("spec",)

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec

    def lookup(self, key: bytes) -> bytearray | None:  # noqa: ARG002 - there are no keys
        """Return None."""
        return None

    def update(self, key: bytes, value: bytes, flags: int = Update.ANY) -> int:  # noqa: ARG002
        """Return -EOPNOTSUPP."""
        return -errno.EOPNOTSUPP

    def delete(self, key: bytes) -> int:  # noqa: ARG002
        """Return -EOPNOTSUPP."""
        return -errno.EOPNOTSUPP

    def next_key(self, key: bytes | None) -> bytes | None:  # noqa: ARG002
        """Return None."""
        return None


@dataclass(slots=True)
class _Record:
    """A record in the ring; None until it is submitted, when it is known whether it counts."""

    data: bytearray
    counts: bool | None = None


class RingBuffer(_Unkeyed):
    """A ring of records that programs write, and that `drain` takes out; for several threads."""

    __slots__ = ("_lock", "_records", "_used")

    def __init__(self, spec: MapSpec) -> None:
        super().__init__(spec)
        self._lock = Lock()
        self._records: list[_Record] = []
        self._used = 0

    def reserve(self, size: int) -> bytearray | None:
        """Return room for a record of `size` bytes, zeroed, or None where there is not as much."""
        taken = RECORD_HEADER_BYTES + (size + 7 & ~7)
        with self._lock:
            # One byte short of the whole: a ring that is full must not look like an empty one.
            if self._used + taken >= self.spec.max_entries:
                return None
            self._used += taken
            record = _Record(bytearray(size))
            self._records.append(record)
        return record.data

    def commit(self, data: bytearray, *, counts: bool) -> bool:
        """End the reservation of `data`; what does not count is dropped.

        Returns:
            Whether `data` was reserved here, and not yet ended.
        """
        with self._lock:
            for record in reversed(self._records):
                if record.data is data and record.counts is None:
                    record.counts = counts
                    return True
        return False

    def output(self, data: bytes) -> int:
        """Write a record; return 0, or -EAGAIN where there is no room."""
        room = self.reserve(len(data))
        if room is None:
            return -errno.EAGAIN
        room[:] = data
        self.commit(room, counts=True)
        return 0

    def drain(self) -> list[bytes]:
        """Take out the records, oldest first, up to one that is still being written."""
        taken = []
        with self._lock:
            for record in self._records:
                if record.counts is None:
                    break
                taken.append(record)
            del self._records[: len(taken)]
            self._used -= sum(RECORD_HEADER_BYTES + (len(record.data) + 7 & ~7) for record in taken)
        return [bytes(record.data) for record in taken if record.counts]

    def entries(self) -> Entries:
        """Return the finished records that count, oldest first."""
        with self._lock:
            return [(b"", bytes(record.data)) for record in self._records if record.counts]

    def keep(self) -> Callable[[], None]:
        """Return what puts the records back, and the room that they take."""
        with self._lock:
            kept = [(bytes(record.data), record.counts) for record in self._records]
            used = self._used

        def restore() -> None:
            with self._lock:
                self._records = [_Record(bytearray(data), counts) for data, counts in kept]
                self._used = used

        return restore


class PerfEventArray(_Unkeyed):
    """Events for whoever listens; CPU 0 is the only one, and somebody always listens to it."""

    __slots__ = ("_events",)

    def __init__(self, spec: MapSpec) -> None:
        super().__init__(spec)
        self._events: list[bytes] = []

    def output(self, index: int, data: bytes) -> int:
        """Write an event; return 0, -E2BIG past the end of the array, -ENOENT for another CPU."""
        cpu = 0 if index == CURRENT_CPU else index
        if cpu >= self.spec.max_entries:
            return -errno.E2BIG
        if cpu != 0:
            return -errno.ENOENT
        self._events.append(data)
        return 0

    def drain(self) -> list[bytes]:
        """Take out the events, oldest first."""
        events, self._events = self._events, []
        return events

    def entries(self) -> Entries:
        """Return the events, oldest first."""
        return [(b"", event) for event in self._events]

    def keep(self) -> Callable[[], None]:
        """Return what puts the events back."""
        kept = list(self._events)

        def restore() -> None:
            self._events = list(kept)

        return restore
