"""Every node's span is the text that made it."""

from __future__ import annotations

import dataclasses

import pytest

from pfcompile.syntax import tree
from pfcompile.syntax.parser import Unfinished, parse_partly
from tests.generator.expressions import Generator
from tests.generator.links import LINKS
from tests.generator.seed import SEED, rerun
from tests.syntax.reading import USUAL, read

RERUN = rerun("tests/syntax/test_spans.py")


def nodes(node):
    """Every node of a tree that has a span, from the top."""
    if isinstance(node, tuple):
        for one in node:
            yield from nodes(one)
    elif dataclasses.is_dataclass(node):
        if hasattr(node, "span"):
            yield node
        for field in dataclasses.fields(node):
            if field.name != "span":
                yield from nodes(getattr(node, field.name))


def pieces(text):
    """The kind of every node of an expression and the text under its span."""
    return [(type(node).__name__, text[slice(*node.span)]) for node in nodes(read(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" tcp ", [("Abbreviation", "tcp")]),
        ("( ( tcp ) )", [("Abbreviation", "tcp")]),
        ("not not tcp", [("Abbreviation", "not not tcp")]),
        ("not (! tcp)", [("Abbreviation", "not (! tcp)")]),
        ("not  tcp", [("Not", "not  tcp"), ("Abbreviation", "tcp")]),
        (
            " tcp\tdst  port http or 80",
            [
                ("Chain", "tcp\tdst  port http or 80"),
                ("Qualified", "tcp\tdst  port http"),
                ("Name", "http"),
                ("Qualified", "80"),
                ("Number", "80"),
            ],
        ),
        (
            "port ( 80 or (443) ) and tcp",
            [
                ("Chain", "port ( 80 or (443) ) and tcp"),
                ("Qualified", "80"),
                ("Number", "80"),
                ("Qualified", "(443)"),
                ("Number", "(443)"),
                ("Abbreviation", "tcp"),
            ],
        ),
        (
            "tcp and port (80 or 443)",
            [
                ("Chain", "tcp and port (80 or 443)"),
                ("Abbreviation", "tcp"),
                ("Chain", "port (80 or 443)"),
                ("Qualified", "80"),
                ("Number", "80"),
                ("Qualified", "443"),
                ("Number", "443"),
            ],
        ),
        (
            "host not \\tcp",
            [("Not", "host not \\tcp"), ("Qualified", "\\tcp"), ("Name", "\\tcp")],
        ),
        ("net 10.0 / 8", [("Qualified", "net 10.0 / 8"), ("IPv4", "10.0 / 8")]),
        (
            "net 10.0 mask 255.0",
            [("Qualified", "net 10.0 mask 255.0"), ("IPv4", "10.0 mask 255.0")],
        ),
        ("host (::1)", [("Qualified", "host (::1)"), ("IPv6", "::1")]),
        ("ether src 1:2:3:4:5:6", [("Qualified", "ether src 1:2:3:4:5:6"), ("Mac", "1:2:3:4:5:6")]),
        ("link host $5", [("Qualified", "link host $5"), ("ArcnetAddress", "$5")]),
        (
            "-len > ip[0]&(15+1)",
            [
                ("Relation", "-len > ip[0]&(15+1)"),
                ("Negate", "-len"),
                ("Length", "len"),
                ("Binary", "ip[0]&(15+1)"),
                ("Accessor", "ip[0]"),
                ("Literal", "0"),
                ("Binary", "(15+1)"),
                ("Literal", "15"),
                ("Literal", "1"),
            ],
        ),
        ("ether  broadcast", [("Cast", "ether  broadcast")]),
        ("less 5", [("LengthBound", "less 5")]),
        ("byte 0 = 5", [("LinkByte", "byte 0 = 5")]),
        ("inbound", [("Way", "inbound")]),
        ("ifindex 5", [("InterfaceIndex", "ifindex 5")]),
        ("vlan", [("Encapsulation", "vlan")]),
        ("vlan 5", [("Encapsulation", "vlan 5")]),
        ("llc i", [("Llc", "llc i")]),
        ("type 0 subtype 8", [("WlanType", "type 0 subtype 8")]),
        ("dir 1", [("WlanDirection", "dir 1")]),
        ("reason 1", [("PacketFilter", "reason 1")]),
        ("lane", [("AtmType", "lane")]),
        ("fisu", [("Ss7Unit", "fisu")]),
        ("vci ( 5 or 6 )", [("FieldValue", "vci ( 5 or 6 )")]),
        ("vci >= 5", [("FieldValue", "vci >= 5")]),
    ],
)
def test_each_kind_of_node(text, expected):
    assert pieces(text) == expected


def check(text):
    """Raise where a node's span is not its text: read alone, the text makes the node again."""
    root = read(text)
    for node in nodes(root):
        start, end = node.span
        piece = text[start:end]
        where = f"{type(node).__name__} {piece!r} of {text!r}\n{RERUN}"
        assert 0 <= start < end <= len(text), where
        assert piece == piece.strip(" \t\r\n"), where
        if isinstance(node, tree.Arithmetic):
            assert read(f"{piece} = 0").left == node, where
        elif isinstance(node, tree.Identifier):
            assert read(f"host {piece}").identifier == node, where
        elif node is root or not any(isinstance(one, tree.Qualified) for one in nodes(node)):
            assert read(piece) == node, where
        elif isinstance(node, tree.Qualified):
            # Its qualifiers may be from elsewhere in the text.
            assert slice(*node.identifier.span).start >= start, where
            assert node.identifier.span.end <= end, where


@pytest.mark.parametrize("text", USUAL)
def test_usual_filters(text):
    check(text)


@pytest.mark.parametrize("link", LINKS)
def test_generated_expressions(link):
    generator = Generator(SEED, link)
    for _ in range(60):
        check(generator.expression())


def test_errors_of_half_an_expression_keep_their_place():
    text = "port 80 and ip proto \\foo and (ip[0] and"
    broken = parse_partly(text)
    assert isinstance(broken, Unfinished)
    found = [text[slice(*operand.span)] for operand in broken.operands]
    assert found == ["port 80 and ip proto \\foo", "ip[0]"]
