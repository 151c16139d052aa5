"""pfcompile compiles tcpdump filter expressions, without libpcap.

The names below are the public interface; see the README and `docs/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pfcompile.compiler import compile  # noqa: A004 - as in `re.compile`
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
from pfcompile.program import Program

if TYPE_CHECKING:
    from pfcompile.files import filter_file, read

__version__ = "0.1.0"

__all__ = [
    "CaptureError",
    "FilterError",
    "InternalError",
    "KernelError",
    "MissingExtraError",
    "PfcompileError",
    "Program",
    "ProgramError",
    "Span",
    "compile",
    "filter_file",
    "read",
]

_FILES = frozenset({"filter_file", "read"})


def __getattr__(name: str) -> Any:
    """Load what reads capture files when it is first asked for."""
    if name in _FILES:
        from pfcompile import files  # noqa: PLC0415 - not needed to compile

        return getattr(files, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
