"""Address families as captures have them: every system has numbers of its own.

Source: the link-layer header types at tcpdump.org (LINKTYPE_NULL); sys/socket.h of each system.
"""

from __future__ import annotations

from typing import Final

IPV4: Final = 2
"""AF_INET, everywhere."""

IPV6: Final = (10, 24, 26, 28, 30)
"""AF_INET6 on Linux, NetBSD and OpenBSD, Solaris, FreeBSD and Darwin."""


def in_any_order(number: int) -> tuple[int, int]:
    """Return a family's number as 32 bits of a machine of either byte order."""
    return number, int.from_bytes(number.to_bytes(4, "little"), "big")
