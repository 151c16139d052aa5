from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from capture_building import (
    KUZNETZOV,
    MICROSECONDS,
    NANOSECONDS,
    PACKETS,
    block,
    enhanced,
    interface,
    parse,
    pcap,
    pcapng,
    records,
    section,
)

from pfcompile.captures import output as output_module
from pfcompile.captures.filtering import (
    Matchers,
    Plan,
    Tally,
    filter_captures,
    filter_file,
    read,
    scan,
)
from pfcompile.captures.formats.pcapng import CUSTOM_BLOCK_NOT_COPIED, without_length
from pfcompile.captures.formats.records import Interface
from pfcompile.captures.output import Output, is_same_file
from pfcompile.captures.writer import (
    Format,
    PcapWriter,
    open_writer,
)
from pfcompile.errors import CaptureError, FilterError


def everything(dlt, snaplen):
    return lambda _packet, _wire_length: 1


def nothing(dlt, snaplen):
    return lambda _packet, _wire_length: 0


def longer_than_3(dlt, snaplen):
    return lambda packet, _wire_length: len(packet) > 3


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS, KUZNETZOV])
@pytest.mark.parametrize("version", [(2, 4), (2, 2), (543, 0)])
def test_pcap_is_kept_byte_for_byte(tmp_path, order, magic, version):
    packets = [(s, t, d, len(d)) for s, t, d, _ in PACKETS]
    content = pcap(packets, magic=magic, order=order, link_word=0x54000001, version=version)
    stats = filter_file(BytesIO(content), tmp_path / "out", everything)
    assert (tmp_path / "out").read_bytes() == content
    size = sum(len(data) for _, _, data, _ in packets)
    assert (stats.packets, stats.matched, stats.bytes, stats.matched_bytes) == (4, 4, size, size)
    assert stats.seconds >= 0


def test_pcap_drops_what_does_not_match(tmp_path):
    stats = filter_file(BytesIO(pcap()), tmp_path / "out", longer_than_3)
    assert (tmp_path / "out").read_bytes() == pcap(PACKETS[:2])
    assert (stats.packets, stats.matched) == (4, 2)
    filter_file(BytesIO(pcap()), tmp_path / "none", nothing)
    assert (tmp_path / "none").read_bytes() == pcap([])


def test_pcapng_is_kept_block_by_block(tmp_path):
    content = pcapng()
    filter_file(BytesIO(content), tmp_path / "out", everything)
    stated = section(">", length=400)
    assert stated in content
    assert (tmp_path / "out").read_bytes() == content.replace(stated, without_length(stated))


def test_pcapng_drops_packets_only(tmp_path):
    filter_file(BytesIO(pcapng()), tmp_path / "out", nothing)
    before, _ = parse(pcapng())
    after, error = parse((tmp_path / "out").read_bytes())
    assert error is None
    assert [type(item) for item in after] == [
        type(item) for item in before if item not in records(before)
    ]


def test_custom_blocks_that_must_not_be_copied(tmp_path):
    kept = block("<", 0xBAD, b"pen.copy")
    left_out = block("<", CUSTOM_BLOCK_NOT_COPIED, b"pen.keep")
    filter_file(BytesIO(section() + kept + left_out), tmp_path / "out", everything)
    assert (tmp_path / "out").read_bytes() == section() + kept


@pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS])
def test_pcap_to_pcapng_and_back(tmp_path, magic):
    content = pcap(magic=magic)
    filter_file(BytesIO(content), tmp_path / "out.pcapng", everything)
    items, error = parse((tmp_path / "out.pcapng").read_bytes())
    assert error is None
    expected = records(parse(content)[0])
    assert [(r.timestamp_ns, r.data, r.wire_length) for r in records(items)] == [
        (r.timestamp_ns, r.data, r.wire_length) for r in expected
    ]
    assert items[1].interface.snaplen == 65535
    filter_file(tmp_path / "out.pcapng", tmp_path / "back.pcap", everything)
    assert (tmp_path / "back.pcap").read_bytes() == content


def test_pcapng_to_pcap_needs_one_link_type(tmp_path):
    out = tmp_path / "out.pcap"
    with pytest.raises(CaptureError, match=r"one link type.*EN10MB.*DLT_RAW.*pcapng") as caught:
        filter_file(BytesIO(pcapng()), out, everything)
    assert caught.value.path == str(out)
    items, error = parse(out.read_bytes())
    assert error is None
    assert len(records(items)) == 1


def test_pcapng_without_packets_to_pcap(tmp_path):
    content = section() + interface(linktype=113, snaplen=77)
    filter_file(BytesIO(content), tmp_path / "out.pcap", everything)
    assert (tmp_path / "out.pcap").read_bytes() == pcap([], link_word=113, snaplen=77)
    filter_file(BytesIO(section()), tmp_path / "bare.pcap", everything)
    assert (tmp_path / "bare.pcap").read_bytes() == pcap([], snaplen=262_144)


def test_what_a_pcap_file_cannot_say(tmp_path):
    late = section() + interface() + enhanced(ticks=(1 << 32) * 10**6)
    with pytest.raises(CaptureError, match="1970 to 2106"):
        filter_file(BytesIO(late), tmp_path / "late.pcap", everything)
    long = section() + interface() + enhanced(data=bytes(262_145))
    with pytest.raises(CaptureError, match="262145; write pcapng"):
        filter_file(BytesIO(long), tmp_path / "long.pcap", everything)


def test_several_inputs_of_every_form(tmp_path):
    """One output, whose form is the first input's; the others are put into it."""
    inputs = [
        pcap(magic=NANOSECONDS, order=">"),
        pcap(),
        section() + interface() + enhanced(ticks=1_700_000_000_000_001, data=b"abcd"),
        pcap(magic=NANOSECONDS, order=">"),
    ]
    for name in ("out.pcap", "out.pcapng"):
        tally = Tally()
        with open_writer(tmp_path / name) as writer:
            filter_captures(
                [BytesIO(each) for each in inputs],
                [writer],
                everything,
                tally=tally,
                on_damage=pytest.fail,
            )
        assert (tally.packets, tally.matched) == (13, 13)
        items, error = parse((tmp_path / name).read_bytes())
        assert error is None
        expected = [r for each in inputs for r in records(parse(each)[0])]
        assert [(r.timestamp_ns, r.data, r.wire_length) for r in records(items)] == [
            (r.timestamp_ns, r.data, r.wire_length) for r in expected
        ]
    assert (tmp_path / "out.pcap").read_bytes().startswith(inputs[0])


def test_later_inputs_follow_a_damaged_one(tmp_path):
    errors = []
    with open_writer(tmp_path / "out") as writer:
        filter_captures(
            [BytesIO(pcap()[:-1]), str(tmp_path / "missing"), BytesIO(pcap())],
            [writer],
            everything,
            tally=Tally(),
            on_damage=errors.append,
        )
    assert [error.offset for error in errors] == [len(pcap()) - 19, None]
    assert (tmp_path / "out").read_bytes() == pcap(PACKETS[:3] + PACKETS)


def test_a_limit_stops_the_run(tmp_path):
    stats = filter_file(BytesIO(pcap()), tmp_path / "out", everything, plan=Plan(limit=2))
    assert (stats.packets, stats.matched) == (2, 2)
    assert (tmp_path / "out").read_bytes() == pcap(PACKETS[:2])


def test_the_filter_is_made_once_for_each_link_type():
    made = []

    def program_for(dlt, snaplen):
        made.append((dlt, snaplen))
        return lambda _packet, _wire_length: dlt == 12

    found = list(read(BytesIO(pcapng() * 2), program_for))
    assert made == [(1, 262_144), (12, 65535), (113, 3)]
    assert [data for _, data in found] == [b"\x45abc", b"old"] * 2


def test_a_bad_expression_is_told_and_destroys_nothing(tmp_path):
    def refuse(dlt, snaplen):
        raise FilterError("syntax error")

    old = tmp_path / "old"
    inputs = [pcap(), pcap([]), pcapng(), section() + interface(), pcapng() + pcapng()]
    for content in inputs:
        old.write_bytes(b"precious")
        with pytest.raises(FilterError):
            filter_file(BytesIO(content), old, refuse)
        assert old.read_bytes() == b"precious"
        with pytest.raises(FilterError):
            list(read(BytesIO(content), refuse))


def test_a_link_type_that_does_not_exist(tmp_path):
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    for content in (pcap(link_word=9999), section() + interface(linktype=9999) + enhanced()):
        with pytest.raises(CaptureError, match="unknown data link type 9999"):
            list(read(BytesIO(content), everything))
        with pytest.raises(CaptureError, match="unknown data link type 9999"):
            filter_file(BytesIO(content), out, everything)
        assert out.read_bytes() == b"precious"


def test_what_was_kept_before_an_error_is_written(tmp_path):
    """The second interface's packets cannot be filtered; the first's have been."""
    start = section() + interface() + interface(linktype=101) + enhanced(data=b"abc")
    content = start + enhanced(number=1, data=b"abc") + enhanced(data=b"never reached")

    def ethernet_only(dlt, snaplen):
        if dlt != 1:
            raise FilterError("not here")
        return everything(dlt, snaplen)

    with pytest.raises(FilterError):
        filter_file(BytesIO(content), tmp_path / "out", ethernet_only)
    assert (tmp_path / "out").read_bytes() == start


def test_an_input_is_never_overwritten(tmp_path):
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap())
    link, hard = tmp_path / "link", tmp_path / "hard"
    link.symlink_to(source)
    hard.hardlink_to(source)
    for name in (source, link, hard, tmp_path / "x" / ".." / "in.pcap"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(CaptureError, match="is the capture that is read"):
            filter_file(source, name, everything)
    assert source.read_bytes() == pcap()
    assert not is_same_file(tmp_path / "other", source)
    assert not is_same_file("/dev/null", "/dev/null")


def test_unreadable_and_unwritable(tmp_path):
    for source in (tmp_path, tmp_path / "missing", "nul\0name"):
        with pytest.raises(CaptureError, match="cannot be opened"):
            filter_file(source, tmp_path / "out", everything)
    with pytest.raises(CaptureError, match="cannot be written"):
        filter_file(BytesIO(pcap()), tmp_path / "no" / "out", everything)
    assert list(tmp_path.iterdir()) == []


def test_a_full_device():
    with pytest.raises(CaptureError, match="No space left") as caught:
        filter_file(BytesIO(pcap()), "/dev/full", everything)
    assert caught.value.path == "/dev/full"


@pytest.mark.parametrize("limit", [10, 24, 60, 1000, 262_144 + 5, 300_000])
def test_a_full_disk_leaves_whole_records(tmp_path, limit):
    """A limit on the file's size stands in for a full disk: writes come back short, then fail."""
    packets = [(1, n, bytes(n % 90), n % 90) for n in range(6000)]
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap(packets))
    script = (
        "import resource, signal, sys\n"
        "from pfcompile.captures.filtering import filter_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "filter_file(sys.argv[1], sys.argv[2], lambda *_: lambda *_: 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, source, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "CaptureError" in done.stderr
    assert "File too large" in done.stderr
    written = (tmp_path / "out").read_bytes()
    assert pcap(packets).startswith(written)
    if limit < 24:
        assert written == b""
    else:
        _, error = parse(written)
        assert error is None
        assert limit - 106 < len(written) <= limit


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_interrupts_leave_whole_records(tmp_path, kind):
    """SIGINT at many moments of a run, to a file and to a slow pipe."""
    packets = [(1, n, bytes(n % 250), n % 250) for n in range(20_000)]
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap(packets))
    script = (
        "import sys\n"
        "from pfcompile.captures.filtering import filter_file\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "try:\n"
        "    while True:\n"
        "        filter_file(sys.argv[1], sys.argv[2], lambda *_: lambda *_: 1)\n"
        "        if sys.argv[2] == '-': break\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    interrupted = 0
    for number in range(12):
        out = tmp_path / "out"
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", script, source, "-" if kind == "pipe" else out],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        taken = []
        process.stderr.readline()

        def take(process=process, taken=taken):
            while part := process.stdout.read1(5000):
                taken.append(part)
                time.sleep(0.0005)

        reader = threading.Thread(target=take)
        reader.start()
        time.sleep(0.01 + 0.013 * number)
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=20)
        reader.join()
        process.stdout.close()
        process.stderr.close()
        assert status in {0, 130}
        interrupted += status == 130
        written = b"".join(taken) if kind == "pipe" else out.read_bytes() if out.exists() else b""
        if written:
            error = parse(written)[1]
            assert error is None, f"interrupt {number}"
            assert pcap(packets).startswith(written)
    assert interrupted > 3


def test_an_interrupt_between_write_and_count(tmp_path, monkeypatch):
    """The moment at which the length that went out is not yet known."""
    real = os.write

    def write_and_interrupt(descriptor, data):
        count = real(descriptor, data[: len(data) // 2 + 1])
        if descriptor == target:
            os.kill(os.getpid(), signal.SIGINT)
        return count

    target = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    os.close(target)  # the next descriptor to be opened has this number again
    monkeypatch.setattr(output_module.os, "write", write_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        filter_file(BytesIO(pcap()), tmp_path / "out", everything)
    assert (tmp_path / "out").read_bytes() == pcap()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_broken_pipe_stays_a_broken_pipe(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    output = Output(fifo)
    output.write(pcap())
    output.flush()
    os.close(reader)
    output.write(pcap()[24:])
    with pytest.raises(BrokenPipeError):
        output.flush()
    output.close()


def test_a_failed_output_takes_no_more():
    output = Output("/dev/full")
    output.write(b"abc")
    with pytest.raises(CaptureError):
        output.flush()
    output.write(b"def")
    output.close()  # nothing is tried again
    output.close()


def test_an_output_error_in_a_flush_before_a_read_is_no_damage():
    """The flush happens inside the reader; its error must not end as the input's."""
    damage = []
    content = pcap([(1, n, bytes(60), 60) for n in range(20_000)])
    with (
        pytest.raises(CaptureError, match="No space left") as caught,
        open_writer("/dev/full") as writer,
    ):
        filter_captures(
            [BytesIO(content)], [writer], everything, tally=Tally(), on_damage=damage.append
        )
    assert caught.value.path == "/dev/full"
    assert damage == []


def test_packets_from_elsewhere(tmp_path):
    """What a live capture needs: packets that come from no file."""
    output = Output(tmp_path / "out.pcap")
    writer = PcapWriter(output)
    ethernet = Interface(0, 1, 65535, 1_000_000_000)
    for seconds, ticks, data, wire in PACKETS:
        writer.write_packet(ethernet, seconds * 10**9 + ticks, data, wire)
    writer.close()
    assert (tmp_path / "out.pcap").read_bytes() == pcap(magic=NANOSECONDS)


def test_scan_is_only_policy():
    """`scan` takes items from anywhere: the part that a native scan will stand in for."""
    taken = []

    class Taker:
        def write(self, item):
            taken.append(item)

        def flush(self):
            pytest.fail("scan does not flush")

    items, _ = parse(pcapng())
    tally = Tally()
    assert scan(items, Matchers(longer_than_3), [Taker()], tally)
    assert taken == [i for i in items if i not in records(items) or len(i.data) > 3]
    assert not scan(items, Matchers(everything), [Taker()], tally, limit=tally.matched + 1)


def test_memory_of_a_long_run(tmp_path):
    """40 MB through, a few MB at a time."""
    source = tmp_path / "in.pcapng"
    with source.open("wb") as stream:
        stream.write(section() + interface())
        packet = enhanced(data=bytes(9000))
        for _ in range(40):
            stream.write(packet * 110)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stats = filter_file(source, tmp_path / "out.pcapng", everything)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert stats.matched == 4400
    assert grown < 16 << 10
    assert (tmp_path / "out.pcapng").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out", Format.PCAP),
        ("out.PCAPNG", Format.PCAPNG),
        ("out.ntar", Format.PCAPNG),
        ("out.pcap", Format.PCAP),
        ("out.cap", Format.PCAP),
    ],
)
def test_the_name_chooses_the_format(tmp_path, name, expected):
    filter_file(BytesIO(pcap()), tmp_path / name, everything)
    start = (tmp_path / name).read_bytes()[:4]
    assert (
        start
        == {Format.PCAP: struct.pack("<I", MICROSECONDS), Format.PCAPNG: b"\n\r\r\n"}[expected]
    )


def test_an_older_file_is_replaced_whole(tmp_path):
    out = Path(tmp_path / "out")
    out.write_bytes(bytes(10_000))
    filter_file(BytesIO(pcap()), out, nothing)
    assert out.read_bytes() == pcap([])
