"""eBPF: its instruction set, and programs written in it.

::

    vocabulary   registers, limits, fields, and what a row holds
    isa          the instruction set as rows, which all of the others read; bytes to programs
    arithmetic   what the operations compute
    builder      programs made in Python
    asm          the assembler and the disassembler, in two syntaxes
    structure    what every program must be, whoever runs it
    program      a program with what a machine must know to run it
    translate    classic programs as extended ones, for each place where they run
    maps         maps of all kinds, as the kernel has them
    machine      the interpreter: memory, contexts, helpers, the ways of being started
    check        what is proved of a program before it runs natively
    btf, elf     types, and object files written and read
    listing      programs as text, C, JSON, bytes
    reading      the same read back
"""
