"""Random expressions on every link type: libpcap takes them and means the same by them.

Names are looked up where libpcap looks them up, and the generator uses only what every system has.
"""

from __future__ import annotations

import os

import pytest

from tests.comparison import Comparison, Unexplained
from tests.generator.expressions import FIRST_GROUPS, Generator
from tests.generator.links import LINKS, OTHER_LINKS, alike
from tests.generator.productions import productions_used
from tests.generator.seed import SEED, rerun

FIRST_LINKS = (
    "EN10MB", "RAW", "IPV4", "IPV6", "LINUX_SLL", "LINUX_SLL2", "NULL", "LOOP", "PPP", "C_HDLC",
)  # fmt: skip
MOST_SHOWN = 5


def compare(libpcap, link, groups, count, record):
    """Compare programs for `count` random expressions, and fail with what has no explanation."""
    seed = f"{SEED} libpcap {link} {'first' if groups else 'all'}"
    comparison = Comparison(libpcap, (LINKS | OTHER_LINKS)[link], seed)
    expressions = Generator(seed, alike(link), groups)
    unexplained = []
    with productions_used() as used:
        for _ in range(count):
            try:
                comparison.compare(expressions.expression())
            except Unexplained as found:
                unexplained.append(str(found))
    record("libpcap counts", dict(comparison.counts))
    record("libpcap coverage", {"productions": sorted(used), "link types": [link]})
    if unexplained:
        shown = "\n\n".join(unexplained[:MOST_SHOWN])
        test = os.environ["PYTEST_CURRENT_TEST"].split()[0]
        again = rerun(f"'{test}'")
        pytest.fail(
            f"{link}: {len(unexplained)} of {count} differ without a rule\n{shown}\n{again}",
            pytrace=False,
        )


@pytest.mark.parametrize("link", FIRST_LINKS)
def test_usual_primitives(libpcap, link, record_property):
    compare(libpcap, link, FIRST_GROUPS, 300, record_property)


@pytest.mark.parametrize("link", LINKS)
def test_all_primitives(libpcap, link, record_property):
    compare(libpcap, link, None, 40, record_property)


@pytest.mark.parametrize("link", OTHER_LINKS)
def test_other_link_types(libpcap, link, record_property):
    compare(libpcap, link, None, 10, record_property)


@pytest.mark.long
@pytest.mark.parametrize("link", OTHER_LINKS)
def test_other_link_types_at_length(libpcap, link, record_property):
    compare(libpcap, link, None, 100, record_property)


@pytest.mark.long
@pytest.mark.parametrize("link", LINKS)
def test_all_primitives_at_length(libpcap, link, record_property):
    compare(libpcap, link, None, 400, record_property)
