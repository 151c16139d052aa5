"""What the tests of eBPF programs share: the kernel, where it can be had."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.ebpf.translate import translate
from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import load
from tests.oracles.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as oracle:
        yield oracle


@pytest.fixture(scope="session")
def bpf() -> None:
    """Skip the test where programs cannot be loaded."""
    smallest = translate((Instruction(Op.RET_K, 0, 0, 0),), "xdp")
    try:
        load(smallest).close()
    except KernelError as error:
        if error.errno not in {errno.EPERM, errno.ENOSYS}:
            raise
        pytest.skip(f"needs root and bpf(2): {error}")
