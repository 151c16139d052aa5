"""What scapy's sniff() is given."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.all import (
    IP,
    UDP,
    CookedLinux,
    CookedLinuxV2,
    Dot1Q,
    Ether,
    IPv6,
    Raw,
    sniff,
    wrpcap,
)

from pfcompile.errors import FilterError, KernelError
from pfcompile.scapy import open_socket, sniff_filter
from tests.kernel.namespaces import LEFT, Pair, pair, raw_sender, udp

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cable() -> Iterator[Pair]:
    with pair() as made:
        yield made


def datagram(port: int) -> UDP:
    return UDP(sport=40000, dport=port) / b"payload"


LINKS = {
    "Ether": Ether() / IP(),
    "CookedLinux": CookedLinux(proto=0x800) / IP(),
    "CookedLinuxV2": CookedLinuxV2(proto=0x800) / IP(),
    "IP": IP(),
    "IPv6": IPv6(),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_test_of_packets_on_every_link_type(name: str) -> None:
    matches = sniff_filter("udp port 53")
    for build in (lambda packet: packet, lambda packet: type(packet)(bytes(packet))):
        assert matches(build(LINKS[name] / datagram(53))) is True
        assert matches(build(LINKS[name] / datagram(54))) is False


def test_one_test_serves_several_link_types() -> None:
    matches = sniff_filter("udp port 53")
    for _ in range(2):
        assert all(matches(link / datagram(53)) for link in LINKS.values())
        assert not any(matches(link / datagram(54)) for link in LINKS.values())


def test_the_length_on_the_wire_counts() -> None:
    packet = Ether(bytes(Ether() / IP() / datagram(53)))
    matches = sniff_filter("greater 1000")
    assert not matches(packet)
    packet.wirelen = 1400
    assert matches(packet)


def test_a_changed_packet_is_what_it_is_now() -> None:
    packet = Ether(bytes(Ether() / IP() / datagram(53)))
    packet[UDP].dport = 54
    assert not sniff_filter("udp dst port 53")(packet)


def test_a_packet_without_a_link_type_is_an_error() -> None:
    with pytest.raises(FilterError, match="Raw"):
        sniff_filter("udp")(Raw(b"what is this"))


def test_a_wrong_expression_is_an_error() -> None:
    with pytest.raises(FilterError):
        sniff_filter("udp prot 53")(Ether() / IP())


def test_sniffing_a_file(tmp_path: Path) -> None:
    path = tmp_path / "in.pcap"
    wrpcap(str(path), [Ether() / IP() / datagram(port) for port in (52, 53, 54, 53)])
    found = sniff(offline=str(path), lfilter=sniff_filter("udp port 53"), quiet=True)
    assert [packet[UDP].dport for packet in found] == [53, 53]


@pytest.mark.netns
def test_sniffing_a_socket_that_the_kernel_filters(cable: Pair) -> None:
    with cable.left.call(open_socket, LEFT, "udp port 53") as sock, raw_sender(cable) as sender:

        def send() -> None:
            for port in (52, 53, 54, 53):
                sender.send(udp(port, b"payload"))

        threading.Timer(0.1, send).start()
        before = time.time()
        found = sniff(opened_socket=sock, count=2, timeout=10)
        assert [bytes(packet) for packet in found] == [udp(53, b"payload")] * 2
        assert all(isinstance(packet, Ether) for packet in found)
        assert all(packet.wirelen == len(udp(53, b"payload")) for packet in found)
        assert all(before <= float(packet.time) <= time.time() for packet in found)
        assert sock.statistics() == (2, 0), "the others never reached Python"
        with pytest.raises(NotImplementedError):
            sock.send(found[0])
    assert sock.closed


@pytest.mark.netns
def test_a_sniffed_tag_is_there_and_the_test_sees_it(cable: Pair) -> None:
    with cable.left.call(open_socket, LEFT) as sock, raw_sender(cable) as sender:
        sender.send(udp(53, b"tagged", vlan=42))
        sender.send(udp(53, b"other", vlan=43))
        found = sniff(
            opened_socket=sock, lfilter=sniff_filter("vlan 42 and udp"), count=1, timeout=10
        )
    assert found[0][Dot1Q].vlan == 42


@pytest.mark.netns
def test_any_interface(cable: Pair) -> None:
    with cable.left.call(open_socket, "any", "udp port 53") as sock, raw_sender(cable) as sender:
        sender.send(udp(54, b"other"))
        sender.send(udp(53, b"payload"))
        found = sniff(opened_socket=sock, count=1, timeout=10)
    assert isinstance(found[0], CookedLinuxV2)
    assert found[0][UDP].dport == 53


@pytest.mark.netns
def test_opening_an_unknown_interface_is_an_error(cable: Pair) -> None:
    with pytest.raises(KernelError, match="did you mean"):
        cable.left.call(open_socket, "lefto", "udp")


def test_without_scapy_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['scapy'] = None\n"
        "from pfcompile.errors import MissingExtraError\n"
        "try: import pfcompile.scapy\n"
        "except MissingExtraError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "pip install 'pfcompile[scapy]'" in result.stdout
