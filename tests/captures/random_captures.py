"""Random captures with everything in them that a walker has to tell apart, in any mixture."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pfcompile.captures.formats.pcap import (
    CAPTURED_FIRST,
    SMALLER_CAPTURED,
    VERSIONS,
    WIRE_FIRST,
    encode_record,
)
from pfcompile.captures.formats.records import PcapDialect
from tests.captures.capture_building import (
    END,
    KUZNETZOV,
    MICROSECONDS,
    NANOSECONDS,
    block,
    enhanced,
    interface,
    obsolete,
    option,
    pcap,
    section,
    simple,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

LINKTYPES = (1, 101, 113, 9, 105)
"""Link types of interfaces, by their number in a file."""

LENGTHS = (0, 1, 2, 3, 4, 5, 14, 40, 61, 90, 127, 1500)
"""Lengths of packets."""

DIALECTS = [
    (magic, order, version)
    for magic in (MICROSECONDS, NANOSECONDS, KUZNETZOV)
    for order in "<>"
    for version in ((2, 4), (2, 3), (2, 2), (543, 0))
]
"""Magic number, byte order and version of pcap files: all that there are, but for versions that
are like one of these."""

_NAMES = 4
_STATISTICS = 5
_SECRETS = 10
_CUSTOM = (0xBAD, 0x40000BAD)
_UNKNOWN = 0x80000001

_RESOLUTIONS = (b"\x00", b"\x03", b"\x06", b"\x09", b"\x13", b"\x80", b"\x8a", b"\xbf")


def random_pcap(
    rng: random.Random,
    count: int,
    *,
    dialect: tuple[int, str, tuple[int, int]] | None = None,
    lengths: Sequence[int] = LENGTHS,
) -> bytes:
    """Return a pcap file of `count` packets."""
    magic, order, version = dialect or rng.choice(DIALECTS)
    ticks = 10**9 if magic == NANOSECONDS else 10**6
    extra = 8 if magic == KUZNETZOV else 0
    written = {SMALLER_CAPTURED: (CAPTURED_FIRST, WIRE_FIRST)}
    found = VERSIONS[version]
    dialects = [
        PcapDialect(magic, order, ticks, extra, each) for each in written.get(found, (found,))
    ]
    parts = [pcap([], magic=magic, order=order, version=version)]
    for _ in range(count):
        data = rng.randbytes(rng.choice(lengths))
        wire = len(data) + rng.choice((0, 0, 5, 4000))
        time = rng.randrange(1 << 32) * 10**9 + rng.randrange(10**9)
        parts.append(encode_record(rng.choice(dialects), time, data, wire))
    return b"".join(parts)


def random_blocks(
    rng: random.Random,
    count: int,
    *,
    lengths: Sequence[int] = LENGTHS,
    sections: int = 3,
    options: Sequence[bytes] = (),
) -> list[bytes]:
    """Return the blocks of a pcapng file of `count` packets.

    Args:
        rng: What chooses.
        count: Packets of all kinds.
        lengths: Their lengths.
        sections: About so many there are.
        options: Values of options that packets may have beside the usual.
    """
    blocks, left = [], count
    while left:
        here = min(left, rng.randint(1, max(1, 2 * count // sections)))
        left -= here
        blocks += _random_section(rng, here, lengths, options)
    return blocks


def random_pcapng(rng: random.Random, count: int, **options) -> bytes:
    """Return a pcapng file of `count` packets; options as of `random_blocks`."""
    return b"".join(random_blocks(rng, count, **options))


def _random_section(
    rng: random.Random, packets: int, lengths: Sequence[int], options: Sequence[bytes]
) -> list[bytes]:
    order = rng.choice("<>")
    hardware = rng.choice((b"", option(order, 2, b"made up") + END))
    blocks = [section(order, length=rng.choice((-1, -1, 400)), options=hardware)]
    snaplens = []
    while packets:
        kind = rng.choices(("packet", "interface", "other"), (8, 1, 1))[0]
        if kind == "interface" or (kind == "packet" and not snaplens):
            snaplens.append(rng.choice((0, 0, 3, 40, 65535, 0xFFFFFFFF)))
            blocks.append(_random_interface(rng, order, snaplens[-1]))
        elif kind == "other":
            blocks.append(_other(rng, order))
        else:
            packets -= 1
            blocks.append(_random_packet(rng, order, snaplens, rng.choice(lengths), options))
    return blocks


def _random_interface(rng: random.Random, order: str, snaplen: int) -> bytes:
    given = b""
    if rng.random() < 0.3:
        given += option(order, 2, b"eth0")
    if rng.random() < 0.6:
        given += option(order, 9, rng.choice(_RESOLUTIONS))
    if rng.random() < 0.4:
        given += option(order, 14, struct.pack(f"{order}q", rng.randint(-(10**9), 10**9)))
    return interface(order, rng.choice(LINKTYPES), snaplen, given + rng.choice((b"", END)))


def _other(rng: random.Random, order: str) -> bytes:
    """Return a block that has no packet."""
    kind = rng.choice((_NAMES, _STATISTICS, _SECRETS, *_CUSTOM, _UNKNOWN))
    return block(order, kind, rng.randbytes(4 * rng.randint(0, 12)))


def _random_packet(
    rng: random.Random, order: str, snaplens: Sequence[int], size: int, options: Sequence[bytes]
) -> bytes:
    data = rng.randbytes(size)
    number = rng.randrange(len(snaplens))
    ticks = rng.choice((rng.getrandbits(64), rng.getrandbits(50), 0, (1 << 64) - 1))
    behind = rng.choice((b"", b"", option(order, 2, rng.randbytes(4)) + END))
    if options and rng.random() < 0.3:
        behind = option(order, 1, rng.choice(options)) + behind
    kind = rng.choices(("enhanced", "obsolete", "simple"), (3, 1, 1))[0]
    if kind != "simple":
        made = enhanced if kind == "enhanced" else obsolete
        wire = size + rng.choice((0, 0, 5, 4000))
        return made(order, number, ticks, data, wire, behind)
    cut = snaplens[0] or 0xFFFFFFFF
    wire = size + (rng.choice((0, 4000)) if cut <= size else 0)
    # What is behind the snaplen may be there, and is no part of the packet.
    return simple(order, data[:cut] if rng.random() < 0.8 else data, wire)
