"""Print the HTTP requests that come in on an interface: the client's address and the request line.

    sudo python examples/http_requests.py eth0

The filter runs in the kernel, at XDP: this program sees nothing but packets whose TCP payload
begins with a method, over IPv4 and IPv6. All packets go on as if it were not there.
"""

from __future__ import annotations

import sys
from ipaddress import ip_address

import pfcompile
from pfcompile.kernel.attach import Action, Report, Xdp, attach

METHODS = ("GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC")
IPV4_PAYLOAD = "tcp[((tcp[12] & 0xf0) >> 2):4]"
IPV6_PAYLOAD = "ip6[40 + ((ip6[52] & 0xf0) >> 2):4]"
"""The first four bytes behind the TCP header, whose length is in its byte 12, in words. `tcp[...]`
means IPv4; over IPv6 the header begins at byte 40, where no extension headers are before it."""


def expression() -> str:
    """Return the filter."""
    words = [f"0x{method.encode().hex()}" for method in METHODS]
    over_ipv4 = " or ".join(f"{IPV4_PAYLOAD} = {word}" for word in words)
    over_ipv6 = " or ".join(f"{IPV6_PAYLOAD} = {word}" for word in words)
    return f"({over_ipv4}) or (ip6[6] = 6 and ({over_ipv6}))"


def request(frame: bytes) -> str:
    """Return a line for a frame that the filter let through."""
    if frame[12:14] == b"\x08\x00":
        tcp = 14 + 4 * (frame[14] & 0x0F)
        client = str(ip_address(frame[26:30]))
    else:
        tcp = 14 + 40
        client = f"[{ip_address(frame[22:38])}]"
    port = int.from_bytes(frame[tcp : tcp + 2], "big")
    payload = frame[tcp + 4 * (frame[tcp + 12] >> 4) :]
    line = payload.split(b"\r\n")[0].decode("ascii", "replace")
    return f"{client}:{port} {''.join(c if c.isprintable() else '.' for c in line)}"


def main(interface: str) -> None:
    """Print requests until interrupted."""
    program = pfcompile.compile(expression())
    with (
        attach(Xdp(interface), program, Action.REPORT, report=Report(1024)) as session,
        session.reports() as reports,
    ):
        print(f"{interface}: {len(program.instructions)} instructions", file=sys.stderr, flush=True)
        try:
            for packet in reports:
                print(request(packet.data), flush=True)
        except KeyboardInterrupt:
            counted = session.counters()
            print(f"{counted.reported} requests, {counted.lost} lost", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except pfcompile.PfcompileError as error:
        sys.exit(str(error))
