"""Which headers stand where, by what is known of a packet at one place in a graph.

From the link header on, each header that tells what follows it is asked: that `ldh[12]` is 0x800
means an IPv4 header at 14, that its byte 9 is 6 a TCP header behind it. Nothing is said of a
header that facts do not show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.facts import arcnet, ethertypes, frame_relay, ppp
from pfcompile.facts.link_layouts import Encoding
from pfcompile.fields import families, link_headers, network_headers, starts, transport_headers
from pfcompile.fields.addresses import settled, total
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.values import Value, arithmetic, const, load_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.analysis.facts import Facts, Known
    from pfcompile.facts.link_layouts import LinkLayout
    from pfcompile.fields.rows import Header

_MOST_ALTERNATIVES: Final = 8

_BY_ETHERTYPE: Final[dict[int, Header]] = {
    ethertypes.IP: network_headers.IP,
    ethertypes.ARP: network_headers.ARP,
    ethertypes.RARP: network_headers.RARP,
    ethertypes.IP6: network_headers.IP6,
    ethertypes.MPLS: network_headers.MPLS,
    ethertypes.MPLS_MULTICAST: network_headers.MPLS,
    ethertypes.PPPOE_DISCOVERY: network_headers.PPPOE,
    ethertypes.PPPOE_SESSION: network_headers.PPPOE,
    ethertypes.DECNET: network_headers.DECNET,
    **dict.fromkeys(ethertypes.VLAN_TAGS, network_headers.VLAN),
}

_BY_PPP: Final[dict[int, Header]] = {
    **{ppp.ppp_protocol(number): header for number, header in _BY_ETHERTYPE.items()},
    ppp.MPLS: network_headers.MPLS,
}

_BY_FAMILY: Final[dict[int, Header]] = {
    **dict.fromkeys(families.in_any_order(families.IPV4), network_headers.IP),
    **{
        number: network_headers.IP6
        for family in families.IPV6
        for number in families.in_any_order(family)
    },
}

_BY_ARCNET: Final[dict[int, Header]] = {
    code: _BY_ETHERTYPE[number]
    for number, code in arcnet.ARCNET_CODES.items()
    if number in _BY_ETHERTYPE
}
_BY_FRAME_RELAY: Final = {
    frame_relay.IP: network_headers.IP,
    frame_relay.IP6: network_headers.IP6,
}
_BY_VERSION: Final = {0x40: network_headers.IP, 0x60: network_headers.IP6}

_TABLES: Final[dict[Encoding, tuple[int, Mapping[int, Header]]]] = {
    Encoding.ETHERTYPE: (2, _BY_ETHERTYPE),
    Encoding.HDLC: (2, _BY_ETHERTYPE),
    Encoding.PPP: (2, _BY_PPP),
    Encoding.PPP_BSDOS: (2, _BY_PPP | dict.fromkeys(ppp.BSDOS_IP, network_headers.IP)),
    Encoding.FAMILY_HOST_ORDER: (4, _BY_FAMILY),
    Encoding.FAMILY_NETWORK_ORDER: (4, _BY_FAMILY),
    Encoding.FAMILY_BYTE: (1, _BY_FAMILY),
    Encoding.IPNET: (1, _BY_FAMILY),
    Encoding.ARCNET: (1, _BY_ARCNET),
}
"""How many bytes tell the protocol, and what their numbers mean."""

_ONLY: Final[dict[Encoding, Header]] = {
    Encoding.ONLY_IPV4: network_headers.IP,
    Encoding.ONLY_IPV6: network_headers.IP6,
}


class Placed(NamedTuple):
    """A header, and where it begins.

    Attributes:
        start: A settled value.
        headers: It, or those that it may be; None among them for one without a row.
    """

    start: Value
    headers: tuple[Header | None, ...]


def place(facts: Facts, layout: LinkLayout) -> list[Placed]:
    """Return the headers of a packet of which `facts` hold, the outermost first."""
    placing = _Placing(facts)
    placing.link(layout)
    return placing.placed


class _Placing:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.placed: list[Placed] = []

    # What is known

    def _of(self, size: int, start: Value, offset: int = 0) -> Known:
        return self._facts.of(load_at(size, total(start, const(offset))))

    def _numbers(self, size: int, start: Value, offset: int = 0, mask: int = WORD) -> list[int]:
        """Return the few numbers that a field may be, none where it may be many."""
        known = self._of(size, start, offset)
        if known.mask & mask == mask:
            return [known.bits & mask]
        if mask == WORD and known.among is not None and len(known.among) <= _MOST_ALTERNATIVES:
            return sorted(known.among)
        return []

    # Links

    def link(self, layout: LinkLayout) -> None:
        """Place the link header and what follows it."""
        for written in starts.headers(layout):
            header = settled(written, {})
            self._link_header(layout, header)
            for payload in starts.payloads(layout, written):
                self._behind_link(layout, header, settled(payload, {}))

    def _link_header(self, layout: LinkLayout, start: Value) -> None:
        encoding = layout.encoding
        if layout.is_wlan:
            if not isinstance(layout.header, int):
                is_radiotap = layout.header.little_endian and layout.gate is None
                before = link_headers.RADIOTAP if is_radiotap else link_headers.ANY
                self._put(const(0), before)
            four = self._has_four_addresses(start)
            self._put(start, link_headers.WLAN_OF_FOUR if four else link_headers.WLAN)
            return
        self._put(start, link_headers.own_header(layout))
        told_by = None if encoding is None else link_headers.type_header(encoding)
        if told_by is not None and layout.dlt not in link_headers.BY_DLT:
            self._put(const(layout.type_field), told_by)

    def _behind_link(self, layout: LinkLayout, header: Value, payload: Value) -> None:
        encoding = layout.encoding
        field, network = const(layout.type_field), total(payload, const(layout.network))
        match encoding:
            case None | Encoding.JUNIPER | Encoding.ONLY_ATALK:
                pass
            case Encoding.ETHERNET | Encoding.COOKED:
                self._ethertype(field, network)
            case Encoding.LLC | Encoding.WLAN | Encoding.ATM:
                if not layout.is_wlan or self._is_wlan_payload(layout, header, payload):
                    self._llc(payload)
            case Encoding.FRAME_RELAY:
                self._choose(_BY_FRAME_RELAY, self._numbers(2, header, 2), network)
            case Encoding.IP_VERSION:
                self._put(header, network_headers.VERSION)
                self._choose(_BY_VERSION, self._numbers(1, header, mask=0xF0), network)
            case Encoding.ONLY_IPV4 | Encoding.ONLY_IPV6:
                self._put(network, _ONLY[encoding])
                self._behind(_ONLY[encoding], network)
            case _:
                size, table = _TABLES[encoding]
                self._choose(table, self._numbers(size, field), network)

    def _is_wlan_payload(self, layout: LinkLayout, header: Value, payload: Value) -> bool:
        """Return whether an 802.11 frame is known to be data, and its payload may begin there."""
        if self._numbers(1, header, mask=0x0C) != [0x08] or self._has_four_addresses(header):
            return False
        is_longer = self._numbers(1, header, mask=0x80) == [0x80]
        longer = {settled(each, {}) for each in starts.longer_payloads(layout, header)}
        return is_longer == (payload in longer)

    def _has_four_addresses(self, header: Value) -> bool:
        """Return whether an 802.11 frame is known to be from one access point to another."""
        return self._numbers(1, header, offset=1, mask=0x03) == [0x03]

    def _llc(self, payload: Value) -> None:
        self._put(payload, link_headers.LLC)
        self._choose(_BY_ETHERTYPE, self._numbers(2, payload, 6), total(payload, const(8)))

    def _ethernet(self, start: Value) -> None:
        self._put(start, link_headers.ETHERNET)
        self._ethertype(total(start, const(12)), total(start, const(14)))

    def _ethertype(self, field: Value, behind: Value) -> None:
        """Place what an EtherType tells; one that is a length is followed by 802.2."""
        if self._of(2, field).high <= ethertypes.MAX_LENGTH:
            self._llc(behind)
        else:
            self._choose(_BY_ETHERTYPE, self._numbers(2, field), behind)

    # What headers tell of the next

    def _choose(self, table: Mapping[int, Header], numbers: list[int], start: Value) -> None:
        """Place what some numbers stand for, and what follows where that is one header."""
        headers = tuple(dict.fromkeys(table.get(number) for number in numbers))
        if headers in {(), (None,)}:
            return
        self._put(start, *headers)
        if len(headers) == 1 and headers[0] is not None:
            self._behind(headers[0], start)

    def _put(self, start: Value, *headers: Header | None) -> None:
        self.placed.append(Placed(start, headers))

    def _behind(self, header: Header, start: Value) -> None:
        protocols = transport_headers.BY_PROTOCOL
        if header is network_headers.IP:
            words = arithmetic(ArithmeticOp.AND, load_at(1, start), const(15))
            length = arithmetic(ArithmeticOp.LSH, words, const(2))
            numbers = self._numbers(1, start, 9)
            self._choose(protocols, numbers, total(start, length))
            known = self._facts.of(words)
            if known.low == known.high:
                self._choose(protocols, numbers, total(start, const(4 * known.low)))
        elif header is network_headers.IP6:
            self._choose(protocols, self._numbers(1, start, 6), total(start, const(40)))
        elif header is network_headers.IP6_FRAGMENT:
            self._choose(protocols, self._numbers(1, start), total(start, const(8)))
        elif header in {network_headers.IP6_EXTENSION, transport_headers.AH}:
            extra, shift = (1, 3) if header is network_headers.IP6_EXTENSION else (2, 2)
            units = total(load_at(1, total(start, const(1))), const(extra))
            length = arithmetic(ArithmeticOp.LSH, units, const(shift))
            self._choose(protocols, self._numbers(1, start), total(start, length))
        elif header is network_headers.VLAN:
            self._ethertype(total(start, const(2)), total(start, const(4)))
        elif header is network_headers.MPLS:
            self._behind_label(start)
        elif header is network_headers.PPPOE:
            self._put(total(start, const(6)), network_headers.PPP)
            self._choose(_BY_PPP, self._numbers(2, start, 6), total(start, const(8)))
        elif header is transport_headers.UDP:
            ports = transport_headers.BY_UDP_PORT
            self._choose(ports, self._numbers(2, start, 2), total(start, const(8)))
        elif header is transport_headers.GRE:
            self._choose(_BY_ETHERTYPE, self._numbers(2, start, 2), total(start, const(4)))
        elif header is transport_headers.VXLAN:
            self._ethernet(total(start, const(8)))
        elif header is transport_headers.GENEVE:
            self._behind_geneve(start)

    def _behind_label(self, start: Value) -> None:
        """Place another MPLS label, or behind the last one what its first half-byte tells."""
        last = self._numbers(1, start, 2, mask=1)
        behind = total(start, const(4))
        if last == [0]:
            self._put(behind, network_headers.MPLS)
            self._behind(network_headers.MPLS, behind)
        elif last == [1]:
            self._put(behind, network_headers.VERSION)
            self._choose(_BY_VERSION, self._numbers(1, behind, mask=0xF0), behind)

    def _behind_geneve(self, start: Value) -> None:
        words = arithmetic(ArithmeticOp.AND, load_at(1, start), const(0x3F))
        options = arithmetic(ArithmeticOp.LSH, words, const(2))
        behind = total(start, options, const(8))
        carried = self._numbers(2, start, 2)
        if carried == [ethertypes.TEB]:
            self._ethernet(behind)
        else:
            self._choose(_BY_ETHERTYPE, carried, behind)
