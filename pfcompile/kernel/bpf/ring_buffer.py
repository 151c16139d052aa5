"""What programs write to a ring buffer, which all CPUs share.

A page with our mark, one with the kernel's, and the ring twice, one after the other, so that no
record goes over its end. A record is a header of 8 bytes (its length with two bits, and where it
is) and its bytes, rounded up to a multiple of 8. The first bit says that it is still being written,
the second that it was given up.

Source: Documentation/bpf/ringbuf.rst of Linux; kernel/bpf/ringbuf.c; linux/bpf.h, BPF_RINGBUF_*.
"""

from __future__ import annotations

import errno
import mmap
import time
from typing import TYPE_CHECKING, Final, Self

from pfcompile.kernel.bpf.perf_events import Event
from pfcompile.kernel.bpf.refusals import Asked, refused
from pfcompile.kernel.bpf.shared_memory import fence
from pfcompile.kernel.bpf.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from pfcompile.kernel.bpf.maps import Map

_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_HEADER_BYTES: Final = 8
_NO_CPU: Final = -1
_BATCH: Final = 1024
"""Records that are read at once while somebody iterates: their room is free soon, and they are in
the processor's caches."""
_PAUSE: Final = 0.0005
"""Seconds between looks at a record that is still being written."""


class RingEvents:
    """The records that programs write to a ring buffer: an iterator, and a context manager.

    ::

        with RingEvents(ring) as events:
            for cpu, data in events:
                ...

    As `PerfEvents`; a record's bytes are exactly those that the program wrote. They come in the
    order in which room was made for them on all CPUs. Which CPU it was, nobody tells: -1.
    """

    def __init__(self, ring: Map, lost: Callable[[], int] | None = None) -> None:
        """Map the ring into memory.

        Args:
            ring: A map of kind RINGBUF; one reader alone may read it.
            lost: What tells how many records found no room. The kernel does not count them: a
                program has to, in a map, when it gets no room.

        Raises:
            KernelError: EINVAL where it is no ring buffer.
        """
        size = ring.shape.max_entries
        page = mmap.PAGESIZE
        self._size = size
        self._count_lost = lost
        self._is_open = False
        self._waiter = Waiter()
        try:
            self._ours = mmap.mmap(ring.fileno(), page, mmap.MAP_SHARED)
            try:
                self._theirs = mmap.mmap(
                    ring.fileno(),
                    page + 2 * size,
                    mmap.MAP_SHARED,
                    mmap.PROT_READ,
                    offset=page,
                )
            except BaseException:
                self._ours.close()
                raise
        except BaseException as error:
            self._waiter.close()
            if isinstance(error, OSError):
                raise refused(Asked.MAP_RING, error.errno or errno.EIO, ring.name) from error
            raise
        self._is_open = True
        self._mark = memoryview(self._ours).cast("Q")
        self._bytes = memoryview(self._theirs)
        self._words = self._bytes.cast("Q")
        self._lengths = self._bytes.cast("I")
        self._waiter.add(ring.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        while not self._waiter.is_stopped:
            yield from self.read(most=_BATCH)
        while found := self.drain(_BATCH):
            yield from found

    @property
    def lost(self) -> int:
        """How many records found no room, as the program has counted; 0 where nothing tells."""
        return 0 if self._count_lost is None else self._count_lost()

    def fileno(self) -> int:
        """Return a descriptor that can be read when there are records, or after `stop`."""
        return self._waiter.fileno()

    def read(self, timeout: float | None = None, most: int | None = None) -> list[Event]:
        """Return what is there; where nothing is, wait for it. See `PerfEvents.read`.

        Args:
            timeout: As there.
            most: So many records at most; None for all.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (found := self.drain(most)) and not self._waiter.is_stopped:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            if self._waiter.wait(left) and self._is_being_written():
                time.sleep(_PAUSE)
        return found

    def drain(self, most: int | None = None) -> list[Event]:
        """Return what is there, without waiting, up to a record that is still being written.

        Args:
            most: So many records at most; None for all.
        """
        found: list[Event] = []
        page = mmap.PAGESIZE
        start = here = self._mark[0]
        end = self._words[0]
        fence()
        while here < end and (most is None or len(found) < most):
            place = page + here % self._size
            header = self._lengths[place // 4]
            if header & _BUSY:
                break
            # The bit is cleared when the record is complete: its bytes are read after that.
            fence()
            length = header & ~(_BUSY | _DISCARDED)
            if not header & _DISCARDED:
                begin = place + _HEADER_BYTES
                found.append(Event(_NO_CPU, bytes(self._bytes[begin : begin + length])))
            here += _HEADER_BYTES + (length + 7 & ~7)
        if here != start:
            fence()
            self._mark[0] = here
        return found

    def stop(self) -> None:
        """End iterating and waiting for good; a signal handler or another thread may call this."""
        self._waiter.stop()

    def close(self) -> None:
        """Give the memory back; again does nothing. Records that were not read stay in the ring."""
        self._waiter.close()
        if self._is_open:
            self._is_open = False
            for view in (self._mark, self._lengths, self._words, self._bytes):
                view.release()
            self._theirs.close()
            self._ours.close()

    def _is_being_written(self) -> bool:
        here = self._mark[0]
        if here >= self._words[0]:
            return False
        return bool(self._lengths[(mmap.PAGESIZE + here % self._size) // 4] & _BUSY)
