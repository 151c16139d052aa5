"""LLVM for scans: few passes, because most of a file's filtering is over in milliseconds.

With -O2 a filter takes twice as long to compile, and the code is no faster.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from threading import Lock
from typing import Any, Final

from llvmlite import binding

from pfcompile.errors import InternalError

_LONG: Final = 100_000
"""Characters of a module from which on LLVM neither optimises nor schedules: what it does takes
more than linear time, and would take seconds."""

_LOCK: Final = Lock()
"""Threads compile one after the other: llvmlite shares one LLVM context among all modules."""

_NUMBERS: Final = count()


class Code:
    """Machine code of a module with one function; it lives as long as this object.

    Attributes:
        address: Where the function begins.
    """

    __slots__ = ("_tracker", "address")

    def __init__(self, text: str, name: str) -> None:
        """Compile a module.

        Args:
            text: The module in LLVM's language.
            name: Its function.
        """
        with _LOCK:
            library = binding.JITLibraryBuilder()
            library.add_object_img(_object_of(text, name))
            library.add_current_process()
            library.export_symbol(name)
            self._tracker = library.link(_linker(), f"scan{next(_NUMBERS)}")
        self.address = int(self._tracker[name])


@cache
def _linker() -> Any:
    return binding.create_lljit_compiler()


@cache
def _machine(level: int) -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=level,
        reloc="pic",
        codemodel="small",
    )


def _object_of(text: str, name: str) -> bytes:
    level = int(len(text) < _LONG)
    machine = _machine(level)
    try:
        module = binding.parse_assembly(text)
        module.triple = binding.get_process_triple()
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses a module: {error}\n{text}") from error
    if level:
        options = binding.create_pipeline_tuning_options(speed_level=level)
        builder = binding.create_pass_builder(machine, options)
        passes = binding.create_new_function_pass_manager()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(module.get_function(name), builder)
    return bytes(machine.emit_object(module))
