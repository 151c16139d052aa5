"""Compared with LLVM: what it writes for random functions, and its own assembler where installed.

llvmlite carries LLVM's code generator for BPF, with its printer and its encoder, though not its
parser. So LLVM compiles random functions twice, to text and to bytes: our assembler must make its
bytes of its text, and our disassembler its text of its bytes, up to the names of labels and of
32-bit registers in loads and stores. `llvm-mc`, where there is one, reads ours and prints for us.

LLVM's compiler never makes: subtractions of constants; `>=` or `<=` with constants, which it turns
round; signed divisions by constants; `jset`; stores of 64-bit constants; `gotol` without need;
`may_goto`; calls and 64-bit immediates that are left to the loader. `llvm-mc` knows some of them;
the others are tested against hexadecimal in test_asm.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from llvmlite import binding

from pfcompile.ebpf.asm import assemble, disassemble
from pfcompile.ebpf.isa import (
    ROWS,
    Arithmetic,
    Atomic,
    Callee,
    Condition,
    Kind,
    Operand,
    Wide,
    decode,
    encode,
    row_of,
)
from tests.ebpf.random_functions import DECLARATIONS, RandomFunction
from tests.ebpf.random_instructions import random_program
from tests.generator.seed import SEED, rerun

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = 60
BYTE_ORDERS = {"bpfel": "little", "bpfeb": "big"}


def compiled(triple: str, cpu: str) -> Iterator[tuple[str, bytes, str]]:
    """Yield LLVM's text and bytes for each random function, and the IR."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple)
    rng = random.Random(f"{SEED} {triple} {cpu}")
    for _ in range(FUNCTIONS):
        function = RandomFunction(rng, int(cpu[1])).text("f")
        ir = f'target triple = "{triple}"\n{function}\n{DECLARATIONS}'
        machine = target.create_target_machine(cpu=cpu, opt=rng.choice((0, 1, 2)))
        module = binding.parse_assembly(ir)
        text = machine.emit_assembly(module)
        sections = binding.ObjectFileRef.from_data(machine.emit_object(module)).sections()
        (code,) = [section.data() for section in sections if section.name() == b".text"]
        yield statements(text), code, ir


def statements(text: str) -> str:
    """Return LLVM's text without the directives of the object file."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*\.(?!L?\w+:)|\s*#", line)]
    return "\n".join(line for line in lines if not re.fullmatch(r"(f|\.Lfunc_end\d+):.*", line))


def plain(text: str) -> list[str]:
    """Return the statements with the names that are ours or LLVM's alone taken out."""
    lines = []
    for raw in text.splitlines():
        line = re.sub(r"^\s*[.\w]+:", "", raw.split("#")[0]).strip()
        line = re.sub(r"(goto|gotol) \S+$", r"\1", line)
        line = re.sub(r"\S+(?= ll)", lambda match: str(int(match[0], 0) % (1 << 64)), line)
        if re.search(r"\*\(u(8|16|32) \*\)", line) and "lock" not in line and "_" not in line:
            line = re.sub(r"\bw(\d+)", r"r\1", line)
        line = re.sub(r"^r(\d+) = w", r"w\1 = w", line)
        if line:
            lines.append(line)
    return lines


@pytest.mark.parametrize("cpu", ["v1", "v2", "v3", "v4"])
@pytest.mark.parametrize("triple", BYTE_ORDERS)
def test_llvm_text_assembles_to_llvm_bytes_and_back(triple, cpu):
    for text, code, ir in compiled(triple, cpu):
        where = f"{ir}\n{text}\n{rerun(__file__)}"
        program = assemble(text)
        assert encode(program, BYTE_ORDERS[triple]) == code, where
        assert plain(disassemble(program)) == plain(text), where


def test_functions_use_most_of_what_llvm_can_express():
    seen = set()
    for triple, byte_order in BYTE_ORDERS.items():
        for cpu in ("v1", "v2", "v3", "v4"):
            for _, code, _ in compiled(triple, cpu):
                for instruction in decode(code, byte_order):
                    row = row_of(instruction)
                    assert row is not None or instruction.code == 0
                    if row is not None:
                        seen.add(row)
                        assert row.cpu <= int(cpu[1]), (row, cpu)
    assert len(seen) >= 125, sorted(f"{row.kind} {row.operation}" for row in set(ROWS) - seen)


LLVM_MC = shutil.which("llvm-mc")
needs_llvm_mc = pytest.mark.skipif(LLVM_MC is None, reason="llvm-mc is not installed")


UNKNOWN = {Arithmetic.MOD, Condition.SET, Callee.LOCAL, Callee.KFUNC, Callee.REGISTER} | (
    set(Wide) - {Wide.VALUE}
)
"""What the LLVM of Debian 12, version 14, neither reads nor prints."""

NOT_WHOLE = {(Kind.STORE, Operand.IMMEDIATE), (Kind.PACKET, Operand.REGISTER)}
"""The same; of a packet load with an index register, it knows no offset."""

UNREADABLE = {*Atomic} - {Atomic.ADD}
"""What it prints, but does not read as it prints it."""


def rows_of_llvm_14():
    return [
        row
        for row in ROWS
        if row.cpu <= 3
        and row.operation not in UNKNOWN
        and (row.kind, row.operand) not in NOT_WHOLE
    ]


@needs_llvm_mc
def test_llvm_reads_what_we_print():
    rows = [row for row in rows_of_llvm_14() if row.operation not in UNREADABLE]
    # It reads 32-bit additions with the names of 64-bit registers.
    rows = [row for row in rows if (row.kind, row.width) != (Kind.ATOMIC, 32)]
    assert len(rows) >= 95
    rng = random.Random(SEED)
    for row in rows:
        program = random_program(rng, 10, [row])
        text = disassemble(program)
        if row.target is not None:
            text = numeric(program, text)
        result = subprocess.run(
            [LLVM_MC, "-triple=bpfel", "-mcpu=v3", "-show-encoding"],
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{text}\n{result.stderr}\n{rerun(__file__)}"
        found = re.findall(r"encoding: \[(.*?)\]", result.stdout)
        data = bytes(int(byte, 0) for line in found for byte in line.split(","))
        assert data == encode(program), f"{text}\n{rerun(__file__)}"


def numeric(program, text):
    """Return `text` with distances for labels, since a lone label of ours would be relocated."""
    lines = []
    for instruction, line in zip(program, text.splitlines(), strict=True):
        statement = re.sub(r"^L\d+: ", "", line).strip()
        lines.append(re.sub(r"L\d+$", f"{instruction.offset:+d}", statement))
    return "\n".join(lines)


@needs_llvm_mc
def test_we_read_what_llvm_prints():
    rng = random.Random(SEED)
    rows = [row for row in rows_of_llvm_14() if row.kind is not Kind.WIDE]
    assert len(rows) >= 110
    program = [instruction for row in rows for instruction in random_program(rng, 8, [row])]
    listing = "\n".join(
        " ".join(f"0x{byte:02x}" for byte in encode((instruction,))) for instruction in program
    )
    result = subprocess.run(
        [LLVM_MC, "-triple=bpfel", "-mcpu=v3", "-mattr=+alu32", "-disassemble"],
        input=listing, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line for line in result.stdout.splitlines() if line.strip() != ".text"]
    assert len(lines) == len(program), result.stderr[:500]
    for instruction, line in zip(program, lines, strict=True):
        assert assemble(line) == (instruction,), f"{line}\n{rerun(__file__)}"
