"""LLVM: its optimiser, its code generators, and machine code in this process.

This module and `scan.machine` are the only ones that call LLVM itself; the others write its
language.
"""

from __future__ import annotations

import sys
import weakref
from functools import cache
from threading import Lock
from typing import Any, Final

from llvmlite import binding

from pfcompile.errors import InternalError, ProgramError
from pfcompile.jit.effort import FULL, Effort
from pfcompile.jit.module import PROGRAM
from pfcompile.jit.runtime import BEGIN, near_text, support_text
from pfcompile.jit.support import OUTLINED

_LOCK: Final = Lock()
"""Threads compile one after the other, each until it is done: llvmlite shares one LLVM context
among all modules. With a context each they still would, as llvmlite lets only one thread at a time
into LLVM; `effort` bounds how long one keeps the others waiting. Code that is compiled runs
meanwhile."""


class Engine:
    """Machine code of one module, in this process until it is closed.

    Args:
        text: The module in LLVM's language.
        effort: How much work LLVM does on it.

    Attributes:
        program: The address of the program's first function.
        close: Frees the code; what runs it must be over. Also happens with this object's end.
    """

    __slots__ = ("__weakref__", "close", "program")

    def __init__(self, text: str, effort: Effort) -> None:
        if sys.byteorder != "little":
            raise ProgramError("native code needs a little-endian processor, as all memory is so")
        with _LOCK:
            _support()
            engine = _compiled(text, effort)
            self.program: int = engine.get_function_address(PROGRAM)
        self.close = weakref.finalize(self, engine.close)
        # What is left when Python ends goes with the process.
        self.close.atexit = False


def begin_address() -> int:
    """Return the address of the function that begins runs, `runtime.BEGIN`."""
    with _LOCK:
        return int(_support().get_function_address(BEGIN))


def assembly(text: str, effort: Effort, triple: str | None = None) -> str:
    """Return a module in the assembly language of a processor; see `object_code`."""
    with _LOCK:
        machine = _machine_for(triple, effort)
        return str(machine.emit_assembly(_whole(text, effort, machine)))


def object_code(text: str, effort: Effort, triple: str | None = None) -> bytes:
    """Return a module as an object file.

    Args:
        text: The module in LLVM's language.
        effort: How much work LLVM does on it.
        triple: What it is for, as LLVM says it ("aarch64-unknown-linux-gnu"); None for this
            processor.

    Raises:
        ProgramError: LLVM does not know such a processor.
    """
    with _LOCK:
        machine = _machine_for(triple, effort)
        return bytes(machine.emit_object(_whole(text, effort, machine)))


def _compiled(text: str, effort: Effort) -> Any:
    machine = _target_machine(binding.get_process_triple(), effort, is_jit=True)
    engine = binding.create_mcjit_compiler(_optimised(text, effort, machine), machine)
    engine.finalize_object()
    return engine


@cache
def _support() -> Any:
    """Compile what all programs call, and let LLVM find it by name; it is never freed."""
    _prepare(binding.get_process_triple())
    engine = _compiled(support_text(), FULL)
    for name in OUTLINED:
        binding.add_symbol(name, engine.get_function_address(name))
    return engine


def _whole(text: str, effort: Effort, machine: Any) -> Any:
    """Return a module together with what it calls."""
    module = _optimised(text, effort, machine)
    module.link_in(_optimised(support_text(), FULL, machine))
    return module


@cache
def _prepare(_triple: str) -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


@cache
def _prepare_all() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


def _machine_for(triple: str | None, effort: Effort) -> Any:
    if triple is None:
        _prepare(binding.get_process_triple())
        return _target_machine(binding.get_process_triple(), effort, is_jit=False)
    _prepare_all()
    return _target_machine(triple, effort, is_jit=False)


def _target_machine(triple: str, effort: Effort, *, is_jit: bool) -> Any:
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError as error:
        raise ProgramError(f"LLVM cannot make code for '{triple}': {error}") from error
    is_here = triple == binding.get_process_triple()
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name() if is_here else "",
        opt=effort.optimisation,
        reloc="default" if is_jit else "pic",
        jit=is_jit,
    )


def _optimised(text: str, effort: Effort, machine: Any) -> Any:
    try:
        module = binding.parse_assembly(text)
        module.link_in(binding.parse_assembly(near_text(inlines=effort.inlines)))
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses a module: {error}\n{text}") from error
    options = binding.create_pipeline_tuning_options(speed_level=effort.optimisation)
    # Filters have no loops that numbers run through.
    options.loop_vectorization = options.slp_vectorization = False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module
