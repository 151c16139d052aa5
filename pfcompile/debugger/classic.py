"""Classic programs, stepped by the steps of their own interpreter."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.interpreter import State, single_steps
from pfcompile.cbpf.isa import (
    ROW_OF,
    SCRATCH_WORDS,
    Class,
    Operand,
    Place,
    ancillary_word,
    successors,
)
from pfcompile.cbpf.listing import tcpdump
from pfcompile.debugger.machines import Access, End, Register
from pfcompile.debugger.mistakes import Mistake
from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.captures.formats.records import Record
    from pfcompile.cbpf.isa import Instruction
    from pfcompile.debugger.machines import Region
    from pfcompile.ebpf.maps.vocabulary import Map
    from pfcompile.errors import Span

SCRATCH: Final = "M"
PACKET: Final = "pkt"


class ClassicCode:
    """A classic program; see `machines.Code`.

    Args:
        instructions: The program.
        text: The expression that it was compiled from, or "".
        origins: For each instruction, the parts of `text` that it is there for, if known.

    Raises:
        ProgramError: It is not valid.
    """

    kind = "classic BPF"
    bits = 32
    names = ("A", "X")
    memories: Mapping[str, str] = MappingProxyType({SCRATCH: "M[0]", PACKET: "pkt[12:2]"})
    maps: Mapping[int, Map] = MappingProxyType({})

    def __init__(
        self,
        instructions: Sequence[Instruction],
        text: str = "",
        origins: Sequence[tuple[Span, ...]] = (),
    ) -> None:
        self.instructions = tuple(instructions)
        self.steps = single_steps(instructions)
        self.lines = tuple(tcpdump(instructions).replace("\t", "    ").splitlines())
        self.text = text
        self.origins = origins
        self.ways = tuple(successors(*each) for each in enumerate(instructions))
        uses = {each.k for each in instructions if ROW_OF[each.code].operand is Operand.SCRATCH}
        self.scratch = tuple(sorted(uses))

    def start(self, record: Record, number: int) -> ClassicRun:
        """Return a run on a packet."""
        del number  # nothing of a classic program hangs on it
        return ClassicRun(self, record)


class ClassicRun:
    """A classic program on its way through a packet; see `machines.Run`."""

    printed: Sequence[str] = ()
    __slots__ = ("_code", "_state", "access", "end", "packet", "position", "steps")

    def __init__(self, code: ClassicCode, record: Record) -> None:
        self._code = code
        self._state = State(record.data, record.wire_length, {})
        self.packet = record.data
        self.position = 0
        self.steps = 0
        self.end: End | None = None
        self.access: Access | None = None

    def step(self) -> None:
        """Run one instruction."""
        self.access = self._reach()
        after = self._code.steps[self.position](self._state)
        self.steps += 1
        if after is None:
            self.end = self._ended()
        else:
            self.position = after

    def registers(self) -> Sequence[Register]:
        """Return A, X, and the scratch words that the program has to do with."""
        state = self._state
        words = (Register(f"{SCRATCH}[{k}]", state.scratch[k]) for k in self._code.scratch)
        return (Register("A", state.a), Register("X", state.x), *words)

    def regions(self) -> Sequence[Region]:
        """Return nothing: there is no stack."""
        return ()

    def value(self, name: str) -> int | None:
        """Return what A or X holds."""
        return {"A": self._state.a, "X": self._state.x}.get(name)

    def load(self, memory: str, at: int, size: int) -> int:
        """Return a scratch word, or bytes of the packet; raises Mistake."""
        if memory == PACKET:
            return packet_number(self.packet, at, size)
        if not 0 <= at < SCRATCH_WORDS:
            raise Mistake(f"there is no M[{at}]", f"M[0] to M[{SCRATCH_WORDS - 1}]")
        return self._state.scratch[at]

    def _reach(self) -> Access | None:
        """Return what the next instruction reads of the packet, if that is there."""
        instruction = self._code.instructions[self.position]
        row = ROW_OF[instruction.code]
        if not row.reads & Place.PACKET or ancillary_word(instruction) is not None:
            return None
        offset = self._offset(instruction)
        return Access(offset, row.size) if offset + row.size <= len(self.packet) else None

    def _offset(self, instruction: Instruction) -> int:
        """Return where a load of packet bytes begins."""
        is_indirect = ROW_OF[instruction.code].operand is Operand.INDIRECT
        return self._state.x + instruction.k & WORD if is_indirect else instruction.k

    def _ended(self) -> End:
        """Return how the instruction at the position has ended the program."""
        instruction = self._code.instructions[self.position]
        row = ROW_OF[instruction.code]
        result = self._state.result
        if row.instruction_class is Class.RET:
            return End(str(result), result != 0)
        word = ancillary_word(instruction)
        if word is not None:
            why = f"the metadata '{word.dump_name}' is not known of a packet in a file"
        elif row.reads & Place.PACKET:
            length = len(self.packet)
            why = f"load at {self._offset(instruction)} of a packet of {length} bytes"
        else:
            why = "division by X = 0"
        return End("0", keeps=False, why=why)


def packet_number(packet: bytes, at: int, size: int) -> int:
    """Return bytes of a packet as a number, in network order.

    Raises:
        Mistake: They are not all there.
    """
    if at < 0 or at + size > len(packet):
        what = f"byte {at}" if size == 1 else f"bytes {at} to {at + size - 1}"
        raise Mistake(f"the packet has {len(packet)} bytes, and so no {what}")
    return int.from_bytes(packet[at : at + size], "big")
