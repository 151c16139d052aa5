"""The CPUs that there are and that there could be, as the kernel counts them.

Source: Documentation/admin-guide/cputopology.rst of Linux.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path("/sys/devices/system/cpu")


@cache
def possible() -> tuple[int, ...]:
    """Return the CPUs that could ever be there: values of per-CPU maps are of all of them."""
    return _numbers("possible")


def online() -> tuple[int, ...]:
    """Return the CPUs that run now."""
    return _numbers("online")


def parse(text: str) -> tuple[int, ...]:
    """Return the numbers of a list such as `0-3,8`."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _numbers(which: str) -> tuple[int, ...]:
    return parse((_FOLDER / which).read_text(encoding="ascii"))
