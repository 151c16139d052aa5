"""The kernel's own eBPF machine: an XDP program run once on a packet.

Source: bpf(2); linux/bpf.h for `union bpf_attr`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

import pytest

from pfcompile.ebpf.isa import encode

BPF = {"x86_64": 321, "aarch64": 280}
PROG_LOAD = 5
PROG_TEST_RUN = 10
PROG_TYPE_XDP = 6
LOG_BYTES = 1 << 20


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(attributes.ljust(152, b"\0"), 152)
    result = libc.syscall(BPF[platform.machine()], command, data, 152)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result, data.raw


class KernelMachine:
    """A program in the kernel; `run` gives its verdict and the packet as it left it."""

    def __init__(self, program):
        code = ctypes.create_string_buffer(encode(program))
        self.log = ctypes.create_string_buffer(LOG_BYTES)
        name = ctypes.create_string_buffer(b"GPL")
        request = struct.pack(
            "=IIQQIIQ", PROG_TYPE_XDP, len(program), ctypes.addressof(code),
            ctypes.addressof(name), 1, LOG_BYTES, ctypes.addressof(self.log),
        )  # fmt: skip
        try:
            self.fd, _ = bpf(PROG_LOAD, request)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOSYS):
                pytest.skip(f"bpf(2): {error.strerror}")
            raise AssertionError(self.log.value.decode()[-2000:]) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def run(self, packet):
        given = ctypes.create_string_buffer(packet, len(packet))
        left = ctypes.create_string_buffer(len(packet))
        request = struct.pack(
            "=IIIIQQI", self.fd, 0, len(packet), len(packet),
            ctypes.addressof(given), ctypes.addressof(left), 1,
        )  # fmt: skip
        _, answer = bpf(PROG_TEST_RUN, request)
        return struct.unpack_from("=I", answer, 4)[0], left.raw
