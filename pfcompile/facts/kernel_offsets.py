"""Offsets that the kernel does not count from a packet's first byte (linux/filter.h)."""

from typing import Final

HEADER_BASE: Final = 0xFFE00000
"""SKF_LL_OFF: loads from here on count from the link header, and from 0xFFF00000 (SKF_NET_OFF) on
from the network header."""

ANCILLARY_BASE: Final = 0xFFFFF000
"""SKF_AD_OFF: loads from here on read the packet's metadata."""
