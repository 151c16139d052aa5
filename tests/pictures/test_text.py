"""Pictures as text: what fits, and what is coloured."""

from __future__ import annotations

import re

import pytest

from pfcompile.pictures.blocks import picture_of_graph
from pfcompile.pictures.model import Heat
from pfcompile.pictures.text import text
from pfcompile.pictures.wording import columns
from tests.pictures.drawings import pictures, recorded

FILTERS = [
    "tcp port 443 or (udp and host 10.0.0.1)",
    " or ".join(f"(tcp port {i + 1} and host 10.0.0.{i})" for i in range(30)),
]


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("stage", ["lowered", "graph", "program"])
@pytest.mark.parametrize("filter_", FILTERS)
def test_lines_fit(filter_, stage, width):
    drawn = text(pictures(filter_)[stage], width)
    assert max(map(columns, drawn.splitlines())) <= width


def test_narrow_terminals_get_long_lines_and_no_trouble():
    recording, program = recorded(FILTERS[1])
    labels = recording.graph.labels
    heat = Heat(
        dict.fromkeys(labels, 10**12),
        {(label, side): 10**12 for label in labels for side in (True, False)},
    )
    picture = picture_of_graph(recording.graph, program.dlt, FILTERS[1], heat=heat)
    assert "1,000,000,000,000" in text(picture, 1)


def test_every_block_has_a_line_and_every_way_is_told():
    picture = pictures(FILTERS[0])["graph"]
    drawn = text(picture)
    for box in picture.boxes:
        assert re.search(rf"\b{box.name}\b", drawn)
    told = sum(len(re.findall(r"\b(?:yes|no) \S+|^.*  ↓", line)) for line in drawn.splitlines())
    assert told == len(picture.ways)


def test_the_margin_leads_where_the_block_says():
    """Each `>` is where some block says that it goes, and all far ways fit here."""
    picture = pictures(FILTERS[0])["graph"]
    lines = text(picture).splitlines()
    arrived = {re.search(r"> (b\d+)", line)[1] for line in lines if ">" in line.split("b")[0]}
    named = {name for line in lines for name in re.findall(r"(?:yes|no) (b\d+)", line)}
    assert named <= arrived


def test_colours_are_for_terminals_only():
    picture = pictures(FILTERS[0])["graph"]
    assert "\x1b[" not in text(picture)
    assert re.sub(r"\x1b\[\d+m", "", text(picture, colour=True)) == text(picture)
