"""A tree printed back parses to the same tree."""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from pfcompile.errors import FilterError
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import tree
from pfcompile.syntax.keywords import KEYWORDS
from pfcompile.syntax.tree import Direction, Junction, Kind, Proto, Qualifiers, RelationOp
from pfcompile.syntax.unparse import unparse
from tests.generator.expressions import Generator
from tests.generator.links import LINKS
from tests.generator.seed import SEED, rerun
from tests.syntax.reading import USUAL, read

RERUN = rerun("tests/syntax/test_unparse.py")


def returns(node, origin):
    text = unparse(node)
    try:
        again = read(text)
    except FilterError as error:
        pytest.fail(f"{origin}\nprinted as\n{error}\n{RERUN}")
    assert again == node, f"{origin!r} printed as {text!r}\n{RERUN}"
    assert unparse(again) == text, RERUN


@pytest.mark.parametrize("text", USUAL)
def test_usual_filters(text):
    returns(read(text), text)


@pytest.mark.parametrize("link", LINKS)
def test_generated_expressions(link):
    generator = Generator(SEED, link)
    for _ in range(100):
        text = generator.expression()
        returns(read(text), text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("tcp", "tcp"),
        ("ether proto \\ip6", "link proto \\ip6"),
        ("port 80 or 443", "port 80 or port 443"),
        ("port (80 or 443) and tcp", "port 80 or port 443 and tcp"),
        ("tcp and port (80 or 443)", "tcp and (port 80 or port 443)"),
        ("!(tcp||udp)", "not (tcp or udp)"),
        ("! ! ! tcp", "not tcp"),
        ("host not (a or \\tcp)", "not (host a or host \\tcp)"),
        ("tcp or 80", "tcp or 80"),
        ("host a and tcp or 80", "(host a) and tcp or 80"),
        ("not host a or tcp or (80 or 443)", "not (host a) or tcp or (80 or 443)"),
        ("dst or src net 10.0/8", "src or dst net 10.0/8"),
        ("net 10.0 mask 255.0", "net 10.0 mask 255.0"),
        ("ether host 1-2-3-4-5-6", "link host 01:02:03:04:05:06"),
        ("link host $5", "link host $05"),
        ("ip6 net 2001:DB8::/32", "ip6 net 2001:DB8::/32"),
        ("host \\80", "host \\80"),
        ("host \\tcp-syn", "host \\tcp-syn"),
        ("host \\1.2.3.4", "host \\1.2.3.4"),
        ("host \\deadbeefcafe", "host \\deadbeefcafe"),
        ("host \\foo", "host foo"),
        ("host \\08", "host \\08"),
        ("host \\\\foo", "host \\\\foo"),
        ("host \\a-", "host \\a-"),
        ("10 % 4 * 3 = 2", "10 % (4 * 3) = 2"),
        ("(10 % 4) * 3 = 2", "(10 % 4) * 3 = 2"),
        ("-7 % 4 = 1", "-(7 % 4) = 1"),
        ("--5 = 5", "-(-5) = 5"),
        ("1-(2-3) = 1", None),
        ("1 - (2 - 3) = (1 - 2) - 3", "1 - (2 - 3) = 1 - 2 - 3"),
        ("((1 + 2)) * (3 & 0x4) == length", "(1 + 2) * (3 & 4) = len"),
        ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "tcp[13] & (2 | 1) != 0"),
        ("ip[(2):2] > ip[0:1]", "ip[2:2] > ip[0]"),
        ("llc rulenum", "llc rnr"),
        ("llc \\tcp", "llc \\tcp"),
        ("tcp type mgt subtype beacon", "type mgt subtype beacon"),
        ("subtype \\beacon", "subtype beacon"),
        ("on eth0 and reason 3", "ifname eth0 and reason 3"),
        ("vci (5 or 6) and vpi >= 3 and sio 4", "vci (5 or 6) and vpi >= 3 and sio = 4"),
        ("pppoed or mpls (5)", "pppoed or mpls 5"),
    ],
)
def test_printed(text, printed):
    if printed is None:
        with pytest.raises(FilterError):
            read(text)
        return
    assert unparse(read(text)) == printed
    returns(read(text), text)


# Trees that no one would write.

WORDS = st.integers(0, 0xFFFFFFFF)
PROTOS = st.sampled_from(Proto)
NAME_TEXTS = st.one_of(
    st.sampled_from([*KEYWORDS, "tcp-syn", "80", "08", "1.2.3.4", "a-b", "::1", "$1", "a_b", "\\"]),
    st.text(st.characters(exclude_characters=" !()\n\t\0"), min_size=1, max_size=8),
)
IPV4_TEXTS = st.lists(st.integers(0, 255), min_size=2, max_size=4).map(
    lambda parts: ".".join(map(str, parts))
)
IPV6_TEXTS = st.ip_addresses(v=6).map(str)
LENGTHS = st.none() | WORDS
IDENTIFIERS = st.one_of(
    st.builds(tree.Name, NAME_TEXTS),
    st.builds(tree.Number, WORDS),
    st.builds(tree.IPv4, IPV4_TEXTS, LENGTHS),
    st.builds(lambda text, mask: tree.IPv4(text, None, mask), IPV4_TEXTS, IPV4_TEXTS),
    st.builds(tree.IPv6, IPV6_TEXTS, LENGTHS),
    st.builds(tree.Mac, st.binary(min_size=6, max_size=6)),
    st.builds(tree.ArcnetAddress, st.integers(0, 255)),
)
HEADS = st.one_of(
    st.builds(
        Qualifiers,
        st.none() | PROTOS,
        st.sampled_from(Direction),
        st.sampled_from([None, Kind.HOST, Kind.NET, Kind.PORT, Kind.PORTRANGE]),
    ),
    st.builds(Qualifiers, st.none() | PROTOS, st.none(), st.sampled_from(Kind)),
)
ARITHMETIC = st.recursive(
    st.one_of(st.builds(tree.Literal, WORDS), st.just(tree.Length())),
    lambda inner: st.one_of(
        st.builds(tree.Negate, inner),
        st.builds(tree.Binary, st.sampled_from(ArithmeticOp), inner, inner),
        st.builds(tree.Accessor, PROTOS, inner, st.sampled_from([1, 2, 4]) | WORDS),
    ),
    max_leaves=12,
)
NAMES_OR_NUMBERS = WORDS | NAME_TEXTS
PRIMITIVES = st.one_of(
    st.builds(tree.Qualified, HEADS, IDENTIFIERS),
    st.builds(tree.Abbreviation, PROTOS),
    st.builds(tree.Relation, st.sampled_from(RelationOp), ARITHMETIC, ARITHMETIC),
    st.builds(tree.Cast, st.sampled_from(["broadcast", "multicast"]), st.none() | PROTOS),
    st.builds(tree.LengthBound, st.sampled_from(["less", "greater"]), WORDS),
    st.builds(tree.LinkByte, WORDS, st.sampled_from("=<>&|"), WORDS),
    st.builds(tree.Way, st.sampled_from(["inbound", "outbound"])),
    st.builds(tree.InterfaceIndex, WORDS),
    st.builds(tree.Encapsulation, st.sampled_from(["vlan", "mpls", "pppoes", "geneve"]), LENGTHS),
    st.just(tree.Encapsulation("pppoed")),
    st.builds(tree.Llc, st.none() | NAME_TEXTS),
    st.builds(tree.WlanType, NAMES_OR_NUMBERS, st.none() | NAMES_OR_NUMBERS),
    st.builds(tree.WlanType, st.none(), NAME_TEXTS),
    st.builds(tree.WlanDirection, NAMES_OR_NUMBERS),
    st.builds(tree.PacketFilter, st.sampled_from(["ifname", "ruleset", "action"]), NAME_TEXTS),
    st.builds(tree.PacketFilter, st.sampled_from(["rnr", "srnr"]), WORDS),
    st.builds(tree.PacketFilter, st.just("reason"), NAMES_OR_NUMBERS),
    st.builds(tree.AtmType, st.sampled_from(["lane", "oamf4ec"])),
    st.builds(tree.Ss7Unit, st.sampled_from(["lssu", "hmsu"])),
    st.builds(tree.FieldValue, st.just("vci"), st.sampled_from(RelationOp), st.tuples(WORDS)),
    st.builds(
        tree.FieldValue,
        st.just("opc"),
        st.just(RelationOp.EQ),
        st.lists(WORDS, min_size=2, max_size=4).map(tuple),
    ),
)


def negated(node):
    return node if isinstance(node, tree.Not) else tree.Not(node)


def chained(first, rest):
    """Return a chain as the parser makes it, whose first operand is never one."""
    links = tuple(tree.Link(*link) for link in rest)
    if isinstance(first, tree.Chain):
        return tree.Chain(first.first, (*first.links, *links))
    return tree.Chain(first, links)


def rests(operands):
    return st.lists(st.tuples(st.sampled_from(Junction), operands), min_size=1, max_size=4)


def logic(inner):
    return st.one_of(st.builds(negated, inner), st.builds(chained, inner, rests(inner)))


# Identifiers without qualifiers stand only to the right of something, alone or in a list.
LOOSE = st.recursive(st.builds(tree.Qualified, st.none(), IDENTIFIERS), logic, max_leaves=4)
EXPRESSIONS = st.recursive(
    PRIMITIVES,
    lambda inner: st.one_of(
        st.builds(negated, inner), st.builds(chained, inner, rests(inner | LOOSE))
    ),
    max_leaves=12,
)


@seed(SEED)
@settings(max_examples=500, deadline=None, database=None)
@given(EXPRESSIONS)
def test_any_tree(node):
    returns(node, node)
