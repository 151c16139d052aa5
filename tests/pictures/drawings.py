"""Pictures for tests, and what an SVG document says where everything is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pfcompile.cbpf.provenance import trace, with_all_origins
from pfcompile.compiler import compile as compile_text
from pfcompile.passes.observer import Recording
from pfcompile.pictures.blocks import picture_of_graph, picture_of_program
from pfcompile.pictures.trees import picture_of_tree

SVG = "{http://www.w3.org/2000/svg}"

SIZES = {"words": 12, "name": 10, "detail": 11, "asked": 11}
NARROWEST = 0.602
"""Width of a character of DejaVu Sans Mono and its like, in font sizes."""


def recorded(text, **options):
    recording = Recording()
    program = compile_text(
        text, netmask=0xFFFFFF00, observer=recording, max_instructions=None, **options
    )
    return recording, program


def pictures(text):
    """Return an expression's tree, its graph as lowered and optimised, and its program."""
    recording, program = recorded(text)
    graph = with_all_origins(recording.graph, recording.lowered)
    found = trace(recording.graph, program.snaplen, recording.lowered)
    return {
        "tree": picture_of_tree(recording.expression, text),
        "lowered": picture_of_graph(recording.lowered, program.dlt, text),
        "graph": picture_of_graph(graph, program.dlt, text),
        "program": picture_of_program(found, program.dlt, text),
    }


@dataclass(frozen=True, slots=True)
class Area:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other, inset=0.0):
        return (
            self.left + inset < other.right
            and other.left + inset < self.right
            and self.top + inset < other.bottom
            and other.top + inset < self.bottom
        )

    def has(self, x, y, inset=0.0):
        return (
            self.left + inset < x < self.right - inset
            and self.top + inset < y < self.bottom - inset
        )


def place_of(group):
    x, y = map(float, re.fullmatch(r"translate\((.+),(.+)\)", group.get("transform")).groups())
    return x, y


def boxes(root):
    """Return each box's element and area, in the order of the picture."""
    found = []
    for group in root.iter(f"{SVG}g"):
        if group.get("class", "").startswith("box "):
            x, y = place_of(group)
            frame = group.find(f"{SVG}rect[@class='frame']")
            width, height = float(frame.get("width")), float(frame.get("height"))
            found.append((group, Area(x, y, x + width, y + height)))
    return found


def ways(root):
    """Return each way's element and its curve's points."""
    found = []
    for group in root.iter(f"{SVG}g"):
        path = group.find(f"{SVG}path")
        if group.get("class", "").startswith("way ") and path is not None:
            numbers = list(map(float, re.findall(r"-?[\d.]+", path.get("d"))))
            found.append((group, list(zip(numbers[::2], numbers[1::2], strict=True))))
    return found


def words(root):
    """Return the area of each word beside a way."""
    found = []
    for group in root.iter(f"{SVG}g"):
        text = group.find(f"{SVG}text")
        if group.get("class", "").startswith("way ") and text is not None:
            x, y, width = float(text.get("x")), float(text.get("y")), len(text.text) * 6.0
            found.append(Area(x - width / 2, y - 8, x + width / 2, y + 1))
    return found


def parsed(document):
    return ET.fromstring(document)  # noqa: S314 - our own
