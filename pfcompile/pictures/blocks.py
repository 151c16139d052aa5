"""Pictures of graphs and of programs, whose boxes are blocks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pfcompile.cbpf.notation import mnemonic, tcpdump_operand
from pfcompile.cbpf.provenance import origins_of
from pfcompile.fields import describe
from pfcompile.ir.graph import Accept, Branch, Let, Reject, successors
from pfcompile.ir.text import print_test, print_value
from pfcompile.pictures.model import MOST_WAYS_TO_AN_END, Box, Heat, Kind, Picture, Side, Way

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.cbpf.provenance import Provenance
    from pfcompile.ir.graph import Block, Graph, Label

_KINDS = {Branch: Kind.TEST, Let: Kind.ASSIGNMENT, Accept: Kind.ACCEPT, Reject: Kind.REJECT}
_ENDS = frozenset({Kind.ACCEPT, Kind.REJECT})


def picture_of_graph(
    graph: Graph, dlt: int, text: str = "", title: str = "", heat: Heat | None = None
) -> Picture:
    """Return the picture of a graph.

    Args:
        graph: Any graph.
        dlt: The link type (DLT value) of its packets.
        text: The expression that it comes from, or "".
        title: What it is.
        heat: How many packets came where, by this graph's labels.
    """
    words = describe(graph, dlt)
    boxes = {
        label: Box(
            _KINDS[type(block := graph[label])],
            _lines(block, words[label]),
            label,
            f"b{label}",
            origins_of(block),
            None if heat is None else heat.blocks.get(label, 0),
        )
        for label in graph.labels
    }
    targets = {label: successors(graph[label]) for label in graph.labels}
    return _picture(title or f"graph of {len(graph)} blocks", boxes, targets, text, heat)


def picture_of_program(
    found: Provenance, dlt: int, text: str = "", title: str = "", heat: Heat | None = None
) -> Picture:
    """Return the picture of a program: its instructions, block by block.

    Args:
        found: The program, and where its instructions come from.
        dlt: The link type (DLT value) of its packets.
        text: The expression that it comes from, or "".
        title: What it is.
        heat: How many packets came where, by the labels of `found`.
    """
    words = describe(found.graph, dlt)
    boxes = {}
    for label, positions in found.positions.items():
        block = found.graph[label]
        listing = tuple(_instruction(found, position) for position in positions)
        first = () if isinstance(block, Accept | Reject) else (words[label],)
        boxes[label] = Box(
            _KINDS[type(block)],
            (*first, *listing),
            label,
            f"b{label}",
            found.asked_for(label),
            None if heat is None else heat.blocks.get(label, 0),
        )
    count = len(found.instructions)
    return _picture(title or f"program of {count} instructions", boxes, found.targets, text, heat)


def _lines(block: Block, words: str) -> tuple[str, ...]:
    """Return what a block's box says: the test in words, and as it stands in the graph."""
    match block:
        case Branch(test=test):
            return (words, print_test(test))
        case Let(variable=assigned, value=value):
            return (words, f"let v{assigned.number} = {print_value(value)}")
        case Accept() | Reject():
            return (words,)


def _instruction(found: Provenance, position: int) -> str:
    instruction = found.instructions[position]
    operand = tcpdump_operand(position, instruction)
    return f"({position:03d}) {mnemonic(instruction):<5} {operand}".rstrip()


def _picture(
    title: str,
    boxes: Mapping[Label, Box],
    targets: Mapping[Label, tuple[Label, ...]],
    text: str,
    heat: Heat | None,
) -> Picture:
    """Return the picture of some blocks; an end that many lead to is drawn beside each of them."""
    led_to = Counter(target for label in boxes for target in targets[label])
    copied = {
        label
        for label, box in boxes.items()
        if box.kind in _ENDS and led_to[label] > MOST_WAYS_TO_AN_END
    }
    drawn = [box for label, box in boxes.items() if label not in copied]
    place = {box.label: i for i, box in enumerate(drawn)}
    ways = []
    for label in boxes:
        sides = (Side.YES, Side.NO) if len(targets[label]) == 2 else (Side.ON,)
        for target, side in zip(targets[label], sides, strict=False):
            count = None if heat is None else heat.ways.get((label, side is not Side.NO), 0)
            at = place.get(target)
            if at is None:
                at = len(drawn)
                end = boxes[target]
                drawn.append(Box(end.kind, end.lines, end.label, end.name, (), count))
            ways.append(Way(place[label], at, side, count))
    return Picture(title, drawn, ways, text)
