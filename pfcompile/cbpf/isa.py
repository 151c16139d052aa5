"""The instruction set of classic BPF, as rows.

Sources: linux/bpf_common.h and linux/filter.h; bpf(4) of FreeBSD; McCanne and Jacobson, "The BSD
Packet Filter", 1993. The check, the interpreter, the listings, the assembler and the prover all
read these.
"""

from __future__ import annotations

from enum import Enum, Flag, IntEnum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.facts.kernel_offsets import ANCILLARY_BASE, HEADER_BASE
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS, linux/bpf_common.h."""

SCRATCH_WORDS: Final = 16
"""BPF_MEMWORDS, linux/filter.h: M[0] to M[15]."""


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


class Operand(Enum):
    """The forms an operand has; the value is how it is written, `{k}` standing for the constant."""

    NONE = ""
    ACCUMULATOR = "a"
    INDEX = "x"
    CONSTANT = "#{k}"
    ABSOLUTE = "[{k}]"
    INDIRECT = "[x + {k}]"
    SCRATCH = "M[{k}]"
    LENGTH = "#pktlen"
    HEADER = "4*([{k}]&0xf)"
    TARGET = "{k}"

    @property
    def takes_k(self) -> bool:
        """Whether the instruction's `k` means anything."""
        return self.written("") != self.value

    def written(self, k: str) -> str:
        """Return the form with `k` in the constant's place."""
        form: str = self.value
        return form.format(k=k)


class Place(Flag):
    """What an instruction reads or writes."""

    NOTHING = 0
    A = auto()
    X = auto()
    M = auto()
    PACKET = auto()
    LENGTH = auto()
    METADATA = auto()


class Row(NamedTuple):
    """All there is to know about one operation.

    Attributes:
        op: The code.
        mnemonic: Its name in the listings and in the assembler.
        operand: The form of its operand.
        reads: What it depends on. A load at `ANCILLARY_BASE` or above reads what its
            `AncillaryWord` says instead.
        writes: What it changes.
        size: Bytes loaded from the packet, 1, 2 or 4; 0 for what loads none.
        arithmetic: What an ALU operation computes; None for `neg` and everything else.
        comparison: What a conditional jump tests A for; None for everything else.
        hexadecimal: Whether listings write its constant in base 16.
    """

    op: Op
    mnemonic: str
    operand: Operand
    reads: Place = Place.NOTHING
    writes: Place = Place.NOTHING
    size: int = 0
    arithmetic: ArithmeticOp | None = None
    comparison: Comparison | None = None
    hexadecimal: bool = False

    @property
    def instruction_class(self) -> Class:
        """The low three bits of the code."""
        return Class(self.op & 0x07)


def _load(op: Op, mnemonic: str, operand: Operand, size: int) -> Row:
    """Return the row of a load of `size` packet bytes into A."""
    index = Place.X if operand is Operand.INDIRECT else Place.NOTHING
    return Row(op, mnemonic, operand, Place.PACKET | index, Place.A, size=size)


def _alu(op: Op, mnemonic: str, arithmetic: ArithmeticOp, *, hexadecimal: bool = False) -> Row:
    """Return the row of `A = A op k` or, where the code's bit 3 is set, `A = A op X`."""
    operand, reads = _SOURCE[op & 0x08]
    return Row(
        op, mnemonic, operand, reads, Place.A, arithmetic=arithmetic, hexadecimal=hexadecimal
    )


def _jump(op: Op, mnemonic: str, comparison: Comparison) -> Row:
    """Return the row of a conditional jump that compares A with k or X."""
    operand, reads = _SOURCE[op & 0x08]
    return Row(op, mnemonic, operand, reads, comparison=comparison, hexadecimal=True)


_SOURCE: Final[Mapping[int, tuple[Operand, Place]]] = MappingProxyType(
    {0x00: (Operand.CONSTANT, Place.A), 0x08: (Operand.INDEX, Place.A | Place.X)}
)
"""BPF_SRC(code) to the second operand, linux/bpf_common.h: BPF_K or BPF_X."""

ROWS: Final[tuple[Row, ...]] = (
    _load(Op.LD_W_ABS, "ld", Operand.ABSOLUTE, 4),
    _load(Op.LD_H_ABS, "ldh", Operand.ABSOLUTE, 2),
    _load(Op.LD_B_ABS, "ldb", Operand.ABSOLUTE, 1),
    _load(Op.LD_W_IND, "ld", Operand.INDIRECT, 4),
    _load(Op.LD_H_IND, "ldh", Operand.INDIRECT, 2),
    _load(Op.LD_B_IND, "ldb", Operand.INDIRECT, 1),
    Row(Op.LD_IMM, "ld", Operand.CONSTANT, writes=Place.A, hexadecimal=True),
    Row(Op.LD_MEM, "ld", Operand.SCRATCH, Place.M, Place.A),
    Row(Op.LD_LEN, "ld", Operand.LENGTH, Place.LENGTH, Place.A),
    Row(Op.LDX_IMM, "ldx", Operand.CONSTANT, writes=Place.X, hexadecimal=True),
    Row(Op.LDX_MEM, "ldx", Operand.SCRATCH, Place.M, Place.X),
    Row(Op.LDX_LEN, "ldx", Operand.LENGTH, Place.LENGTH, Place.X),
    Row(Op.LDX_MSH, "ldxb", Operand.HEADER, Place.PACKET, Place.X, size=1),
    Row(Op.ST, "st", Operand.SCRATCH, Place.A, Place.M),
    Row(Op.STX, "stx", Operand.SCRATCH, Place.X, Place.M),
    _alu(Op.ADD_K, "add", ArithmeticOp.ADD),
    _alu(Op.ADD_X, "add", ArithmeticOp.ADD),
    _alu(Op.SUB_K, "sub", ArithmeticOp.SUB),
    _alu(Op.SUB_X, "sub", ArithmeticOp.SUB),
    _alu(Op.MUL_K, "mul", ArithmeticOp.MUL),
    _alu(Op.MUL_X, "mul", ArithmeticOp.MUL),
    _alu(Op.DIV_K, "div", ArithmeticOp.DIV),
    _alu(Op.DIV_X, "div", ArithmeticOp.DIV),
    _alu(Op.OR_K, "or", ArithmeticOp.OR, hexadecimal=True),
    _alu(Op.OR_X, "or", ArithmeticOp.OR),
    _alu(Op.AND_K, "and", ArithmeticOp.AND, hexadecimal=True),
    _alu(Op.AND_X, "and", ArithmeticOp.AND),
    _alu(Op.LSH_K, "lsh", ArithmeticOp.LSH),
    _alu(Op.LSH_X, "lsh", ArithmeticOp.LSH),
    _alu(Op.RSH_K, "rsh", ArithmeticOp.RSH),
    _alu(Op.RSH_X, "rsh", ArithmeticOp.RSH),
    Row(Op.NEG, "neg", Operand.NONE, Place.A, Place.A),
    _alu(Op.MOD_K, "mod", ArithmeticOp.MOD),
    _alu(Op.MOD_X, "mod", ArithmeticOp.MOD),
    _alu(Op.XOR_K, "xor", ArithmeticOp.XOR, hexadecimal=True),
    _alu(Op.XOR_X, "xor", ArithmeticOp.XOR),
    Row(Op.JA, "ja", Operand.TARGET),
    _jump(Op.JEQ_K, "jeq", Comparison.EQ),
    _jump(Op.JEQ_X, "jeq", Comparison.EQ),
    _jump(Op.JGT_K, "jgt", Comparison.GT),
    _jump(Op.JGT_X, "jgt", Comparison.GT),
    _jump(Op.JGE_K, "jge", Comparison.GE),
    _jump(Op.JGE_X, "jge", Comparison.GE),
    _jump(Op.JSET_K, "jset", Comparison.SET),
    _jump(Op.JSET_X, "jset", Comparison.SET),
    Row(Op.RET_K, "ret", Operand.CONSTANT),
    Row(Op.RET_A, "ret", Operand.ACCUMULATOR, Place.A),
    Row(Op.TAX, "tax", Operand.NONE, Place.A, Place.X),
    Row(Op.TXA, "txa", Operand.NONE, Place.X, Place.A),
)
"""Every operation the kernel takes, once; anything else is refused by `check`."""

ROW_OF: Final[Mapping[int, Row]] = MappingProxyType({int(row.op): row for row in ROWS})
"""The rows by code; `ROW_OF.get(code)` is None for an unknown one."""


class Ancillary(IntEnum):
    """The kernel's metadata words, by offset from `ANCILLARY_BASE` (SKF_AD_*, linux/filter.h)."""

    PROTOCOL = 0
    PKTTYPE = 4
    IFINDEX = 8
    NLATTR = 12
    NLATTR_NEST = 16
    MARK = 20
    QUEUE = 24
    HATYPE = 28
    RXHASH = 32
    CPU = 36
    ALU_XOR_X = 40
    VLAN_TAG = 44
    VLAN_TAG_PRESENT = 48
    PAY_OFFSET = 52
    RANDOM = 56
    VLAN_TPID = 60


class AncillaryWord(NamedTuple):
    """One metadata word and its names.

    Attributes:
        word: Offset from `ANCILLARY_BASE`.
        dump_name: Its name in `tcpdump -d`.
        asm_names: Its names in bpf_asm, the one that we write first; empty where it has none.
        reads: What its value depends on.
    """

    word: Ancillary
    dump_name: str
    asm_names: tuple[str, ...]
    reads: Place = Place.METADATA


_SEARCH: Final = Place.A | Place.X | Place.PACKET
"""A netlink attribute of type X is looked for in the packet from byte A."""

ANCILLARY_WORDS: Final[tuple[AncillaryWord, ...]] = (
    AncillaryWord(Ancillary.PROTOCOL, "proto", ("proto",)),
    AncillaryWord(Ancillary.PKTTYPE, "type", ("type",)),
    AncillaryWord(Ancillary.IFINDEX, "ifidx", ("ifidx",)),
    AncillaryWord(Ancillary.NLATTR, "nla", ("nla",), _SEARCH),
    AncillaryWord(Ancillary.NLATTR_NEST, "nlan", ("nlan",), _SEARCH),
    AncillaryWord(Ancillary.MARK, "mark", ("mark",)),
    AncillaryWord(Ancillary.QUEUE, "queue", ("queue",)),
    AncillaryWord(Ancillary.HATYPE, "hatype", ("hatype",)),
    AncillaryWord(Ancillary.RXHASH, "rxhash", ("rxhash",)),
    AncillaryWord(Ancillary.CPU, "cpu", ("cpu",)),
    # Not a load at all, but A ^= X from before classic BPF had an instruction for it.
    AncillaryWord(Ancillary.ALU_XOR_X, "xor_x", (), Place.A | Place.X),
    AncillaryWord(Ancillary.VLAN_TAG, "vlan_tci", ("vlan_tci",)),
    AncillaryWord(Ancillary.VLAN_TAG_PRESENT, "vlanp", ("vlan_avail", "vlan_pr")),
    AncillaryWord(Ancillary.PAY_OFFSET, "poff", ("poff",)),
    AncillaryWord(Ancillary.RANDOM, "random", ("rand",)),
    AncillaryWord(Ancillary.VLAN_TPID, "vlan_tpid", ("vlan_tpid",)),
)
"""Every metadata word. Sources: linux/filter.h; libpcap 1.11's dump; the kernel's bpf_asm."""

_WORD_AT: Final[Mapping[int, AncillaryWord]] = MappingProxyType(
    {ANCILLARY_BASE + word.word: word for word in ANCILLARY_WORDS}
)


def ancillary_word(instruction: Instruction) -> AncillaryWord | None:
    """Return the metadata word that `instruction` loads, or None where it loads none.

    Only absolute loads reach metadata: with `[x + k]` such an offset is merely out of bounds.
    """
    row = ROW_OF.get(instruction.code)
    if row is None or row.operand is not Operand.ABSOLUTE:
        return None
    return _WORD_AT.get(instruction.k)


def successors(position: int, instruction: Instruction) -> tuple[int, ...]:
    """Return the positions that can follow `instruction` at `position`.

    A conditional jump has two, the one for a true test first (they may be equal); `ret` has none.
    The positions may lie outside an invalid program. An unknown code is taken for a plain one.
    """
    row = ROW_OF.get(instruction.code)
    if row is None:
        return (position + 1,)
    if row.comparison is not None:
        return (position + 1 + instruction.jt, position + 1 + instruction.jf)
    if row.operand is Operand.TARGET:
        return (position + 1 + instruction.k,)
    return () if row.instruction_class is Class.RET else (position + 1,)


def is_canonical(instruction: Instruction) -> bool:
    """Tell whether `instruction` is known and every field that it does not use is zero."""
    row = ROW_OF.get(instruction.code)
    if row is None:
        return False
    jumps_fit = row.comparison is not None or (instruction.jt, instruction.jf) == (0, 0)
    return jumps_fit and (row.operand.takes_k or instruction.k == 0)


def counts_from_header(instruction: Instruction) -> bool:
    """Return whether only the kernel knows where a load begins."""
    row = ROW_OF.get(instruction.code)
    packet = {Operand.ABSOLUTE, Operand.HEADER, Operand.INDIRECT}
    is_load = row is not None and row.operand in packet
    return is_load and HEADER_BASE <= instruction.k < ANCILLARY_BASE
