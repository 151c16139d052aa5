"""The file system in which names keep maps, programs and links alive.

Source: Documentation/bpf/ and kernel/bpf/inode.c of Linux; proc_pid_mountinfo(5); mount(2).
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Final

from pfcompile.errors import ProgramError
from pfcompile.kernel.bpf.refusals import Asked, refused

DEFAULT: Final = Path("/sys/fs/bpf")
"""Where bpftool and libbpf look for it."""

_TYPE: Final = "bpf"
_MAX_NAME_BYTES: Final = 255
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MNT_DETACH: Final = 2

_libc = ctypes.CDLL(None, use_errno=True)


def mounts(mountinfo: str | None = None) -> tuple[Path, ...]:
    """Return where such file systems are mounted, in the order in which they were.

    Args:
        mountinfo: The text to read; that of this process where it is None.
    """
    if mountinfo is None:
        mountinfo = Path("/proc/self/mountinfo").read_text(
            encoding="utf-8", errors="surrogateescape"
        )
    types: dict[Path, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), before.split(" ")[4]))
        # What is mounted later at the same place covers what was there.
        types.pop(place, None)
        types[place] = after.split(" ")[0]
    return tuple(place for place, name in types.items() if name == _TYPE)


def find_or_mount(folder: Path = DEFAULT) -> Path:
    """Return where such a file system is; mount one at `folder` where there is none.

    It stays mounted, as what is pinned in it is to stay; `unmount` takes it away.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN, ENOENT where there is no such folder, ENODEV.
    """
    found = mounts()
    if folder in found:
        return folder
    if found:
        return found[0]
    mount(folder)
    return folder


def mount(folder: Path) -> None:
    """Mount a new one at a folder that is there.

    Raises:
        KernelError: As of `find_or_mount`.

    Source: mount(2).
    """
    source = kind = _TYPE.encode()
    # Only root may look into it: the mode that bpftool gives it.
    if _libc.mount(source, os.fsencode(folder), kind, ctypes.c_ulong(0), b"mode=0700") != 0:
        raise refused(Asked.MOUNT, ctypes.get_errno(), str(folder))


def unmount(folder: Path) -> None:
    """Take one away; what is pinned in it goes with it.

    Raises:
        KernelError: EINVAL where nothing is mounted, EPERM.

    Source: umount2(2).
    """
    if _libc.umount2(os.fsencode(folder), _MNT_DETACH) != 0:
        raise refused(Asked.UNMOUNT, ctypes.get_errno(), str(folder))


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a pin.

    Raises:
        ProgramError: Says why.
    """
    if not name or "." in name or "/" in name or "\0" in name:
        raise ProgramError(f"{name!r} cannot name a pin: it must have characters, but no dots")
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        raise ProgramError(f"{name!r} cannot name a pin: it is longer than {_MAX_NAME_BYTES} bytes")


def safe_name(text: str) -> str:
    """Return `text` with all that could be trouble in a pin's name made `_`; "_" for nothing."""
    return _NOT_IN_NAMES.sub("_", text)[:_MAX_NAME_BYTES] or "_"
