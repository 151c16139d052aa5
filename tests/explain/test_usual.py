"""The filters that people type: no warning but the deserved ones, each of which was looked at.

`usual_warnings.txt` has them, with the reason for each code.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.explain import Level, explain
from pfcompile.names.resolvers import NoNames

FOLDER = Path(__file__).parent
REVIEWED = FOLDER / "usual_warnings.txt"
LINES = (FOLDER.parent / "filters" / "usual.txt").read_text(encoding="utf-8").splitlines()
FILTERS = [line for line in LINES if line and not line.startswith("#")]
NETMASK = "255.255.255.0"


@cache
def explained(text):
    return explain(text, netmask=NETMASK, resolver=NoNames(), seconds=60)


def told():
    """Yield each filter that has warnings, with their codes and what they are about."""
    for text in FILTERS:
        found = explained(text)
        warnings = [each for each in found.warnings if each.level is Level.WARNING]
        if warnings:
            yield text
            yield from (f"    {each.code} {found.quoted(each.span)}" for each in warnings)


def test_only_deserved_warnings(request):
    stored = REVIEWED.read_text(encoding="utf-8")
    preface = [line for line in stored.splitlines() if line.startswith("#")]
    now = "\n".join([*preface, *told()]) + "\n"
    if request.config.getoption("--bless"):
        REVIEWED.write_text(now, encoding="utf-8")
        return
    if now != stored:
        diff = difflib.unified_diff(stored.splitlines(), now.splitlines(), "reviewed", "now")
        pytest.fail("\n".join(diff), pytrace=False)


def test_every_code_of_the_list_has_its_reason():
    lines = REVIEWED.read_text(encoding="utf-8").splitlines()
    reasons = {line.split()[1].rstrip(":") for line in lines if line.startswith("# PF")}
    codes = {line.split()[0] for line in lines if line.startswith("    PF")}
    assert codes == reasons


def test_what_is_written_out_means_the_same():
    for text in FILTERS:
        programs = [
            compile_text(each, "EN10MB", netmask=NETMASK, optimize=False).instructions
            for each in (text, explained(text).understood)
        ]
        assert programs[0] == programs[1], text


def test_nothing_is_left_out():
    assert not [text for text in FILTERS if explained(text).left_out is not None]
