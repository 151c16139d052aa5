"""eBPF, and scans of captures, as native code, through LLVM. The only package that loads llvmlite.

Nothing is imported here, since scans need little of the rest.

::

    native       programs as native code: `native(program).run(Xdp(packet))`
    checked      the same with the check's proofs: only what is not proved is checked in a run
    run          one run: what Python does for native code meanwhile
    code         a program's native code beside the interpreter's steps of it
    effort       how much work LLVM is given, by a program's length
    engine       LLVM's optimiser and code generators; machine code made and freed
    module       a program as a module of LLVM's
    blocks       how a program falls into functions and blocks
    writer       a function under way: registers, budget, ways out
    arithmetic   what operations compute, in LLVM's instructions
    access       loads, stores, atomic operations, legacy packet loads
    calls        calls, and 64-bit immediates
    support      the functions beside the program's own, as programs see them
    finding      those that find where an address really is
    runtime      those that begin runs, make stack frames and note faults
    state        the words that native code and Python share
    memory       the interpreter's memory, with the table that native code looks into
    contexts     which accesses to a context are allowed, as a table
    conformance  for the conformance plugin
    scan         a classic filter inside the loop that walks a capture's records
    ring         the loop that makes records of captured packets
"""
