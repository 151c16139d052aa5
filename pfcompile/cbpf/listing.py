"""A program as text or bytes, in the formats that other tools print and take.

Every text ends in a newline, so that it is byte for byte what the tool itself prints. None of the
formats checks the program: what is unknown is listed as unknown.

Sources: tcpdump(1), -d, -dd and -ddd; iptables-extensions(8), bpf; linux/filter.h.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import Class, Instruction, Op
from pfcompile.cbpf.notation import describe, mnemonic, tcpdump_operand
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

XT_BPF_MAX_INSTRUCTIONS: Final = 64
"""XT_BPF_MAX_NUM_INSTR, linux/netfilter/xt_bpf.h."""

SOCK_FILTER: Final = struct.Struct("=HBBI")
"""`struct sock_filter`, linux/filter.h: 8 bytes in the machine's byte order."""


def dump(instructions: Sequence[Instruction], format: str) -> str | bytes:  # noqa: A002
    """Return `instructions` in a format of `FORMATS`.

    Args:
        instructions: Any program, valid or not.
        format: "tcpdump" (as `tcpdump -d`), "c" (-dd), "decimal" (-ddd), "iptables" (for
            `-m bpf --bytecode`), "asm" (for bpf_asm), "json" or "raw".

    Returns:
        Bytes for "raw", an array of `SOCK_FILTER`, and text for all others.

    Raises:
        ProgramError: There is no such format, or the program is too long for it.
    """
    writer = FORMATS.get(format)
    if writer is None:
        raise ProgramError(f"unknown format '{format}'; there are: {', '.join(FORMATS)}")
    return writer(instructions)


def tcpdump(instructions: Sequence[Instruction]) -> str:
    """Return the listing of `tcpdump -d` of libpcap 1.11: no blanks at the ends of lines.

    Departure: libpcap prints `unimp 0x81` for `ldx #pktlen`, which it never generates.
    """
    return "".join(
        f"{_tcpdump_line(position, instruction)}\n"
        for position, instruction in enumerate(instructions)
    )


def c(instructions: Sequence[Instruction]) -> str:
    """Return the initialisers of a C array of `struct sock_filter`, as `tcpdump -dd`."""
    return "".join(f"{{ 0x{i.code:x}, {i.jt}, {i.jf}, 0x{i.k:08x} }},\n" for i in instructions)


def decimal(instructions: Sequence[Instruction]) -> str:
    """Return decimal numbers, the count on the first line, as `tcpdump -ddd`."""
    return f"{len(instructions)}\n" + "".join(f"{_numbers(i)}\n" for i in instructions)


def asm(instructions: Sequence[Instruction]) -> str:
    """Return the dialect of the kernel's bpf_asm, which `pfcompile.cbpf.asm` reads back."""
    from pfcompile.cbpf.asm import disassemble  # noqa: PLC0415 - the assembler comes with it

    return disassemble(instructions)


def iptables(instructions: Sequence[Instruction]) -> str:
    """Return the one line that `iptables -m bpf --bytecode` takes.

    There the packet begins with its IP header: the program must be compiled for link type RAW.

    Raises:
        ProgramError: The program has more than 64 instructions.
    """
    count = len(instructions)
    if count > XT_BPF_MAX_INSTRUCTIONS:
        raise ProgramError(
            f"the program has {count} instructions, and iptables takes at most "
            f"{XT_BPF_MAX_INSTRUCTIONS}"
        )
    return ",".join([str(count), *(_numbers(i) for i in instructions)]) + "\n"


def as_json(instructions: Sequence[Instruction]) -> str:
    """Return a JSON list with an object an instruction: code, jt, jf, k, and its text."""
    import json  # noqa: PLC0415 - for this format only

    objects = (
        json.dumps(instruction._asdict() | {"text": describe(position, instruction)})
        for position, instruction in enumerate(instructions)
    )
    return "[\n" + ",\n".join(f"  {text}" for text in objects) + "\n]\n"


def raw(instructions: Sequence[Instruction]) -> bytes:
    """Return an array of `SOCK_FILTER`, as SO_ATTACH_FILTER takes it."""
    return b"".join(SOCK_FILTER.pack(*instruction) for instruction in instructions)


def _numbers(instruction: Instruction) -> str:
    return " ".join(str(int(value)) for value in instruction)


def _tcpdump_line(position: int, instruction: Instruction) -> str:
    operand = tcpdump_operand(position, instruction)
    start = f"({position:03d}) {mnemonic(instruction):<8} "
    # As libpcap does, so by class: an unknown jump shows where it would lead.
    is_jump = instruction.code & 0x07 == Class.JMP and instruction.code & 0xF0 != Op.JA & 0xF0
    if not is_jump:
        return (start + operand).rstrip()
    yes, no = position + 1 + instruction.jt, position + 1 + instruction.jf
    return f"{start}{operand:<16} jt {yes}\tjf {no}"


FORMATS: Final[Mapping[str, Callable[[Sequence[Instruction]], str | bytes]]] = MappingProxyType(
    {
        "tcpdump": tcpdump,
        "c": c,
        "decimal": decimal,
        "iptables": iptables,
        "asm": asm,
        "json": as_json,
        "raw": raw,
    }
)
"""The formats by name."""
