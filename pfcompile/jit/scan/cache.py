"""Machine code of scans, kept in the user's cache folder from one process to the next.

Loading LLVM and compiling takes thirty times as long as loading what it gave before. A file has one
function, which needs nothing but its arguments: no other function, no constants, no relocations.
Its name is a digest of all that the code hangs on: the module's text, the processor, LLVM and the
settings of its passes. Its head has a digest of the code, which is compared before that is used.

Only what nobody else can write is run: a file of the user's own in a folder of the user's own. It
is mapped to be read and executed, never to be written.
"""

from __future__ import annotations

import ctypes
import os
import stat
import weakref
from contextlib import suppress
from functools import cache
from hashlib import sha256
from mmap import MAP_PRIVATE, PAGESIZE, PROT_EXEC, PROT_READ
from pathlib import Path
from typing import Any, Final

MOST_FILES: Final = 512
"""So many are kept: the ones that were made last. A file takes two pages."""

_MAGIC: Final = b"pfcompile scan 1"
_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = len(_MAGIC) + _DIGEST_BYTES
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_HOW_TO_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Not through a symbolic link, and without waiting for a pipe's other end."""

_FAILED: Final = ctypes.c_void_p(-1).value

_KEYS: Final = frozenset(
    {
        *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"),
        *("Features", "isa", "uarch"),
    }
)
"""What tells processors with different instructions apart (proc(5), /proc/cpuinfo)."""


class Mapped:
    """Machine code in memory; it lives as long as this object.

    Attributes:
        address: Where the function begins.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """Map a file whose code begins at its second page; raises OSError."""
        library = _c_library()
        protection = PROT_READ | PROT_EXEC
        address = library.mmap(None, size, protection, MAP_PRIVATE, descriptor, PAGESIZE)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self.address = int(address)
        # At the process's end other threads may still run the code; then it just stays.
        weakref.finalize(self, library.munmap, address, size).atexit = False


def key_of(*parts: str) -> str | None:
    """Return the name for code that hangs on some texts and on this machine; None for no caching.

    It is not cached where the processor cannot be told.
    """
    processor = _processor()
    if not processor:
        return None
    digest = sha256()
    for part in (processor, *parts):
        digest.update(len(part).to_bytes(8) + part.encode())
    return digest.hexdigest()


def load(key: str) -> Mapped | None:
    """Return the code of a name, or None where there is none that can be trusted."""
    try:
        folder = _folder()
        if not _is_own(folder.lstat()):
            return None
        descriptor = os.open(folder / key, _HOW_TO_OPEN)
    except (OSError, RuntimeError):  # as where there is no home
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_own(found) or found.st_size <= PAGESIZE:
            return None
        mapped = Mapped(descriptor, found.st_size - PAGESIZE)
        head = os.pread(descriptor, _HEAD_BYTES, 0)
        code = ctypes.string_at(mapped.address, found.st_size - PAGESIZE)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return mapped if head == _MAGIC + sha256(code).digest() else None


def store(key: str, code: bytes) -> None:
    """Keep code for the next process; where that is not possible, nothing happens.

    Of two processes that store the same at the same time, either's whole file stays.
    """
    with suppress(OSError, RuntimeError):
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(folder.lstat()):
            return
        from tempfile import NamedTemporaryFile  # noqa: PLC0415 - few runs need it

        with NamedTemporaryFile(dir=folder, delete=False) as file:  # for its owner only
            try:
                file.write((_MAGIC + sha256(code).digest()).ljust(PAGESIZE, b"\0") + code)
                file.close()
                Path(file.name).replace(folder / key)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _prune(folder)


def _prune(folder: Path) -> None:
    """Remove the oldest files beyond `MOST_FILES`."""
    names = os.listdir(folder)  # noqa: PTH208 - mostly there is nothing to do
    if len(names) > MOST_FILES:
        by_age = sorted(names, key=lambda name: (folder / name).lstat().st_mtime_ns)
        for name in by_age[: len(names) - MOST_FILES]:
            with suppress(OSError):  # as where it is no file, or another process was faster
                (folder / name).unlink()


def _folder() -> Path:
    """Return the cache folder (XDG Base Directory Specification, $XDG_CACHE_HOME)."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return base / "pfcompile"


def _is_own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_MAY_WRITE


@cache
def _processor() -> str:
    """Return what tells this processor's instructions; nothing where that cannot be known."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text().partition("\n\n")
    except OSError:
        return ""
    lines = [line.partition(":") for line in first.splitlines()]
    return "\n".join(f"{key.strip()}:{value}" for key, _, value in lines if key.strip() in _KEYS)


@cache
def _c_library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
    )
    library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return library
