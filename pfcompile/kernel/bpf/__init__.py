"""bpf(2): maps, programs and links in the kernel, their events, and what this kernel can do.

::

    syscall      the system call          layouts     what it is asked with
    refusals     why it says no, as rows  verifier    what it says of programs
    descriptors  open, pinned, numbered   bpffs       where pins are
    kinds        kinds of maps, as rows   maps        maps as mappings
    batches      many elements at once    cpus        the CPUs that values are of
    programs     loaded, asked, run       links       programs where packets pass
    perf_events  events by CPU            ring_buffer events in one ring
    waiting      how both are waited for  probes      what there is here, as rows
"""

from __future__ import annotations

from pfcompile.kernel.bpf.maps import Map, create, create_map
from pfcompile.kernel.bpf.programs import LoadedProgram, TestRun, load
from pfcompile.kernel.bpf.refusals import MIN_FRAME, BpfError
from pfcompile.kernel.bpf.verifier import VerifierError

__all__ = [
    "MIN_FRAME",
    "BpfError",
    "LoadedProgram",
    "Map",
    "TestRun",
    "VerifierError",
    "create",
    "create_map",
    "load",
]
