"""Drop what matches an expression, and show every few seconds who has sent the most of it.

    sudo python examples/drops_by_source.py eth0 5 "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn"

The counts are in a hash table that each CPU has its own part of, so that CPUs never wait for one
another; the sums are made here. There is room for 100,000 addresses, the others are counted as one.
"""

from __future__ import annotations

import sys
import time

import pfcompile
from pfcompile.kernel.attach import Action, Xdp, attach

ADDRESSES = 100_000
SHOWN = 10


def main(interface: str, seconds: float, expression: str) -> None:
    """Drop and show until interrupted."""
    program = pfcompile.compile(expression)
    with attach(Xdp(interface), program, Action.DROP, sources=ADDRESSES) as session:
        try:
            while True:
                time.sleep(seconds)
                counted = session.counters()
                print(f"{counted.seen_packets} packets, {counted.matched_packets} dropped")
                for row in session.sources()[:SHOWN]:
                    who = "others" if row.source is None else row.source
                    print(f"{row.packets:12} packets {row.bytes:14} bytes  {who}")
                print(flush=True)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], float(sys.argv[2]), " ".join(sys.argv[3:]))
    except pfcompile.PfcompileError as error:
        sys.exit(str(error))
