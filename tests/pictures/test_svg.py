"""SVG: everything is there, in its place, and nothing that an expression says does any harm."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from pfcompile.errors import Span
from pfcompile.ir.graph import Branch, Let
from pfcompile.pictures import curves
from pfcompile.pictures.blocks import picture_of_graph
from pfcompile.pictures.dot import dot
from pfcompile.pictures.model import Box, Heat, Kind, Picture, Side, Way
from pfcompile.pictures.png import png
from pfcompile.pictures.style import DARK, HOT, LIGHT
from pfcompile.pictures.svg import svg
from pfcompile.pictures.text import text as draw_text
from pfcompile.pictures.wording import columns
from tests.pictures.drawings import (
    NARROWEST,
    SIZES,
    SVG,
    boxes,
    parsed,
    pictures,
    recorded,
    ways,
    words,
)

SMALL = ["ip", "tcp port 443 or (udp and host 10.0.0.1)", "not (vlan 7 and icmp) or arp"]
LARGE = [
    " or ".join(f"(tcp port {i + 1} and host 10.0.0.{i})" for i in range(75)),
    " or ".join(f"port {7 * i}" for i in range(70)),
    " or ".join(f"ip6 host 2001:db8::{i}:{i * 7:x}" for i in range(40)),
]
STAGES = ["tree", "lowered", "graph", "program"]

HOSTILE = [
    "</text><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "]]>&amp;&#0;<!--",
    "\x00\x01\x1b[31m\x7f\u202e\ud800\uffff",
    "</style><svg onload=alert(1)>",
    '\\"];x->y[label="',
    "{|}<b>\\N\\G\\l",
    "宽字符" * 30,
    "a" * 500,
    "e\u0301" * 40,
    "",
]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("text", SMALL)
def test_all_is_there(text, stage):
    picture = pictures(text)[stage]
    root = parsed(svg(picture))
    assert len(boxes(root)) == len(picture.boxes)
    drawn = sorted(
        (group.get("data-from"), group.get("data-to"), group.get("data-side"))
        for group, _ in ways(root)
    )
    assert drawn == sorted(
        (name_of(picture, way.source), name_of(picture, way.target), way.side.value)
        for way in picture.ways
    )
    for (group, _), box in zip(boxes(root), picture.boxes, strict=True):
        said = [text.text for text in group.iter(f"{SVG}text")]
        assert said[1 if box.name and len(said) > 1 else 0] == box.lines[0]
        spans = [f"{span.start}-{span.end}" for span in box.origins]
        assert group.get("data-spans", "").split() == spans
        assert all(line in group.find(f"{SVG}title").text for line in box.lines)


def name_of(picture, place):
    label = picture.boxes[place].label
    return str(place if label is None else label)


def test_a_graphs_ways_are_its_edges():
    recording, program = recorded(" or ".join(f"tcp[{i}] = {i + 1}" for i in range(8)))
    picture = picture_of_graph(recording.graph, program.dlt)
    ends = [box for box in picture.boxes if box.kind in {Kind.ACCEPT, Kind.REJECT}]
    assert len(ends) > 2, "ends are drawn several times"
    drawn = {
        (picture.boxes[way.source].label, picture.boxes[way.target].label, way.side)
        for way in picture.ways
    }
    assert drawn == {
        (label, target, side)
        for label in recording.graph.labels
        for target, side in led_to(recording.graph[label])
    }


def led_to(block):
    match block:
        case Branch(yes=yes, no=no):
            return [(yes, Side.YES), (no, Side.NO)]
        case Let(next=after):
            return [(after, Side.ON)]
        case _:
            return []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("text", SMALL)
def test_nothing_is_in_the_way(text, stage):
    check_places(pictures(text)[stage])


@pytest.mark.parametrize(
    "text", [*(pytest.param(text, marks=pytest.mark.long) for text in LARGE[:2]), LARGE[2]]
)
def test_nothing_is_in_the_way_of_three_hundred_blocks(text):
    picture = pictures(text)["graph"]
    assert len(picture.boxes) > 10
    check_places(picture)
    picture = pictures(text)["program"]
    assert len(picture.boxes) > 100
    check_places(picture)


def check_places(picture):
    root = parsed(svg(picture))
    areas = [area for _, area in boxes(root)]
    width, height = (float(root.get(name)) for name in ("width", "height"))
    for a, b in combinations(areas, 2):
        assert not a.meets(b), "two boxes overlap"
    for area in areas:
        assert -1 <= area.left < area.right <= width
        assert -1 <= area.top < area.bottom <= height
    crossed = 0
    for way, (_, curve) in zip(picture.ways, ways(root), strict=True):
        own = {way.source, way.target}
        for x, y in curves.evenly(curve, 6.0):
            crossed += any(
                area.has(x, y, inset=3.0) for i, area in enumerate(areas) if i not in own
            )
    assert not crossed, "a way leads through a box"
    beside = words(root)
    assert not any(word.meets(area, 1.0) for word in beside for area in areas)
    assert not any(a.meets(b, 1.0) for a, b in combinations(beside, 2)), "two words overlap"
    for (group, area), _box in zip(boxes(root), picture.boxes, strict=True):
        for text in group.iter(f"{SVG}text"):
            kind = text.get("class").split()[0]
            if text.get("text-anchor") is None:
                end = float(text.get("x")) + columns(text.text) * SIZES[kind] * NARROWEST
                assert end <= area.right - area.left, f"{text.text!r} is cut off"


def hostile_picture():
    text = " ".join(HOSTILE)
    spans, start = [], 0
    for part in HOSTILE:
        spans.append(Span(start, start + len(part)))
        start += len(part) + 1
    drawn = [
        Box(Kind.TEST, (part or "empty", part), i, f"b{i}", (span,), count=i)
        for i, (part, span) in enumerate(zip(HOSTILE, spans, strict=True))
    ]
    drawn.append(Box(Kind.ACCEPT, (HOSTILE[0],), len(drawn)))
    links = [Way(i, i + 1, Side.NO, i) for i in range(len(drawn) - 1)]
    return Picture(HOSTILE[0], drawn, links, text)


def test_hostile_texts_are_only_texts():
    document = svg(hostile_picture())
    root = parsed(document)
    known = {"svg", "title", "desc", "style", "rect", "g", "text", "tspan", "path"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == known
    harmless = re.compile(
        "aria-labelledby|class|d|data-[a-z]+|height|id|opacity|role|rx|stroke-width|"
        "text-anchor|transform|viewBox|width|x|y"
    )
    for element in root.iter():
        for name in element.attrib:
            assert harmless.fullmatch(name), name
    assert root.find(f"{SVG}title").text.startswith("</text><script>")
    assert "<script" not in document
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e\ufffe\uffff]", document)
    document.encode()
    check_places(hostile_picture())


def test_hostile_texts_in_dot():
    pygraphviz = pytest.importorskip("pygraphviz")
    graph = pygraphviz.AGraph(dot(hostile_picture()))
    assert len(graph.nodes()) == len(HOSTILE) + 1
    assert len(graph.edges()) == len(HOSTILE)
    assert {attribute for attribute, _ in graph.get_node("n0").attr.iteritems()} <= {
        "label",
        "shape",
        "fontname",
        "fontsize",
        "style",
        "fillcolor",
        "color",
        "penwidth",
    }


def test_hostile_texts_in_a_terminal():
    drawn = draw_text(hostile_picture())
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    drawn.encode()


def test_it_is_read_out():
    root = parsed(svg(pictures("tcp port 80")["graph"], prefix="one"))
    assert root.get("role") == "img"
    for name in root.get("aria-labelledby").split():
        [element] = [each for each in root.iter() if each.get("id") == name]
        assert element.text
    assert "tcp port 80" in root.find(f"{SVG}desc").text


def test_two_pictures_of_one_page_share_no_id():
    picture = pictures("ip")["graph"]
    ids = [
        {element.get("id") for element in parsed(svg(picture, prefix=prefix)).iter()} - {None}
        for prefix in ("a", "b")
    ]
    assert ids[0].isdisjoint(ids[1])


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_texts_stand_out(theme):
    terms = [f"term{i}" for i in range(8)]
    for name in ("text", "detail", "accept", "reject", "yes", "no", *terms):
        for ground in ("paper", "box"):
            assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
    assert contrast(theme["line"], theme["paper"]) >= 3
    hottest = blended(theme["box"], theme["heat"], HOT)
    assert contrast(theme["text"], hottest) >= 4.5
    assert all(contrast(theme[name], hottest) >= 2.9 for name in ("detail", *terms))


def blended(below, above, share):
    parts = [
        round(int(below[i : i + 2], 16) * (1 - share) + int(above[i : i + 2], 16) * share)
        for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)


def test_heat():
    recording, program = recorded("tcp port 80")
    labels = recording.graph.labels
    heat = Heat(
        {label: 1000 >> label for label in labels},
        {(label, side): 1000 >> label + 1 for label in labels for side in (True, False)},
    )
    root = parsed(svg(picture_of_graph(recording.graph, program.dlt, heat=heat)))
    for group, _ in boxes(root):
        assert int(group.get("data-count")) >= 0
    widths = {
        int(group.get("data-count")): float(path.get("stroke-width"))
        for group, _ in ways(root)
        for path in [group.find(f"{SVG}path")]
    }
    assert len(widths) > 2
    assert [widths[count] for count in sorted(widths)] == sorted(widths.values())
    width = float(root.get("width"))
    assert all(word.left >= -16 and word.right <= width for word in words(root))
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert "1,000" in said
    assert "yes 500" in said


def test_png():
    picture = pictures("tcp port 80")["graph"]
    data = png(picture, scale=1.0)
    root = parsed(svg(picture))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    size = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    assert size == tuple(int(root.get(name)) for name in ("width", "height"))
    assert data != png(picture, DARK, scale=1.0)
    # A sheet without boxes is far smaller.
    assert len(data) > 2 * len(png(Picture("empty", [Box(Kind.ACCEPT, ("x",))], []), scale=1.0))


def test_what_is_larger_than_a_png_may_be_is_drawn_smaller(monkeypatch):
    picture = pictures("tcp port 80")["graph"]
    monkeypatch.setattr("pfcompile.pictures.png._LARGEST", 300)
    data = png(picture, scale=4.0)
    assert 290 < max(int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) <= 300


@pytest.mark.long
def test_a_large_png_is_drawn_smaller():
    picture = pictures(LARGE[0])["graph"]
    data = png(picture, scale=4.0)
    assert int.from_bytes(data[20:24]) <= 12_000


def test_a_document_with_its_own_colours_asks_for_none():
    document = svg(pictures("ip")["graph"], LIGHT)
    assert "var(" not in document
    assert "prefers-color-scheme" not in document
    assert ET.fromstring(document) is not None  # noqa: S314 - our own
