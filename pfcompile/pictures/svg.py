"""Pictures as SVG, to stand alone or in a page.

What a page finds there: boxes are `g.box` with `data-label` (the block), `data-spans` (parts of the
expression, "0-11 16-20") and `data-count`; ways are `g.way` with `data-from`, `data-to` (blocks),
`data-side` (yes, no, on) and `data-count`; parts of the expression above are `tspan` with
`data-span`. Everything is below `svg.pf`, as are the style's rules.

The document is built as a tree and written by the standard library, which escapes every text; what
XML cannot hold is replaced.
"""

from __future__ import annotations

from math import log1p
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from pfcompile.pictures import curves, style
from pfcompile.pictures.boxes import ROUND, SIZES, STRIP, contents, count_text, text_width
from pfcompile.pictures.expression import coloured_lines
from pfcompile.pictures.labels import place_labels
from pfcompile.pictures.layout import lay_out
from pfcompile.pictures.model import Kind, Side
from pfcompile.pictures.style import HOT
from pfcompile.pictures.wording import clean, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.errors import Span
    from pfcompile.pictures.boxes import Contents
    from pfcompile.pictures.labels import Spot
    from pfcompile.pictures.layout import Layout, Rectangle
    from pfcompile.pictures.model import Box, Picture, Way

_MARGIN: Final = 16.0
_LEAST_WIDTH: Final = 460.0
_TITLE: Final = 26.0
_LINE: Final = 17.0
_HEAD: Final = 8.0
_WIDEST: Final = 6.0
_NARROWEST: Final = 1.0
_USUAL: Final = 1.3
"""How wide ways are: by their counts, or where nothing was counted."""


def svg(picture: Picture, theme: style.Theme | None = None, prefix: str = "pf") -> str:
    """Return a picture as an SVG document.

    Args:
        picture: What to draw.
        theme: Colours; None for light or dark as the reader has it.
        prefix: What ids begin with, for several pictures in one page.

    Raises:
        MissingExtraError: pygraphviz is not installed.
    """
    filled = [contents(box, picture) for box in picture.boxes]
    laid_out = lay_out(
        {i: (each.width, each.height) for i, each in enumerate(filled)},
        [(way.source, way.target) for way in picture.ways],
    )
    drawing = _Drawing(picture, filled, laid_out, prefix)
    return drawing.document(theme)


class _Drawing:
    def __init__(
        self, picture: Picture, filled: Sequence[Contents], laid_out: Layout, prefix: str
    ) -> None:
        self._picture = picture
        self._filled = filled
        self._layout = laid_out
        self._prefix = prefix
        counts = [box.count or 0 for box in picture.boxes]
        self._most = max(counts + [way.count or 0 for way in picture.ways], default=0)

    def document(self, theme: style.Theme | None) -> str:
        width = max(self._layout.width, _LEAST_WIDTH)
        lines = coloured_lines(self._picture, int(width / text_width(SIZES["words"], "m")))
        top = _TITLE + _LINE * len(lines) + (8.0 if lines else 0.0)
        sheet = (width + 2 * _MARGIN, top + self._layout.height + 2 * _MARGIN)
        ids = f"{self._prefix}-title", f"{self._prefix}-desc"
        root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "class": "pf",
                "viewBox": f"0 0 {sheet[0]:.0f} {sheet[1]:.0f}",
                "width": f"{sheet[0]:.0f}",
                "height": f"{sheet[1]:.0f}",
                "role": "img",
                "aria-labelledby": " ".join(ids),
            },
        )
        _text(root, "title", clean(self._picture.title), id=ids[0])
        _text(root, "desc", clean(self._picture.description), id=ids[1])
        _text(root, "style", style.css(theme))
        ET.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
        whole = ET.SubElement(root, "g", {"transform": f"translate({_MARGIN:.0f},{_MARGIN:.0f})"})
        _text(whole, "text", clean(self._picture.title), x="0", y="12", **{"class": "title"})
        for i, line in enumerate(lines):
            self._expression_line(whole, line, _TITLE + 12 + _LINE * i)
        left = (width - self._layout.width) / 2
        graph = ET.SubElement(whole, "g", {"transform": f"translate({left:.1f},{top:.1f})"})
        for way, curve in zip(self._picture.ways, self._layout.ways, strict=True):
            self._way(graph, way, curve)
        for i, box in enumerate(self._picture.boxes):
            self._box(graph, box, self._filled[i], self._layout.boxes[i])
        said = [_said(way) for way in self._picture.ways]
        spots = place_labels(self._layout, [text_width(SIZES["name"], text) for text in said])
        for way, text, spot in zip(self._picture.ways, said, spots, strict=True):
            if text:
                self._way_label(graph, way, text, spot)
        return ET.tostring(root, encoding="unicode") + "\n"

    def _expression_line(
        self, parent: ET.Element, line: Sequence[tuple[str, Span | None]], y: float
    ) -> None:
        text = ET.SubElement(parent, "text", {"class": "expression", "x": "0", "y": f"{y:.0f}"})
        for part, span in line:
            if span is None:
                _text(text, "tspan", part)
            else:
                colour = f"term{self._picture.colour_of[span]}"
                _text(text, "tspan", part, **{"class": colour, "data-span": _span(span)})

    def _box(self, parent: ET.Element, box: Box, inside: Contents, place: Rectangle) -> None:
        attributes = {
            "class": f"box {box.kind.value}",
            "transform": f"translate({place.left:.1f},{place.top:.1f})",
        }
        if box.label is not None:
            attributes["data-label"] = str(box.label)
        if box.origins:
            attributes["data-spans"] = " ".join(map(_span, box.origins))
        if box.count is not None:
            attributes["data-count"] = str(box.count)
        group = ET.SubElement(parent, "g", attributes)
        _text(group, "title", self._told(box))
        size = {"width": f"{place.width:.1f}", "height": f"{place.height:.1f}"}
        rounding = {"rx": "12" if box.kind in ROUND else "3"}
        ET.SubElement(group, "rect", {"class": "frame", **size, **rounding})
        if box.count:
            opacity = {"opacity": f"{HOT * self._share(box.count):.2f}"}
            ET.SubElement(group, "rect", {"class": "hot", **size, **rounding, **opacity})
        self._strips(group, box, place.height)
        for line in inside.lines:
            kind = line.kind
            if box.origins and (kind == "asked" or box.kind is Kind.TERM):
                kind = f"{kind} term{self._picture.colour_of[box.origins[0]]}"
            at = {"class": kind, "x": f"{line.x:.1f}", "y": f"{line.y:.1f}"}
            _text(group, "text", line.text, **at)
        if box.count is not None and box.kind not in ROUND:
            at = {"class": "name", "x": f"{place.width - 8:.1f}", "y": "16", "text-anchor": "end"}
            _text(group, "text", count_text(box.count), **at)

    def _strips(self, group: ET.Element, box: Box, height: float) -> None:
        """Draw a strip at the left side, a piece for each part of the expression that asked."""
        for i, span in enumerate(box.origins):
            piece = (height - 2) / len(box.origins)
            strip = {
                "class": f"term{self._picture.colour_of[span]}",
                "x": "1",
                "y": f"{1 + piece * i:.1f}",
                "width": f"{STRIP:.0f}",
                "height": f"{piece:.1f}",
            }
            ET.SubElement(group, "rect", strip)

    def _told(self, box: Box) -> str:
        """Return all that a box says, uncut, for who points at it."""
        lines = [clean(line) for line in box.lines]
        if box.name:
            lines[0] = f"{box.name}: {lines[0]}"
        if self._picture.text:
            lines += [f"asked for by: {quoted(self._picture.text, span)}" for span in box.origins]
        if box.count is not None:
            lines.append(f"packets: {count_text(box.count)}")
        return "\n".join(lines)

    def _way(self, parent: ET.Element, way: Way, curve: Sequence[curves.Point]) -> None:
        ends = {"data-side": way.side.value}
        for name, at in (("data-from", way.source), ("data-to", way.target)):
            label = self._picture.boxes[at].label
            ends[name] = str(at if label is None else label)
        width = _USUAL
        if way.count is not None:
            ends["data-count"] = str(way.count)
            width = _NARROWEST + (_WIDEST - _NARROWEST) * self._share(way.count)
            if not way.count:
                ends["opacity"] = "0.45"
        group = ET.SubElement(parent, "g", {"class": f"way {way.side.value}", **ends})
        ET.SubElement(group, "path", {"d": curves.path(curve), "stroke-width": f"{width:.1f}"})
        if self._picture.boxes[way.source].kind is not Kind.OPERATOR:
            tip = {"class": "head", "d": curves.head(curve, _HEAD + width - _USUAL)}
            ET.SubElement(group, "path", tip)

    def _way_label(self, parent: ET.Element, way: Way, text: str, spot: Spot) -> None:
        group = ET.SubElement(parent, "g", {"class": f"way {way.side.value}"})
        at = {"x": f"{spot.x:.1f}", "y": f"{spot.y + 3.5:.1f}", "text-anchor": "middle"}
        _text(group, "text", text, **at)

    def _share(self, count: int) -> float:
        """Return how much of the most there is a count is, on a logarithmic scale."""
        return log1p(count) / log1p(self._most) if self._most else 0.0


def _said(way: Way) -> str:
    """Return what stands beside a way."""
    side = "" if way.side is Side.ON else way.side.value
    return side if way.count is None else f"{side} {count_text(way.count)}".strip()


def _span(span: Span) -> str:
    return f"{span.start}-{span.end}"


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
