"""The sections of object files that hold programs, maps and data, as rows.

Sources: libbpf's documentation, "Program Types and ELF Sections"; linux/bpf.h for the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_XDP_HAS_FRAGS: Final = 1 << 5
"""BPF_F_XDP_HAS_FRAGS, linux/bpf.h."""


@dataclass(frozen=True, slots=True)
class ProgramSection:
    """A section that holds programs of one kind.

    Attributes:
        name: Its name; what follows a `/` in a name (`tc/ingress`) is the user's own.
        target: What such programs are for.
        program_type: BPF_PROG_TYPE_*, or None where the kernel cannot run them.
        flags: BPF_F_* with which loaders load them.
    """

    name: str
    target: str
    program_type: int | None
    flags: int = 0


TEXT: Final = ".text"
"""Functions that programs call; and the programs of machines that know nothing of kernels."""

PROGRAM_SECTIONS: Final = (
    ProgramSection("xdp", "xdp", 6),
    ProgramSection("xdp.frags", "xdp", 6, _XDP_HAS_FRAGS),
    ProgramSection("tc", "tc", 3),
    ProgramSection("tcx", "tc", 3),
    ProgramSection("classifier", "tc", 3),
    ProgramSection("action", "tc", 4),
    ProgramSection("socket", "socket", 1),
    ProgramSection("cgroup_skb", "socket", 8),
    ProgramSection(TEXT, "user", None),
)
"""Of sections that serve the same, the first is what is written."""

LICENSE: Final = "license"
MAPS: Final = ".maps"
LEGACY_MAPS: Final = "maps"
BTF: Final = ".BTF"

DATA_SECTIONS: Final = (".rodata", ".data", ".bss")
"""Sections whose variables live in a map of the object's own; `.rodata.str1.1` is one, too."""

READ_ONLY_DATA: Final = ".rodata"


def find_section(name: str) -> ProgramSection | None:
    """Return the row of a section by its name in an object, or None where there is none."""
    # Old objects put a number or a name behind a plain section name: `tc/ingress`, `xdp_drop`.
    kind = name.split("/", maxsplit=1)[0]
    for row in PROGRAM_SECTIONS:
        if row.name == kind:
            return row
    return next((row for row in PROGRAM_SECTIONS if kind.startswith(f"{row.name}_")), None)


def section_of(target: str, flags: int = 0) -> ProgramSection:
    """Return the section in which programs for a target are written.

    Args:
        target: One of the rows' targets.
        flags: BPF_F_* with which the program must be loaded.
    """
    rows = [row for row in PROGRAM_SECTIONS if row.target == target]
    return next((row for row in rows if row.flags == flags), rows[0])


def is_data(name: str) -> bool:
    """Tell whether a section holds variables."""
    return any(name == each or name.startswith(f"{each}.") for each in DATA_SECTIONS)
