"""`--mmap`: files are mapped where that is asked for, and commands come to the same."""

from __future__ import annotations

import random

import pytest

from pfcompile.captures.blocks import parts
from pfcompile.captures.blocks.scans import SLACK
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.cli import in_process
from tests.generator.seed import SEED, rerun

KINDS = {"pcap": random_pcap, "pcapng": random_pcapng}
NATIVE = ("--engine", "native")
INTERPRETED = ("--engine", "interp")
TEXTS = ("greater 62", "len & 1 = 1")
PART = 1 << 14
RERUN = rerun("tests/cli/test_mapped.py")


@pytest.fixture(params=KINDS)
def source(tmp_path, monkeypatch, request):
    """A capture of several parts, which is larger than what is never mapped."""
    monkeypatch.setattr(parts, "PART", PART)
    content = KINDS[request.param](random.Random(f"cli-mapped-{SEED}"), 1500)
    assert len(content) > SLACK + 4 * PART
    path = tmp_path / f"in.{request.param}"
    path.write_bytes(content)
    return path


def commands(source, folder):
    """Yield commands, each with the files that it writes."""
    outputs = [folder / f"{name}{source.suffix}" for name in "ab"]
    given = [part for pair in zip(TEXTS, outputs, strict=True) for part in (pair[0], "-w", pair[1])]
    yield ("filter", "-r", source, "--count", TEXTS[0]), []
    yield ("filter", "-r", source, "--stats", "--json", TEXTS[0]), []
    yield ("filter", "-r", source, "-w", outputs[0], TEXTS[0]), outputs[:1]
    yield ("filter", "-r", source, "-c", "700", "-w", outputs[0], TEXTS[0]), outputs[:1]
    yield ("split", "-r", source, *given), outputs


def outcome(command, written):
    for each in written:
        each.unlink(missing_ok=True)
    done = in_process.run(*command)
    assert done.returncode == 0, (done, RERUN)
    return done.stdout, [each.read_bytes() for each in written]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_commands(source, tmp_path, mapped, jobs):
    for command, written in commands(source, tmp_path):
        wanted = outcome((*command, *INTERPRETED), written)
        assert outcome((*command, *NATIVE, "-j", jobs), written) == wanted, (command, RERUN)
        assert not mapped, command
        assert outcome((*command, *NATIVE, "-j", jobs, "--mmap"), written) == wanted, RERUN
        assert mapped, command
        in_parts = jobs == "2" and "-c" not in command
        assert any(stop is not None for _, stop in mapped) == in_parts, command
        mapped.clear()
