"""Every example of the language's quirks triggers its warning; what is an error is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfcompile.errors import FilterError
from pfcompile.explain import explain
from pfcompile.explain.codes import BY_CODE
from pfcompile.names.resolvers import StaticResolver

ROWS = [
    tuple(part.strip() for part in line.split(" | "))
    for line in (Path(__file__).parent / "quirks.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("quirk", "code", "link", "text"), ROWS, ids=lambda each: each)
def test_an_example_triggers_its_warning(quirk, code, link, text):
    name, _, live = link.partition(" ")
    given = {
        "link_type": name,
        "live": live == "live",
        "netmask": "255.255.255.0",
        "seconds": 60,
        "resolver": StaticResolver(),
    }
    if code == "error":
        with pytest.raises(FilterError):
            explain(text, **given)
        return
    found = {each.code: each for each in explain(text, **given).warnings}
    assert code in found, sorted(found)
    quirks = BY_CODE[code].quirks
    assert not quirks or int(quirk.removeprefix("Q")) in quirks or code == "PF193"


def test_every_quirk_has_an_example():
    assert {row[0] for row in ROWS} == {f"Q{number}" for number in range(1, 34)}
