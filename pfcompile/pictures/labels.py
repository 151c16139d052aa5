"""Where the words beside ways go: near where they begin, off boxes, off each other, off lines."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.pictures import curves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.pictures.layout import Layout

_HEIGHT: Final = 11.0
_GAPS: Final = (4.0, 8.0)
_STEP: Final = 4.0
_WALKED: Final = (15.0, 22.0, 30.0, 42.0, 60.0)
"""How far along its way a word may stand."""

_CELL: Final = 40.0
_MARGIN: Final = 10.0
"""How far beside the layout there may be words."""

_TIP: Final = 6.0
"""How far the tip of an arrow reaches up and to the sides."""

_ON_A_BOX: Final = 1000
_ON_A_WORD: Final = 600
_ON_A_TIP: Final = 60
_ON_A_LINE: Final = 10
_FARTHER: Final = 3
"""Costs of a place: for what it is on, a line counting once for each of its points there, and for
each step along its way."""


class Spot(NamedTuple):
    """Where a word stands: its middle, and the middle of its height."""

    x: float
    y: float


class _Area(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Area) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def place_labels(layout: Layout, widths: Sequence[float]) -> list[Spot]:
    """Return a place for the word of each way.

    Args:
        layout: The boxes and ways.
        widths: How wide each way's word is; 0 where it has none.
    """
    walked = [list(curves.evenly(curve, _STEP)) for curve in layout.ways]
    lines = _Grid()
    for points in walked:
        for x, y in points:
            lines.add(_Area(x, y, x, y), _ON_A_LINE)
        x, y = points[-1]
        lines.add(_Area(x - _TIP, y - _TIP, x + _TIP, y), _ON_A_TIP)
    taken = _Grid()
    for box in layout.boxes.values():
        taken.add(_Area(box.left, box.top, box.left + box.width, box.top + box.height), _ON_A_BOX)
    spots = []
    for points, width in zip(walked, widths, strict=True):
        if not width:
            spots.append(Spot(0.0, 0.0))
            continue
        costs = [
            (far + taken.cost(area) + lines.cost(area) + _off_the_sheet(area, layout), spot, area)
            for far, spot, area in _candidates(points, width)
        ]
        _, spot, area = min(costs, key=lambda each: each[0])
        taken.add(area, _ON_A_WORD)
        spots.append(spot)
    return spots


def _off_the_sheet(area: _Area, layout: Layout) -> int:
    is_on = area.left >= -_MARGIN and area.right <= layout.width + _MARGIN
    return 0 if is_on else _ON_A_BOX


def _candidates(points: Sequence[curves.Point], width: float) -> Iterator[tuple[int, Spot, _Area]]:
    """Yield places beside the beginning of a way, the nearest first, with what they cost."""
    for step, far in enumerate(_WALKED):
        x, y = points[min(int(far / _STEP), len(points) - 1)]
        for extra, gap in enumerate(_GAPS):
            aside, above = width / 2 + gap, _HEIGHT / 2 + gap
            for dx, dy in ((-aside, 0.0), (aside, 0.0), (0.0, -above), (0.0, above)):
                spot = Spot(x + dx, y + dy)
                yield _FARTHER * (step + extra), spot, area_of(spot, width)


def area_of(spot: Spot, width: float) -> _Area:
    """Return what a word covers."""
    return _Area(spot.x - width / 2, spot.y - _HEIGHT / 2, spot.x + width / 2, spot.y + _HEIGHT / 2)


class _Grid:
    """Areas by the cells that they are in."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[tuple[_Area, int]]] = defaultdict(list)

    def add(self, area: _Area, cost: int = 1) -> None:
        for cell in _cells(area):
            self._cells[cell].append((area, cost))

    def cost(self, area: _Area) -> int:
        """Return the sum of the costs of what an area meets."""
        met = {
            other: cost
            for cell in _cells(area)
            for other, cost in self._cells.get(cell, ())
            if area.meets(other)
        }
        return sum(met.values())


def _cells(area: _Area) -> Iterator[tuple[int, int]]:
    for column in range(int(area.left // _CELL), int(area.right // _CELL) + 1):
        for row in range(int(area.top // _CELL), int(area.bottom // _CELL) + 1):
            yield column, row
