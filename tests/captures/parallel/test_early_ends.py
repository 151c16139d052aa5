"""Destinations, expressions, native code and files that fail while several threads walk."""

from __future__ import annotations

import ctypes
import gzip
import os
import random
from io import BytesIO

import pytest

from pfcompile.captures.blocks import parallel
from pfcompile.captures.blocks.scans import SLACK
from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.writer import open_writer
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import CaptureError
from pfcompile.files import Engine, Programs
from pfcompile.jit.scan import scanner
from tests.captures.capture_building import enhanced, interface, pcap, section
from tests.captures.parallel.outcomes import (
    REFUSED,
    Taken,
    compare,
    compiled,
    file_of,
    has_bits,
    outcome,
)
from tests.captures.random_captures import DIALECTS, random_pcap
from tests.generator.seed import SEED


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_full_device(tmp_path, cut, jobs):
    source = file_of(tmp_path, random_pcap(random.Random(1), 3000))
    cut(1 << 12)
    for each in (source, BytesIO(source.read_bytes())):
        programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
        with (
            pytest.raises(CaptureError, match="No space left") as caught,
            open_writer("/dev/full") as writer,
        ):
            filter_captures(
                [each] * 3,
                [writer],
                programs,
                tally=Tally(),
                on_damage=pytest.fail,
                plan=Plan(None, jobs, programs.scans),
            )
        assert caught.value.path == "/dev/full"


class EnoughError(Exception):
    """A destination has had enough."""


@pytest.mark.parametrize("kind", [EnoughError, KeyboardInterrupt, CaptureError, OSError])
@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_a_destination_that_fails(tmp_path, cut, kind, after):
    """Wherever that is, all threads end, and no file stays open: the fixture looks."""
    rng = random.Random(f"parallel-fails-{SEED}")
    sources = [file_of(tmp_path, random_pcap(rng, 300), str(number)) for number in range(9)]
    sources.insert(1, file_of(tmp_path, gzip.compress(random_pcap(rng, 3000)), "compressed"))
    cut(1 << 12)
    taken = []

    class Failing(Taken):
        def write_run(self, run, _number):
            if len(taken) == after:
                raise kind("enough", "here")
            taken.append(run)

    programs = Programs([compiled], Engine.NATIVE, complain=pytest.fail)
    with pytest.raises(kind, match="enough"):
        filter_captures(
            sources,
            [Failing()],
            programs,
            tally=Tally(),
            on_damage=pytest.fail,
            plan=Plan(None, 3, programs.scans),
        )
    assert len(taken) == after


def test_an_expression_that_is_wrong_for_the_second_capture(tmp_path, cut):
    """It is told behind all that the first has given, though a thread knows it before."""
    rng = random.Random(f"parallel-refused-{SEED}")
    good = file_of(tmp_path, random_pcap(rng, 300, dialect=DIALECTS[0]), "good")
    bad = [
        file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 1000, link_word=REFUSED), "bad"),
        pcap([(0, 0, b"\x01", 1)], link_word=REFUSED),
        file_of(tmp_path, section() + interface(linktype=REFUSED) + enhanced() * 999, "blocks"),
    ]
    cut(1 << 12)
    for each in bad:
        found = compare([good, each, good], "refused")
        assert found.error is not None
        assert "not for USER0" in found.error
        assert found.counts[0] == 300


@pytest.mark.parametrize("place", [1, 500, 999])
def test_an_expression_that_is_wrong_for_an_interface(tmp_path, cut, place):
    """Its first packet is the end, and everything before has been filtered, whoever was faster."""
    head = section() + interface(snaplen=0) + interface(linktype=REFUSED) + interface(linktype=113)
    packets = [enhanced(number=2 * (n % 2), data=bytes([n % 7])) for n in range(1000)]
    packets[place] = enhanced(number=1)
    path = file_of(tmp_path, head + b"".join(packets))
    cut(1 << 12)
    found = compare([path], "refused", jobs=(2, 2, 2, 3))
    assert found.error is not None
    assert "not for USER0" in found.error
    assert found.counts[0] == place


def test_a_link_type_that_does_not_exist(tmp_path, cut):
    """It is told behind all that comes before, and ends everything, as in the interpreter."""
    good = file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 2000), "good")
    head = section() + interface() + interface(linktype=9999)
    packets = [enhanced(data=b"\x01")] * 500 + [enhanced(number=1)] + [enhanced(data=b"\x01")] * 99
    bad = [
        file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 1000, link_word=9999), "bad"),
        file_of(tmp_path, head + b"".join(packets), "blocks"),
    ]
    cut(1 << 12)
    for each in bad:
        found = compare([good, each, good], "unknown")
        assert "unknown data link type 9999" in found.error
        assert found.counts[0] in {2000, 2500}


@pytest.mark.parametrize("is_mapped", [False, True])
def test_native_code_that_ends_in_the_middle(tmp_path, cut, mapped, is_mapped):
    """A second link type whose program only the interpreter has: the first goes on all the same."""
    rng = random.Random(f"parallel-given-up-{SEED}")
    large = file_of(tmp_path, random_pcap(rng, 2000, dialect=DIALECTS[0]), "large")
    other = file_of(tmp_path, pcap([(0, 0, b"\x01", 1)] * 1000, link_word=113), "other")
    head = section() + interface() + interface(linktype=113)
    packets = [enhanced(number=int(n > 500), data=bytes([n % 7])) for n in range(4000)]
    blocks = file_of(tmp_path, head + b"".join(packets), "blocks")
    first = len(head + b"".join(packets[:501]))
    assert blocks.stat().st_size - SLACK > first + (8 << 12), "parts behind that are mapped, too"
    cut(1 << 12)
    # Of two parts: both wait while it is found out that there is no code for the next capture.
    short = file_of(tmp_path, pcap([(n, n, bytes([n]) * 60, 60) for n in range(120)]), "short")
    complaints: list[str] = []

    def searching(dlt: int, snaplen: int):
        made = compiled(dlt, snaplen)
        if dlt == 113:
            made.instructions = (Instruction(Op.LD_W_ABS, 0, 0, 0xFFFFF00C), *has_bits(1))
        return made

    for sources in ([large, other, large], [blocks], [large, blocks, large], [short, other]):
        for jobs in (2, 3, 8):
            complaints.clear()
            options = {"made": searching, "complain": complaints.append, "mapped": is_mapped}
            found = compare(sources, "given up", jobs=(jobs,), **options)
            assert found.error is None
            assert len(complaints) == 2
            assert all("no native code" in each for each in complaints)
    assert any(stop is not None for _, stop in mapped) == is_mapped


PREAD = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
)


@pytest.mark.parametrize("back", [1, 100_000])
def test_files_that_cannot_be_read_in_the_middle(tmp_path, cut, monkeypatch, back):
    """What comes before is filtered, and the error told, wherever a thread meets it first."""
    content = random_pcap(random.Random(1), 3000, dialect=DIALECTS[0])
    path = file_of(tmp_path, content)
    small = pcap([(0, 0, b"\x01after", 6)] * 9)
    bad = len(content) - back
    pread, preadv = os.pread, os.preadv

    def check(size: int, place: int) -> None:
        if place <= bad < place + size:
            raise OSError(5, "Input/output error")

    def failing_pread(descriptor, size, place):
        check(size, place)
        return pread(descriptor, size, place)

    def failing_preadv(descriptor, memories, place):
        check(sum(map(len, memories)), place)
        return preadv(descriptor, memories, place)

    @PREAD
    def native_pread(descriptor, memory, size, place):
        if place <= bad < place + size:
            return -1
        data = pread(descriptor, size, place)
        ctypes.memmove(memory, data, len(data))
        return len(data)

    monkeypatch.setattr(os, "pread", failing_pread)
    monkeypatch.setattr(os, "preadv", failing_preadv)
    address = ctypes.cast(native_pread, ctypes.c_void_p).value
    monkeypatch.setattr(scanner, "_pread", lambda: address)
    cut(1 << 14)
    for jobs in (2, 3):
        found = outcome([path, small], jobs)
        assert found.error is None
        (told,) = found.damage
        assert "cannot be read: Input/output error" in told
        assert found.kept.endswith(small[24:])
        assert found.counts[0] > 9 + (len(content) - back - 5000) // 200


@pytest.mark.parametrize("is_mapped", [False, True])
def test_files_that_are_cut_while_they_are_read(tmp_path, cut, monkeypatch, mapped, is_mapped):
    """What is left of them counts; of those that are mapped, where they are cut before."""
    rng = random.Random(f"parallel-shrinking-{SEED}")
    content = random_pcap(rng, 2000, dialect=DIALECTS[0])
    path = file_of(tmp_path, content)
    cut(1 << 13)
    opened = parallel.open_large

    for left in (100_000, 24, 0, len(content) + 1):

        def shrink(source, *given, left=left):
            file = opened(source, *given)
            os.truncate(source, left)
            return file

        path.write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "open_large", shrink)
            found = outcome([path], 2, mapped=is_mapped)
        expected = outcome([pcap([]) + path.read_bytes()[24:]], engine=Engine.INTERP)
        assert found.counts == expected.counts
        assert len(found.damage) == len(expected.damage)
    assert any(stop is not None for _, stop in mapped) == is_mapped
