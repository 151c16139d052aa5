"""Pieces of expressions that a program may be made of, guessed from what it asks.

A primitive's shape is learnt by lowering it with a number of its own: the tests in which that
number comes back are the places where the program's numbers are to be looked for. So nothing here
knows an offset, and every link type and encapsulation works alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pfcompile.decompile import spelling, words
from pfcompile.decompile.accessors import Accessors
from pfcompile.decompile.addresses import chained
from pfcompile.decompile.phrases import EXTRA, Phrase, without_parentheses
from pfcompile.decompile.probes import Level, common_tests, meant, places, probed
from pfcompile.decompile.questions import tests_of
from pfcompile.ir.values import REMEMBERED, Load, Value, parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pfcompile.decompile.questions import Questions
    from pfcompile.ir.graph import Graph, Test
    from pfcompile.lower.context import Options

_BY_NUMBER: Final = 6
"""Characters more that words may have than bytes by number."""

_LEAST_RELEVANT: Final = 0.15
"""Which part of a primitive's tests the program must seem to make."""

_MOST_SETS: Final = 24
"""Sets and numbers that are tried in one place. A program that asks one value for more has a long
list of them, which is one set and stands before its parts."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an expression.

    Attributes:
        text: How it is written.
        graph: What it means.
        after: The encapsulations to the left of what follows it.
    """

    text: str
    graph: Graph
    after: Level

    def phrase(self, truth: int) -> Phrase:
        """Return the piece as a phrase that is true of some samples.

        Words count for less than bytes by number, and the link header's bytes are the last resort.
        """
        text, form = without_parentheses(self.text)
        link = text.count("ether[") + text.count("radio[")
        cost = len(text) + _BY_NUMBER * text.count("[") + EXTRA * link
        return Phrase(text, truth, cost, self.after, form)


class Guesser:
    """Guesses pieces, one level after the other."""

    def __init__(self, questions: Questions, graph: Graph, options: Options) -> None:
        self._questions = questions
        self._graph = graph
        self._options = options
        self._levels: dict[Level, tuple[Piece, ...]] = {}

    def pieces(self, level: Level) -> tuple[Piece, ...]:
        """Return the pieces that may stand behind some encapsulations."""
        if level not in self._levels:
            found = []
            for text, after in dict(self._texts(level)).items():
                graph = meant(text, self._options, level)
                if graph is None or graph.is_constant:
                    continue
                if text in _ALWAYS or self._is_relevant(graph, level):
                    found.append(Piece(text, graph, after))
            self._levels[level] = tuple(found)
        return self._levels[level]

    def _is_relevant(self, graph: Graph, level: Level) -> bool:
        return (
            self._questions.relevance(graph, common_tests(self._options, level)) > _LEAST_RELEVANT
        )

    def _texts(self, level: Level) -> Iterator[tuple[str, Level]]:
        for text in self._plain_texts(level):
            yield text, level
        for word, bits in words.SWITCHES.items():
            if level.count(word) >= _MOST_ALIKE:
                continue
            graph = meant(word, self._options, level)
            if graph is None or not self._is_relevant(graph, level):
                continue
            yield word, (*level, word)
            if bits:
                head = words.plain(word, bits)
                for text in self._numbered(head, level):
                    yield text, (*level, word)

    def _plain_texts(self, level: Level) -> Iterator[str]:
        yield from words.WORDS
        for head in words.HEADS:
            yield from self._numbered(head, level)
        yield from self._ipv4(level)
        yield from self._ports(level)
        yield from chained(self._graph, self._options, level)
        yield from self._names()
        if any(_depth(test.left) > 2 for test in self._questions.tests):
            for head in words.CHAINS:
                yield from self._numbered(head, level)
        yield from self._accessors(level)

    def _numbered(self, head: words.Head, level: Level) -> Iterator[str]:
        for place, decode in places(head, self._options, level):
            for number in self._questions.numbers(place)[:_MOST_SETS]:
                decoded = decode(number)
                if decoded is not None:
                    yield head.write(decoded)

    def _ipv4(self, level: Level) -> Iterator[str]:
        for head in _heads(words.NETWORK_PROTOCOLS):
            found = probed(f"{head} host 1.2.3.4".strip(), 0x01020304, self._options, level)
            for ranges in self._questions.shared_sets(found)[:_MOST_SETS]:
                yield spelling.ipv4(head, ranges) or ""
            for place in found:
                for mask, bits in self._questions.masked_numbers(place)[:_MOST_SETS]:
                    yield spelling.ipv4_masked(head, mask, bits & mask)

    def _ports(self, level: Level) -> Iterator[str]:
        for head in _heads(words.PORT_PROTOCOLS):
            found = probed(f"{head} port 54321".strip(), 54321, self._options, level)
            for ranges in self._questions.shared_sets(found)[:_MOST_SETS]:
                yield spelling.ports(head, ranges)

    def _names(self) -> Iterator[str]:
        """Yield names of interfaces and rule sets in pflog headers."""
        for word, start in (("ifname", 4), ("ruleset", 20)):
            name = ""
            for offset in range(start, start + 15):
                known = self._questions.known_byte((None, offset))
                if not known or not chr(known[0]).isalnum():
                    break
                name += chr(known[0])
                yield f"{word} {name}"

    def _accessors(self, level: Level) -> Iterator[str]:
        names: list[tuple[str, tuple[Load, ...]]] = []
        for name in words.ACCESSORS:
            found = self._first_bytes(name, level)
            graph = meant(_first_byte(name), self._options, level)
            if graph is not None and self._questions.asks_all(
                test for test in tests_of(graph) if test.left not in found
            ):
                names.append((name, found))
        writer = Accessors([*names, *self._link_bytes()])
        tests = dict.fromkeys((*self._questions.tests, *self._questions.parts()))
        times = Counter(test.left for test in tests)
        for test in tests:
            if times[test.left] <= _MOST_SETS:
                yield from writer.relations(test)

    def _link_bytes(self) -> Iterator[tuple[str, tuple[Load, ...]]]:
        for name in ("ether", "radio"):
            yield name, self._first_bytes(name, ())

    def plain(self, test: Test) -> str | None:
        """Return a test in terms of the link header's bytes, None where they do not reach it."""
        writer = Accessors(list(self._link_bytes()), longest=_NO_LIMIT)
        return next(writer.relations(test), None)

    def _first_bytes(self, name: str, level: Level) -> tuple[Load, ...]:
        found = probed(_first_byte(name), _PROBED_BYTE, self._options, level)
        return tuple(each for each in found if isinstance(each, Load))


_NO_LIMIT: Final = 1 << 30

_PROBED_BYTE: Final = 199


def _first_byte(name: str) -> str:
    return f"{name}[0] = {_PROBED_BYTE}"


def _heads(protocols: Iterable[str]) -> Iterator[str]:
    """Yield the words before a host or a port."""
    for proto in protocols:
        for direction in words.DIRECTIONS:
            yield f"{proto} {direction}".strip()


_ALWAYS: Final = frozenset({"ip", "ip6", "arp", "tcp", "udp"})
_MOST_ALIKE: Final = 3
"""How often one encapsulation is looked for inside itself."""


@lru_cache(REMEMBERED)
def _depth(value: Value) -> int:
    """Return how many loads of a value stand inside each other."""
    inner = max((_depth(part) for part in parts(value)), default=0)
    return inner + isinstance(value, Load)
