"""Points on the curves of a layout."""

from __future__ import annotations

from math import atan2, cos, dist, pi, sin
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Point: TypeAlias = tuple[float, float]

_HALF_ANGLE: Final = pi / 8


def path(curve: Sequence[Point]) -> str:
    """Return a row of cubic curves as SVG's path data."""
    (x, y), *rest = curve
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in rest)
    return f"M{x:.1f},{y:.1f} C{points}"


def head(curve: Sequence[Point], length: float) -> str:
    """Return the arrow head at a curve's end as SVG's path data."""
    x, y = curve[-1]
    before = next((p for p in reversed(curve[:-1]) if p != curve[-1]), (x, y - 1))
    angle = atan2(before[1] - y, before[0] - x)
    sides = [
        (x + length * cos(angle + turn), y + length * sin(angle + turn))
        for turn in (_HALF_ANGLE, -_HALF_ANGLE)
    ]
    corners = " L".join(f"{px:.1f},{py:.1f}" for px, py in ((x, y), *sides))
    return f"M{corners} Z"


def evenly(curve: Sequence[Point], step: float) -> Iterator[Point]:
    """Yield points along a curve, about `step` apart, from its start to its end."""
    last = curve[0]
    yield last
    for start in range(0, len(curve) - 3, 3):
        part = curve[start : start + 4]
        pieces = max(1, int(sum(map(dist, part, part[1:])) / step * 2))
        for i in range(1, pieces + 1):
            point = _at(part, i / pieces)
            if dist(last, point) >= step:
                last = point
                yield point
    yield curve[-1]


def _at(curve: Sequence[Point], t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    return (
        sum(w * x for w, (x, _) in zip(weights, curve, strict=True)),
        sum(w * y for w, (_, y) in zip(weights, curve, strict=True)),
    )
