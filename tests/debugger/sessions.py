"""Sessions for tests: on packets that are given as bytes, with programs that are given."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pfcompile.captures.formats.records import Interface, InterfaceBlock
from pfcompile.captures.output import Output
from pfcompile.captures.reader import read_records
from pfcompile.captures.writer import PcapWriter
from pfcompile.debugger.extended import ExtendedCode
from pfcompile.debugger.machines import End
from pfcompile.debugger.packets import Packets
from pfcompile.debugger.session import Session
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.program import EbpfProgram

if TYPE_CHECKING:
    from pathlib import Path


def write_capture(path: Path, packets, linktype: int = 1) -> str:
    """Write a pcap file of packets, one a second, and return its name."""
    interface = Interface(0, linktype, snaplen=0)
    writer = PcapWriter(Output(str(path)))
    writer.write(InterfaceBlock(b"", interface))
    for number, packet in enumerate(packets):
        writer.write_packet(interface, number * 1_000_000_000, packet, len(packet))
    writer.close()
    return str(path)


def records(path: str):
    with open(path, "rb") as stream:  # noqa: PTH123
        return list(read_records(io.BytesIO(stream.read()), path))


def session(path, packets, code, linktype: int = 1) -> Session:
    """Return a session of one program on packets."""
    return Session(Packets(write_capture(path, packets, linktype)), lambda _: code)


def environment_of(specs) -> Environment:
    return Environment(HELPERS, maps={n: create(spec) for n, spec in enumerate(specs, 1)})


def judge(result: int) -> End:
    return End(str(result), keeps=result != 0)


def extended(instructions, specs=(), budget: int = 1_000_000) -> ExtendedCode:
    """Return an extended program for XDP."""
    return ExtendedCode(
        EbpfProgram(tuple(instructions), "xdp"),
        environment_of(specs),
        lambda record: Xdp(record.data),
        judge,
        budget,
    )
