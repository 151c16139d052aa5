"""What a person names as input, made a list of captures: folders and patterns stand for many."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pfcompile.captures.reader import MAGIC_LENGTH, is_capture
from pfcompile.captures.sources.inputs import is_url, local_path, open_source
from pfcompile.captures.sources.window import Window
from pfcompile.errors import CaptureError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pfcompile.captures.sources.inputs import Source

_PATTERN = "*"
"""Makes a pattern of a URL. Shells know no URLs, but the other signs of patterns occur in them."""


def expand(
    inputs: Iterable[Source], on_error: Callable[[PfcompileError], None] | None = None
) -> list[Source]:
    """Return the captures that inputs stand for, in their order.

    A folder stands for the captures in it and in its folders, compressed or not, sorted by name;
    which files are captures is seen by how they begin. A URL with a `*` stands for the files that
    it matches. Everything else stands for itself.

    Args:
        inputs: Paths, "-" for standard input, URLs and binary streams.
        on_error: Told of folders and files that cannot be read, and of folders and patterns that
            stand for nothing, each once; None: the first is raised.

    Raises:
        CaptureError: As said of `on_error`.
        MissingExtraError: The same, where something is not installed.
    """
    told: set[str] = set()
    found: list[Source] = []

    def tell(error: PfcompileError) -> None:
        if on_error is None:
            raise error
        if str(error) not in told:
            told.add(str(error))
            on_error(error)

    for each in inputs:
        path = local_path(each)
        try:
            if path is not None and os.path.isdir(path):  # noqa: PTH112 - `Path` refuses NULs
                found += _captures_in(path, tell)
            elif isinstance(each, str) and is_url(each) and _PATTERN in each:
                from pfcompile.captures.sources.remote import matching  # noqa: PLC0415 - few need it

                found += matching(each)
            else:
                found.append(each)
        except PfcompileError as error:
            tell(error)
    return found


def _captures_in(folder: str, tell: Callable[[PfcompileError], None]) -> list[str]:
    """Return the captures in a folder.

    Raises:
        CaptureError: There is none.
    """
    captures = []
    for path in sorted(_files_in(folder, tell)):
        try:
            if _begins_as_capture(path):
                captures.append(str(path))
        except PfcompileError as error:
            tell(error)
    if not captures:
        raise CaptureError("there is no capture in this folder", folder)
    return captures


def _files_in(folder: str, tell: Callable[[PfcompileError], None]) -> Iterator[Path]:
    """Yield the regular files in a folder and its folders; links to folders are not followed."""

    def cannot_be_listed(error: OSError) -> None:
        tell(CaptureError(f"cannot be opened: {error.strerror or error}", str(error.filename)))

    for place, _, names in os.walk(folder, onerror=cannot_be_listed):
        for name in names:
            path = Path(place, name)
            try:
                # Opening a pipe would wait for whoever writes to it.
                if stat.S_ISREG(path.stat().st_mode):
                    yield path
            except OSError:
                continue  # a link that leads nowhere is no capture


def _begins_as_capture(path: Path) -> bool:
    """Tell whether a file is a capture, looking into it if it is compressed.

    Raises:
        CaptureError: It cannot be read.
        MissingExtraError: What decompresses it is not installed.
    """
    with open_source(path) as stream:
        window = Window(stream, str(path), block_size=MAGIC_LENGTH)
        return window.extend(MAGIC_LENGTH) and is_capture(window.data[:MAGIC_LENGTH])
