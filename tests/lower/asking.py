"""What a filter says of a packet, and whether two filters mean the same."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pfcompile.cbpf.check import check
from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.listing import tcpdump
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.facts.link_types import number as dlt_of
from pfcompile.prove import Equal, prove, satisfiable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.cbpf.isa import Instruction
    from tests.oracles.libpcap import Libpcap

REJECTS_ALL = "expression rejects all packets"


@cache
def programs(text: str, link: str = "EN10MB", **options) -> tuple[tuple[Instruction, ...], ...]:
    """Return the program without the optimiser and the one with it, if that accepts anything."""
    plain = compile_text(text, link, optimize=False, **options).instructions
    check(plain)
    try:
        optimised = compile_text(text, link, **options).instructions
    except FilterError as error:
        if not error.message.startswith(REJECTS_ALL):
            raise
        assert satisfiable(plain) is None, f"{text!r} does not reject all packets"
        return (plain,)
    check(optimised)
    return plain, optimised


def matches(
    text: str,
    packet: bytes,
    link: str = "EN10MB",
    *,
    wire_length: int | None = None,
    ancillary: Mapping[int, int] | None = None,
    **options,
) -> bool:
    """Return whether a packet matches; optimised and not, that must be the same."""

    found = programs(text, link, **options)
    verdicts = {run(one, packet, wire_length, ancillary) != 0 for one in found}
    assert len(verdicts) == 1, f"{text!r} optimised differs: {[tcpdump(one) for one in found]}"
    return verdicts.pop()


def same(one: str, other: str, link: str = "EN10MB", **options) -> bool:
    """Return whether two filters give the same verdict on every packet."""
    first, second = (programs(text, link, **options) for text in (one, other))
    return all(isinstance(prove(a, b), Equal) for a in first for b in second)


def as_libpcap(libpcap: Libpcap, text: str, link: str = "EN10MB", *, netmask=None) -> bool:
    """Return whether a filter means what libpcap's unoptimised program does, for every packet."""
    options = {} if netmask is None else {"netmask": netmask}
    theirs = libpcap.compile(text, dlt_of(link), optimize=False, **options)
    ours = programs(text, link, netmask=netmask)
    return all(isinstance(prove(one, theirs), Equal) for one in ours)


def refusal(text: str, link: str = "EN10MB", **options) -> str:
    """Return the message with which a filter is refused."""
    try:
        compile_text(text, link, **options)
    except FilterError as error:
        return error.message
    raise AssertionError(f"{text!r} compiles")
