"""Records of a ring's packets, made by native code."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from pfcompile.captures.blocks.scans import NO_LIMIT, ROW, SLACK, Memory, Reads, Rows, Wanted
from pfcompile.captures.formats.layouts import PcapLayout
from pfcompile.captures.formats.pcap import CAPTURED_FIRST
from pfcompile.errors import InternalError
from pfcompile.jit.ring.filter import behind_metadata
from pfcompile.jit.ring.walk import WORDS, module
from pfcompile.jit.scan.machine import Code, function_address
from pfcompile.jit.scan.scanner import Scan, Scanner
from pfcompile.kernel.blocks import Copied, Limits, RecordFormat, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.kernel.blocks import Walk

_FUNCTION: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_MATCHED: Final = ROW.index("matched")
_ROW_BYTES: Final = 8 * len(ROW)
_LAYOUT: Final = PcapLayout("<", CAPTURED_FIRST, 16, 1 << 30, 1_000_000_000)
_WANTED: Final = Wanted(rows=Rows.ALL)
_AT, _LEFT, _OUT, _TAKEN, _PACKETS, _LAST, _UNTIL = map(
    WORDS.index, ("at", "left", "out", "taken", "packets", "last", "until")
)
_MOST: Final = (1 << 31) - 1


class NativeCopier:
    """Makes records of a block's packets; a `kernel.blocks.Copier`.

    It is for one thread at a time; while it works, other threads run.

    Attributes:
        loop: The native loop.
    """

    def __init__(
        self,
        address: int,
        block_bytes: int,
        shape: Shape,
        *,
        snaplen: int,
        interface: int = 0,
        instructions: Sequence[Instruction] | None = None,
        cached: bool = True,
    ) -> None:
        """Compile, or take what was compiled before.

        Args:
            address: The ring in this process's memory.
            block_bytes: The size of its blocks.
            shape: What records are made.
            snaplen: Bytes to keep of each packet.
            interface: The interface's number in a pcapng file.
            instructions: The filter that the kernel could not run.
            cached: Whether compiled code may be taken from the user's cache, and is kept there.

        Raises:
            ImportError: There is no llvmlite; and what else it raises where it cannot serve.
            ProgramError: The filter is one for the interpreter only.
        """
        self._address = address
        judged = instructions is not None
        self.loop = CopyLoop(module(shape, judged=judged, annotated=False), block_bytes, cached)
        self.loop.set("snaplen", snaplen)
        self.loop.set("interface", interface)
        self._verdicts: _Verdicts | None = None
        self._judged = (0, 0)
        if instructions is not None:
            self._verdicts = _Verdicts(instructions, shape, block_bytes, cached=cached)
            self.loop.set("row.step", _ROW_BYTES)

    @property
    def judges(self) -> bool:
        """Whether it has a filter."""
        return self._verdicts is not None

    def copy(self, walk: Walk, limits: Limits) -> Copied:
        """Go on from a place in a block; see `kernel.blocks.Copier`."""
        loop = self.loop
        at = self._address + walk.offset
        # Where the last call has stopped, the verdicts on what is left are there.
        if self._verdicts is not None and self._judged != (at, walk.left):
            loop.set("row", self._verdicts.of(at, walk.left))
        copied = loop.run(at, walk.left, limits)
        self._judged = (loop.get("at"), loop.get("left"))
        walk.offset = self._judged[0] - self._address
        walk.left = self._judged[1]
        return copied


class CopyLoop:
    """The native loop with its words and the memory that it writes to.

    Attributes:
        function: The address of its code, which takes that of its words.
        words: The address of its words.
        out: The address of its memory.
        memory: Where it writes.
    """

    def __init__(self, text: str, block_bytes: int, cached: bool) -> None:
        self._code = Code(text, "ring", cached=cached)
        self.function = self._code.address
        self._function = _FUNCTION(self.function)
        self._state = (ctypes.c_uint64 * len(WORDS))()
        self.words = ctypes.addressof(self._state)
        self.memory = bytearray(block_bytes + SLACK)
        self.out = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self._view = memoryview(self.memory).toreadonly()
        self.set("memmove", function_address("memmove"))

    def set(self, word: str, number: int) -> None:
        """Give a word a number."""
        self._state[WORDS.index(word)] = number

    def get(self, word: str) -> int:
        """Return a word's number."""
        return int(self._state[WORDS.index(word)])

    def records(self, length: int) -> memoryview:
        """Return what it has written; valid until it runs again."""
        return self._view[:length]

    def limit(self, limits: Limits) -> None:
        """Prepare to stop at some limits, with nothing taken."""
        state = self._state
        state[_TAKEN], state[_PACKETS], state[_UNTIL] = 0, limits.packets, limits.until
        state[_LAST] = self.out + max(0, limits.room)

    def run(self, at: int, left: int, limits: Limits) -> Copied:
        """Walk packets from an address on."""
        state, out = self._state, self.out
        self.limit(limits)
        state[_AT], state[_LEFT], state[_OUT] = at, left, out
        self._function(self.words)
        return Copied(self.records(state[_OUT] - out), state[_TAKEN])


class _Verdicts:
    """What a filter says of the packets of a block."""

    def __init__(
        self, instructions: Sequence[Instruction], shape: Shape, block_bytes: int, *, cached: bool
    ) -> None:
        annotated = Shape(RecordFormat.PCAP, shape.header, None)
        text = module(annotated, judged=False, annotated=True)
        self._loop = CopyLoop(text, block_bytes, cached)
        self._loop.set("snaplen", _MOST)
        scanner = Scanner([[behind_metadata(instructions)]], _LAYOUT, _WANTED, cached=cached)
        self._scan = Scan(_LAYOUT, _WANTED, 1)
        self._scan.use(scanner)
        self._rows = (ctypes.c_char * 0)()

    def of(self, at: int, count: int) -> int:
        """Return the address of the verdict on the packet at an address; others follow."""
        records, _ = self._loop.run(at, count, Limits())
        end = len(records)
        memory = Memory(self._loop.memory, 0, end, 0, 0, end)
        self._scan.forget_kept()
        stopped, _, _ = self._scan.scan(memory, Reads(-1, 0), NO_LIMIT)
        if stopped != end:
            raise InternalError(f"a scan of a ring's block has stopped at byte {stopped} of {end}")
        rows = self._scan.rows()
        self._rows = (ctypes.c_char * rows.nbytes).from_buffer_copy(rows.cast("B"))
        return ctypes.addressof(self._rows) + 8 * _MATCHED
