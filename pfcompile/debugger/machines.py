"""What the debugger asks of a program, classic or extended, and of a run of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.captures.formats.records import Record
    from pfcompile.ebpf.maps.vocabulary import Map
    from pfcompile.errors import Span


class Access(NamedTuple):
    """Bytes of the packet that an instruction has read or written."""

    offset: int
    size: int
    writes: bool = False


class Register(NamedTuple):
    """A register, or a word of scratch memory.

    Attributes:
        name: As it is written in expressions.
        value: Unsigned.
        note: What it points to, or "".
    """

    name: str
    value: int
    note: str = ""


class Region(NamedTuple):
    """Memory of a program: a stack frame, its own, or a value of a map.

    Attributes:
        name: For people.
        data: What is in it.
        origin: What its first byte is called: -512 for a stack frame, whose end is 0.
    """

    name: str
    data: bytes
    origin: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """How a run has ended.

    Attributes:
        verdict: What it returned, as people know it: "262144", "pass"; "" where it failed.
        keeps: Whether the packet matches, or goes on its way.
        why: What ended it before it returned anything, or None.
        failed: Whether that was an error, which no kernel would have let happen.
    """

    verdict: str
    keeps: bool
    why: str | None = None
    failed: bool = False


class Run(Protocol):
    """A program on its way through a packet."""

    @property
    def position(self) -> int:
        """The instruction that comes next; at the end, the last one."""

    @property
    def steps(self) -> int:
        """How many instructions were run."""

    @property
    def end(self) -> End | None:
        """How it has ended, or None."""

    @property
    def access(self) -> Access | None:
        """What the last instruction did to the packet, if it did anything."""

    @property
    def packet(self) -> bytes:
        """The packet as it is now; some extended programs write to it."""

    @property
    def printed(self) -> Sequence[str]:
        """The lines that it has printed so far, by bpf_trace_printk."""

    def step(self) -> None:
        """Run one instruction; not at the end."""

    def registers(self) -> Sequence[Register]:
        """Return all registers, and the scratch words that the program uses."""

    def regions(self) -> Sequence[Region]:
        """Return the stack frames, the innermost last."""

    def value(self, name: str) -> int | None:
        """Return what a name stands for, or None where it has no such register."""

    def load(self, memory: str, at: int, size: int) -> int:
        """Return what is in `M`, `pkt` or `mem`.

        Raises:
            Mistake: There is no such memory, or not there.
        """


class Code(Protocol):
    """A program made ready to be stepped."""

    @property
    def kind(self) -> str:
        """What it is, for people."""

    @property
    def lines(self) -> Sequence[str | None]:
        """A line an instruction, by position; None where none begins."""

    @property
    def bits(self) -> int:
        """How wide its registers are."""

    @property
    def names(self) -> Sequence[str]:
        """The names of its registers."""

    @property
    def memories(self) -> Mapping[str, str]:
        """What `load` takes, with an example of each."""

    @property
    def maps(self) -> Mapping[int, Map]:
        """Its maps by number; of a classic program none."""

    @property
    def text(self) -> str:
        """The expression that it was compiled from, or ""."""

    @property
    def origins(self) -> Sequence[tuple[Span, ...]]:
        """For each instruction, the parts of `text` that it is there for; empty if nobody knows."""

    @property
    def ways(self) -> Sequence[tuple[int, ...]]:
        """For each instruction, those that can follow it; empty where `origins` is."""

    def start(self, record: Record, number: int) -> Run:
        """Return a run on a packet, before its first instruction.

        Args:
            record: The packet.
            number: Of the packet in its capture, from 1.
        """
