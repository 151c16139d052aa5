"""Memory that the kernel writes while we read: what makes that safe.

The kernel writes a record, then moves its mark behind it; we read the mark, then the record, then
move our own mark, behind which the kernel writes again. Three things must hold.

*A mark is read and written at once.* Marks are 64-bit words at addresses that are multiples of 8;
an item of a `memoryview` of format "Q" is copied by memcpy(3) of 8 bytes, which is one load or
store on every machine of 64 bits. On 32-bit machines it is two, of which the high one changes once
in 4 GB; nobody has tried that.

*The record is read after the mark.* x86 and s390x never swap two loads, nor a load with a later
store (Intel SDM volume 3, 9.2.2), and a compiler cannot move them across Python's own work between
two items. Elsewhere a processor may, so `fence` takes and gives back a lock twice there:
what stands before a release is done before it, what stands behind an acquire after it, and a
release is not swapped with the acquire that follows.

*Our mark is written after the record was copied.* The same, with the same fence.

Source: linux/perf_event.h, at `data_head`; Documentation/bpf/ringbuf.rst of Linux;
Documentation/memory-barriers.txt.
"""

from __future__ import annotations

import platform
from threading import Lock
from typing import Final

_IN_ORDER: Final = frozenset({"x86_64", "i686", "i586", "i386", "s390x"})
"""Machines that keep the order of loads, and of a load and a later store."""
_IS_IN_ORDER: Final = platform.machine() in _IN_ORDER
_lock: Final = Lock()


def fence() -> None:
    """Let nothing behind this call happen before what stands before it."""
    if _IS_IN_ORDER:
        return
    with _lock:
        pass
    with _lock:
        pass
