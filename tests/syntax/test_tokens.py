"""Every row of the language's table of tokens."""

from __future__ import annotations

import ipaddress

import pytest

from pfcompile.errors import FilterError
from pfcompile.facts.named_constants import NAMED_CONSTANTS
from pfcompile.syntax.keywords import BAD, KEYWORDS, OPERATORS
from pfcompile.syntax.lexer import tokenize, word_kind
from pfcompile.syntax.tree import Direction, Kind, Proto

# The keywords as the manual lists them, a slash between aliases.
KEYWORD_LIST = (
    *("src", "dst", "link/ether/ppp/slip/fddi/tr/wlan", "arp", "rarp", "ip", "ip6", "sctp"),
    *("tcp", "udp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "carp", "ah", "esp"),
    *("radio", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso"),
    *("esis/es-is", "isis/is-is", "clnp", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp"),
    *("stp", "ipx", "netbeui", "host", "net", "mask", "port", "portrange", "proto"),
    *("protochain", "gateway", "and", "or", "not", "less", "greater", "byte", "broadcast"),
    *("multicast", "len/length", "inbound", "outbound", "ifindex", "vlan", "mpls"),
    *("pppoed", "pppoes", "geneve", "vxlan", "llc", "type", "subtype", "dir/direction"),
    *("addr1/address1", "addr2/address2", "addr3/address3", "addr4/address4", "ra", "ta"),
    *("lane", "metac", "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc", "sc", "ilmic", "vpi"),
    *("vci", "connectmsg", "metaconnect", "ifname/on", "ruleset/rset", "rnr/rulenum"),
    *("srnr/subrulenum", "reason", "action", "fisu", "lssu/lsu", "msu", "hfisu", "hlssu"),
    *("hmsu", "sio", "opc", "dpc", "sls", "hsio", "hopc", "hdpc", "hsls"),
)

MAC = bytes([1, 2, 3, 4, 5, 6])


def tokens(text):
    """Return the kind, text and value of every token."""
    lexer, found = tokenize(text), []
    while (token := lexer.token()) is not None:
        if token.type == BAD:
            raise token.value
        found.append((token.type, token.value.text, token.value.value))
    return found


def kinds(text):
    return [(kind, written) for kind, written, _ in tokens(text)]


def one(text):
    """Return the kind and value of a text that is one token."""
    ((kind, written, value),) = tokens(text)
    assert written == text
    return kind, value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 1),
        ("4294967295", 0xFFFFFFFF),
        ("010", 8),
        ("00", 0),
        ("0777", 0o777),
        ("0037777777777", 0xFFFFFFFF),
        ("0x0", 0),
        ("0X1f", 31),
        ("0xFFFFFFFF", 0xFFFFFFFF),
        ("0x00000000000000000001", 1),
        ("0000000000000000000000001", 1),
        ("0012345670123", 0o12345670123 & 0xFFFFFFFF),
    ],
)
def test_numbers(text, value):
    assert one(text) == ("NUM", value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("08", "number 08 contains non-octal digit"),
        ("0129", "number 0129 contains non-octal digit"),
        ("4294967296", "decimal number 4294967296 overflows 32 bits"),
        ("0x100000000", "hexadecimal number 0x100000000 overflows 32 bits"),
        ("040000000000", None),  # twelve digits: a MAC address
        ("0040000000000", "octal number 0040000000000 overflows 32 bits"),
    ],
)
def test_numbers_that_are_none(text, message):
    if message is None:
        assert one(text)[0] == "MAC"
        return
    with pytest.raises(FilterError) as caught:
        tokens(text)
    assert caught.value.message == message


def test_a_number_of_any_length_is_judged():
    with pytest.raises(FilterError, match="overflows 32 bits"):
        tokens("1" * 100_000 + "1")
    assert one("0" * 100_000 + "7") == ("NUM", 7)


@pytest.mark.parametrize("text", ["0x", "1e5", "80x", "0xfg", "1-1", "80-90", "a..b", "x_y", "1."])
def test_words_that_only_begin_like_numbers(text):
    assert one(text) == ("ID", text)


@pytest.mark.parametrize(
    "text",
    [
        "01:02:03:04:05:06",
        "1:2:3:4:5:6",
        "01-02-03-04-05-06",
        "1-2-3-4-5-6",
        "01.02.03.04.05.06",
        "1.2.3.4.5.6",
        "0102.0304.0506",
        "010203040506",
    ],
)
def test_macs(text):
    assert one(text) == ("MAC", MAC)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("123456789012", "123456789012"),
        ("deadbeefcafe", "deadbeefcafe"),
        ("DeadBeefCafe", "deadbeefcafe"),
        ("abcd.ef01.2345", "abcdef012345"),
        ("a-b-c-d-e-f", "0a0b0c0d0e0f"),
        ("012345670123", "012345670123"),
    ],
)
def test_macs_win_over_what_else_they_could_be(text, address):
    assert one(text) == ("MAC", bytes.fromhex(address))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("01:02-03:04-05:06", None),
        ("0102-0304-0506", "ID"),
        ("1.2.3.4.5", "ID"),
        ("1.2.3.4.5.6.7", "ID"),
        ("a-b-c-d-e-f-0", "ID"),
        ("123456789012a", "ID"),
        ("001:2:3:4:5:6", None),
        ("1-2-3-4-5-678", "ID"),
    ],
)
def test_what_is_no_mac(text, kind):
    assert word_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("1:2:3", "1:2:"),
        ("1:2:3:4:5", "1:2:3:4:"),
        ("1::2::3", "1::2::"),
        ("1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:"),
        ("aa:bb:", "aa:bb:"),
        ("1::2::3:4", "1::2::3:"),
    ],
)
def test_bad_macs(text, bad):
    with pytest.raises(FilterError) as caught:
        tokens(text)
    assert caught.value.message == f"invalid Ethernet address {bad}"
    assert caught.value.span == (0, len(bad))


def test_a_pair_of_hex_bytes_is_no_bad_mac():
    assert kinds("1:2") == [("NUM", "1"), ("COLON", ":"), ("NUM", "2")]


@pytest.mark.parametrize(
    "text", ["1.2", "1.2.3", "1.2.3.4", "010.1", "255.255.255.255", "1.2.3.256", "0x1.2"]
)
def test_ipv4(text):
    assert one(text) == ("IPV4", text)


def shapes():
    """Every shape of an IPv6 address: where `::` stands, and whether the tail is dotted."""
    groups = [f"{n:x}" for n in (0xFE80, 2, 0xABC, 4, 0xF00D, 6, 7, 0x1234)]
    yield ":".join(groups)
    yield ":".join([*groups[:6], "1.2.3.4"])
    for before in range(8):
        for after in range(8 - before):
            head = ":".join(groups[:before])
            yield f"{head}::{':'.join(groups[8 - after :])}"
            if after >= 2:
                yield f"{head}::{':'.join([*groups[8 - after : 6], '1.2.3.4'])}"


@pytest.mark.parametrize("text", sorted(set(shapes())))
def test_every_shape_of_an_ipv6_address(text):
    assert ipaddress.IPv6Address(text)
    assert one(text) == ("IPV6", text)
    assert one(text.upper()) == ("IPV6", text.upper())


@pytest.mark.parametrize("text", ["::", "::1", "1::", "2001:db8::", "::ffff:1.2.3.4"])
def test_usual_ipv6(text):
    assert one(text) == ("IPV6", text)


def test_ipv6_that_only_looks_right():
    with pytest.raises(FilterError, match=r"invalid IPv6 address ::1\.2\.3\.256"):
        tokens("::1.2.3.256")
    with pytest.raises(FilterError, match=r"invalid IPv6 address ::0x1\.2\.3\.4"):
        tokens("::0x1.2.3.4")


def test_zones_and_brackets_are_no_part_of_an_address():
    assert kinds("fe80::1%eth0") == [("IPV6", "fe80::1"), ("PERCENT", "%"), ("ID", "eth0")]
    assert kinds("[::1]")[1] == ("IPV6", "::1")


def test_arcnet():
    assert one("$1") == ("ARCNET", 1)
    assert one("$fF") == ("ARCNET", 255)
    assert kinds("$1ff") == [("ARCNET", "$1f"), ("ID", "f")]
    with pytest.raises(FilterError, match="syntax error"):
        tokens("$x")


@pytest.mark.parametrize("text", ["foo", "www.example.com", "a-b", "a_b", "9lives", "x.", "TCP"])
def test_names(text):
    assert one(text) == ("ID", text)


def test_a_name_ends_before_a_dash_and_a_low_line():
    assert kinds("a-") == [("ID", "a"), ("MINUS", "-")]
    assert kinds("80-") == [("NUM", "80"), ("MINUS", "-")]
    with pytest.raises(FilterError, match="'_'"):
        tokens("a_")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\\tcp", "tcp"),
        ("\\tcp&&udp", "tcp&&udp"),
        ("\\\\x", "\\x"),
        ("\\80", "80"),
        ("\\a,b;\u00e9", "a,b;\u00e9"),
        ("\\a\rb", "a\rb"),
    ],
)
def test_escaped_names(text, value):
    assert one(text) == ("ID", value)


@pytest.mark.parametrize("end", [" ", "\t", "\n", "!", "(", ")"])
def test_what_ends_an_escaped_name(end):
    assert tokens(f"\\tcp{end}")[0] == ("ID", "\\tcp", "tcp")


@pytest.mark.parametrize(("text", "kind"), OPERATORS.items())
def test_operators(text, kind):
    assert one(text) == (kind, text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<=", ["<="]),
        ("<<=", ["<<", "="]),
        ("<>", ["<", ">"]),
        ("=>", ["=", ">"]),
        ("===", ["==", "="]),
        ("!!=", ["!", "!="]),
        ("&&&", ["&&", "&"]),
        ("|||", ["||", "|"]),
        (">>>=", [">>", ">="]),
    ],
)
def test_the_longest_operator_wins(text, parts):
    assert [written for _, written, _ in tokens(text)] == parts


def test_every_keyword_and_alias():
    assert {word for words in KEYWORD_LIST for word in words.split("/")} == set(KEYWORDS)


@pytest.mark.parametrize("words", KEYWORD_LIST)
def test_aliases_mean_the_same(words):
    first, *others = words.split("/")
    assert all(one(other) == one(first) for other in others)
    if first != "src":
        assert one(first) != one("src")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        *((proto.value, "PROTOCOL", proto) for proto in Proto),
        ("ether", "PROTOCOL", Proto.LINK),
        ("es-is", "PROTOCOL", Proto.ESIS),
        ("host", "KIND", Kind.HOST),
        ("protochain", "BARE_KIND", Kind.PROTOCHAIN),
        ("address3", "WLAN_ADDRESS", Direction.ADDR3),
        ("lsu", "SS7_UNIT", "lssu"),
        ("on", "PF_NAME", "ifname"),
        ("rset", "PF_NAME", "ruleset"),
        ("rulenum", "RNR", "rnr"),
        ("subrulenum", "SRNR", "srnr"),
    ],
)
def test_what_keywords_mean(text, kind, value):
    assert one(text) == (kind, value)


@pytest.mark.parametrize("text", ["TCP", "Host", "AND", "tcp2", "host-a", "ip.addr", "tcp_x"])
def test_what_is_no_keyword(text):
    assert one(text) == ("ID", text)


@pytest.mark.parametrize(("text", "value"), NAMED_CONSTANTS.items())
def test_named_constants(text, value):
    assert one(text) == ("NUM", value)
    assert one(text.upper()) == ("ID", text.upper())


def test_tokens_need_no_blanks_between_them():
    assert kinds("tcp[13]&2!=0&&!ip6") == [
        ("PROTOCOL", "tcp"),
        ("LBRACKET", "["),
        ("NUM", "13"),
        ("RBRACKET", "]"),
        ("AMPERSAND", "&"),
        ("NUM", "2"),
        ("NE", "!="),
        ("NUM", "0"),
        ("AND", "&&"),
        ("NOT", "!"),
        ("PROTOCOL", "ip6"),
    ]


def test_whitespace():
    assert kinds(" \t\r\ntcp\r\n") == [("PROTOCOL", "tcp")]
    assert tokens(" \t\r\n") == []


@pytest.mark.parametrize(
    "character", ["\x0b", "\x0c", "\xa0", "\u00e9", "\u0661", ",", "~", "{", "_", "."]
)
def test_other_characters_are_errors(character):
    with pytest.raises(FilterError) as caught:
        tokens(f"tcp {character}")
    assert caught.value.message.startswith("can't parse filter expression: syntax error")
    assert caught.value.span == (4, 5)
