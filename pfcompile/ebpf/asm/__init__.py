"""The assembler and the disassembler of eBPF, in two syntaxes.

::

    tokens    a statement cut into words
    forms     ways to write an instruction, each good for reading and for writing
    clang     the forms of clang and bpftool:  r0 = *(u16 *)(r1 + 12)
    ubpf      the forms of uBPF and rbpf:      ldxh r0, [r1+12]
    reading   the assembler
    writing   the disassembler
"""

from pfcompile.ebpf.asm.clang import CLANG
from pfcompile.ebpf.asm.forms import Syntax
from pfcompile.ebpf.asm.reading import assemble
from pfcompile.ebpf.asm.ubpf import UBPF
from pfcompile.ebpf.asm.writing import disassemble

__all__ = ["CLANG", "SYNTAXES", "UBPF", "Syntax", "assemble", "disassemble"]

SYNTAXES = {syntax.name: syntax for syntax in (CLANG, UBPF)}
"""The languages that programs are written in, by name. Either is read."""
