"""A machine in user space that runs eBPF programs, and lets them touch nothing but their own.

::

    faults       what ends a program before it is done
    memory       regions in an address space of the machine's own
    contexts     struct xdp_md and struct __sk_buff, field by field
    starts       the ways in which a program can be started
    code         a program as a chain of steps, and the state of one run
    decoded      what steps are made from
    control      the steps of jumps, calls and exits
    wide         the steps of 64-bit immediate loads
    steps        the others; how each instruction becomes a step
    helpers      the functions that programs call by number
    interpreter  the machine: `Machine(program).run(Xdp(packet))`
"""
