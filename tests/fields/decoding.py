"""Fields of packets as scapy decodes them, under the names that `pfcompile.fields` gives them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP

LAYERS = {
    "eth": (Ether, {"dst": "dst", "src": "src", "type": "type"}),
    "vlan": (Dot1Q, {"priority": "prio", "dei": "dei", "id": "vlan", "type": "type"}),
    "arp": (
        ARP,
        {
            "op": "op",
            "sha": "hwsrc",
            "spa": "psrc",
            "tha": "hwdst",
            "tpa": "pdst",
        },
    ),
    "ip": (
        IP,
        {
            "version": "version",
            "ihl": "ihl",
            "tos": "tos",
            "len": "len",
            "id": "id",
            "frag_offset": "frag",
            "ttl": "ttl",
            "proto": "proto",
            "checksum": "chksum",
            "src": "src",
            "dst": "dst",
        },
    ),
    "ip6": (
        IPv6,
        {
            "version": "version",
            "tclass": "tc",
            "flow": "fl",
            "len": "plen",
            "nexthdr": "nh",
            "hop_limit": "hlim",
            "src": "src",
            "dst": "dst",
        },
    ),
    "ip6.frag": (
        IPv6ExtHdrFragment,
        {"nexthdr": "nh", "offset": "offset", "more": "m", "id": "id"},
    ),
    "tcp": (
        TCP,
        {
            "srcport": "sport",
            "dstport": "dport",
            "seq": "seq",
            "ack": "ack",
            "data_offset": "dataofs",
            "window": "window",
            "checksum": "chksum",
            "urgent": "urgptr",
        },
    ),
    "udp": (UDP, {"srcport": "sport", "dstport": "dport", "len": "len", "checksum": "chksum"}),
    "sctp": (SCTP, {"srcport": "sport", "dstport": "dport", "vtag": "tag", "checksum": "chksum"}),
    "icmp": (ICMP, {"type": "type", "code": "code", "checksum": "chksum"}),
}
"""Our header and field names to scapy's."""

WORDS = {
    "ip": 0x800,
    "arp": 0x806,
    "rarp": 0x8035,
    "ip6": 0x86DD,
    "vlan": 0x8100,
    "provider-vlan": 0x88A8,
    "qinq": 0x9100,
    "mpls": 0x8847,
    "pppoed": 0x8863,
    "pppoes": 0x8864,
    "lldp": 0x88CC,
    "icmp": 1,
    "igmp": 2,
    "ipencap": 4,
    "ipv6": 41,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmp6": 58,
    "eigrp": 88,
    "ospf": 89,
    "pim": 103,
    "vrrp": 112,
    "sctp": 132,
    "ipv6-frag": 44,
    "echo": 8,
    "echoreply": 0,
    "unreach": 3,
    "timxceed": 11,
    "redirect": 5,
    "fin": 1,
    "syn": 2,
    "rst": 4,
    "push": 8,
    "ack": 16,
    "urg": 32,
    "ece": 64,
    "cwr": 128,
}


def decoded(data: bytes) -> dict[str, tuple[int, int]]:
    """Return each field of an Ethernet frame: its number, and how many bits it has."""
    frame = Ether(data)
    found = {}
    for name, (layer, names) in LAYERS.items():
        part = frame.getlayer(layer)
        if part is None:
            continue
        for ours, theirs in names.items():
            field = part.get_field(theirs)
            found[f"{name}.{ours}"] = (number(part.getfieldval(theirs)), round(field.sz * 8))
    ip, tcp = frame.getlayer(IP), frame.getlayer(TCP)
    if ip is not None:
        for bit, flag in enumerate(("mf", "df", "reserved")):
            found[f"ip.{flag}"] = (int(ip.flags) >> bit & 1, 1)
        found["ip.dscp"], found["ip.ecn"] = (ip.tos >> 2, 6), (ip.tos & 3, 2)
    if tcp is not None:
        found["tcp.flags"] = (int(tcp.flags) & 0xFF, 8)
    found["eth.dst.group"] = (found["eth.dst"][0] >> 40 & 1, 1)
    found["len"] = (len(data), 32)
    return found


def number(value: object) -> int:
    text = str(value)
    if isinstance(value, str):
        if text.count(":") == 5 and "::" not in text:
            return int(text.replace(":", ""), 16)
        return int(IPv6Address(text) if ":" in text else IPv4Address(text))
    return int(value)  # type: ignore[call-overload]


_CLAUSE = re.compile(
    r"(?P<names>[\w./-]+)(?:\[(?P<at>\d+)(?::(?P<size>\d))?\])?"
    r"(?: & (?P<mask>\(.*?\)|[\w]+))? (?P<op>==|!=|>=|>|in) (?P<value>.+)"
)


def holds(words: str, fields: dict[str, tuple[int, int]]) -> bool | None:
    """Return whether a description holds of a packet; None for one that is about other bytes."""
    if " or " in words:
        return _any(holds(part, fields) for part in words.split(" or "))
    outcomes = [_clause(part, fields) for part in words.split(" and ")]
    if False in outcomes:
        return False
    return None if None in outcomes else True


def _any(outcomes):
    outcomes = list(outcomes)
    return True if True in outcomes else None if None in outcomes else False


def _clause(words: str, fields: dict[str, tuple[int, int]]) -> bool | None:
    if re.search(r" [-+*] |\[.*[^\d:].*\]", words):
        return None
    clause = _CLAUSE.fullmatch(words)
    assert clause is not None, f"nobody can read {words!r}"
    here = [name for name in _names(clause["names"]) if name in fields]
    if not here:
        return None
    outcomes = {_compared(clause, *fields[name]) for name in here}
    # Of a fragment there are two protocol fields; the graph knows which of them it reads.
    return outcomes.pop() if len(outcomes) == 1 else None


def _names(joined: str) -> list[str]:
    """Return the names that a joined one stands for, `tcp/udp.dstport` or `ip.proto/udp.len`."""
    parts = joined.split("/")
    field = parts[-1].rpartition(".")[2]
    whole = any("." in part and part not in {"ip6.frag", "ip6.ext"} for part in parts[:-1])
    return parts if whole or len(parts) == 1 else [*(f"{p}.{field}" for p in parts[:-1]), parts[-1]]


def _compared(clause: re.Match[str], value: int, bits: int) -> bool:
    if clause["at"] is not None:
        size = 8 * int(clause["size"] or 1)
        value = value >> bits - 8 * int(clause["at"]) - size & (1 << size) - 1
    if clause["mask"] is not None:
        value &= _number(clause["mask"])
    op, other = clause["op"], clause["value"]
    if op == "in":
        members = other.strip("{}").split(", ")
        return any(_contains(member, value) for member in members)
    wanted = _number(other)
    return {"==": value == wanted, "!=": value != wanted, ">": value > wanted}.get(
        op, value >= wanted
    )


def _contains(member: str, value: int) -> bool:
    if "/" in member:
        network = (IPv6Network if ":" in member else IPv4Network)(member)
        return int(network.network_address) <= value <= int(network.broadcast_address)
    if member in WORDS or "-" not in member:
        return value == _number(member)
    low, high = member.split("-")
    return _number(low) <= value <= _number(high)


def _number(text: str) -> int:
    if "|" in text or text.startswith("("):
        return sum(WORDS[flag] for flag in text.strip("()").split("|"))
    if text in WORDS:
        return WORDS[text]
    if ":" in text and "::" not in text:
        return int(text.replace(":", ""), 16)
    if text.count(".") == 3 or ":" in text:
        return number(text)
    return int(text, 0)
