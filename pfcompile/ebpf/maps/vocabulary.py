"""The words of maps: their kinds, their flags, and what they hold.

Source: linux/bpf.h, enum bpf_map_type and what stands beside it; bpf(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Entries: TypeAlias = "Iterable[tuple[bytes, bytes]]"
"""Keys and values, as copies."""


class MapType(IntEnum):
    """The kinds of maps that a machine in user space has; the numbers are the kernel's."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    RINGBUF = 27


class Update(IntEnum):
    """What an update may find: the `flags` of bpf_map_update_elem."""

    ANY = 0
    NOEXIST = 1
    EXIST = 2


class MapFlag(IntFlag):
    """The `map_flags` that maps here are made with; none changes what a program sees."""

    NONE = 0
    NO_PREALLOC = 1
    NO_COMMON_LRU = 2
    NUMA_NODE = 4
    RDONLY = 8
    WRONLY = 16
    ZERO_SEED = 64
    RDONLY_PROG = 128
    WRONLY_PROG = 256
    MMAPABLE = 1024


@dataclass(frozen=True, slots=True)
class MapSpec:
    """What a map is made from.

    Attributes:
        type: Its kind.
        key_size: Bytes of a key.
        value_size: Bytes of a value; of a per-CPU kind, of each CPU's.
        max_entries: How many it holds; of a ring buffer, its bytes.
        flags: How the kernel is to make it.
        name: For people; the kernel takes 15 letters, digits, `_` and `.`.
    """

    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: MapFlag = MapFlag.NONE
    name: str = ""


class Map(Protocol):
    """What every kind of map does, for programs and for who reads what they have left.

    Where something goes wrong the result is a negative errno number, as of the kernel's helpers.
    """

    @property
    def spec(self) -> MapSpec:
        """What it was made from."""

    def lookup(self, key: bytes) -> bytearray | None:
        """Return a key's value, which can be changed in place, or None where there is none.

        Args:
            key: `spec.key_size` bytes.
        """

    def update(self, key: bytes, value: bytes, flags: int = Update.ANY) -> int:
        """Set a key's value.

        Args:
            key: `spec.key_size` bytes.
            value: `spec.value_size` bytes.
            flags: An `Update`.

        Returns:
            0, or a negative errno number.
        """

    def delete(self, key: bytes) -> int:
        """Take a key out; return 0, or a negative errno number."""

    def next_key(self, key: bytes | None) -> bytes | None:
        """Return the key after `key`, the first for None or a key that is not there.

        None where there is no other. The order is one in which every key comes once as long as
        the map does not change.
        """

    def entries(self) -> Entries:
        """Return what is in it, in its order, and leave no trace of having looked.

        Of an array, only the values that are not all zeros. What has no keys (records of rings) has
        empty ones, and what has no values (programs) empty values.
        """

    def keep(self) -> Callable[[], None]:
        """Return what puts all that is in it back as it is now; for when no program runs."""


U32: Final = 4
"""Bytes of an array's key."""
