"""Sets of addresses and networks, in maps that change while a program looks into them.

Each has a hash table of addresses and a trie of networks (longest prefix match) for IPv4, and the
same for IPv6. What is added or deleted holds for the next packet.

Source: Documentation/bpf/map_hash.rst, map_lpm_trie.rst of Linux.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.maps.vocabulary import MapFlag
from pfcompile.kernel.attach.addresses import PARTS, SetRule
from pfcompile.kernel.attach.prefixes import (
    Prefixes,
    address_first,
    key_bytes,
    net_key,
    parse,
    text_of,
)
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.maps import create_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pfcompile.kernel.bpf.maps import Map

_VALUE: Final = bytes(4)
"""What is known of each member: nothing. Tries want values."""
_LEAST_ROOM: Final = 1 << 16
_NETS_ROOM: Final = 1 << 24
"""Of a trie, memory is taken for members alone; of a hash table, for its room as well."""
_FAMILIES: Final = (4, 6)


@dataclass(frozen=True, slots=True)
class WantedSet:
    """A set that a filter is to look into.

    Attributes:
        rule: Its name, and what it asks of a packet.
        prefixes: What is in it at first.
        room: How many addresses there can be of each family; None for twice those that are there
            at first, and at least 65,536. There is room for 16,777,216 networks.
    """

    rule: SetRule
    prefixes: Prefixes
    room: int | None = None

    def create(self, part: str, family: int) -> Map:
        """Make one of its maps, with what is in it; raises KernelError."""
        keys = self.prefixes.keys[part, family]
        if part == "nets":
            kind, room = MapKind.LPM_TRIE, _NETS_ROOM
        else:
            count = self.prefixes.count(part, family)
            kind, room = MapKind.HASH, self.room or max(_LEAST_ROOM, 2 * count)
        made = create_map(
            kind, key_bytes(part, family), len(_VALUE), room, MapFlag.NO_PREALLOC,
            name=f"pf_{part}{family}",
        )  # fmt: skip
        try:
            made.update_packed(keys, _VALUE)
        except BaseException:
            made.close()
            raise
        return made


class AddressSet:
    """The members of a set while it is attached, as texts; what changes holds for the next packet.

    ::

        blocked = session.sets["blocked"]
        blocked.add("192.0.2.0/24")
        blocked.discard("192.0.2.7")
    """

    def __init__(self, rule: SetRule, maps: Mapping[tuple[str, int], Map]) -> None:
        """Take its maps, which whoever has made them closes."""
        self.rule = rule
        self._maps = maps

    @classmethod
    def of(cls, rule: SetRule, maps: Mapping[str, Map]) -> AddressSet:
        """Take its maps out of a program's, by the names that the program has for them."""
        return cls(
            rule,
            {
                (part, family): maps[rule.map_name(part, family)]
                for part in PARTS
                for family in _FAMILIES
            },
        )

    def add(self, text: str) -> None:
        """Put an address or a network in; again does nothing.

        Raises:
            AddressError: It is none.
            KernelError: E2BIG or ENOSPC where the set is full.
        """
        part, family, key = parse(text)
        self._maps[part, family].set(key, _VALUE)

    def update(self, prefixes: Prefixes) -> None:
        """Put many in, in few calls; raises KernelError."""
        for place, keys in prefixes.keys.items():
            self._maps[place].update_packed(keys, _VALUE)

    def discard(self, text: str) -> bool:
        """Take out what was put in as this very address or network; return whether it was there.

        An address that is in a network stays in it.

        Raises:
            AddressError: It is none.
            KernelError: EBADF where the attachment is closed.
        """
        part, family, key = parse(text)
        return self._maps[part, family].delete(key)

    def difference_update(self, prefixes: Prefixes) -> int:
        """Take many out, in few calls; return how many were there. Raises KernelError."""
        return sum(
            self._maps[place].delete_packed(keys) for place, keys in prefixes.keys.items() if keys
        )

    def __contains__(self, text: str) -> bool:
        """Tell whether all of an address or a network is in it, as programs find it."""
        part, family, key = parse(text)
        if part == "nets":
            # A trie finds the longest network that the key lies in.
            return key in self._maps["nets", family]
        return key in self._maps["hosts", family] or net_key(key) in self._maps["nets", family]

    def __iter__(self) -> Iterator[str]:
        """Yield the members as texts, in the order of their numbers: addresses, then networks."""
        for (part, family), each in self._maps.items():
            # `items` asks for many at a time, which keys alone cannot be.
            keys = [key for key, _ in each.items()]
            for key in sorted(keys, key=address_first):
                yield text_of(part, family, key)

    def __len__(self) -> int:
        return sum(1 for each in self._maps.values() for _ in each.items())
