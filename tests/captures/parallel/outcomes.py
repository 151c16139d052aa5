"""What filtering some captures comes to, in one thread, in several and in the interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pfcompile.captures.blocks.scans import Run, Wanted
from pfcompile.captures.extents import Extents
from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.formats.records import Record
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import FilterError, PfcompileError
from pfcompile.facts.link_types import dlt_of_linktype
from pfcompile.files import Engine, Programs
from tests.captures.random_captures import LINKTYPES
from tests.generator.seed import rerun

if TYPE_CHECKING:
    from pathlib import Path


RERUN = rerun("tests/captures/parallel")


def has_bits(bits: int) -> tuple[Instruction, ...]:
    """Return a program that wants some of these bits in the first byte."""
    return (
        Instruction(Op.LD_B_ABS, 0, 0, 0),
        Instruction(Op.JSET_K, 0, 1, bits),
        Instruction(Op.RET_K, 0, 0, 65535),
        Instruction(Op.RET_K, 0, 0, 0),
    )


BITS = {dlt_of_linktype(each): 1 << number for number, each in enumerate(LINKTYPES)}
REFUSED = 147
"""A link type (USER0) that the expression is wrong for."""


def compiled(dlt: int, snaplen: int):
    """Return the program for a link type: another for each; and one that there is none for."""
    if dlt == REFUSED:
        raise FilterError("not for USER0")
    program = has_bits(BITS.get(dlt, 3))
    return SimpleNamespace(instructions=program, match=prepare(program))


@dataclass
class Taken:
    """A destination; what the threads give must be whole records, as many as they say."""

    kept: bytearray = field(default_factory=bytearray)
    runs: int = 0
    packets: int = 0

    def write(self, item) -> None:
        self.kept += item.raw
        self.packets += isinstance(item, Record)

    def write_run(self, run: Run, number: int) -> None:
        self.runs += 1
        found = list(run.records(number))
        assert len(found) == run.sums.matched[number]
        assert sum(len(each.data) for each in found) == run.sums.matched_bytes[number]
        self.kept += run.kept(number)

    def flush(self) -> None:
        pass


@dataclass
class Outcome:
    """What filtering some captures has come to."""

    counts: tuple = ()
    kept: bytes = b""
    extents: list = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    error: str | None = None
    natively: bool = field(default=False, compare=False)


def outcome(
    sources,
    jobs=1,
    engine=Engine.NATIVE,
    limit=None,
    made=compiled,
    complain=pytest.fail,
    mapped=False,
) -> Outcome:
    """Filter some captures, paths or the contents of streams."""
    programs = Programs(
        [made],
        engine,
        wanted=Wanted(copies=True, times=True, limit=limit is not None),
        complain=complain,
    )
    tally, taken, found = Tally(extents=Extents()), Taken(), Outcome()
    plan = Plan(limit, jobs, programs.scans, mapped=mapped)
    try:
        filter_captures(
            [BytesIO(each) if isinstance(each, bytes) else each for each in sources],
            [taken],
            programs,
            tally=tally,
            on_damage=lambda error: found.damage.append(str(error)),
            plan=plan,
        )
    except PfcompileError as error:
        found.error = str(error)
    found.counts = (tally.packets, tally.bytes, tally.counts[0], tally.count_bytes[0])
    found.kept = bytes(taken.kept)
    found.extents = list(tally.extents) if limit is None else []
    found.natively = taken.runs > 0 and taken.packets == 0
    return found


def compare(sources, note: str, jobs=(2, 3), **options) -> Outcome:
    """Require one outcome, however it is come to; return it."""
    expected = outcome(sources, engine=Engine.INTERP, **options)
    for number in (1, *jobs):
        found = outcome(sources, number, **options)
        assert found == expected, f"jobs={number} {note}\n{RERUN}"
    return expected


def file_of(folder: Path, content: bytes, name: str = "in") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
