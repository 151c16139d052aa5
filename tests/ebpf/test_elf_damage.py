"""Damaged object files: refused, or run to a result, and nothing else."""

from __future__ import annotations

import random
import struct

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.elf import read, write
from pfcompile.ebpf.elf.format import read_tables
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from pfcompile.errors import PfcompileError, ProgramError
from tests.ebpf.llvm_objects import everything
from tests.ebpf.test_elf import CONTENTS, SPECS, WITH_ALL
from tests.generator.seed import SEED, rerun

SMALL = write(EbpfProgram(assemble("r0 = 2\nexit"), "xdp", 6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d[:0], "does not begin with 7F 45 4C 46"),
        (lambda d: d[:10], "header is cut short"),
        (lambda d: d[:40], "header at byte 0 runs over"),
        (lambda d: d[:4] + b"\1" + d[5:], "not a 64-bit object"),
        (lambda d: d[:16] + b"\2" + d[17:], "not a relocatable object"),
        (lambda d: d[:18] + b"\x3e\0" + d[20:], "for another machine"),
        (lambda d: d[:-1], "section .* runs over the end"),
        (lambda d: d[:58] + b"\0\0" + d[60:], "section headers have 0 bytes, not 64"),
        (lambda d: d[:62] + b"\xff\0" + d[64:], "no section 255 with names"),
        (lambda d: d[:60] + b"\xff\xff" + d[62:], "runs over the end"),
    ],
)
def test_damage_is_named(change, words):
    with pytest.raises(ProgramError, match=words):
        read(change(SMALL))


EXTREMES = (0, 1, 7, 8, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)


def damaged(rng, original):
    """Return `original` with something wrong in it, most often in its tables."""
    data = bytearray(original)
    tables = read_tables(bytes(original))
    (start,) = struct.unpack_from("<Q", original, 40)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        match rng.randrange(7):
            case 6:
                # Instructions: what is left of the program is often stopped, or ends otherwise.
                data[min(64 + rng.randrange(48), len(data) - 1)] = rng.randrange(256)
            case 0:
                data[rng.randrange(len(data))] = rng.randrange(256)
            case 1:
                data[rng.randrange(64)] = rng.choice((0, 1, 255, rng.randrange(256)))
            case 2:
                place = start + 64 * rng.randrange(len(tables.sections)) + 4 * rng.randrange(16)
                word = struct.pack("<I", rng.choice(EXTREMES) & 0xFFFFFFFF)
                data[place : place + 4] = word
            case 3:
                size = rng.choice((1, 2, 4, 8))
                place = rng.randrange(0, len(data) - 8, size)
                value = rng.choice(EXTREMES) & (1 << 8 * size) - 1
                data[place : place + size] = value.to_bytes(size, "little")
            case 4:
                here, there = rng.randrange(len(data) - 16), rng.randrange(len(data) - 16)
                data[here : here + 16] = data[there : there + 16]
            case _:
                if rng.random() < 0.3:
                    del data[rng.randrange(len(data)) :]
                    data += bytes(max(0, 64 - len(data)))
    return bytes(data)


def test_damaged_objects_are_refused_or_run_to_a_result():
    rng = random.Random(SEED)
    originals = [
        everything(),
        write(WITH_ALL, SPECS, CONTENTS),
        write(translate(compile_text("udp port 53").instructions, "xdp")),
    ]
    ends = {"refused": 0, "stopped": 0, "returned": 0}
    for _ in range(3500):
        data = damaged(rng, rng.choice(originals))
        try:
            found = read(data)
            maps = {number: each.make() for number, each in enumerate(found.maps)}
            for name in found.programs:
                program = found.program(name)
                machine = Machine(
                    program.instructions, Environment(HELPERS, maps=maps), Limits(2000)
                )
                try:
                    machine.run(Xdp(bytes(60)))
                    ends["returned"] += 1
                except PfcompileError:
                    ends["stopped"] += 1
        except PfcompileError:
            ends["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{data.hex()}\n{rerun(__file__)}") from error
    assert min(ends.values()) > 50, ends
    assert ends["refused"] > 500, ends


def with_headers(added: list[bytes], data: bytes = SMALL) -> bytes:
    """Return an object with more section headers than its own."""
    changed = bytearray(data)
    struct.pack_into("<Q", changed, 40, len(data))
    struct.pack_into("<H", changed, 60, len(headers(data)) + len(added))
    return bytes(changed) + b"".join((*headers(data), *added))


def headers(data: bytes = SMALL) -> list[bytes]:
    (start,), (count,) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<H", data, 60)
    return [data[start + 64 * number :][:64] for number in range(count)]


def test_sections_that_are_each_other_take_no_memory():
    code = headers()[1]
    whole = code[:24] + struct.pack("<QQ", 0, len(SMALL)) + code[40:]
    with pytest.raises(ProgramError, match="hold more than the file"):
        read(with_headers([whole] * 60_000))


def test_zeros_that_the_file_does_not_hold_take_no_memory():
    data = SMALL.replace(b"license\0", b".bss\0\0\0\0")
    name = headers(data)[2][:4]
    zeros = name + struct.pack("<IQQQQIIQQ", 8, 3, 0, 0, 1 << 26, 0, 0, 8, 0)
    assert len(read(with_headers([zeros[:32] + struct.pack("<Q", 4096) + zeros[40:]], data)).maps)
    with pytest.raises(ProgramError, match="variables have more than"):
        read(with_headers([zeros] * 1000, data))
