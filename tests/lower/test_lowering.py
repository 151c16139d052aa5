"""From a tree to a graph: sound graphs, spans that lead back to the text, and the options."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pfcompile.errors import FilterError
from pfcompile.ir.check import check
from pfcompile.ir.graph import Branch, Let
from pfcompile.ir.text import parse_graph, print_graph
from pfcompile.lower.context import Options, Source
from pfcompile.lower.lowering import lower
from pfcompile.names.resolvers import NoNames
from pfcompile.syntax.parser import parse
from tests.generator.expressions import Generator
from tests.generator.links import LINKS
from tests.generator.seed import SEED, rerun

LINES = (Path(__file__).parents[1] / "filters" / "usual.txt").read_text("utf-8").splitlines()
FILTERS = [line for line in LINES if line and not line.startswith("#")]
NETMASK = 0xFFFFFF00


def lowered(text, link="EN10MB", **options):
    expression = parse(text)
    assert expression is not None
    return lower(expression, text, Options(LINKS[link].value, NoNames(), NETMASK, **options))


def origins(graph):
    """Return the parts that asked for each test, the first first."""
    asking = [block.origins for block in graph.blocks if isinstance(block, Branch | Let)]
    return [span for spans in asking for span in spans]


def test_usual_filters_become_sound_graphs():
    for text in FILTERS:
        graph = lowered(text)
        check(graph)
        assert parse_graph(print_graph(graph)).blocks == graph.blocks


@pytest.mark.parametrize("link", LINKS)
def test_generated_filters_become_sound_graphs(link):
    expressions = Generator(f"{SEED} lower {link}", link)
    sound = 0
    for _ in range(40):
        text = expressions.expression()
        try:
            graph = lowered(text, link)
        except FilterError:
            continue
        told = f"{text!r}\n{print_graph(graph)}{rerun('tests/lower/test_lowering.py')}"
        check(graph)
        for origin in origins(graph):
            assert 0 <= origin.start < origin.end <= len(text), told
        sound += 1
    assert sound >= 20


def test_every_test_knows_who_asked_for_it():
    text = "tcp port 80 and not vlan 7"
    asked = {text[origin.start : origin.end] for origin in origins(lowered(text))}
    assert asked == {"tcp port 80", "vlan 7"}


def test_protochain_follows_as_many_headers_as_asked():
    graphs = [lowered("ip6 protochain 6", protochain_headers=count) for count in (1, 2, 4)]
    lengths = [len(graph) for graph in graphs]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == 3
    # Each further header costs the same.
    assert lengths[2] - lengths[1] == 2 * (lengths[1] - lengths[0])


def test_metadata_only_in_a_live_capture():
    live = print_graph(lowered("vlan 7", source=Source.LIVE))
    assert "[vlanp]" in live
    assert "[vlan_tci]" in live
    for source in (Source.UNKNOWN, Source.SAVEFILE):
        assert "[vlan" not in print_graph(lowered("vlan 7", source=source))


def test_long_expressions_are_not_deep():
    text = " or ".join(f"host 10.{i >> 8}.{i & 255}.1" for i in range(2000))
    graph = lowered(text)
    check(graph)
    told = print_graph(graph)
    assert all(number in told for number in ("0xa000001", "0xa000701", "0xa07cf01"))


def test_what_is_textually_after_has_moved():
    """`vlan` moves the offsets of all that is written to its right, whatever the structure."""
    assert "ldh[16] == 0x800" in print_graph(lowered("vlan and ip"))
    assert "ldh[16] == 0x800" in print_graph(lowered("not vlan or ip"))
    before = print_graph(lowered("ip or vlan"))
    assert "ldh[12] == 0x800" in before
    assert "ldh[16] == 0x800" not in before


def test_the_order_of_random_chains_is_the_texts():
    """Left to right, `and` and `or` alike."""
    rng = random.Random(f"{SEED} order")
    for _ in range(50):
        numbers = rng.sample(range(1000), 5)
        text = "".join(
            f"{rng.choice((' and ', ' or ')) if i else ''}link[{n}] = 1"
            for i, n in enumerate(numbers)
        )
        starts = [origin.start for origin in origins(lowered(text))]
        assert starts == sorted(starts), rerun("tests/lower/test_lowering.py")
