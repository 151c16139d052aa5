"""docs/warnings.md has a section for each code, whose example triggers it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pfcompile.explain import explain
from pfcompile.explain.codes import BY_CODE, CODES
from pfcompile.names.answers import Host
from pfcompile.names.resolvers import StaticResolver

PAGE = Path(__file__).parents[2] / "docs" / "warnings.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in TEXT.split("\n## ")[1:]}
QUIRKS = PAGE.with_name("quirks.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^Example(?: on (?P<link>\w+))?: `(?P<text>.+)`$", re.MULTILINE)
NAMES = StaticResolver(hosts={"router": Host.of(["10.0.0.1", "fe80::1"])})


def test_every_code_has_a_section_in_order():
    assert list(SECTIONS) == [row.code for row in CODES]


@pytest.mark.parametrize("row", CODES, ids=lambda row: row.code)
def test_a_section(row):
    section = SECTIONS[row.code]
    title = section.splitlines()[2].removesuffix(" (a note).").rstrip(".").strip("*")
    assert title.lower() == row.title.lower()
    assert ("(a note)" in section) is (row.level.value == "note")
    assert "\nInstead: " in section
    for quirk in row.quirks:
        assert f"Q{quirk}" in section.replace("\n", " ")
        assert f"## Q{quirk}. " in QUIRKS
    example = EXAMPLE.search(section)
    assert example is not None
    found = explain(
        example["text"],
        example["link"] or "EN10MB",
        netmask="255.255.255.0",
        resolver=NAMES,
        seconds=60,
    )
    assert row.code in {each.code for each in found.warnings}


def test_sections_name_codes_that_exist():
    assert set(re.findall(r"PF\d{3}", TEXT)) <= set(BY_CODE)
