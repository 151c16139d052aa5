"""The steps that go elsewhere: jumps, calls and exits."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.arithmetic import MASK32, MASK64, immediate, jump_taken
from pfcompile.ebpf.isa import R0, R1, R2, R3, R4, R5, SLOT_BYTES, Callee, Condition, Operand
from pfcompile.ebpf.machine.code import TailCall
from pfcompile.ebpf.machine.decoded import Decoded, never_reached
from pfcompile.ebpf.machine.faults import Fault, Leave
from pfcompile.ebpf.machine.memory import CODE_REGION, OFFSET_MASK, REGION_BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.ebpf.machine.code import Function, Registers, Run, Step


def branch(decoded: Decoded) -> Step:
    """Make a conditional jump."""
    row, instruction, then = decoded.row, decoded.instruction, decoded.then
    condition, width, dst, src = row.operation, row.width, instruction.dst, instruction.src
    assert isinstance(condition, Condition)
    constant = immediate(instruction.imm)
    steps, target = decoded.steps, decoded.target

    def on_constant(registers: Registers, _run: Run) -> Step:
        return steps[target] if jump_taken(condition, width, registers[dst], constant) else then

    def on_register(registers: Registers, _run: Run) -> Step:
        taken = jump_taken(condition, width, registers[dst], registers[src])
        return steps[target] if taken else then

    return on_register if row.operand is Operand.REGISTER else on_constant


def jump(decoded: Decoded) -> Step:
    """Make a jump."""
    steps, target = decoded.steps, decoded.target

    def step(_registers: Registers, _run: Run) -> Step:
        return steps[target]

    return step


def bounded_jump(decoded: Decoded) -> Step:
    """Make a jump that is taken when a function has gone on often enough (`may_goto`)."""
    steps, target, then = decoded.steps, decoded.target, decoded.then

    def step(_registers: Registers, run: Run) -> Step:
        if run.loops == 0:
            return steps[target]
        run.loops -= 1
        return then

    return step


def leave(_: Decoded) -> Step:
    """Make the end of a function, or of the program."""

    def step(registers: Registers, run: Run) -> Step:
        then = run.leave(registers)
        if then is None:
            raise Leave(registers[R0])
        return then

    return step


def call(decoded: Decoded) -> Step:
    """Make a call."""
    callee = decoded.row.operation
    assert isinstance(callee, Callee)
    return _CALLS[callee](decoded)


def _call_helper(decoded: Decoded) -> Step:
    number = decoded.instruction.imm & MASK32
    helper = decoded.environment.helpers.get(number)
    if helper is None:
        decoded.refuse(f"there is no helper {number}")
    return _call_function(helper.function, decoded.then)


def _call_kfunc(decoded: Decoded) -> Step:
    number = decoded.instruction.imm & MASK32
    function = decoded.environment.kfuncs.get(number)
    if function is None:
        decoded.refuse(f"there is no kernel function {number}")
    return _call_function(function, decoded.then)


def _call_function(function: Function, then: Step) -> Step:
    def step(registers: Registers, run: Run) -> Step:
        return _called(function, registers, run, then)

    return step


def _called(function: Function, registers: Registers, run: Run, then: Step) -> Step:
    """Call a helper; return the step to go on with."""
    try:
        result = function(
            run, registers[R1], registers[R2], registers[R3], registers[R4], registers[R5]
        )
    except TailCall as call:
        return run.switch(call.code)
    registers[R0] = result & MASK64
    return then


def _call_local(decoded: Decoded) -> Step:
    steps, target, then = decoded.steps, decoded.target, decoded.then

    def step(registers: Registers, run: Run) -> Step:
        run.call(then, registers)
        return steps[target]

    return step


def _call_register(decoded: Decoded) -> Step:
    """Call what a register says: a function's address, or else the number of a helper."""
    steps, then, dst = decoded.steps, decoded.then, decoded.instruction.dst
    helpers = decoded.environment.helpers

    def step(registers: Registers, run: Run) -> Step:
        where = registers[dst]
        if where >> REGION_BITS == CODE_REGION:
            slot, rest = divmod(where & OFFSET_MASK, SLOT_BYTES)
            if rest or slot >= len(steps) or steps[slot] is never_reached:
                raise Fault(f"calls 0x{where:x}, where no instruction begins")
            run.call(then, registers)
            return steps[slot]
        helper = helpers.get(where)
        if helper is None:
            raise Fault(f"calls helper {where}, which there is not")
        return _called(helper.function, registers, run, then)

    return step


_CALLS: Final[Mapping[Callee, Callable[[Decoded], Step]]] = MappingProxyType(
    {
        Callee.HELPER: _call_helper,
        Callee.LOCAL: _call_local,
        Callee.KFUNC: _call_kfunc,
        Callee.REGISTER: _call_register,
    }
)
