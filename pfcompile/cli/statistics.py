"""`pfcompile filter --stats`: how much there is of each interface, and how much of it matches.

::

    in.pcapng interface 0, EN10MB
                packets    bytes  first                       last
      all            36     2503  2023-11-14 22:13:20.123456  2023-11-14 22:13:20.158491
      matched        12      924  ...
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pfcompile.captures.extents import Share
from pfcompile.captures.summary import local_time
from pfcompile.cli import standard_output
from pfcompile.facts.link_types import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pfcompile.captures.extents import InterfaceExtent
    from pfcompile.captures.filtering import Tally

_NANOSECONDS = 1_000_000_000


def report(tally: Tally, *, as_json: bool) -> None:
    """Print what a run has counted; raises as `standard_output.write`."""
    assert tally.extents is not None
    extents = list(tally.extents)
    write_report = _json if as_json else _text
    standard_output.write(write_report(extents))


def _text(extents: Iterable[InterfaceExtent]) -> str:
    everything, matched = Share(), Share()
    lines = []
    count = 0
    for each in extents:
        count += 1
        lines += [_title(each), *_shares(each.everything, each.matched)]
        everything.add_share(each.everything)
        matched.add_share(each.matched)
    if count != 1:
        lines += [f"total of {count} interfaces", *_shares(everything, matched)]
    return "".join(f"{line}\n" for line in lines)


def _title(each: InterfaceExtent) -> str:
    section = f"section {each.section}, " if each.section > 1 else ""
    place = f" {section}interface {each.interface.index}" if each.section else ""
    return f"{each.path}{place}, {describe(each.interface.dlt)}"


def _shares(everything: Share, matched: Share) -> Iterable[str]:
    yield f"  {'':8}{'packets':>12}{'bytes':>15}  {'first':29}  last"
    for name, share in (("all", everything), ("matched", matched)):
        first, last = (
            "-" if time is None else local_time(time, 9) for time in (share.first, share.last)
        )
        yield f"  {name:8}{share.packets:12}{share.bytes:15}  {first:29}  {last}"


def _json(extents: Iterable[InterfaceExtent]) -> str:
    return json.dumps([_object(each) for each in extents], indent=2) + "\n"


def _object(each: InterfaceExtent) -> dict[str, Any]:
    return {
        "file": each.path,
        "section": each.section,
        "interface": each.interface.index,
        "link_type": describe(each.interface.dlt),
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
