"""How many packets of captures came to each block of one link type's graph, for a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pfcompile.captures.folders import expand
from pfcompile.cli import common
from pfcompile.explain.counting.captures import Reading, hits
from pfcompile.facts import link_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.errors import PfcompileError
    from pfcompile.explain.counting.found import LinkTypeHits
    from pfcompile.names.answers import Resolver


def counted(
    inputs: Sequence[str],
    text: str,
    *,
    link_type: str | None,
    optimize: bool,
    resolver: Resolver,
    protochain_headers: int,
) -> LinkTypeHits:
    """Return what came where; ends the process where a capture cannot be read.

    Args:
        inputs: The captures, and folders of them.
        text: The expression.
        link_type: The one that is wanted; None for the only one that there is.
        optimize: Whether the graph is the optimised one.
        resolver: Where names are looked up.
        protochain_headers: How many headers `protochain` follows.

    Raises:
        UsageError: There are packets of other link types than the one, or of several.
        FilterError: The expression is wrong for a link type in the captures.
    """
    damage: list[PfcompileError] = []
    sources = list(expand(tuple(inputs), damage.append))
    reading = Reading(
        on_damage=damage.append,
        complain=lambda reason: click.echo(f"pfcompile: {reason}", err=True),
    )
    found = hits(
        sources,
        text,
        optimize=optimize,
        resolver=resolver,
        protochain_headers=protochain_headers,
        reading=reading,
    )
    for each in damage[:-1]:
        common.complain(each)
    if damage:
        common.fail(damage[-1])
    there = {each.dlt: each for each in found.link_types}
    wanted = None if link_type is None else link_types.number(link_type)
    if wanted is None and len(there) == 1:
        wanted = next(iter(there))
    if wanted not in there:
        names = ", ".join(map(link_types.describe, there)) or "no packets"
        raise click.UsageError(f"the captures have {names}: say with -y which is drawn")
    return there[wanted]
