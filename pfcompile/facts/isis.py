"""ISO network layer: protocol identifiers, and the PDU types of IS-IS.

Sources: ISO/IEC TR 9577 (identifiers); ISO/IEC 10589 and RFC 1195 (PDU types); pcap-filter(7) for
the words.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts.rows import Number, by_name

CLNP: Final = 0x81
ESIS: Final = 0x82
ISIS: Final = 0x83

ISO_IDENTIFIERS: Final = (
    Number(CLNP, ("clnp",), "Connectionless Network Protocol, ISO 8473"),
    Number(ESIS, ("esis",), "End system to intermediate system, ISO 9542"),
    Number(ISIS, ("isis",), "Intermediate system to intermediate system, ISO/IEC 10589"),
)
"""The first byte of a network layer header; the names are what `iso proto NAME` knows."""

ISO_NAMES: Final[dict[str, int]] = by_name(ISO_IDENTIFIERS)

L1_LAN_IIH: Final = 15
L2_LAN_IIH: Final = 16
PTP_IIH: Final = 17
L1_LSP: Final = 18
L2_LSP: Final = 20
L1_CSNP: Final = 24
L2_CSNP: Final = 25
L1_PSNP: Final = 26
L2_PSNP: Final = 27

PDU_TYPE_MASK: Final = 0x1F
"""The low bits of the fifth byte of an IS-IS header; those above are reserved."""

PDU_TYPES: Final = (
    Number(L1_LAN_IIH, (), "Level 1 hello on a LAN"),
    Number(L2_LAN_IIH, (), "Level 2 hello on a LAN"),
    Number(PTP_IIH, (), "Point-to-point hello"),
    Number(L1_LSP, (), "Level 1 link state"),
    Number(L2_LSP, (), "Level 2 link state"),
    Number(L1_CSNP, (), "Level 1 complete sequence numbers"),
    Number(L2_CSNP, (), "Level 2 complete sequence numbers"),
    Number(L1_PSNP, (), "Level 1 partial sequence numbers"),
    Number(L2_PSNP, (), "Level 2 partial sequence numbers"),
)

PDU_GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "l1": (L1_LAN_IIH, PTP_IIH, L1_LSP, L1_CSNP, L1_PSNP),
    "l2": (L2_LAN_IIH, PTP_IIH, L2_LSP, L2_CSNP, L2_PSNP),
    "iih": (L1_LAN_IIH, L2_LAN_IIH, PTP_IIH),
    "lsp": (L1_LSP, L2_LSP),
    "snp": (L1_CSNP, L2_CSNP, L1_PSNP, L2_PSNP),
    "csnp": (L1_CSNP, L2_CSNP),
    "psnp": (L1_PSNP, L2_PSNP),
}
"""Word of the language to the PDU types it means. A point-to-point hello is of both levels."""
