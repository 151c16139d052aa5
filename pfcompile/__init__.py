"""pfcompile compiles tcpdump filter expressions, without libpcap.

The names below are the public interface; see the README and `docs/`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pfcompile.errors import (
    CaptureError,
    FilterError,
    InternalError,
    KernelError,
    MissingExtraError,
    PfcompileError,
    ProgramError,
    Span,
)

if TYPE_CHECKING:
    from pfcompile.compiler import compile  # noqa: A004 - as in `re.compile`
    from pfcompile.decompile.decompiler import decompile
    from pfcompile.decompile.result import Decompiled
    from pfcompile.files import batches, filter_file, read
    from pfcompile.program import Program

__version__ = "0.1.0"

__all__ = [
    "CaptureError",
    "Decompiled",
    "FilterError",
    "InternalError",
    "KernelError",
    "MissingExtraError",
    "PfcompileError",
    "Program",
    "ProgramError",
    "Span",
    "batches",
    "compile",
    "decompile",
    "filter_file",
    "read",
]

_PLACES: Final = {
    "Decompiled": "pfcompile.decompile.result",
    "Program": "pfcompile.program",
    "batches": "pfcompile.files",
    "compile": "pfcompile.compiler",
    "decompile": "pfcompile.decompile.decompiler",
    "filter_file": "pfcompile.files",
    "read": "pfcompile.files",
}
"""Where names are that are loaded when they are first asked for."""


def __getattr__(name: str) -> Any:
    """Load a name of `_PLACES`."""
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    """Return the names, loaded or not."""
    return sorted({*globals(), *__all__})
