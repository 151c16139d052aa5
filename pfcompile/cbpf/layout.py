"""Blocks in a row: order, jump distances, and long jumps where 255 instructions are not enough."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.ir.graph import Accept, Reject, successors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.cbpf.select import Step
    from pfcompile.ir.graph import Graph, Label

_FARTHEST: Final = 255
"""A conditional jump's distances are bytes."""


class Code(NamedTuple):
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
    blocks = graph.blocks
    waiting_for = Counter(target for block in blocks for target in set(successors(block)))
    ready, ends = [graph.entry], []
    order = []
    while ready:
        label = ready.pop()
        block = blocks[label]
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


def assemble_blocks(
    order: Sequence[Label], codes: Mapping[Label, Code]
) -> tuple[list[Instruction], dict[Label, int]]:
    """Return the program of `codes` in this order, and where each begins, counted from its end.

    It is written from its end: since all jumps go forward, a target's place is known when a jump to
    it is written, and nothing has to be moved afterwards.
    """
    writer = _Writer(codes)
    for label in reversed(order):
        writer.write(label)
    return writer.finish()


class _Writer:
    """A program written backwards. Places count instructions up to the end."""

    def __init__(self, codes: Mapping[Label, Code]) -> None:
        self._codes = codes
        # The kernel's check takes what follows a return for reached from there, with the scratch
        # words that were set there (check_load_and_stores, net/core/filter.c): where a program has
        # scratch words, it returns only at its end.
        self._returns_anywhere = not any(
            step.op in (Op.ST, Op.STX) for code in codes.values() for step in code.steps
        )
        self._reversed: list[Instruction] = []
        self._places: dict[Label, int] = {}
        self._steps: dict[Label, int] = {}

    def write(self, label: Label) -> None:
        """Put a block before all that has been written."""
        code = self._codes[label]
        if code.returns is not None:
            self._put(Instruction(Op.RET_K.value, 0, 0, code.returns))
        elif code.jump is None:
            target = code.targets[0]
            if self._distance(self._places[target]) > 0:
                self._go(target)
        else:
            # A step behind this block may put another target out of reach, so they come first.
            self._bring_near(code.targets)
            jt, jf = (self._distance(self._nearest(target)) for target in code.targets)
            op, k = code.jump
            self._put(Instruction(op.value, jt, jf, k))
        for step in reversed(code.steps):
            self._put(Instruction(step.op.value, 0, 0, step.k))
        self._places[label] = len(self._reversed)

    def finish(self) -> tuple[list[Instruction], dict[Label, int]]:
        """Return the program, and each block's place in it."""
        return self._reversed[::-1], self._places

    def _put(self, instruction: Instruction) -> None:
        self._reversed.append(instruction)

    def _distance(self, place: int) -> int:
        """Return how many instructions are skipped by a jump to `place` from here."""
        return len(self._reversed) - place

    def _nearest(self, target: Label) -> int:
        """Return the place of `target`, or of a step to it where it is out of reach."""
        place = self._places[target]
        if self._distance(place) <= _FARTHEST:
            return place
        return self._steps.get(target, place)

    def _bring_near(self, targets: Sequence[Label]) -> None:
        """Write steps to the targets that are out of reach.

        A step stands behind a block that does not fall through, and serves all blocks before it
        that reach it: a jump, or the return itself.
        """
        while True:
            far = [t for t in targets if self._distance(self._nearest(t)) > _FARTHEST]
            if not far:
                return
            self._go(far[0])
            self._steps[far[0]] = len(self._reversed)

    def _go(self, target: Label) -> None:
        """Write the instruction that goes to `target`, or does what is done there."""
        code = self._codes[target]
        if code.returns is not None and self._returns_anywhere:
            self._put(Instruction(Op.RET_K.value, 0, 0, code.returns))
        else:
            self._put(Instruction(Op.JA.value, 0, 0, self._distance(self._places[target])))
