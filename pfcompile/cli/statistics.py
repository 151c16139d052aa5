"""`pfcompile filter --stats`: how much there is of each interface, and how much of it matches.

::

               packets  bytes  first                       last                         seconds
    in.pcapng interface 0, EN10MB (Ethernet)
      all           22   1506  2023-11-14 22:13:20.123456  2023-11-14 22:13:20.144477  0.021021
      matched        5    322  ...

Times are in the precision of the file, as those of packets.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pfcompile.captures.extents import Share
from pfcompile.captures.formats.records import NANOSECONDS
from pfcompile.captures.summary import decimals_of, local_time
from pfcompile.cli import standard_output
from pfcompile.facts.link_types import by_dlt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pfcompile.captures.extents import InterfaceExtent
    from pfcompile.captures.filtering import Tally

_HEAD: Final = ("", "packets", "bytes", "first", "last", "seconds")
_TO_THE_RIGHT: Final = frozenset({"packets", "bytes", "seconds"})
_UNKNOWN: Final = "-"


def report(tally: Tally, *, as_json: bool, filtered: bool) -> None:
    """Print what a run has counted; raises as `standard_output.write`.

    Args:
        tally: The counts, with extents.
        as_json: Whether a program reads it.
        filtered: Whether there is an expression: without, what matches needs no line of its own.
    """
    assert tally.extents is not None
    extents = list(tally.extents)
    everything, matched = Share(), Share()
    for each in extents:
        everything.add_share(each.everything)
        matched.add_share(each.matched)
    total = _Part(f"total of {len(extents)} interfaces", _finest(extents), everything, matched)
    standard_output.write(
        _json(extents, total) if as_json else _text(extents, total, filtered=filtered)
    )


class _Part(NamedTuple):
    """What is counted under one title.

    Attributes:
        title: What it is of.
        decimals: Digits of its times' seconds.
        everything: All packets.
        matched: Those that match.
    """

    title: str
    decimals: int
    everything: Share
    matched: Share

    def rows(self, *, filtered: bool) -> Iterable[Sequence[str]]:
        """Yield the cells of its lines."""
        yield "  all", *_cells(self.everything, self.decimals)
        if filtered:
            yield "  matched", *_cells(self.matched, self.decimals)


def _text(extents: Sequence[InterfaceExtent], total: _Part, *, filtered: bool) -> str:
    parts = [
        _Part(_title(each), _finest([each]), each.everything, each.matched) for each in extents
    ]
    if len(parts) != 1:
        parts.append(total)
    tables = [list(part.rows(filtered=filtered)) for part in parts]
    columns = zip(_HEAD, *(row for rows in tables for row in rows), strict=True)
    widths = [max(map(len, column)) for column in columns]
    lines = [_line(_HEAD, widths)]
    for part, rows in zip(parts, tables, strict=True):
        lines += [part.title, *(_line(row, widths) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if name in _TO_THE_RIGHT else cell.ljust(width)
        for name, cell, width in zip(_HEAD, cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def _title(each: InterfaceExtent) -> str:
    section = f"section {each.section}, " if each.section > 1 else ""
    place = f" {section}interface {each.interface.index}" if each.section else ""
    row = by_dlt(each.interface.dlt)
    named = f"link type {each.interface.dlt}" if row is None else f"{row.name} ({row.description})"
    return f"{each.path}{place}, {named}"


def _cells(share: Share, decimals: int) -> Sequence[str]:
    first, last = (
        _UNKNOWN if time is None else local_time(time, decimals)
        for time in (share.first, share.last)
    )
    seconds = _UNKNOWN
    if share.first is not None and share.last is not None:
        whole, fraction = divmod(share.last - share.first, NANOSECONDS)
        seconds = f"{whole}.{f'{fraction:09d}'[:decimals]}"
    return str(share.packets), str(share.bytes), first, last, seconds


def _finest(extents: Iterable[InterfaceExtent]) -> int:
    return max((decimals_of(each.interface) for each in extents), default=6)


def _json(extents: Iterable[InterfaceExtent], total: _Part) -> str:
    found = {
        "interfaces": [_object(each) for each in extents],
        "all": _share(total.everything),
        "matched": _share(total.matched),
    }
    return json.dumps(found, indent=2) + "\n"


def _object(each: InterfaceExtent) -> dict[str, Any]:
    row = by_dlt(each.interface.dlt)
    return {
        "file": each.path,
        "section": each.section,
        "interface": each.interface.index,
        "link_type": str(each.interface.dlt) if row is None else row.name,
        "all": _share(each.everything),
        "matched": _share(each.matched),
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "packets": share.packets,
        "bytes": share.bytes,
        "first_ns": share.first,
        "last_ns": share.last,
    }
