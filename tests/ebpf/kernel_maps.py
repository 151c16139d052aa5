"""The kernel's own maps, through bpf(2).

Source: bpf(2); linux/bpf.h, `union bpf_attr`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

import pytest

from tests.ebpf.kernel_machine import bpf

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY = 0, 1, 2, 3, 4


class KernelMap:
    """A map in the kernel, with the methods of ours; errors are negative errno numbers."""

    def __init__(self, spec):
        self.spec = spec
        request = struct.pack(
            "=IIIII", spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags
        )
        try:
            self.fd, _ = bpf(MAP_CREATE, request)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOSYS):
                pytest.skip(f"bpf(2): {error.strerror}")
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def _element(self, command, key, value, flags=0):
        """Call bpf(2) on an element; return 0 or a negative errno number."""
        held = None if key is None else ctypes.create_string_buffer(key, len(key))
        address = 0 if held is None else ctypes.addressof(held)
        place = 0 if value is None else ctypes.addressof(value)
        request = struct.pack("=I4xQQQ", self.fd, address, place, flags)
        try:
            bpf(command, request)
        except OSError as error:
            return -error.errno
        return 0

    def lookup(self, key):
        value = ctypes.create_string_buffer(self.spec.value_size)
        status = self._element(MAP_LOOKUP, key, value)
        assert status in (0, -errno.ENOENT)
        return value.raw if status == 0 else None

    def update(self, key, value, flags=0):
        held = ctypes.create_string_buffer(value, len(value))
        return self._element(MAP_UPDATE, key, held, flags)

    def delete(self, key):
        return self._element(MAP_DELETE, key, None)

    def next_key(self, key):
        following = ctypes.create_string_buffer(self.spec.key_size)
        status = self._element(MAP_NEXT_KEY, key, following)
        assert status in (0, -errno.ENOENT)
        return following.raw if status == 0 else None
