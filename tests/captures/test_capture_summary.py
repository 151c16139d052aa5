from __future__ import annotations

import time
from pathlib import Path

import pytest
from capture_building import parse, pcap, records

from pfcompile.captures.summary import describe_packet, local_time, summarize

PCAPS = Path(__file__).parents[2] / "pcaps"

ETHERNET = """\
TCP 10.0.0.1.51000 > 10.0.0.2.443
TCP 10.0.0.2.443 > 10.0.0.1.51000
TCP 10.0.0.1.51000 > 10.0.0.2.443
TCP 10.0.0.1.51001 > 10.0.0.2.22
UDP 10.0.0.1.5353 > 10.0.0.2.53
UDP 192.168.1.5.1500 > 10.1.2.3.123
ICMP 10.0.0.1 > 10.0.0.2 type 8 code 0
SCTP 10.0.0.1.2905 > 10.0.0.2.2906
IP protocol 0 10.0.0.1 > 10.0.0.2 fragment at 512
OSPF 10.0.0.1 > 224.0.0.5
TCP 2001:db8::1.50000 > 2001:db8::2.80
UDP 2001:db8::1.546 > 2001:db8::2.547
ICMP6 2001:db8::1 > 2001:db8::2 type 128 code 0
UDP 2001:db8::1.53 > 2001:db8::2.5353
UDP 2001:db8::1 > 2001:db8::2 fragment at 64
ARP request 10.0.0.1 > 10.0.0.2
ARP reply 10.0.0.2 > 10.0.0.1
RARP reverse request 0.0.0.0 > 0.0.0.0
TCP 10.0.0.1.51000 > 10.0.0.2.443
TCP 2001:db8::1.50000 > 2001:db8::2.80
ethertype 0x88cc 02:00:00:00:00:0a > 01:80:c2:00:00:0e
802.3 02:00:00:00:00:0a > 01:80:c2:00:00:00
""".splitlines()

V4 = ETHERNET[:10]
V6 = ETHERNET[10:15]


def described(name):
    found = records(parse((PCAPS / name).read_bytes())[0])
    return [describe_packet(r.interface.dlt, r.data) for r in found]


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "name",
    [
        "ethernet.pcap",
        "ethernet-big-endian.pcap",
        "ethernet-nanoseconds.pcap",
        "ethernet-nanoseconds-big-endian.pcap",
    ],
)
def test_ethernet(name):
    assert described(name) == ETHERNET


@pytest.mark.parametrize(
    "name", ["raw", "null", "loop", "ppp", "c_hdlc", "linux_sll", "linux_sll2"]
)
def test_other_link_types(name):
    assert described(f"{name}.pcap") == V4 + V6


def test_one_ip_version():
    assert described("ipv4.pcap") == V4
    assert described("ipv6.pcap") == V6


def test_null_of_either_byte_order_and_ppp_without_hdlc():
    packet = records(parse((PCAPS / "ipv4.pcap").read_bytes())[0])[0].data
    assert describe_packet(0, b"\x02\0\0\0" + packet) == V4[0]
    assert describe_packet(0, b"\0\0\0\x02" + packet) == V4[0]
    assert describe_packet(9, b"\x00\x21" + packet) == V4[0]
    assert describe_packet(50, b"\xff\x03\x00\x21" + packet) == V4[0]


@pytest.mark.parametrize(
    ("dlt", "data", "line"),
    [
        (1, bytes(13), "ethertype cut off"),
        (127, bytes(99), "link type IEEE802_11_RADIO"),
        (9999, b"", "link type 9999"),
        (9, b"\xff\x03\xc0\x21", "PPP protocol 0xc021"),
        (108, b"\0\0\0\x07", "address family 7"),
        (12, b"\x90", "IP version 9"),
        (12, b"\x45" + bytes(18), "IP cut off"),
        (12, b"\x60" + bytes(38), "IP6 cut off"),
        (12, b"", "IP version cut off"),
    ],
)
def test_what_is_cut_off_or_unknown(dlt, data, line):
    assert describe_packet(dlt, data) == line


def test_every_length_of_every_packet():
    """A line for any truncation, and the whole line from the ports on."""
    for name in ("ethernet.pcap", "raw.pcap"):
        for record in records(parse((PCAPS / name).read_bytes())[0]):
            whole = describe_packet(record.interface.dlt, record.data)
            for length in range(len(record.data)):
                assert describe_packet(record.interface.dlt, record.data[:length])
            assert describe_packet(record.interface.dlt, record.data + bytes(9)) == whole


@pytest.mark.usefixtures("utc")
def test_the_line():
    (record,) = records(parse(pcap([(1_700_000_000, 42, bytes(20), 1514)]))[0])
    assert summarize(record) == (
        "2023-11-14 22:13:20.000042 802.3 00:00:00:00:00:00 > 00:00:00:00:00:00 "
        "length 1514, captured 20"
    )


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("timestamp", "decimals", "shown"),
    [
        (0, 6, "1970-01-01 00:00:00.000000"),
        (1_700_000_000_123_456_789, 9, "2023-11-14 22:13:20.123456789"),
        (1_700_000_000_123_456_789, 6, "2023-11-14 22:13:20.123456"),
        (-1, 9, "1969-12-31 23:59:59.999999999"),
        (10**40, 6, f"{10**31}.000000"),
    ],
)
def test_times(timestamp, decimals, shown):
    assert local_time(timestamp, decimals) == shown
