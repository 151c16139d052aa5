"""The kernel's own eBPF machine: an XDP program run on packets; and bpf(2) itself.

Source: bpf(2); linux/bpf.h for `union bpf_attr`.
"""

from __future__ import annotations

import errno
import os

import pytest

from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import load
from pfcompile.kernel.bpf.syscall import buffer_of, call

PROG_LOAD = 5
PROG_TEST_RUN = 10
PROG_TYPE_XDP = 6
LOG_BYTES = 1 << 20


def bpf(command, attributes):
    """Call bpf(2) for what `pfcompile.kernel.bpf` has no function: maps, BTF, whole logs."""
    data = buffer_of(attributes.ljust(152, b"\0"))
    result = call(command, data)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result, data.raw


class KernelMachine:
    """A program in the kernel; `run` gives its verdict and the packet as it left it."""

    def __init__(self, program):
        try:
            self._loaded = load(EbpfProgram(tuple(program), "xdp", PROG_TYPE_XDP, license="GPL"))
        except KernelError as error:
            if error.errno in (errno.EPERM, errno.ENOSYS):
                pytest.skip(str(error))
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loaded.close()

    def run(self, packet):
        done = self._loaded.test_run(packet)
        return done.verdict, done.data
