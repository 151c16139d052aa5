"""How arithmetic would be read in C, Python and most other languages.

The operations that stand side by side, without parentheses, are put together again, each operator
with its usual rank.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import tree

if TYPE_CHECKING:
    from pfcompile.explain.subject import Subject

_RANKS: Final = {
    ArithmeticOp.OR: 0,
    ArithmeticOp.XOR: 1,
    ArithmeticOp.AND: 2,
    **dict.fromkeys((ArithmeticOp.LSH, ArithmeticOp.RSH), 3),
    **dict.fromkeys((ArithmeticOp.ADD, ArithmeticOp.SUB), 4),
    **dict.fromkeys((ArithmeticOp.MUL, ArithmeticOp.DIV, ArithmeticOp.MOD), 5),
}


def usual_reading(subject: Subject, relation: tree.Relation) -> tree.Relation:
    """Return a comparison as other languages would read its two sides."""
    left, right = (_reread(subject, side) for side in (relation.left, relation.right))
    return replace(relation, left=left, right=right)


def is_open(subject: Subject, node: tree.Arithmetic) -> bool:
    """Return whether an operand is an operation without parentheses around all of it."""
    if not isinstance(node, tree.Binary | tree.Negate):
        return False
    depth = 0
    for place in range(node.span.start, node.span.end):
        depth += (subject.text[place] == "(") - (subject.text[place] == ")")
        if depth == 0:
            return place < node.span.end - 1
    return True


def _reread(subject: Subject, node: tree.Arithmetic) -> tree.Arithmetic:
    """Return arithmetic read again, what stands in parentheses and brackets included."""
    match node:
        case tree.Accessor(index=index):
            return replace(node, index=_reread(subject, index))
        case tree.Binary() | tree.Negate():
            operands: list[tree.Arithmetic] = []
            operators: list[ArithmeticOp] = []
            _flatten(subject, node, operands, operators)
            return _ranked(operands, operators)
        case _:
            return node


def _flatten(
    subject: Subject,
    node: tree.Arithmetic,
    operands: list[tree.Arithmetic],
    operators: list[ArithmeticOp],
) -> None:
    """Gather what stands side by side: operands, and the operators between them."""
    match node:
        case tree.Binary(op=op, left=left, right=right):
            for part, before in ((left, None), (right, op)):
                if before is not None:
                    operators.append(before)
                if is_open(subject, part):
                    _flatten(subject, part, operands, operators)
                else:
                    operands.append(_reread(subject, part))
        case tree.Negate(operand=inner):
            # The sign belongs to the first operand of what it was read with.
            begin = len(operands)
            if is_open(subject, inner):
                _flatten(subject, inner, operands, operators)
            else:
                operands.append(_reread(subject, inner))
            operands[begin] = tree.Negate(operands[begin], operands[begin].span)
        case _:
            operands.append(_reread(subject, node))


def _ranked(operands: list[tree.Arithmetic], operators: list[ArithmeticOp]) -> tree.Arithmetic:
    """Return operands joined by operators, the higher ranks first, each from the left."""
    if not operators:
        return operands[0]
    # What is joined last: the operator of the lowest rank that stands furthest to the right.
    at = max(range(len(operators)), key=lambda place: (-_RANKS[operators[place]], place))
    left = _ranked(operands[: at + 1], operators[:at])
    right = _ranked(operands[at + 1 :], operators[at + 1 :])
    return tree.Binary(operators[at], left, right, left.span.to(right.span))
