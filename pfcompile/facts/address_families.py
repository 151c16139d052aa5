"""Address families as captures have them: every system has numbers of its own.

Source: the link-layer header types at tcpdump.org (LINKTYPE_NULL, LINKTYPE_IPNET); sys/socket.h of
each system.
"""

from __future__ import annotations

from typing import Final

INET: Final = 2
"""AF_INET, everywhere."""

INET6_LINUX: Final = 10
INET6_SOLARIS: Final = 26

INET6_OTHERS: Final = (30, 24, 28)
"""AF_INET6 of Darwin, of NetBSD and OpenBSD, and of FreeBSD, as filters of savefiles test them."""
