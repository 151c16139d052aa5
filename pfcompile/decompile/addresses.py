"""Addresses of several words, IPv6 and MAC, put together from the words that a program compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pfcompile.decompile import spelling, words
from pfcompile.decompile.probes import probed
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, successors
from pfcompile.ir.ranges import complement, within
from pfcompile.passes.group_tests import membership

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.decompile.probes import Level
    from pfcompile.ir.graph import Graph, Label
    from pfcompile.ir.values import Value
    from pfcompile.lower.context import Options

_MOST: Final = 50_000
"""Steps taken to put the addresses of one place together."""

_FEW: Final = 12
"""So many are also tried one by one."""

_PROBE_IPV6: Final = "102:304:506:708:90a:b0c:d0e:f10"
_PROBE_MAC: Final = "01:02:03:04:05:06"


T = TypeVar("T")


class _Address(NamedTuple):
    """The ranges that the words of an address may be in, by the word's place; None is anything."""

    words: tuple[tuple[int, int] | None, ...]

    def with_word(self, number: int, pair: tuple[int, int]) -> _Address:
        """Return the address with one more word known."""
        return _Address((*self.words[:number], pair, *self.words[number + 1 :]))


def chained(graph: Graph, options: Options, level: Level) -> Iterator[str]:
    """Yield pieces that test the IPv6 and MAC addresses that a graph seems to look for."""
    for proto in ("", "ip6"):
        for direction in words.DIRECTIONS:
            head = f"{proto} {direction}".strip()
            for places in _word_places(f"{head} host {_PROBE_IPV6}".strip(), 4, options, level):
                networks = dict.fromkeys(
                    network
                    for address in _addresses(graph, places)
                    if (network := _network(address)) is not None
                )
                for some in _alone_and_together(list(networks)):
                    yield spelling.ipv6(head, some)
    for direction in (*words.DIRECTIONS, *words.WLAN_DIRECTIONS):
        head = f"ether {direction}".strip() + ("" if direction else " host")
        for places in _word_places(f"{head} {_PROBE_MAC}", 2, options, level):
            macs = dict.fromkeys(
                high[0] << 32 | low[0]
                for low, high in (address.words for address in _addresses(graph, places))
                if low is not None and high is not None
            )
            for texts in _alone_and_together([spelling.mac(each) for each in macs]):
                yield spelling.listed(head, texts)


def _alone_and_together(items: list[T]) -> Iterator[Sequence[T]]:
    if len(items) <= _FEW:
        for item in items:
            yield (item,)
    if len(items) > 1:
        yield items


_PROBED: Final = {
    4: (0x01020304, 0x05060708, 0x090A0B0C, 0x0D0E0F10),
    # The last four bytes of a MAC are compared first.
    2: (0x03040506, 0x0102),
}


def _word_places(
    text: str, count: int, options: Options, level: Level
) -> Iterator[tuple[Value, ...]]:
    """Yield where the words of an address stand; it may be in several places."""
    columns = [probed(text, number, options, level) for number in _PROBED[count]]
    yield from zip(*columns, strict=False)


def _addresses(graph: Graph, places: Sequence[Value]) -> list[_Address]:
    """Return the addresses that ways through a graph compare the words in `places` with."""
    number_of = {place: number for number, place in enumerate(places)}
    nothing = _Address((None,) * len(places))
    found: dict[_Address, None] = {}
    seen: set[tuple[Label, _Address, bool]] = set()
    waiting = [(label, nothing, False) for label in _entries(graph, number_of)]
    while waiting and len(seen) < _MOST:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        label, known, is_found = here
        number = _number(graph, label, number_of)
        if number is None:
            # What was not the number that was asked for leads here with every address.
            if is_found:
                found[known] = None
            continue
        block = graph[label]
        assert isinstance(block, Branch)
        asked = membership(block.test)
        assert asked is not None
        low, high = known.words[number] or (0, WORD)
        waiting += [
            (block.yes, known.with_word(number, pair), True) for pair in within(asked[1], low, high)
        ]
        others = within(complement(asked[1]), low, high)
        if block.test.op is not Comparison.EQ and len(others) == 1:
            waiting.append((block.no, known.with_word(number, others[0]), True))
        elif others:
            waiting.append((block.no, known, False))
    return list(found)


def _entries(graph: Graph, number_of: dict[Value, int]) -> list[Label]:
    """Return the tests of words that other tests lead to."""
    words_at = {label for label in graph.labels if _number(graph, label, number_of) is not None}
    led_to = {graph.entry}
    for label in graph.labels:
        if label not in words_at:
            led_to.update(successors(graph[label]))
    return sorted(words_at & led_to)


def _number(graph: Graph, label: Label, number_of: dict[Value, int]) -> int | None:
    block = graph[label]
    if not isinstance(block, Branch):
        return None
    asked = membership(block.test)
    return None if asked is None else number_of.get(asked[0])


def _network(address: _Address) -> tuple[int, int] | None:
    """Return an IPv6 address and the length of its prefix, None where the words are none."""
    bits = length = 0
    open_ = False
    for pair in address.words:
        low, high = (0, WORD) if pair is None else pair
        rest = low ^ high
        if rest & (rest + 1) or low & rest or (open_ and rest != WORD):
            return None
        open_ = open_ or rest != 0
        length += 32 - rest.bit_length()
        bits = bits << 32 | low
    return bits, length
