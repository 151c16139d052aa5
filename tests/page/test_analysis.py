"""What the page is told of an expression, beside what the commands print."""

from __future__ import annotations

import itertools

import pytest

import pfcompile
from pfcompile.ebpf.listing import listing
from pfcompile.page.analysis import analyse
from pfcompile.page.asked import Filter
from pfcompile.page.comparison import compare
from pfcompile.page.meaning import meaning
from pfcompile.page.spans import places_in

FILTERS = (
    "ip",
    "tcp port 443 or udp port 53",
    "host 10.0.0.1 or host 10.0.0.2 or net 10.1.0.0/16",
    "not (arp or ip6) and len > 100",
    "vlan 5 and tcp[tcpflags] & tcp-syn != 0",
    "ip6 protochain 6",
)


def units(text, place):
    """Return what a browser takes for a part of a text."""
    start, end = place
    return text.encode("utf-16-le", "surrogatepass")[2 * start : 2 * end].decode("utf-16-le")


@pytest.mark.parametrize("text", FILTERS)
def test_stages_are_those_of_the_commands(text):
    found = analyse(Filter(text))
    program = pfcompile.compile(text)
    stages = found.stages
    assert [line.text for line in stages.classic] == program.dump().splitlines()
    extended = program.to_ebpf(stages.target)
    assert [line.text for line in stages.extended] == listing(extended).splitlines()
    assert found.remarks == ()


@pytest.mark.parametrize("text", FILTERS)
def test_what_is_linked_is_there(text):
    stages = analyse(Filter(text)).stages
    last = stages.drawings[stages.passes[-1].drawing]
    labels = {node.written_as for node in last.nodes}
    assert {line.label for line in stages.classic} == labels
    assert {node.label for node in last.nodes} == set(range(stages.passes[-1].blocks))
    for line in stages.classic:
        assert line.places or "ret" in line.text
    for line in stages.extended:
        source = line.source
        assert source is None or line.places == stages.classic[source].places
    for drawing in stages.drawings:
        for node in drawing.nodes:
            assert -1 < node.x < node.x + node.width < drawing.width + 1
            assert -1 < node.y < node.y + node.height < drawing.height + 1
        for edge in drawing.edges:
            assert len(edge.points) % 3 == 1
            assert 0 <= edge.source < edge.target < len(drawing.nodes) or drawing.nodes[
                edge.target
            ].kind in {"accept", "reject"}


def test_the_first_graph_is_as_written_and_later_ones_say_whether_they_differ():
    passes = analyse(Filter("tcp port 443 or udp port 53")).stages.passes
    assert passes[0].name == "lower"
    assert passes[0].changes
    assert not all(each.changes for each in passes)
    for before, after in itertools.pairwise(passes[:-1]):
        assert (before.drawing != after.drawing) == after.changes


def test_rows_of_the_tree():
    tree = analyse(Filter("tcp port 80 or 443 and not (arp or ip6)")).stages.tree
    assert tree.text == "and"
    either, neither = tree.below
    assert (either.text, [row.text for row in either.below]) == (
        "or",
        ["tcp port 80", "tcp port 443"],
    )
    assert either.place == (0, 18)
    assert neither.text == "not"
    assert [row.text for row in neither.below[0].below] == ["arp", "ip6"]


def test_a_blank_expression():
    stages = analyse(Filter("  ")).stages
    assert stages.tree is None
    assert stages.passes == ()
    assert [line.text for line in stages.classic] == ["(000) ret      #262144"]


def test_places_are_counted_as_browsers_count():
    for text in ("\U0001f600 prt 80", "tcp and é\U0001f600\U0001f600 or ip", "tcp port"):
        remark = analyse(Filter(text)).remarks[0]
        with pytest.raises(pfcompile.FilterError) as raised:
            pfcompile.compile(text)
        span = raised.value.span
        assert remark.place is not None
        assert units(text, remark.place) == text[span.start : span.end]
    place = places_in("\U0001f600ab")
    assert place(pfcompile.Span(1, 3)) == (2, 4)
    assert places_in("ab")(pfcompile.Span(1, 9)) == (1, 2)


def test_names_are_looked_up_only_if_that_is_wanted():
    remark = analyse(Filter("host localhost")).remarks[0]
    assert "names are switched off" in remark.hint
    assert analyse(Filter("host localhost", names=True)).stages is not None


def test_a_graph_that_is_too_large_is_not_drawn():
    hosts = " or ".join(f"host 2001:db8:{i:x}::{i * 7:x}" for i in range(120))
    stages = analyse(Filter(hosts)).stages
    assert stages.passes[-1].drawing is None
    assert stages.classic[0].places


def test_where_there_is_no_extended_program(monkeypatch):
    monkeypatch.setattr("pfcompile.page.analysis.TARGETS", ("moon",))
    found = analyse(Filter("ip")).stages
    assert (found.target, found.extended) == (None, ())
    assert "there is no target 'moon'" in found.no_extended


def test_meaning_has_warnings_and_words():
    found = meaning(Filter("not port 80 and 443"))
    assert [each.code for each in found.remarks if each.kind == "warning"] == ["PF112"]
    assert [part.understood for part in found.parts] == ["port 80", "port 443"]
    assert meaning(Filter("not port")).remarks == ()


@pytest.mark.parametrize(
    ("a", "b", "relation", "witnesses"),
    [
        ("host 10.0.0.1", "src or dst 10.0.0.1", "equal", 0),
        ("tcp port 80", "port 80", "A implies B", 1),
        ("ip", "ip6", "disjoint", 2),
        ("ip", "", "A implies B", 1),
    ],
)
def test_comparing(a, b, relation, witnesses):
    found = compare(Filter(a), Filter(b))
    assert (found.relation, len(found.witnesses)) == (relation, witnesses)
    for each in found.witnesses:
        packet = bytes.fromhex(each.bytes)
        takes = [bool(pfcompile.compile(text).match(packet)) for text in (a, b)]
        assert each.takers == f"Only {'A' if takes[0] else 'B'} takes this packet"
        assert takes[0] != takes[1]


def test_a_mistake_in_the_second_expression():
    found = compare(Filter("ip"), Filter("prt 80"))
    assert found.relation is None
    assert found.remarks[0].place == (0, 3)
