"""libpcap 1.10.6, called through ctypes: both its programs for any expression and link type.

The shared library is the one in the PyPI package `libpcap`, which is found without importing that
package (importing it reads configuration files and picks a back end).

What to know before using it:

* `compile` takes time that grows with the cube of a list of hosts or ports once it optimises:
  300 hosts take a second, 1,000 take half a minute and gigabytes. Keep lists short.
* Names are looked up where the machine keeps them (hosts, services, protocols, DNS).
* `filter` runs libpcap's own interpreter in C. A program for `protochain` jumps backward, and on a
  crafted packet it never returns; nothing in Python can stop it then.
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pfcompile.cbpf.isa import Instruction

if TYPE_CHECKING:
    from collections.abc import Sequence

SNAPLEN: Final = 262144
"""What a match returns unless told otherwise: tcpdump's default snapshot length."""

NETMASK_UNKNOWN: Final = 0xFFFFFFFF
"""PCAP_NETMASK_UNKNOWN, pcap/pcap.h."""

# The package's folder for a machine, by what platform.machine() calls that machine.
_MACHINES: Final = {
    "x86_64": "x86_64",
    "AMD64": "x86_64",
    "i686": "x86",
    "aarch64": "aarch64",
    "ppc64le": "ppc64le",
}


class Refused(Exception):  # noqa: N818 -- an answer of the oracle, not a fault in it
    """libpcap would not compile the expression; its words are the message."""


class BpfInstruction(ctypes.Structure):
    """`struct bpf_insn`, pcap/bpf.h."""

    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    )


class BpfProgram(ctypes.Structure):
    """`struct bpf_program`, pcap/bpf.h."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.POINTER(BpfInstruction)))


def library_path() -> Path | None:
    """Return where the shared library for this machine lies, or None if it is not installed."""
    spec = importlib.util.find_spec("libpcap")
    machine = _MACHINES.get(platform.machine())
    if spec is None or not spec.submodule_search_locations or machine is None:
        return None
    for folder in spec.submodule_search_locations:
        path = Path(folder, "_platform", "linux", machine, "tcpdump", "libpcap.so")
        if path.is_file():
            return path
    return None


class Libpcap:
    """One loaded libpcap; handles are opened once for each link type and snapshot length.

    Raises:
        FileNotFoundError: The package `libpcap` is missing, or has nothing for this machine.
    """

    def __init__(self) -> None:
        path = library_path()
        if path is None:
            raise FileNotFoundError(f"no libpcap.so for {platform.machine()}: pip install libpcap")
        self._library = library = ctypes.CDLL(str(path))
        library.pcap_lib_version.restype = ctypes.c_char_p
        library.pcap_open_dead.argtypes = (ctypes.c_int, ctypes.c_int)
        library.pcap_open_dead.restype = ctypes.c_void_p
        library.pcap_close.argtypes = (ctypes.c_void_p,)
        library.pcap_close.restype = None
        library.pcap_geterr.argtypes = (ctypes.c_void_p,)
        library.pcap_geterr.restype = ctypes.c_char_p
        library.pcap_compile.argtypes = (
            ctypes.c_void_p,
            ctypes.POINTER(BpfProgram),
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_uint32,
        )
        library.pcap_freecode.argtypes = (ctypes.POINTER(BpfProgram),)
        library.pcap_freecode.restype = None
        library.bpf_filter.argtypes = (
            ctypes.POINTER(BpfInstruction),
            ctypes.c_char_p,
            ctypes.c_uint,
            ctypes.c_uint,
        )
        library.bpf_filter.restype = ctypes.c_uint
        self._handles: dict[tuple[int, int], int] = {}
        self._loaded: tuple[tuple[Instruction, ...], ctypes.Array[BpfInstruction]] | None = None

    @property
    def version(self) -> str:
        """What the library says that it is."""
        return str(self._library.pcap_lib_version().decode())

    def close(self) -> None:
        """Free every handle; compiling again opens new ones."""
        while self._handles:
            _, handle = self._handles.popitem()
            self._library.pcap_close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def compile(
        self,
        text: str | bytes,
        dlt: int,
        *,
        snaplen: int = SNAPLEN,
        optimize: bool = True,
        netmask: int = NETMASK_UNKNOWN,
    ) -> tuple[Instruction, ...]:
        """Return libpcap's program for `text` on packets of the link type `dlt`.

        Args:
            text: The expression; a string goes in as UTF-8. A NUL ends it.
            dlt: A DLT value, as in pcap/dlt.h.
            snaplen: What the program returns for a match.
            optimize: False is `tcpdump -O`.
            netmask: For `ip broadcast`; an unsigned word in host order.

        Raises:
            Refused: With libpcap's message.
        """
        key = dlt, snaplen
        handle = self._handles.get(key)
        if handle is None:
            handle = self._library.pcap_open_dead(dlt, snaplen)
            if not handle:
                raise MemoryError
            self._handles[key] = handle
        raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        program = BpfProgram()
        if self._library.pcap_compile(handle, ctypes.byref(program), raw, int(optimize), netmask):
            raise Refused(self._library.pcap_geterr(handle).decode("utf-8", "replace"))
        try:
            return tuple(
                Instruction(one.code, one.jt, one.jf, one.k)
                for one in program.instructions[: program.length]
            )
        finally:
            self._library.pcap_freecode(ctypes.byref(program))

    def filter(
        self, program: Sequence[Instruction], packet: bytes, wire_length: int | None = None
    ) -> int:
        """Return what libpcap's bpf_filter() says of `packet`: 0 for no match.

        Args:
            program: Valid instructions; nothing checks them. Those of `protochain` may never end.
            packet: The captured bytes.
            wire_length: The length on the wire; the captured length unless given.
        """
        program = tuple(program)
        if self._loaded is None or self._loaded[0] is not program:
            # Runs come in series for one program: keep its C form.
            self._loaded = (
                program,
                (BpfInstruction * len(program))(*(BpfInstruction(*one) for one in program)),
            )
        length = len(packet) if wire_length is None else wire_length
        return int(self._library.bpf_filter(self._loaded[1], packet, length, len(packet)))
