"""Captures that are not on this machine, through fsspec: this is its only door.

fsspec names what it needs for a kind of URL where that is not installed, and takes credentials from
its own configuration.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pfcompile.errors import CaptureError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.captures.sources.window import ByteStream

_STREAMED: Final = {"block_size": 0}
_OPTIONS: Final[dict[str, dict[str, int]]] = {
    # One request from start to end: not every server gives parts of a file.
    "http": _STREAMED,
    "https": _STREAMED,
}
"""What fsspec is told, by the URL's scheme."""


@contextmanager
def open_url(url: str) -> Iterator[ByteStream]:
    """Open what a URL names for reading, and close it in the end.

    Raises:
        CaptureError: It cannot be opened.
        MissingExtraError: fsspec is not installed.
    """
    fsspec = _library()
    try:
        opened = fsspec.open(url, "rb", **_OPTIONS.get(url.partition("://")[0].lower(), {}))
        stream = opened.open()
    except Exception as error:
        raise _cannot_be_opened(url, error) from error
    try:
        yield stream
    finally:
        opened.close()


def matching(url: str) -> list[str]:
    """Return the URLs of the files that a pattern stands for, sorted.

    Raises:
        CaptureError: There is none, or where it points cannot be listed.
        MissingExtraError: fsspec is not installed.
    """
    fsspec = _library()
    try:
        files, pattern = fsspec.url_to_fs(url)
        found = files.glob(pattern, detail=True)
        names = sorted(name for name, told in found.items() if told["type"] == "file")
        urls = [str(files.unstrip_protocol(name)) for name in names]
    except Exception as error:
        raise _cannot_be_opened(url, error) from error
    if not urls:
        raise CaptureError("there is no such file", url)
    return urls


def _library() -> Any:
    try:
        import fsspec  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("fsspec", "remote", "reading a capture by its URL") from error
    return fsspec


def _cannot_be_opened(url: str, error: Exception) -> CaptureError:
    """Return what tells of any error: fsspec passes on those of many libraries."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        reason = "there is no such file, or it cannot be reached"
    return CaptureError(f"cannot be opened: {reason}", url)
