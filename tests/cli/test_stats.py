"""`pfcompile filter --stats`: what it counts is what anybody counts who reads the packets."""

from __future__ import annotations

import bz2
import json
import random
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pfcompile.captures.blocks.scans import Wanted
from pfcompile.captures.extents import Extents
from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.formats.records import InterfaceBlock, PcapHeader, Record, Section
from pfcompile.facts.link_types import by_dlt
from pfcompile.files import Engine, Programs, program_for
from tests.captures.capture_building import (
    END,
    MICROSECONDS,
    NANOSECONDS,
    damage,
    enhanced,
    interface,
    option,
    parse,
    pcap,
    pcapng,
    section,
    simple,
)
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.cli import in_process
from tests.generator.seed import SEED, rerun

PCAPS = Path(__file__).parents[2] / "pcaps"
MIXED = PCAPS / "mixed.pcapng"
ETHERNET = PCAPS / "ethernet.pcap"
RERUN = rerun("tests/cli/test_stats.py")

pytestmark = pytest.mark.usefixtures("small_parts")

WAYS = (
    ("--engine", "interp"),
    ("--engine", "native"),
    ("--engine", "native", "-j", "2"),
    ("--engine", "native", "--mmap"),
    ("--engine", "native", "--mmap", "-j", "2"),
    ("--engine", "interp", "-j", "2"),
)
ROUNDS = 40

LONGER = "greater 62"
"""An expression for every link type, which is about the length on the wire."""


def run(*arguments, stdin=b""):
    return in_process.run("filter", *arguments, stdin=stdin)


def stats(*arguments, status=0):
    done = run("--stats", "--json", *arguments)
    assert done.returncode == status, (done, RERUN)
    return json.loads(done.stdout)


@dataclass
class Sums:
    """Packets, bytes and times, added up one by one."""

    packets: int = 0
    bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, record):
        self.packets += 1
        self.bytes += len(record.data)
        if record.has_time:
            times = {record.timestamp_ns, self.first_ns, self.last_ns} - {None}
            self.first_ns, self.last_ns = min(times), max(times)


def expected(captures, matches, limit=None):
    """Return what `--stats --json` must say of captures, given as names and contents."""
    found: dict = {}
    total = Sums(), Sums()
    for name, content in captures:
        number = 0
        for item in parse(content)[0]:
            number += isinstance(item, Section)
            if isinstance(item, PcapHeader | InterfaceBlock | Record):
                entry = (str(name), number, item.interface.index)
                mine = found.setdefault(entry, (item.interface.dlt, Sums(), Sums()))
            if isinstance(item, Record) and limit != 0:
                kept = matches(item)
                for everything, matched in (mine[1:], total):
                    everything.add(item)
                    if kept:
                        matched.add(item)
                limit = limit - kept if limit is not None else None
                if limit == 0:
                    break
        if limit == 0:
            break
    return {
        "interfaces": [
            {
                "file": name,
                "section": number,
                "interface": index,
                "link_type": by_dlt(dlt).name,
                "all": vars(everything),
                "matched": vars(matched),
            }
            for (name, number, index), (dlt, everything, matched) in found.items()
        ],
        "all": vars(total[0]),
        "matched": vars(total[1]),
    }


def is_longer(record):
    return record.wire_length >= 62


def same_in_every_way(captures, *, status=0):
    """Require that each way of counting comes to what Python's own sums come to."""
    wanted = expected(captures, is_longer)
    inputs = [part for name, _ in captures for part in ("-r", name)]
    for way in WAYS:
        assert stats(*inputs, *way, LONGER, status=status) == wanted, (way, RERUN)
    return wanted


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_random_captures(tmp_path, kind):
    rng = random.Random(f"stats-{kind}-{SEED}")
    make = random_pcap if kind == "pcap" else random_pcapng
    interfaces = sections = 0
    for number in range(ROUNDS):
        captures = []
        for name in ("a", "b")[: rng.randint(1, 2)]:
            captures.append((tmp_path / f"{number}{name}", make(rng, rng.randrange(1, 120))))
            captures[-1][0].write_bytes(captures[-1][1])
        found = same_in_every_way(captures)["interfaces"]
        interfaces = max(interfaces, len(found))
        sections = max([sections, *(each["section"] for each in found)])
    assert interfaces > 1
    assert (sections > 1) == (kind == "pcapng")


def test_damaged_captures(tmp_path):
    """What is whole is counted, in each way the same."""
    rng = random.Random(f"stats-damage-{SEED}")
    found = 0
    for number in range(ROUNDS):
        make = rng.choice((random_pcap, random_pcapng))
        content = make(rng, rng.randrange(1, 60))
        content = content[:28] + damage(content[28:], rng)
        items, error = parse(content)
        path = tmp_path / str(number)
        path.write_bytes(content)
        outcomes = [run("--stats", "-r", path, *way, LONGER) for way in WAYS]
        assert len({(each.returncode, each.stdout) for each in outcomes}) == 1, (outcomes, RERUN)
        if error is not None and all(
            by_dlt(each.interface.dlt)
            for each in items
            if isinstance(each, PcapHeader | Record | InterfaceBlock)
        ):
            found += 1
            same_in_every_way([(path, content)], status=1)
    assert found > ROUNDS // 4


@pytest.mark.parametrize("limit", [1, 2, 7, 30, 1000])
def test_limits(tmp_path, limit):
    """With -c, everything up to the last match is counted, and nothing behind it."""
    rng = random.Random(f"stats-limits-{SEED}")
    for make in (random_pcap, random_pcapng):
        captures = []
        for name in "ab":
            captures.append((tmp_path / f"{make.__name__}-{name}", make(rng, 40)))
            captures[-1][0].write_bytes(captures[-1][1])
        wanted = expected(captures, is_longer, limit)
        assert wanted["matched"]["packets"] <= limit
        inputs = [part for name, _ in captures for part in ("-r", name)]
        for way in WAYS:
            assert stats(*inputs, *way, "-c", limit, LONGER) == wanted, (way, RERUN)


def test_a_limit_ends_the_reading_of_a_pipe():
    """Behind the last match nothing is waited for, though the times are still to be told."""
    reads = []

    class Pipe:
        """Gives a capture, and must not be read again."""

        name = "pipe"

        def __init__(self, content):
            self._parts = [content]

        def read(self, size):
            reads.append(size)
            return self._parts.pop()

    for content in (pcap(), pcap()[:-2], pcapng(), ETHERNET.read_bytes()):
        for engine in (Engine.INTERP, Engine.NATIVE):
            wanted = Wanted(times=True, limit=True)
            programs = Programs([program_for("")], engine, wanted=wanted, complain=pytest.fail)
            tally = Tally(extents=Extents())
            destination = type("Nothing", (), {"write": print, "flush": lambda _: None})()
            filter_captures(
                [Pipe(content)],
                [destination],
                programs,
                tally=tally,
                on_damage=pytest.fail,
                plan=Plan(limit=2, scans_for=programs.scans),
            )
            assert tally.matched == 2
            assert sum(each.matched.packets for each in tally.extents) == 2


@pytest.mark.parametrize("way", WAYS)
def test_times_of_every_kind(tmp_path, way):
    """Unordered, without, far from now, in units of a second and of less than a nanosecond."""
    last = (1 << 64) - 1
    seconds = interface(options=option("<", 9, b"\x00") + END)
    tiny = interface(options=option("<", 9, b"\xbf") + END)
    offset = interface(options=option("<", 14, struct.pack("<q", -5)) + END)
    content = b"".join(
        (
            section(),
            *(seconds, tiny, offset, interface(), interface()),
            *(enhanced(number=0, ticks=ticks) for ticks in (7, 3, last, 5)),
            *(enhanced(number=1, ticks=ticks) for ticks in (last, 1 << 63, 0)),
            *(enhanced(number=2, ticks=ticks) for ticks in (1_000_000, 0, 6_000_000)),
            enhanced(number=3, ticks=last),
            simple(data=b"no time"),
            section(),
            interface(),
            simple(data=b"no time"),
        )
    )
    path = tmp_path / "in.pcapng"
    path.write_bytes(content)
    found = stats("-r", path, *way)
    assert found == expected([(path, content)], lambda _: True)
    times = [(each["all"]["first_ns"], each["all"]["last_ns"]) for each in found["interfaces"]]
    assert times == [
        # A simple packet is of the first interface, and has no time.
        (3 * 10**9, last * 10**9),
        (0, last * 10**9 >> 63),
        (-5 * 10**9, 10**9),
        (last * 1000, last * 1000),
        (None, None),
        (None, None),
    ]
    # The lines show them, too, whatever the system can say of them.
    done = run("--stats", "-r", path, *way)
    assert done.returncode == 0
    assert b"18446744073709551615.000000" in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_captures_without_packets(tmp_path, way):
    empty = {"packets": 0, "bytes": 0, "first_ns": None, "last_ns": None}
    found = stats("-r", PCAPS / "empty.pcap", *way, "tcp")
    assert found["all"] == found["matched"] == empty
    (only,) = found["interfaces"]
    assert (only["all"], only["section"], only["interface"]) == (empty, 0, 0)
    bare = tmp_path / "bare.pcapng"
    bare.write_bytes(section())
    assert stats("-r", bare, *way)["interfaces"] == []
    done = run("-r", bare, *way, "--stats")
    assert done.stdout.decode().splitlines() == [
        "       packets  bytes  first  last  seconds",
        "total of 0 interfaces",
        "  all        0      0  -      -           -",
    ]


def test_what_cannot_be_read_is_left_out(tmp_path):
    found = stats("-r", tmp_path / "missing", "-r", ETHERNET, status=1)
    assert [each["file"] for each in found["interfaces"]] == [str(ETHERNET)]
    assert stats("-r", tmp_path / "missing", status=1)["interfaces"] == []


def test_a_file_that_is_given_twice(tmp_path):
    found = stats("-r", ETHERNET, "-r", ETHERNET, "tcp")
    (only,) = found["interfaces"]
    assert only["all"]["packets"] == 44
    assert only["matched"]["packets"] == 10


@pytest.mark.parametrize("way", WAYS)
def test_with_what_else_is_asked_for(tmp_path, way):
    """Beside --count and -w nothing changes."""
    out = tmp_path / "out.pcapng"
    alone = run("--stats", "-r", MIXED, *way, "udp")
    counted = run("--stats", "--count", "-r", MIXED, *way, "udp")
    assert counted.stdout == b"10 packets\n" + alone.stdout
    written = run("--stats", "-w", out, "-r", MIXED, *way, "udp")
    assert (written.returncode, written.stdout) == (0, alone.stdout)
    kept = stats("-r", out, *way)
    assert kept["all"] == stats("-r", MIXED, *way, "udp")["matched"]
    plain = tmp_path / "plain.pcapng"
    assert run("-w", plain, "-r", MIXED, "udp").returncode == 0
    assert plain.read_bytes() == out.read_bytes()


def test_usage():
    for arguments, said in (
        (["--json", "tcp"], "--json needs --stats"),
        (["--json", "--stats", "--count"], "--json has the number of --count in it"),
        (["--stats", "-w", "-"], "would both write to standard output"),
    ):
        assert said in in_process.refused("filter", "-r", ETHERNET, *arguments), arguments


def test_the_table(monkeypatch):
    """Columns stand under each other, link types have names, times are as those of packets."""
    monkeypatch.setenv("TZ", "UTC")
    lines = run("--stats", "-r", MIXED, "tcp").stdout.decode().splitlines()
    titles = (
        f"{MIXED} interface 0, EN10MB (Ethernet)",
        f"{MIXED} interface 1, RAW (Raw IPv4/IPv6)",
        f"{MIXED} section 2, interface 0, EN10MB (Ethernet)",
        "total of 3 interfaces",
    )
    cells = (
        ("all", 22, 1506, "123456789", "144477810", "021021021"),
        ("matched", 5, 322, "123456789", "133466799", "010010010"),
        ("all", 15, 916, "123457   ", "137471   ", "014014"),
        ("matched", 5, 252, "123457   ", "133467   ", "010010"),
        ("all", 6, 382, "000000   ", "004882   ", "004882"),
        ("matched", 4, 248, "000000   ", "002929   ", "002929"),
        ("all", 43, 2804, "000000000", "144477810", "144477810"),
        ("matched", 14, 822, "000000000", "133467000", "133467000"),
    )
    second = "2023-11-14 22:13:20"
    rows = [
        f"  {name:7}  {packets:7}  {size:5}  {second}.{first}  {second}.{last}  "
        + f"0.{seconds}".rjust(11)
        for name, packets, size, first, last, seconds in cells
    ]
    assert lines[0].split() == ["packets", "bytes", "first", "last", "seconds"]
    assert lines[1::3] == list(titles)
    assert [line for number, line in enumerate(lines) if number % 3 != 1][1:] == rows
    for word, end in (("packets", 18), ("bytes", 25), ("seconds", len(rows[0]))):
        assert lines[0].index(word) + len(word) == end
    for word in ("first", "last"):
        assert lines[0].index(word) in {27, 58}


def test_times_of_the_table_are_those_of_the_lines(monkeypatch):
    """In the local time, with the file's precision."""
    monkeypatch.setenv("TZ", "EST5")
    for name in ("ethernet", "ethernet-nanoseconds", "ethernet-big-endian"):
        path = PCAPS / f"{name}.pcap"
        lines = run("-r", path).stdout.decode().splitlines()
        first, last = (" ".join(lines[index].split()[:2]) for index in (0, -1))
        shown = run("--stats", "-r", path).stdout.decode()
        assert f"  {first}  {last}  " in shown, name
        assert "matched" not in shown


def test_a_large_capture_is_aligned(tmp_path):
    """Numbers of any length stand under their titles."""
    path = tmp_path / "in.pcap"
    packets = [(second, 5, bytes(60_000), 60_000) for second in range(300)]
    path.write_bytes(pcap(packets, magic=NANOSECONDS))
    (head, _, everything, matched) = run("--stats", "-r", path, "ip").stdout.decode().splitlines()
    assert everything.split()[:3] == ["all", "300", "18000000"]
    assert matched.split() == ["matched", "0", "0", "-", "-", "-"]
    assert head.index("bytes") + len("bytes") == everything.index("18000000") + len("18000000")
    assert head.rstrip().endswith("seconds")
    assert everything.endswith("  299.000000000")
    assert len(head) == len(everything) == len(matched)


def test_names_that_are_no_text(tmp_path):
    """A file may be called anything."""
    name = b"\xff\xe4\n.pcap".decode(errors="surrogateescape")
    path = tmp_path / name
    path.write_bytes(ETHERNET.read_bytes())
    done = run("--stats", "-r", path, "tcp")
    assert done.returncode == 0, done.stderr
    assert b"EN10MB" in done.stdout
    assert stats("-r", path)["interfaces"][0]["file"] == str(path)


def test_link_types_without_a_name(tmp_path):
    """Packets of such a type are an error, but an interface is none."""
    path = tmp_path / "in.pcapng"
    path.write_bytes(section() + interface(linktype=60_000) + interface() + enhanced(number=1))
    for way in WAYS:
        shown = run("--stats", "-r", path, *way).stdout.decode()
        assert "interface 0, link type 60000\n" in shown
        assert stats("-r", path, *way)["interfaces"][0]["link_type"] == "60000"


def test_compressed_and_standard_input(tmp_path):
    content = MIXED.read_bytes()
    path = tmp_path / "in"
    path.write_bytes(bz2.compress(content))
    wanted = stats("-r", MIXED, "tcp")
    for way in WAYS:
        found = stats("-r", path, *way, "tcp")
        assert found["all"] == wanted["all"]
        assert [each["matched"] for each in found["interfaces"]] == [
            each["matched"] for each in wanted["interfaces"]
        ]
        done = run("--stats", "--json", "-r", "-", *way, "tcp", stdin=content)
        assert json.loads(done.stdout)["matched"] == wanted["matched"]


def test_without_llvm(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    wanted = stats("--engine", "interp", "-r", MIXED, "tcp")
    done = run("--stats", "--json", "--engine", "native", "-r", MIXED, "tcp")
    assert json.loads(done.stdout) == wanted
    assert b"no native code" in done.stderr


def test_a_rate_of_many_packets_only(tmp_path):
    """The last line tells millions of packets a second, from 100,000 packets on."""
    for packets, has_rate in ((99_999, False), (100_000, True)):
        path = tmp_path / str(packets)
        path.write_bytes(pcap([(1, 1, b"", 0)], magic=MICROSECONDS) + bytes(16) * (packets - 1))
        done = run("--count", "--engine", "native", "-r", path)
        assert done.stdout == f"{packets} packets\n".encode()
        assert (b" Mpps" in done.stderr) == has_rate, done.stderr
