"""The instruction set of eBPF, as rows.

Sources: RFC 9669; linux/bpf.h and linux/bpf_common.h for names and for what came later
(`may_goto`). The assembler, the disassembler, the interpreter, the check and the JIT read these.

Not here, because the RFC has them not and Linux only lately: address space casts, acquiring loads,
releasing stores, and jumps through a register.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pfcompile.ebpf.vocabulary import (
    ARGUMENTS,
    CALLEE_SAVED,
    FREE,
    MAX_CALL_FRAMES,
    MAX_INSTRUCTIONS,
    MAX_INSTRUCTIONS_UNPRIVILEGED,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    REGISTER_BIT,
    REGISTERS,
    SIZE_CODES,
    SLOT_BYTES,
    STACK_SIZE,
    Arithmetic,
    Atomic,
    Callee,
    Class,
    Condition,
    Group,
    Instruction,
    Key,
    Kind,
    Mode,
    Operand,
    Operation,
    Register,
    Row,
    Size,
    Uses,
    Wide,
)
from pfcompile.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "ARGUMENTS",
    "CALLEE_SAVED",
    "FREE",
    "HEADER_OFFSETS",
    "MAX_CALL_FRAMES",
    "MAX_INSTRUCTIONS",
    "MAX_INSTRUCTIONS_UNPRIVILEGED",
    "R0",
    "R1",
    "R2",
    "R3",
    "R4",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "REGISTERS",
    "REGISTER_BIT",
    "ROWS",
    "ROWS_OF_CODE",
    "ROW_NAMED",
    "SIZE_CODES",
    "SLOT_BYTES",
    "STACK_SIZE",
    "Arithmetic",
    "Atomic",
    "ByteOrder",
    "Callee",
    "Class",
    "Condition",
    "Group",
    "Instruction",
    "Key",
    "Kind",
    "Mode",
    "Operand",
    "Operation",
    "Register",
    "Row",
    "Size",
    "Uses",
    "Wide",
    "decode",
    "encode",
    "row_of",
    "wide_value",
]

HEADER_OFFSETS: Final = range(-0x200000, -0x1000)
"""Where legacy packet loads of the kernel count from the link header (SKF_LL_OFF, linux/filter.h),
in the upper half from the network header (SKF_NET_OFF); above is metadata of classic programs."""


class _ArithmeticCode(NamedTuple):
    """A binary operation, its bits, the `offset` that selects it and when it came."""

    operation: Arithmetic
    bits: int
    offset: int = 0
    cpu: int = 1
    in_divmul: bool = False


_BINARY: Final = (
    _ArithmeticCode(Arithmetic.ADD, 0x00),
    _ArithmeticCode(Arithmetic.SUB, 0x10),
    _ArithmeticCode(Arithmetic.MUL, 0x20, in_divmul=True),
    _ArithmeticCode(Arithmetic.DIV, 0x30, in_divmul=True),
    _ArithmeticCode(Arithmetic.SDIV, 0x30, offset=1, cpu=4, in_divmul=True),
    _ArithmeticCode(Arithmetic.OR, 0x40),
    _ArithmeticCode(Arithmetic.AND, 0x50),
    _ArithmeticCode(Arithmetic.LSH, 0x60),
    _ArithmeticCode(Arithmetic.RSH, 0x70),
    _ArithmeticCode(Arithmetic.MOD, 0x90, in_divmul=True),
    _ArithmeticCode(Arithmetic.SMOD, 0x90, offset=1, cpu=4, in_divmul=True),
    _ArithmeticCode(Arithmetic.XOR, 0xA0),
    _ArithmeticCode(Arithmetic.MOV, 0xB0),
    _ArithmeticCode(Arithmetic.ARSH, 0xC0),
)
"""RFC 9669, section 4.1, table 4; `in_divmul` is what the group divmul gathers."""

_MOVSX: Final = (
    (Arithmetic.MOVSX8, 8, (32, 64)),
    (Arithmetic.MOVSX16, 16, (32, 64)),
    (Arithmetic.MOVSX32, 32, (64,)),
)
"""Sign-extending moves: the `offset` that selects each, and the widths that it exists in."""

_SWAPS: Final = (
    (0xD4, 1, (Arithmetic.LE16, Arithmetic.LE32, Arithmetic.LE64)),
    (0xDC, 1, (Arithmetic.BE16, Arithmetic.BE32, Arithmetic.BE64)),
    (0xD7, 4, (Arithmetic.BSWAP16, Arithmetic.BSWAP32, Arithmetic.BSWAP64)),
)
"""Byte swaps: code, version, and the operations for an `imm` of 16, 32 and 64."""

_CONDITIONS: Final = (
    (Condition.EQ, 0x10, 1),
    (Condition.GT, 0x20, 1),
    (Condition.GE, 0x30, 1),
    (Condition.SET, 0x40, 1),
    (Condition.NE, 0x50, 1),
    (Condition.SGT, 0x60, 1),
    (Condition.SGE, 0x70, 1),
    (Condition.LT, 0xA0, 2),
    (Condition.LE, 0xB0, 2),
    (Condition.SLT, 0xC0, 2),
    (Condition.SLE, 0xD0, 2),
)
"""Conditional jumps: bits, and the version of the 64-bit ones; all 32-bit ones are version 3."""

_WIDE_HIGH: Final = (
    (Wide.VALUE, FREE, "5.4"),
    (Wide.MAP_FD, 0, "5.4.1"),
    (Wide.MAP_VALUE_FD, FREE, "5.4.1"),
    (Wide.VARIABLE, FREE, "5.4.2"),
    (Wide.CODE, 0, "5.4"),
    (Wide.MAP_INDEX, 0, "5.4.1"),
    (Wide.MAP_VALUE_INDEX, FREE, "5.4.1"),
)
"""64-bit immediates: whether the high half is an operand.

VARIABLE has a BTF number low and, in Linux, the file descriptor of its BTF high.
"""

_CODES_BY_WIDTH: Final = ((32, Class.ALU, Class.JMP32), (64, Class.ALU64, Class.JMP))
_BASE: Final[Mapping[int, Group]] = MappingProxyType(
    {8: Group.BASE32, 16: Group.BASE32, 32: Group.BASE32, 64: Group.BASE64}
)
_DIVMUL: Final[Mapping[int, Group]] = MappingProxyType({32: Group.DIVMUL32, 64: Group.DIVMUL64})
_ATOMIC: Final[Mapping[int, Group]] = MappingProxyType({32: Group.ATOMIC32, 64: Group.ATOMIC64})

_DST: Final = Uses(dst=True)
_SRC: Final = Uses(src=True)
_BOTH: Final = Uses(dst=True, src=True)


def _arithmetic() -> Iterator[Row]:
    for width, alu, _ in _CODES_BY_WIDTH:
        for operation, bits, offset, cpu, in_divmul in _BINARY:
            group = (_DIVMUL if in_divmul else _BASE)[width]
            is_move = operation is Arithmetic.MOV
            yield Row(
                alu | bits, Kind.ALU, operation, width, Operand.IMMEDIATE,
                dst=FREE, offset=offset, imm=FREE, reads=Uses(dst=not is_move), writes=_DST,
                cpu=cpu, section="4.1", group=group,
            )  # fmt: skip
            yield Row(
                alu | bits | REGISTER_BIT, Kind.ALU, operation, width, Operand.REGISTER,
                dst=FREE, src=FREE, offset=offset, reads=_SRC if is_move else _BOTH, writes=_DST,
                cpu=cpu, section="4.1", group=group,
            )  # fmt: skip
        yield Row(
            alu | 0x80, Kind.ALU, Arithmetic.NEG, width, Operand.NONE,
            dst=FREE, reads=_DST, writes=_DST, section="4.1", group=_BASE[width],
        )  # fmt: skip
        for operation, offset, widths in _MOVSX:
            if width in widths:
                yield Row(
                    alu | 0xB0 | REGISTER_BIT, Kind.ALU, operation, width, Operand.REGISTER,
                    dst=FREE, src=FREE, offset=offset, reads=_SRC, writes=_DST,
                    cpu=4, section="4.1", group=_BASE[width],
                )  # fmt: skip
    for code, cpu, operations in _SWAPS:
        for operation, bits in zip(operations, (16, 32, 64), strict=True):
            # Their class says otherwise, but all of them write the whole register.
            yield Row(
                code, Kind.ALU, operation, 64, Operand.NONE,
                dst=FREE, imm=bits, reads=_DST, writes=_DST,
                cpu=cpu, section="4.2", group=_BASE[bits],
            )  # fmt: skip


def _jumps() -> Iterator[Row]:
    for width, _, jump in _CODES_BY_WIDTH:
        for condition, bits, version in _CONDITIONS:
            cpu = 3 if width == 32 else version
            yield Row(
                jump | bits, Kind.BRANCH, condition, width, Operand.IMMEDIATE,
                dst=FREE, offset=FREE, imm=FREE, reads=_DST, target="offset",
                cpu=cpu, section="4.3", group=_BASE[width],
            )  # fmt: skip
            yield Row(
                jump | bits | REGISTER_BIT, Kind.BRANCH, condition, width, Operand.REGISTER,
                dst=FREE, src=FREE, offset=FREE, reads=_BOTH, target="offset",
                cpu=cpu, section="4.3", group=_BASE[width],
            )  # fmt: skip
    # The width of a jump is told by its class; a distance is in offset for one, in imm for the
    # other.
    yield Row(
        Class.JMP.value, Kind.JUMP, None, 64, Operand.NONE,
        offset=FREE, target="offset", section="4.3", group=Group.BASE32,
    )  # fmt: skip
    yield Row(
        Class.JMP32.value, Kind.JUMP, None, 32, Operand.NONE,
        imm=FREE, target="imm", cpu=4, section="4.3", group=Group.BASE32,
    )  # fmt: skip
    yield Row(
        Class.JMP | 0xE0, Kind.MAY_GOTO, None, 64, Operand.NONE,
        offset=FREE, target="offset", cpu=4, section="BPF_JCOND, linux/bpf.h",
    )  # fmt: skip
    yield Row(
        Class.JMP | 0x90, Kind.EXIT, None, 64, Operand.NONE,
        reads=Uses(fixed=frozenset((int(R0),))), section="4.3", group=Group.BASE32,
    )  # fmt: skip
    call = Class.JMP | 0x80
    clobbers = Uses(fixed=ARGUMENTS | {R0})
    for callee, offset, section in (
        (Callee.HELPER, 0, "4.3.1"),
        (Callee.LOCAL, 0, "4.3.2"),
        # In Linux, offset selects one of the BTF descriptors that the program was loaded with.
        (Callee.KFUNC, FREE, "4.3.1"),
    ):
        yield Row(
            call, Kind.CALL, callee, 64, Operand.IMMEDIATE,
            src=callee.value, offset=offset, imm=FREE, reads=Uses(fixed=ARGUMENTS), writes=clobbers,
            target="imm" if callee is Callee.LOCAL else None, section=section, group=Group.BASE32,
        )  # fmt: skip
    yield Row(
        call | REGISTER_BIT, Kind.CALL, Callee.REGISTER, 64, Operand.REGISTER,
        dst=FREE, reads=Uses(dst=True, fixed=ARGUMENTS), writes=clobbers,
        section="callx of LLVM; Linux has it not",
    )  # fmt: skip


def _memory() -> Iterator[Row]:
    for size, bits in SIZE_CODES.items():
        yield Row(
            Class.LDX | Mode.MEM | bits, Kind.LOAD, None, size.value, Operand.NONE,
            dst=FREE, src=FREE, offset=FREE, reads=_SRC, writes=_DST,
            section="5.1", group=_BASE[size],
        )  # fmt: skip
        if size is not Size.DW:
            yield Row(
                Class.LDX | Mode.MEMSX | bits, Kind.LOAD_SIGNED, None, size.value, Operand.NONE,
                dst=FREE, src=FREE, offset=FREE, reads=_SRC, writes=_DST,
                cpu=4, section="5.2", group=Group.BASE64,
            )  # fmt: skip
        yield Row(
            Class.ST | Mode.MEM | bits, Kind.STORE, None, size.value, Operand.IMMEDIATE,
            dst=FREE, offset=FREE, imm=FREE, reads=_DST, section="5.1", group=_BASE[size],
        )  # fmt: skip
        yield Row(
            Class.STX | Mode.MEM | bits, Kind.STORE, None, size.value, Operand.REGISTER,
            dst=FREE, src=FREE, offset=FREE, reads=_BOTH, section="5.1", group=_BASE[size],
        )  # fmt: skip
    for size in (Size.W, Size.DW):
        for atomic in Atomic:
            swaps_r0 = atomic is Atomic.CMPXCHG
            r0 = Uses(fixed=frozenset((int(R0),)))
            yield Row(
                Class.STX | Mode.ATOMIC | SIZE_CODES[size],
                Kind.ATOMIC, atomic, size.value, Operand.REGISTER,
                dst=FREE, src=FREE, offset=FREE, imm=atomic.value,
                reads=_BOTH._replace(fixed=r0.fixed) if swaps_r0 else _BOTH,
                writes=r0 if swaps_r0 else Uses(src=atomic.fetches),
                cpu=1 if atomic is Atomic.ADD else 3, section="5.3", group=_ATOMIC[size],
            )  # fmt: skip


def _loads_of_constants_and_packets() -> Iterator[Row]:
    for wide, high, section in _WIDE_HIGH:
        yield Row(
            Class.LD | Mode.IMM | SIZE_CODES[Size.DW], Kind.WIDE, wide, 64, Operand.IMMEDIATE,
            dst=FREE, src=wide.value, imm=FREE, high=high, writes=_DST,
            target="imm" if wide is Wide.CODE else None, section=section, group=Group.BASE64,
        )  # fmt: skip
    packet = Uses(fixed=frozenset((int(R6),)))
    clobbers = Uses(fixed=ARGUMENTS | {R0})
    for size in (Size.W, Size.H, Size.B):
        bits = SIZE_CODES[size]
        yield Row(
            Class.LD | Mode.ABS | bits, Kind.PACKET, None, size.value, Operand.IMMEDIATE,
            imm=FREE, reads=packet, writes=clobbers, section="5.5", group=Group.PACKET,
        )  # fmt: skip
        yield Row(
            Class.LD | Mode.IND | bits, Kind.PACKET, None, size.value, Operand.REGISTER,
            src=FREE, imm=FREE, reads=packet._replace(src=True), writes=clobbers,
            section="5.5", group=Group.PACKET,
        )  # fmt: skip


ROWS: Final = (*_arithmetic(), *_jumps(), *_memory(), *_loads_of_constants_and_packets())
"""Every operation."""

ROW_NAMED: Final[Mapping[Key, Row]] = MappingProxyType(
    {Key(row.kind, row.operation, row.width, row.operand): row for row in ROWS}
)
"""The rows by what they do."""


def _by_code() -> Mapping[int, tuple[Row, ...]]:
    gathered: defaultdict[int, list[Row]] = defaultdict(list)
    for row in ROWS:
        gathered[row.code].append(row)
    return MappingProxyType({code: tuple(rows) for code, rows in gathered.items()})


ROWS_OF_CODE: Final = _by_code()
"""The rows that share each code."""


def row_of(instruction: Instruction) -> Row | None:
    """Return the row of `instruction`, or None where it is none.

    None, too, for the second slot of a 64-bit immediate load (step over it by `Row.slots`), for a
    register above R10, and where a field that is not used holds something other than 0.
    """
    rows = ROWS_OF_CODE.get(instruction.code, ())
    return next((row for row in rows if row.fits(instruction)), None)


def wide_value(low: Instruction, high: Instruction) -> int:
    """Return the 64 bits that the two slots of a 64-bit immediate load hold, unsigned."""
    return (high.imm & 0xFFFFFFFF) << 32 | low.imm & 0xFFFFFFFF


ByteOrder = Literal["little", "big"]
"""The byte order of the machine that a program is for."""


def encode(program: Sequence[Instruction], byte_order: ByteOrder = "little") -> bytes:
    """Return `program` as the kernel and object files hold it, 8 bytes a slot.

    Raises:
        ProgramError: A field is out of range; names the slot. Nothing else is checked.

    Source: RFC 9669, section 3.
    """
    return b"".join(
        _encoded(slot, instruction, byte_order) for slot, instruction in enumerate(program)
    )


def decode(data: bytes, byte_order: ByteOrder = "little") -> tuple[Instruction, ...]:
    """Return the program that `data` holds, whatever its instructions are.

    Raises:
        ProgramError: `data` ends inside a slot.

    Source: RFC 9669, section 3.
    """
    if len(data) % SLOT_BYTES:
        raise ProgramError(
            f"instruction {len(data) // SLOT_BYTES} is cut off: {len(data)} bytes are not a "
            f"multiple of {SLOT_BYTES}"
        )
    little = byte_order == "little"
    program = []
    for code, registers, offset, imm in _LAYOUTS[byte_order].iter_unpack(data):
        high, low = divmod(registers, 16)
        dst, src = (low, high) if little else (high, low)
        program.append(Instruction(code, dst, src, offset, imm))
    return tuple(program)


_LAYOUTS: Final[Mapping[ByteOrder, struct.Struct]] = MappingProxyType(
    {"little": struct.Struct("<BBhi"), "big": struct.Struct(">BBhi")}
)
"""Code, both registers in a byte, offset, immediate."""

_RANGES: Final = (
    ("code", 0, 0xFF),
    ("dst", 0, 0xF),
    ("src", 0, 0xF),
    ("offset", -0x8000, 0x7FFF),
    ("imm", -0x8000_0000, 0x7FFF_FFFF),
)


def _encoded(slot: int, instruction: Instruction, byte_order: ByteOrder) -> bytes:
    for name, least, most in _RANGES:
        value = getattr(instruction, name)
        if not least <= value <= most:
            raise ProgramError(
                f"instruction {slot}: {name} is {value}, not between {least} and {most}"
            )
    dst, src = instruction.dst, instruction.src
    # The nibbles of a byte change places with the bytes of a word.
    registers = src << 4 | dst if byte_order == "little" else dst << 4 | src
    return _LAYOUTS[byte_order].pack(
        instruction.code, registers, instruction.offset, instruction.imm
    )
