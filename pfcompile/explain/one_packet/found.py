"""Why one packet matches or does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pfcompile.ir.graph import Label


@dataclass(frozen=True, slots=True)
class NamedBytes:
    """Some bytes of a packet, one behind the other.

    Attributes:
        start: The offset of the first, from the packet's beginning.
        data: The bytes.
        names: What the fields are called that they are in, as `IP.proto`; none where nobody knows.
    """

    start: int
    data: bytes
    names: tuple[str, ...] = ()

    @property
    def stop(self) -> int:
        """The offset behind the last."""
        return self.start + len(self.data)

    @property
    def place(self) -> str:
        """Where they are and what they are called: `bytes 36-37 (TCP.dport)`."""
        where = f"byte {self.start}"
        if len(self.data) != 1:
            where = f"bytes {self.start}-{self.stop - 1}"
        return f"{where} ({', '.join(self.names)})" if self.names else where

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"start": self.start, "hex": self.data.hex(" "), "fields": list(self.names)}


@dataclass(frozen=True, slots=True)
class TestWay:
    """One test on the way.

    Attributes:
        words: What it found: `IP.proto is 17 (udp), not 6 (tcp)`.
        test: What was asked: `ip.proto == tcp`.
        outcome: "true", "false" or "cut short".
        label: Its block in the graph that keeps terms apart.
        bytes: What it looked at.
    """

    words: str
    test: str
    outcome: str
    label: Label
    bytes: tuple[NamedBytes, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "words": self.words,
            "test": self.test,
            "outcome": self.outcome,
            "bytes": [each.as_json() for each in self.bytes],
        }


@dataclass(frozen=True, slots=True)
class TermWay:
    """One term on the way.

    Attributes:
        text: The term as understood, without a `not` before it.
        start: Where it begins in the expression, in characters; None for what is measured before
            the first term.
        end: Where it ends.
        outcome: "true", "false" or "cut short".
        tests: Its tests, in the order in which they were done.
    """

    text: str
    start: int | None
    end: int | None
    outcome: str
    tests: tuple[TestWay, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "outcome": self.outcome,
            "tests": [each.as_json() for each in self.tests],
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A change to a packet that would turn the verdict.

    Attributes:
        edits: The bytes to set, with the values that they are to have.
        before: What stands there now.
        packet: The changed packet.
    """

    edits: tuple[NamedBytes, ...]
    before: tuple[bytes, ...]
    packet: bytes

    @property
    def count(self) -> int:
        """How many bytes are changed."""
        return sum(len(each.data) for each in self.edits)

    @property
    def words(self) -> str:
        """The change in words: `set bytes 36-37 (TCP.dport) to 01 bb`."""
        parts = [f"{each.place} to {each.data.hex(' ')}" for each in self.edits]
        *first, last = parts
        return f"set {', '.join(first)} and {last}" if first else f"set {last}"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "words": self.words,
            "count": self.count,
            "edits": [
                {**edit.as_json(), "was": before.hex(" ")}
                for edit, before in zip(self.edits, self.before, strict=True)
            ],
        }


@dataclass(frozen=True, slots=True)
class Why:
    """Why a packet matches an expression, or does not.

    Attributes:
        text: The expression.
        number: The packet's number in its file, from 1.
        dlt: Its link type (DLT value).
        link_type: That one's name.
        packet: The captured bytes.
        wire_length: The length on the wire.
        matches: Whether it matches.
        terms: The terms that it came to, in their order.
        deciding: The bytes that the tests on its way looked at: a packet that has the same bytes
            there, and the same lengths, takes the same way.
        length_decides: Whether a test looked at the length on the wire.
        smallest: The change of the fewest bytes that turns the verdict, or None.
        plain: The same among the changes that leave all headers where they are; None where there is
            none, or where `smallest` is one.
        no_change: Why there is no `smallest`; empty where there is one. Where there is a `plain`
            change, a smaller one may exist.
    """

    text: str
    number: int
    dlt: int
    link_type: str
    packet: bytes
    wire_length: int
    matches: bool
    terms: tuple[TermWay, ...]
    deciding: tuple[NamedBytes, ...]
    length_decides: bool
    smallest: Change | None
    plain: Change | None
    no_change: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "expression": self.text,
            "packet": self.number,
            "link_type": self.link_type,
            "dlt": self.dlt,
            "captured": len(self.packet),
            "length": self.wire_length,
            "hex": self.packet.hex(),
            "matches": self.matches,
            "terms": [each.as_json() for each in self.terms],
            "deciding": [each.as_json() for each in self.deciding],
            "length_decides": self.length_decides,
            "smallest_change": None if self.smallest is None else self.smallest.as_json(),
            "change_within_layout": None if self.plain is None else self.plain.as_json(),
            "no_change": self.no_change,
        }
