"""Names as the kernel takes them, for maps and programs.

Source: kernel/bpf/syscall.c of Linux, bpf_obj_name_cpy().
"""

from __future__ import annotations

import re
from typing import Final

from pfcompile.errors import ProgramError
from pfcompile.kernel.bpf.layouts import OBJECT_NAME_BYTES

_NAME: Final = re.compile(r"[A-Za-z0-9_.]*")


def object_name(name: str, what: str) -> bytes:
    """Return a name as the kernel takes it, without the closing zero; "" is none.

    Raises:
        ProgramError: It is longer than 15 bytes, or holds what the kernel does not take.
    """
    if not _NAME.fullmatch(name):
        raise ProgramError(f"the {what}'s name may have letters, digits, _ and . alone: {name!r}")
    if len(name) >= OBJECT_NAME_BYTES:
        raise ProgramError(
            f"the {what}'s name '{name}' is longer than {OBJECT_NAME_BYTES - 1} bytes"
        )
    return name.encode("ascii")
