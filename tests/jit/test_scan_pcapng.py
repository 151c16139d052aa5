"""Native scans of pcapng files come to what the interpreter comes to, in every regard."""

from __future__ import annotations

import random
import struct
from collections import Counter
from itertools import product

import pytest

import pfcompile
from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.limits import LARGEST_BLOCK, MAXIMUM_INTERFACES
from pfcompile.captures.formats.records import (
    Interface,
    OtherBlock,
    PcapDialect,
    PcapHeader,
    Record,
)
from pfcompile.captures.writer import MICROSECONDS
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.facts.link_types import KNOWN_DLTS, dlt_of_linktype
from tests.captures.capture_building import (
    END,
    block,
    damage,
    enhanced,
    interface,
    obsolete,
    option,
    parse,
    pcapng_parts,
    records,
    section,
    simple,
)
from tests.captures.random_captures import LINKTYPES, random_blocks, random_pcapng
from tests.generator.seed import SEED, rerun
from tests.jit import scanning
from tests.jit.scanning import Filter, agree
from tests.shared_captures import CAPTURES, FOLDER

RERUN = rerun("tests/jit/test_scan_pcapng.py")
FILES = 150
MUTATIONS = 2000
PACKET_KINDS = {pcapng.ENHANCED_PACKET, pcapng.SIMPLE_PACKET, pcapng.OBSOLETE_PACKET}


def has_bits(bits: int) -> tuple[Instruction, ...]:
    """Return a program that wants some of these bits in the first byte."""
    return (
        Instruction(Op.LD_B_ABS, 0, 0, 0),
        Instruction(Op.JSET_K, 0, 1, bits),
        Instruction(Op.RET_K, 0, 0, 65535),
        Instruction(Op.RET_K, 0, 0, 0),
    )


ODD = has_bits(1)
ODD_FIRST = Filter(ODD)


@pytest.fixture(scope="module")
def bits() -> Filter:
    """A filter that is another for each link type."""
    dlts = map(dlt_of_linktype, LINKTYPES)
    return Filter(ODD, {dlt: has_bits(1 << number) for number, dlt in enumerate(dlts)})


def kinds_in(content: bytes) -> Counter[int]:
    """Return how many packets of each block type a capture has that the interpreter finds."""
    found: Counter[int] = Counter()
    order = "<"
    for item in parse(content)[0]:
        order = getattr(item, "byte_order", order)
        if isinstance(item, Record):
            found[struct.unpack_from(f"{order}I", item.raw)[0]] += 1
    return found


def test_random_files(bits):
    """`agree` holds that the native side has been given no packet but through its blocks."""
    kinds, orders, interfaces, matched, packets = Counter(), Counter(), Counter(), 0, 0
    for number in range(FILES):
        rng = random.Random(f"pcapng-{SEED}-{number}")
        content = random_pcapng(rng, rng.choice((1, 5, 40, 200)))
        size = rng.choice((1, 64, 1000, 4096, 1 << 18))
        ahead = rng.choice((0, 1, 100, 5000, 1 << 20))
        outcome = agree(bits, content, f"file {number}\n{RERUN}", block_size=size, ahead=ahead)
        assert outcome.error is None
        found = kinds_in(content)
        assert sum(found.values()) == outcome.packets
        kinds += found
        orders[
            len({each.byte_order for each in parse(content)[0] if hasattr(each, "byte_order")})
        ] += 1
        for each in outcome.extents:
            interfaces["all" if each.everything.packets else "none"] += 1
            interfaces["untimed"] += bool(each.everything.packets) and each.everything.first is None
        matched += outcome.matched
        packets += outcome.packets
    assert set(kinds) == PACKET_KINDS
    assert min(kinds.values()) > packets // 10
    assert packets // 5 < matched < packets * 4 // 5
    assert orders[1] > 10
    assert orders[2] > 10
    assert min(interfaces["all"], interfaces["none"], interfaces["untimed"]) > 20


@pytest.mark.parametrize("kind", ["enhanced", "simple", "obsolete"])
@pytest.mark.parametrize("order", "<>")
def test_each_kind_alone(kind, order):
    """Each goes through native code, with options behind the packet and without."""
    start = section(order) + interface(order, snaplen=0)
    made = {
        "enhanced": lambda n, behind: enhanced(order, 0, n, bytes([n]) * n, 1000 + n, behind),
        "obsolete": lambda n, behind: obsolete(order, 0, n, bytes([n]) * n, 1000 + n, behind),
        "simple": lambda n, _: simple(order, bytes([n]) * n),
    }[kind]
    options = option(order, 1, b"hello") + END
    content = start + b"".join(made(n, n % 2 * options) for n in range(256))
    for size in (100, 1 << 18):
        outcome = agree(ODD_FIRST, content, f"{kind} {order}", block_size=size)
        assert (outcome.packets, outcome.matched) == (256, 128)


@pytest.mark.parametrize("keep", [True, False])
def test_blocks_without_packets_are_passed_over_natively(keep, monkeypatch):
    """But for those before the first packet, and those that must not be copied."""
    kinds = (4, 5, 10, 0xBAD, 0x80000001)
    others = [block("<", kind, bytes(4 * n)) for n, kind in enumerate(kinds)]
    parts = [section(), interface(), others[0], enhanced(data=b"\x01")]
    for number in range(50):
        parts += [others[number % 5], enhanced(data=bytes([number]))]
    parts += [block("<", pcapng.CUSTOM_BLOCK_NOT_COPIED, bytes(4)), others[1]]
    content = b"".join(parts)
    agree(ODD_FIRST, content, "others")
    seen = []
    monkeypatch.setattr(scanning._CollectedRuns, "write", lambda _, item: seen.append(item))
    outcome = ODD_FIRST.native(content, keep=keep)
    assert (outcome.packets, outcome.matched) == (51, 26)
    found = [item.kind for item in seen if isinstance(item, OtherBlock)]
    assert found == [kinds[0], pcapng.CUSTOM_BLOCK_NOT_COPIED]


def test_simple_packets_are_cut():
    """At the snaplen of the first interface, whichever there are beside it; 0 is no limit."""
    program = (Instruction(Op.LD_B_ABS, 0, 0, 5), Instruction(Op.RET_K, 0, 0, 1))
    data = bytes(range(8))
    for snaplen, expected in ((0, 8), (1, 1), (5, 5), (6, 6), (8, 8), (0xFFFFFFFF, 8)):
        content = section() + interface(snaplen=snaplen) + interface(snaplen=2)
        content += simple(data=data) + simple(data=data[: snaplen or 8], wire=8)
        outcome = agree(Filter(program), content, f"snaplen {snaplen}")
        assert outcome.error is None
        assert (outcome.packets, outcome.bytes) == (2, 2 * expected)
        assert outcome.matched == (2 if expected > 5 else 0)
    # A length on the wire beyond what 31 bits can say is cut like any other.
    content = section() + interface(snaplen=4) + simple(data=b"abcd", wire=0xFFFFFFFF)
    assert agree(ODD_FIRST, content, "huge").bytes == 4


def test_interfaces_described_late():
    """Between packets, after packets that could not have been theirs, and never used."""
    parts = [section(), interface(linktype=1, snaplen=0)]
    for number in range(1, 200):
        parts += [enhanced(number=number - 1, ticks=number, data=b"\x01abc")]
        parts += [interface(linktype=LINKTYPES[number % 5], snaplen=number)]
        parts += [simple(data=b"\x03abc")] * (number % 3)
    content = b"".join(parts)
    for size in (64, 1 << 18):
        outcome = agree(ODD_FIRST, content, "late", block_size=size)
        assert (outcome.packets, outcome.error) == (199 + 199, None)
        assert len(outcome.extents) == 200
        assert [each.everything.packets for each in outcome.extents] == [200, *[1] * 198, 0]


def test_an_interface_that_comes_too_late():
    content = section() + interface() + enhanced(data=b"\x01") + enhanced(number=1) + interface()
    outcome = agree(ODD_FIRST, content, "too late")
    assert outcome.packets == 1
    assert "no interface description block" in outcome.error


def test_sections_of_both_orders(bits):
    """Each forgets the interfaces of the one before; words in the other order mean nothing."""
    parts = []
    for number in range(40):
        order = "<>"[number // 2 % 2]
        parts += [section(order), interface(order, LINKTYPES[number % 5], number % 7)]
        parts += [enhanced(order, ticks=number, data=bytes([1 << number % 5])), simple(order, b"")]
        parts += [interface(order, LINKTYPES[(number + 1) % 5])] * (number % 3)
    outcome = agree(bits, b"".join(parts), "sections")
    assert (outcome.packets, outcome.matched) == (80, 40)
    assert {each.section for each in outcome.extents} == set(range(1, 41))


def test_extents_have_exact_times():
    """At both ends of what 64 bits can say, in every unit, and behind an offset."""
    ends = [0, 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]
    for resolution, offset in product((None, 0, 9, 19, 0x80, 0xBF), (0, -(1 << 63), (1 << 63) - 1)):
        options = b"" if resolution is None else option("<", 9, bytes([resolution]))
        options += option("<", 14, struct.pack("<q", offset))
        for first, last in product(ends, ends):
            content = section() + interface(options=options)
            content += enhanced(ticks=first, data=b"\x01") + enhanced(ticks=last, data=b"\x02")
            (extent,) = agree(ODD_FIRST, content, f"{resolution} {offset}").extents
            assert extent.everything.first <= extent.everything.last
            assert extent.matched.first == extent.matched.last


def test_many_interfaces():
    """As many as there can be; one more is damage."""
    described = interface(linktype=1) * MAXIMUM_INTERFACES
    packets = b"".join(
        enhanced(number=number, ticks=number, data=bytes([number % 251]))
        for number in (*range(0, MAXIMUM_INTERFACES, 997), MAXIMUM_INTERFACES - 1)
    )
    content = section() + described + packets
    outcome = agree(ODD_FIRST, content, "many")
    assert outcome.error is None
    assert outcome.packets == -(-MAXIMUM_INTERFACES // 997) + 1
    outcome = agree(ODD_FIRST, content + interface(), "more")
    assert "more than 65536 interfaces" in outcome.error


def test_any_block_size(bits):
    content = random_pcapng(random.Random(f"pcapng-blocks-{SEED}"), 60)
    whole = bits.interpreted(content)
    assert whole.error is None
    assert whole.packets == 60
    for size in (*range(1, 200), 1500, 1532, 4095, 4096, 4097, 1 << 20):
        for ahead in (0, 300, 1 << 20):
            assert bits.native(content, block_size=size, ahead=ahead) == whole, (size, RERUN)


def test_packets_longer_than_blocks():
    parts = [section(), interface(snaplen=0)]
    for number in range(4):
        data = bytes([number]) * 200_000
        parts += [enhanced(data=data), simple(data=data), obsolete(data=data)]
    outcome = agree(ODD_FIRST, b"".join(parts), "long packets", block_size=4096)
    assert (outcome.packets, outcome.matched) == (12, 6)


def test_the_longest_block():
    most = LARGEST_BLOCK - 32
    content = section() + interface(snaplen=0) + enhanced(data=b"\x01" * most)
    assert agree(ODD_FIRST, content, "longest").matched_bytes == most
    outcome = agree(ODD_FIRST, content + enhanced(data=bytes(most + 4)), "longer")
    assert outcome.packets == 1
    assert "bigger than maximum" in outcome.error


def test_cut_at_every_byte(bits):
    rng = random.Random(f"pcapng-cuts-{SEED}")
    parts = pcapng_parts() + random_blocks(rng, 20, lengths=(0, 3, 14, 40))
    content = b"".join(parts)
    assert bits.interpreted(content).error is None
    errors = set()
    for size in range(len(content) + 1):
        note = f"cut at {size}\n{RERUN}"
        outcome = agree(bits, content[:size], note, block_size=(64, 1 << 18)[size % 2])
        errors.add(outcome.error)
    assert len(errors) > len(content) * 9 // 10
    assert None in errors


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_limits(bits, limit):
    """Across sections, too: what one has found counts in the next."""
    content = random_pcapng(random.Random(f"pcapng-limits-{SEED}"), 60, sections=6)
    for size in (100, 5000, 1 << 18):
        outcome = agree(bits, content, f"{size}\n{RERUN}", limit=limit, block_size=size)
        assert outcome.matched == min(limit, bits.interpreted(content).matched)


def test_counting_only(bits):
    content = random_pcapng(random.Random(f"pcapng-counts-{SEED}"), 300)
    for size, ahead in product((100, 5000, 1 << 18), (0, 300, 1 << 20)):
        counted = bits.native(content, keep=False, block_size=size, ahead=ahead)
        kept = bits.interpreted(content)
        assert counted._replace(kept=b"") == kept._replace(kept=b""), (size, ahead, RERUN)
        assert 50 < kept.matched < 250


def test_damaged_files(bits):
    sources = [b"".join(pcapng_parts())]
    sources += [
        random_pcapng(random.Random(f"pcapng-damage-{SEED}-{number}"), 30, lengths=(0, 3, 14, 90))
        for number in range(4)
    ]
    broken = kept = later = 0
    for number in range(MUTATIONS):
        rng = random.Random(f"pcapng-{SEED}-{number}")
        content = damage(rng.choice(sources), rng)
        note = f"mutation {number}: {content[:80].hex()}...\n{RERUN}"
        outcome = agree(
            bits,
            content,
            note,
            block_size=rng.choice((50, 4096, 1 << 18)),
            ahead=rng.choice((0, 5000)),
        )
        broken += outcome.error is not None
        kept += outcome.matched > 0
        later += outcome.error is not None and outcome.matched > 3
    assert broken > MUTATIONS // 3
    assert kept > MUTATIONS // 2
    assert later > MUTATIONS // 10


LENGTHS = (0, 3, 4, 11, 12, 13, 15, 16, 20, 28, 31, 32, 33, 34, 36, 40, 60, 1 << 24)
HUGE = ((1 << 24) + 4, 0x7FFFFFFC, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFC, 0xFFFFFFFF)
PACKETS = {
    "enhanced": lambda order: enhanced(order, 0, 5, b"\x01bcdefg"),
    "obsolete": lambda order: obsolete(order, 0, 5, b"\x01bcdefg"),
    "simple": lambda order: simple(order, b"\x01bcdefg"),
    "statistics": lambda order: block(order, 5, bytes(12)),
    "interface": lambda order: interface(order, 101),
}
WORDS = {"length": 4, "length again": -4, "captured": 20, "wire": 24, "simple wire": 8}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", PACKETS)
@pytest.mark.parametrize("words", [("length",), ("length again",), ("length", "length again")])
def test_block_lengths(kind, order, words):
    """With every length in the first word, in the last, and in both, where a block follows."""
    start = section(order) + interface(order, snaplen=0) + enhanced(order, data=b"\x01")
    good = PACKETS[kind](order)
    errors = 0
    for length in (*LENGTHS, *HUGE, len(good)):
        bad = bytearray(good)
        for word in words:
            place = WORDS[word] % len(bad)
            struct.pack_into(f"{order}I", bad, place, length)
        for behind in (b"", good, good * 9, bytes(100), b"\xff" * 100):
            outcome = agree(ODD_FIRST, start + bytes(bad) + behind, f"{kind} {words} {length}")
            assert outcome.packets >= 1
            errors += outcome.error is not None
    assert errors > 50


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["enhanced", "obsolete", "simple"])
def test_captured_lengths(kind, order):
    """Up to what the block has room for, one more, and what wraps at 32 bits."""
    good = PACKETS[kind](order)
    place = WORDS["simple wire" if kind == "simple" else "captured"]
    for snaplen in (0, 4, 8, 9):
        start = section(order) + interface(order, snaplen=snaplen)
        outcomes = {}
        for captured in (*range(12), 0xFFFF, *HUGE, *(0xFFFFFFFF - n for n in range(40))):
            bad = bytearray(good)
            struct.pack_into(f"{order}I", bad, place, captured)
            content = start + bytes(bad) + good
            outcomes[captured] = agree(ODD_FIRST, content, f"{kind} {captured} {snaplen}")
        cut = kind == "simple" and 0 < snaplen <= 8
        for captured, outcome in outcomes.items():
            assert (outcome.error is None) == (captured <= 8 or cut), captured
    # Options behind the packet are room for it, too; the end of the block is not.
    if kind != "simple":
        made = enhanced if kind == "enhanced" else obsolete
        good = made(order, 0, 5, b"\x01bcdefg", None, option(order, 1, b"abc") + END)
        for captured in range(8, 24):
            bad = bytearray(good)
            struct.pack_into(f"{order}I", bad, place, captured)
            outcome = agree(ODD_FIRST, start + bytes(bad) + good, f"{kind} {captured}")
            assert (outcome.error is None) == (captured <= 20)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["enhanced", "obsolete"])
@pytest.mark.parametrize("interfaces", [0, 1, 3])
def test_interface_numbers(kind, order, interfaces):
    made = enhanced if kind == "enhanced" else obsolete
    numbers = [0, 1, 2, 3, 4, 255, 256, 65534, 65535]
    if kind == "enhanced":
        numbers += [65536, 0x10000, 0x00010001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    for number in numbers:
        content = section(order) + interface(order) * interfaces + made(order, number, 5, b"\x01")
        outcome = agree(ODD_FIRST, content, f"{kind} {number}")
        assert (outcome.error is None) == (number < interfaces)
        assert outcome.matched == (number < interfaces)


def test_packets_before_any_interface_or_section():
    for first in (enhanced(), simple(), obsolete()):
        outcome = agree(ODD_FIRST, section() + first, "no interface")
        assert "no interface description block" in outcome.error
        # The section's own are meant, not those of the section before.
        content = section() + interface() + first + section() + first
        outcome = agree(ODD_FIRST, content, "no interface in the second section")
        assert (outcome.packets, "no interface" in outcome.error) == (1, True)


def test_link_types_that_do_not_exist():
    """A packet of theirs is an error; without packets they are none."""
    content = section() + interface() + interface(linktype=9999) + enhanced(data=b"\x01")
    assert agree(ODD_FIRST, content, "unused").error is None
    outcome = agree(ODD_FIRST, content + enhanced(number=1), "used")
    assert (outcome.packets, outcome.matched) == (1, 1)
    assert "unknown data link type 9999" in outcome.error


@pytest.fixture(scope="module")
def filters():
    """Filters by link type (DLT value) for the shared captures, made when first asked for."""
    made: dict[int, Filter] = {}

    def find(dlt: int) -> Filter:
        if dlt not in made:
            try:
                program = pfcompile.compile("tcp or udp", dlt).instructions
            except pfcompile.FilterError:
                program = ODD
            made[dlt] = Filter(program)
        return made[dlt]

    return find


@pytest.mark.skipif(not CAPTURES, reason=f"{FOLDER} is missing")
def test_shared_pcapng_captures(filters):
    kinds, files = Counter(), 0
    for path in CAPTURES:
        content = path.read_bytes()
        if content[:4] != pcapng.SECTION_START:
            continue
        files += 1
        for each in (filters(1), ODD_FIRST):
            outcome = agree(each, content, path.name)
        kinds += kinds_in(content)
        assert sum(kinds_in(content).values()) == outcome.packets
    assert files > 3
    assert kinds[pcapng.ENHANCED_PACKET] > 10


@pytest.mark.skipif(not CAPTURES, reason=f"{FOLDER} is missing")
def test_shared_captures_converted(filters):
    """Each pcap file as pcapng and as pcap, both in both byte orders: the same packets match."""
    files = packets = matched = 0
    for path in CAPTURES:
        items, _ = parse(path.read_bytes())
        if not items or not isinstance(items[0], PcapHeader):
            continue
        header = items[0].interface
        if header.dlt not in KNOWN_DLTS:
            continue
        each, found = filters(header.dlt), records(items)
        outcomes = set()
        for order in "<>":
            for content in (as_pcapng(header, found, order), as_pcap(header, found, order)):
                outcome = agree(each, content, f"{path.name} {order}")
                assert outcome.error is None
                outcomes.add((outcome[:4], times_of(outcome)))
        (((count, _, matches, _), _),) = outcomes
        assert count == len(found)
        files += 1
        packets += count
        matched += matches
    assert files > 300
    assert packets // 20 < matched < packets


def times_of(outcome):
    (extent,) = outcome.extents
    return tuple((each.first, each.last) for each in (extent.everything, extent.matched))


def as_pcapng(header: Interface, found: list[Record], order: str) -> bytes:
    parts = [
        pcapng.encode_section(order),
        pcapng.encode_interface(header.linktype, header.snaplen, decimals=6, byte_order=order),
    ]
    parts += [
        pcapng.encode_packet(0, each.timestamp_ns // 1000, each.data, each.wire_length, order)
        for each in found
    ]
    return b"".join(parts)


def as_pcap(header: Interface, found: list[Record], order: str) -> bytes:
    dialect = PcapDialect(MICROSECONDS.magic, order, 1_000_000, 0, pcap.CAPTURED_FIRST)
    parts = [pcap.encode_header(dialect, header.linktype, header.snaplen)]
    # Seconds that are no longer than 32 bits: those of the file may carry.
    parts += [
        pcap.encode_record(dialect, each.timestamp_ns % (10**9 << 32), each.data, each.wire_length)
        for each in found
    ]
    return b"".join(parts)
