"""Drop what matches an expression before the kernel does anything with it, and log each packet.

    sudo python examples/firewall.py eth0 "tcp dst port 23 or udp dst port 161"

The filter goes with this program, however that ends. What comes faster than it can be logged is
dropped all the same; the end says how many packets the log lacks.
"""

from __future__ import annotations

import sys
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pfcompile
from pfcompile.kernel.attach import Action, Report, Xdp, attach

if TYPE_CHECKING:
    from pfcompile.kernel.attach import ReportedPacket

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
PORTS = {6, 17}


def log_line(packet: ReportedPacket) -> str:
    """Return a line for a packet: when, from where, to where, how long."""
    moment = datetime.fromtimestamp(packet.timestamp_ns / 1e9).astimezone()
    return f"{moment:%F %T} dropped {described(packet.data)}, {packet.wire_length} bytes"


def described(frame: bytes) -> str:
    """Return addresses, protocol and ports, as far as they are there."""
    kind, ip = frame[12:14].hex(), frame[14:]
    if kind == "0800" and len(ip) >= 20:
        protocol, behind = ip[9], ip[4 * (ip[0] & 0x0F) :]
        source, destination = ip_address(ip[12:16]), ip_address(ip[16:20])
    elif kind == "86dd" and len(ip) >= 40:
        protocol, behind = ip[6], ip[40:]
        source, destination = ip_address(ip[8:24]), ip_address(ip[24:40])
    else:
        return f"{frame[6:12].hex(':')} > {frame[:6].hex(':')} type 0x{kind}"
    name = PROTOCOLS.get(protocol, f"protocol {protocol}")
    if protocol in PORTS and len(behind) >= 4:
        ports = int.from_bytes(behind[:2], "big"), int.from_bytes(behind[2:4], "big")
        return f"{name} {source} port {ports[0]} > {destination} port {ports[1]}"
    return f"{name} {source} > {destination}"


def main(interface: str, expression: str) -> None:
    """Drop and log until interrupted."""
    program = pfcompile.compile(expression)
    with (
        attach(Xdp(interface), program, Action.DROP, report=Report(128)) as session,
        session.reports() as reports,
    ):
        print(f"{interface}: dropping '{expression}'", file=sys.stderr, flush=True)
        try:
            for packet in reports:
                print(log_line(packet), flush=True)
        except KeyboardInterrupt:
            counted = session.counters()
            dropped, lost = counted.matched_packets, counted.lost
            print(f"{dropped} packets dropped, {lost} of them not logged", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], " ".join(sys.argv[2:]))
    except pfcompile.PfcompileError as error:
        sys.exit(str(error))
