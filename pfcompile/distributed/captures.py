"""The captures of a run: what they are called everywhere, their sizes, their parts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pfcompile.captures.blocks.native import Manner
from pfcompile.captures.blocks.walking import walk_source
from pfcompile.captures.filtering import Matchers
from pfcompile.captures.formats.records import InterfaceBlock, PcapHeader, Record
from pfcompile.captures.sources.inputs import STANDARD_INPUT, local_path, name_of, size_of
from pfcompile.distributed.parts import Part, cut
from pfcompile.errors import CaptureError, FilterError, PfcompileError
from pfcompile.files import WORTH_COMPILING, Engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.captures.sources.inputs import Source
    from pfcompile.files import Programs


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture that is to be filtered.

    Attributes:
        name: What the user calls it.
        source: An absolute path or a URL, good on every machine.
        stored: Its bytes as they are stored; None where that is not known.
        parts: The parts that are a task each; None alone where all of it is one.
    """

    name: str
    source: str
    stored: int | None
    parts: tuple[Part | None, ...]

    def bytes_of(self, number: int) -> int:
        """Return the stored bytes of a part; 0 where that is not known."""
        part, size = self.parts[number], self.stored or 0
        if part is None:
            return size
        return (size if part.stop is None else part.stop) - part.start


def capture_of(source: Source, part_bytes: int) -> Capture:
    """Return a capture, cut where it is a pcap file of more than `part_bytes` bytes.

    Raises:
        CaptureError: It is one that other processes cannot read.
    """
    name = name_of(source)
    path = local_path(source)
    if path is None:
        if not isinstance(source, str) or source == STANDARD_INPUT:
            raise CaptureError("cannot be read by other processes: give a file or a URL", name)
        return Capture(name, source, None, (None,))
    parts: list[Part] = []
    stored = None
    with suppress(OSError, ValueError):  # whoever opens it says what is wrong
        path = str(Path(path).absolute())
        stored = Path(path).stat().st_size
        size = size_of(path)
        if size is not None:
            parts = cut(path, size, part_bytes)
    return Capture(name, path, stored, tuple(parts) or (None,))


def chosen_engine(engine: Engine, captures: Sequence[Capture]) -> Engine:
    """Return what runs the filter on every machine: `auto` goes by the size of all captures."""
    if engine is not Engine.AUTO:
        return engine
    sizes = [WORTH_COMPILING if each.stored is None else each.stored for each in captures]
    return Engine.NATIVE if sum(sizes) >= WORTH_COMPILING else Engine.INTERP


def check_expression(captures: Sequence[Capture], programs: Programs) -> None:
    """Compile the expression for the first link type that needs it, and ask for its names.

    That is the one of the first pcap file, or of the first packet in a pcapng file; if there are
    none, of the first interface.

    Raises:
        FilterError: It is wrong for that.
    """
    matchers = Matchers(programs)
    for each in captures:
        try:
            for item in walk_source(each.source, None, Manner()):
                if isinstance(item, PcapHeader | Record):
                    matchers.matcher(item.interface)
                    return
                if isinstance(item, InterfaceBlock):
                    matchers.note(item.interface)
        except FilterError:
            raise
        except PfcompileError:
            continue  # whoever filters it says what is wrong
    with suppress(CaptureError):  # the same
        matchers.check()
