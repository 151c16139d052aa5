"""When a capture goes on in another file, and what that is called: as in tcpdump."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

import click

_UNITS: Final = {"": 1_000_000, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Return the bytes of a file's size: millions, or with a suffix KiB, MiB or GiB."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)([kmg]?)", value.lower())
    if found is None:
        raise click.BadParameter(f"{value!r} is no size: 10 is ten million bytes, 10k 10 KiB")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Rotation:
    """When to begin another file.

    Attributes:
        bytes: When there are more in one.
        seconds: When so many have gone by since its beginning.
        files: How many there are to be: the first is then written again, if it goes by size, or the
            capture ends, if it goes by time alone.
    """

    bytes: int | None = None
    seconds: int | None = None
    files: int | None = None

    @property
    def ends(self) -> bool:
        """Whether the capture ends with the last file."""
        return self.files is not None and self.seconds is not None and self.bytes is None

    @property
    def is_wanted(self) -> bool:
        """Whether there is ever another file."""
        return self.bytes is not None or self.seconds is not None

    def follows(self, number: int) -> int:
        """Return the number of the file by size that comes after one."""
        again = self.files is not None and self.seconds is None
        return 0 if again and number + 1 >= (self.files or 0) else number + 1

    def name(self, path: str, number: int, second: int) -> str:
        """Return a file's name.

        Args:
            path: As it was given; with -G, strftime's conversions are filled in.
            number: Which file it is by size, from 0.
            second: When it was begun, counted from 1970.
        """
        if self.seconds is not None:
            path = time.strftime(path, time.localtime(second))
        if self.bytes is None:
            return path
        if self.files is None:
            return f"{path}{number}" if number else path
        return f"{path}{number:0{_digits(self.files - 1)}}" if self.files > 1 else path


def _digits(number: int) -> int:
    return len(str(number))
