"""Packets by number, in little memory."""

from __future__ import annotations

import io
import random
import sys
from types import SimpleNamespace

import pytest

from pfcompile.debugger.mistakes import Mistake
from pfcompile.debugger.packets import RECORD_BYTES, Packets
from pfcompile.errors import CaptureError
from tests.debugger.sessions import write_capture
from tests.generator.seed import SEED, rerun

COUNT = 40


@pytest.fixture
def capture(tmp_path):
    return write_capture(tmp_path / "capture", (bytes([n]) * 10 for n in range(1, COUNT + 1)))


@pytest.mark.parametrize("kept", [1, 5 * (RECORD_BYTES + 10), 1 << 20])
def test_any_order_in_any_memory(capture, kept):
    rng = random.Random(SEED)
    packets = Packets(capture, kept)
    for _ in range(300):
        number = rng.randint(1, COUNT + 3)
        found = packets.get(number)
        wanted = bytes([number]) * 10 if number <= COUNT else None
        assert (found and found.data) == wanted, rerun("tests/debugger/test_packets.py")
        assert len(packets._kept) <= max(1, kept // (RECORD_BYTES + 10))
    assert packets.get(COUNT + 1) is None
    assert (packets.last, packets.damage) == (COUNT, None)
    packets.close()


def test_what_was_read_is_not_kept_alive(capture):
    packets = Packets(capture)
    record = packets.get(3)
    assert record.raw.nbytes == 0


def test_standard_input_is_read_once(capture, monkeypatch):
    with open(capture, "rb") as stream:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stream.read())))
    packets = Packets("-", 5 * (RECORD_BYTES + 10))
    assert packets.get(20).data == bytes([20]) * 10
    assert packets.get(16).data == bytes([16]) * 10
    with pytest.raises(Mistake, match="packet 15 is no longer in memory"):
        packets.get(15)
    assert packets.get(20).data == bytes([20]) * 10
    assert packets.get(COUNT + 1) is None


def test_damage_is_found_where_it_is(capture):
    with open(capture, "r+b") as stream:  # noqa: PTH123
        stream.truncate(24 + 26 * 7 + 20)
    packets = Packets(capture)
    assert packets.get(7) is not None
    assert packets.damage is None
    assert packets.get(8) is None
    assert isinstance(packets.damage, CaptureError)
    assert packets.last == 7


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(CaptureError, match="cannot be opened"):
        Packets(str(tmp_path / "nothing")).get(1)
