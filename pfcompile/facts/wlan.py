"""IEEE 802.11 frame types, subtypes and directions.

Sources: IEEE 802.11, clause 9.2.4.1 (frame control field); pcap-filter(7) for the words.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts.rows import Number, by_name

MANAGEMENT: Final = 0x00
CONTROL: Final = 0x04
DATA: Final = 0x08

TYPE_MASK: Final = 0x0C
SUBTYPE_MASK: Final = 0xF0
"""Bits of the first byte of the frame control field."""

DIRECTION_MASK: Final = 0x03
"""Bits of the second byte: to and from the distribution system."""

FRAME_TYPES: Final = (
    Number(MANAGEMENT, ("mgt", "management"), "Management frames"),
    Number(CONTROL, ("ctl", "control"), "Control frames"),
    Number(DATA, ("data",), "Data frames"),
)

DIRECTIONS: Final = (
    Number(0, ("nods",), "Within a cell, neither to nor from the distribution system"),
    Number(1, ("tods",), "To the distribution system"),
    Number(2, ("fromds",), "From the distribution system"),
    Number(3, ("dstods",), "From one access point to another"),
)

SUBTYPES: Final[dict[int, tuple[Number, ...]]] = {
    MANAGEMENT: (
        Number(0x00, ("assoc-req", "assocreq"), "Association request"),
        Number(0x10, ("assoc-resp", "assocresp"), "Association response"),
        Number(0x20, ("reassoc-req", "reassocreq"), "Reassociation request"),
        Number(0x30, ("reassoc-resp", "reassocresp"), "Reassociation response"),
        Number(0x40, ("probe-req", "probereq"), "Probe request"),
        Number(0x50, ("probe-resp", "proberesp"), "Probe response"),
        Number(0x80, ("beacon",), "Beacon"),
        Number(0x90, ("atim",), "Announcement traffic indication"),
        Number(0xA0, ("disassoc", "disassociation"), "Disassociation"),
        Number(0xB0, ("auth", "authentication"), "Authentication"),
        Number(0xC0, ("deauth", "deauthentication"), "Deauthentication"),
    ),
    CONTROL: (
        Number(0x80, ("bar",), "Block acknowledgement request"),
        Number(0x90, ("ba",), "Block acknowledgement"),
        Number(0xA0, ("ps-poll",), "Power save poll"),
        Number(0xB0, ("rts",), "Request to send"),
        Number(0xC0, ("cts",), "Clear to send"),
        Number(0xD0, ("ack",), "Acknowledgement"),
        Number(0xE0, ("cf-end",), "End of the contention-free period"),
        Number(0xF0, ("cf-end-ack",), "The same, with an acknowledgement"),
    ),
    DATA: (
        Number(0x00, ("data",), "Data"),
        Number(0x10, ("data-cf-ack",), "Data, acknowledgement"),
        Number(0x20, ("data-cf-poll",), "Data, poll"),
        Number(0x30, ("data-cf-ack-poll",), "Data, acknowledgement, poll"),
        Number(0x40, ("null",), "No data"),
        Number(0x50, ("cf-ack",), "No data, acknowledgement"),
        Number(0x60, ("cf-poll",), "No data, poll"),
        Number(0x70, ("cf-ack-poll",), "No data, acknowledgement, poll"),
        Number(0x80, ("qos-data",), "Data with quality of service"),
        Number(0x90, ("qos-data-cf-ack",), "The same, acknowledgement"),
        Number(0xA0, ("qos-data-cf-poll",), "The same, poll"),
        Number(0xB0, ("qos-data-cf-ack-poll",), "The same, acknowledgement, poll"),
        Number(0xC0, ("qos",), "No data, quality of service"),
        Number(0xE0, ("qos-cf-poll",), "The same, poll"),
        Number(0xF0, ("qos-cf-ack-poll",), "The same, acknowledgement, poll"),
    ),
}
"""Frame type to its subtypes, whose numbers stand where the first byte has them: 0x00 to 0xf0."""

_TYPE_NAMES = by_name(FRAME_TYPES)
_DIRECTION_NAMES = by_name(DIRECTIONS)
_SUBTYPE_NAMES = {frame_type: by_name(rows) for frame_type, rows in SUBTYPES.items()}


def wlan_type(name: str) -> int | None:
    """Return the frame type called `name`, in any case: 0x00, 0x04, 0x08 or None."""
    return _TYPE_NAMES.get(name.lower())


def wlan_subtype(name: str, frame_type: int) -> int | None:
    """Return the subtype of `frame_type` called `name`, in any case: 0x00 to 0xf0 or None."""
    return _SUBTYPE_NAMES.get(frame_type, {}).get(name.lower())


def wlan_type_and_subtype(name: str) -> tuple[int, int] | None:
    """Return type and subtype for a subtype's name alone, in any case, or None.

    Management frames are searched first, then control frames, then data frames.
    """
    for frame_type in SUBTYPES:
        subtype = wlan_subtype(name, frame_type)
        if subtype is not None:
            return frame_type, subtype
    return None


def wlan_direction(name: str) -> int | None:
    """Return the direction called `name`, in any case: 0 to 3 or None."""
    return _DIRECTION_NAMES.get(name.lower())
