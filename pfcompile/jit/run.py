"""One run of native code: what Python does for it meanwhile, and what came of it."""

from __future__ import annotations

import ctypes
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pfcompile.ebpf.arithmetic import MASK64
from pfcompile.ebpf.isa import R0, R1, R6, REGISTERS, Kind
from pfcompile.ebpf.machine.code import Run, TailCall
from pfcompile.ebpf.machine.faults import BudgetError, Fault, Leave, RunError
from pfcompile.ebpf.machine.memory import (
    CONTEXT_ADDRESS,
    CONTEXT_REGION,
    FIRST_DECLARED_REGION,
)
from pfcompile.errors import InternalError
from pfcompile.jit.access import address_register
from pfcompile.jit.code import NativeCode
from pfcompile.jit.engine import begin_address
from pfcompile.jit.memory import FRAMES_BYTES, NativeMemory
from pfcompile.jit.state import STATE_WORDS, Status, Word, make_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.ebpf.machine.code import Environment, Limits
    from pfcompile.ebpf.machine.starts import Start
    from pfcompile.jit.blocks import Site
    from pfcompile.jit.state import Words

_BEGIN: Final = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint64)
"""`runtime.BEGIN`; ctypes lets other threads run Python meanwhile."""
_CALLBACK: Final = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64
)
_ARGUMENTS: Final = slice(Word.FIRST_REGISTER + R1, Word.FIRST_REGISTER + R6)


class Ended(NamedTuple):
    """What a run came to.

    Attributes:
        result: R0 at the end.
        instructions: How many were run.
        run: The rest.
    """

    result: int
    instructions: int
    run: Run


class Workspace:
    """What native code works on; used by one run at a time, and by one after the other."""

    __slots__ = (
        "_address",
        "_begin",
        "_callback",
        "_callback_address",
        "_frames",
        "_service",
        "_views",
        "words",
    )

    def __init__(self) -> None:
        self.words: Words = make_words(STATE_WORDS)
        self._address = ctypes.addressof(self.words)
        self._frames = make_words(FRAMES_BYTES // 8)
        self._views = memoryview(self._frames).cast("B")
        self._service: Service | None = None
        self._begin = _BEGIN(begin_address())
        self._callback = _CALLBACK(self._serve)
        self._callback_address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def run(
        self, code: NativeCode, environment: Environment, limits: Limits, start: Start, times: int
    ) -> Ended:
        """Run a program `times` times, 1 or more, from `start` on, in the same memory.

        Raises:
            RunError: A run ended with a fault.
            BudgetError: A run did not end.
        """
        words = self.words
        ctypes.memset(words, 0, ctypes.sizeof(words))
        memory = NativeMemory(words, self._views)
        try:
            run = self._enter(code, environment, limits, start, memory)
            service = self._service = Service(words, memory, run)
            try:
                words[Word.CONSTANTS] = service.adopt(code)
                result = service.result(Status(self._begin(self._address, times)))
            finally:
                run.close()
        finally:
            self._service = None
            memory.pins.release()
        return Ended(result, words[Word.BUDGET] - words[Word.REMAINING], run)

    def _enter(
        self,
        code: NativeCode,
        environment: Environment,
        limits: Limits,
        start: Start,
        memory: NativeMemory,
    ) -> Run:
        """Put everything into memory and the state that a run begins with."""
        words = self.words
        memory.declare(len(environment.regions))
        for place, data in enumerate(environment.regions):
            writable = not memoryview(data).readonly
            name = f"declared region {place}"
            memory.add(FIRST_DECLARED_REGION + place, name, data, writable=writable)
        entry = start.enter(memory)
        # Proofs take the packet's bounds in it for true, at the start of every repetition.
        kept = bytes(memory.readable.get(CONTEXT_REGION, b"")) if code.has_proofs else b""
        words[Word.METADATA] = memory.pins.address_of(kept)
        words[Word.METADATA_BYTES] = len(kept)
        words[Word.ARGUMENT_1], words[Word.ARGUMENT_2] = entry.r1, entry.r2
        words[Word.PROGRAM] = code.engine.program
        words[Word.HAS_STACK] = code.has_stack
        words[Word.BUDGET] = max(limits.instructions, 0)
        words[Word.LOOP_LIMIT] = limits.loops
        words[Word.FRAMES] = ctypes.addressof(self._frames)
        words[Word.CALLBACK] = self._callback_address
        words[Word.PACKET] = memory.pins.address_of(entry.packet)
        words[Word.PACKET_BYTES] = len(entry.packet)
        words[Word.HAS_PACKET_LOADS] = entry.has_packet_loads
        words[Word.CONTEXT_REGISTER] = 0 if entry.context is None else CONTEXT_ADDRESS
        return Run(code, environment, limits, memory, entry)

    def _serve(self, _state: int, number: int, slot: int) -> int:
        assert self._service is not None
        return self._service.serve(number, slot)


class Service:
    """Does in Python what native code asks for, and keeps what must not unwind through it."""

    __slots__ = ("_codes", "_constants", "_error", "_left", "_memory", "_run", "_words")

    def __init__(self, words: Words, memory: NativeMemory, run: Run) -> None:
        self._words = words
        self._memory = memory
        self._run = run
        self._codes: dict[int, NativeCode] = {}
        self._constants: dict[int, Words] = {}
        self._error: BaseException | None = None
        self._left: int | None = None

    def adopt(self, code: NativeCode) -> int:
        """Make a program known to this run; return where its constants are, as far as known."""
        if code.number not in self._codes:
            self._codes[code.number] = code
            self._constants[code.number] = make_words(len(code.constants))
        return ctypes.addressof(self._constants[code.number])

    def serve(self, number: int, slot: int) -> int:
        """Do what the instruction at a slot asks for, and return a `Status`."""
        code = self._codes[number]
        site = code.sites[slot]
        try:
            self._memory.follow_frames()
            return _SERVICES[site.row.kind](self, code, site)
        except Leave as end:
            self._left = end.result
            return Status.LEFT
        except TailCall as call:
            return self._switch(site, call)
        except Fault as fault:
            self._error = RunError(slot, str(fault))
        except BaseException as error:  # noqa: BLE001 - it goes on behind the native code
            self._error = error
        return Status.RAISED

    def result(self, status: Status) -> int:
        """Return what a run that has ended returned, or raise what it raises."""
        words = self._words
        match status:
            case Status.DONE:
                return words[Word.FIRST_REGISTER + R0]
            case Status.LEFT:
                return words[Word.RESULT] if self._left is None else self._left
            case Status.RAISED if self._error is not None:
                error, self._error = self._error, None
                raise error
            case Status.BUDGET:
                raise BudgetError(
                    self._codes[words[Word.CODE]].slot_after(words[Word.SLOT], words[Word.VALUE]),
                    f"not done after {words[Word.BUDGET]} instructions",
                )
            case Status.FAULT:
                raise self._fault()
            case Status.RAISED | Status.TAIL_CALL:
                raise InternalError(f"native code has ended with status {status.name}")

    def call(self, code: NativeCode, site: Site) -> int:
        """Call a helper or a function of the kernel."""
        words = self._words
        function = code.function_of(site, words[Word.VALUE])
        result = function(self._run, *words[_ARGUMENTS])
        words[Word.FIRST_REGISTER + R0] = result & MASK64
        return Status.DONE

    def give_constant(self, code: NativeCode, site: Site) -> int:
        """Find out what a 64-bit immediate stands for in this run."""
        registers = [0] * REGISTERS
        code.steps[site.slot](registers, self._run)
        table = self._constants[code.number]
        table[code.constants[site.slot]] = registers[site.instruction.dst]
        return Status.DONE

    def _switch(self, site: Site, call: TailCall) -> int:
        """Let another program take over."""
        if not isinstance(call.code, NativeCode):
            self._error = RunError(site.slot, "a tail call from native code to a program without")
            return Status.RAISED
        self._run.switch(call.code)
        code = call.code.for_tail_calls
        self._words[Word.CONSTANTS] = self.adopt(code)
        self._words[Word.NEXT] = code.engine.program
        return Status.TAIL_CALL

    def _fault(self) -> RunError:
        """Return the error for a fault: the interpreter does the same step, and says why not."""
        words = self._words
        code, slot = self._codes[words[Word.CODE]], words[Word.SLOT]
        self._memory.follow_frames()
        registers = [0] * REGISTERS
        register = address_register(code.sites[slot])
        if register is not None:
            registers[register] = words[Word.VALUE]
        try:
            code.steps[slot](registers, self._run)
        except Fault as fault:
            return RunError(slot, str(fault))
        raise InternalError(f"only native code cannot do instruction {slot}")


_SERVICES: Final[Mapping[Kind, Callable[[Service, Any, Any], int]]] = MappingProxyType(
    {Kind.CALL: Service.call, Kind.WIDE: Service.give_constant}
)
