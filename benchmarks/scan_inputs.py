"""The filters of `scan.py`, and its captures: from a seed, large, and in the page cache.

A few ten thousand packets are made, and then repeated in random order: too many for a branch
predictor to learn. The page cache holds what has been written in small pieces, and what has been
read ahead in large ones; reading those is faster. So a file that has been written is dropped from
the cache, and read.
"""

from __future__ import annotations

import os
import random
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from lists import HOSTS, list_of
from measure import EN10MB

from pfcompile.captures.formats import pcap
from pfcompile.captures.writer import MICROSECONDS
from tests.generator.seed import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILTERS: Final = {
    "tcp port": "tcp port 443",
    "host": "host 10.1.2.3",
    "ip6 or arp": "ip6 or arp",
    "flags": "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not port 22",
    "net, ports": "src net 10.0.0.0/8 and (udp portrange 1000-2000 or icmp)",
    "200 hosts": list_of("host", 200),
    "vlan": "tcp port 443 or (vlan and tcp port 443)",
}
"""The filters, by the names that tables have for them."""

LIST: Final = "200 hosts"
"""The one of them that tcpdump takes seconds for."""

HALF: Final = "ether[5] & 1 = 1"
"""Keeps half of the packets, at random."""

LIST_LENGTHS: Final = (10, 200, 1000, 3000)
"""How long the lists of hosts are that packets come from now and then; one begins the next."""

READ_SIZE: Final = 512 * 1024
"""Bytes of a read where a file is only read."""

MEGABYTE: Final = 1_000_000

_DIFFERENT_PACKETS: Final = 65_536
_WRITTEN_TOGETHER: Final = 32_768
"""Records of a write: some megabytes."""

_HOST: Final = 10 << 24 | 1 << 16 | 2 << 8 | 3
"""10.1.2.3, which one of the filters is about."""


class Kind(NamedTuple):
    """A sort of traffic.

    Attributes:
        name: Its name.
        sizes: Lengths on the wire, all equally likely.
        snaplen: Where packets are cut.
        compared: How often faster than tcpdump filters must be on it, in process.
        listed: The same for the list of 200 hosts.
        over_reading: How often longer than reading the file they may take; None: as it comes.
        two_threads: How often faster than tcpdump they must be on two threads; None: the same.
    """

    name: str
    sizes: tuple[int, ...]
    snaplen: int
    compared: float
    listed: float
    over_reading: float | None = None
    two_threads: float | None = None


SMALL: Final = Kind("small", tuple(range(64, 101)), 262_144, 8.0, 60.0, 2.0, 13.0)
IMIX: Final = Kind("imix", (64,) * 7 + (570,) * 4 + (1500,), 262_144, 5.5, 5.5, 1.6)
SNAP: Final = Kind("snap", (1500,), 96, 8.0, 60.0)


class Capture(NamedTuple):
    """A pcap file.

    Attributes:
        path: Where it is.
        packets: How many packets it has.
    """

    path: Path
    packets: int

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    def __str__(self) -> str:
        return f"{self.size / MEGABYTE:,.0f} MB, {self.packets:,} packets"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Captures, each made when it is first asked for, or found where an earlier run has left it.

    Attributes:
        folder: Where they are.
        size: Megabytes of those whose number of packets nobody asks for.
    """

    folder: Path
    size: int
    _records: dict[Kind, list[bytes]] = field(default_factory=dict)

    def capture(self, kind: Kind, packets: int | None = None) -> Capture:
        """Return the capture of a kind, of `size` or of so many packets."""
        records = self._records_of(kind)
        total = sum(map(len, records))
        count = self.size * MEGABYTE * len(records) // total if packets is None else packets
        header = pcap.encode_header(MICROSECONDS, EN10MB, kind.snaplen)
        # The name tells whether what an earlier run has left is what this one would make.
        digest = sha256(b"".join(records)).hexdigest()[:8]
        path = self.folder / f"{kind.name}-{count}-{digest}.pcap"
        rng = random.Random(f"{SEED} {kind.name} order")
        if not path.exists():
            _write(path, _pieces(header, records, count, rng))
        return Capture(path, count)

    def repeated(self, capture: Capture, times: int) -> Capture:
        """Return a capture with the records of another one, several times over."""
        path = capture.path.with_stem(f"{capture.path.stem}-{times}")
        if not path.exists():
            _write(path, _repeated_pieces(capture.path, times))
        return Capture(path, times * capture.packets)

    def _records_of(self, kind: Kind) -> list[bytes]:
        if kind not in self._records:
            self._records[kind] = list(_different_records(kind))
        return self._records[kind]


def read_through(path: Path) -> None:
    """Read a file into the same piece of memory again and again; do nothing with it."""
    memory = bytearray(READ_SIZE)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        offset = 0
        while count := os.preadv(descriptor, [memory], offset):
            offset += count
    finally:
        os.close(descriptor)


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    """Write a file, and leave it in the page cache as reading puts it there."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb", buffering=0) as stream:
        for piece in pieces:
            stream.write(piece)
        os.fsync(stream.fileno())  # what is not on the disk would not be dropped
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    unfinished.rename(path)
    read_through(path)


def _pieces(
    header: bytes, records: Sequence[bytes], count: int, rng: random.Random
) -> Iterator[bytes]:
    """Yield a header, and `count` of some records in random order."""
    yield header
    for start in range(0, count, _WRITTEN_TOGETHER):
        yield b"".join(rng.choices(records, k=min(_WRITTEN_TOGETHER, count - start)))


def _repeated_pieces(path: Path, times: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as stream:
        yield stream.read(pcap.HEADER_LENGTH)
        for _ in range(times):
            stream.seek(pcap.HEADER_LENGTH)
            while piece := stream.read(8 << 20):
                yield piece


def _different_records(kind: Kind) -> Iterator[bytes]:
    rng = random.Random(f"{SEED} {kind.name}")
    for number in range(_DIFFERENT_PACKETS):
        data = _packet(rng, rng.choice(kind.sizes))
        yield pcap.encode_record(MICROSECONDS, number * 1000, data[: kind.snaplen], len(data))


def _packet(rng: random.Random, size: int) -> bytes:
    """Return a packet: 90 % IPv4, 8 % IPv6, 2 % ARP; one in 20 with a VLAN tag."""
    tag = b"\x81\x00\x00\x07" if rng.random() < 0.05 else b""
    transport = struct.pack(
        ">2H2I2B", _port(rng), _port(rng), rng.getrandbits(32), 0, 0x50, rng.getrandbits(6)
    )
    source, destination = _address(rng), _address(rng)
    protocol = rng.choices((6, 17, 1), (60, 35, 5))[0]
    kind = rng.random()
    if kind < 0.90:
        ether = b"\x08\x00"
        body = struct.pack(">BxH4x2BH2I", 0x45, size - 14, 64, protocol, 0, source, destination)
        body += transport
    elif kind < 0.98:
        ether = b"\x86\xdd"
        body = struct.pack(">IH2B", 6 << 28, 20, protocol, 64) + rng.randbytes(32) + transport
    else:
        ether = b"\x08\x06"
        body = struct.pack(">2H2BH6xI6xI", 1, 0x0800, 6, 4, 1, source, destination)
    return (rng.randbytes(12) + tag + ether + body).ljust(size, b"\0")[:size]


def _port(rng: random.Random) -> int:
    """Return a port, any or one that the filters know."""
    return rng.choice((443, 22, 53, rng.randint(1000, 2000), rng.getrandbits(16)))


def _address(rng: random.Random) -> int:
    """Return an IPv4 address: most in 10.0.0.0/8, one in a hundred of the lists."""
    which = rng.random()
    if which < 0.02:
        return _HOST
    if which < 0.03:
        return rng.choice(HOSTS[: rng.choice(LIST_LENGTHS)])
    return 10 << 24 | rng.getrandbits(24) if which < 0.75 else rng.getrandbits(32)
