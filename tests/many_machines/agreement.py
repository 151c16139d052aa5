"""What one process makes of captures, which several must make of them, too."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from pfcompile.distributed import filter as filter_distributed
from tests.cli import in_process
from tests.generator.seed import rerun

PCAPS = Path(__file__).parents[2] / "pcaps"
ETHERNET = PCAPS / "ethernet.pcap"
RERUN = rerun("tests/many_machines")

both_engines = pytest.mark.parametrize("engine", ["native", "interp"])


def one_process(sources, output, text, *options) -> str:
    """Filter in this process; return what it says."""
    inputs = itertools.chain.from_iterable(("-r", str(each)) for each in sources)
    return in_process.run("filter", *inputs, "-w", output, *options, text).stderr.decode()


def agree(client, sources, text, name, out, **options):
    """Filter with both; return the result, which must be the one process's."""
    wanted = out / f"wanted-{name}"
    got = out / name
    command = ["--engine", options.get("engine", "auto")]
    if "write_format" in options:
        command += ["--write-format", options["write_format"]]
    *errors, summary = one_process(sources, wanted, text, *command).splitlines()
    result = filter_distributed(sources, text, got, client=client, **options)
    assert [f"pfcompile: {each}" for each in result.errors] == errors, RERUN
    numbers = [int(each) for each in re.findall(r"\d+", summary)[:4]]
    sums = [result.packets, result.bytes, result.matched, result.matched_bytes]
    assert sums == numbers, RERUN
    assert got.exists() == wanted.exists()
    if got.exists():
        assert got.read_bytes() == wanted.read_bytes(), RERUN
    return result
