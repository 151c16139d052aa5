"""Options and fixtures for all tests."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from pfcompile.captures.blocks import block as block_module
from pfcompile.facts.link_types import LINK_TYPES
from tests.generator.productions import all_productions
from tests.oracles.libpcap import Libpcap

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with interrupts ignored, and programs hand that on; tests that
    # interrupt programs need what a terminal gives.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep what the tests compile out of the user's cache, and what is there out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def mapped(monkeypatch):
    """What is mapped of files in this process: where that begins, and where it is to stop."""
    made, real = [], block_module.Block.map

    def mapping(block, stop=None):
        real(block, stop)
        if isinstance(block.memory, block_module.mmap):
            made.append((block.offset, stop))

    monkeypatch.setattr(block_module.Block, "map", mapping)
    return made


def pytest_collection_modifyitems(items):
    """Let tests that take minutes take as long as they need."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(0))


def pytest_addoption(parser):
    parser.addoption(
        "--bless",
        action="store_true",
        help="write what the golden tests give into their files instead of comparing",
    )


@pytest.fixture(scope="session")
def libpcap():
    try:
        oracle = Libpcap()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with oracle:
        yield oracle


def pytest_terminal_summary(terminalreporter):
    """Print what the comparisons with libpcap have counted, of all workers together."""
    total, used = Counter(), {"productions": set(), "link types": set()}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, counts in report.user_properties:
                    if name == "libpcap counts":
                        total.update(counts)
                    elif name == "libpcap coverage":
                        for what, names in counts.items():
                            used[what].update(names)
    if total:
        terminalreporter.section("compared with libpcap")
        for name, count in sorted(total.items(), key=lambda item: (-item[1], item[0])):
            terminalreporter.write_line(f"{count:7} {name}")
        if any(used.values()):
            there_are = {"productions": len(all_productions()), "link types": len(LINK_TYPES)}
            for what, names in used.items():
                terminalreporter.write_line(f"{len(names):7} of {there_are[what]} {what}")
