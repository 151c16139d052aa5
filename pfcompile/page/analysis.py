"""All that the page shows of one expression: what is wrong with it, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from pfcompile.ebpf.listing import listing
from pfcompile.ebpf.translate import translate_with_sources
from pfcompile.errors import FilterError, MissingExtraError, ProgramError
from pfcompile.ir.graph import Graph
from pfcompile.page.asked import compiled
from pfcompile.page.drawing import Drawing, draw
from pfcompile.page.spans import places_in
from pfcompile.page.trees import Row, rows
from pfcompile.passes.expand_sets import expand_sets

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.cbpf.provenance import Provenance
    from pfcompile.errors import Span
    from pfcompile.page.asked import Compiled, Filter
    from pfcompile.page.spans import Place
    from pfcompile.passes.observer import Recording
    from pfcompile.program import Program
    from pfcompile.syntax.tree import Expression

TARGETS: Final = ("xdp", "socket")
"""Where the extended program is for: the first that has what the filter reads."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to say about a place in the expression.

    Attributes:
        kind: "error", "warning" or "note".
        message: What.
        place: Where, or None for all of it.
        code: Of a warning.
        hint: What to do instead.
        related: What other parts have to do with it.
    """

    kind: str
    message: str
    place: Place | None
    code: str | None = None
    hint: str | None = None
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pass:
    """A graph on its way.

    Attributes:
        name: What made it: "lower" or a pass.
        milliseconds: How long that took.
        blocks: How many it has.
        changes: Whether it is another graph than the one before.
        drawing: Its number among the drawings, or None where it is too large to draw.
    """

    name: str
    milliseconds: float
    blocks: int
    changes: bool
    drawing: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """An instruction.

    Attributes:
        number: Its position, or the first of its slots.
        text: What it does.
        places: The parts of the expression that asked for it.
        label: Its block in the last graph; of an extended one None.
        source: Of an extended one the classic instruction that it is for, or None.
    """

    number: int
    text: str
    places: tuple[Place, ...] = ()
    label: int | None = None
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """What becomes of an expression.

    Attributes:
        tree: None for a blank expression.
        passes: In their order; the last is what the program was written from.
        drawings: Of those graphs that differ.
        no_drawings: Why there are none, or None.
        classic: The program.
        target: Where the extended one is for.
        extended: It, or None where no target has what the filter reads.
        no_extended: Why there is none.
    """

    tree: Row | None
    passes: tuple[Pass, ...]
    drawings: tuple[Drawing, ...]
    no_drawings: str | None
    classic: tuple[Line, ...]
    target: str | None
    extended: tuple[Line, ...]
    no_extended: str | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """All of it.

    Attributes:
        text: The expression.
        link_type: The link type's name.
        remarks: In the order of their places.
        stages: None where it has errors.
    """

    text: str
    link_type: str
    remarks: tuple[Remark, ...]
    stages: Stages | None


def analyse(asked: Filter) -> Analysis:
    """Return what there is to show of an expression; mistakes in it are part of that."""
    place = places_in(asked.text)
    try:
        made = compiled(asked)
    except ValueError as error:
        return Analysis(asked.text, asked.link_type, (Remark("error", str(error), None),), None)
    except FilterError as error:
        return Analysis(asked.text, asked.link_type, (mistake(error, place),), None)
    return Analysis(asked.text, made.program.link_type, (), _stages(made, place))


def mistake(error: FilterError, place: Callable[[Span], Place]) -> Remark:
    """Return what is wrong with an expression."""
    where = None if error.span is None else place(error.span)
    return Remark("error", error.message, where, hint=error.hint)


def _stages(made: Compiled, place: Callable[[Span], Place]) -> Stages:
    texts = str(made.program.dump("tcpdump")).splitlines()
    if made.provenance is None:
        classic = tuple(Line(position, text) for position, text in enumerate(texts))
        return Stages(None, (), (), None, classic, *_extended(made.program, classic))
    provenance = made.provenance
    classic = tuple(
        Line(position, text, tuple(map(place, provenance.origins(position))), label)
        for position, (text, label) in enumerate(zip(texts, provenance.labels, strict=True))
    )
    painter = _Painter(made.program.dlt, place, provenance)
    passes = _passes(made.recording, provenance, painter)
    tree = rows(cast("Expression", made.recording.expression), place)
    return Stages(
        tree,
        passes,
        tuple(painter.drawings),
        painter.problem,
        classic,
        *_extended(made.program, classic),
    )


class _Painter:
    """Draws graphs, as long as that is possible."""

    def __init__(self, dlt: int, place: Callable[[Span], Place], provenance: Provenance) -> None:
        self._dlt = dlt
        self._place = place
        self._provenance = provenance
        self.drawings: list[Drawing] = []
        self.problem: str | None = None

    def draw(self, graph: Graph) -> int | None:
        """Return the number of a graph's drawing, or None where there is none."""
        last = graph is self._provenance.graph
        try:
            drawn = draw(
                graph, self._dlt, self._place, self._provenance.written_as if last else None
            )
        except MissingExtraError as error:
            self.problem = str(error)
            return None
        if drawn is None:
            return None
        self.drawings.append(drawn)
        return len(self.drawings) - 1


def _passes(recording: Recording, provenance: Provenance, painter: _Painter) -> tuple[Pass, ...]:
    """Return the graphs in their order, drawing each that differs from the one before.

    The last is the one that instructions know their blocks of.
    """
    graphs = [
        (stage.name, stage.product, stage.seconds)
        for stage in recording.stages
        if isinstance(stage.product, Graph)
    ]
    last = provenance.graph
    if last.blocks != recording.graph.blocks:
        graphs.append((expand_sets.__name__, last, 0.0))
    else:  # the same, with all who asked for its blocks
        graphs[-1] = (graphs[-1][0], last, graphs[-1][2])
    passes: list[Pass] = []
    before: Graph | None = None
    drawing: int | None = None
    for name, graph, seconds in graphs:
        changes = before is None or graph.blocks != before.blocks
        if changes or graph is last:
            drawing = painter.draw(graph)
        passes.append(Pass(name, seconds * 1000, len(graph), changes, drawing))
        before = graph
    return tuple(passes)


def _extended(
    program: Program, classic: tuple[Line, ...]
) -> tuple[str | None, tuple[Line, ...], str | None]:
    """Return the target, its program, and why there is none."""
    reason = None
    for target in TARGETS:
        try:
            extended, sources = translate_with_sources(program.instructions, target)
        except ProgramError as error:
            reason = str(error)
            continue
        lines = []
        for text in listing(extended).splitlines():
            slot = int(text.partition(":")[0])
            source = sources[slot]
            places = () if source is None else classic[source].places
            lines.append(Line(slot, text, places, source=source))
        return target, tuple(lines), None
    return None, (), reason
