"""The filters that people type: no warning but the deserved ones, each of which was looked at.

`usual_warnings.txt` has them, with the reason for each code.
"""

from __future__ import annotations

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
PARTS = 6
"""They are explained in so many tests, which run side by side."""


def explained(text):
    return explain(text, netmask=NETMASK, resolver=NoNames(), seconds=60)


def told(found):
    """Return the lines of the file for a filter: none, or it, its codes and what they are about."""
    warnings = [each for each in found.warnings if each.level is Level.WARNING]
    lines = [f"    {each.code} {found.quoted(each.span)}" for each in warnings]
    return [found.text, *lines] if lines else []


def reviewed():
    """Return the lines of each filter in the file."""
    found = {}
    text = ""
    for line in REVIEWED.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            text = line
            assert text not in found, text
        found.setdefault(text, []).append(line)
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_only_deserved_warnings(part, request):
    if request.config.getoption("--bless"):
        if part == 0:
            bless()
        return
    stored = reviewed()
    for text in FILTERS[part::PARTS]:
        found = explained(text)
        assert told(found) == stored.get(text, []), text
        assert found.left_out is None, text
        programs = [
            compile_text(each, "EN10MB", netmask=NETMASK, optimize=False).instructions
            for each in (text, found.understood)
        ]
        assert programs[0] == programs[1], text


def bless():
    """Write down what is told now, below the reasons."""
    lines = REVIEWED.read_text(encoding="utf-8").splitlines()
    preface = [line for line in lines if line.startswith("#")]
    now = [line for text in FILTERS for line in told(explained(text))]
    REVIEWED.write_text("\n".join([*preface, *now]) + "\n", encoding="utf-8")


def test_what_was_reviewed_is_in_the_order_of_the_list():
    stored = list(reviewed())
    assert stored == [text for text in FILTERS if text in stored]


def test_every_code_of_the_list_has_its_reason():
    lines = REVIEWED.read_text(encoding="utf-8").splitlines()
    reasons = {line.split()[1].rstrip(":") for line in lines if line.startswith("# PF")}
    codes = {line.split()[0] for line in lines if line.startswith("    PF")}
    assert codes == reasons
