"""Program arrays: where tail calls go.

Source: linux/bpf.h; bpf(2), BPF_MAP_TYPE_PROG_ARRAY.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Generic, TypeVar

from pfcompile.ebpf.maps.vocabulary import U32, Update
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.ebpf.maps.vocabulary import Entries, MapSpec

P = TypeVar("P")


class ProgramArray(Generic[P]):
    """Programs by number; only from outside of programs can they be set. See `Map`."""

    __slots__ = ("_programs", "spec")

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self._programs: dict[int, P] = {}

    def program(self, index: int) -> P | None:
        """Return the program at a number, None where there is none."""
        return self._programs.get(index)

    def put(self, index: int, program: P) -> None:
        """Set the program at a number.

        Raises:
            ProgramError: `index` is not in the array.
        """
        if not 0 <= index < self.spec.max_entries:
            raise ProgramError(
                f"there is no place {index} in an array of {self.spec.max_entries} programs"
            )
        self._programs[index] = program

    def lookup(self, key: bytes) -> bytearray | None:  # noqa: ARG002 - a program is no bytes
        """Return None: a program cannot be looked at."""
        return None

    def update(self, key: bytes, value: bytes, flags: int = Update.ANY) -> int:  # noqa: ARG002
        """Return -EINVAL: programs cannot set programs."""
        return -errno.EINVAL

    def delete(self, key: bytes) -> int:
        """Take a program out: -E2BIG past the end, -ENOENT where there is none."""
        index = int.from_bytes(key, "little")
        if index >= self.spec.max_entries:
            return -errno.E2BIG
        return 0 if self._programs.pop(index, None) is not None else -errno.ENOENT

    def next_key(self, key: bytes | None) -> bytes | None:
        """Return the next number that has a program."""
        index = -1 if key is None else int.from_bytes(key, "little")
        following = min((number for number in self._programs if number > index), default=None)
        return None if following is None else following.to_bytes(U32, "little")

    def entries(self) -> Entries:
        """Return the numbers that have programs."""
        return [(number.to_bytes(U32, "little"), b"") for number in sorted(self._programs)]

    def keep(self) -> Callable[[], None]:
        """Return what puts the programs back."""
        kept = dict(self._programs)

        def restore() -> None:
            self._programs = dict(kept)

        return restore
