from __future__ import annotations

import struct
from io import BytesIO

import pytest
from capture_building import (
    END,
    KUZNETZOV,
    MICROSECONDS,
    NANOSECONDS,
    PACKETS,
    enhanced,
    interface,
    obsolete,
    option,
    parse,
    pcap,
    pcapng,
    records,
    section,
    simple,
)

from pfcompile.captures.formats.limits import LARGEST_BLOCK, MAXIMUM_SNAPLEN
from pfcompile.captures.formats.pcapng import without_length
from pfcompile.captures.formats.records import (
    InterfaceBlock,
    OtherBlock,
    PcapHeader,
    Record,
    Section,
)
from pfcompile.captures.reader import read_records
from pfcompile.captures.sources.window import Window
from pfcompile.errors import CaptureError

ORDERS = ("<", ">")
BLOCK_SIZES = (1, 7, 64, 4096)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS, KUZNETZOV])
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_every_pcap_form(order, magic, block_size):
    content = pcap(magic=magic, order=order, link_word=101, snaplen=96)
    items, error = parse(content, block_size)
    assert error is None
    header, *found = items
    assert isinstance(header, PcapHeader)
    assert header.interface.linktype == 101
    assert header.interface.dlt == 12  # LINKTYPE_RAW is not DLT_RAW's number
    assert header.interface.snaplen == 96
    unit = 1 if magic == NANOSECONDS else 1000
    assert [(r.timestamp_ns, r.data, r.wire_length) for r in records(found)] == [
        (seconds * 10**9 + ticks * unit, data, wire) for seconds, ticks, data, wire in PACKETS
    ]
    assert header.raw + b"".join(r.raw for r in records(found)) == content
    assert [content.index(bytes(r.raw)) for r in records(found)] == [r.offset for r in found]


def test_the_upper_half_of_the_link_type_is_masked():
    items, _ = parse(pcap(link_word=0x5400_0001 | 0x03FF_0000))
    assert items[0].interface.linktype == 1


@pytest.mark.parametrize(
    ("version", "words", "captured", "wire"),
    [
        ((2, 4), (3, 9), 3, 9),
        ((2, 2), (9, 3), 3, 9),
        ((2, 3), (9, 3), 3, 9),
        ((2, 3), (3, 9), 3, 9),
        ((543, 0), (9, 3), 3, 9),
    ],
)
def test_old_versions_swap_lengths(version, words, captured, wire):
    content = pcap([], version=version) + struct.pack("<4I", 1, 2, *words) + b"abc"
    items, error = parse(content)
    assert error is None
    (record,) = records(items)
    assert (len(record.data), record.wire_length) == (captured, wire)


@pytest.mark.parametrize("version", [(1, 0), (2, 5), (3, 4), (4, 2)])
def test_unknown_pcap_versions(version):
    items, error = parse(pcap(version=version))
    assert items == []
    assert "version" in error.message
    assert error.offset == 0


@pytest.mark.parametrize(
    ("linktype", "longest"), [(1, 262_144), (189, 1 << 20), (279, 8 << 20), (231, 16 << 20)]
)
def test_longest_pcap_record(linktype, longest):
    header = pcap([], link_word=linktype)
    items, error = parse(header + struct.pack("<4I", 0, 0, longest, longest) + bytes(longest))
    assert error is None
    assert len(records(items)[0].data) == longest
    items, error = parse(header + struct.pack("<4I", 0, 0, longest + 1, 0) + bytes(longest + 1))
    assert records(items) == []
    assert error.offset == 24
    assert str(longest + 1) in error.message


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"", "cut short"),
        (b"\xd4\xc3", "cut short"),
        (b"\x1f\x8b\x08\x00 and more", "gzip"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"snoop\0\0\0", "snoop"),
        (b"GET / HTTP/1.1", "47 45 54 20"),
    ],
)
def test_what_is_no_capture(start, word):
    items, error = parse(start)
    assert items == []
    assert word in error.message
    assert (error.path, error.offset) == ("made", 0)


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_every_pcapng_block(block_size):
    content = pcapng()
    items, error = parse(content, block_size)
    assert error is None
    assert b"".join(bytes(item.raw) for item in items) == content
    assert [type(item) for item in items] == [
        Section,
        InterfaceBlock,
        OtherBlock,
        Record,
        InterfaceBlock,
        Record,
        Record,
        Record,
        OtherBlock,
        OtherBlock,
        OtherBlock,
        Section,
        InterfaceBlock,
        Record,
        Record,
    ]
    assert [item.kind for item in items if isinstance(item, OtherBlock)] == [4, 5, 10, 0x80000001]
    assert [
        (r.timestamp_ns, r.data, r.wire_length, r.interface.index, r.interface.dlt)
        for r in records(items)
    ] == [
        (1_700_000_000_123_456_789, bytes(range(61)), 1514, 0, 1),
        (1_700_000_000_123_456_000, b"\x45abc", 4, 1, 12),
        (0, b"four", 4, 0, 1),
        (1_700_000_001_000_000_000, b"old", 3, 1, 12),
        (0, b"abc", 1000, 0, 113),  # cut by the interface's snapshot length
        (1_500_000_000, b"e" * 33, 33, 0, 113),  # 2.5 s in 1/1024 s, one second earlier
    ]
    for record in records(items):
        assert content[record.offset : record.offset + len(record.raw)] == record.raw


@pytest.mark.parametrize(
    ("resolution", "ticks_per_second"),
    [(0, 1), (3, 1000), (6, 10**6), (9, 10**9), (19, 10**19), (0x80, 1), (0xBF, 2**63)],
)
def test_timestamp_resolutions(resolution, ticks_per_second):
    described = interface(options=option("<", 9, bytes([resolution])))
    ticks = (1 << 64) - 1
    items, error = parse(section() + described + enhanced(ticks=ticks))
    assert error is None
    assert records(items)[0].timestamp_ns == ticks * 10**9 // ticks_per_second


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (section(version=(2, 0)), "version"),
        (section()[:8] + bytes(4) + section()[12:], "byte-order magic"),
        (section() + enhanced(), "interface 0"),
        (section() + simple(data=b"abcd"), "interface 0"),
        (section() + interface() + enhanced(number=1), "interface 1"),
        (section() + interface() + obsolete(number=2), "interface 2"),
        (section() + interface() + section() + enhanced(), "interface 0"),
        (section() + interface() + simple(data=b"abcd", wire=5), "capture length 5"),
        (section() + interface(options=option("<", 9, b"\x14")), "10^-20"),
        (section() + interface(options=option("<", 9, b"\xc0")), "2^-64"),
        (section() + interface(options=option("<", 9, b"\x06\x06")), "if_tsresol"),
        (section() + interface(options=option("<", 14, b"\x06")), "if_tsoffset"),
        (section() + interface(options=option("<", 9, b"\x06") * 2), "more than once"),
        (section() + interface(options=struct.pack("<2H", 2, 99)), "option 2"),
        (section() + struct.pack("<3I", 7, 8, 8), "less than"),
        (section() + struct.pack("<3I", 7, 13, 13) + bytes(8), "multiple of 4"),
        (section() + struct.pack("<3I", 7, LARGEST_BLOCK + 4, 0), "bigger than"),
        (section() + struct.pack("<5I", 7, 20, 0, 0, 24), "differ"),
    ],
)
def test_blocks_that_contradict_themselves(body, word):
    tail = enhanced(data=b"never seen")
    items, error = parse(body + tail)
    assert word in error.message
    assert error.offset == sum(len(item.raw) for item in items)
    assert records(items) == []


def test_a_captured_length_longer_than_its_block():
    good = enhanced(data=b"abcd")
    bad = bytearray(good)
    bad[20:24] = struct.pack("<I", 5)
    start = section() + interface()
    items, error = parse(start + good + bytes(bad) + good)
    assert len(records(items)) == 1
    assert error.offset == len(start + good)
    assert "capture length 5" in error.message


def test_too_many_interfaces():
    items, error = parse(section() + interface() * 65_537)
    assert "65536 interfaces" in error.message
    assert len(items) == 65_537


def test_options_end_at_their_end():
    described = interface(options=END + option("<", 9, b"\x09\x09"))
    items, error = parse(section() + described + enhanced(ticks=5))
    assert error is None
    assert records(items)[0].timestamp_ns == 5000


@pytest.mark.parametrize("content", [pcap(), pcap(magic=KUZNETZOV, order=">"), pcapng()])
@pytest.mark.parametrize("block_size", [5, 4096])
def test_every_truncation(content, block_size):
    """At every byte: all that is whole, then one error with the offset of what is not."""
    whole, _ = parse(content)
    ends = [0]
    for item in whole:
        ends.append(ends[-1] + len(item.raw))
    for length in range(len(content)):
        items, error = parse(content[:length], block_size)
        complete = sum(end <= length for end in ends) - 1
        assert items == whole[:complete], length
        if length in ends[1:]:
            assert error is None, length
        else:
            assert error is not None, length
            assert (error.path, error.offset) == ("made", ends[complete]), length


def test_stated_section_length_becomes_unstated():
    stated = section(">", length=400, options=option(">", 3, b"Linux") + END)
    assert without_length(stated) == section(">", options=option(">", 3, b"Linux") + END)


class Trickle:
    """A stream that gives a few bytes at a time, cannot be sought, and counts its reads."""

    def __init__(self, content: bytes, step: int) -> None:
        self.inner = BytesIO(content)
        self.step = step

    def read(self, size: int) -> bytes:
        return self.inner.read(min(size, self.step))


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_stream_without_seeking(step):
    for content in (pcap(), pcapng()):
        expected = records(parse(content)[0])
        assert list(read_records(Trickle(content, step), "pipe")) == expected


def test_records_come_before_the_next_read():
    """A live pipe's packets are seen when they come, not a block later."""
    content = pcap()
    reads = []

    class Live:
        def __init__(self) -> None:
            self.inner = BytesIO(content)

        def read(self, _size: int) -> bytes:
            reads.append(len(seen))
            return self.inner.read(17)

    seen = []
    for record in read_records(Live(), "pipe"):
        seen.append(record)  # noqa: PERF402
    assert reads[-1] == len(PACKETS)
    assert 1 in reads


def test_a_read_error_names_its_place():
    class Broken(BytesIO):
        def read1(self, _size: int = -1) -> bytes:
            if self.tell() > 24:
                raise OSError(5, "Input/output error")
            return super().read1(30)

    found = []
    with pytest.raises(CaptureError, match="Input/output error") as caught:
        found.extend(read_records(Broken(pcap()), "disk"))
    assert found == []
    assert caught.value.offset == 30


def test_views_stay_valid_when_the_window_moves():
    content = pcap()
    kept = list(read_records(BytesIO(content), "made", block_size=8))
    assert content[24:] == b"".join(r.raw for r in kept)


def test_an_unlimited_snaplen_is_named_for_the_filter():
    items, _ = parse(section() + interface(snaplen=0) + interface(snaplen=0xFFFFFFFF))
    assert [i.interface.filter_snaplen for i in items[1:]] == [MAXIMUM_SNAPLEN] * 2


def test_window_offsets():
    window = Window(BytesIO(bytes(range(100))), "made", block_size=10)
    assert window.extend(15)
    window.position += 12
    assert window.offset == 12
    assert window.extend(20)
    assert window.offset == 12
    assert window.data[window.position] == 12
    assert window.extend(88)
    assert not window.extend(89)
    assert window.damaged("x", 3).offset == 15
