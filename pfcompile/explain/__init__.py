"""What an expression means, in words, with warnings; and what it does with packets."""

from pfcompile.explain.explaining import explain
from pfcompile.explain.explanation import (
    Explanation,
    FilterWarning,
    Level,
    Related,
    Term,
    Tried,
)

__all__ = ["Explanation", "FilterWarning", "Level", "Related", "Term", "Tried", "explain"]
