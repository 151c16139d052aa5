"""A program as a chain of steps, what it can call and use, and the state of one run.

A program is decoded once, into threaded code: one closure an instruction, which does its work on
the registers and returns the closure to go on with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from pfcompile.ebpf.isa import R6, R10
from pfcompile.ebpf.machine.faults import Fault
from pfcompile.ebpf.machine.memory import FIRST_MAP_REGION, REGION_BITS, Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.ebpf.machine.memory import Buffer
    from pfcompile.ebpf.machine.starts import Entry
    from pfcompile.ebpf.maps.rings import RingBuffer
    from pfcompile.ebpf.maps.vocabulary import Map

Registers: TypeAlias = list[int]
Step: TypeAlias = "Callable[[Registers, Run], Step]"
Function: TypeAlias = "Callable[[Run, int, int, int, int, int], int]"
"""What a call calls: the five arguments, unsigned; any integer as the result."""

DEFAULT_BUDGET: Final = 1_000_000
"""Instructions: as many as the kernel's verifier is ready to walk through."""

MAX_TAIL_CALLS: Final = 33
"""MAX_TAIL_CALL_CNT, linux/bpf.h."""

MAX_LOOPS: Final = 8 * 1024 * 1024
"""BPF_MAX_LOOPS, linux/bpf.h: how often the bounded jumps of a function let it go on."""


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that programs call by number.

    Attributes:
        number: As in linux/bpf.h.
        name: The same.
        function: What it does; raises Fault for arguments that the kernel would not have taken.
    """

    number: int
    name: str
    function: Function


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run may go.

    Attributes:
        instructions: Executed, of all programs that follow each other by tail calls; a 64-bit
            immediate load and a call of a helper are one each.
        tail_calls: Those that succeed.
        loops: How often the bounded jumps (`may_goto`) of one call of a function let it go on.
    """

    instructions: int = DEFAULT_BUDGET
    tail_calls: int = MAX_TAIL_CALLS
    loops: int = MAX_LOOPS


def _discard(_line: str) -> None:
    """Forget a line that a program has printed."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a program can call and use.

    Attributes:
        helpers: By number.
        maps: By the number that the program's 64-bit immediate loads give: file descriptors and
            indices alike.
        variables: By the number that its loads of variables give.
        kfuncs: Functions of the kernel, by number.
        regions: More memory, from `declared_address(0)` on; `bytes` are read-only. Of programs
            that follow each other by tail calls, it is the first one's that is there.
        trace: Takes what bpf_trace_printk prints, line by line.
        clock: Nanoseconds, for bpf_ktime_get_ns.
        random: Where bpf_get_prandom_u32 gets its numbers from.
    """

    helpers: Mapping[int, Helper]
    maps: Mapping[int, Map] = field(default_factory=dict)
    variables: Mapping[int, bytearray] = field(default_factory=dict)
    kfuncs: Mapping[int, Function] = field(default_factory=dict)
    regions: Sequence[Buffer] = ()
    trace: Callable[[str], object] = _discard
    clock: Callable[[], int] = time.monotonic_ns
    random: Random = field(default_factory=Random)


class Code:
    """A program's steps.

    Attributes:
        steps: By slot; the second half of a 64-bit immediate load has one that is never reached.
        slots: Where each is.
    """

    __slots__ = ("slots", "steps")

    def __init__(self, steps: list[Step], slots: Mapping[Step, int]) -> None:
        self.steps = steps
        self.slots = slots


class TailCall(Exception):  # noqa: N818 - not an error
    """Another program takes over.

    Attributes:
        code: That program.
    """

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code


class HasCode(Protocol):
    """What a program array holds."""

    @property
    def code(self) -> Code:
        """The steps."""


class Frame(NamedTuple):
    """What a call of a function in the program brings back when it ends."""

    then: Step
    registers: list[int]
    loops: int


class Run:
    """The state of one run but for its registers.

    Attributes:
        memory: Its memory.
        readable: That of `memory`, where loads look first.
        writable: The same for stores.
        entry: How it was started.
        environment: What there is to call and use.
        loops: How often bounded jumps still let this function go on.
        tail_calls: How many it still can make.
    """

    __slots__ = (
        "_addresses_of_maps", "_codes", "_frames", "_limits", "_maps", "_reservations", "entry",
        "environment", "loops", "memory", "readable", "tail_calls", "writable",
    )  # fmt: skip

    def __init__(
        self, code: Code, environment: Environment, limits: Limits, memory: Memory, entry: Entry
    ) -> None:
        self.memory = memory
        self.readable = memory.readable
        self.writable = memory.writable
        self.entry = entry
        self.environment = environment
        self.loops = limits.loops
        self.tail_calls = limits.tail_calls
        self._limits = limits
        self._codes = [code]
        self._frames: list[Frame] = []
        self._maps: list[Map] = []
        self._addresses_of_maps: dict[int, int] = {}
        self._reservations: dict[int, tuple[RingBuffer, bytearray]] = {}

    def slot_of(self, step: Step) -> int:
        """Return where a step is in its program, which may be one that a tail call went to."""
        return next(code.slots[step] for code in self._codes if step in code.slots)

    def call(self, then: Step, registers: Registers) -> None:
        """Enter a function of the program, to go on with `then` after it.

        Raises:
            Fault: There are too many calls in each other.
        """
        end = self.memory.push_frame()
        self._frames.append(Frame(then, registers[R6:], self.loops))
        registers[R10] = end
        self.loops = self._limits.loops

    def leave(self, registers: Registers) -> Step | None:
        """Leave a function; return what to go on with, None where it is the whole program."""
        if not self._frames:
            return None
        frame = self._frames.pop()
        self.memory.pop_frame()
        registers[R6:] = frame.registers
        self.loops = frame.loops
        return frame.then

    def switch(self, code: Code) -> Step:
        """Go over to another program by a tail call; return its first step."""
        self.tail_calls -= 1
        if code not in self._codes:
            self._codes.append(code)
        return code.steps[0]

    def address_of_map(self, map_: Map) -> int:
        """Return the address that stands for a map."""
        address = self._addresses_of_maps.get(id(map_))
        if address is None:
            address = (FIRST_MAP_REGION + len(self._maps)) << REGION_BITS
            self._maps.append(map_)
            self._addresses_of_maps[id(map_)] = address
        return address

    def map_at(self, address: int) -> Map:
        """Return the map that an address stands for.

        Raises:
            Fault: None does.
        """
        number, offset = divmod(address - (FIRST_MAP_REGION << REGION_BITS), 1 << REGION_BITS)
        if offset or not 0 <= number < len(self._maps):
            raise Fault(f"0x{address:x} is not the address of a map")
        return self._maps[number]

    def reserve(self, ring: RingBuffer, size: int) -> int:
        """Return the address of room for a record in a ring buffer, 0 where there is none."""
        data = ring.reserve(size)
        if data is None:
            return 0
        address = self.memory.address_of(data, "ring buffer record")
        self._reservations[address] = (ring, data)
        return address

    def commit(self, address: int, *, counts: bool) -> None:
        """End a reservation; a record that does not count is dropped.

        Raises:
            Fault: There is none at `address`.
        """
        reservation = self._reservations.pop(address, None)
        if reservation is None:
            raise Fault(f"0x{address:x} is not the address of a reserved record")
        ring, data = reservation
        ring.commit(data, counts=counts)
        self.memory.remove(address)

    def close(self) -> None:
        """Drop the records that the program has left unfinished, so that they block no ring."""
        for ring, data in self._reservations.values():
            ring.commit(data, counts=False)
