"""The captures that were handed over: files in a folder that goes away with the server."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfcompile.captures.sources.inputs import open_source
from pfcompile.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pfcompile.captures.sources.window import ByteStream

LARGEST: Final = 64 << 20
"""Bytes of a capture."""

KEPT: Final = 4
"""How many captures are kept; the oldest makes room."""

_CHUNK: Final = 1 << 20


class TooLargeError(Exception):
    """A capture has more than `LARGEST` bytes."""


class Uploads:
    """Captures by an identifier that cannot be guessed; what browsers call them is not used."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pfcompile-")
        self._paths: dict[str, Path] = {}

    async def keep(self, chunks: AsyncIterator[bytes]) -> str:
        """Keep a capture; return its identifier.

        Raises:
            TooLargeError: It goes on beyond `LARGEST` bytes.
        """
        name = secrets.token_urlsafe(16)
        path = Path(self._folder.name) / name
        try:
            with path.open("xb") as file:
                async for chunk in chunks:
                    file.write(chunk)
                    _check_size(file.tell())
        except BaseException:  # also where the browser went away in the middle
            path.unlink(missing_ok=True)
            raise
        self._paths[name] = path
        while len(self._paths) > KEPT:
            self._paths.pop(next(iter(self._paths))).unlink(missing_ok=True)
        return name

    def take(self, source: str) -> str:
        """Keep a copy of a capture that the command line names; return its identifier.

        Args:
            source: A path, "-" for standard input, or a URL; what is compressed is kept as what it
                was before.

        Raises:
            CaptureError: It cannot be read, or is too large.
        """
        name = secrets.token_urlsafe(16)
        path = Path(self._folder.name) / name
        with open_source(source) as stream, path.open("xb") as file:
            while chunk := _read(stream, source):
                file.write(chunk)
                if file.tell() > LARGEST:
                    raise CaptureError(f"is larger than {LARGEST >> 20} MiB", source)
        self._paths[name] = path
        return name

    def path(self, name: str) -> Path | None:
        """Return where a capture lies, or None where there is none of that name."""
        return self._paths.get(name)

    def close(self) -> None:
        """Remove all of them."""
        self._paths.clear()
        self._folder.cleanup()


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise TooLargeError(f"a capture may have {LARGEST >> 20} MiB")


def _read(stream: ByteStream, source: str) -> bytes | None:
    try:
        return stream.read(_CHUNK)
    except OSError as error:
        raise CaptureError(f"cannot be read: {error.strerror or error}", source) from error
