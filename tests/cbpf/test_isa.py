"""The table of operations: complete, without contradictions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pfcompile.cbpf import isa
from pfcompile.cbpf.isa import Ancillary, Class, Instruction, Op, Operand, Place
from pfcompile.cbpf.notation import ANCILLARY_NAMED, ROW_WRITTEN
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE

LINUX_FILTER_H = Path("/usr/include/linux/filter.h")


def test_every_operation_has_one_row() -> None:
    assert set(isa.ROW_OF) == set(Op)
    assert len(isa.ROWS) == len(Op)


def test_what_is_written_names_one_row() -> None:
    assert len(ROW_WRITTEN) == len(isa.ROWS)


def test_rows_agree_with_their_codes() -> None:
    """The size, the source and the class are bits of the code (linux/bpf_common.h)."""
    sizes = {0x00: 4, 0x08: 2, 0x10: 1}
    for row in isa.ROWS:
        if row.size:
            assert sizes[row.op & 0x18] == row.size, row
            assert Place.PACKET in row.reads
        if row.arithmetic is not None or row.comparison is not None:
            assert (row.op & 0x08 == 0x08) == (row.operand is Operand.INDEX), row
            assert (Place.X in row.reads) == (row.operand is Operand.INDEX), row
            assert Place.A in row.reads
        assert (row.comparison is not None) == (
            row.instruction_class is Class.JMP and row.op is not Op.JA
        )


def test_the_two_forms_of_an_operation_mean_the_same() -> None:
    by_name = {row.op.name: row for row in isa.ROWS}
    constants = [row for row in isa.ROWS if row.op.name.endswith("_K") and row.op is not Op.RET_K]
    assert len(constants) == 14
    for constant in constants:
        index = by_name[constant.op.name.removesuffix("K") + "X"]
        assert constant.mnemonic == index.mnemonic
        assert constant.arithmetic == index.arithmetic
        assert constant.comparison == index.comparison


def test_ancillary_words_are_complete_and_names_differ() -> None:
    assert [word.word for word in isa.ANCILLARY_WORDS] == list(Ancillary)
    assert len({word.dump_name for word in isa.ANCILLARY_WORDS}) == len(Ancillary)
    assert min(ANCILLARY_NAMED.values()) == ANCILLARY_BASE


def test_ancillary_words_are_those_of_the_kernel_header() -> None:
    if not LINUX_FILTER_H.is_file():
        pytest.skip(f"{LINUX_FILTER_H} is not installed")
    found = dict(re.findall(r"#define SKF_AD_(\w+)\s+(\d+)", LINUX_FILTER_H.read_text()))
    assert int(found.pop("MAX")) > max(Ancillary)
    assert {name: int(offset) for name, offset in found.items()} == {
        word.name: int(word) for word in Ancillary
    }


@pytest.mark.parametrize(
    ("instruction", "after"),
    [
        (Instruction(Op.JEQ_K, 1, 2, 0), (5, 6)),
        (Instruction(Op.JA, 0, 0, 7), (11,)),
        (Instruction(Op.TAX, 9, 9, 9), (4,)),
        (Instruction(Op.RET_A, 0, 0, 0), ()),
        (Instruction(0xFF, 1, 1, 1), (4,)),
    ],
)
def test_successors(instruction: Instruction, after: tuple[int, ...]) -> None:
    assert isa.successors(3, instruction) == after
