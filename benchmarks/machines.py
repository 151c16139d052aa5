"""Measure the machines: nanoseconds a packet in the interpreter, as native code, in the kernel.

Five usual filters as XDP programs, the same ones in all three machines, each on a packet that
matches and on one that does not; then the length of every form of each program.

Native code is that of programs that were checked: a load that is proved runs without a check of
where it ends. The kernel runs a program a million times in one call (BPF_PROG_TEST_RUN), native
code in one call too; what an empty program takes there is said first, and not taken off. The
interpreter is called packet by packet.

What the kernel's own converter makes of a classic filter cannot be read back: such a program has
neither a number nor a file descriptor; so the lengths are those of our forms alone, with the bytes
that the kernel's compiler makes of them.

Run it with `python benchmarks/machines.py`, as root for the kernel's column.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

import measure  # noqa: F401 - makes what follows importable

import pfcompile
from pfcompile.ebpf.check import XDP
from pfcompile.ebpf.isa import Instruction
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from pfcompile.errors import KernelError
from pfcompile.jit.checked import checked_native
from pfcompile.kernel.bpf import load

if TYPE_CHECKING:
    from collections.abc import Sequence

REPEAT: Final = 1_000_000
INTERPRETED: Final = 2_000
ROUNDS: Final = 3
"""The shortest of so many counts, since others use the processor too."""

_XDP_TYPE: Final = 6
"""BPF_PROG_TYPE_XDP, linux/bpf.h."""
EMPTY: Final = EbpfProgram((Instruction(0xB7, 0, imm=2), Instruction(0x95)), "xdp", _XDP_TYPE)


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


def kernel_times(program: EbpfProgram, packets: Sequence[bytes]) -> list[float | None]:
    """Return what a run takes on each packet, by the kernel's own clock; None without a kernel."""
    try:
        with load(program) as loaded:
            return [
                min(loaded.test_run(packet, repeat=REPEAT).duration_ns for _ in range(ROUNDS))
                for packet in packets
            ]
    except KernelError:
        return [None] * len(packets)


def kernel_bytes(program: EbpfProgram) -> int:
    """Return how many bytes the kernel's compiler makes of a program; 0 if it does not tell."""
    try:
        with load(program) as loaded:
            return loaded.machine_bytes()
    except KernelError:
        return 0


def interpreted(program: Sequence[Instruction], packet: bytes) -> float:
    machine, start = Machine(program), Xdp(bytearray(packet))
    begin = time.perf_counter_ns()
    for _ in range(INTERPRETED):
        machine.run(start)
    return (time.perf_counter_ns() - begin) / INTERPRETED


def natively(program: Sequence[Instruction], packet: bytes) -> float:
    compiled, start = checked_native(program, XDP), Xdp(bytearray(packet))
    return min(compiled.repeat(start, REPEAT).nanoseconds for _ in range(ROUNDS))


def compile_milliseconds(program: Sequence[Instruction]) -> float:
    begin = time.perf_counter()
    checked_native(program, XDP)
    return (time.perf_counter() - begin) * 1e3


def shown(nanoseconds: float | None) -> str:
    return "-" if nanoseconds is None else f"{nanoseconds:.1f}"


def report_times() -> None:
    print(f"nanoseconds a packet: {'interpreter':>24} {'native':>9} {'kernel':>9}")
    rows = [("an empty program", EMPTY, (OTHER,))]
    for text, packet in FILTERS:
        program = translate(pfcompile.compile(text).instructions, "xdp")
        verdicts = [Machine(program.instructions).run(Xdp(one)) for one in (packet, OTHER)]
        assert verdicts == [2, 1], (text, verdicts)
        rows.append((text, program, (packet, OTHER)))
    for text, program, packets in rows:
        code = program.instructions
        milliseconds = compile_milliseconds(code)
        print(f"  {text}  ({milliseconds:.0f} ms to check and to compile natively)")
        for what, packet, kernel in zip(
            ("match", "no match"), packets, kernel_times(program, packets), strict=False
        ):
            print(
                f"    {what:20} {shown(interpreted(code, packet)):>20} "
                f"{shown(natively(code, packet)):>9} {shown(kernel):>9}"
            )


def report_lengths() -> None:
    print("\ninstructions:    classic   socket       tc      xdp   machine code of xdp, in bytes")
    for text, _ in FILTERS:
        classic = pfcompile.compile(text).instructions
        forms = [translate(classic, target) for target in ("socket", "tc", "xdp")]
        size = kernel_bytes(forms[-1])
        lengths = " ".join(f"{len(form.instructions):8}" for form in forms)
        print(f"  {len(classic):21} {lengths} {size or '-':>10}   {text}")


def main() -> None:
    report_times()
    report_lengths()


if __name__ == "__main__":
    main()
