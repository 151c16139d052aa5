"""A function of a program under way: its registers, its budget, its ways out.

Registers are places on the native stack that LLVM's passes turn into registers of the processor.
Between functions they travel through the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir

from pfcompile.ebpf.arithmetic import immediate
from pfcompile.ebpf.isa import R10, REGISTERS, Operand
from pfcompile.jit.arithmetic import I64, Builder, Value
from pfcompile.jit.state import Status, Word
from pfcompile.jit.support import (
    CALLBACK,
    ENTRY,
    load_word,
    number,
    status,
    store_word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfcompile.jit.blocks import Block, Function, Site
    from pfcompile.jit.support import Support

RETURNED: Final = range(6)
"""R0 to R5: what a function of the program leaves for who called it."""
_LIKELY: Final = (1 << 20, 1)


class Program:
    """What all functions of a program share.

    Attributes:
        code: The number that Python knows it by.
        support: The functions beside its own.
        proved: Slots of memory accesses that cannot fault.
        counted: Whether the budget can end within it.
        constants: Places in `Word.CONSTANTS`, by slot of the 64-bit immediate.
        functions: LLVM's function for every entry, by slot.
        enter: The function that goes to the slot that it is given, for calls through a register.
        is_entry: The function that tells whether it can.
    """

    __slots__ = (
        "code", "constants", "counted", "enter", "functions", "is_entry", "proved", "support",
    )  # fmt: skip

    def __init__(
        self,
        code: int,
        support: Support,
        proved: frozenset[int],
        constants: Mapping[int, int],
        *,
        counted: bool,
    ) -> None:
        self.code = code
        self.support = support
        self.proved = proved
        self.counted = counted
        self.constants = constants
        self.functions: dict[int, Any] = {}
        self.enter: Any = None
        self.is_entry: Any = None


class Writer:
    """Writes a function of a program.

    Attributes:
        program: What it is part of.
        builder: Where instructions go.
        state: The state of the run.
        support: That of `program`.
    """

    def __init__(self, program: Program, native: Any, function: Function) -> None:
        self.program = program
        self.support = program.support
        self.native = native
        self.state = native.args[0]
        self.builder: Builder = ir.IRBuilder(native.append_basic_block("start"))
        self._registers = [self.builder.alloca(I64, name=f"r{n}") for n in range(REGISTERS)]
        self._remaining = self.builder.alloca(I64, name="remaining")
        self._loops = self.builder.alloca(I64, name="loops")
        self._constants = self.builder.alloca(I64, name="constants")
        self._blocks = {
            block.slot: native.append_basic_block(f"slot{block.slot}") for block in function.blocks
        }
        self._tail_call: Any = None
        self._begin(function)

    def _begin(self, function: Function) -> None:
        for register in range(REGISTERS):
            self.set(register, self.word(Word.FIRST_REGISTER + register))
        self._load_budget()
        self.builder.store(self.word(Word.LOOPS), self._loops)
        self.builder.store(self.word(Word.CONSTANTS), self._constants)
        first = self._blocks[function.entries[0]]
        switch = self.builder.switch(self.native.args[1], first)
        for slot in function.entries[1:]:
            switch.add_case(number(slot), self._blocks[slot])

    def begin_block(self, block: Block) -> None:
        """Go on where `block` is, and take what it costs out of the budget."""
        builder = self.builder
        builder.position_at_end(self._blocks[block.slot])
        cost = number(len(block.sites))
        left = builder.load(self._remaining, typ=I64)
        if self.program.counted:
            with self.unlikely(builder.icmp_unsigned("<", left, cost)):
                arguments = [self.state, number(self.program.code), number(block.slot), left]
                builder.ret(builder.call(self.support.exhausted, arguments))
        builder.store(builder.sub(left, cost), self._remaining)

    def unlikely(self, condition: Value) -> Any:
        """Return a context for what to write where `condition` holds, which it rarely does."""
        return self.builder.if_then(condition, likely=False)

    def branch_likely(self, condition: Value, yes: Any, no: Any) -> None:
        """Go to `yes` where `condition` holds, which it mostly does."""
        self.builder.cbranch(condition, yes, no).set_weights(_LIKELY)

    def block(self, slot: int) -> Any:
        """Return LLVM's block at a slot, where a block of this function begins."""
        return self._blocks[slot]

    def new_block(self, name: str) -> Any:
        """Return a block of LLVM's that nothing leads to yet."""
        return self.builder.append_basic_block(name)

    def get(self, register: int) -> Value:
        """Return what a register holds."""
        return self.builder.load(self._registers[register], typ=I64)

    def set(self, register: int, value: Value) -> None:
        """Set a register."""
        self.builder.store(value, self._registers[register])

    def operand(self, site: Site) -> Value:
        """Return the second operand of an instruction: its constant, or its source register."""
        if site.row.operand is Operand.REGISTER:
            return self.get(site.instruction.src)
        return number(immediate(site.instruction.imm))

    def word(self, index: int) -> Value:
        """Return a word of the state."""
        return load_word(self.builder, self.state, index)

    def set_word(self, index: int, value: Value) -> None:
        """Set a word of the state."""
        store_word(self.builder, self.state, index, value)

    def loops(self) -> Value:
        """Return how often bounded jumps still let this function go on."""
        return self.builder.load(self._loops, typ=I64)

    def set_loops(self, value: Value) -> None:
        """Set what `loops` returns."""
        self.builder.store(value, self._loops)

    def constants(self) -> Value:
        """Return where the values of 64-bit immediates are that Python knows."""
        return self.builder.load(self._constants, typ=I64)

    def fault(self, site: Site, value: Value) -> None:
        """End the program with a fault; `value` is what its address register holds."""
        arguments = [self.state, number(self.program.code), number(site.slot), value]
        self.builder.ret(self.builder.call(self.support.fault, arguments))

    def end(self, result: Status) -> None:
        """Leave the function with a status."""
        self.give_up(status(result))

    def give_up(self, result: Value) -> None:
        """Leave the function with a status that is a value."""
        self._store_budget()
        self.builder.ret(result)

    def exit(self) -> None:
        """Leave the function as EXIT does."""
        self._store_registers(RETURNED)
        self.end(Status.DONE)

    def call_python(self, site: Site) -> Value:
        """Have Python do what an instruction says; return its status."""
        callback = self.builder.inttoptr(self.word(Word.CALLBACK), CALLBACK.as_pointer())
        arguments = [self.state, number(self.program.code), number(site.slot)]
        return self.builder.call(callback, arguments)

    def call_native(self, function: Any, slot: Value) -> None:
        """Call a function of the program, in a frame that is there already."""
        builder, program = self.builder, self.program
        self._store_registers(range(R10))
        self._store_budget()
        self.set_word(Word.LOOPS, self.word(Word.LOOP_LIMIT))
        if program.constants:
            # A program that a tail call went to has put its own there.
            self.set_word(Word.CONSTANTS, self.constants())
        result = builder.call(function, [self.state, slot])
        with self.unlikely(builder.icmp_unsigned("!=", result, status(Status.DONE))):
            builder.ret(result)
        builder.call(self.support.leave_frame, [self.state])
        for register in RETURNED:
            self.set(register, self.word(Word.FIRST_REGISTER + register))
        self._load_budget()

    def tail_call(self) -> Any:
        """Return the block that goes over to the program at `Word.NEXT`."""
        if self._tail_call is None:
            self._tail_call = self.new_block("tail_call")
            builder = self.builder
            with builder.goto_block(self._tail_call):
                self._store_registers(range(REGISTERS))
                self._store_budget()
                self.set_word(Word.LOOPS, self.loops())
                following = builder.inttoptr(self.word(Word.NEXT), ENTRY.as_pointer())
                arguments = [self.state, number(0)]
                # However many follow each other, the native stack does not grow.
                builder.ret(builder.call(following, arguments, tail="musttail"))
        return self._tail_call

    def _store_registers(self, registers: range) -> None:
        for register in registers:
            self.set_word(Word.FIRST_REGISTER + register, self.get(register))

    def store_arguments(self) -> None:
        """Put R0 to R5 where Python finds them."""
        self._store_registers(RETURNED)

    def _load_budget(self) -> None:
        self.builder.store(self.word(Word.REMAINING), self._remaining)

    def _store_budget(self) -> None:
        self.set_word(Word.REMAINING, self.builder.load(self._remaining, typ=I64))
