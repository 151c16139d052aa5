"""The listings against libpcap's own, and golden cases of every format."""

from __future__ import annotations

import ctypes
import json
import random
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.isa import Ancillary, Instruction, Op
from pfcompile.cbpf.listing import FORMATS, dump
from pfcompile.errors import ProgramError
from tests.oracles.libpcap import library_path

from .random_programs import NOTABLE_WORDS, SEED, random_program, rerun_hint

if TYPE_CHECKING:
    from collections.abc import Sequence


class BpfInsn(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    )


class BpfProgram(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint), ("instructions", ctypes.POINTER(BpfInsn)))


NEW_IN_1_11 = {Ancillary.RANDOM: "random", Ancillary.VLAN_TPID: "vlan_tpid"}
"""Names that libpcap 1.10.6, the oracle, still prints as offsets."""


@pytest.fixture(scope="module")
def libpcap() -> ctypes.CDLL:
    path = library_path()
    if path is None:
        pytest.skip("the package libpcap is not installed, or not for this machine")
    library = ctypes.CDLL(str(path))
    library.bpf_image.restype = ctypes.c_char_p
    library.bpf_image.argtypes = (ctypes.POINTER(BpfInsn), ctypes.c_int)
    library.bpf_dump.argtypes = (ctypes.POINTER(BpfProgram), ctypes.c_int)
    return library


def image(libpcap: ctypes.CDLL, position: int, instruction: Instruction) -> str:
    """Return libpcap 1.10.6's line as 1.11 prints it."""
    line: str = libpcap.bpf_image(BpfInsn(*instruction), position).decode().rstrip()
    for word, name in NEW_IN_1_11.items():
        line = line.replace(f" [{word - 0x1000}]", f" [{name}]")
    if instruction.code == Op.LDX_LEN:
        line = line.replace("unimp    0x81", "ldx      #pktlen")
    return line


def test_every_line_is_libpcaps(libpcap: ctypes.CDLL) -> None:
    constants = (*NOTABLE_WORDS, 0x80000000, *(0xFFFFF000 + i for i in range(-1, 66)))
    compared = 0
    for code in range(0x100):
        for k in constants:
            program = [Instruction(code, 3, 255, k)]
            assert dump(program, "tcpdump") == f"{image(libpcap, 0, program[0])}\n"
            compared += 1
    assert compared == 256 * len(constants)


def test_random_programs_are_listed_as_by_libpcap(
    libpcap: ctypes.CDLL, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    for _ in range(150):
        program = random_program(rng)
        lines = [image(libpcap, position, i) for position, i in enumerate(program)]
        hint = rerun_hint("test_listing.py")
        assert dump(program, "tcpdump") == "".join(f"{line}\n" for line in lines), hint
        for format_name, option in (("c", 2), ("decimal", 3)):
            printed = printed_by_bpf_dump(libpcap, program, option, capfd)
            assert dump(program, format_name) == printed, hint


def printed_by_bpf_dump(
    libpcap: ctypes.CDLL,
    program: Sequence[Instruction],
    option: int,
    capfd: pytest.CaptureFixture[str],
) -> str:
    array = (BpfInsn * len(program))(*(BpfInsn(*instruction) for instruction in program))
    libpcap.bpf_dump(BpfProgram(len(program), array), option)
    ctypes.CDLL(None).fflush(None)
    return capfd.readouterr().out


PROGRAM = assemble("""
        ldh [12]
        jeq #0x800, ip, drop
    ip: ldxb 4*([14]&0xf)
        ldb [x + 0xfffffffe]
        and #0xc0
        st M[3]
        ld vlan_avail
        add #-1
        jgt x, drop
        ja keep
        neg
  keep: ld len
        ret a
  drop: ret #0
""")

GOLDEN = {
    "tcpdump": """\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 13
(002) ldxb     4*([14]&0xf)
(003) ldb      [x + -2]
(004) and      #0xc0
(005) st       M[3]
(006) ld       [vlanp]
(007) add      #-1
(008) jgt      x                jt 13\tjf 9
(009) ja       11
(010) neg
(011) ld       #pktlen
(012) ret
(013) ret      #0
""",
    "c": """\
{ 0x28, 0, 0, 0x0000000c },
{ 0x15, 0, 11, 0x00000800 },
{ 0xb1, 0, 0, 0x0000000e },
{ 0x50, 0, 0, 0xfffffffe },
{ 0x54, 0, 0, 0x000000c0 },
{ 0x2, 0, 0, 0x00000003 },
{ 0x20, 0, 0, 0xfffff030 },
{ 0x4, 0, 0, 0xffffffff },
{ 0x2d, 4, 0, 0x00000000 },
{ 0x5, 0, 0, 0x00000001 },
{ 0x84, 0, 0, 0x00000000 },
{ 0x80, 0, 0, 0x00000000 },
{ 0x16, 0, 0, 0x00000000 },
{ 0x6, 0, 0, 0x00000000 },
""",
    "decimal": """\
14
40 0 0 12
21 0 11 2048
177 0 0 14
80 0 0 4294967294
84 0 0 192
2 0 0 3
32 0 0 4294963248
4 0 0 4294967295
45 4 0 0
5 0 0 1
132 0 0 0
128 0 0 0
22 0 0 0
6 0 0 0
""",
    "iptables": (
        "14,40 0 0 12,21 0 11 2048,177 0 0 14,80 0 0 4294967294,84 0 0 192,2 0 0 3,"
        "32 0 0 4294963248,4 0 0 4294967295,45 4 0 0,5 0 0 1,132 0 0 0,128 0 0 0,22 0 0 0,"
        "6 0 0 0\n"
    ),
    "asm": """\
     ldh [12]
     jeq #0x800, L2, L13
L2:  ldxb 4*([14]&0xf)
     ldb [x + 0xfffffffe]
     and #0xc0
     st M[3]
     ld vlan_avail
     add #0xffffffff
     jgt x, L13, L9
L9:  ja L11
     neg
L11: ld len
     ret a
L13: ret #0
""",
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden(name: str) -> None:
    assert dump(PROGRAM, name) == GOLDEN[name]


def test_json_holds_the_fields_and_the_text() -> None:
    entries = json.loads(dump(PROGRAM, "json"))
    assert entries[1] == {"code": 21, "jt": 0, "jf": 11, "k": 2048, "text": "jeq #0x800 jt 2 jf 13"}
    assert [Instruction(*list(entry.values())[:4]) for entry in entries] == list(PROGRAM)
    assert [entry["text"] for entry in entries][10:] == ["neg", "ld #pktlen", "ret", "ret #0"]


def test_raw_is_the_kernels_structure() -> None:
    raw = dump(PROGRAM, "raw")
    assert isinstance(raw, bytes)
    assert len(raw) == 8 * len(PROGRAM)
    order = "<" if sys.byteorder == "little" else ">"
    assert raw[8:16] == struct.pack(f"{order}HBBI", 0x15, 0, 11, 0x800)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_is_invalid_is_listed_too(name: str) -> None:
    assert dump([Instruction(0x99, 1, 2, 3), Instruction(Op.JEQ_K, 200, 1, 0)], name)


def test_iptables_takes_64_instructions() -> None:
    program = [Instruction(Op.RET_K, 0, 0, 1)] * 65
    assert str(dump(program[:64], "iptables")).startswith("64,6 0 0 1,")
    with pytest.raises(ProgramError, match="65 instructions, and iptables takes at most 64"):
        dump(program, "iptables")


def test_unknown_format() -> None:
    with pytest.raises(ProgramError) as caught:
        dump(PROGRAM, "elf")
    assert str(caught.value) == (
        "unknown format 'elf'; there are: tcpdump, c, decimal, iptables, asm, json, raw"
    )
