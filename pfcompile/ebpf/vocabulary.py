"""The words of the eBPF instruction set: registers, limits, fields, and what a row of it holds.

Source: RFC 9669; the names are those of linux/bpf.h and linux/bpf_common.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Register(IntEnum):
    """The registers. R10, the frame pointer, can only be read: the stack lies below it.

    R0 is what a call gives back, and a program's verdict. A program finds its context in R1. R6
    holds the packet's context where there are legacy packet loads.
    """

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    R10 = 10


R0: Final = Register.R0
R1: Final = Register.R1
R2: Final = Register.R2
R3: Final = Register.R3
R4: Final = Register.R4
R5: Final = Register.R5
R6: Final = Register.R6
R7: Final = Register.R7
R8: Final = Register.R8
R9: Final = Register.R9
R10: Final = Register.R10

REGISTERS: Final = len(Register)
"""R0 to R10. The fields have room for 16."""

ARGUMENTS: Final[frozenset[int]] = frozenset((R1, R2, R3, R4, R5))
"""What a call reads, and leaves undefined."""

CALLEE_SAVED: Final[frozenset[int]] = frozenset((R6, R7, R8, R9))
"""What a call leaves as it was."""

STACK_SIZE: Final = 512
"""MAX_BPF_STACK, linux/filter.h: bytes below R10, in each function."""

MAX_INSTRUCTIONS: Final = 1_000_000
"""BPF_COMPLEXITY_LIMIT_INSNS, linux/bpf.h: the longest program the kernel takes from root."""

MAX_INSTRUCTIONS_UNPRIVILEGED: Final = 4096
"""BPF_MAXINSNS, linux/bpf_common.h: the longest from other users."""

MAX_CALL_FRAMES: Final = 8
"""MAX_CALL_FRAMES, linux/bpf_verifier.h: how deep calls between functions go."""

SLOT_BYTES: Final = 8
"""Bytes of an instruction, or of half a wide one."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One slot of a program, as `struct bpf_insn` holds it.

    A 64-bit immediate load takes two: the second has its high 32 bits in `imm` and nothing else.

    Attributes:
        code: Class, source or size, and operation: 0 to 255.
        dst: Destination register, 0 to 15; above 10 none exists.
        src: Source register, or a selector, 0 to 15.
        offset: Signed, 16 bits: of memory in bytes, of a jump in slots, or a selector.
        imm: Signed, 32 bits.
    """

    code: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0


class Class(IntEnum):
    """The instruction classes: the low three bits of a code. RFC 9669, section 3.3."""

    LD = 0
    LDX = 1
    ST = 2
    STX = 3
    ALU = 4
    JMP = 5
    JMP32 = 6
    ALU64 = 7


class Mode(IntEnum):
    """The addressing modes: the high three bits of a load's or store's code."""

    IMM = 0x00
    ABS = 0x20
    IND = 0x40
    MEM = 0x60
    MEMSX = 0x80
    ATOMIC = 0xC0


class Size(IntEnum):
    """The sizes of memory accesses, in bits."""

    B = 8
    H = 16
    W = 32
    DW = 64


SIZE_CODES: Final[Mapping[Size, int]] = MappingProxyType(
    {Size.W: 0x00, Size.H: 0x08, Size.B: 0x10, Size.DW: 0x18}
)
"""The size bits of a load's or store's code."""


class Operand(Enum):
    """Where the second operand comes from."""

    NONE = "none"
    IMMEDIATE = "immediate"
    REGISTER = "register"


REGISTER_BIT: Final = 0x08
"""BPF_X: in the codes of arithmetic and jumps, the second operand is a register."""


class Kind(Enum):
    """The families of instructions: each has its own fields and its own way to be written."""

    ALU = "arithmetic"
    LOAD = "load"
    LOAD_SIGNED = "sign-extending load"
    STORE = "store"
    ATOMIC = "atomic operation"
    WIDE = "64-bit immediate load"
    PACKET = "legacy packet load"
    JUMP = "jump"
    BRANCH = "conditional jump"
    MAY_GOTO = "bounded jump"
    CALL = "call"
    EXIT = "exit"


class Arithmetic(Enum):
    """The operations of the two arithmetic classes; the value is the RFC's word."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    SDIV = "sdiv"
    OR = "or"
    AND = "and"
    LSH = "lsh"
    RSH = "rsh"
    NEG = "neg"
    MOD = "mod"
    SMOD = "smod"
    XOR = "xor"
    MOV = "mov"
    MOVSX8 = "movsx8"
    MOVSX16 = "movsx16"
    MOVSX32 = "movsx32"
    ARSH = "arsh"
    LE16 = "le16"
    LE32 = "le32"
    LE64 = "le64"
    BE16 = "be16"
    BE32 = "be32"
    BE64 = "be64"
    BSWAP16 = "bswap16"
    BSWAP32 = "bswap32"
    BSWAP64 = "bswap64"


class Condition(Enum):
    """The tests of conditional jumps; the value is the RFC's word."""

    EQ = "jeq"
    GT = "jgt"
    GE = "jge"
    SET = "jset"
    NE = "jne"
    SGT = "jsgt"
    SGE = "jsge"
    LT = "jlt"
    LE = "jle"
    SLT = "jslt"
    SLE = "jsle"


class Atomic(Enum):
    """The atomic operations; the value is the `imm` that selects each."""

    ADD = 0x00
    OR = 0x40
    AND = 0x50
    XOR = 0xA0
    FETCH_ADD = 0x01
    FETCH_OR = 0x41
    FETCH_AND = 0x51
    FETCH_XOR = 0xA1
    XCHG = 0xE1
    CMPXCHG = 0xF1

    @property
    def fetches(self) -> bool:
        """Whether the old value goes to a register."""
        return bool(self.value & 0x01)


class Wide(Enum):
    """What a 64-bit immediate stands for; the value is the `src` that selects each."""

    VALUE = 0
    MAP_FD = 1
    MAP_VALUE_FD = 2
    VARIABLE = 3
    CODE = 4
    MAP_INDEX = 5
    MAP_VALUE_INDEX = 6


class Callee(Enum):
    """What a call calls; the value is the `src` that selects each, but for REGISTER."""

    HELPER = 0
    LOCAL = 1
    KFUNC = 2
    REGISTER = -1


class Group(Enum):
    """The conformance groups. RFC 9669, section 2.4."""

    BASE32 = "base32"
    BASE64 = "base64"
    ATOMIC32 = "atomic32"
    ATOMIC64 = "atomic64"
    DIVMUL32 = "divmul32"
    DIVMUL64 = "divmul64"
    PACKET = "packet"
    NONE = "none"
    """Not in the RFC."""


Operation = Arithmetic | Condition | Atomic | Wide | Callee
"""What selects among the rows of a kind."""


class Uses(NamedTuple):
    """Registers that an instruction reads, or writes.

    Attributes:
        dst: Whether the one in its `dst` field.
        src: Whether the one in its `src` field.
        fixed: Those that it names in no field.
    """

    dst: bool = False
    src: bool = False
    fixed: frozenset[int] = frozenset()

    def of(self, instruction: Instruction) -> frozenset[int]:
        """Return the registers by number."""
        named = ((instruction.dst,) if self.dst else ()) + ((instruction.src,) if self.src else ())
        return self.fixed.union(named)


_NO_REGISTERS: Final = Uses()

FREE: Final = None
"""For a field of a row: it is an operand, and any value is allowed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation.

    Attributes:
        code: The code; several rows can share one.
        kind: The family.
        operation: Which of the family, where it has several.
        width: Bits that it works on: 32 or 64 for arithmetic and jumps, 8 to 64 for memory.
        operand: Where the second operand comes from.
        dst: The value that the `dst` field must have, or FREE for a register.
        src: The same for `src`: 0 where it is unused, a selector, or FREE for a register.
        offset: The same for `offset`: 0, a selector, or FREE.
        imm: The same for `imm`: 0, a selector, or FREE.
        high: The same for `imm` of the second slot. Only WIDE rows have one.
        reads: Registers read. A call is taken to read all its arguments.
        writes: Registers written, or left undefined.
        target: The field that tells how far it goes, in slots counted from the next, or None.
        cpu: The first of the four versions that compilers know (`-mcpu=v1` to `v4`) to have it.
        section: The section of RFC 9669, or where else it is described.
        group: Conformance group.
    """

    code: int
    kind: Kind
    operation: Operation | None
    width: int
    operand: Operand
    dst: int | None = 0
    src: int | None = 0
    offset: int | None = 0
    imm: int | None = 0
    high: int | None = 0
    reads: Uses = _NO_REGISTERS
    writes: Uses = _NO_REGISTERS
    target: Literal["offset", "imm"] | None = None
    cpu: int = 1
    section: str = ""
    group: Group = Group.NONE

    @property
    def instruction_class(self) -> Class:
        """The class that the code says."""
        return Class(self.code & 0x07)

    @property
    def slots(self) -> int:
        """Slots that it takes: 2 for a 64-bit immediate load, otherwise 1."""
        return 2 if self.kind is Kind.WIDE else 1

    def fits(self, instruction: Instruction) -> bool:
        """Tell whether `instruction` is this row's: code, selectors, unused fields, registers."""
        return (
            self.code == instruction.code
            and (instruction.dst < REGISTERS if self.dst is FREE else instruction.dst == self.dst)
            and (instruction.src < REGISTERS if self.src is FREE else instruction.src == self.src)
            and self.offset in (FREE, instruction.offset)
            and self.imm in (FREE, instruction.imm)
        )


class Key(NamedTuple):
    """What names a row: no two rows share it."""

    kind: Kind
    operation: Operation | None
    width: int
    operand: Operand
