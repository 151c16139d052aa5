"""What programs write to a perf event array, read from a ring for each CPU.

A ring is a page of marks and 2^n pages of records, which may go over its end. A record is a header
(type, flags, bytes) and, of a sample, its length and its bytes.

The kernel rounds a sample up to a multiple of 8 with its length of 4 bytes, and does not say by how
much: a program that writes others has to write their length, too.

Source: perf_event_open(2); bpf-helpers(7), bpf_perf_event_output; linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import struct
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.errors import KernelError, ProgramError
from pfcompile.kernel.bpf import cpus, layouts
from pfcompile.kernel.bpf.refusals import Asked, refused
from pfcompile.kernel.bpf.shared_memory import fence
from pfcompile.kernel.bpf.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from pfcompile.kernel.bpf.maps import Map

_NUMBER_OF_MACHINE: Final[Mapping[str, int]] = MappingProxyType(
    {"x86_64": 298, "i686": 336, "s390x": 331, "ppc64le": 319, "ppc64": 319, "armv7l": 364}
)
"""perf_event_open(2); like bpf(2) it goes by another number on each machine."""
_NUMBER_ELSEWHERE: Final = 241

_SOFTWARE: Final = 1
_BPF_OUTPUT: Final = 10
_SAMPLE_RAW: Final = 1 << 10
_FORMAT_LOST: Final = 1 << 4
_FLAG_CLOEXEC: Final = 8
_ENABLE: Final = 0x2400
_ENABLE_ELSEWHERE: Final = 0x20002400
"""PERF_EVENT_IOC_ENABLE where requests have other bits for their direction."""

_HEAD_WORD: Final = 1024 // 8
_TAIL_WORD: Final = 1032 // 8
"""Where in the first page, in words of 8 bytes, the kernel's mark is and ours."""
_HEADER: Final = struct.Struct("=IHH")
_RAW: Final = struct.Struct("=I")
_LOST: Final = struct.Struct("=QQ")
_COUNTS: Final = struct.Struct("=QQ")
_LOST_RECORD: Final = 2
_SAMPLE_RECORD: Final = 9

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Event(NamedTuple):
    """What a program wrote.

    Attributes:
        cpu: On which CPU; -1 where the ring does not tell.
        data: What.
    """

    cpu: int
    data: bytes


class _CpuRing:
    """The ring of one CPU."""

    def __init__(self, cpu: int, pages: int, wakeup: int) -> None:
        self.cpu = cpu
        self.lost_told = 0
        """What records of losses have told."""
        self.fd, self._tells_losses = _open(cpu, wakeup)
        try:
            size = mmap.PAGESIZE * (1 + pages)
            self._memory = mmap.mmap(self.fd, size, mmap.MAP_SHARED)
        except BaseException as error:
            os.close(self.fd)
            if isinstance(error, OSError):
                reason = error.errno or errno.EIO
                raise refused(Asked.MAP_RING, reason, f"CPU {cpu}") from error
            raise
        self._bytes = memoryview(self._memory)
        self._words = self._bytes.cast("Q")
        self._size = mmap.PAGESIZE * pages
        self._lost_at_close = 0

    def enable(self) -> None:
        """Have the kernel write to it."""
        machine = platform.machine()
        is_other = machine.startswith(("ppc", "mips", "sparc", "alpha"))
        fcntl.ioctl(self.fd, _ENABLE_ELSEWHERE if is_other else _ENABLE, 0)

    def drain(self) -> list[Event]:
        """Take out the samples."""
        head, tail = self._words[_HEAD_WORD], self._words[_TAIL_WORD]
        if head == tail:
            return []
        fence()
        found = []
        held = self._copy(tail, head)
        place = 0
        while place < len(held):
            kind, _, size = _HEADER.unpack_from(held, place)
            body = place + _HEADER.size
            if kind == _SAMPLE_RECORD:
                (length,) = _RAW.unpack_from(held, body)
                begin = body + _RAW.size
                found.append(Event(self.cpu, held[begin : begin + length]))
            elif kind == _LOST_RECORD:
                self.lost_told += _LOST.unpack_from(held, body)[1]
            place += size
        fence()
        self._words[_TAIL_WORD] = head
        return found

    def lost(self) -> int:
        """Return how many records found no room: all, or as far as records have told."""
        if self.fd < 0:
            return self._lost_at_close
        if not self._tells_losses:
            return self.lost_told
        counts = os.read(self.fd, _COUNTS.size)
        return int(_COUNTS.unpack(counts)[1])

    def close(self) -> None:
        if self.fd >= 0:
            self._lost_at_close = self.lost()
            self._words.release()
            self._bytes.release()
            self._memory.close()
            fd, self.fd = self.fd, -1
            os.close(fd)

    def _copy(self, begin: int, end: int) -> bytes:
        """Return the bytes between two marks."""
        first, size = begin % self._size, end - begin
        start = mmap.PAGESIZE
        if first + size <= self._size:
            return bytes(self._bytes[start + first : start + first + size])
        rest = first + size - self._size
        return bytes(self._bytes[start + first :]) + bytes(self._bytes[start : start + rest])


class PerfEvents:
    """The events that programs write to a perf event array: an iterator, and a context manager.

    ::

        with PerfEvents(array) as events:
            for cpu, data in events:
                ...

    Iterating waits for events, and ends when `stop` was called and what was there by then is read.
    One thread may read; `stop` may be called from anywhere.
    """

    def __init__(self, array: Map, pages: int = 64, wakeup: int = 1) -> None:
        """Make the rings and put them into the map, for each CPU that runs.

        Args:
            array: A map of kind PERF_EVENT_ARRAY, with a place for each CPU. Those that were put
                into it before are replaced.
            pages: Of each CPU's ring: a power of two.
            wakeup: After how many events waiting ends. With more than one, fewer can be there when
                `read` has waited in vain: it returns them then.

        Raises:
            ProgramError: `pages` is not a power of two.
            KernelError: EACCES without CAP_PERFMON, EPERM for too large rings, EMFILE.
        """
        if pages < 1 or pages.bit_count() != 1:
            raise ProgramError(f"a ring of {pages} pages: their count has to be a power of two")
        self._array = array
        self._rings: dict[int, _CpuRing] = {}
        self._waiter = Waiter()
        try:
            for cpu in cpus.online():
                if cpu >= array.shape.max_entries:
                    continue
                ring = _CpuRing(cpu, pages, wakeup)
                self._rings[ring.fd] = ring
                self._waiter.add(ring.fd)
                array.set(struct.pack("=I", cpu), struct.pack("=i", ring.fd))
                ring.enable()
        except BaseException:
            self.close()
            raise

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
            yield from self.read()
        yield from self.drain()

    @property
    def lost(self) -> int:
        """How many events found no room in a ring, since the rings were made.

        Exact from Linux 6.0 on. Before, losses are known when the next event has found room.
        """
        return sum(ring.lost() for ring in self._rings.values())

    def fileno(self) -> int:
        """Return a descriptor that can be read when there are events, or after `stop`."""
        return self._waiter.fileno()

    def read(self, timeout: float | None = None) -> list[Event]:
        """Return what is there; where nothing is, wait for it.

        Args:
            timeout: Seconds to wait; None for any time. Afterwards there may be nothing, as after
                `stop`.

        Returns:
            The events, of each CPU in their order.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (found := self.drain()) and not self._waiter.is_stopped:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self._waiter.wait(left)
        return found

    def drain(self) -> list[Event]:
        """Return what is there, without waiting."""
        return [event for ring in self._rings.values() for event in ring.drain()]

    def stop(self) -> None:
        """End iterating and waiting for good; a signal handler or another thread may call this."""
        self._waiter.stop()

    def close(self) -> None:
        """Close the rings, which takes them out of the map; again does nothing."""
        self._waiter.close()
        for ring in self._rings.values():
            if ring.fd >= 0:
                # Otherwise the map would keep it, and programs would go on writing to nobody.
                with suppress(KernelError):  # the map may be closed
                    self._array.delete(struct.pack("=I", ring.cpu))
            ring.close()


def tells_losses() -> bool:
    """Tell whether the kernel counts what finds no room, which it does from Linux 6.0 on.

    Raises:
        KernelError: EACCES without CAP_PERFMON.
    """
    fd, does = _open(cpus.online()[0], 1)
    os.close(fd)
    return does


def _open(cpu: int, wakeup: int) -> tuple[int, bool]:
    """Return the descriptor of a CPU's events, and whether it tells how many were lost."""
    number = _NUMBER_OF_MACHINE.get(platform.machine(), _NUMBER_ELSEWHERE)
    for read_format in (_FORMAT_LOST, 0):
        attr = layouts.PerfEventAttr(
            type=_SOFTWARE,
            size=ctypes.sizeof(layouts.PerfEventAttr),
            config=_BPF_OUTPUT,
            sample_period=1,
            sample_type=_SAMPLE_RAW,
            read_format=read_format,
            wakeup_events=wakeup,
        )
        fd = _libc.syscall(
            ctypes.c_long(number), ctypes.byref(attr), -1, cpu, -1, ctypes.c_ulong(_FLAG_CLOEXEC)
        )
        if fd >= 0:
            return int(fd), bool(read_format)
        if ctypes.get_errno() != errno.EINVAL:  # before Linux 6.0 there was no such format
            break
    raise refused(Asked.OPEN_EVENT, ctypes.get_errno(), str(cpu))
