"""Every message of libpcap's that can come up begins with libpcap's words, and shows the place.

The golden files have the usual case of most messages (tests/golden/errors_*.txt); the table below
has the forms that they leave out, and the last test holds both to the list of all messages.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.names.answers import Host, Service
from pfcompile.names.resolvers import StaticResolver
from tests.oracles.libpcap import Refused

ETHERNET = "EN10MB"
GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("errors_*.txt"))

RESOLVER = StaticResolver(
    hosts={
        "four": Host.of(["10.0.0.4"]),
        "router": Host.of(["10.0.0.1"]),
        "crowd": Host.of([f"10.0.1.{number}" for number in range(101)]),
        "crowd6": Host.of([f"2001:db8::{number:x}" for number in range(101)]),
    },
    networks={"corp": 0x0A01},
    services={
        "onlytcp": Service(tcp=4000),
        "onlyudp": Service(udp=4001),
        "otherudp": Service(udp=4002),
    },
    ethers={"router": 0x001122334455},
)

# Link type, filter, what is pointed at, the message.
TABLE = (
    # Numbers and addresses as they are read.
    (ETHERNET, "len = 0x1ffffffff", "0x1ffffffff", "hexadecimal number 0x1ffffffff overflows 32"),
    (ETHERNET, "len = 0777777777777", "0777777777777", "octal number 0777777777777 overflows 32"),
    (ETHERNET, "port 09", "09", "number 09 contains non-octal digit"),
    (ETHERNET, "host ::ffff:1.2.3.256", "::ffff:1.2.3.256",
     "invalid IPv6 address ::ffff:1.2.3.256"),
    (ETHERNET, "ether host 1::2::3", "1::2::", "invalid Ethernet address 1::2::"),
    (ETHERNET, "host 0x1.2.3.4", "0x1.2.3.4", "invalid IPv4 address '0x1.2.3.4'"),
    (ETHERNET, "net 10.0.0.0 mask 255.0.0.256", "10.0.0.0 mask 255.0.0.256",
     "invalid IPv4 address '255.0.0.256'"),
    # Qualifiers that do not go together.
    (ETHERNET, "tcp or 80", "80", "syntax error in filter expression"),
    (ETHERNET, "(tcp port 80) or http", "http", "syntax error in filter expression"),
    (ETHERNET, "udp proto 3", "udp proto 3", "'udp' is not a valid qualifier for 'proto'"),
    (ETHERNET, "tcp protochain 3", "tcp protochain 3",
     "'tcp' is not a valid qualifier for 'protochain'"),
    (ETHERNET, "addr1 port 80", "addr1 port 80", "'addr1' is not a valid qualifier for 'port'"),
    (ETHERNET, "ra portrange 1-2", "ra portrange 1-2",
     "'ra' is not a valid qualifier for 'portrange'"),
    (ETHERNET, "addr1 net 10.0.0.0/8", "addr1 net 10.0.0.0/8",
     "'addr1' is valid for 802.11 syntax only"),
    (ETHERNET, "ra host four", "ra host four", "'ra' is valid for 802.11 syntax only"),
    (ETHERNET, "ta host ::1", "ta host ::1", "'ta' is valid for 802.11 syntax only"),
    (ETHERNET, "decnet addr3 1.2", "decnet addr3 1.2", "'addr3' is valid for 802.11 syntax only"),
    (ETHERNET, "host 10.0.0.0/8", "host 10.0.0.0/8",
     "'host' is not a valid qualifier for '10.0.0.0/8'"),
    (ETHERNET, "host 10.0.0.0 mask 255.0.0.0", "host 10.0.0.0 mask 255.0.0.0",
     "'host' is not a valid qualifier for '10.0.0.0 mask 255.0.0.0'"),
    (ETHERNET, "src ::1/64", "src ::1/64", "'host' is not a valid qualifier for '::1/64'"),
    (ETHERNET, "arp host ::1", "arp host ::1",
     "'arp' is not a valid qualifier for 'host <IPv6 address>'"),
    (ETHERNET, "ip net ::1/128", "ip net ::1/128",
     "'ip' is not a valid qualifier for 'net <IPv6 prefix>'"),
    (ETHERNET, "tcp src ::1", "tcp src ::1",
     "'tcp' is not a valid qualifier for 'net <IPv6 prefix>'"),
    (ETHERNET, "udp net 10.0.0.0/8", "udp net 10.0.0.0/8",
     "'udp' is not a valid qualifier for 'net <IPv4 prefix>'"),
    (ETHERNET, "ip6 net corp", "ip6 net corp",
     "'ip6' is not a valid qualifier for 'net <IPv4 network name>'"),
    (ETHERNET, "tcp host four", "tcp host four",
     "'tcp' is not a valid qualifier for 'host <Internet hostname>'"),
    (ETHERNET, "ip6 gateway router", "ip6 gateway router",
     "'ip6' is not a valid qualifier for 'gateway'"),
    (ETHERNET, "gateway ::1", "::1", "'gateway' is not a valid qualifier for '::1'"),
    (ETHERNET, "gateway 5", "5", "'gateway' is not a valid qualifier for 'decimal value'"),
    (ETHERNET, "port $1f", "port $1f", "'port' is not a valid qualifier for '$XX'"),
    (ETHERNET, "decnet net 10", "decnet net 10", "'decnet' is not a valid qualifier for 'net'"),
    (ETHERNET, "decnet port 80", "decnet port 80", "'decnet' is not a valid qualifier for 'port'"),
    (ETHERNET, "tcp broadcast", "tcp broadcast", "'tcp' is not a valid qualifier for 'broadcast'"),
    (ETHERNET, "arp multicast", "arp multicast", "'arp' is not a valid qualifier for 'multicast'"),
    (ETHERNET, "ip6 broadcast", "ip6 broadcast", "'ip6' is not a valid qualifier for 'broadcast'"),
    (ETHERNET, "port 10.0.0.0/8", "10.0.0.0/8",
     "'port' qualifier applied to IPv4 address and prefix length"),
    (ETHERNET, "port 10.0.0.0 mask 255.0.0.0", "10.0.0.0 mask 255.0.0.0",
     "'port' qualifier applied to IPv4 address and netmask"),
    (ETHERNET, "protochain ::1", "::1", "'protochain' qualifier applied to IPv6 address"),
    (ETHERNET, "proto ::1/64", "::1/64",
     "'proto' qualifier applied to IPv6 address and prefix length"),
    (ETHERNET, "ether net corp", "ether net corp", "illegal link-layer address 'corp'"),
    (ETHERNET, "gateway 1:2:3:4:5:6", "gateway 1:2:3:4:5:6",
     "Ethernet address used in non-ether expression"),
    (ETHERNET, "decnet src 70", "70", "invalid DECnet address '70'"),
    (ETHERNET, "decnet host 1.1.1", "1.1.1", "invalid DECnet address '1.1.1'"),
    # Names.
    (ETHERNET, "host crowd", "crowd", "More than 100 IPv4 addresses per name"),
    (ETHERNET, "host crowd6", "crowd6", "More than 100 IPv6 addresses per name"),
    (ETHERNET, "udp protochain foo", "foo", "unknown 'udp protochain' value 'foo'"),
    (ETHERNET, "isis proto foo", "foo", "unknown 'isis proto' value 'foo'"),
    (ETHERNET, "udp portrange onlytcp-onlytcp", "onlytcp-onlytcp",
     "port in range 'onlytcp-onlytcp' is tcp"),
    (ETHERNET, "tcp portrange onlyudp-otherudp", "onlyudp-otherudp",
     "port in range 'onlyudp-otherudp' is udp"),
    (ETHERNET, "portrange 80-0x", "80-0x", "'0x' is not a valid port"),
    # What a link type does not have.
    (ETHERNET, "oamf4", "oamf4", "'oamf4' supported only on SUNATM"),
    (ETHERNET, "connectmsg", "connectmsg", "'connectmsg' supported only on SUNATM"),
    (ETHERNET, "lssu", "lssu", "'lssu' supported only on SS7"),
    (ETHERNET, "lsu", "lsu", "'lssu' supported only on SS7"),
    (ETHERNET, "hopc 3", "hopc 3", "'hopc' supported only on SS7"),
    (ETHERNET, "on eth0", "on eth0", "'ifname' supported only on PFLOG linktype"),
    (ETHERNET, "rset x", "rset x", "'ruleset' supported only on PFLOG linktype"),
    (ETHERNET, "rulenum 3", "rulenum 3", "'rnr' supported only on PFLOG linktype"),
    (ETHERNET, "subrulenum 3", "subrulenum 3", "'srnr' supported only on PFLOG linktype"),
    (ETHERNET, "pppoes 1 and vlan", "vlan",
     "'vlan' not supported on DLT_PPP (Point-to-Point Protocol)"),
    (ETHERNET, "pppoes and llc", "llc",
     "'llc' not supported on DLT_PPP (Point-to-Point Protocol)"),
    ("NETANALYZER", "llc", "llc", "'llc' not supported on DLT_NETANALYZER (Ethernet with Hilscher"),
    ("SUNATM", "broadcast", "broadcast", "'broadcast' not supported on DLT_SUNATM (Sun raw ATM)"),
    ("SUNATM", "ether host 1:2:3:4:5:6", "ether host 1:2:3:4:5:6",
     "'link host XX:XX:XX:XX:XX:XX' not supported on DLT_SUNATM (Sun raw ATM)"),
    ("PPI", "vlan", "vlan", "'vlan' not supported on DLT_PPI (Per-Packet Information)"),
    ("BACNET_MS_TP", "multicast", "multicast",
     "'multicast' not supported on DLT_BACNET_MS_TP (BACnet MS/TP)"),
    ("112", "vlan", "vlan", "'vlan' not supported on DLT 112"),
    ("205", "tcp port 80", "tcp port 80", "link-layer type filtering not implemented for DLT 205"),
    ("MTP2", "ip", "ip", "link-layer type filtering not implemented for DLT_MTP2 (SS7 MTP2)"),
    ("USER0", "ifindex 1", "ifindex 1",
     "not a live capture, 'ifindex' not supported on DLT_USER0 (Private use 0)"),
    # Tunnels.
    (ETHERNET, "vlan 1 and mpls and vlan", "vlan", "no VLAN match after MPLS"),
    (ETHERNET, "mpls and iso", "iso", "unsupported protocol over mpls"),
    (ETHERNET, "geneve and gateway router", "router",
     "'gateway' cannot be used within VXLAN or Geneve"),
    (ETHERNET, "vxlan and protochain 6", "protochain 6",
     "'protochain' not supported with variable length headers"),
    # Names are looked at before the link type.
    ("RAW", "reason nosuch", "reason nosuch", 'unknown PF reason "nosuch"'),
    ("RAW", "action nosuch", "action nosuch", 'unknown PF action "nosuch"'),
    ("RAW", "llc nosuch", "llc nosuch", 'unknown LLC type name "nosuch"'),
    ("RAW", "type nosuch", "type nosuch", 'unknown 802.11 type name "nosuch"'),
    ("RAW", "type 12 subtype ack", "type 12 subtype ack", "unknown 802.11 type"),
    ("RAW", "subtype nosuch", "subtype nosuch", "unknown 802.11 type name"),
    ("RAW", "dir 5", "dir 5", "invalid 802.11 direction value 0x5"),
    ("RAW", "on abcdefghijklmnop", "on abcdefghijklmnop",
     "ifname interface names can only be 15 characters"),
)  # fmt: skip


def error_of(link, text):
    with pytest.raises(FilterError) as caught:
        compile_text(text, link, resolver=RESOLVER)
    return caught.value


@pytest.mark.parametrize(("link", "text", "place", "words"), TABLE, ids=lambda value: value)
def test_message(link, text, place, words):
    error = error_of(link, text)
    assert error.message.startswith(words)
    assert error.span is not None
    assert text[error.span.start : error.span.end] == place
    # The drawing has the place underlined.
    _, line, carets, *hints = str(error).splitlines()
    assert line.strip() == text
    assert carets.index("^") - line.index(text) == text.rindex(place)
    assert carets.count("^") == len(place)
    assert all(hint.startswith("    hint: ") for hint in hints)


@pytest.mark.parametrize("number", ["13", "17", "52", "305", "999"])
def test_an_unknown_link_type(number):
    for text in ("", "ip"):
        with pytest.raises(ValueError, match=f"^unknown data link type {number}$"):
            compile_text(text, number)


def test_a_snapshot_length_of_zero():
    with pytest.raises(FilterError, match=r"^snaplen of 0 rejects all packets"):
        compile_text("ip", snaplen=0)


def test_what_libpcap_has_no_registers_for_compiles(libpcap):
    text = "len" + "".join(f" + (ip[{number}]" for number in range(17)) + ")" * 17 + " = 3"
    with pytest.raises(Refused, match="too many registers needed to evaluate expression"):
        libpcap.compile(text, 1)
    assert compile_text(text).instructions


# The messages of the language, %s for what depends on the filter; those that only other builds of
# libpcap have, or that no filter can bring up, are left out.
MESSAGES = (
    "can't parse filter expression: syntax error",
    "syntax error in filter expression",
    "number %s contains non-octal digit",
    "decimal number %s overflows 32 bits",
    "hexadecimal number %s overflows 32 bits",
    "octal number %s overflows 32 bits",
    "invalid IPv6 address %s",
    "invalid Ethernet address %s",
    "invalid IPv4 address '%s'",
    "unknown data link type %s",
    "snaplen of 0 rejects all packets",
    "expression rejects all packets",
    "link-layer type filtering not implemented for %s",
    *(
        f"'{word}' not supported on %s"
        for word in (
            "vlan", "mpls", "llc", "broadcast", "multicast", "gateway", "type/subtype", "dir",
            "link host NAME", "link host XX:XX:XX:XX:XX:XX", "link host $XX",
        )
    ),
    *(
        f"not a live capture, '{word}' not supported on %s"
        for word in ("inbound", "outbound", "ifindex")
    ),
    "'%s' supported only on SUNATM",
    "'%s' supported only on SS7",
    *(
        f"'{word}' supported only on PFLOG linktype"
        for word in ("ifname", "ruleset", "rnr", "srnr", "reason", "action")
    ),
    "'%s' is not a valid qualifier for '%s'",
    "'%s' qualifier applied to IPv4 address",
    "'%s' qualifier applied to IPv4 address and prefix length",
    "'%s' qualifier applied to IPv4 address and netmask",
    "'%s' qualifier applied to IPv6 address",
    "'%s' qualifier applied to IPv6 address and prefix length",
    "'%s' is valid for 802.11 syntax only",
    "Ethernet address used in non-ether expression",
    "'link' is the only valid proto qualifier for 'host $XX'",
    "illegal link-layer address '%s'",
    "unknown host '%s'",
    "unknown host '%s' for specified address family",
    "unknown Ethernet-like host '%s'",
    "unknown network '%s'",
    "unknown port '%s'",
    "More than 100 IPv4 addresses per name",
    "More than 100 IPv6 addresses per name",
    "unknown 'proto' value '%s'",
    "unknown '%s %s' value '%s'",
    "port '%s' is tcp",
    "port '%s' is udp",
    "port in range '%s' is tcp",
    "port in range '%s' is udp",
    "'%s' is not a valid port",
    "port range '%s' contains no hyphen",
    "port range '%s' contains more than one hyphen",
    "port range '%s' has no starting port",
    "port range '%s' has no ending port",
    *(
        f"{what} %s greater than maximum {maximum}"
        for what, maximum in (
            ("port number", 65535), ("protocol number", 255), ("ISO protocol", 255),
            ("IS-IS PDU type", 31), ("LLC DSAP", 255), ("EtherType", 65535),
            ("PPP protocol", 65535), ("HDLC protocol", 65535), ("netmask length", 32),
            ("byte argument", 255), ("VLAN tag", 4095), ("MPLS label", 1048575),
            ("PPPoE session number", 65535), ("Geneve VNI", 16777215), ("VXLAN VNI", 16777215),
            ("VPI", 255), ("VCI", 65535), ("sio", 255), ("hsio", 255), ("opc", 16383),
            ("hdpc", 16383), ("sls", 15), ("hsls", 15),
        )
    ),
    "mask length must be <= 128",
    'non-network bits set in "%s"',
    "invalid DECnet address '%s'",
    "netmask not known, so 'ip broadcast' not supported",
    "no VLAN match after MPLS",
    "unsupported protocol over mpls",
    "'gateway' cannot be used within MPLS",
    "'gateway' cannot be used within VXLAN or Geneve",
    "'protochain' not supported with variable length headers",
    "'%s' does not support the index operation",
    "data size must be 1, 2, or 4",
    "radio information not present in capture",
    "'link' cannot be used as an abbreviation",
    "'radio' cannot be used as an abbreviation",
    "division by zero",
    "modulus by zero",
    "shift by more than 31 bits",
    "invalid 802.11 type value 0x%s",
    'unknown 802.11 type name "%s"',
    "invalid 802.11 subtype value 0x%s",
    'unknown 802.11 subtype name "%s"',
    "unknown 802.11 type",
    "unknown 802.11 type name",
    "invalid 802.11 direction value 0x%s",
    "unknown 802.11 direction",
    'unknown LLC type name "%s"',
    'unknown PF reason "%s"',
    'unknown PF action "%s"',
    "ifname interface names can only be 15 characters",
    "ruleset names can only be 15 characters",
)  # fmt: skip


def golden_messages():
    """Return the first lines of the golden files' errors, without the place."""
    for path in GOLDEN:
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in pairwise(lines):
            if before == "--- error":
                yield re.sub(r"^\d+:\d+: ", "", line)


def test_every_message_is_shown_somewhere():
    shown = [*golden_messages(), *(error_of(link, text).message for link, text, *_ in TABLE)]
    assert len(shown) > 100
    missing = []
    for message in MESSAGES:
        pattern = re.escape(message).replace("%s", ".+")
        # Behind the words may stand, after a colon, what is said here besides.
        if not any(re.fullmatch(f"{pattern}(: .*)?", one) for one in shown):
            missing.append(message)
    assert not missing
