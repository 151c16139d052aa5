"""Maps in the kernel, as mappings of bytes to bytes.

::

    with create(MapSpec(MapType.HASH, 4, 8, 1024, name="seen")) as seen:
        seen[b"abcd"] = bytes(8)
        for key, value in seen.items():
            ...

Source: bpf(2); linux/bpf.h, BPF_MAP_*; Documentation/bpf/maps.rst of Linux.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.maps.vocabulary import Update
from pfcompile.errors import ProgramError
from pfcompile.kernel.bpf import batches, cpus, layouts
from pfcompile.kernel.bpf.descriptors import (
    KernelObject,
    ObjectType,
    ask_info,
    fd_of,
    ids,
)
from pfcompile.kernel.bpf.kinds import KINDS, MapKind
from pfcompile.kernel.bpf.names import object_name
from pfcompile.kernel.bpf.refusals import Asked, BpfError, refused
from pfcompile.kernel.bpf.syscall import Command, address, buffer_of, call, room_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pfcompile.ebpf.maps.vocabulary import MapSpec
    from pfcompile.kernel.bpf.syscall import Buffer, Bytes

_ROUNDED: Final = 8
"""Each CPU's value takes a multiple of so many bytes."""


class MapInfo(NamedTuple):
    """What the kernel tells of a map.

    Attributes:
        type: BPF_MAP_TYPE_*, a `MapKind` where it is known here.
        id: Its number in the system.
        key_size: Bytes of a key.
        value_size: Bytes of a value; of a per-CPU kind, of each CPU's.
        max_entries: How many it holds; of a ring buffer, its bytes.
        flags: BPF_F_*.
        name: For people, up to 15 characters.
    """

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str


class Map(KernelObject):
    """A map, which lives until it is closed and no program or pin uses it any more.

    Keys and values are bytes, of exactly the map's sizes. Of a per-CPU kind a value is that of all
    possible CPUs, one after the other; `each` and `set_each` have them one by one.
    """

    type = ObjectType.MAP

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        try:
            self._shape = self.info()
        except BaseException:
            self.close()
            raise
        row = KINDS.get(self._shape.type)
        self._cpus = len(cpus.possible()) if row is not None and row.is_per_cpu else 0
        size = self._shape.value_size
        self._value_bytes = -(-size // _ROUNDED) * _ROUNDED * self._cpus if self._cpus else size

    @property
    def shape(self) -> MapInfo:
        """What it was made from, and its number."""
        return self._shape

    @property
    def value_bytes(self) -> int:
        """Bytes of a value as it is looked up: of a per-CPU kind, of all CPUs' together."""
        return self._value_bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of a key, as of a packed array of keys."""
        return self._shape.key_size

    @property
    def name(self) -> str:
        """Its name, or its number where it has none."""
        return self._shape.name or f"number {self._shape.id}"

    def info(self) -> MapInfo:
        """Ask the kernel what it is.

        Raises:
            KernelError: EBADF where it is closed.
        """
        got = ask_info(self, layouts.MapInfoAnswer(), "a map")
        return MapInfo(
            MapKind(got.type) if got.type in KINDS else got.type,
            got.id,
            got.key_size,
            got.value_size,
            got.max_entries,
            got.map_flags,
            got.name.decode("ascii", "replace"),
        )

    def __getitem__(self, key: Bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(bytes(key))
        return value

    def __setitem__(self, key: Bytes, value: Bytes) -> None:
        self.set(key, value)

    def __delitem__(self, key: Bytes) -> None:
        if not self.delete(key):
            raise KeyError(bytes(key))

    def __contains__(self, key: Bytes) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def get(self, key: Bytes) -> bytes | None:
        """Return a key's value, None where there is none.

        Raises:
            KernelError: EOPNOTSUPP for maps of what cannot be read.

        Source: bpf(2), BPF_MAP_LOOKUP_ELEM.
        """
        value = room_for(self._value_bytes)
        status = self._element(Command.MAP_LOOKUP_ELEM, self._key(key), value)
        if status == -errno.ENOENT:
            return None
        if status < 0:
            raise refused(Asked.LOOKUP, status, self.name)
        return value.raw[: self._value_bytes]

    def set(self, key: Bytes, value: Bytes, flags: int = Update.ANY) -> None:
        """Set a key's value.

        Args:
            key: The key.
            value: The value; of a map of programs, interfaces or sockets, a number of 4 bytes.
            flags: An `Update`: what may be there before.

        Raises:
            KernelError: E2BIG or ENOSPC where it is full, EEXIST and ENOENT as the flags say.

        Source: bpf(2), BPF_MAP_UPDATE_ELEM.
        """
        if len(value) != self._value_bytes:
            raise ProgramError(
                f"map {self.name}: the value has {len(value)} bytes, not {self._value_bytes}"
            )
        held = buffer_of(value)
        status = self._element(Command.MAP_UPDATE_ELEM, self._key(key), held, flags)
        if status < 0:
            raise refused(Asked.UPDATE, status, self.name)

    def delete(self, key: Bytes) -> bool:
        """Take a key out; return whether it was there.

        Raises:
            KernelError: EINVAL for arrays, from which nothing can be taken.

        Source: bpf(2), BPF_MAP_DELETE_ELEM.
        """
        status = self._element(Command.MAP_DELETE_ELEM, self._key(key), None)
        if status < 0 and status != -errno.ENOENT:
            raise refused(Asked.DELETE, status, self.name)
        return status == 0

    def next_key(self, key: Bytes | None) -> bytes | None:
        """Return the key after `key`, the first for None or one that is gone; None at the end.

        Source: bpf(2), BPF_MAP_GET_NEXT_KEY.
        """
        following = room_for(self._shape.key_size)
        held = None if key is None else self._key(key)
        status = self._element(Command.MAP_GET_NEXT_KEY, held, following)
        if status == -errno.ENOENT:
            return None
        if status < 0:
            raise refused(Asked.NEXT_KEY, status, self.name)
        return following.raw[: self._shape.key_size]

    def keys(self) -> Iterator[bytes]:
        """Yield the keys.

        Every key comes once as long as none is taken out meanwhile. The key that was given last
        may be: the one behind it is asked for first.
        """
        key = self.next_key(None)
        while key is not None:
            following = self.next_key(key)
            yield key
            key = following

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys with their values, many at a call where the kernel can (Linux 5.6)."""
        yield from batches.items(self)

    def update(self, pairs: Iterable[tuple[Bytes, Bytes]], flags: int = Update.ANY) -> int:
        """Set many keys; return how many.

        Raises:
            KernelError: As of `set`, with the count of those that were set.
        """
        keys, values, count = bytearray(), bytearray(), 0
        for key, value in pairs:
            self._key(key)
            if len(value) != self._value_bytes:
                raise ProgramError(
                    f"map {self.name}: a value has {len(value)} bytes, not {self._value_bytes}"
                )
            keys += key
            values += value
            count += 1
        if count:
            self.update_packed(keys, values, flags)
        return count

    def update_packed(self, keys: Bytes, values: Bytes, flags: int = Update.ANY) -> int:
        """Set many keys, given one after the other, in few calls; return how many.

        Args:
            keys: Each of `row_bytes`.
            values: Each of `value_bytes`: as many as keys, or one for all of them.
            flags: As of `set`.

        Raises:
            KernelError: As of `set`, with the count of those that were set.

        Source: linux/bpf.h, BPF_MAP_UPDATE_BATCH, Linux 5.6; one by one where it is not there.
        """
        return batches.update(self, keys, values, flags)

    def delete_packed(self, keys: Bytes) -> int:
        """Take many keys out, given one after the other; return how many were there.

        Source: linux/bpf.h, BPF_MAP_DELETE_BATCH, Linux 5.6; one by one where it is not there.
        """
        return batches.delete(self, keys)

    def each(self, key: Bytes) -> list[bytes]:
        """Return a key's value on each possible CPU, of a map of a per-CPU kind.

        Raises:
            KeyError: It has no such key.
        """
        return self.split(self[key])

    def set_each(self, key: Bytes, values: Sequence[Bytes], flags: int = Update.ANY) -> None:
        """Set a key's value on each possible CPU, of a map of a per-CPU kind."""
        size = self._shape.value_size
        if len(values) != self._cpus or any(len(value) != size for value in values):
            raise ProgramError(
                f"map {self.name}: a value has {size} bytes for each of {self._cpus} CPUs"
            )
        width = self._value_bytes // self._cpus
        self.set(key, b"".join(bytes(value).ljust(width, b"\0") for value in values), flags)

    def split(self, value: Bytes) -> list[bytes]:
        """Return the parts of a per-CPU kind's value, in the order of the possible CPUs."""
        if not self._cpus:
            raise ProgramError(f"map {self.name}: it has one value for all CPUs")
        width = self._value_bytes // self._cpus
        size = self._shape.value_size
        return [bytes(value[place : place + size]) for place in range(0, len(value), width)]

    def freeze(self) -> None:
        """Forbid for good that anyone but programs changes it.

        Raises:
            KernelError: EPERM where it is frozen; EINVAL before Linux 5.2.

        Source: linux/bpf.h, BPF_MAP_FREEZE.
        """
        status = call(Command.MAP_FREEZE, layouts.MapOnly(map_fd=fd_of(self)))
        if status < 0:
            raise refused(Asked.FREEZE, status, self.name)

    def _key(self, key: Bytes) -> Buffer:
        if len(key) != self._shape.key_size:
            raise ProgramError(
                f"map {self.name}: the key has {len(key)} bytes, not {self._shape.key_size}"
            )
        return buffer_of(key)

    def _element(
        self, command: Command, key: Buffer | None, value: Buffer | None, flags: int = 0
    ) -> int:
        return call(
            command,
            layouts.MapElement(
                map_fd=fd_of(self), key=address(key), value=address(value), flags=flags
            ),
        )


def create(spec: MapSpec) -> Map:
    """Make a map of a kind that our own machine has, too, exactly as `spec` says.

    Raises:
        ProgramError: Its name is not valid.
        KernelError: EINVAL for what the kernel does not make, EPERM, ENOMEM.
    """
    return _made(spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags, spec.name)


def create_map(
    kind: int,
    key_size: int = 4,
    value_size: int = 4,
    max_entries: int = 0,
    flags: int = 0,
    name: str = "",
) -> Map:
    """Make a map.

    Args:
        kind: A `MapKind`, or another BPF_MAP_TYPE_* of linux/bpf.h.
        key_size: Bytes of a key; 0 for a ring buffer.
        value_size: Bytes of a value; 0 for a ring buffer.
        max_entries: How many it holds; of a ring buffer its bytes, a power of two of pages; of a
            perf event array 0 stands for one for each CPU.
        flags: BPF_F_*; those that the kind needs are added.
        name: At most 15 letters, digits, `_` and `.`.

    Raises:
        ProgramError: Its name is not valid.
        KernelError: EINVAL for what the kernel does not make, EPERM, ENOMEM.

    Source: bpf(2), BPF_MAP_CREATE.
    """
    row = KINDS.get(kind)
    if row is not None:
        flags |= row.needs
    if kind == MapKind.PERF_EVENT_ARRAY and max_entries == 0:
        max_entries = max(cpus.possible()) + 1
    return _made(kind, key_size, value_size, max_entries, flags, name)


def _made(
    kind: int, key_size: int, value_size: int, max_entries: int, flags: int, name: str
) -> Map:
    attr = layouts.MapCreate(
        map_type=kind,
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        map_flags=flags,
        map_name=object_name(name, "map"),
    )
    fd = call(Command.MAP_CREATE, attr)
    if fd < 0:
        row = KINDS.get(kind)
        called = name or (row.kind.name.lower() if row is not None else f"type {kind}")
        raise refused(Asked.CREATE_MAP, fd, called)
    return Map(fd)


def all_maps() -> tuple[MapInfo, ...]:
    """Return all maps of the system, in the order in which they were made.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN.
    """
    found = []
    for number in ids(ObjectType.MAP):
        try:
            with Map.by_id(number) as each:
                found.append(each.shape)
        except BpfError as error:
            if error.errno != errno.ENOENT:  # it went since its number was asked for
                raise
    return tuple(found)
