"""Hits by term and by test: the same natively, walked, and by the classic interpreter."""

from __future__ import annotations

import gzip
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pfcompile import FilterError
from pfcompile import compile as compile_text
from pfcompile.captures.reader import read_records
from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.interpreter import prepare
from pfcompile.errors import CaptureError
from pfcompile.explain.counting.captures import Reading, hits
from pfcompile.ir.graph import Accept, Branch, Let, Reject, rebuild_with
from pfcompile.lower.context import Options, Source
from pfcompile.lower.lowering import lower_apart
from pfcompile.lower.terms import is_mark
from pfcompile.names.resolvers import NoNames
from pfcompile.syntax.parser import parse
from tests.generator.expressions import FIRST_GROUPS, Generator
from tests.generator.seed import SEED, rerun
from tests.shared_captures import CAPTURES

if TYPE_CHECKING:
    from pfcompile.explain.counting.found import Hits, LinkTypeHits

PCAPS = Path(__file__).parents[2] / "pcaps"
OURS = sorted(path for path in PCAPS.iterdir() if ".pcap" in path.name)
EVERYWHERE = "link[0] & 1 = 0 and len > 60 or link[12:2] = 0x800 and not link[60] / link[61] = 3"
"""Compiles on every link type; packets are cut short in it, and divide by zero."""

EXPRESSIONS = (
    "tcp port 443 or udp and host 10.0.0.1",
    "host 10.0.0.1 or 10.0.0.2 or 10.0.0.3 or 10.0.0.4 or 10.0.0.5 or 10.0.0.6",
    "not port 53 and not port 80 and not port 443 and not port 22 and not port 25 and ip",
    "ip6 host 2001:db8::1 or 2001:db8::2 or 2001:db8::3 or 2001:db8::4 or 2001:db8::5",
    "net 10.0.0.0/8 or 192.168.0.0/16 or 10.0.0.0/30 or 0.0.0.0/0 and tcp",
    "portrange 1-100 or 50-60 or 443-443 or 80-90 or 60000-65535 or 70-95 and not udp",
    "ip[0] & 0xf != 5 or tcp[tcpflags] & tcp-syn != 0",
    "ip6 protochain 6 or vlan and len > 100",
    "ether[ether[2]] > 3 or ether[3] / ether[4] = 2",
)


def counted(paths, text: str, *, reading: Reading, optimize: bool = True) -> tuple[Hits, list[str]]:
    """Return what is counted of captures, and what is wrong with them."""
    damage: list[str] = []
    given = Reading(
        reading.engine, jobs=reading.jobs, cached=False, on_damage=lambda e: damage.append(str(e))
    )
    found = hits(list(map(str, paths)), text, optimize=optimize, resolver=NoNames(), reading=given)
    return found, damage


def numbers(found: Hits) -> list[object]:
    return [
        (each.dlt, each.packets, each.matched, each.turned_away_before, each.terms, each.flows)
        for each in found.link_types
    ]


NATIVE, WALKED = Reading("native"), Reading("interp")


FEW = [PCAPS / name for name in ("mixed.pcapng", "ethernet-snaplen-40.pcap", "cut-short.pcap")]


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("optimize", [True, False])
def test_engines_agree(text, optimize):
    check_engines_agree(FEW, text, optimize=optimize)


@pytest.mark.long
@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("optimize", [True, False])
def test_engines_agree_on_every_capture(text, optimize):
    check_engines_agree(OURS, text, optimize=optimize)


def check_engines_agree(paths, text, *, optimize):
    for path in paths:
        try:
            native = counted([path], text, reading=NATIVE, optimize=optimize)
        except FilterError:
            with pytest.raises(FilterError):
                counted([path], text, reading=WALKED, optimize=optimize)
            continue
        walked = counted([path], text, reading=WALKED, optimize=optimize)
        assert numbers(native[0]) == numbers(walked[0]), path
        assert native[1] == walked[1]


def test_flows_add_up():
    for text in EXPRESSIONS:
        found, _ = counted([PCAPS / "ethernet.pcap"], text, reading=WALKED)
        for each in found.link_types:
            assert each.packets == each.matched + each.turned_away_before + sum(
                term.turned_away for term in each.terms
            )
            assert each.matched == sum(term.let_in for term in each.terms)
            for flow in each.flows:
                assert flow.reached == flow.yes + flow.no + flow.cut_short
            assert sum(each.edges.values()) + each.packets == sum(each.blocks.values())


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_counts_are_the_classic_interpreters(text):
    check_by_interpreter(PCAPS / "ethernet.pcap", text)


def check_by_interpreter(path: Path, text: str) -> None:
    """Check every number by programs that match just the packets it counts."""
    found, _ = counted([path], text, reading=NATIVE)
    packets: dict[int, list[tuple[bytes, int]]] = {}
    with path.open("rb") as stream:
        try:
            for record in read_records(stream, path.name):
                of_type = packets.setdefault(record.interface.dlt, [])
                of_type.append((bytes(record.data), record.wire_length))
        except CaptureError:
            pass
    for each in found.link_types:
        check_link_type(each, text, packets.get(each.dlt, []))


def check_link_type(found: LinkTypeHits, text: str, packets) -> None:
    assert found.packets == len(packets)

    def count(graph, label, way=None) -> int:
        machine = prepare(generate(ending_at(graph, label, way), 1, longest=None))
        return sum(bool(machine(*packet)) for packet in packets)

    options = Options(dlt=found.dlt, resolver=NoNames(), source=Source.SAVEFILE)
    terms = lower_apart(parse(text), text, options)
    for term, told in zip(terms.terms, found.terms, strict=True):
        wanted = [
            0 if label is None else count(terms.graph, label)
            for label in (term.begins, term.true, term.false)
        ]
        assert [told.reached, told.true, told.false] == wanted, (text, told)
    for label, flow in zip(found.graph.labels, found.flows, strict=True):
        assert flow.reached == count(found.graph, label), (text, label)
        if isinstance(found.graph[label], Branch):
            assert flow.yes == count(found.graph, label, True), (text, label)
            assert flow.no == count(found.graph, label, False), (text, label)


def ending_at(graph, wanted, way):
    """Return the filter that matches the packets that come to a block, or leave it one way."""

    def rewrite(builder, label, block, names):
        if label == wanted:
            accept, reject = builder.add(Accept()), builder.add(Reject())
            if way is None:
                return accept
            return builder.add(
                Branch(block.test, accept if way else reject, reject if way else accept)
            )
        if isinstance(block, Accept):
            return builder.add(Reject())
        if isinstance(block, Let) and is_mark(block):
            return block.next
        if isinstance(block, Branch) and block.yes == block.no:
            # It must stay, since a packet may end in it.
            return _kept(builder, block)
        return builder.add(block)

    return rebuild_with(graph, rewrite)


def _kept(builder, block):
    builder._blocks.append(block)
    return len(builder._blocks) - 1


@pytest.mark.skipif(not CAPTURES, reason="the shared captures are not here")
def test_engines_agree_on_the_shared_captures():
    native, damage = counted(CAPTURES, EVERYWHERE, reading=NATIVE)
    walked, damage_walked = counted(CAPTURES, EVERYWHERE, reading=WALKED)
    assert numbers(native) == numbers(walked)
    assert damage == damage_walked
    assert len(native.link_types) > 25
    assert any(term.cut_short for each in native.link_types for term in each.terms)


@pytest.mark.long
@pytest.mark.skipif(not CAPTURES, reason="the shared captures are not here")
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_each_shared_capture(text):
    outcomes: Counter[str] = Counter()
    for path in CAPTURES:
        try:
            walked = counted([path], text, reading=WALKED)
        except (FilterError, CaptureError) as error:
            outcomes[type(error).__name__] += 1
            with pytest.raises(type(error)):
                counted([path], text, reading=NATIVE)
            continue
        native = counted([path], text, reading=NATIVE)
        assert numbers(native[0]) == numbers(walked[0]), path
        assert native[1] == walked[1]
        outcomes["counted"] += 1
    assert outcomes["counted"] > 200, outcomes


@pytest.mark.long
@pytest.mark.skipif(not CAPTURES, reason="the shared captures are not here")
def test_random_expressions_by_the_classic_interpreter():
    check_random(60, [path for path in CAPTURES if path.stat().st_size < 20_000])


def test_a_few_random_expressions_by_the_classic_interpreter():
    check_random(6, [PCAPS / "ethernet.pcap"])


def check_random(count: int, paths: list[Path]) -> None:
    rng = random.Random(f"{SEED} hits")
    while count:
        text = Generator(rng.random(), "EN10MB", FIRST_GROUPS).expression()
        path = rng.choice(paths)
        try:
            compile_text(text, savefile=True, resolver=NoNames())
            check_by_interpreter(path, text)
        except FilterError:
            continue
        except AssertionError as error:
            raise AssertionError(
                f"{text!r} on {path}; {rerun('tests/explain/test_hits.py')}"
            ) from error
        count -= 1


def test_threads_count_the_same(tmp_path):
    large = tmp_path / "large.pcap"
    body = (PCAPS / "ethernet.pcap").read_bytes()
    with large.open("wb") as file:
        file.write(body[:24])
        for _ in range(70_000_000 // len(body[24:])):
            file.write(body[24:])
    text = EXPRESSIONS[0]
    one, _ = counted([large], text, reading=NATIVE)
    two, _ = counted([large], text, reading=Reading("native", jobs=2))
    assert numbers(one) == numbers(two)
    few, _ = counted([PCAPS / "ethernet.pcap"], text, reading=WALKED)
    times = one.packets // few.packets
    assert one.packets == times * few.packets > 800_000
    for a, b in zip(one.link_types[0].terms, few.link_types[0].terms, strict=True):
        assert (a.reached, a.true, a.false) == tuple(
            times * each for each in (b.reached, b.true, b.false)
        )


def test_several_and_compressed_captures(tmp_path):
    packed = tmp_path / "packed.pcap.gz"
    with gzip.open(packed, "wb") as target, (PCAPS / "ethernet.pcap").open("rb") as source:
        shutil.copyfileobj(source, target)
    for reading in (NATIVE, WALKED):
        both, _ = counted([PCAPS / "ethernet.pcap", packed], "tcp", reading=reading)
        one, _ = counted([PCAPS / "ethernet.pcap"], "tcp", reading=reading)
        assert both.packets == 2 * one.packets
        assert both.matched == 2 * one.matched


def test_the_empty_expression_and_one_source():
    found = hits(str(PCAPS / "ethernet.pcap"))
    assert found.packets == found.matched == 22
    assert found.link_types[0].terms == ()


def test_damage_is_raised_after_all_is_counted():
    with pytest.raises(CaptureError, match="cut short"):
        hits(PCAPS / "cut-short.pcap", "tcp")
