"""The check of eBPF programs, before anything runs natively: abstract interpretation.

::

    tnum         numbers of which some bits are known
    bounds       numbers between bounds
    scalars      both together, and the low half
    transfer     what arithmetic does to them
    comparisons  what conditional jumps tell of them
    values       what a register can hold: nothing, a number, a pointer
    states       registers, stacks, and what comparisons have shown
    covering     states that allow all that another does, and states joined
    stack        the bytes of stack frames
    subjects     what a program is checked for, as rows
    signatures   what helpers take and give, as rows
    accesses     loads and stores
    pointers     arithmetic with addresses
    branches     conditional jumps
    calls        calls of helpers
    steps        each kind of instruction
    flow         the ways of a program, and which registers are still read
    trails       how a state was reached
    walk         all ways through a program
    checker      `check(program, subject)`, and `analyse` for what is proved of any program
"""

from pfcompile.ebpf.check.checker import BUDGET, Checked, analyse, check
from pfcompile.ebpf.check.faults import CheckRefusal
from pfcompile.ebpf.check.subjects import (
    NO_DATA,
    RAW_PACKET,
    SOCKET,
    SUBJECTS,
    TC,
    USER,
    XDP,
    Subject,
)

__all__ = [
    "BUDGET",
    "NO_DATA",
    "RAW_PACKET",
    "SOCKET",
    "SUBJECTS",
    "TC",
    "USER",
    "XDP",
    "CheckRefusal",
    "Checked",
    "Subject",
    "analyse",
    "check",
]
