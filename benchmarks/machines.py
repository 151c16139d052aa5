"""Measure the machines: nanoseconds a packet in the interpreter, as native code, in the kernel.

Five usual filters as XDP programs, the same ones in all three machines, each on a packet that
matches and on one that does not; then the length of every form of each program.

The kernel runs a program a million times in one call (BPF_PROG_TEST_RUN), native code in one call
too; what an empty program takes there is said first, and not taken off. The interpreter is called
packet by packet. What the kernel's own converter makes of a classic filter cannot be read back:
such a program has neither a number nor a file descriptor; so the lengths are those of our forms
alone, with the bytes that the kernel's compiler makes of them.

Run it with `python benchmarks/machines.py`, as root for the kernel's column.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import measure  # noqa: F401 - makes what follows importable

import pfcompile
from pfcompile.ebpf.isa import Instruction, encode
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.translate import translate
from pfcompile.jit import native
from tests.ebpf.kernel_machine import PROG_LOAD, PROG_TEST_RUN, bpf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPEAT: Final = 1_000_000
INTERPRETED: Final = 2_000
ROUNDS: Final = 3
"""The shortest of so many counts, since others use the processor too."""

_GET_INFO: Final = 15
"""BPF_OBJ_GET_INFO_BY_FD, linux/bpf.h."""
_XDP: Final = 6
"""BPF_PROG_TYPE_XDP."""
_JITED_LENGTH: Final = 16
"""Where `jited_prog_len` is in `struct bpf_prog_info`."""
EMPTY: Final = (Instruction(0xB7, 0, imm=2), Instruction(0x95))


def tcp(source: int, destination: int) -> bytes:
    """Return a TCP packet on Ethernet with these ports."""
    ethernet = bytes(range(12)) + b"\x08\x00"
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2")
    return ethernet + ip + struct.pack(">HHIIBBHHH", source, destination, 1, 1, 0x50, 2, 99, 0, 0)


OTHER: Final = bytes(12) + b"\x88\xcc" + bytes(50)
"""A packet of a protocol that none of the filters asks for."""

FILTERS: Final = (
    ("tcp port 443", tcp(50000, 443)),
    ("host 10.0.0.2", tcp(1, 2)),
    ("ip and not net 192.168.0.0/16", tcp(1, 2)),
    ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and portrange 1000-2000", tcp(1500, 9)),
    ("(arp or icmp or udp or tcp) and (src port 80 or dst port 53 or port 8080)", tcp(9, 8080)),
)
"""Each with a packet that matches."""


class Kernel(NamedTuple):
    """A program in the kernel."""

    fd: int

    @classmethod
    def load(cls, program: Sequence[Instruction]) -> Kernel:
        """Load an XDP program; raises OSError."""
        code, name = ctypes.create_string_buffer(encode(program)), ctypes.c_char_p(b"GPL")
        place = ctypes.cast(name, ctypes.c_void_p).value
        request = struct.pack("=IIQQ", _XDP, len(program), ctypes.addressof(code), place)
        return cls(bpf(PROG_LOAD, request)[0])

    def nanoseconds(self, packet: bytes) -> float:
        """Return what a run takes, by the kernel's own clock."""
        given = ctypes.create_string_buffer(packet, len(packet))
        request = struct.pack(
            "=IIIIQQII", self.fd, 0, len(packet), 0, ctypes.addressof(given), 0, REPEAT, 0
        )
        return min(
            struct.unpack_from("=I", bpf(PROG_TEST_RUN, request)[1], 36)[0] for _ in range(ROUNDS)
        )

    def machine_bytes(self) -> int:
        """Return how many bytes the kernel's compiler has made of it; 0 where it does not tell."""
        info = ctypes.create_string_buffer(256)
        bpf(_GET_INFO, struct.pack("=IIQ", self.fd, len(info), ctypes.addressof(info)))
        return int(struct.unpack_from("=I", info.raw, _JITED_LENGTH)[0])


def kernel_times(
    program: Sequence[Instruction], packets: Sequence[bytes]
) -> Iterator[float | None]:
    try:
        kernel = Kernel.load(program)
    except OSError:
        yield from [None] * len(packets)
        return
    try:
        for packet in packets:
            yield kernel.nanoseconds(packet)
    finally:
        os.close(kernel.fd)


def interpreted(program: Sequence[Instruction], packet: bytes) -> float:
    machine, start = Machine(program), Xdp(bytearray(packet))
    begin = time.perf_counter_ns()
    for _ in range(INTERPRETED):
        machine.run(start)
    return (time.perf_counter_ns() - begin) / INTERPRETED


def natively(program: Sequence[Instruction], packet: bytes) -> float:
    compiled, start = native(program), Xdp(bytearray(packet))
    return min(compiled.repeat(start, REPEAT).nanoseconds for _ in range(ROUNDS))


def compile_milliseconds(program: Sequence[Instruction]) -> float:
    begin = time.perf_counter()
    native(program)
    return (time.perf_counter() - begin) * 1e3


def shown(nanoseconds: float | None) -> str:
    return "-" if nanoseconds is None else f"{nanoseconds:.1f}"


def report_times() -> None:
    print(f"nanoseconds a packet: {'interpreter':>24} {'native':>9} {'kernel':>9}")
    rows = [("an empty program", EMPTY, (OTHER,))]
    for text, packet in FILTERS:
        program = translate(pfcompile.compile(text).instructions, "xdp").instructions
        verdicts = [Machine(program).run(Xdp(one)) for one in (packet, OTHER)]
        assert verdicts == [2, 1], (text, verdicts)
        rows.append((text, program, (packet, OTHER)))
    for text, program, packets in rows:
        print(f"  {text}  ({compile_milliseconds(program):.0f} ms to compile natively)")
        for what, packet, kernel in zip(
            ("match", "no match"), packets, kernel_times(program, packets), strict=False
        ):
            print(
                f"    {what:20} {shown(interpreted(program, packet)):>20} "
                f"{shown(natively(program, packet)):>9} {shown(kernel):>9}"
            )


def report_lengths() -> None:
    print("\ninstructions:    classic   socket       tc      xdp   machine code of xdp, in bytes")
    for text, _ in FILTERS:
        classic = pfcompile.compile(text).instructions
        forms = [translate(classic, target).instructions for target in ("socket", "tc", "xdp")]
        try:
            kernel = Kernel.load(forms[-1])
        except OSError:
            size = 0
        else:
            size = kernel.machine_bytes()
            os.close(kernel.fd)
        lengths = " ".join(f"{len(form):8}" for form in forms)
        print(f"  {len(classic):21} {lengths} {size or '-':>10}   {text}")


def main() -> None:
    report_times()
    report_lengths()


if __name__ == "__main__":
    main()
