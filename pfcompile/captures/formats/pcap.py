"""The classic capture file: a header of 24 bytes, then one record a packet.

Source: pcap-savefile(5); draft-ietf-opsawg-pcap. What the drafts leave out (swapped lengths, the
Kuznetzov record header) was checked against what libpcap 1.10 reads.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.captures.formats.limits import largest_packet
from pfcompile.captures.formats.records import (
    NANOSECONDS,
    Interface,
    PcapDialect,
    PcapHeader,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.sources.window import Window

HEADER_LENGTH: Final = 24
RECORD_HEADER_LENGTH: Final = 16


class Magic(NamedTuple):
    """One magic number, in the byte order of the machine that wrote the file."""

    number: int
    ticks_per_second: int
    extra_header: int
    source: str


MAGICS: Final = (
    Magic(0xA1B2C3D4, 1_000_000, 0, "pcap-savefile(5)"),
    Magic(0xA1B23C4D, NANOSECONDS, 0, "pcap-savefile(5)"),
    # Alexey Kuznetzov's patch of libpcap: behind the lengths come the interface's index (4 bytes),
    # the protocol (2), the packet type (1) and a byte of padding.
    Magic(0xA1B2CD34, 1_000_000, 8, "libpcap, sf-pcap.c"),
)

MICROSECONDS_MAGIC: Final = MAGICS[0]
NANOSECONDS_MAGIC: Final = MAGICS[1]

CAPTURED_FIRST: Final = "captured first"
WIRE_FIRST: Final = "wire first"
SMALLER_CAPTURED: Final = "the smaller is the captured length"

VERSIONS: Final[dict[tuple[int, int], str]] = {
    # Up to 2.2 the two lengths were the other way round; 2.3 was written both ways. 543.0 is what
    # DG/UX's tcpdump writes, in the old order.
    (2, 0): WIRE_FIRST,
    (2, 1): WIRE_FIRST,
    (2, 2): WIRE_FIRST,
    (2, 3): SMALLER_CAPTURED,
    (2, 4): CAPTURED_FIRST,
    (543, 0): WIRE_FIRST,
}
"""The versions that there are, and the order of the lengths in each (libpcap, sf-pcap.c)."""


def find_magic(start: bytes) -> tuple[Magic, str] | None:
    """Return the magic number and byte order ("<" or ">") of a file that begins with `start`."""
    for magic in MAGICS:
        for order in "<>":
            if start == struct.pack(f"{order}I", magic.number):
                return magic, order
    return None


def read_header(window: Window, magic: Magic, byte_order: str) -> PcapHeader:
    """Read the file header at the window's position and move behind it.

    The upper half of the link-type word (frame check sequence length, reserved bits) is ignored.

    Raises:
        CaptureError: It is cut short, or of a version that does not exist.
    """
    if not window.extend(HEADER_LENGTH):
        raise window.damaged(
            f"the file header is cut short: {len(window.data)} of {HEADER_LENGTH} bytes"
        )
    raw = window.data[window.position : window.position + HEADER_LENGTH]
    major, minor, snaplen, link_word = struct.unpack(f"{byte_order}4x2H8x2I", raw)
    lengths = VERSIONS.get((major, minor))
    if lengths is None:
        raise window.damaged(f"unsupported pcap savefile version {major}.{minor}")
    window.position += HEADER_LENGTH
    return PcapHeader(
        raw,
        PcapDialect(magic.number, byte_order, magic.ticks_per_second, magic.extra_header, lengths),
        Interface(0, link_word & 0xFFFF, snaplen, magic.ticks_per_second),
    )


def walk(window: Window, header: PcapHeader) -> Iterator[Record]:
    """Yield the records behind the file header.

    Raises:
        CaptureError: After the last whole record, where one is cut short or has a captured
            length that no packet of the link type can have; the offset is that record's start.
    """
    dialect = header.dialect
    interface = header.interface
    unpack = struct.Struct(f"{dialect.byte_order}4I").unpack_from
    nanoseconds_a_tick = NANOSECONDS // dialect.ticks_per_second
    prefix = prefix_length(header)
    longest = largest_packet(interface.dlt)
    lengths = dialect.lengths
    while True:
        data = window.data
        view = memoryview(data)
        position = window.position
        base = window.offset - position
        end = len(data)
        needed = prefix
        while end - position >= prefix:
            seconds, ticks, captured, wire = unpack(data, position)
            if lengths is not CAPTURED_FIRST and (lengths is WIRE_FIRST or captured > wire):
                captured, wire = wire, captured
            if captured > longest:
                raise window.damaged(_too_long(captured, longest), position)
            body = position + prefix
            stop = body + captured
            if stop > end:
                needed = prefix + captured
                break
            yield Record(
                seconds * NANOSECONDS + ticks * nanoseconds_a_tick,
                data[body:stop],
                wire,
                interface,
                view[position:stop],
                base + position,
            )
            position = stop
        window.position = position
        if not window.extend(needed):
            rest = len(window.data)
            if rest == 0:
                return
            raise window.damaged(cut_short(rest, needed))


def prefix_length(header: PcapHeader) -> int:
    """Return the bytes of a record before the packet."""
    return RECORD_HEADER_LENGTH + header.dialect.extra_header


def record_size(window: Window, header: PcapHeader, start: bytes) -> int:
    """Return the bytes of the record at the window's offset, as far as it can be known.

    Args:
        window: For errors.
        header: The file's header.
        start: What has been read of the record.

    Returns:
        The whole record's size, or if not even its header has been read, the header's.

    Raises:
        CaptureError: Its captured length is one that no packet of the link type can have.
    """
    dialect = header.dialect
    prefix = prefix_length(header)
    if len(start) < prefix:
        return prefix
    captured, wire = struct.unpack_from(f"{dialect.byte_order}8x2I", start)
    lengths = dialect.lengths
    if lengths is WIRE_FIRST or (lengths is SMALLER_CAPTURED and captured > wire):
        captured = wire
    longest = largest_packet(header.interface.dlt)
    if captured > longest:
        raise window.damaged(_too_long(captured, longest))
    return int(prefix + captured)


def cut_short(rest: int, needed: int) -> str:
    """Return the words for a file that ends within a record."""
    return f"the last record is cut short: {rest} of {needed} bytes"


def _too_long(captured: int, longest: int) -> str:
    return f"invalid packet capture length {captured}, bigger than maximum of {longest}"


def encode_header(dialect: PcapDialect, linktype: int, snaplen: int) -> bytes:
    """Return a file header of version 2.4 for records in `dialect`."""
    return struct.pack(f"{dialect.byte_order}I2HiI2I", dialect.magic, 2, 4, 0, 0, snaplen, linktype)


def encode_record(dialect: PcapDialect, timestamp_ns: int, data: bytes, wire_length: int) -> bytes:
    """Return one record.

    A timestamp finer than the dialect's unit is rounded down.

    Raises:
        ValueError: The time is before 1970 or after 2106, which the format cannot say.
    """
    seconds, nanoseconds = divmod(timestamp_ns, NANOSECONDS)
    if not 0 <= seconds < 1 << 32:
        raise ValueError("the time does not fit a pcap file, which holds 1970 to 2106")
    ticks = nanoseconds * dialect.ticks_per_second // NANOSECONDS
    first, second = len(data), wire_length
    if dialect.lengths is WIRE_FIRST:
        first, second = second, first
    header = struct.pack(f"{dialect.byte_order}4I", seconds, ticks, first, second)
    return b"".join((header, bytes(dialect.extra_header), data))
