"""Object files: written so that every loader takes them, and read, clang's as well.

::

    sections      the names of sections, and what is in them, as rows
    format        headers, symbols and relocations as tables; the one door of pyelftools
    definitions   the maps that an object defines
    linking       a program made of an object's functions
    objects       reading: `read`
    functions     a program cut into functions
    descriptions  the types of a program and its maps, in BTF
    writer        writing: `write`
    conformance   what the conformance plugin asks for
"""

from pfcompile.ebpf.elf.definitions import MapDefinition
from pfcompile.ebpf.elf.objects import EbpfObject, Entry, read
from pfcompile.ebpf.elf.writer import write

__all__ = ["EbpfObject", "Entry", "MapDefinition", "read", "write"]
