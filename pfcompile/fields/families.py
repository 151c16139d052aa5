"""Address families of any system, as captures have them (`facts.address_families`)."""

from __future__ import annotations

from typing import Final

from pfcompile.facts import address_families

IPV4: Final = address_families.INET

IPV6: Final = tuple(
    sorted(
        (
            address_families.INET6_LINUX,
            address_families.INET6_SOLARIS,
            *address_families.INET6_OTHERS,
        )
    )
)
"""The numbers of every system."""


def in_any_order(number: int) -> tuple[int, int]:
    """Return a family's number as 32 bits of a machine of either byte order."""
    return number, int.from_bytes(number.to_bytes(4, "little"), "big")
