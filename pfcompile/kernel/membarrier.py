"""membarrier(2), for what it does in passing: it waits for an RCU grace period.

The kernel handles a packet under rcu_read_lock(), from the filter to the last byte that is written
to a ring. So once a filter is exchanged and this has returned, no packet is under way any more that
the filter before has let in.

Sources: membarrier(2); kernel/sched/membarrier.c of Linux 6.18 (MEMBARRIER_CMD_GLOBAL is
synchronize_rcu()).
"""

from __future__ import annotations

import ctypes
import platform
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_GLOBAL: Final = 1

_NUMBER_OF_MACHINE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "x86_64": 324,
        "s390x": 356,
        "ppc64le": 365,
        "ppc64": 365,
        **dict.fromkeys(("aarch64", "riscv64", "loongarch64"), 283),  # asm-generic/unistd.h
    }
)
"""Of 64-bit processes. A number of another architecture's would be another call."""

_syscall = ctypes.CDLL(None).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_uint, ctypes.c_int)
_syscall.restype = ctypes.c_long


def wait_for_handlers() -> bool:
    """Wait until what handles packets now is through with them, some hundredths of a second.

    Returns:
        Whether that can be told; not on machines that are unknown here, on kernels without
        membarrier(2), or with processors that are free of interrupts (nohz_full).
    """
    number = _NUMBER_OF_MACHINE.get(platform.machine())
    if number is None or sys.maxsize < 1 << 32:  # the machine is the kernel's, not Python's
        return False
    return bool(_syscall(number, _GLOBAL, 0, 0) == 0)
