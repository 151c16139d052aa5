"""What the kernel's own compiler makes of a program, as far as it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfcompile.ebpf.isa import Instruction
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import load

pytestmark = pytest.mark.bpf
XDP = 6
BEGIN, ADD, EXIT = Instruction(0xB7, 0, imm=2), Instruction(0x07, 0, imm=77), Instruction(0x95)


def machine_bytes(additions):
    with load(EbpfProgram((BEGIN, *[ADD] * additions, EXIT), "xdp", XDP)) as loaded:
        return loaded.machine_bytes()


def test_every_instruction_takes_some():
    if Path("/proc/sys/net/core/bpf_jit_enable").read_text().strip() == "0":
        pytest.skip("the kernel interprets programs")
    few, some, more = (machine_bytes(additions) for additions in (0, 100, 200))
    assert 0 < few < some
    assert more - some == some - few


def test_a_closed_program_has_none():
    loaded = load(EbpfProgram((BEGIN, EXIT), "xdp", XDP))
    loaded.close()
    with pytest.raises(KernelError, match="has made of the eBPF program"):
        loaded.machine_bytes()
    with pytest.raises(KernelError, match="on a packet"):
        loaded.test_run(bytes(60))
