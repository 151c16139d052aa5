"""Packets sent as fast as it goes: many with one system call, sendmmsg(2).

Each has its number: which batch, and which packet of the batch. Of each ten one goes to `WANTED`.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

from tests.kernel.namespaces import udp

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

WANTED, OTHER = 53, 80
BATCH = 1000
NUMBER = 42
"""Where a packet's number is: behind Ethernet, IPv4 and UDP headers."""

_LONGEST = 512
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def packet(batch: int, index: int) -> bytes:
    """Return a packet as it is sent; they differ in length and bytes."""
    port = OTHER if index % 10 else WANTED
    size = index * 7 % 300
    return udp(port, struct.pack("!2H", batch, index) + bytes((index % 251,)) * size)


def wanted(batches: int, step: int = 10) -> Iterator[bytes]:
    """Yield what a capture of port `WANTED` is to have; with a step of 1, of all ports."""
    first = [packet(0, index) for index in range(0, BATCH, step)]
    for batch in range(batches):
        number = struct.pack("!H", batch)
        for each in first:
            yield each[:NUMBER] + number + each[NUMBER + 2 :]


def send(sock: socket.socket, batches: int) -> None:
    """Send `batches` times `BATCH` packets through a packet socket."""
    sock.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
    memory = bytearray(BATCH * _LONGEST)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    vectors, headers = (_Vector * BATCH)(), (_Header * BATCH)()
    for index in range(BATCH):
        each = packet(0, index)
        place = index * _LONGEST
        memory[place : place + len(each)] = each
        vectors[index] = _Vector(start + place, len(each))
        headers[index].vectors = ctypes.addressof(vectors[index])
        headers[index].vector_count = 1
    for batch in range(batches):
        memory[NUMBER::_LONGEST] = bytes((batch >> 8,)) * BATCH
        memory[NUMBER + 1 :: _LONGEST] = bytes((batch & 255,)) * BATCH
        done = 0
        while done < BATCH:
            address = ctypes.addressof(headers[done])
            sent = _libc.sendmmsg(sock.fileno(), ctypes.c_void_p(address), BATCH - done, 0)
            if sent <= 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            done += sent
