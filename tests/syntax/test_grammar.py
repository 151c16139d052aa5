"""Every production of the grammar, and what follows from it."""

from __future__ import annotations

from itertools import product

import pytest

from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import inherit, tree
from pfcompile.syntax.parser import parse
from pfcompile.syntax.tree import Direction, Junction, Kind, Proto, RelationOp
from tests.syntax.reading import qualified, read, refused

AND, OR = Junction.AND, Junction.OR
TCP, UDP, IP = (tree.Abbreviation(Proto(word)) for word in ("tcp", "udp", "ip"))
SYNTAX_ERROR = "can't parse filter expression: syntax error"


def chain(first, *rest):
    """Return a chain of operands and the junctions between them."""
    return tree.Chain(
        first, tuple(tree.Link(*pair) for pair in zip(*[iter(rest)] * 2, strict=True))
    )


def number(words, value):
    return qualified(words, tree.Number(value))


def name(words, text):
    return qualified(words, tree.Name(text))


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\0", " \0tcp", "\0\0("])
def test_blank_is_everything(text):
    assert parse(text) is None


def test_a_nul_ends_the_text():
    assert read("tcp\0 and (") == TCP


# Logic


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp", TCP),
        ("(tcp)", TCP),
        ("((tcp))", TCP),
        ("not tcp", tree.Not(TCP)),
        ("!tcp", tree.Not(TCP)),
        ("! ! tcp", TCP),
        ("not not not tcp", tree.Not(TCP)),
        ("not (not tcp)", TCP),
        ("tcp and udp", chain(TCP, AND, UDP)),
        ("tcp && udp || ip", chain(TCP, AND, UDP, OR, IP)),
        ("tcp or udp and ip", chain(TCP, OR, UDP, AND, IP)),
        ("tcp or (udp and ip)", chain(TCP, OR, chain(UDP, AND, IP))),
        ("(tcp or udp) and ip", chain(TCP, OR, UDP, AND, IP)),
        ("((tcp) or (udp)) and (ip)", chain(TCP, OR, UDP, AND, IP)),
        ("not tcp or udp", chain(tree.Not(TCP), OR, UDP)),
        ("not (tcp or udp)", tree.Not(chain(TCP, OR, UDP))),
        ("tcp or not udp", chain(TCP, OR, tree.Not(UDP))),
        ("not tcp port 80", tree.Not(number("tcp port", 80))),
    ],
)
def test_logic(text, expected):
    assert read(text) == expected


def test_ten_thousand_terms_are_one_chain():
    node = read("tcp" + " or udp" * 10_000)
    assert isinstance(node, tree.Chain)
    assert len(node.links) == 10_000
    assert read("(" * 5000 + "tcp" + " or udp)" * 5000) == read("tcp" + " or udp" * 5000)


# Qualifiers


@pytest.mark.parametrize("proto", ["", *(proto.value for proto in Proto)])
def test_every_head(proto):
    directions = ["", *(direction.value for direction in Direction)]
    for direction, kind in product(directions, ["", *(kind.value for kind in Kind)]):
        text = " ".join(filter(None, (proto, direction, kind, "6")))
        if kind in {"proto", "protochain", "gateway"} if direction else not kind:
            refused(text)
            continue
        qualifiers = tree.Qualifiers(
            Proto(proto) if proto else None,
            Direction(direction) if direction else None,
            Kind(kind) if kind else None,
        )
        assert read(text) == tree.Qualified(qualifiers, tree.Number(6)), text


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("dst or src", Direction.SRC_OR_DST),
        ("src || dst", Direction.SRC_OR_DST),
        ("dst and src", Direction.SRC_AND_DST),
        ("dst && src", Direction.SRC_AND_DST),
        ("address2", Direction.ADDR2),
    ],
)
def test_other_spellings_of_a_direction(text, direction):
    assert read(f"{text} port 1").qualifiers.direction is direction


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("foo", tree.Name("foo")),
        ("\\tcp", tree.Name("tcp")),
        ("80-90", tree.Name("80-90")),
        ("1", tree.Number(1)),
        ("(1)", tree.Number(1)),
        ("((1))", tree.Number(1)),
        ("tcp-syn", tree.Number(2)),
        ("1.2.3.4", tree.IPv4("1.2.3.4")),
        ("(1.2.3.4)", tree.IPv4("1.2.3.4")),
        ("10.0/8", tree.IPv4("10.0", prefix_length=8)),
        ("10.0 / 0x8", tree.IPv4("10.0", prefix_length=8)),
        ("10.0 mask 255.0", tree.IPv4("10.0", netmask="255.0")),
        ("::1", tree.IPv6("::1")),
        ("fe80::/10", tree.IPv6("fe80::", prefix_length=10)),
        ("1:2:3:4:5:6", tree.Mac(bytes([1, 2, 3, 4, 5, 6]))),
        ("$1f", tree.ArcnetAddress(0x1F)),
    ],
)
def test_identifiers(text, identifier):
    assert read(f"net {text}") == qualified("net", identifier)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port (80 or 443)", chain(number("port", 80), OR, number("port", 443))),
        ("port ((80) or 443)", chain(number("port", 80), OR, number("port", 443))),
        (
            "port (80 or (443 or 22))",
            chain(number("port", 80), OR, chain(number("port", 443), OR, number("port", 22))),
        ),
        ("host (a)", name("host", "a")),
        ("host not a", tree.Not(name("host", "a"))),
        ("host not not a", name("host", "a")),
        ("host (not a)", tree.Not(name("host", "a"))),
        ("host not (a or b)", tree.Not(chain(name("host", "a"), OR, name("host", "b")))),
        (
            "port (not 80 and not 443)",
            chain(tree.Not(number("port", 80)), AND, tree.Not(number("port", 443))),
        ),
        (
            "host (a or b) and c",
            chain(name("host", "a"), OR, name("host", "b"), AND, name("host", "c")),
        ),
        (
            "host a and not (b or c)",
            chain(
                name("host", "a"), AND, tree.Not(chain(name("host", "b"), OR, name("host", "c")))
            ),
        ),
    ],
)
def test_lists_of_identifiers(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host a or b", chain(name("host", "a"), OR, name("host", "b"))),
        (
            "tcp src port 80 and 443",
            chain(number("tcp src port", 80), AND, number("tcp src port", 443)),
        ),
        (
            "host a or (port 1 or 2) or c",
            chain(
                name("host", "a"),
                OR,
                chain(number("port", 1), OR, number("port", 2)),
                OR,
                name("host", "c"),
            ),
        ),
        (
            "tcp port 80 and (host a or b) and 443",
            chain(
                number("tcp port", 80),
                AND,
                chain(name("host", "a"), OR, name("host", "b")),
                AND,
                number("tcp port", 443),
            ),
        ),
        ("not host a or b", chain(tree.Not(name("host", "a")), OR, name("host", "b"))),
        (
            "port 1 or host (a or b) or c",
            chain(
                number("port", 1),
                OR,
                chain(name("host", "a"), OR, name("host", "b")),
                OR,
                name("host", "c"),
            ),
        ),
        ("(tcp port 80) or 443", chain(number("tcp port", 80), OR, number("", 443))),
        ("(port 1 or 2) or 3", chain(number("port", 1), OR, number("port", 2), OR, number("", 3))),
        (
            "((port 1) or 2) or 3",
            chain(number("port", 1), OR, number("", 2), OR, number("", 3)),
        ),
        (
            "src port 9 or (((dst port 1) or 2) or 3)",
            chain(
                number("src port", 9),
                OR,
                chain(number("dst port", 1), OR, number("src port", 2), OR, number("src port", 3)),
            ),
        ),
        ("tcp or 80", chain(TCP, OR, number("", 80))),
        ("tcp or not 80", chain(TCP, OR, tree.Not(number("", 80)))),
        ("tcp or (80 or 443)", chain(TCP, OR, chain(number("", 80), OR, number("", 443)))),
        ("vlan 1 or 2", chain(tree.Encapsulation("vlan", 1), OR, number("", 2))),
        (
            "len > 5 or 6",
            chain(tree.Relation(RelationOp.GT, tree.Length(), tree.Literal(5)), OR, number("", 6)),
        ),
        (
            "host a or (tcp or b)",
            chain(name("host", "a"), OR, chain(TCP, OR, name("", "b"))),
        ),
        ("host a or tcp or b", chain(name("host", "a"), OR, TCP, OR, name("", "b"))),
        (
            "host a or (tcp) or b",
            chain(name("host", "a"), OR, TCP, OR, name("host", "b")),
        ),
        (
            "host a or not (tcp and udp) or b",
            chain(name("host", "a"), OR, tree.Not(chain(TCP, AND, UDP)), OR, name("host", "b")),
        ),
    ],
)
def test_what_an_identifier_inherits(text, expected):
    assert read(text) == expected


# Primitives


@pytest.mark.parametrize("proto", Proto)
def test_protocols_alone(proto):
    assert read(proto.value) == tree.Abbreviation(proto)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("broadcast", tree.Cast("broadcast")),
        ("ether broadcast", tree.Cast("broadcast", Proto.LINK)),
        ("ip6 multicast", tree.Cast("multicast", Proto.IP6)),
        ("less 100", tree.LengthBound("less", 100)),
        ("greater 0x64", tree.LengthBound("greater", 100)),
        *(
            (f"byte 3 {sign} 4", tree.LinkByte(3, "=" if sign == "==" else sign, 4))
            for sign in ("=", "==", "<", ">", "&", "|")
        ),
        ("inbound", tree.Way("inbound")),
        ("outbound", tree.Way("outbound")),
        ("ifindex 3", tree.InterfaceIndex(3)),
        *(
            (word, tree.Encapsulation(word))
            for word in ("vlan", "mpls", "pppoes", "geneve", "vxlan", "pppoed")
        ),
        *(
            (f"{word} 7", tree.Encapsulation(word, 7))
            for word in ("vlan", "mpls", "pppoes", "geneve", "vxlan")
        ),
        ("vlan ((7))", tree.Encapsulation("vlan", 7)),
        ("llc", tree.Llc()),
        ("llc i", tree.Llc("i")),
        ("llc \\s", tree.Llc("s")),
        ("llc rnr", tree.Llc("rnr")),
        ("llc rulenum", tree.Llc("rnr")),
        ("type mgt", tree.WlanType("mgt", None)),
        ("type 0", tree.WlanType(0, None)),
        ("type mgt subtype beacon", tree.WlanType("mgt", "beacon")),
        ("type 0 subtype 0x80", tree.WlanType(0, 0x80)),
        ("subtype beacon", tree.WlanType(None, "beacon")),
        ("tcp type mgt", tree.WlanType("mgt", None)),
        ("wlan subtype beacon", tree.WlanType(None, "beacon")),
        ("dir nods", tree.WlanDirection("nods")),
        ("wlan direction 3", tree.WlanDirection(3)),
        ("ifname eth0", tree.PacketFilter("ifname", "eth0")),
        ("on eth0", tree.PacketFilter("ifname", "eth0")),
        ("ruleset x", tree.PacketFilter("ruleset", "x")),
        ("rset x", tree.PacketFilter("ruleset", "x")),
        ("rnr 1", tree.PacketFilter("rnr", 1)),
        ("rulenum 1", tree.PacketFilter("rnr", 1)),
        ("srnr 1", tree.PacketFilter("srnr", 1)),
        ("subrulenum 1", tree.PacketFilter("srnr", 1)),
        ("reason match", tree.PacketFilter("reason", "match")),
        ("reason 3", tree.PacketFilter("reason", 3)),
        ("action pass", tree.PacketFilter("action", "pass")),
        *(
            (word, tree.AtmType(word))
            for word in (
                *("lane", "metac", "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc", "sc", "ilmic"),
                *("connectmsg", "metaconnect"),
            )
        ),
        *((word, tree.Ss7Unit(word)) for word in ("fisu", "lssu", "msu", "hfisu", "hlssu", "hmsu")),
        ("lsu", tree.Ss7Unit("lssu")),
        *(
            (f"{word} 5", tree.FieldValue(word, RelationOp.EQ, (5,)))
            for word in (
                *("vpi", "vci", "sio", "opc", "dpc", "sls", "hsio", "hopc", "hdpc", "hsls"),
            )
        ),
        *((f"vci {op.value} 5", tree.FieldValue("vci", op, (5,))) for op in RelationOp),
        ("vci == 5", tree.FieldValue("vci", RelationOp.EQ, (5,))),
        ("sio (5)", tree.FieldValue("sio", RelationOp.EQ, (5,))),
        ("sio (5 or 6 || 7)", tree.FieldValue("sio", RelationOp.EQ, (5, 6, 7))),
    ],
)
def test_simple_primitives(text, expected):
    assert read(text) == expected


# Arithmetic


def leaf(value):
    if isinstance(value, int):
        return tree.Literal(value)
    if isinstance(value, tuple) and len(value) == 2:
        return tree.Negate(leaf(value[1]))
    if isinstance(value, tuple):
        left, sign, right = value
        return tree.Binary(ArithmeticOp(sign), leaf(left), leaf(right))
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # From the table: `%` and `^` never got a precedence.
        ("10 % 4 * 3", (10, "%", (4, "*", 3))),
        ("10 % 7 % 2", (10, "%", (7, "%", 2))),
        ("6 ^ 3 & 1", (6, "^", (3, "&", 1))),
        ("2 * 7 % 4", (2, "*", (7, "%", 4))),
        ("5 % 3 + 1", (5, "%", (3, "+", 1))),
        ("-7 % 4", ("-", (7, "%", 4))),
        ("1 + 2 * 3 ^ 4 | 5", (1, "+", (2, "*", (3, "^", (4, "|", 5))))),
        ("(10 % 4) * 3", ((10, "%", 4), "*", 3)),
        ("1 | 2 % 3 | 4", (1, "|", (2, "%", (3, "|", 4)))),
        # The others, from loose to tight, all to the left.
        ("1 | 2 & 3", (1, "|", (2, "&", 3))),
        ("1 & 2 | 3", ((1, "&", 2), "|", 3)),
        ("1 & 2 << 3", (1, "&", (2, "<<", 3))),
        ("1 << 2 + 3", (1, "<<", (2, "+", 3))),
        ("1 >> 2 - 3", (1, ">>", (2, "-", 3))),
        ("1 + 2 * 3", (1, "+", (2, "*", 3))),
        ("1 - 2 / 3", (1, "-", (2, "/", 3))),
        ("-1 * 2", (("-", 1), "*", 2)),
        ("1 * -2", (1, "*", ("-", 2))),
        ("1 - -2", (1, "-", ("-", 2))),
        ("--1", ("-", ("-", 1))),
        ("-(1 + 2)", ("-", (1, "+", 2))),
        ("1 - 2 - 3", ((1, "-", 2), "-", 3)),
        ("1 - (2 - 3)", (1, "-", (2, "-", 3))),
        ("1 / 2 * 3", ((1, "/", 2), "*", 3)),
        ("1 << 2 >> 3", ((1, "<<", 2), ">>", 3)),
        ("1 + 2 - 3", ((1, "+", 2), "-", 3)),
        ("1 & 2 & 3", ((1, "&", 2), "&", 3)),
        ("1 | 2 | 3", ((1, "|", 2), "|", 3)),
        ("((5))", 5),
        ("icmp-echo", 8),
        ("len", tree.Length()),
        ("length", tree.Length()),
        ("ip[8]", tree.Accessor(Proto.IP, tree.Literal(8))),
        ("ether[0 : 4]", tree.Accessor(Proto.LINK, tree.Literal(0), 4)),
        ("ip[2:3]", tree.Accessor(Proto.IP, tree.Literal(2), 3)),
        ("tcp[tcpflags]", tree.Accessor(Proto.TCP, tree.Literal(13))),
        (
            "tcp[ip[0] & 15:2]",
            tree.Accessor(
                Proto.TCP,
                tree.Binary(
                    ArithmeticOp.AND, tree.Accessor(Proto.IP, tree.Literal(0)), tree.Literal(15)
                ),
                2,
            ),
        ),
    ],
)
def test_arithmetic(text, expected):
    relation = tree.Relation(RelationOp.EQ, leaf(expected), tree.Literal(0))
    assert read(f"{text} = 0") == relation
    assert read(f"0 = {text}").right == relation.left
    assert read(f"not ({text} = 0) and tcp").first == tree.Not(relation)


@pytest.mark.parametrize("op", RelationOp)
def test_relations(op):
    expected = tree.Relation(op, tree.Length(), tree.Literal(1))
    assert read(f"len {op.value} 1") == expected
    assert read(f"(len) {op.value} (1)") == expected
    assert read(f"((len {op.value} 1))") == expected


# What is no expression


@pytest.mark.parametrize(
    "text",
    [
        *("tcp udp", "1.2.3.4", "foo", "80", "::1", "tcp 1.2.3.4", "decnet 1.2", "src proto 6"),
        *("src gateway x", "host src x", "net 10/8", "net 10 mask 255.0.0.0", "less (5)"),
        *("subtype 0x80", "action 1", "1-1=0", "host ((a))", "port ((1 or 2) or 3)"),
        *("host (a or tcp)", "(", ")", "()", "(tcp", "tcp)", "and", "tcp and", "and tcp"),
        *("tcp and and udp", "not", "tcp not", "not 80", "not foo", "(80)", "(foo)", "port"),
        *("src", "tcp port", "src or", "src or dst", "src or src 1", "src and dst and src 1"),
        *("len", "len >", "> 5", "len > 5 > 4", "1 = 2 = 3", "ip[8]", "ip[]", "ip[8] = ", "ip[8"),
        *("ip[8:] = 1", "ip[:1] = 1", "ip[0:ip[0]] = 1", "ip[0:(1)] = 1"),
        *("foo[0] = 1", "tcp[0] + 1", "1 +", "* 1 = 1", "1 ~ 1 = 0", "len <> 5", "len => 5"),
        *("host 1.2.3.4 / 8 / 8", "host 1.2.3.4/(8)", "host 1.2.3.4 mask 8", "host a/8"),
        *("host ::1 mask ::1", "host ::1/::1", "host [::1]", "host fe80::1%eth0", "port 80,443"),
        *("byte 0 != 1", "byte 0 >= 1", "byte 0", "byte ip[0] = 1", "vlan foo", "vlan (1 or 2)"),
        *("vlan -1", "vlan > 5", "pppoed 1", "less", "less foo", "ifindex foo", "ifindex (1)"),
        *("llc 1", "llc tcp", "llc srnr", "type", "type tcp", "type mgt subtype", "dir", "dir tcp"),
        *("subtype beacon type mgt", "ifname 1", "ruleset 1", "rnr foo", "reason", "reason tcp"),
        *("vci", "vci foo", "vci (1", "vci (1 and 2)", "vci ((1))", "vci (1 or (2))", "vci > (1)"),
        *("lane 1", "tcp broadcast 1", "src broadcast", "host broadcast", "proto tcp", "host tcp"),
        *("ip proto udp", "gateway", "host host", "TCP", "Tcp port 80", "tcp AND udp"),
        *("ra", "addr1 or addr2 1:2:3:4:5:6", "$", "\\", "host \\", "port \\ 80", "inbound 1"),
    ],
)
def test_syntax_errors(text):
    error = refused(text)
    assert error.message.startswith(SYNTAX_ERROR)
    assert error.text == text
    start, end = error.span
    assert 0 <= start <= end <= len(text)
    assert "\n" not in error.message


# Depth


@pytest.mark.parametrize(
    "text",
    [
        "(tcp or " * 200 + "udp" + ")" * 200,
        "not (tcp or " * 200 + "udp" + ")" * 200,
        " + ".join(["1"] * 200) + " = 0",
        "-" * 200 + "1 = 0",
        "ip[" * 200 + "0" + "]" * 200 + " = 0",
        "1 % " * 200 + "1 = 0",
        "port (1 or " + "(1 or " * 200 + "2" + ")" * 201,
    ],
)
def test_too_deep(text):
    assert refused(text).message == "expression is nested too deeply: more than 100 levels"


@pytest.mark.parametrize(
    "text",
    [
        "(tcp or " * (inherit.MAX_DEPTH // 2) + "udp" + ")" * (inherit.MAX_DEPTH // 2),
        " + ".join(["1"] * (inherit.MAX_DEPTH // 2)) + " = 0",
        "(" * 5000 + "tcp" + ")" * 5000,
        "not " * 5001 + "tcp",
        "port " + "(" * 5000 + "80" + ")" * 5000,
    ],
)
def test_deep_enough(text):
    read(text)
