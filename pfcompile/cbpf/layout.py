"""Blocks in a row: order, jump distances, and long jumps where 255 instructions are not enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.ir.graph import Accept, Reject, successors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.cbpf.select import Step
    from pfcompile.ir.graph import Graph, Label

_FARTHEST: Final = 255
"""A conditional jump's distances are bytes."""


@dataclass(frozen=True, slots=True)
class Code:
    """A block's instructions and how it ends.

    Attributes:
        steps: What comes before its end.
        jump: Operation and constant of the conditional jump; None where there is none.
        targets: Where it goes: yes and no behind a jump, one label behind an assignment, none
            behind a return.
        returns: What an end of the filter returns.
    """

    steps: tuple[Step, ...]
    jump: tuple[Op, int] | None
    targets: tuple[Label, ...]
    returns: int | None = None


def block_order(graph: Graph) -> list[Label]:
    """Return the labels, each behind all that lead to it, ends last.

    Of the blocks that may come next, one that the last block leads to is taken: so that an
    assignment needs no jump to what follows it, and jumps are short.
    """
    waiting_for = Counter(
        target for block in graph.blocks for target in dict.fromkeys(successors(block))
    )
    ready, ends = [graph.entry], []
    order = []
    while ready:
        label = ready.pop()
        block = graph[label]
        if isinstance(block, Accept | Reject):
            ends.append(label)
            continue
        order.append(label)
        # The last one pushed comes next: the yes side, where it is free.
        for target in reversed(dict.fromkeys(successors(block))):
            waiting_for[target] -= 1
            if waiting_for[target] == 0:
                ready.append(target)
    ends.sort(key=lambda label: isinstance(graph[label], Reject))
    return order + ends


def assemble_blocks(order: Sequence[Label], codes: Mapping[Label, Code]) -> list[Instruction]:
    """Return the program of `codes` in this order."""
    # An edge that is too long for a conditional jump gets an instruction of its own behind it. That
    # only makes others longer, so the set of long edges grows until it fits.
    long: set[tuple[Label, int]] = set()
    while True:
        positions = _positions(order, codes, long)
        found = _too_long(order, codes, long, positions)
        if not found:
            return _instructions(order, codes, long, positions)
        long |= found


def _falls_through(order: Sequence[Label], index: int, code: Code) -> bool:
    """Whether a block without a conditional jump goes on to the block behind it."""
    return index + 1 < len(order) and code.targets == (order[index + 1],)


def _positions(
    order: Sequence[Label], codes: Mapping[Label, Code], long: set[tuple[Label, int]]
) -> dict[Label, int]:
    positions: dict[Label, int] = {}
    position = 0
    for index, label in enumerate(order):
        positions[label] = position
        code = codes[label]
        position += len(code.steps)
        if code.jump is not None:
            position += 1 + ((label, 0) in long) + ((label, 1) in long)
        elif code.returns is not None or not _falls_through(order, index, code):
            position += 1
    return positions


def _too_long(
    order: Sequence[Label],
    codes: Mapping[Label, Code],
    long: set[tuple[Label, int]],
    positions: Mapping[Label, int],
) -> set[tuple[Label, int]]:
    """Return the edges that turn out too long and have no jump of their own yet."""
    found = set()
    for label in order:
        code = codes[label]
        if code.jump is None:
            continue
        here = positions[label] + len(code.steps) + 1
        for side, target in enumerate(code.targets):
            if (label, side) not in long and positions[target] - here > _FARTHEST:
                found.add((label, side))
    return found


def _instructions(
    order: Sequence[Label],
    codes: Mapping[Label, Code],
    long: set[tuple[Label, int]],
    positions: Mapping[Label, int],
) -> list[Instruction]:
    program: list[Instruction] = []

    def go(target: Label) -> Instruction:
        """Return the instruction that goes to `target` from here, or does what is done there."""
        code = codes[target]
        if code.returns is not None:
            return Instruction(Op.RET_K.value, 0, 0, code.returns)
        return Instruction(Op.JA.value, 0, 0, positions[target] - len(program) - 1)

    for index, label in enumerate(order):
        code = codes[label]
        program += [Instruction(step.op.value, 0, 0, step.k) for step in code.steps]
        if code.returns is not None:
            program.append(Instruction(Op.RET_K.value, 0, 0, code.returns))
        elif code.jump is None:
            if not _falls_through(order, index, code):
                program.append(go(code.targets[0]))
        else:
            here = len(program) + 1
            far = [side for side in (0, 1) if (label, side) in long]
            jt, jf = (
                far.index(side) if side in far else positions[target] - here
                for side, target in enumerate(code.targets)
            )
            op, k = code.jump
            program.append(Instruction(op.value, jt, jf, k))
            for side in far:
                program.append(go(code.targets[side]))
    return program
