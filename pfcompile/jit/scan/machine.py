"""LLVM for scans: few passes, because most of a file's filtering is over in milliseconds.

With -O2 a filter takes twice as long to compile, and the code is no faster. What has been compiled
before is taken from the cache, and then LLVM is not even loaded.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from itertools import count
from threading import Lock
from typing import Any, Final

from pfcompile.errors import InternalError
from pfcompile.jit.scan.cache import key_of, load, store

_LONG: Final = 100_000
"""Characters of a module from which on LLVM neither optimises nor schedules: what it does takes
more than linear time, and would take seconds."""

_SETTINGS: Final = "instcombine simplifycfg, code generator 1; pic, small"
"""What is done to modules that are not long: part of the name of what is cached."""

_LOCK: Final = Lock()
"""Threads compile one after the other: llvmlite shares one LLVM context among all modules."""

_NUMBERS: Final = count()


class Code:
    """Machine code of a module with one function; it lives as long as this object.

    Attributes:
        address: Where the function begins.
    """

    __slots__ = ("_keeps", "address")

    def __init__(self, text: str, name: str, *, cached: bool = False) -> None:
        """Compile a module, or take what was compiled before.

        Args:
            text: The module in LLVM's language.
            name: Its function.
            cached: Whether the cache may be asked, and what is compiled kept there.

        Raises:
            ImportError: There is no llvmlite; and what else it raises where it cannot serve.
        """
        import llvmlite  # noqa: PLC0415 - its version takes no time; what loads LLVM is below

        parts = (text, name, llvmlite.__version__, str(sys.maxsize), _SETTINGS)
        key = key_of(*parts) if cached else None
        self._keeps: Any = None if key is None else load(key)
        if self._keeps is not None:
            self.address = int(self._keeps.address)
            return
        with _LOCK:
            compiled = _object_of(text, name)
            self._keeps = _linked(compiled, name)
            alone = None if key is None or text.count("define ") > 1 else _alone(compiled)
        self.address = int(self._keeps[name])
        if key is not None and alone is not None:
            store(key, alone)


def function_address(name: str) -> int:
    """Return where a function of the C library is, for code that calls it."""
    return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0


def _binding() -> Any:
    from llvmlite import binding  # noqa: PLC0415 - takes longer to load than a filter to compile

    return binding


@cache
def _linker() -> Any:
    return _binding().create_lljit_compiler()


def _linked(compiled: bytes, name: str) -> Any:
    library = _binding().JITLibraryBuilder()
    library.add_object_img(compiled)
    library.add_current_process()
    library.export_symbol(name)
    return library.link(_linker(), f"scan{next(_NUMBERS)}")


def _alone(compiled: bytes) -> bytes | None:
    """Return the code of an object if it needs nothing else, wherever it lies; or None."""
    sections = {
        (each.name() or b"").decode(): (each.is_text(), each.data(), each.size())
        for each in _binding().ObjectFileRef.from_data(compiled).sections()
    }
    code = [data for is_text, data, _ in sections.values() if is_text]
    needs = [name for name in sections if name.startswith((".rela.text", ".rel.text", ".rodata"))]
    return bytes(code[0]) if len(code) == 1 and not needs else None


@cache
def _machine(level: int) -> Any:
    binding = _binding()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
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
    machine, binding = _machine(level), _binding()
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
