"""eBPF programs that count and tell, made by hand; and what must be there to load them."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import pytest

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R10,
    Arithmetic,
    Atomic,
    Condition,
    Wide,
)
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import load

SOCKET_FILTER, SCHED_CLS, XDP, CGROUP_SKB = 1, 3, 6, 8
XDP_DROP, XDP_PASS = 1, 2
MOST_COPIED = 256
"""Bytes of a packet that `ring_output` copies."""
CURRENT_CPU = 0xFFFF_FFFF


def skip_without_bpf():
    """Skip the test where programs cannot be loaded."""
    if os.geteuid() != 0:
        pytest.skip("bpf(2) needs root")
    try:
        load(constant(XDP_PASS)).close()
    except KernelError as error:
        pytest.skip(str(error))


def program(builder, kind=XDP, name="test"):
    return EbpfProgram(builder.finish(), "xdp", kind, name=name)


def constant(verdict, kind=XDP, name="test"):
    return program(Builder().mov(R0, verdict).exit(), kind, name)


def counting(verdict, kind=XDP, name="count"):
    """Add 1 to the 64-bit number at 0 of map 0, an array of each CPU."""
    code = Builder().store(32, R10, -4, 0)
    code.mov(R2, R10).alu(Arithmetic.ADD, R2, -4).wide(R1, 0, Wide.MAP_INDEX).call(1)
    code.jump_if(Condition.EQ, R0, 0, "out")
    code.load(64, R1, R0).alu(Arithmetic.ADD, R1, 1).store(64, R0, 0, R1)
    code.label("out").mov(R0, verdict).exit()
    return program(code, kind, name)


def perf_output():
    """Write each packet to the perf event array that is map 0, behind its length in 8 bytes."""
    code = Builder().mov(R6, R1).call(188).store(64, R10, -8, R0)
    code.mov(R3, R0).alu(Arithmetic.LSH, R3, 32).mov(R8, CURRENT_CPU).alu(Arithmetic.OR, R3, R8)
    code.mov(R1, R6).wide(R2, 0, Wide.MAP_INDEX).mov(R4, R10).alu(Arithmetic.ADD, R4, -8)
    code.mov(R5, 8).call(25).mov(R0, XDP_PASS).exit()
    return program(code, name="perf_output")


def ring_output():
    """Write each packet to the ring buffer that is map 0, behind its length; map 1 counts losses.

    Packets of 1 byte more than `MOST_COPIED` are given up after room was made for them.
    """
    code = Builder().mov(R6, R1)
    code.wide(R1, 0, Wide.MAP_INDEX).mov(R2, 8 + MOST_COPIED).mov(R3, 0).call(131)
    code.jump_if(Condition.EQ, R0, 0, "lost").mov(R7, R0)
    code.mov(R1, R6).call(188).mov(R8, R0)
    code.jump_if(Condition.GT, R8, MOST_COPIED, "give up").jump_if(Condition.EQ, R8, 0, "give up")
    code.store(64, R7, 0, R8).mov(R1, R6).mov(R2, 0).mov(R3, R7).alu(Arithmetic.ADD, R3, 8)
    code.mov(R4, R8).call(189).mov(R1, R7).mov(R2, 0).call(132).mov(R0, XDP_PASS).exit()
    code.label("give up").mov(R1, R7).mov(R2, 0).call(133).mov(R0, XDP_PASS).exit()
    code.label("lost").wide(R1, 1, Wide.MAP_VALUE_INDEX).mov(R2, 1)
    code.atomic(Atomic.ADD, 64, R1, 0, R2).mov(R0, XDP_PASS).exit()
    return program(code, name="ring_output")


def number(value):
    return int.from_bytes(value, "little")


def total(counts, key=0):
    """Return the sum of a counter over all CPUs."""
    return sum(map(number, counts.each(struct.pack("=I", key))))


def open_files():
    """Return what this process has open, but for what reads that."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[link.name] = str(link.readlink())
    return {name: target for name, target in found.items() if not target.startswith("/proc/")}
