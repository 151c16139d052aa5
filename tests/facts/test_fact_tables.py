"""The other tables: consistent in themselves, and the same numbers as in libpcap's programs."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from oracles.libpcap import Refused

from pfcompile.cbpf.isa import Op
from pfcompile.facts import (
    arcnet,
    atm,
    ethertypes,
    ip_protocols,
    isis,
    link_protocols,
    llc_saps,
    pf,
    ppp,
    rows,
    services,
    ss7,
    wlan,
)
from pfcompile.facts.link_types import by_name
from pfcompile.facts.named_constants import NAMED_CONSTANTS

EN10MB, ARCNET, PPP, RAW, WLAN, PFLOG, SUNATM, MTP2, PPP_BSDOS = (
    by_name(name).dlt
    for name in (
        "EN10MB",
        "ARCNET",
        "PPP",
        "RAW",
        "IEEE802_11",
        "PFLOG",
        "SUNATM",
        "MTP2",
        "PPP_BSDOS",
    )
)

SEED = 20260805


def meaning(libpcap, dlt, text):
    """Return libpcap's unoptimised program: equal programs, equal numbers in them."""
    return libpcap.compile(text, dlt, optimize=False)


def compared(libpcap, dlt, text):
    """Return the numbers that libpcap's program tests for equality, in order."""
    return [one.k for one in meaning(libpcap, dlt, text) if one.code == Op.JEQ_K]


@pytest.mark.parametrize(
    "table",
    [
        ethertypes.ETHERTYPES,
        llc_saps.SAPS,
        isis.ISO_IDENTIFIERS,
        isis.PDU_TYPES,
        pf.REASONS,
        pf.ACTIONS,
        wlan.FRAME_TYPES,
        wlan.DIRECTIONS,
        *wlan.SUBTYPES.values(),
        ip_protocols.IP_PROTOCOLS,
    ],
)
def test_numbers_and_names_are_unique_and_in_order(table):
    values = [row.value for row in table]
    assert values == sorted(set(values))
    names = [name for row in table for name in row.names]
    assert len(names) == len(set(names))
    assert all(row.description for row in table)


def test_a_name_with_two_numbers_is_a_mistake():
    with pytest.raises(ValueError, match="'a' is both 1 and 2"):
        rows.by_name([rows.Number(1, ("a",), "one"), rows.Number(2, ("b", "a"), "two")])


def test_services_are_unique_and_in_range():
    names = services.service_names()
    assert len(names) == len(set(names)) == len(services.SERVICES) > 400
    for row in services.SERVICES:
        ports = [port for port in (row.tcp, row.udp, row.sctp) if port is not None]
        assert ports, row
        assert all(1 <= port <= 65535 for port in ports), row
        assert services.service_ports(row.name) is row
    assert services.service_ports("HTTP") is None


def test_services_whose_meaning_depends_on_the_protocol():
    ports = services.service_ports
    assert (ports("http").tcp, ports("http").udp) == (80, None)
    assert (ports("domain").tcp, ports("domain").udp) == (53, 53)
    assert (ports("login").tcp, ports("who").udp) == (513, 513)
    assert ports("login").udp is ports("who").tcp is None
    assert (ports("ng-control").tcp, ports("ng-control").sctp) == (None, 38412)


def test_named_constants(libpcap):
    for name, value in NAMED_CONSTANTS.items():
        assert meaning(libpcap, RAW, f"port {name}") == meaning(libpcap, RAW, f"port {value}"), name
        assert value in compared(libpcap, RAW, f"port {name}")
    assert len(NAMED_CONSTANTS) == 5 + 15 + 29 + 8


# libpcap learned these in 1.11.
NEW_LINK_PROTOCOLS = {"lldp", "slow"}


def test_link_protocols(libpcap):
    for name, value in link_protocols.LINK_PROTOCOLS.items():
        named = rf"link proto \{name}"
        if name in NEW_LINK_PROTOCOLS:
            with pytest.raises(Refused):
                meaning(libpcap, EN10MB, named)
        else:
            assert meaning(libpcap, EN10MB, named) == meaning(
                libpcap, EN10MB, f"link proto {value}"
            ), name
    assert len(link_protocols.LINK_PROTOCOLS) == 14 + 4


def test_ethertypes_of_tags_and_tunnels(libpcap):
    assert tuple(compared(libpcap, EN10MB, "vlan")[:3]) == ethertypes.VLAN_TAGS
    for text, value in (
        ("mpls", ethertypes.MPLS),
        ("pppoed", ethertypes.PPPOE_DISCOVERY),
        ("pppoes", ethertypes.PPPOE_SESSION),
        ("geneve and ip", ethertypes.TEB),
        ("ipx", ethertypes.IPX),
    ):
        assert value in compared(libpcap, EN10MB, text), text


def test_iso_protocols(libpcap):
    for name, value in link_protocols.ISO_PROTOCOLS.items():
        assert meaning(libpcap, EN10MB, rf"iso proto \{name}") == meaning(
            libpcap, EN10MB, f"iso proto {value}"
        )


def test_isis_groups(libpcap):
    base = set(compared(libpcap, EN10MB, "isis"))
    for word, types in isis.PDU_GROUPS.items():
        assert set(compared(libpcap, EN10MB, word)) - base == set(types), word
        assert set(types) <= {row.value for row in isis.PDU_TYPES}


def test_llc_frame_types(libpcap):
    for row in llc_saps.LLC_FRAME_TYPES:
        program = meaning(libpcap, EN10MB, f"llc {row.name}")
        for control in range(256):
            frame = bytes(12) + b"\0\x03" + bytes((0x42, 0x42, control))
            matches = control & row.mask == row.value
            assert bool(libpcap.filter(program, frame)) == matches, (row, control)
        assert llc_saps.llc_frame_type(row.name.upper()) is row
    assert llc_saps.llc_frame_type("nothing") is None


def test_saps_compared_at_both_ends(libpcap):
    for sap in (row.value for row in llc_saps.SAPS if row.value != llc_saps.IPX):
        both = sap * 0x101 in compared(libpcap, EN10MB, f"link proto {sap}")
        assert both == (sap in llc_saps.SYMMETRIC_SAPS), hex(sap)


def test_snap_headers(libpcap):
    # The words of a SNAP header: its end, then its start.
    apple = compared(libpcap, EN10MB, "atalk")
    assert (llc_saps.SNAP_OUI_APPLE & 0xFFFF) << 16 | ethertypes.ATALK in apple
    assert llc_saps.SNAP_HEADER << 8 | llc_saps.SNAP_OUI_APPLE >> 16 in apple
    novell = compared(libpcap, EN10MB, "ipx")
    assert llc_saps.SNAP_OUI_ETHERNET << 16 | ethertypes.IPX in novell
    assert llc_saps.IPX_RAW_802_3 in novell


# libpcap learned these in 1.11.
NEW_SUBTYPES = {"bar", "ba"}


@pytest.mark.parametrize("frame_type", wlan.SUBTYPES)
def test_wlan_subtypes(libpcap, frame_type):
    for row in wlan.SUBTYPES[frame_type]:
        for name in row.names:
            assert wlan.wlan_subtype(name.upper(), frame_type) == row.value
            assert wlan.wlan_type_and_subtype(name) == (frame_type, row.value)
            if name in NEW_SUBTYPES:
                continue
            numbers = f"type {frame_type} subtype {row.value}"
            for text in (f"type {frame_type} subtype {name}", f"subtype {name}"):
                assert meaning(libpcap, WLAN, text) == meaning(libpcap, WLAN, numbers), text


def test_wlan_types_and_directions(libpcap):
    for kind, table, find in (
        ("type", wlan.FRAME_TYPES, wlan.wlan_type),
        ("dir", wlan.DIRECTIONS, wlan.wlan_direction),
    ):
        for row in table:
            for name in row.names:
                assert find(name.upper()) == row.value
                numbered = meaning(libpcap, WLAN, f"{kind} {row.value}")
                assert meaning(libpcap, WLAN, f"{kind} {name}") == numbered, name
        assert find("nothing") is None
    assert wlan.wlan_type_and_subtype("nothing") is None
    assert wlan.wlan_subtype("data", 0x0C) is None


def test_pf_reasons_and_actions(libpcap):
    for kind, table, find in (
        ("reason", pf.REASONS, pf.pf_reason),
        ("action", pf.ACTIONS, pf.pf_action),
    ):
        for row in table:
            for name in row.names:
                assert find(name.upper()) == row.value
                assert compared(libpcap, PFLOG, f"{kind} {name}") == [row.value], name
        assert find("nothing") is None


@pytest.mark.parametrize(
    ("dlt", "table"), [(ARCNET, arcnet.ARCNET_CODES), (PPP, ppp.PPP_PROTOCOLS)]
)
def test_protocol_maps(libpcap, dlt, table):
    for protocol, number in table.items():
        assert number in compared(libpcap, dlt, f"link proto {protocol}"), hex(protocol)


def test_ppp_numbers(libpcap):
    assert ppp.ppp_protocol(ethertypes.IP) == 0x21
    assert ppp.ppp_protocol(ethertypes.ARP) == ethertypes.ARP
    assert compared(libpcap, PPP, "arp") == [ethertypes.ARP]
    assert compared(libpcap, PPP, "mpls") == [ppp.MPLS]
    assert sorted(compared(libpcap, PPP_BSDOS, "ip")) == sorted(ppp.BSDOS_IP)


def test_atm(libpcap):
    for row in atm.ATM_CHANNELS.values():
        assert set(compared(libpcap, SUNATM, row.keyword)) == {row.vpi, *row.vcis}, row
    for row in atm.ATM_MESSAGES.values():
        channel = atm.ATM_CHANNELS[row.channel]
        compared_here = compared(libpcap, SUNATM, row.keyword)
        assert set(compared_here) == {channel.vpi, *channel.vcis, *row.messages}, row
        loads = {one.k for one in meaning(libpcap, SUNATM, row.keyword) if one.code == Op.LD_B_ABS}
        assert loads == {atm.VPI_OFFSET, atm.MESSAGE_OFFSET}
    assert atm.TRAFFIC_LANE in compared(libpcap, SUNATM, "lane")
    assert atm.TRAFFIC_LLC in compared(libpcap, SUNATM, "llc")


LOADS = {1: Op.LD_B_ABS, 2: Op.LD_H_ABS, 4: Op.LD_W_ABS}


@pytest.mark.parametrize("dlt", ss7.MTP2_OFFSETS)
def test_ss7_fields(libpcap, dlt):
    chosen = random.Random(SEED)
    why = f"seed {SEED}; rerun: pytest {Path(__file__).name} -k ss7_fields"
    for row in ss7.MTP3_FIELDS.values():
        start = row.offset + ss7.MTP2_OFFSETS[dlt]
        place = slice(start, start + row.size)
        for value in (0, 1, row.maximum, *(chosen.randint(0, row.maximum) for _ in range(8))):
            program = meaning(libpcap, dlt, f"{row.keyword} {value}")
            packet = bytearray(chosen.randbytes(40))
            others = int.from_bytes(packet[place], "big") & ~row.mask
            packet[place] = (others | row.encode(value)).to_bytes(row.size, "big")
            assert libpcap.filter(program, bytes(packet)), (row, value, why)
            for bit in range(row.size * 8):
                changed = bytearray(packet)
                changed[place] = (int.from_bytes(packet[place], "big") ^ 1 << bit).to_bytes(
                    row.size, "big"
                )
                outside = not row.mask >> bit & 1
                assert bool(libpcap.filter(program, bytes(changed))) == outside, (row, bit, why)
        with pytest.raises(Refused):
            meaning(libpcap, dlt, f"{row.keyword} {row.maximum + 1}")


def test_ss7_signal_units(libpcap):
    assert len(ss7.MTP2_OFFSETS) == 3
    for row in ss7.SIGNAL_UNITS.values():
        program = meaning(libpcap, MTP2, row.keyword)
        offsets = {one.k for one in program if one.code == LOADS[row.size]}
        masks = {one.k for one in program if one.code == Op.AND_K}
        limits = {one.k for one in program if one.code in (Op.JEQ_K, Op.JGT_K, Op.JGE_K)}
        assert (offsets, masks) == ({row.offset}, {row.mask}), row
        assert limits == {row.above, row.up_to} - {None}, row
        # The answer itself, for every value of the indicator.
        for indicator in range(row.mask + 1):
            if indicator & ~row.mask:
                continue
            packet = bytearray(12)
            packet[row.offset : row.offset + row.size] = indicator.to_bytes(row.size, "big")
            expected = (row.above is None or indicator > row.above) and (
                row.up_to is None or indicator <= row.up_to
            )
            assert bool(libpcap.filter(program, bytes(packet))) == expected, (row, indicator)


def test_keyword_protocols(libpcap):
    for keyword, number in ip_protocols.KEYWORD_PROTOCOLS.items():
        program = meaning(libpcap, RAW, keyword)
        spelled = [f"{head} {number}" for head in ("proto", "ip proto", "ip6 proto")]
        assert program in [meaning(libpcap, RAW, text) for text in spelled], keyword


def test_protocol_names_agree_with_the_system(libpcap):
    if not Path("/etc/protocols").exists():
        pytest.skip("this system has no /etc/protocols to compare with")
    agreed = 0
    for name, number in ip_protocols.PROTOCOL_NAMES.items():
        try:
            program = meaning(libpcap, RAW, rf"proto \{name}")
        except Refused:
            continue
        agreed += program == meaning(libpcap, RAW, f"proto {number}")
    # Systems differ in a few old names, hardly in more.
    assert agreed > 20, sys.platform
