"""Pictures in a terminal: a line for each block, ways as lines in the margin.

::

        b0   eth.type == ip                  yes ↓  no reject
        b1   ip.proto == tcp                 yes b3 no ↓
    ┌── b2   ...

A block stands before those that it leads to. What leads to the next line is `↓`; longer ways run in
the margin at the left, to `>`, as long as there is room for them, and are named either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.pictures.model import COLOURS, Kind, Side
from pfcompile.pictures.wording import asking, clean, columns, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.pictures.model import Box, Picture, Way

_MOST_LANES: Final = 8
_LEAST_WIDTH: Final = 60
_LEAST_ROOM: Final = 20
"""Columns for what a block says, even where that makes lines too long."""

_ENDS: Final = frozenset({Kind.ACCEPT, Kind.REJECT})
_ANSI: Final = ("34", "35", "33", "36", "95", "90", "93", "32")
"""A colour of the terminal for each part of the expression, COLOURS of them."""

assert len(_ANSI) == COLOURS


def text(picture: Picture, width: int = 100, *, colour: bool = False) -> str:
    """Return a picture as lines of text.

    Args:
        picture: What to draw.
        width: Columns, at least 60.
        colour: Whether to tell the parts of the expression apart by the terminal's colours.
    """
    width = max(width, _LEAST_WIDTH)
    if any(box.kind is Kind.OPERATOR or box.kind is Kind.TERM for box in picture.boxes):
        return "".join(f"{line}\n" for line in _tree(picture, 0, "", ""))
    return "".join(f"{line}\n" for line in _Listing(picture, width, colour=colour).lines())


def _tree(picture: Picture, place: int, before: str, below: str) -> Iterator[str]:
    yield f"{before}{clean(picture.boxes[place].lines[0])}"
    operands = [way.target for way in picture.ways if way.source == place]
    for operand in operands:
        is_last = operand == operands[-1]
        corner, line = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        yield from _tree(picture, operand, below + corner, below + line)


@dataclass(frozen=True, slots=True)
class _Lane:
    """A way in the margin: from one row to a later one, in a column."""

    start: int
    stop: int
    column: int


class _Listing:
    def __init__(self, picture: Picture, width: int, *, colour: bool) -> None:
        self._picture = picture
        self._width = width
        self._colour = colour
        self._rows = _rows(picture)
        self._row_of = {place: row for row, place in enumerate(self._rows)}
        self._ways: dict[int, list[Way]] = {}
        for way in picture.ways:
            self._ways.setdefault(way.source, []).append(way)
        self._lanes = _lanes(self._jumps())

    def _jumps(self) -> list[tuple[int, int]]:
        """Return the rows of ways that lead farther than to the next row, ends left out."""
        boxes = self._picture.boxes
        return sorted(
            (self._row_of[way.source], self._row_of[way.target])
            for way in self._picture.ways
            if boxes[way.target].kind not in _ENDS
            and self._row_of[way.target] > self._row_of[way.source] + 1
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines."""
        boxes = [self._picture.boxes[place] for place in self._rows]
        margin = 1 + max((lane.column + 1 for lane in self._lanes), default=-1)
        name = max((columns(box.name) for box in boxes), default=0)
        goes = [self._goes(place) for place in self._rows]
        most_goes = max(map(columns, goes), default=0)
        room = max(self._width - margin - name - most_goes - 6, _LEAST_ROOM)
        says = min(max((columns(line) for box in boxes for line in box.lines), default=0), room)
        rest = self._width - margin - name - says - most_goes - 8
        for row, box in enumerate(boxes):
            asked = ""
            if box.origins and self._picture.text and rest > 12:
                asked = cut(asking(self._picture.text, box.origins, 3), rest)
            for i, line in enumerate(box.lines):
                start = f"{self._margin(row, margin, is_first=i == 0)} "
                shown = _padded(cut(clean(line), says), says)
                if i:
                    yield f"{start}{'':<{name}}  {shown}".rstrip()
                    continue
                shown = self._painted(shown, box)
                told = f"  {self._painted(asked, box)}" if asked else ""
                yield (
                    f"{start}{box.name:<{name}}  {shown}  {_padded(goes[row], most_goes)}{told}"
                ).rstrip()

    def _painted(self, shown: str, box: Box) -> str:
        if not self._colour or not box.origins:
            return shown
        return f"\x1b[{_ANSI[self._picture.colour_of[box.origins[0]]]}m{shown}\x1b[0m"

    def _goes(self, place: int) -> str:
        """Return where a block leads: `yes b3  no reject`."""
        parts = []
        for way in self._ways.get(place, ()):
            target = self._picture.boxes[way.target]
            if target.kind in _ENDS:
                where = target.kind.value
            elif self._row_of[way.target] == self._row_of[place] + 1:
                where = "↓"
            else:
                where = target.name
            side = "" if way.side is Side.ON else f"{way.side.value} "
            count = "" if way.count is None else f" ({way.count:,})"
            parts.append(_padded(f"{side}{where}{count}", 6 if side else 0))
        return "  ".join(parts)

    def _margin(self, row: int, width: int, *, is_first: bool) -> str:
        """Return the lines in the margin beside a row."""
        cells = [" "] * width
        for lane in self._lanes:
            if lane.start < row < lane.stop or (not is_first and lane.start == row):
                cells[lane.column] = "│"
        if is_first:
            for lane in self._lanes:
                for end, corner in ((lane.start, "┌"), (lane.stop, "└")):
                    if end == row:
                        self._horizontal(cells, lane.column, corner)
            if any(lane.stop == row for lane in self._lanes):
                cells[-1] = ">"
        return "".join(cells)

    def _horizontal(self, cells: list[str], column: int, corner: str) -> None:
        met = {"└": "├", "├": "├"} if corner == "┌" else {"┌": "├", "├": "├"}
        cells[column] = met.get(cells[column], "┼" if cells[column] == "─" else corner)
        for i in range(column + 1, len(cells)):
            cells[i] = {"│": "┼", "┌": "┬", "└": "┴", "├": "┼"}.get(cells[i], cells[i])
            if cells[i] == " ":
                cells[i] = "─"


def _rows(picture: Picture) -> list[int]:
    """Return the places of the boxes that get a line: no copies of ends, ends last."""
    shown: dict[tuple[str, int | None], int] = {}
    for place, box in enumerate(picture.boxes):
        shown.setdefault((box.name or str(place), box.label), place)
    kept = shown.values()
    ends = [place for place in kept if picture.boxes[place].kind in _ENDS]
    return [place for place in kept if picture.boxes[place].kind not in _ENDS] + ends


def _lanes(jumps: Sequence[tuple[int, int]]) -> list[_Lane]:
    """Return a column for each way that finds one; short ones are nearest to the blocks.

    Ways to one row share a column where they overlap.
    """
    lanes: list[_Lane] = []
    taken: list[list[tuple[int, int]]] = [[] for _ in range(_MOST_LANES)]
    for start, stop in sorted(set(jumps), key=lambda jump: (jump[1] - jump[0], jump)):
        for column, others in enumerate(taken):
            if all(
                stop == other_stop or stop < other_start or other_stop < start
                for other_start, other_stop in others
            ):
                others.append((start, stop))
                lanes.append(_Lane(start, stop, column))
                break
    used = max((lane.column + 1 for lane in lanes), default=0)
    return [_Lane(lane.start, lane.stop, used - 1 - lane.column) for lane in lanes]


def _padded(shown: str, width: int) -> str:
    return shown + " " * (width - columns(shown))
