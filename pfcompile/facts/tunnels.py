"""UDP ports that tunnels are known by (RFC 8926, section 3.3; RFC 7348, section 5)."""

from __future__ import annotations

from typing import Final

GENEVE_PORT: Final = 6081
VXLAN_PORT: Final = 4789
