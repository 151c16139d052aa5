"""The names that `link proto` and `iso proto` know; no database is asked for these.

Source: pcap-filter(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts.ethertypes import ETHERTYPE_NAMES
from pfcompile.facts.isis import ISO_NAMES
from pfcompile.facts.llc_saps import SAP_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

LINK_PROTOCOLS: Final[Mapping[str, int]] = SAP_NAMES | ETHERTYPE_NAMES
"""Name to EtherType (above 1500) or LLC SAP (at most 255); an EtherType wins over a SAP."""

ISO_PROTOCOLS: Final[Mapping[str, int]] = ISO_NAMES
"""Name to network layer protocol identifier, 0 to 255."""
