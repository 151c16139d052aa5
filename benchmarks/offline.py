"""A capture of a million packets, and libpcap's own bpf_filter() run over it.

A call from Python for each packet would cost more than the filter. So the loop is libpcap's: it
reads the capture and runs bpf_filter() on each packet, with whatever program it was given. What
reading costs is measured with a program that only says "no match".
"""

from __future__ import annotations

import ctypes
import random
import struct
import time
from typing import TYPE_CHECKING, Final

from measure import EN10MB, Program

from pfcompile.captures.formats.pcap import encode_header, encode_record
from pfcompile.captures.writer import MICROSECONDS
from pfcompile.cbpf.isa import Instruction, Op
from tests.oracles.libpcap import SNAPLEN, BpfInstruction, BpfProgram, library_path
from tests.shared_captures import Captured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

REJECT: Final[Program] = (Instruction(Op.RET_K, 0, 0, 0),)
"""The program that costs nothing: what its run takes is reading."""

_ERROR_BYTES: Final = 256
"""PCAP_ERRBUF_SIZE, pcap/pcap.h."""

_ETHER_IPV4, _ETHER_IPV6, _ETHER_ARP = 0x0800, 0x86DD, 0x0806
_TCP, _UDP = 6, 17


def write_capture(path: Path, packets: Iterator[Captured]) -> None:
    """Write an Ethernet capture in the classic format."""
    with path.open("wb", buffering=1 << 20) as stream:
        stream.write(encode_header(MICROSECONDS, EN10MB, SNAPLEN))
        for number, packet in enumerate(packets):
            time_ns = number * 1000
            stream.write(encode_record(MICROSECONDS, time_ns, packet.data, packet.wire_length))


def traffic(
    seed: str, count: int, hosts: Sequence[int], ports: Sequence[int]
) -> Iterator[Captured]:
    """Yield Ethernet packets of 10.0.0.0/8: 90 % IPv4, 8 % IPv6, 2 % ARP; TCP and UDP alike.

    Addresses and ports are random; one packet in a hundred comes from one of `hosts` and `ports`.
    """
    rng = random.Random(seed)
    for _ in range(count):
        listed = rng.random() < 0.01
        host = rng.choice(hosts) if listed else 10 << 24 | rng.getrandbits(24)
        port = rng.choice(ports) if listed else rng.getrandbits(16)
        yield _packet(rng, host, 10 << 24 | rng.getrandbits(24), port)


def _packet(rng: random.Random, source: int, destination: int, port: int) -> Captured:
    kind = rng.random()
    protocol = _TCP if rng.random() < 0.5 else _UDP
    transport = struct.pack(">2H16x", port, rng.getrandbits(16))
    if kind < 0.90:
        ether = _ETHER_IPV4
        head = struct.pack(
            ">2B3H2BH2I", 0x45, 0, 40, 0, 0x4000, 64, protocol, 0, source, destination
        )
        body = head + transport
    elif kind < 0.98:
        ether = _ETHER_IPV6
        head = struct.pack(">IH2B", 6 << 28, len(transport), protocol, 64)
        body = head + rng.randbytes(32) + transport
    else:
        ether = _ETHER_ARP
        body = struct.pack(">2H2BH6xI6xI18x", 1, _ETHER_IPV4, 6, 4, 1, source, destination)
    data = bytes(12) + struct.pack(">H", ether) + body
    return Captured(data, len(data))


class OfflineRun:
    """Runs programs over one capture.

    Raises:
        FileNotFoundError: The package `libpcap` is missing, or has nothing for this machine.
    """

    def __init__(self, path: Path) -> None:
        found = library_path()
        if found is None:
            raise FileNotFoundError("no libpcap.so for this machine: pip install libpcap")
        self._path = path
        self._library = library = ctypes.CDLL(str(found))
        library.pcap_open_offline.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        library.pcap_open_offline.restype = ctypes.c_void_p
        library.pcap_setfilter.argtypes = (ctypes.c_void_p, ctypes.POINTER(BpfProgram))
        library.pcap_dispatch.argtypes = (ctypes.c_void_p, ctypes.c_int, *2 * (ctypes.c_void_p,))
        library.pcap_geterr.argtypes = (ctypes.c_void_p,)
        library.pcap_geterr.restype = ctypes.c_char_p
        library.pcap_close.argtypes = (ctypes.c_void_p,)
        library.pcap_close.restype = None
        # What is called for each match: a function that does nothing, whatever it is called with.
        self._nothing = ctypes.cast(library.pcap_lib_version, ctypes.c_void_p)

    def run(self, program: Program) -> tuple[float, int]:
        """Return the seconds that a pass over the capture takes, and how many packets match.

        Raises:
            OSError: libpcap cannot open or read the capture, or refuses the program.
        """
        message = ctypes.create_string_buffer(_ERROR_BYTES)
        handle = self._library.pcap_open_offline(bytes(self._path), message)
        if not handle:
            raise OSError(message.value.decode())
        try:
            array = (BpfInstruction * len(program))(*(BpfInstruction(*one) for one in program))
            loaded = BpfProgram(len(program), array)
            if self._library.pcap_setfilter(handle, ctypes.byref(loaded)):
                raise OSError(self._library.pcap_geterr(handle).decode())
            start = time.perf_counter()
            matches = self._library.pcap_dispatch(handle, -1, self._nothing, None)
            seconds = time.perf_counter() - start
            if matches < 0:
                raise OSError(self._library.pcap_geterr(handle).decode())
            return seconds, matches
        finally:
            self._library.pcap_close(handle)
