"""From the decision graph to classic BPF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from pfcompile.cbpf.isa import MAX_INSTRUCTIONS, SCRATCH_WORDS, Instruction, Op
from pfcompile.cbpf.layout import Code, assemble_blocks, block_order
from pfcompile.cbpf.select import Selector, State
from pfcompile.errors import FilterError
from pfcompile.ir.graph import Accept, Branch, Let, Reject, successors, used_values
from pfcompile.ir.values import Variable, variables
from pfcompile.passes.expand_sets import expand_beginnings, expand_sets
from pfcompile.passes.search import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ir.graph import Graph, Label

_COUNTED_RANGES: Final = 16

_ACCEPTS: Final = Instruction(Op.RET_K.value, 0, 0, 1)
_STORES: Final = frozenset({Op.ST, Op.STX})
_RELOADS: Final = frozenset({Op.LD_MEM, Op.LDX_MEM})


def generate(
    graph: Graph, snaplen: int, longest: int | None = MAX_INSTRUCTIONS
) -> tuple[Instruction, ...]:
    """Return the program that returns `snaplen` where `graph` accepts, and else 0.

    Args:
        graph: The filter.
        snaplen: 1 to 2**32 - 1.
        longest: How many instructions it may have; None for a program that is not to be run.

    Raises:
        FilterError: It needs more instructions than that, or more than 16 scratch words.
    """
    program = _written(expand_sets(graph)).instructions
    if longest is not None and len(program) > longest:
        message = f"too long for classic BPF: {len(program)} instructions, the limit is {longest}"
        raise FilterError(message)
    return as_program(program, snaplen)


def as_program(written: Sequence[Instruction], snaplen: int) -> tuple[Instruction, ...]:
    """Return instructions as `write` gives them, to return `snaplen` for a match."""
    matches = Instruction(Op.RET_K.value, 0, 0, snaplen)
    return tuple([matches if each == _ACCEPTS else each for each in written])


def measure(graph: Graph) -> Size:
    """Return the size of the program that `graph` becomes, however long that is.

    Long sets are counted roughly: it is for comparing graphs that have the same ones.

    Raises:
        FilterError: It needs more than 16 scratch words.
    """
    expanded, left_out = expand_beginnings(graph, _COUNTED_RANGES)
    written = _written(expanded)
    return Size(len(written.instructions) + left_out, written.longest_way)


class _Written(NamedTuple):
    """A program that returns 1 where its graph accepts, and its longest way."""

    instructions: list[Instruction]
    longest_way: int


_writings: Final[WeakKeyDictionary[Graph, _Written]] = WeakKeyDictionary()
"""What one search ends with the next begins with, and then it is the program."""


def _written(graph: Graph) -> _Written:
    """Return the program of a graph without IN tests."""
    found = _writings.get(graph)
    if found is None:
        whole = write(graph)
        found = _Written(whole.instructions, _longest_way(whole.order, whole.codes))
        _writings[graph] = found
    return found


class Writing(NamedTuple):
    """A program and how it was written.

    Attributes:
        instructions: They return 1 where the graph accepts.
        order: The blocks that have instructions, as they stand in the program.
        codes: Their instructions.
        places: Where each begins, counted from the program's end.
        names: For each block of the graph, the one that has its instructions.
    """

    instructions: list[Instruction]
    order: list[Label]
    codes: dict[Label, Code]
    places: dict[Label, int]
    names: dict[Label, Label]


def write(graph: Graph) -> Writing:
    """Return the program of a graph without IN tests, with all that is known of it.

    Raises:
        FilterError: It needs more than 16 scratch words.
    """
    every = block_order(graph)
    order, codes, names = _merged(every, _without_dead_stores(_select(graph, every)))
    instructions, places = assemble_blocks(order, codes)
    return Writing(instructions, order, codes, places, names)


def _longest_way(order: Sequence[Label], codes: dict[Label, Code]) -> int:
    """Return how many instructions a packet takes at most, those left out that only jump."""
    longest: dict[Label, int] = {}
    for label in reversed(order):
        code = codes[label]
        ends = 0 if code.jump is None and code.returns is None else 1
        after = max([longest[target] for target in code.targets], default=0)
        longest[label] = len(code.steps) + ends + after
    return longest[order[0]]


def _select(graph: Graph, order: Sequence[Label]) -> dict[Label, Code]:
    """Return each block's instructions; what a block finds in the registers is what all leave."""
    slots = _allot(graph, order)
    arriving: dict[Label, State] = {graph.entry: State()}
    codes: dict[Label, Code] = {}
    for label in order:
        block = graph[label]
        match block:
            case Accept():
                codes[label] = Code((), None, (), _ACCEPTS.k)
                continue
            case Reject():
                codes[label] = Code((), None, (), 0)
                continue
            case Branch(test=test, yes=yes, no=no):
                selector = Selector(arriving.pop(label), slots)
                jump = selector.compare(test)
                codes[label] = Code(tuple(selector.steps), jump, (yes, no))
            case Let(variable=variable, value=value, next=after):
                selector = Selector(arriving.pop(label), slots)
                selector.assign(variable, value)
                codes[label] = Code(tuple(selector.steps), None, (after,))
        for target in set(successors(block)):
            known = arriving.get(target)
            if known is None:
                arriving[target] = selector.state.copy()
            else:
                known.meet(selector.state)
    return codes


def _allot(graph: Graph, order: Sequence[Label]) -> dict[Variable, int]:
    """Return a scratch word for each variable; those that live one after the other share one.

    In this order of the blocks, a variable lives from where it is first set to where it is last
    read.
    """
    first: dict[Variable, int] = {}
    last: dict[Variable, int] = {}
    for position, label in enumerate(order):
        block = graph[label]
        touched = [found for value in used_values(block) for found in variables(value)]
        if isinstance(block, Let):
            touched.append(block.variable)
        for variable in touched:
            first.setdefault(variable, position)
            last[variable] = position
    slots: dict[Variable, int] = {}
    free_from: list[int] = []
    for variable in sorted(first, key=lambda found: first[found]):
        free = (slot for slot, end in enumerate(free_from) if end < first[variable])
        slot = next(free, len(free_from))
        free_from[slot : slot + 1] = [last[variable]]
        slots[variable] = slot
    if len(free_from) > SCRATCH_WORDS:
        raise FilterError("too many registers needed to evaluate expression")
    return slots


def _without_dead_stores(codes: dict[Label, Code]) -> dict[Label, Code]:
    """Return `codes` without stores to scratch words that are never read."""
    if not any(step.op in _STORES for code in codes.values() for step in code.steps):
        return codes
    read = {step.k for code in codes.values() for step in code.steps if step.op in _RELOADS}
    return {
        label: Code(
            tuple(step for step in code.steps if step.op not in _STORES or step.k in read),
            code.jump,
            code.targets,
            code.returns,
        )
        for label, code in codes.items()
    }


def _merged(
    order: Sequence[Label], codes: dict[Label, Code]
) -> tuple[list[Label], dict[Label, Code], dict[Label, Label]]:
    """Return the blocks without those whose instructions another one has, and which one has.

    Blocks that test different values come to the same where both values are in A already.
    """
    kept: dict[Code, Label] = {}
    names: dict[Label, Label] = {}
    for label in reversed(order):
        code = codes[label]
        targets = tuple(names[target] for target in code.targets)
        same = Code(code.steps, code.jump, targets, code.returns)
        names[label] = kept.setdefault(same, label)
    codes = {label: code for code, label in kept.items()}
    return [label for label in order if label in codes], codes, names
