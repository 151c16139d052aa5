"""Fixtures of tests with several threads: small parts, their guesses, and what must not be left."""

from __future__ import annotations

import faulthandler
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pfcompile.captures.blocks import native, parallel, parts

# Its assertions show what they compare, as those of the tests do.
pytest.register_assert_rewrite("tests.captures.parallel.outcomes")

PATIENCE = 120


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """No test hangs, and none leaves a thread or an open file behind."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    files, others = open_files(), threads()
    yield
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end and (open_files(), threads()) != (files, others):
            time.sleep(0.01)
        assert threads() == others
        assert open_files() == files
    finally:
        faulthandler.cancel_dump_traceback_later()


def open_files() -> dict[str, str]:
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        try:
            found[each.name] = str(each.readlink())
        except OSError:  # the descriptor of the folder itself
            continue
    return found


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if "(_work)" in each.name]


@dataclass
class Guesses:
    """Where parts were thought to begin, and how many were walked again."""

    begun: list[tuple[int, int | None]] = field(default_factory=list)
    again: int = 0

    def forget(self) -> None:
        self.begun.clear()
        self.again = 0


@pytest.fixture
def guesses(monkeypatch):
    """Guesses of the parts, as they are made."""
    made = Guesses()
    walk_part, walk_exactly = parallel.walk_part, parallel.walk_exactly

    def part(file, start):
        items = walk_part(file, start)
        begun = next(items)
        made.begun.append((start, begun.offset))
        yield begun
        yield from items

    def again(*arguments):
        made.again += 1
        return walk_exactly(*arguments)

    monkeypatch.setattr(parallel, "walk_part", part)
    monkeypatch.setattr(parallel, "walk_exactly", again)
    return made


@pytest.fixture
def cut(monkeypatch):
    """Let parts, blocks and what is looked at for a record be small."""
    manner_for = native.manner_for

    def sized(part: int, *, block_size: int = 1000, looked_at: int = 512 * 1024) -> None:
        def manner(scans, limit, *, mapped):
            return manner_for(scans, limit, mapped=mapped)._replace(block_size=block_size)

        monkeypatch.setattr(parts, "PART", part)
        monkeypatch.setattr(parts, "LOOKED_AT", looked_at)
        monkeypatch.setattr(parallel, "manner_for", manner)

    return sized
