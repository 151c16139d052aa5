"""Moves packets from some interfaces to where they go, a block at a time."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pfcompile.captures.output import interrupts_held
from pfcompile.errors import KernelError
from pfcompile.kernel.abi import TPACKET3_HDR
from pfcompile.kernel.blocks import CHUNK, NO_LIMIT, Limits, Wait, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pfcompile.cli.capturing.files import Sink
    from pfcompile.cli.capturing.sources import Source
    from pfcompile.kernel.blocks import Copied
    from pfcompile.kernel.ring import Block

_LATE_SECONDS: Final = 1.0
"""After a file's time is over, so long is waited for packets from before."""

_LONGEST_WAIT: Final = 86400.0
"""Seconds in a day: longer waits would not fit what poll(2) takes."""

_WAKES: Final = 4096
"""So often it may have been woken before it looks; all are forgotten then."""


class Budget:
    """How many packets are still wanted, by all loops together."""

    def __init__(self, packets: int | None) -> None:
        """Begin with so many; None for no limit."""
        self._left = packets
        self._lock = threading.Lock()

    @property
    def is_unlimited(self) -> bool:
        """Whether all are wanted."""
        return self._left is None

    @property
    def is_spent(self) -> bool:
        """Whether no more are wanted."""
        return self._left == 0

    def copy(self, source: Source, walk: Walk, sink: Sink) -> Copied:
        """Let as many packets be copied as are wanted, and fit."""
        room = min(sink.room(), CHUNK)
        if self._left is None:
            return source.copy(walk, Limits(NO_LIMIT, room, sink.until()))
        with self._lock:
            copied = source.copy(walk, Limits(self._left, room, sink.until()))
            self._left -= copied.packets
            return copied


class Loop:
    """One worker.

    Attributes:
        sources: Where packets come from.
        lost: The errors of interfaces that went away while others stayed.
        is_broken_off: Whether it was asked to end with what is being written.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sink: Sink,
        budget: Budget,
        *,
        at_once: bool,
        attend: Callable[[], float | None],
    ) -> None:
        """Prepare.

        Args:
            sources: Where packets come from.
            sink: Where they go.
            budget: How many are wanted.
            at_once: Whether somebody waits for each.
            attend: Does what else is to be done; returns in how many seconds it is again, or None.
        """
        self.sources = list(sources)
        self.lost: list[KernelError] = []
        self._sink = sink
        self._budget = budget
        self._at_once = at_once
        self._attend = attend
        self.is_broken_off = False
        self._stopped = self._ends = self._moves_natively = False
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        for source in sources:
            self._poll.register(source.ring, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def stop(self) -> None:
        """End with what has come so far; may be called by a signal handler or a thread."""
        self._stopped = True
        self.wake()

    def break_off(self) -> None:
        """End behind the records that are being written; what else is in the ring is lost."""
        self.is_broken_off = True
        self.wake()

    def wake(self) -> None:
        """End a wait."""
        with suppress(BlockingIOError):  # it has been woken often enough
            os.write(self._wakes, b"\0")

    @contextmanager
    def natively(self) -> Iterator[None]:
        """Let native code wait and move where it can: in the main thread, for the only loop.

        Each signal ends its wait, also one that comes just before. Whatever else is done meanwhile,
        such as the exchange of the filter, is done by this thread, and so when it is out of there.
        """
        before = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        is_simple = len(self.sources) == 1 and not self._at_once and self._budget.is_unlimited
        self._moves_natively = is_simple and self._sink.direct() is not None
        try:
            if self._moves_natively:
                self.sources[0].prepare_to_move()
            yield
        finally:
            self._moves_natively = False
            signal.set_wakeup_fd(before)

    def run(self) -> None:
        """Move packets until there are enough of them, or it is stopped.

        Raises:
            KernelError: The only interface is lost; what came before is in the file.
            CaptureError: The output cannot be written.
            BrokenPipeError: Nobody reads it any more.
        """
        try:
            while not self._is_over():
                if self._stopped and not self._ends:
                    self._end()
                if not self._move_all():
                    self._sink.flush()
                    if not self._is_over():
                        self._wait()
        except KernelError:
            self._sink.close()  # the interface is lost, but not what came before
            raise
        self._sink.close()

    def close(self) -> None:
        """Give up what wakes it; nobody may do so any more."""
        os.close(self._woken)
        os.close(self._wakes)

    def _is_over(self) -> bool:
        if self._budget.is_spent or self.is_broken_off:
            return True
        return self._ends and all(source.ring.is_done() for source in self.sources)

    def _end(self) -> None:
        self._ends = True
        for source in self.sources:
            source.ring.end()

    def _move_all(self) -> bool:
        """Move one block of each interface; return whether there was any."""
        moved = False
        for source in tuple(self.sources):
            try:
                block = source.ring.take()
            except KernelError as error:
                self._lose(source, error)
                continue
            if block is None:
                continue
            moved = True
            self._move(source, block)
            source.ring.release(block)
            if self._budget.is_spent:
                break
        if moved:
            self._attend()
        return moved

    def _move(self, source: Source, block: Block) -> None:
        """Move the packets of a block."""
        walk = Walk(block.first, block.packets)
        sink = self._sink
        while True:
            records, count = self._budget.copy(source, walk, sink)
            source.captured += count
            if count:
                sink.take(source, records)
            if not walk.left or self._budget.is_spent or self.is_broken_off:
                break
            if len(records) > CHUNK and sink.room() >= 0:
                continue
            # A file is full, or its time over.
            if not sink.turn(_second_at(source, walk)):
                self.stop()
                break
        if self._at_once:
            sink.flush()

    def _lose(self, source: Source, error: KernelError) -> None:
        """Go on without an interface, if there is another."""
        if len(self.sources) == 1:
            raise error
        self.lost.append(error)
        self.sources.remove(source)
        self._poll.unregister(source.ring)

    def _wait(self) -> None:
        """Wait for a block, to be woken, or for the time of what else is to be done."""
        waits = [self._attend()]
        if self._ends:
            waits.append(min(source.ring.timeout for source in self.sources) / 4)
        deadline = self._sink.deadline() + _LATE_SECONDS
        if not self._ends:
            waits.append(max(0.0, deadline - time.time()))
        seconds = min((wait for wait in waits if wait is not None), default=_LONGEST_WAIT)
        milliseconds = int(min(seconds, _LONGEST_WAIT) * 1000) + 1
        moved = self._move_natively(milliseconds)
        events = dict(self._poll.poll(0 if moved else milliseconds))
        if events.pop(self._woken, 0):
            os.read(self._woken, _WAKES)
        for source in self.sources:
            if events.get(source.ring.fileno(), 0) & select.POLLERR:
                source.ring.look_for_loss()
        # Nothing may come any more that would end the file.
        idle = not events and not moved and not self._ends
        if idle and time.time() >= deadline and not self._sink.turn(int(time.time())):
            self.stop()

    def _move_natively(self, milliseconds: int) -> bool:
        """Let native code wait and move; return whether it could."""
        if not self._moves_natively or self._ends:
            return False
        output = self._sink.direct()
        if output is None:
            return False
        source = self.sources[0]
        with interrupts_held():
            moved = source.move(output.descriptor, Wait(self._woken, milliseconds))
            if moved is None:
                return False
            output.went_out(moved)
        if moved.rest is not None:
            self._move(source, moved.rest)
            source.ring.release(moved.rest)
        return True


def _second_at(source: Source, walk: Walk) -> int:
    """Return when the packet at a place came, in seconds from 1970."""
    assert source.ring.memory is not None
    _, seconds, *_ = TPACKET3_HDR.unpack_from(source.ring.memory, walk.offset)
    return int(seconds)
