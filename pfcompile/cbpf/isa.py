"""The instruction set of classic BPF, as rows.

Sources: linux/bpf_common.h and linux/filter.h; bpf(4) of FreeBSD; McCanne and Jacobson, "The BSD
Packet Filter", 1993. The check, the interpreter, the listings, the assembler and the prover all
read these.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

MAX_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS, linux/bpf_common.h."""

SCRATCH_WORDS: Final = 16
"""BPF_MEMWORDS, linux/filter.h: M[0] to M[15]."""

ANCILLARY_BASE: Final = 0xFFFFF000
"""SKF_AD_OFF, linux/filter.h: loads from here on read the packet's metadata in the kernel."""


class Instruction(NamedTuple):
    """One instruction, as `struct sock_filter` and `struct bpf_insn` hold it.

    Attributes:
        code: Operation, 16 bits.
        jt: Instructions to skip when a conditional jump's test holds, 0 to 255.
        jf: The same for when it does not hold.
        k: Constant, 32 bits unsigned.
    """

    code: int
    jt: int
    jf: int
    k: int


class Class(IntEnum):
    """The instruction classes: the low three bits of a code."""

    LD = 0x00
    LDX = 0x01
    ST = 0x02
    STX = 0x03
    ALU = 0x04
    JMP = 0x05
    RET = 0x06
    MISC = 0x07


class Op(IntEnum):
    """Every valid code, by its usual mnemonic and addressing mode."""

    LD_W_ABS = 0x20
    LD_H_ABS = 0x28
    LD_B_ABS = 0x30
    LD_W_IND = 0x40
    LD_H_IND = 0x48
    LD_B_IND = 0x50
    LD_IMM = 0x00
    LD_MEM = 0x60
    LD_LEN = 0x80
    LDX_IMM = 0x01
    LDX_MEM = 0x61
    LDX_LEN = 0x81
    LDX_MSH = 0xB1
    ST = 0x02
    STX = 0x03
    ADD_K = 0x04
    ADD_X = 0x0C
    SUB_K = 0x14
    SUB_X = 0x1C
    MUL_K = 0x24
    MUL_X = 0x2C
    DIV_K = 0x34
    DIV_X = 0x3C
    OR_K = 0x44
    OR_X = 0x4C
    AND_K = 0x54
    AND_X = 0x5C
    LSH_K = 0x64
    LSH_X = 0x6C
    RSH_K = 0x74
    RSH_X = 0x7C
    NEG = 0x84
    MOD_K = 0x94
    MOD_X = 0x9C
    XOR_K = 0xA4
    XOR_X = 0xAC
    JA = 0x05
    JEQ_K = 0x15
    JEQ_X = 0x1D
    JGT_K = 0x25
    JGT_X = 0x2D
    JGE_K = 0x35
    JGE_X = 0x3D
    JSET_K = 0x45
    JSET_X = 0x4D
    RET_K = 0x06
    RET_A = 0x16
    TAX = 0x07
    TXA = 0x87
