"""The door to z3, which is an extra: nothing else imports it."""

from __future__ import annotations

from pfcompile.errors import MissingExtraError

try:
    import z3
except ImportError as missing:
    raise MissingExtraError("z3-solver", "prove", "a proof about programs") from missing

__all__ = ["z3"]
