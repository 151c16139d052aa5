"""Many elements of a map in one call, and one by one where the kernel cannot do that.

Arrays cannot be deleted from, maps of descriptors have no batches, and Linux before 5.6 has none
at all: it refuses the command with EINVAL, a kind that has it not with EOPNOTSUPP.

Source: linux/bpf.h, BPF_MAP_*_BATCH; kernel/bpf/syscall.c, kernel/bpf/hashtab.c of Linux.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Protocol

from pfcompile.errors import ProgramError
from pfcompile.kernel.bpf import layouts
from pfcompile.kernel.bpf.refusals import Asked, refused
from pfcompile.kernel.bpf.syscall import Command, address, buffer_of, call, room_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.kernel.bpf.refusals import BpfError
    from pfcompile.kernel.bpf.syscall import Bytes

_ELEMENTS: Final = 4096
"""How many are looked up in a call; more where a bucket of a hash table holds more."""
_MOST_ELEMENTS: Final = 1 << 22
_ATTEMPTS: Final = 100
"""How often an update is taken up again for which the kernel had no memory at hand."""


class Elements(Protocol):
    """What a map has for batches; see `maps.Map`."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a key."""

    @property
    def value_bytes(self) -> int:
        """Bytes of a value."""

    def fileno(self) -> int:
        """Return its file descriptor."""

    def get(self, key: Bytes) -> bytes | None:
        """Return a key's value."""

    def set(self, key: Bytes, value: Bytes, flags: int = 0) -> None:
        """Set a key's value."""

    def delete(self, key: Bytes) -> bool:
        """Take a key out."""

    def keys(self) -> Iterator[bytes]:
        """Yield the keys."""


def has_none(status: int, done: int) -> bool:
    """Tell whether a refusal says that there are no batches, rather than what is wrong with one."""
    return done == 0 and status in {-errno.EOPNOTSUPP, -errno.EINVAL}


def update(elements: Elements, keys: Bytes, values: Bytes, flags: int) -> int:
    """Set many keys; see `Map.update_packed`."""
    count = _count(elements, keys)
    size = elements.value_bytes
    if len(values) == size and count != 1:
        values = bytes(values) * count
    if len(values) != count * size:
        raise ProgramError(
            f"map {elements.name}: {len(values)} bytes are not {count} values of {size} bytes"
        )
    if not count:
        return 0
    key_buffer, value_buffer = buffer_of(keys), buffer_of(values)
    done, attempts = 0, 0
    while done < count:
        attr = layouts.MapBatch(
            keys=address(key_buffer) + done * elements.row_bytes,
            values=address(value_buffer) + done * size,
            count=count - done,
            map_fd=elements.fileno() & 0xFFFF_FFFF,
            elem_flags=flags,
        )
        status = call(Command.MAP_UPDATE_BATCH, attr)
        if status >= 0:
            return count
        if has_none(status, done):
            return _update_each(elements, keys, values, flags)
        done += min(attr.count, count - done)
        # Tries take memory from a store that is filled up in the background.
        attempts = 0 if attr.count else attempts + 1
        if status != -errno.ENOMEM or attempts > _ATTEMPTS:
            raise _refused_after(Asked.UPDATE, status, elements, done)
    return count


def _update_each(elements: Elements, keys: Bytes, values: Bytes, flags: int) -> int:
    size, width = elements.value_bytes, elements.row_bytes
    count = len(keys) // width
    for number in range(count):
        elements.set(
            keys[number * width : (number + 1) * width],
            values[number * size : (number + 1) * size],
            flags,
        )
    return count


def delete(elements: Elements, keys: Bytes) -> int:
    """Take many keys out; see `Map.delete_packed`."""
    count, width = _count(elements, keys), elements.row_bytes
    if not count:
        return 0
    buffer = buffer_of(keys)
    deleted = place = 0
    while place < count:
        attr = layouts.MapBatch(
            keys=address(buffer) + place * width,
            count=count - place,
            map_fd=elements.fileno() & 0xFFFF_FFFF,
        )
        status = call(Command.MAP_DELETE_BATCH, attr)
        if status >= 0:
            return deleted + count - place
        if has_none(status, place):
            starts = range(0, count * width, width)
            return sum(elements.delete(keys[start : start + width]) for start in starts)
        deleted += attr.count
        place += attr.count
        if status != -errno.ENOENT:
            raise _refused_after(Asked.DELETE, status, elements, deleted)
        place += 1  # the one that is not there
    return deleted


def items(elements: Elements) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys with their values; see `Map.items`."""
    width, size = elements.row_bytes, elements.value_bytes
    # Where to go on is a key, or a bucket's number, which takes 4 bytes.
    here, following = room_for(max(width, 4)), room_for(max(width, 4))
    room, is_first = _ELEMENTS, True
    keys, values = room_for(room * width), room_for(room * size)
    while True:
        attr = layouts.MapBatch(
            in_batch=0 if is_first else address(here),
            out_batch=address(following),
            keys=address(keys),
            values=address(values),
            count=room,
            map_fd=elements.fileno() & 0xFFFF_FFFF,
        )
        status = call(Command.MAP_LOOKUP_BATCH, attr)
        if status < 0 and is_first and has_none(status, 0):
            yield from _items_one_by_one(elements)
            return
        if status == -errno.ENOSPC and room < _MOST_ELEMENTS:
            room *= 4
            keys, values = room_for(room * width), room_for(room * size)
            continue
        if status < 0 and status != -errno.ENOENT:
            raise refused(Asked.NEXT_KEY, status, elements.name)
        # Copied at once: whoever takes the items may be slow, or go through the map again.
        count = attr.count
        found_keys, found_values = keys.raw, values.raw
        for number in range(count):
            yield (
                found_keys[number * width : (number + 1) * width],
                found_values[number * size : (number + 1) * size],
            )
        if status == -errno.ENOENT:
            return
        here, following, is_first = following, here, False


def _items_one_by_one(elements: Elements) -> Iterator[tuple[bytes, bytes]]:
    for key in elements.keys():  # noqa: SIM118 - no dict
        value = elements.get(key)
        if value is not None:  # it went since its key was asked for
            yield key, value


def _count(elements: Elements, keys: Bytes) -> int:
    count, rest = divmod(len(keys), elements.row_bytes or 1)
    if rest or not elements.row_bytes:
        raise ProgramError(
            f"map {elements.name}: {len(keys)} bytes are not keys of {elements.row_bytes} bytes"
        )
    return count


def _refused_after(asked: Asked, status: int, elements: Elements, done: int) -> BpfError:
    """Return the exception for a batch that went only part of the way."""
    return refused(asked, status, elements.name, done=done)
