"""The kernel's own maps, with the methods of ours.

Source: bpf(2); linux/bpf.h, `union bpf_attr`.
"""

from __future__ import annotations

import errno

import pytest

from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import create
from pfcompile.kernel.bpf.kinds import KINDS


class KernelMap:
    """A map in the kernel, with the methods of ours; errors are negative errno numbers.

    Of a per-CPU kind, all CPUs have the same value.
    """

    def __init__(self, spec):
        self.spec = spec
        try:
            self._map = create(spec)
        except KernelError as error:
            if error.errno in (errno.EPERM, errno.ENOSYS):
                pytest.skip(str(error))
            raise OSError(error.errno, str(error)) from error
        self._is_per_cpu = KINDS[spec.type].is_per_cpu

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._map.close()

    def lookup(self, key):
        value = self._map.get(key)
        if value is None or not self._is_per_cpu:
            return value
        (same,) = set(self._map.split(value))
        return same

    def update(self, key, value, flags=0):
        try:
            if self._is_per_cpu:
                width = -(-len(value) // 8) * 8
                parts = self._map.value_bytes // width
                self._map.set_each(key, [value] * parts, flags)
            else:
                self._map.set(key, value, flags)
        except KernelError as error:
            return -error.errno
        return 0

    def delete(self, key):
        try:
            return 0 if self._map.delete(key) else -errno.ENOENT
        except KernelError as error:
            return -error.errno

    def next_key(self, key):
        return self._map.next_key(key)
