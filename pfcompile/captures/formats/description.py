"""What a pcapng file says of a live capture beside its packets: who made it, where, and the counts.

Source: draft-ietf-opsawg-pcapng, sections 4.1 (section header), 4.2 (interface description), 4.6
(interface statistics), and 3.5 (options).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.captures.formats.pcapng import (
    BYTE_ORDER_MAGIC,
    FRAME,
    INTERFACE_DESCRIPTION,
    OPTION_TSRESOL,
    SECTION_HEADER,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INTERFACE_STATISTICS: Final = 5

_COMMENT: Final = 1
_SECTION_OS: Final = 3
_SECTION_APPLICATION: Final = 4
_INTERFACE_NAME: Final = 2
_INTERFACE_FILTER: Final = 11
_INTERFACE_OS: Final = 12
_STARTED: Final = 2
_ENDED: Final = 3
_ACCEPTED: Final = 6
_OS_DROPPED: Final = 7
_DELIVERED: Final = 8

_FILTER_TEXT: Final = b"\0"
"""Before the text of a filter: it is in tcpdump's language."""
_NANOSECONDS: Final = 9
_LONGEST_OPTION: Final = 0xFFFF
_NO_LENGTH: Final = b"\xff" * 8


class Described(NamedTuple):
    """What is captured on.

    Attributes:
        name: The interface's name.
        linktype: LINKTYPE_ number.
        snaplen: Bytes that are kept of each packet.
        filter: The expression; empty for none.
    """

    name: str
    linktype: int
    snaplen: int
    filter: str


class Counts(NamedTuple):
    """What was counted on an interface since the capture began.

    Attributes:
        accepted: Packets that the kernel's filter let through, dropped ones included.
        dropped: Those of them that there was no room for.
        delivered: Those that are in the file, or in one before.
    """

    accepted: int
    dropped: int
    delivered: int


def section(application: str, system: str, comments: Sequence[str]) -> bytes:
    """Return a section header, little-endian, of no stated length."""
    options = [(_COMMENT, comment.encode()) for comment in comments]
    options += [(_SECTION_OS, system.encode()), (_SECTION_APPLICATION, application.encode())]
    fixed = struct.pack("<I2H", BYTE_ORDER_MAGIC, 1, 0) + _NO_LENGTH
    return _block(SECTION_HEADER, fixed, options)


def interface(described: Described, system: str) -> bytes:
    """Return an interface description whose times are in nanoseconds."""
    options = [(_INTERFACE_NAME, described.name.encode(errors="surrogateescape"))]
    options.append((OPTION_TSRESOL, bytes((_NANOSECONDS,))))
    if described.filter:
        options.append((_INTERFACE_FILTER, _FILTER_TEXT + described.filter.encode()))
    options.append((_INTERFACE_OS, system.encode()))
    fixed = struct.pack("<2HI", described.linktype, 0, described.snaplen)
    return _block(INTERFACE_DESCRIPTION, fixed, options)


def statistics(number: int, began_ns: int, now_ns: int, counts: Counts) -> bytes:
    """Return what was counted on an interface of the section, by its number."""
    options = [(_STARTED, _time(began_ns)), (_ENDED, _time(now_ns))]
    for code, count in zip((_ACCEPTED, _OS_DROPPED, _DELIVERED), counts, strict=True):
        options.append((code, struct.pack("<Q", count)))
    return _block(INTERFACE_STATISTICS, struct.pack("<I", number) + _time(now_ns), options)


def _time(nanoseconds: int) -> bytes:
    return struct.pack("<2I", nanoseconds >> 32, nanoseconds & 0xFFFFFFFF)


def _block(kind: int, fixed: bytes, options: Iterable[tuple[int, bytes]]) -> bytes:
    body = fixed
    for code, value in options:
        cut = value[:_LONGEST_OPTION]
        body += struct.pack("<2H", code, len(cut)) + cut + bytes(-len(cut) % 4)
    body += bytes(4)  # the end of the options
    length = struct.pack("<I", len(body) + FRAME)
    return struct.pack("<I", kind) + length + body + length
