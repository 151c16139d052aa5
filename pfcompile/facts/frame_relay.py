"""Network layer protocol identifiers behind the control field of a frame relay header.

Source: RFC 2427, section 4: 0x03 is unnumbered information, the second byte the identifier.
"""

from __future__ import annotations

from typing import Final

ISO: Final = 0x0300
"""With the second byte of an ISO protocol: CLNP, ES-IS, IS-IS are 0x0381 to 0x0383."""

IP6: Final = 0x038E
IP: Final = 0x03CC
