"""From the text of an expression to its explanation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pfcompile.compiler import DEFAULT_SNAPLEN
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.explain.checks import CHECKS
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Explanation, FilterWarning, Level, Term
from pfcompile.explain.filters import depends_on_optimiser
from pfcompile.explain.proofs import SECONDS, find
from pfcompile.explain.remembering import Remembering
from pfcompile.explain.runs import LONG, runs_of
from pfcompile.explain.subject import Subject, is_inherited, qualifier_words
from pfcompile.explain.understood import write_out
from pfcompile.explain.usual_packets import try_usual
from pfcompile.explain.words import describe, describe_list
from pfcompile.lower.context import (
    DEFAULT_PROTOCHAIN_HEADERS,
    NETMASK_UNKNOWN,
    Options,
    Source,
)
from pfcompile.names.resolvers import SystemResolver
from pfcompile.syntax import tree
from pfcompile.syntax.keywords import KEYWORDS
from pfcompile.syntax.parser import Unfinished, parse_partly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.explain.understood import Written
    from pfcompile.names.answers import Resolver
    from pfcompile.program import Program

CUT_SHARE: Final = 0.15
"""The share of the time for proofs that goes to packets that are cut off: it is only for a note."""

LONGEST_FOR_CUTS: Final = 120
"""Instructions of the unoptimised program, above which it is not looked for them."""

_LINK_WORDS: Final = frozenset(
    word for word, (_, value) in KEYWORDS.items() if value is tree.Proto.LINK
)

_ORDER: Final = {Level.WARNING: 0, Level.NOTE: 1}


def explain(
    text: str,
    link_type: str | int = "EN10MB",
    snaplen: int = DEFAULT_SNAPLEN,
    *,
    netmask: int | str | None = None,
    live: bool = False,
    savefile: bool = False,
    resolver: Resolver | None = None,
    protochain_headers: int = DEFAULT_PROTOCHAIN_HEADERS,
    seconds: float = SECONDS,
) -> Explanation:
    """Return what a filter expression means, and what may surprise about it.

    Args:
        text: The expression; empty or blank for one that every packet matches.
        link_type: Name (with or without DLT_ or LINKTYPE_) or DLT value.
        snaplen: What a match returns; 0 is an error, as everywhere.
        netmask: Of the interface's IPv4 network, for `ip broadcast`.
        live: For a live capture on Linux.
        savefile: For the packets of a capture file, perhaps from another operating system.
        resolver: Where names are looked up; the system by default. Each name is asked for once.
        protochain_headers: How many headers `protochain` follows.
        seconds: How long proofs may take; 0 for none.

    Raises:
        FilterError: The expression is wrong. One that no packet can match is not: that is a
            warning.
        ValueError: There is no such link type, or another argument is out of its range.
    """
    names = Remembering(SystemResolver() if resolver is None else resolver)
    # Compiling says what is wrong with an expression, in the words of every other command.
    try:
        program = compile_text(
            text,
            link_type,
            snaplen,
            netmask=netmask,
            optimize=False,
            live=live,
            savefile=savefile,
            resolver=names,
            protochain_headers=protochain_headers,
            max_instructions=None,
        )
    except FilterError as error:
        if error.hint is None and _LINK_TYPE_LACKS.search(error.message):
            error.hint = "is it the right link type? -y, or link_type=, says another"
        raise
    options = Options(
        dlt=program.dlt,
        resolver=names,
        netmask=NETMASK_UNKNOWN if program.netmask is None else program.netmask,
        source=Source.LIVE if live else Source.SAVEFILE if savefile else Source.UNKNOWN,
        protochain_headers=protochain_headers,
    )
    expression = parse_partly(text)
    if expression is None:
        return Explanation(text, options.dlt, "", (), ())
    assert not isinstance(expression, Unfinished), "compiling has refused it"
    subject = Subject.of(text, expression, options)
    frames = [each.frame for each in subject.occurrences]
    written = write_out(text, expression, frames)
    proved = find(subject, seconds)
    warnings = [found for check in CHECKS for found in check(subject)]
    warnings += [*proved.warnings, *_cut_off(subject, program, seconds * CUT_SHARE)]
    return Explanation(
        text,
        options.dlt,
        written.text,
        tuple(_terms(subject, written)),
        tuple(sorted(warnings, key=_place)),
        try_usual(subject, program),
        proved.left_out,
    )


def _cut_off(subject: Subject, program: Program, seconds: float) -> Iterator[FilterWarning]:
    """Yield the note that packets which are cut off may get another verdict with `-O`."""
    if len(program.instructions) > LONGEST_FOR_CUTS:
        return
    options = subject.options
    try:
        optimised = compile_text(
            subject.text,
            options.dlt,
            program.snaplen,
            netmask=program.netmask,
            live=options.source is Source.LIVE,
            savefile=options.source is Source.SAVEFILE,
            resolver=options.resolver,
            protochain_headers=options.protochain_headers,
            max_instructions=None,
        )
    except FilterError:
        return  # No packet matches; that is said.
    if depends_on_optimiser(optimised.instructions, program.instructions, seconds):
        yield warning(
            "PF194",
            subject.expression.span,
            "of a packet that is cut off inside its headers, the verdict may depend on the "
            "optimiser (-O), which leaves out and reorders loads",
        )


def _place(warning: FilterWarning) -> tuple[int, Span, str]:
    """Return what warnings are sorted by: those before notes, then from left to right."""
    return _ORDER[warning.level], warning.span, warning.code


def _terms(subject: Subject, written: Written) -> Iterator[Term]:
    """Yield every primitive in words, long lists of them as one."""
    places = {each.span: number for number, each in enumerate(subject.occurrences)}
    for run in runs_of(subject):
        numbers = sorted(places[span] for span in run.spans)
        first, last = (written.spans[number] for number in (numbers[0], numbers[-1]))
        occurrences = [subject.occurrences[number] for number in numbers]
        if len(numbers) > LONG and (said := describe_list(subject, occurrences)) is not None:
            yield Term(run.span, first.to(last), said)
            continue
        for number, occurrence in zip(numbers, occurrences, strict=True):
            span = written.spans[number]
            text = written.text[span.start : span.end]
            said = describe(subject, occurrence, text)
            yield Term(occurrence.span, span, said, _inherited(subject.text, occurrence.node))


_LINK_TYPE_LACKS: Final = re.compile(r" (on|for) DLT_| supported only on ")

_QUALIFIER_BEFORE: Final = re.compile(r"([a-z]\w*)[\s(]*(?:(?:not\b|!)[\s(]*)*$")


def _inherited(text: str, node: tree.Primitive) -> str | None:
    """Return the qualifiers that an identifier has from further left, or None."""
    if not (isinstance(node, tree.Qualified) and is_inherited(node)) or node.qualifiers is None:
        return None
    # The first of a list in parentheses has them right before it.
    before = _QUALIFIER_BEFORE.search(text, 0, node.span.start)
    words = qualifier_words(node.qualifiers)
    if before is not None and before[1] in {*words.split(), *_LINK_WORDS}:
        return None
    return words
