"""Work in processes of its own: limits of time and memory, and who no longer waits."""

from __future__ import annotations

import time

import anyio
import pytest

from pfcompile.page.workers import MEMORY, OutOfTimeError, Workers


class Asking:
    """A request whose sender goes away after some seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    async def receive(self):
        await anyio.sleep(self.seconds)
        return {"type": "http.disconnect"}


def run(work, given, *, seconds=60.0, waits=60.0):
    async def main():
        return await Workers().run(Asking(waits), seconds, work, given)

    return anyio.run(main)


def allocate(count):
    return len(bytearray(count))


def test_work_is_done():
    assert run(allocate, 10) == 10


def test_what_takes_too_long_is_ended():
    before = time.monotonic()
    with pytest.raises(OutOfTimeError, match=r"took longer than 0\.5 seconds"):
        run(time.sleep, 600, seconds=0.5)
    assert time.monotonic() - before < 100


def test_what_nobody_waits_for_is_ended():
    before = time.monotonic()
    assert run(time.sleep, 600, seconds=600, waits=0.1) is None
    assert time.monotonic() - before < 100


def test_memory_has_a_limit():
    with pytest.raises(MemoryError):
        run(allocate, MEMORY)


def test_mistakes_come_through():
    with pytest.raises(ZeroDivisionError):
        run(divide, 0)


def divide(number):
    return 1 // number
