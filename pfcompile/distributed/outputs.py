"""Where the packets that match go: one file, or in a folder a file for each capture."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pfcompile.captures.output import STANDARD_OUTPUT
from pfcompile.captures.sources.inputs import local_path
from pfcompile.captures.writer import SUFFIXES, Format
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMPRESSED: Final = frozenset({".gz", ".zst", ".xz", ".bz2", ".lz4"})
"""Endings of names that an output does not keep, since it is not compressed."""


def is_folder(output: str) -> bool:
    """Tell whether an output is a folder: there is one, or the name ends as one."""
    return output.endswith("/") or os.path.isdir(output)  # noqa: PTH112 - `Path` fails on some


def check_file(output: str) -> None:
    """Refuse an output that cannot be replaced by another file.

    Raises:
        CaptureError: It is no regular file, or the folder that it is to be in does not exist.
    """
    if output == STANDARD_OUTPUT:
        raise CaptureError("packets from many machines go to a file or a folder", output)
    folder = Path(output).parent
    try:
        if not folder.is_dir():
            raise CaptureError(f"cannot be written: there is no folder {folder}", output)
        if not stat.S_ISREG(Path(output).stat().st_mode):
            raise CaptureError("cannot be written: it is no regular file", output)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CaptureError(f"cannot be written: {reason}", output) from error


def names_in_folder(sources: Sequence[str], write_format: Format | None) -> list[str]:
    """Return for each capture the name of its output below a folder.

    They have the names of the captures without what says that those are compressed, and with the
    ending of the format that is asked for. Where two would have one name, all keep their paths from
    the folder on that has all of them.

    Args:
        sources: Absolute paths, and URLs.
        write_format: The format that is asked for; None for each capture's own.

    Raises:
        CaptureError: Two captures would still have one name.
    """
    paths = [_path(each) for each in sources]
    names = [_named(PurePosixPath(path.name), write_format) for path in paths]
    if _twice(names) is not None:
        common = os.path.commonpath([path.parent for path in paths])
        names = [_named(path.relative_to(common), write_format) for path in paths]
    found = _twice(names)
    if found is not None:
        both = [each for each, name in zip(sources, names, strict=True) if name == found]
        raise CaptureError(f"would be written to {found}, and so would {both[1]}", both[0])
    return names


def check_not_read(outputs: Iterable[str], sources: Iterable[str]) -> None:
    """Refuse outputs that would overwrite a capture, by whatever names and links.

    Raises:
        CaptureError: One is a capture that is read.
    """
    read = {_identity(path) for each in sources if (path := local_path(each)) is not None}
    for each in outputs:
        if (found := _identity(each)) is not None and found in read:
            raise CaptureError("is a capture that is read", each)


def _path(source: str) -> PurePosixPath:
    """Return the path of a capture without its root; nothing in it leads upwards."""
    parts = PurePosixPath(source.partition("://")[2] or source).parts
    return PurePosixPath(*[each for each in parts if each not in {"/", "//", ".."}])


def _named(path: PurePosixPath, write_format: Format | None) -> str:
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    if write_format is not None and SUFFIXES.get(path.suffix.lower(), write_format) != write_format:
        path = path.with_suffix(f".{write_format.value}")
    return str(path)


def _twice(names: Iterable[str]) -> str | None:
    """Return a name that occurs more than once, or None."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _identity(path: str) -> tuple[int, int] | None:
    """Return what is the same for all names of a file; None where there is none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
