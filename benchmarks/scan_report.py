"""What `scan.py` prints: tables, and whether targets are met."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Table:
    """A table.

    Attributes:
        title: What it is about.
        columns: The heads of its columns; the first is on the left, the numbers on the right.
        rows: Its rows, with as many cells each.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        assert len(cells) == len(self.columns)
        self.rows.append(cells)

    def as_text(self) -> str:
        """Return it with aligned columns."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join([self.title, *(_aligned(line, widths) for line in lines)])

    def as_markdown(self) -> str:
        """Return it as Markdown."""
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [_piped(self.columns), f"|{'|'.join(rule)}|", *map(_piped, self.rows)]
        return "\n".join([f"{self.title}\n", *lines])


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  " + "  ".join(padded).rstrip()


def _piped(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


@dataclass(slots=True)
class Report:
    """All that is printed on standard output.

    Attributes:
        markdown: Whether it is Markdown.
        missed: The targets that are missed.
        targets: How many targets there have been.
    """

    markdown: bool = False
    missed: list[str] = field(default_factory=list)
    targets: int = 0

    def show(self, table: Table) -> None:
        """Print a table."""
        print(table.as_markdown() if self.markdown else table.as_text(), end="\n\n", flush=True)

    def say(self, paragraph: str) -> None:
        """Print some words."""
        print(paragraph, end="\n\n", flush=True)

    def at_least(self, what: str, number: float, target: float | None) -> str:
        """Return how many times faster something is, and whether that is the target or more."""
        digits = 1 if number >= 10 else 2
        met = number >= (target or 0)
        return self._compared(what, f"{number:.{digits}f}x", target, met=met)

    def at_most(self, what: str, number: float, target: float | None, unit: str = "") -> str:
        """Return what something comes to, and whether that is the target or less."""
        met = target is None or number <= target
        return self._compared(what, f"{number:.2f}{unit}", target, met=met)

    def miss(self, what: str) -> None:
        """Take note of a target that nothing can be measured for."""
        self.targets += 1
        self.missed.append(what)

    def end(self) -> None:
        """Print which targets are missed."""
        lines = [f"{self.targets - len(self.missed)} of {self.targets} targets met"]
        self.say("\n".join([*lines, *(f"- missed: {each}" for each in self.missed)]))

    def _compared(self, what: str, number: str, target: float | None, *, met: bool) -> str:
        if target is None:
            return number
        self.targets += 1
        verdict = f"{number} (target {target}: {'met' if met else 'missed'})"
        if not met:
            self.missed.append(f"{what}: {number}, target {target}")
        return verdict
