"""An explanation as text for people, in colour on a terminal."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from pfcompile.errors import draw
from pfcompile.explain import Level
from pfcompile.explain.shortening import shortened
from pfcompile.facts import link_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.explain import Explanation, FilterWarning, Term

_WIDEST: Final = 100
_NARROWEST: Final = 40
_INDENT: Final = 4
_LONGEST: Final = 1000
"""Characters of the expression that are written out."""

_MOST_TERMS: Final = 100

_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "red")
"""Of the terms, one after the other."""

_LEVELS: Final = {Level.WARNING: "bold yellow", Level.NOTE: "bold blue"}


def print_explanation(
    explanation: Explanation, warnings: Sequence[FilterWarning], hidden: int = 0
) -> None:
    """Print all there is to say about an expression.

    Args:
        explanation: What is known.
        warnings: Those of its warnings that are wanted.
        hidden: How many notes there are that are not.
    """
    page = _Page()
    page.line(f"Read as, for {link_types.describe(explanation.dlt)}:")
    page.block(_understood(explanation))
    for number, term in enumerate(explanation.terms[:_MOST_TERMS]):
        page.blank()
        page.block(_term(explanation, term, _colour(number)), indent=0)
        page.block(Text(term.words))
        if term.inherited is not None:
            said = f"`{term.inherited}` comes from what stands to its left"
            page.block(Text(said, style="dim"))
    if len(explanation.terms) > _MOST_TERMS:
        page.blank()
        more = len(explanation.terms) - _MOST_TERMS
        page.line(f"and {more:,} terms more, which --format json has")
    _print_tried(page, explanation)
    for each in warnings:
        page.blank()
        _print_warning(page, explanation, each)
    if explanation.left_out is not None:
        page.blank()
        page.block(Text(f"left out: {explanation.left_out}"), indent=0)
    if hidden:
        page.blank()
        one = "1 note" if hidden == 1 else f"{hidden} notes"
        said = f"{one} on limits that seldom matter: --notes shows"
        page.block(Text(said, style="dim"), indent=0)


def print_warnings(explanation: Explanation, warnings: Sequence[FilterWarning]) -> None:
    """Print warnings alone, with an empty line between two."""
    page = _Page()
    for number, each in enumerate(warnings):
        if number:
            page.blank()
        _print_warning(page, explanation, each)


class _Page:
    """Standard output, in lines that are not too long."""

    def __init__(self) -> None:
        is_terminal = sys.stdout.isatty()
        columns = shutil.get_terminal_size().columns if is_terminal else _WIDEST
        self._width = max(_NARROWEST, min(columns, _WIDEST))
        # Lines are broken here; rich is to leave them alone.
        self._console = Console(file=sys.stdout, width=10_000, highlight=False, emoji=False)

    def blank(self) -> None:
        """Print an empty line."""
        self._console.print()

    def line(self, text: str | Text) -> None:
        """Print one line as it is."""
        self._console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)

    def items(self, title: str, names: Sequence[str]) -> None:
        """Print a title and a list behind it, broken between its items only."""
        left = " " * _INDENT + f"{title:<8}"
        line = left
        for number, name in enumerate(names):
            part = name if number == len(names) - 1 else f"{name}, "
            if line != left and len(line) + len(part.rstrip()) > self._width:
                self.line(line.rstrip())
                line = " " * len(left)
            line += part
        self.line(line)

    def block(self, text: Text, indent: int = _INDENT) -> None:
        """Print text in as many lines as it takes."""
        for part in text.wrap(self._console, self._width - indent):
            part.rstrip()
            self.line(Text(" " * indent) + part)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _understood(explanation: Explanation) -> Text:
    if not explanation.understood:
        return Text("(empty: every packet matches)")
    text = Text(explanation.understood)
    for number, term in enumerate(explanation.terms):
        text.stylize(_colour(number), term.understood.start, term.understood.end)
    if len(text) > _LONGEST:
        left = len(text) - _LONGEST
        text = text[:_LONGEST] + Text(f" ... ({left:,} characters more)")
    return text


def _term(explanation: Explanation, term: Term, colour: str) -> Text:
    text = explanation.understood[term.understood.start : term.understood.end]
    return Text(shortened(text, _WIDEST), style=f"bold {colour}")


def _print_tried(page: _Page, explanation: Explanation) -> None:
    if not explanation.tried:
        return
    page.blank()
    page.line("Usual packets that")
    for title, matches in (("match:", True), ("do not:", False)):
        names = [tried.name for tried in explanation.tried if tried.matches is matches]
        if names:
            page.items(title, names)


def _print_warning(page: _Page, explanation: Explanation, each: FilterWarning) -> None:
    """Print a warning as errors are drawn: its place, the text, and a mark below it."""
    label = f"{each.level.value} {each.code}"
    first, *drawn = draw(each.message, explanation.text, each.span).splitlines()
    page.block(Text.assemble((label, _LEVELS[each.level]), f": {first}"), indent=0)
    for line in drawn:
        page.line(line.rstrip())
    if each.hint is not None:
        page.block(Text(f"hint: {each.hint}"))
    for related in each.related:
        place = draw("", explanation.text, related.span).partition(": ")[0]
        shown = shortened(explanation.quoted(related.span), _WIDEST // 2)
        page.block(Text(f"{place}: {shown}: {related.message}"))
