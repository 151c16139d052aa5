"""Where what is to stay is pinned: a folder of its own in a file system of type bpf."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pfcompile.errors import AttachmentError, KernelError, ProgramError
from pfcompile.kernel.bpf import bpffs
from pfcompile.kernel.bpf.refusals import Asked, refused

FOLDER: Final = "pfcompile"


def pin_path(name: str, *, make: bool = False) -> Path:
    """Return where an attachment of a name is pinned, or is to be.

    Args:
        name: The name.
        make: Whether to make what it takes, and to see to it that it stays.

    Raises:
        ProgramError: Nothing can be called so.
        AttachmentError: What is pinned here would go with this process.
        KernelError: EPERM.
    """
    bpffs.check_name(name)
    if name.isdecimal():
        raise ProgramError(f"'{name}' cannot name a pin: numbers are those of attachments")
    if not make:
        return _mounted() / FOLDER / name
    was_mounted = bool(bpffs.mounts())
    folder = bpffs.find_or_mount() / FOLDER
    if not was_mounted:
        _check_stays(folder.parent)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise refused(Asked.PIN, error.errno or 0, str(folder)) from error
    return folder / name


def pinned() -> tuple[Path, ...]:
    """Return all pins of attachments, by their names.

    Raises:
        KernelError: EPERM for users who may not look.
    """
    folder = _mounted() / FOLDER
    try:
        return tuple(sorted(folder.iterdir()))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise KernelError(f"cannot list {folder}", error.errno or 0) from error


def _mounted() -> Path:
    found = bpffs.mounts()
    return bpffs.DEFAULT if not found or bpffs.DEFAULT in found else found[0]


def _check_stays(folder: Path) -> None:
    """Unmount what was just mounted, and raise, where it is seen by a few processes only.

    `ip netns exec` gives every command such a view, in which /sys and what is in it are new.
    """
    number = folder.stat().st_dev
    here = f"{os.major(number)}:{os.minor(number)}"
    try:
        everybody = Path("/proc/1/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # it may not be looked at: then nothing is known
        return
    if any(line.split(" ")[2] == here for line in everybody.splitlines()):
        return
    bpffs.unmount(folder)
    raise AttachmentError(
        f"what is pinned at {folder} would go with this process, which has mounts of its own, as"
        " under `ip netns exec`: run it as `nsenter --net=/run/netns/NAME pfcompile ...`"
    )
