"""Pictures in Graphviz's language, to be laid out and changed with its tools.

The labels are plain strings (the HTML-like ones would take markup from an expression), in which
only quotes, backslashes and line ends mean something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.pictures.model import Kind, Side
from pfcompile.pictures.style import LIGHT, term_colour
from pfcompile.pictures.wording import asking, clean, cut

if TYPE_CHECKING:
    from pfcompile.pictures.model import Box, Picture, Way

_MOST_COLUMNS: Final = 60
_SHAPES: Final = {
    Kind.ACCEPT: ("ellipse", LIGHT["accept"]),
    Kind.REJECT: ("ellipse", LIGHT["reject"]),
    Kind.OPERATOR: ("ellipse", LIGHT["line"]),
}


def dot(picture: Picture) -> str:
    """Return a picture as a DOT digraph, a line for each box and each way."""
    lines = [
        "digraph {",
        f"  graph [label={_quoted(picture.title)}, labelloc=t, fontname=monospace];",
        '  node [shape=box, fontname=monospace, fontsize=10, style="filled", fillcolor="white"];',
        "  edge [fontname=monospace, fontsize=9];",
    ]
    lines += [f"  n{i} [{_box(box, picture)}];" for i, box in enumerate(picture.boxes)]
    lines += [f"  n{way.source} -> n{way.target}{_way(way)};" for way in picture.ways]
    return "\n".join([*lines, "}", ""])


def _box(box: Box, picture: Picture) -> str:
    shown = [cut(clean(line), _MOST_COLUMNS) for line in box.lines]
    if box.name:
        shown[0] = f"{box.name}: {shown[0]}"
    if box.origins and box.kind is not Kind.TERM:
        shown.append(cut(asking(picture.text, box.origins), _MOST_COLUMNS))
    if box.count is not None:
        shown.append(f"{box.count} packets")
    attributes = [f"label={_quoted(*shown)}"]
    shape = _SHAPES.get(box.kind)
    if shape is not None:
        attributes.append(f'shape={shape[0]}, color="{shape[1]}"')
    elif box.origins:
        colour = term_colour(LIGHT, picture.colour_of[box.origins[0]])
        attributes.append(f'color="{colour}", penwidth=2')
    return ", ".join(attributes)


def _way(way: Way) -> str:
    attributes = []
    count = "" if way.count is None else f" {way.count}"
    if way.side is not Side.ON or count:
        label = "" if way.side is Side.ON else way.side.value
        attributes.append(f'label="{(label + count).strip()}"')
    if way.side is Side.NO:
        attributes.append("style=dashed")
    return f" [{', '.join(attributes)}]" if attributes else ""


def _quoted(*lines: str) -> str:
    """Return lines as one DOT string."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
