"""What the maps of a program hold when a packet comes: what the packets before it have left there.

That is so whichever way one came to a packet. What was in the maps when a packet came is kept for
the last few of them; for another one, the program runs on all packets from a kept one on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pfcompile.ebpf.maps.vocabulary import Map

_KEPT: Final = 16
"""Packets, beside the first, whose maps are kept."""


class Course:
    """The maps of one program over the packets of a capture.

    Args:
        maps: Them, as they are before the first packet.
        run_through: Runs the program on the packet of a number, to its end.
    """

    def __init__(self, maps: Iterable[Map], run_through: Callable[[int], None]) -> None:
        self._maps = tuple(maps)
        self._run_through = run_through
        self._kept: dict[int, list[Callable[[], None]]] = {}
        self._due: int | None = 1
        """The packet for which the maps are right as they are."""
        self.prepare(1)

    def prepare(self, number: int) -> None:
        """Make the maps what they are when a packet comes; then its run may begin."""
        if not self._maps:
            return
        if self._due != number:
            start = max(kept for kept in self._kept if kept <= number)
            for restore in self._kept[start]:
                restore()
            for earlier in range(start, number):
                if number - earlier < _KEPT:
                    self._keep(earlier)
                self._run_through(earlier)
        self._keep(number)
        self._due = None

    def ended(self, number: int) -> None:
        """Take note that the run that `prepare` was for is over."""
        self._due = number + 1

    def _keep(self, number: int) -> None:
        """Keep the maps as they are for a packet; drop what was kept first but for packet 1."""
        if number in self._kept:
            return
        self._kept[number] = [each.keep() for each in self._maps]
        if len(self._kept) > 1 + _KEPT:
            oldest = next(kept for kept in self._kept if kept > 1)
            del self._kept[oldest]
