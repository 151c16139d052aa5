"""One packet's way through an expression as text for people, in colour on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from pfcompile.explain.one_packet.walk import NO_CHANGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.explain.one_packet.found import Change, TermWay, Why

_ROW: Final = 16
"""Bytes of a line."""

_LONGEST: Final = 300
"""Characters of the expression that are written out."""

_SHOWN_ALIKE: Final = 4
"""Terms in a row with the same outcome that are shown."""

_COLOURS: Final = {"true": "green", "false": "red", "cut short": "yellow"}
_MARKED: Final = "bold black on yellow"
_LAST: Final = "bold white on red"


def print_way(why: Why, path: str) -> None:
    """Print why a packet matches, or does not.

    Args:
        why: What is known.
        path: What the capture is called.
    """
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True, emoji=False, markup=False)
    for line in _lines(why, path, colour=console.is_terminal and not console.no_color):
        console.print(line)


def _lines(why: Why, path: str, *, colour: bool) -> Iterator[Text]:
    verdict = Text("matches", "bold green") if why.matches else Text("does not match", "bold red")
    length = f"{len(why.packet)} bytes"
    if why.wire_length != len(why.packet):
        length += f" of {why.wire_length}"
    where = "standard input" if path == "-" else path
    shown = why.text if len(why.text) <= _LONGEST else f"{why.text[:_LONGEST]} ..."
    yield (
        Text(f"Packet {why.number} of {where} ({length}, {why.link_type}) ")
        .append(verdict)
        .append(f": {' '.join(shown.split()) or 'the empty expression, as every packet does'}")
    )
    yield Text()
    for terms in _alike(why.terms):
        left_out = len(terms) - _SHOWN_ALIKE
        for number, term in enumerate(terms):
            if number < _SHOWN_ALIKE - 1 or number == len(terms) - 1 or left_out <= 1:
                yield from _term(term)
            elif number == len(terms) - 2:
                yield Text(f"  ... {left_out} more terms: {term.outcome}")
    if why.terms:
        yield Text()
    yield from _decided(why, colour=colour)
    yield from _change(why)


def _alike(terms: Sequence[TermWay]) -> Iterator[list[TermWay]]:
    """Yield terms in rows with the same outcome."""
    row: list[TermWay] = []
    for term in terms:
        if row and term.outcome != row[-1].outcome:
            yield row
            row = []
        row.append(term)
    if row:
        yield row


def _term(term: TermWay) -> Iterator[Text]:
    yield Text(f"  {term.text}: ").append(term.outcome, f"bold {_COLOURS[term.outcome]}")
    before = None
    for test in term.tests:
        where = ", ".join(each.place.partition(" (")[0] for each in test.bytes)
        line = f"      {test.words}" + (f"  [{where}]" if where else "")
        if line != before:
            yield Text(line)
        before = line


def _decided(why: Why, *, colour: bool) -> Iterator[Text]:
    """Yield the bytes that decided, in a dump of the packet."""
    if not why.deciding:
        yield Text(
            "No byte of it decided: the length did."
            if why.length_decides
            else "No byte of it decided: every packet of its link type gets this verdict."
        )
        yield Text()
        return
    length = ", and its length" if why.length_decides else ""
    yield Text(f"These bytes decided{length}; no other has a say:")
    yield Text()
    last = _last(why)
    marked = {n for each in why.deciding for n in range(each.start, each.stop)}
    final = max(marked) // _ROW + 1
    for row in range(min(final + 1, -(-len(why.packet) // _ROW))):
        yield _row(why.packet, row * _ROW, marked, last, colour=colour)
    left = len(why.packet) - (final + 1) * _ROW
    if left > 0:
        yield Text(f"        ... {left} more byte{'s' if left > 1 else ''}")
    yield Text()
    for each in why.deciding:
        yield Text(f"  {each.place}: {each.data.hex(' ')}")
    yield Text()


def _last(why: Why) -> set[int]:
    """Return the bytes of the last test."""
    tests = [test for term in why.terms for test in term.tests]
    return {n for each in tests[-1].bytes for n in range(each.start, each.stop)} if tests else set()


def _row(packet: bytes, start: int, marked: set[int], last: set[int], *, colour: bool) -> Text:
    """Return a line of the dump; without colour, brackets stand around what is marked."""
    line = Text(f"  {start:04x} ")
    for offset in range(start, start + _ROW):
        inside, before = offset in marked, offset - 1 in marked and offset != start
        gap = " "
        if not colour and inside != before:
            gap = "[" if inside else "]"
        if offset >= len(packet):
            line.append(gap.rstrip())
            break
        line.append(gap)
        style = ""
        if colour and inside:
            style = _LAST if offset in last else _MARKED
        line.append(f"{packet[offset]:02x}", style)
    else:
        if not colour and start + _ROW - 1 in marked:
            line.append("]")
    return line


def _change(why: Why) -> Iterator[Text]:
    turned = "not match" if why.matches else "match"
    if why.smallest is None and why.plain is None:
        if why.no_change == NO_CHANGE:
            yield Text(f"No change of its bytes would make it {turned}.")
        else:
            yield Text(f"A change that would make it {turned} was not found: {why.no_change}.")
        return
    if why.smallest is not None:
        yield Text(f"The smallest change that would make it {turned}, of {_bytes(why.smallest)}:")
        yield Text(f"  {why.smallest.words}", "bold")
    if why.plain is not None:
        also = "Or, with" if why.smallest is not None else f"What would make it {turned}, with"
        yield Text(f"{also} all headers where they are, of {_bytes(why.plain)}:")
        yield Text(f"  {why.plain.words}", "bold")
    if why.smallest is None:
        yield Text(f"Whether there is a smaller change was not found out: {why.no_change}.")


def _bytes(change: Change) -> str:
    return f"{change.count} byte{'s' if change.count > 1 else ''}"
