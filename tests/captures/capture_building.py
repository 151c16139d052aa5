"""Captures built by hand, for the tests of this folder: small, and of every form."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

from pfcompile.captures.formats.records import Item, Record
from pfcompile.captures.reader import read_items
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    import random

MICROSECONDS = 0xA1B2C3D4
NANOSECONDS = 0xA1B23C4D
KUZNETZOV = 0xA1B2CD34

# Seconds, ticks, packet, wire length.
PACKETS = [
    (1_700_000_000, 1, b"\x00" * 14, 14),
    (1_700_000_000, 999_999, bytes(range(61)), 1514),
    (1_700_000_001, 0, b"", 0),
    (0xFFFF_FFFF, 7, b"xyz", 3),
]


def pcap(
    packets=None, *, magic=MICROSECONDS, order="<", link_word=1, snaplen=65535, version=(2, 4)
) -> bytes:
    parts = [struct.pack(f"{order}I2H4I", magic, *version, 0, 0, snaplen, link_word)]
    extra = bytes(range(8)) if magic == KUZNETZOV else b""
    for seconds, ticks, data, wire in PACKETS if packets is None else packets:
        parts.append(struct.pack(f"{order}4I", seconds, ticks, len(data), wire) + extra + data)
    return b"".join(parts)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(f"{order}2H", code, len(value)) + value + bytes(-len(value) % 4)


def block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order="<", *, version=(1, 0), length=-1, options=b"") -> bytes:
    body = struct.pack(f"{order}I2Hq", 0x1A2B3C4D, *version, length)
    return block(order, 0x0A0D0D0A, body + options)


def interface(order="<", linktype=1, snaplen=65535, options=b"") -> bytes:
    return block(order, 1, struct.pack(f"{order}2HI", linktype, 0, snaplen) + options)


def enhanced(order="<", number=0, ticks=0, data=b"", wire=None, options=b"") -> bytes:
    head = struct.pack(
        f"{order}5I",
        number,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        len(data),
        len(data) if wire is None else wire,
    )
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def obsolete(order="<", number=0, ticks=0, data=b"", wire=None, options=b"") -> bytes:
    head = struct.pack(
        f"{order}2H4I",
        number,
        9,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        len(data),
        len(data) if wire is None else wire,
    )
    return block(order, 2, head + data + bytes(-len(data) % 4) + options)


def simple(order="<", data=b"", wire=None) -> bytes:
    length = struct.pack(f"{order}I", len(data) if wire is None else wire)
    return block(order, 3, length + data + bytes(-len(data) % 4))


END = bytes(4)


def pcapng_parts() -> list[bytes]:
    """Return the blocks of a small file with everything in it."""
    return [
        section("<", options=option("<", 3, b"Linux") + END),
        interface("<", 1, 0, option("<", 2, b"eth0") + option("<", 9, b"\x09") + END),
        block("<", 4, struct.pack("<2H", 0, 0)),  # names
        enhanced("<", 0, 1_700_000_000_123_456_789, bytes(range(61)), 1514),
        interface("<", 101, 65535),
        enhanced("<", 1, 1_700_000_000_123_456, b"\x45abc", None, option("<", 1, b"hi") + END),
        simple("<", b"four"),
        obsolete("<", 1, 1_700_000_001_000_000, b"old"),
        block("<", 5, struct.pack("<3I", 0, 1, 2)),  # statistics
        block("<", 10, struct.pack("<2I", 0x544C534B, 4) + b"keys"),  # secrets
        block("<", 0x80000001, b"who knows..."),
        section(">", length=400),
        interface(">", 113, 3, option(">", 9, b"\x8a") + option(">", 14, b"\xff" * 8) + END),
        simple(">", b"abc", 1000),
        enhanced(">", 0, 2048 + 512, b"e" * 33),
    ]


def pcapng() -> bytes:
    return b"".join(pcapng_parts())


def parse(content: bytes, block_size: int = 256 * 1024) -> tuple[list[Item], CaptureError | None]:
    """Return what is whole in a capture, and the error that ends it."""
    items: list[Item] = []
    try:
        items.extend(read_items(BytesIO(content), "made", block_size=block_size))
    except CaptureError as error:
        # `extend` has taken what came before.
        return items, error
    return items, None


def records(items: list[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return a capture with one to four things wrong."""
    broken = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(broken)) if broken else 0
        match rng.randrange(6):
            case 0 if broken:
                broken[place] ^= 1 << rng.randrange(8)
            case 1:
                del broken[place:]
            case 2:
                broken[place:place] = rng.randbytes(rng.randint(1, 9))
            case 3:
                del broken[place : place + rng.randint(1, 40)]
            case 4:
                # A word made huge: wherever a length lies, sooner or later it is this one.
                word = rng.choice([0xFFFFFFFF, 0x7FFFFFFC, 0x10000000, 0x00FFFFFC, 0])
                at = place & ~3
                broken[at : at + 4] = struct.pack(rng.choice("<>") + "I", word)
            case _:
                other = rng.randrange(len(broken)) if broken else 0
                broken[place:] = broken[other:]
        del broken[1 << 20 :]
    return bytes(broken)
