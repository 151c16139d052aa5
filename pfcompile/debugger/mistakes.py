"""What the user gets wrong in a command."""

from __future__ import annotations

from pfcompile.errors import PfcompileError, Span, draw


class Mistake(PfcompileError):  # noqa: N818 - what it is
    """A command that cannot be done: it is none, or not now.

    Attributes:
        hint: What to do instead, or None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n    hint: {hint}")
        self.hint = hint


class ExpressionMistake(Mistake):
    """A mistake at a place in an expression, which is drawn."""

    def __init__(self, message: str, text: str, span: Span, hint: str | None = None) -> None:
        super().__init__(draw(message, text, span, hint))
        self.hint = hint
