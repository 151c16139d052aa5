"""Sets of numbers as the language writes them: hosts and networks, ports, lists."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from pfcompile.ir.ranges import complement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pfcompile.ir.ranges import RangeList

_FEW_HOSTS: Final = 16
"""Neighbours that are named one by one where they are not one network."""

_MOST_NETWORKS: Final = 8
"""A range of addresses that takes more networks is none that anybody wrote as such."""


def listed(kind: str, items: Sequence[str]) -> str:
    """Return `kind a`, or `kind (a or b)`."""
    return f"{kind} {items[0]}" if len(items) == 1 else f"{kind} ({' or '.join(items)})"


def any_of(parts: Iterable[str]) -> str:
    """Return the pieces joined by `or`, in parentheses where there are several."""
    given = [part for part in parts if part]
    return given[0] if len(given) == 1 else f"({' or '.join(given)})"


def ipv4(head: str, ranges: RangeList) -> str | None:
    """Return hosts and networks behind qualifiers such as `src`; None where they are none."""
    hosts, nets = [], []
    for low, high in ranges:
        first, last = ipaddress.IPv4Address(low), ipaddress.IPv4Address(high)
        blocks = list(ipaddress.summarize_address_range(first, last))
        few = high - low < _FEW_HOSTS
        if high - low < 2 or (few and len(blocks) > 1):
            hosts += [str(ipaddress.IPv4Address(number)) for number in range(low, high + 1)]
            continue
        if len(blocks) > _MOST_NETWORKS:
            return None
        hosts += [str(block[0]) for block in blocks if block.prefixlen == 32]
        nets += [str(block) for block in blocks if block.prefixlen < 32]
    return _qualified(head, hosts, nets, "net")


def ipv4_masked(head: str, mask: int, bits: int) -> str:
    """Return a network whose mask is no prefix."""
    address, netmask = ipaddress.IPv4Address(bits), ipaddress.IPv4Address(mask)
    return f"{head} net {address} mask {netmask}".lstrip()


def ipv6(head: str, networks: Iterable[tuple[int, int]]) -> str:
    """Return hosts and networks, given by address and prefix length."""
    hosts, nets = [], []
    for address, length in networks:
        text = str(ipaddress.IPv6Address(address))
        if length == 128:
            hosts.append(text)
        else:
            nets.append(f"{text}/{length}")
    return _qualified(head, hosts, nets, "net")


def _qualified(head: str, hosts: Sequence[str], nets: Sequence[str], net: str) -> str:
    # A direction alone means a host.
    host = head if head.endswith(("src", "dst")) else f"{head} host".lstrip()
    return any_of(
        (
            listed(host, hosts) if hosts else "",
            listed(f"{head} {net}".lstrip(), nets) if nets else "",
        )
    )


def ports(head: str, ranges: RangeList) -> str:
    """Return ports and ranges of ports behind qualifiers such as `tcp dst`."""
    singles, longer = [], []
    for low, high in ranges:
        if high - low < 2:
            singles += [str(number) for number in range(low, high + 1)]
        else:
            longer.append(f"{low}-{high}")
    return any_of(
        (
            listed(f"{head} port".lstrip(), singles) if singles else "",
            listed(f"{head} portrange".lstrip(), longer) if longer else "",
        )
    )


def mac(address: int) -> str:
    """Return a 48-bit address."""
    return address.to_bytes(6, "big").hex(":")


def number(value: int) -> str:
    """Return a number: in base 16 where it has so many digits that nobody counts them."""
    return str(value) if value < 10_000 else hex(value)


def mask(value: int) -> str:
    """Return a mask, or the bits that stand under one."""
    return str(value) if value < 16 else hex(value)


def compared(value: str, ranges: RangeList, bound: int) -> str:
    """Return that a value, as written, is in a set of numbers of which none is above `bound`."""
    others = complement(ranges, bound)
    if len(ranges) > 1 and all(low == high for low, high in others):
        # It is anything but a few numbers.
        return f"({' and '.join(f'{value} != {number(low)}' for low, _ in others)})"
    parts = []
    for low, high in ranges:
        if high - low < 2:
            parts += [f"{value} = {number(each)}" for each in range(low, high + 1)]
        elif low == 0:
            parts.append(f"{value} <= {number(high)}")
        elif high >= bound:
            parts.append(f"{value} >= {number(low)}")
        else:
            parts.append(f"({value} >= {number(low)} and {value} <= {number(high)})")
    return any_of(parts)
