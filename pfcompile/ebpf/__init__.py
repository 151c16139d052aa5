"""eBPF: its instruction set, and programs written in it.

::

    vocabulary   registers, limits, fields, and what a row holds
    isa          the instruction set as rows, which all of the others read; bytes to programs
    arithmetic   what the operations compute
    builder      programs made in Python
    asm          the assembler and the disassembler, in two syntaxes
"""
