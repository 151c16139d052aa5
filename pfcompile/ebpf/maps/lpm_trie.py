"""Longest-prefix-match tries: addresses looked up among networks.

A key is the length of a prefix in bits, 32 bits in the machine's order, and the address that has
it, in network order. A look-up gives the value of the longest prefix there that the address of the
key has, no longer than the key's own length.

Source: linux/bpf.h, struct bpf_lpm_trie_key; errno numbers and order found by trying (Linux 6.18).
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.maps.vocabulary import U32, Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ebpf.maps.vocabulary import Entries, MapSpec

MAX_ADDRESS_BYTES: Final = 256
"""LPM_DATA_SIZE_MAX: bytes of a key after its length."""


class _Prefix(NamedTuple):
    """A prefix: its length in bits, and those bits as a number."""

    length: int
    bits: int

    def in_order(self) -> str:
        """Return what sorts as the kernel walks: both halves of a network before itself."""
        return f"{self.bits:0{self.length}b}2" if self.length else "2"


class _Entry(NamedTuple):
    """What a prefix has: the key as it was given, with any bits behind the prefix; its value."""

    key: bytes
    value: bytearray


class LpmTrie:
    """A table of prefixes; see `Map` for what its methods do."""

    __slots__ = ("_entries", "_lengths", "_width", "spec")

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self._width = 8 * (spec.key_size - U32)
        self._entries: dict[_Prefix, _Entry] = {}
        self._lengths: Counter[int] = Counter()
        """How many prefixes there are of each length: those to try in a look-up."""

    def lookup(self, key: bytes) -> bytearray | None:
        """Return the value of the longest prefix that holds a key; None, too, for a bad length."""
        wanted = self._prefix(key)
        if wanted is None:
            return None
        for length in sorted(self._lengths, reverse=True):
            if length <= wanted.length:
                entry = self._entries.get(_Prefix(length, wanted.bits >> wanted.length - length))
                if entry is not None:
                    return entry.value
        return None

    def update(self, key: bytes, value: bytes, flags: int = Update.ANY) -> int:
        """Set a prefix's value: -EINVAL (also a bad length), -EEXIST, -ENOENT, -ENOSPC if full."""
        prefix = self._prefix(key)
        if flags > Update.EXIST or prefix is None:
            return -errno.EINVAL
        is_there = prefix in self._entries
        if is_there and flags == Update.NOEXIST:
            return -errno.EEXIST
        if not is_there and flags == Update.EXIST:
            return -errno.ENOENT
        if not is_there and len(self._entries) >= self.spec.max_entries:
            return -errno.ENOSPC
        self._entries[prefix] = _Entry(bytes(key), bytearray(value))
        if not is_there:
            self._lengths[prefix.length] += 1
        return 0

    def delete(self, key: bytes) -> int:
        """Take exactly this prefix out: -EINVAL for a bad length, -ENOENT if it is not there."""
        prefix = self._prefix(key)
        if prefix is None:
            return -errno.EINVAL
        if self._entries.pop(prefix, None) is None:
            return -errno.ENOENT
        self._lengths[prefix.length] -= 1
        self._lengths += Counter()  # drops those of which none is left
        return 0

    def next_key(self, key: bytes | None) -> bytes | None:
        """Return the next key; what is inside a network comes before it."""
        after = None if key is None else self._prefix(key)
        prefixes = sorted(self._entries, key=_Prefix.in_order)
        position = prefixes.index(after) + 1 if after in self._entries else 0
        return self._entries[prefixes[position]].key if position < len(prefixes) else None

    def entries(self) -> Entries:
        """Return the prefixes with their values, what is inside a network before it."""
        found = (self._entries[prefix] for prefix in sorted(self._entries, key=_Prefix.in_order))
        return [(entry.key, bytes(entry.value)) for entry in found]

    def keep(self) -> Callable[[], None]:
        """Return what puts prefixes and values back."""
        kept = self.entries()

        def restore() -> None:
            self._entries.clear()
            self._lengths.clear()
            for key, value in kept:
                self.update(key, value)

        return restore

    def _prefix(self, key: bytes) -> _Prefix | None:
        """Return the prefix that a key says, or None where it is longer than an address."""
        length = int.from_bytes(key[:U32], "little")
        if length > self._width:
            return None
        return _Prefix(length, int.from_bytes(key[U32:], "big") >> self._width - length)
