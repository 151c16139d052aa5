"""Hash tables: any keys, as many as `max_entries`; the LRU kinds drop an old one for a new one.

The per-CPU kinds are these too, for the one CPU that a machine in user space has.

Source: linux/bpf.h; bpf(2), BPF_MAP_TYPE_HASH; errno numbers found by trying (Linux 6.18).
"""

from __future__ import annotations

import errno
from threading import Lock
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.maps.vocabulary import MapType, Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ebpf.maps.vocabulary import Entries, MapSpec

_LRU: Final = frozenset({MapType.LRU_HASH, MapType.LRU_PERCPU_HASH})
_PER_CPU: Final = frozenset({MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH})


class HashMap:
    """A hash table; see `Map` for what its methods do.

    A full table refuses new keys with -E2BIG; one of an LRU kind drops the key that was looked up
    or updated longest ago, where the kernel drops one that has not been used lately. Several
    threads may use it at once.
    """

    __slots__ = ("_in_place", "_is_lru", "_lock", "_values", "spec")

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self._is_lru = spec.type in _LRU
        self._in_place = spec.type in _PER_CPU
        self._lock = Lock()
        self._values: dict[bytes, bytearray] = {}
        """By key; of an LRU kind, the longest unused first."""

    def lookup(self, key: bytes) -> bytearray | None:
        """Return a key's value."""
        if not self._is_lru:
            return self._values.get(key)
        # Nobody may look while the key is on its way to the end.
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._values[key] = value
        return value

    def update(self, key: bytes, value: bytes, flags: int = Update.ANY) -> int:
        """Set a key's value: -EINVAL, -EEXIST, -ENOENT, or -E2BIG where it is full.

        A value that was looked up before stays as it was, but in the per-CPU kinds.
        """
        if flags > Update.EXIST:
            return -errno.EINVAL
        with self._lock:
            return self._update(key, value, flags)

    def delete(self, key: bytes) -> int:
        """Take a key out: -ENOENT where it is not there."""
        with self._lock:
            return 0 if self._values.pop(key, None) is not None else -errno.ENOENT

    def next_key(self, key: bytes | None) -> bytes | None:
        """Return the next key, in the order in which they came, or were used."""
        with self._lock:
            keys = iter(self._values)
            if key is not None and key in self._values:
                while next(keys) != key:
                    pass
            return next(keys, None)

    def entries(self) -> Entries:
        """Return the keys with their values, in the order in which they came, or were used."""
        with self._lock:
            return [(key, bytes(value)) for key, value in self._values.items()]

    def keep(self) -> Callable[[], None]:
        """Return what puts keys and values back, in their order."""
        kept = self.entries()

        def restore() -> None:
            with self._lock:
                self._values = {key: bytearray(value) for key, value in kept}

        return restore

    def _update(self, key: bytes, value: bytes, flags: int) -> int:
        old = self._values.get(key)
        if old is not None and flags == Update.NOEXIST:
            return -errno.EEXIST
        if old is None and flags == Update.EXIST:
            return -errno.ENOENT
        if old is None and len(self._values) >= self.spec.max_entries:
            if not self._is_lru:
                return -errno.E2BIG
            del self._values[next(iter(self._values))]
        if self._is_lru:
            self._values.pop(key, None)
        if old is not None and self._in_place:
            old[:] = value
            self._values[key] = old
        else:
            self._values[key] = bytearray(value)
        return 0
