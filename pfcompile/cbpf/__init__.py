"""Classic BPF: programs written from the graph, and everything done with finished ones.

::

    isa          the instruction set as rows, which all of the others read
    notation     how operands are written and read
    check        what the kernel demands of a program
    interpreter  a program run on a packet
    listing      a program as text or bytes, in seven formats
    asm          the assembler and its opposite
    savefile     a program with where it came from (draft format)
    reading      a program read from any of these, told apart by its looks
"""
