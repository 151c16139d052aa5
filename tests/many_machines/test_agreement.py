"""Captures filtered by several processes come to what one process makes of them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from pfcompile.captures.reader import read_records
from pfcompile.captures.writer import Format
from pfcompile.distributed import filter as filter_distributed
from pfcompile.distributed.parts import Walked, cut, walk_part
from pfcompile.errors import FilterError
from tests.captures.capture_building import damage, interface, pcap, section
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.generator.seed import SEED
from tests.many_machines.agreement import ETHERNET, PCAPS, agree, both_engines

pytestmark = pytest.mark.filterwarnings("error")


@both_engines
def test_captures_of_all_kinds_become_one_file(client, out, engine):
    result = agree(client, [PCAPS], "udp or icmp6", "all.pcapng", out, engine=engine)
    assert {each.output for each in result.files} == {str(out / "all.pcapng")}
    assert [Path(each.path).name for each in result.files if each.error] == ["cut-short.pcap"]


@pytest.mark.parametrize("name", ["one.pcap", "one.pcapng", "one"])
@pytest.mark.parametrize("part_bytes", [1 << 30, 150])
def test_pcap_files_of_all_layouts_become_one_file(client, out, name, part_bytes):
    sources = [*sorted(PCAPS.glob("ethernet*.pcap")), PCAPS / "archive" / "ethernet.pcap.gz"]
    assert agree(client, sources, "tcp", name, out, part_bytes=part_bytes).matched == 30


def test_a_format_is_asked_for(client, out):
    agree(client, [ETHERNET], "tcp", "x.pcap", out, write_format="pcapng", part_bytes=300)
    agree(client, [PCAPS / "mixed.pcapng"], "ip", "x", out, write_format=Format.PCAPNG.value)


def test_no_expression_takes_every_packet(client, out):
    result = agree(client, [ETHERNET, PCAPS / "empty.pcap"], "", "x.pcap", out)
    assert result.matched == result.packets == 22


def test_nothing_matches(client, out):
    result = agree(client, [ETHERNET], "port 1", "x.pcap", out)
    assert (result.matched, result.files[0].output) == (0, str(out / "x.pcap"))
    assert (out / "x.pcap").stat().st_size == 24


@both_engines
@pytest.mark.parametrize("number", range(4))
def test_random_captures_in_parts(client, out, engine, number):
    rng = random.Random(f"{SEED} {engine} {number}")
    sources = []
    for each in range(3):
        made = random_pcap(rng, 120) if rng.random() < 0.7 else random_pcapng(rng, 120)
        sources.append(out / f"in-{each}")
        sources[-1].write_bytes(damage(made, rng) if rng.random() < 0.3 else made)
    options = {"engine": engine, "part_bytes": rng.choice([900, 3000, 9000])}
    agree(client, sources, "ip[0] & 3 != 0", "x.pcapng", out, **options)


def capture_of_captures(rng: random.Random, count: int) -> bytes:
    """Return a capture whose packets are longer than parts, and captures themselves."""
    inner = pcap([(each, 0, rng.randbytes(60), 60) for each in range(300)])[24:]
    packets = [rng.randbytes(1) + inner[each % 7 :] for each in range(count)]
    return pcap([(number, 0, each, len(each)) for number, each in enumerate(packets)])


@both_engines
def test_packets_that_hold_captures_mislead_nobody(client, out, engine):
    source = out / "in.pcap"
    source.write_bytes(capture_of_captures(random.Random(SEED), 12))
    with source.open("rb") as stream:
        true = {each.offset for each in read_records(stream, "in")}
    guessed = set()
    for part in cut(str(source), source.stat().st_size, 20_000)[1:]:
        walked = Walked()
        for _ in walk_part(str(source), part, None, walked):
            pass
        guessed.add(walked.begun)
    assert len(guessed - true) >= 8, "not misled"
    result = agree(
        client, [source], "ether[0] & 1 == 0", "x.pcap", out, engine=engine, part_bytes=20_000
    )
    assert result.packets == 12
    assert 0 < result.matched < 12


def test_a_packet_longer_than_several_parts(client, out):
    source = out / "in.pcap"
    packets = [(each, 0, bytes(size), size) for each, size in enumerate([60, 9000, 60, 20_000, 60])]
    source.write_bytes(pcap(packets))
    assert agree(client, [source], "greater 100", "x.pcap", out, part_bytes=1000).matched == 2


def test_damage_ends_a_file_where_it_is(client, out):
    content = bytearray(ETHERNET.read_bytes())
    place = 24
    for _ in range(9):
        place += 16 + struct.unpack_from("<I", content, place + 8)[0]
    struct.pack_into("<I", content, place + 8, 0x7FFFFFFF)
    source = out / "in.pcap"
    source.write_bytes(content)
    result = agree(client, [source, ETHERNET], "", "x.pcap", out, part_bytes=200)
    assert [each.packets for each in result.files] == [9, 22]
    assert f"byte {place}" in result.files[0].error


def test_an_interface_without_packets_is_asked_only_where_there_is_no_other(client, out):
    empty = out / "in.pcapng"
    empty.write_bytes(section() + interface(linktype=101))
    text = "ether src 1:2:3:4:5:6"
    agree(client, [empty, ETHERNET], text, "x.pcapng", out)
    with pytest.raises(FilterError):
        filter_distributed([empty], text, client=client)


def test_counts_need_no_output(client, out):
    seen = []
    result = filter_distributed([PCAPS], "tcp port 443", client=client, progress=seen.append)
    assert result.matched == sum(each.matched for each in result.files) > 0
    assert {each.output for each in result.files} == {None}
    size = sum(each.stat().st_size for each in PCAPS.rglob("*.pcap*") if each.is_file())
    assert seen[0] == (0, len(result.files), 0, size)
    assert seen[-1] == (len(result.files), len(result.files), size, size)
    assert not list(out.iterdir())


def test_counts_of_parts(client):
    result = filter_distributed(ETHERNET, "tcp", client=client, part_bytes=100)
    assert (result.packets, result.bytes, result.matched) == (22, 1506, 5)
