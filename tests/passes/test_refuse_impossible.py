"""Filters that no packet can match are refused, each way for its own reason."""

from __future__ import annotations

import pytest

from pfcompile import FilterError
from pfcompile import compile as compile_text
from pfcompile.cbpf.check import check

IMPOSSIBLE = (
    ("port 1 and 2 and 3", "EN10MB"),
    ("port (0 and http and 14256)", "EN10MB"),
    ("port 24211 and http or atalk or mopdl and port 65535", "IPV6"),
    ("host 1.1.1.1 and 2.2.2.2 and 3.3.3.3", "EN10MB"),
)

# Of constants as written libpcap makes an error; what only we know to be constant compiles.
KNOWN_TO_US_ALONE = (
    "len % (ip6[2:2] >> 30) = 0",
    "link[0:4] << (link[0] | 0xffffffff) = 1",
)


@pytest.mark.parametrize(("text", "link_type"), IMPOSSIBLE)
def test_impossible(text: str, link_type: str) -> None:
    with pytest.raises(FilterError, match="expression rejects all packets"):
        compile_text(text, link_type)


@pytest.mark.parametrize("text", KNOWN_TO_US_ALONE)
def test_what_only_the_simplifier_knows_is_no_mistake(text: str) -> None:
    check(compile_text(text).instructions)


def test_no_return_stands_before_a_scratch_word_is_read() -> None:
    # The kernel takes what follows a return for reached from there.
    check(compile_text("link[1] != 1 or ip6 protochain (not 6 or 2 or 50)").instructions)
