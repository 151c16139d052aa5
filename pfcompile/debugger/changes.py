"""What is different between two stops on the same packet, as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.debugger.stops import View

_MOST_BYTES: Final = 16
"""Bytes of a change that are shown."""
_WORD_BITS: Final = 32
_SMALL: Final = 10
"""From here on, a number is shown in both bases."""


def changes(before: View, after: View) -> Iterator[str]:
    """Yield what a run has changed, a line each: registers, stack, packet, maps, lines printed."""
    access = after.access
    is_written = False
    if access is not None and after.steps == before.steps + 1:
        is_written = access.writes
        verb = "writes" if access.writes else "reads"
        data = after.packet[access.offset : access.offset + access.size]
        yield f"{verb} pkt[{access.offset}:{access.size}] = {shown_bytes(data)}"
    for old, new in zip(before.registers, after.registers, strict=True):
        if old.value != new.value:
            note = f", {new.note}" if new.note else ""
            yield f"{new.name}: {number(old.value)} -> {number(new.value)}{note}"
    yield from _stack(before, after)
    if not is_written:
        yield from _differences("pkt", before.packet, after.packet)
    yield from _maps(before, after)
    for line in after.printed[len(before.printed) :]:
        yield f"prints: {line}"


def number(value: int) -> str:
    """Return a number in base 16 and, unless it is as large as an address, in base 10."""
    if value < _SMALL:
        return str(value)
    return f"{value:#x}" if value >> _WORD_BITS else f"{value:#x} ({value})"


def shown_bytes(data: bytes) -> str:
    """Return bytes as hexadecimal numbers, the first ones where they are many."""
    more = "" if len(data) <= _MOST_BYTES else f" ... ({len(data)} bytes)"
    return data[:_MOST_BYTES].hex(" ") + more


def _stack(before: View, after: View) -> Iterator[str]:
    for old, new in zip(before.regions, after.regions, strict=False):
        yield from _differences(new.name, old.data, new.data, new.origin + len(new.data))
    for entered in after.regions[len(before.regions) :]:
        yield f"{entered.name}: entered"
    for left in before.regions[len(after.regions) :]:
        yield f"{left.name}: left"


def _differences(name: str, old: bytes, new: bytes, end: int | None = None) -> Iterator[str]:
    """Yield the stretches in which two states of the same bytes differ.

    Args:
        name: Of the bytes.
        old: Before.
        new: After.
        end: What the byte behind the last one is called; None where the first one is 0.
    """
    if old == new or len(old) != len(new):
        return
    shift = 0 if end is None else end - len(new)
    place = 0
    while place < len(new):
        stop = place
        while stop < len(new) and old[stop] != new[stop]:
            stop += 1
        if stop > place:
            yield f"{name}[{place + shift}:{stop - place}] = {shown_bytes(new[place:stop])}"
        place = stop + 1


def _maps(before: View, after: View) -> Iterator[str]:
    for old, new in zip(before.maps, after.maps, strict=True):
        if old.entries == new.entries:
            continue
        was, is_now = dict(old.entries), dict(new.entries)
        if b"" in is_now or b"" in was:  # records, which have no keys
            for _, record in new.entries[len(old.entries) :]:
                yield f"map {new.name}: record {shown_bytes(record)}"
            continue
        for key in was:
            if key not in is_now:
                gone = "deleted" if new.zeros is None else f"= {shown_bytes(bytes(new.zeros))}"
                yield f"map {new.name}: key {shown_bytes(key)} {gone}"
        for key, value in is_now.items():
            if was.get(key) != value:
                yield f"map {new.name}: key {shown_bytes(key)} = {shown_bytes(value)}"
