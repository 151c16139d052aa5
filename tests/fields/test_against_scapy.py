"""Names of fields against scapy: what a block is said to ask is what it asks, of real packets."""

from __future__ import annotations

import random

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from pfcompile.cbpf.provenance import trace
from pfcompile.compiler import compile as compile_text
from pfcompile.fields import describe, link_headers, network_headers, transport_headers
from pfcompile.ir.arithmetic import alu
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Let, Reject
from pfcompile.ir.ranges import contains
from pfcompile.ir.values import Ancillary, Arithmetic, Const, Load, Numbers, PacketLength, Variable
from pfcompile.passes.observer import Recording
from tests.fields.decoding import LAYERS, decoded, holds
from tests.generator.seed import SEED, rerun
from tests.test_usual_filters import FILTERS

NETMASK = 0xFFFFFF00

HEADERS = {
    "eth": link_headers.ETHERNET,
    "vlan": network_headers.VLAN,
    "arp": network_headers.ARP,
    "ip": network_headers.IP,
    "ip6": network_headers.IP6,
    "ip6.frag": network_headers.IP6_FRAGMENT,
    "tcp": transport_headers.TCP,
    "udp": transport_headers.UDP,
    "sctp": transport_headers.SCTP,
    "icmp": transport_headers.ICMP,
}

MACS = ("00:11:22:33:44:55", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:03:04:05:06:07")
HOSTS = ("192.168.1.10", "10.0.0.5", "10.0.0.1", "192.168.1.255", "224.0.0.5", "8.8.8.8")
HOSTS6 = ("2001:db8::1", "fe80::1", "ff02::1", "2001:db8::2")
PORTS = (20, 21, 22, 25, 53, 67, 68, 80, 123, 161, 443, 514, 4789, 6081, 8080, 8443, 33434, 60000)


def packets(rng):
    """Yield whole Ethernet frames of many kinds, of the usual filters' numbers."""
    while True:
        link = Ether(dst=rng.choice(MACS), src=rng.choice(MACS))
        if rng.random() < 0.25:
            link /= Dot1Q(vlan=rng.choice((7, 10, 100, 200)), prio=rng.randrange(8))
        if rng.random() < 0.1:
            yield bytes(link / ARP(op=rng.choice((1, 2)), psrc=rng.choice(HOSTS), pdst="10.0.0.1"))
            continue
        ports = {"sport": rng.choice(PORTS), "dport": rng.choice(PORTS)}
        transport = rng.choice(
            (
                TCP(**ports, flags=rng.randrange(256), window=rng.randrange(65536)),
                TCP(**ports, flags=rng.choice("SFA")),
                UDP(**ports),
                SCTP(**ports),
                ICMP(type=rng.choice((0, 3, 5, 8, 11)), code=rng.randrange(4)),
                ICMPv6EchoRequest(),
            )
        )
        if isinstance(transport, ICMPv6EchoRequest) or (
            not isinstance(transport, ICMP) and rng.random() < 0.4
        ):
            network = IPv6(src=rng.choice(HOSTS6), dst=rng.choice(HOSTS6), tc=rng.randrange(256))
            if rng.random() < 0.1:
                network /= IPv6ExtHdrFragment(m=1)
        else:
            options = rng.choice(([], [], [], [("RR", b"")])) and b"\x01\x01\x01\x00"
            network = IP(
                src=rng.choice(HOSTS),
                dst=rng.choice(HOSTS),
                tos=rng.choice((0, 0xB8, 0x10)),
                ttl=rng.choice((1, 5, 64)),
                flags=rng.choice((0, "DF")),
                options=options or [],
            )
        yield bytes(link / network / transport / Raw(bytes(rng.randrange(120))))


def value_of(value, data, variables):
    """Return a value's number; raises IndexError for a load behind the packet's end."""
    match value:
        case Const(value=k):
            return k
        case PacketLength():
            return len(data)
        case Variable():
            return variables[value]
        case Load(size=size, base=base, offset=offset):
            start = offset if base is None else value_of(base, data, variables) + offset
            start &= 0xFFFFFFFF
            if start + size > len(data):
                raise IndexError
            return int.from_bytes(data[start : start + size])
        case Arithmetic(op=op, left=left, right=right):
            return alu(op, value_of(left, data, variables), value_of(right, data, variables))
        case Ancillary() | Numbers():
            raise AssertionError(value)


def outcome_of(test, data, variables):
    left = value_of(test.left, data, variables)
    if test.op is Comparison.IN:
        return contains(test.right.ranges, left)
    right = value_of(test.right, data, variables)
    return {
        Comparison.EQ: left == right,
        Comparison.GT: left > right,
        Comparison.GE: left >= right,
        Comparison.SET: bool(left & right),
    }[test.op]


def walk(graph, data):
    """Yield each block that a packet comes to, with the outcome of its test."""
    label, variables = graph.entry, {}
    while True:
        match graph[label]:
            case Accept() | Reject():
                return
            case Let(variable=assigned, value=value, next=after):
                try:
                    variables[assigned] = value_of(value, data, variables)
                except IndexError:
                    return
                label = after
            case Branch(test=test, yes=yes, no=no):
                try:
                    outcome = outcome_of(test, data, variables)
                except IndexError:
                    return
                yield label, outcome
                label = yes if outcome else no


def graphs(text):
    recording = Recording()
    program = compile_text(text, netmask=NETMASK, observer=recording)
    yield recording.lowered
    yield recording.graph
    yield trace(recording.graph, program.snaplen).graph


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.long)])
def test_blocks_ask_what_they_are_said_to_ask(count):
    rng = random.Random(f"{SEED} fields")
    source = packets(rng)
    frames = [(data, decoded(data)) for data, _ in zip(source, range(count), strict=False)]
    checked = told = 0
    seen = set()
    for text in FILTERS:
        for graph in graphs(text):
            words = describe(graph, 1)
            for data, fields in frames:
                for label, outcome in walk(graph, data):
                    told += 1
                    said = holds(words[label], fields)
                    if said is None:
                        continue
                    checked += 1
                    seen.add(words[label])
                    assert said == outcome, (
                        f"{text}: b{label}: {words[label]!r} is {outcome} of {data.hex()}"
                        f"{rerun('tests/fields/test_against_scapy.py')}"
                    )
    # What scapy has no name for, or has at two places, is little.
    assert checked > 0.9 * told
    assert len(seen) > 250


@pytest.mark.parametrize("name", LAYERS)
def test_rows_are_where_scapy_has_them(name):
    """A field's bits are those that change where scapy is told all ones instead of zeros."""
    layer, names = LAYERS[name]
    of_name = {field.name: field for field in HEADERS[name].fields}
    low, high = {}, {}
    for theirs in names.values():
        field = layer().get_field(theirs)
        bits = round(field.sz * 8)
        low[theirs], high[theirs] = (
            as_scapy(0, bits, theirs),
            as_scapy((1 << bits) - 1, bits, theirs),
        )
    if layer is TCP:
        low["flags"] = 0
    if layer is ARP:
        low |= {"hwtype": 1, "ptype": 0x800, "hwlen": 6, "plen": 4}
    for ours, theirs in names.items():
        plain = bytes(layer(**low))
        changed = bytes(layer(**{**low, theirs: high[theirs]}))
        difference = int.from_bytes(plain[:40]) ^ int.from_bytes(changed[:40])
        whole = 8 * len(plain[:40])
        row = of_name[ours]
        assert difference == ((1 << row.bits) - 1) << whole - row.end, ours


def as_scapy(number, bits, name):
    if bits == 48 or name in {"hwsrc", "hwdst"}:
        return "ff:ff:ff:ff:ff:ff" if number else "00:00:00:00:00:00"
    if (bits == 32 and name in {"src", "dst"}) or name in {"psrc", "pdst"}:
        return "255.255.255.255" if number else "0.0.0.0"  # noqa: S104 - a field of zeros
    if bits == 128:
        return "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" if number else "::"
    return number


ALL = [
    each
    for module in (link_headers, network_headers, transport_headers)
    for each in vars(module).values()
    if isinstance(each, link_headers.Header)
]


@pytest.mark.parametrize("header", ALL, ids=lambda header: header.name)
def test_rows_share_no_bit(header):
    end = 0
    for field in header.fields:
        assert field.start >= end, field
        end = field.end
    names = [field.name for field in (*header.fields, *header.parts)]
    assert len(set(names)) == len(names)
    for part in header.parts:
        assert any(field.start <= part.start < field.end for field in header.fields)
