"""Runs of a block put one behind the other.

A few are joined by Python. For many there is a native function, the same for all filters, which is
compiled when it is first needed: that takes as long as joining some ten thousand runs, so that a
filter that few packets match never pays for it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, Final

from pfcompile.jit.scan.machine import Code

FEW: Final = 64
"""So many runs of a block are not worth native code."""

_POINTER: Final = ctypes.c_void_p
_GATHER: Final = ctypes.CFUNCTYPE(ctypes.c_int64, _POINTER, _POINTER, ctypes.c_int64, _POINTER)

_TEXT: Final = """\
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define i64 @gather(ptr noalias %block, ptr noalias %runs, i64 %count, ptr noalias %out) {
entry:
  br label %loop
loop:
  %index = phi i64 [0, %entry], [%next, %copy]
  %used = phi i64 [0, %entry], [%after, %copy]
  %more = icmp ult i64 %index, %count
  br i1 %more, label %copy, label %done
copy:
  %run = getelementptr [2 x i32], ptr %runs, i64 %index
  %first = load i32, ptr %run
  %last.place = getelementptr i8, ptr %run, i64 4
  %last = load i32, ptr %last.place
  %short = sub i32 %last, %first
  %length = zext i32 %short to i64
  %offset = zext i32 %first to i64
  %from = getelementptr i8, ptr %block, i64 %offset
  %to = getelementptr i8, ptr %out, i64 %used
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %length, i1 false)
  %after = add i64 %used, %length
  %next = add i64 %index, 1
  br label %loop
done:
  ret i64 %used
}
"""


def gather(
    block: bytearray, runs: ctypes.Array[ctypes.c_uint32], count: int, out: bytearray
) -> int:
    """Copy the first `count` runs of `block` to `out`, and return the number of bytes.

    Args:
        block: Where the runs are.
        runs: Two words a run: where it starts and where it ends in `block`.
        count: How many, at most half the length of `runs`.
        out: At least as long as `block`.
    """
    source = ctypes.c_char.from_buffer(block)
    target = ctypes.c_char.from_buffer(out)
    _, function = _native()
    return int(
        function(ctypes.addressof(source), ctypes.addressof(runs), count, ctypes.addressof(target))
    )


@cache
def _native() -> tuple[Code, Any]:
    """Return the native function, after the code that it lives in."""
    code = Code(_TEXT, "gather")
    return code, _GATHER(code.address)
