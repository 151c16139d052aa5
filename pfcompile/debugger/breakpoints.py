"""Where runs stop.

A breakpoint stops a run that comes to one of its instructions. A condition alone stops where it
begins to hold: it holds, and did not an instruction before. With both, the run must be there while
the condition holds. A watch stops where a value has changed. What looks where there is nothing (at
a byte behind the packet's end) does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pfcompile.debugger.expressions import Expression, Scope, evaluate
from pfcompile.debugger.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.debugger.machines import Code


@dataclass(slots=True)
class Breakpoint:
    """A place or a reason to stop.

    Attributes:
        number: By which it is deleted.
        what: What was asked for.
        where: Tells its instructions in a program; None where any will do.
        condition: What must hold, or None.
        watched: What must change, or None.
        hits: How often it has stopped a run.
        last: What the condition, or what is watched, was an instruction before; None where it
            looked at nothing.
    """

    number: int
    what: str
    where: Callable[[Code], frozenset[int]] | None = None
    condition: Expression | None = None
    watched: Expression | None = None
    hits: int = 0
    last: int | None = field(default=None, repr=False)

    def look(self, scope: Scope) -> None:
        """Take the present for what was before."""
        expression = self.watched or self.condition
        self.last = None if expression is None else value_of(expression, scope)

    def stops(self, code: Code, position: int, scope: Scope, *, is_first: bool = False) -> bool:
        """Tell whether to stop before an instruction, and look.

        Args:
            code: The program.
            position: The instruction.
            scope: What expressions mean here.
            is_first: Whether a packet begins here, so that nothing was before.
        """
        before = None if is_first else self.last
        self.look(scope)
        if self.watched is not None:
            return not is_first and self.last != before
        if self.where is None:
            return bool(self.last) and not before
        is_there = position in self.where(code)
        return is_there and (self.condition is None or bool(self.last))


def value_of(expression: Expression, scope: Scope) -> int | None:
    """Return the value of an expression, None where it looks at nothing."""
    try:
        return evaluate(expression, scope)
    except Mistake:
        return None
