"""Arrays: values at the numbers 0 to `max_entries - 1`, all there from the start, as zeros.

The per-CPU kind is this too, for the one CPU that a machine in user space has.

Source: linux/bpf.h; bpf(2), BPF_MAP_TYPE_ARRAY; errno numbers found by trying (Linux 6.18).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pfcompile.ebpf.maps.vocabulary import U32, Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ebpf.maps.vocabulary import Entries, MapSpec


class ArrayMap:
    """An array of values; see `Map` for what its methods do."""

    __slots__ = ("_values", "spec")

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self._values: dict[int, bytearray] = {}

    def lookup(self, key: bytes) -> bytearray | None:
        """Return the value at a number, None past the end."""
        index = int.from_bytes(key, "little")
        if index >= self.spec.max_entries:
            return None
        value = self._values.get(index)
        if value is None:
            # Made when it is asked for, so that a large array costs nothing. Of threads that ask at
            # once all get the same.
            value = self._values.setdefault(index, bytearray(self.spec.value_size))
        return value

    def update(self, key: bytes, value: bytes, flags: int = Update.ANY) -> int:
        """Set the value at a number: -EINVAL, -E2BIG past the end, -EEXIST for NOEXIST."""
        if flags > Update.EXIST:
            return -errno.EINVAL
        place = self.lookup(key)
        if place is None:
            return -errno.E2BIG
        if flags == Update.NOEXIST:
            return -errno.EEXIST
        place[:] = value
        return 0

    def delete(self, key: bytes) -> int:  # noqa: ARG002 - no key can be deleted
        """Return -EINVAL: nothing can be taken out of an array."""
        return -errno.EINVAL

    def next_key(self, key: bytes | None) -> bytes | None:
        """Return the next number."""
        last = self.spec.max_entries - 1
        index = None if key is None else int.from_bytes(key, "little")
        if index == last:
            return None
        following = 0 if index is None or index > last else index + 1
        return following.to_bytes(U32, "little")

    def entries(self) -> Entries:
        """Return the values that are not zeros, by number."""
        return [
            (index.to_bytes(U32, "little"), bytes(value))
            for index, value in sorted(self._values.items())
            if any(value)
        ]

    def keep(self) -> Callable[[], None]:
        """Return what puts the values back, in place: programs may hold where they are."""
        kept = {index: bytes(value) for index, value in self._values.items()}
        zeros = bytes(self.spec.value_size)

        def restore() -> None:
            for index, value in self._values.items():
                value[:] = kept.get(index, zeros)

        return restore
