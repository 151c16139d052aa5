"""ATM as SunATM captures show it: virtual channels, traffic types, signalling messages.

Sources: pcap-filter(7); ITU-T I.361 and the ATM Forum's UNI 3.1 (reserved channels); ITU-T Q.2931
(messages); Solaris' atm driver for the pseudo-header.
"""

from __future__ import annotations

from typing import Final, NamedTuple

TRAFFIC_OFFSET: Final = 0
VPI_OFFSET: Final = 1
VCI_OFFSET: Final = 2
MESSAGE_OFFSET: Final = 9
"""Byte offsets from the start of a packet; the message type follows a four-byte pseudo-header,
the protocol discriminator and the call reference."""

TRAFFIC_MASK: Final = 0x0F
TRAFFIC_LANE: Final = 1
TRAFFIC_LLC: Final = 2

MAX_VPI: Final = 255
MAX_VCI: Final = 65535


class AtmChannel(NamedTuple):
    """A word of the language for traffic on reserved channels.

    Attributes:
        keyword: The word.
        vpi: Virtual path, 0 to 255.
        vcis: Virtual channels, any of which is meant.
    """

    keyword: str
    vpi: int
    vcis: tuple[int, ...]


ATM_CHANNELS: Final[dict[str, AtmChannel]] = {
    row.keyword: row
    for row in (
        AtmChannel("metac", 0, (1,)),
        AtmChannel("bcc", 0, (2,)),
        AtmChannel("oamf4sc", 0, (3,)),
        AtmChannel("oamf4ec", 0, (4,)),
        AtmChannel("oam", 0, (3, 4)),
        AtmChannel("oamf4", 0, (3, 4)),
        AtmChannel("sc", 0, (5,)),
        AtmChannel("ilmic", 0, (16,)),
    )
}

SETUP: Final = 0x05
CALL_PROCEEDING: Final = 0x02
CONNECT: Final = 0x07
CONNECT_ACK: Final = 0x0F
RELEASE: Final = 0x4D
RELEASE_COMPLETE: Final = 0x5A


class AtmMessages(NamedTuple):
    """A word of the language for signalling messages.

    Attributes:
        keyword: The word.
        channel: The word for the channel that they must be on, a key of `ATM_CHANNELS`.
        messages: The message types, in the order in which they are tested.
    """

    keyword: str
    channel: str
    messages: tuple[int, ...]


ATM_MESSAGES: Final[dict[str, AtmMessages]] = {
    row.keyword: row
    for row in (
        AtmMessages(
            "connectmsg",
            "sc",
            (RELEASE_COMPLETE, RELEASE, CONNECT_ACK, CONNECT, SETUP, CALL_PROCEEDING),
        ),
        AtmMessages(
            "metaconnect", "metac", (RELEASE_COMPLETE, RELEASE, CONNECT, SETUP, CALL_PROCEEDING)
        ),
    )
}
