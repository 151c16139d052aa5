"""Random programs as people write them, for XDP: most are safe, and the others nearly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import (
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
    Arithmetic,
    Atomic,
    Condition,
    Wide,
)  # fmt: skip
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType

if TYPE_CHECKING:
    import random

CONTEXT, DATA, DATA_END = R6, R7, R8
NUMBERS = (R0, R1, R2, R3, R4, R5, R9)
WIDTHS = (8, 16, 32, 64)
MAPS = (
    MapSpec(MapType.ARRAY, 4, 16, 4, name="array"),
    MapSpec(MapType.HASH, 8, 24, 8, name="hash"),
    MapSpec(MapType.RINGBUF, 0, 0, 4096, name="ring"),
)
BINARY = (
    Arithmetic.ADD, Arithmetic.SUB, Arithmetic.MUL, Arithmetic.DIV, Arithmetic.MOD, Arithmetic.AND,
    Arithmetic.OR, Arithmetic.XOR, Arithmetic.MOV, Arithmetic.LSH, Arithmetic.RSH, Arithmetic.ARSH,
    Arithmetic.SDIV, Arithmetic.SMOD,
)  # fmt: skip
UNARY = (Arithmetic.BE16, Arithmetic.BE32, Arithmetic.BE64, Arithmetic.LE16, Arithmetic.BSWAP32)
SHIFTS = (Arithmetic.LSH, Arithmetic.RSH, Arithmetic.ARSH)

GUARDED = (1, 14, 20, 34, 40)
"""Lengths that guards ask for."""


class Numbers(NamedTuple):
    """What the program calls its maps."""

    array: int = 1
    hash: int = 2
    ring: int = 3


class Plausible:
    """One random program."""

    def __init__(self, rng: random.Random, maps: Numbers, mistakes: float) -> None:
        self.rng = rng
        self.maps = maps
        self.mistakes = mistakes
        self.builder = Builder()
        self.functions: list[str] = []
        self.reach = 0
        self.written: set[int] = set()

    def program(self, length: int):
        b = self.builder
        b.mov(CONTEXT, R1)
        b.load(32, DATA, CONTEXT, 0).load(32, DATA_END, CONTEXT, 4)
        for register in NUMBERS:
            b.mov(register, self.constant())
        for _ in range(length):
            self.statement(depth=0)
        b.mov(R0, self.rng.randrange(4))
        b.exit()
        for name in self.functions:
            self.function(name)
        return b.finish()

    def mistake(self) -> bool:
        return self.rng.random() < self.mistakes

    def constant(self) -> int:
        rng = self.rng
        return rng.choice((0, 1, 4, 7, 14, 255, -1, 0x7FFFFFFF, rng.getrandbits(31), -5))

    def number(self):
        return self.rng.choice(NUMBERS)

    def statement(self, depth: int) -> None:
        ways = [
            self.arithmetic, self.arithmetic, self.arithmetic, self.guard, self.load_packet,
            self.load_packet, self.use_stack, self.use_stack, self.load_variable, self.atomic,
            self.copy_packet, self.keep_pointer, self.array_value, self.hash_update, self.record,
            self.call_function, self.store_packet,
        ]  # fmt: skip
        if depth < 3:
            ways += [self.branch, self.branch, self.branch, self.loop, self.merge]
        way = self.rng.choice(ways)
        if way in (self.branch, self.loop, self.merge):
            way(depth)
        else:
            way()

    def arithmetic(self) -> None:
        rng, width = self.rng, self.rng.choice((32, 64))
        if rng.random() < 0.15:
            op = rng.choice(UNARY)
            self.builder.alu(op, self.number(), None, 64)
            return
        op = rng.choice(BINARY)
        if op in SHIFTS and rng.random() < 0.8:
            value = rng.randrange(width)
        elif op in (Arithmetic.DIV, Arithmetic.MOD, Arithmetic.SDIV, Arithmetic.SMOD):
            value = rng.choice((1, 3, 8, 100, self.number()))
        else:
            value = rng.choice((self.number(), self.constant()))
        if op is Arithmetic.MOV and rng.random() < 0.3:
            op = rng.choice((Arithmetic.MOVSX8, Arithmetic.MOVSX16))
            value = self.number()
        self.builder.alu(op, self.number(), value, width)

    def guard(self) -> None:
        """Leave where the packet is shorter than something, in one of the spellings."""
        b, length = self.builder, self.rng.choice(GUARDED)
        go_on = b.new_label("enough")
        b.mov(R1, DATA).alu(Arithmetic.ADD, R1, length)
        spelled = self.rng.choice(
            (
                (Condition.LE, R1, DATA_END), (Condition.GE, DATA_END, R1),
                (Condition.LT, R1, DATA_END), (Condition.GT, DATA_END, R1),
            )
        )  # fmt: skip
        b.jump_if(*spelled, go_on)
        self.leave()
        b.label(go_on).mov(R1, self.constant())
        self.reach = max(self.reach, length)
        if self.rng.random() < 0.4:
            # The last byte that there is, or the first one that may not be.
            b.load(8, self.number(), DATA, length if self.mistake() else length - 1)

    def leave(self) -> None:
        self.builder.mov(R0, self.rng.randrange(4)).exit()

    def inside(self, width: int) -> int | None:
        """Return an offset in what guards have shown, or a wrong one."""
        size = width // 8
        if self.mistake():
            return self.rng.choice(
                (self.reach, self.reach - size + 1, self.reach - size + 1, 60, -1)
            )
        return self.rng.randrange(self.reach - size + 1) if self.reach >= size else None

    def load_packet(self) -> None:
        width = self.rng.choice(WIDTHS)
        offset = self.inside(width)
        if offset is not None:
            signed = width < 64 and self.rng.random() < 0.3
            self.builder.load(width, self.number(), DATA, offset, signed=signed)

    def store_packet(self) -> None:
        width = self.rng.choice(WIDTHS)
        offset = self.inside(width)
        if offset is not None:
            self.builder.store(width, DATA, offset, self.number())

    def load_variable(self) -> None:
        """Load at an offset that is computed, behind a guard of its own."""
        b, rng, size = self.builder, self.rng, self.rng.choice((1, 2, 4))
        index, pointer, end = R2, R3, R4
        kind = rng.randrange(4)
        skip = b.new_label("skip")
        if kind == 0:
            b.alu(Arithmetic.AND, index, rng.choice((15, 63, 255)))
        elif kind == 1:
            b.jump_if(Condition.GT, index, rng.choice((9, 50, 200)), skip)
        elif kind == 2:
            b.alu(Arithmetic.MOV, index, index, 32)
            b.jump_if(Condition.GE, index, rng.choice((9, 50, 0xFFF0)), skip, 32)
        else:
            b.jump_if(Condition.SGT, index, 30, skip)
            if not self.mistake():
                b.jump_if(Condition.SLT, index, 0, skip)
        b.mov(pointer, DATA).alu(Arithmetic.ADD, pointer, index)
        before = rng.choice((0, 0, 4))
        b.alu(Arithmetic.ADD, pointer, before)
        b.mov(end, pointer).alu(Arithmetic.ADD, end, size)
        if not self.mistake():
            b.jump_if(Condition.GT, end, DATA_END, skip)
        b.load(8 * size, R9, pointer, -before if self.mistake() else 0)
        b.label(skip)
        for register in (pointer, end):
            b.mov(register, self.constant())

    def place(self, width: int) -> int:
        size = width // 8
        return -self.rng.randrange(1, 64 // size + 1) * size

    def use_stack(self) -> None:
        b, rng, width = self.builder, self.rng, self.rng.choice(WIDTHS)
        place = self.place(width)
        covered = set(range(place, place + width // 8))
        if rng.random() < 0.5 and (covered <= self.written or self.mistake()):
            b.load(width, self.number(), R10, place)
        else:
            b.store(width, R10, place, rng.choice((self.number(), self.constant())))
            self.written |= covered

    def atomic(self) -> None:
        width = self.rng.choice((32, 64))
        place = self.place(width)
        covered = set(range(place, place + width // 8))
        if covered <= self.written or self.mistake():
            op = self.rng.choice(tuple(Atomic))
            self.builder.atomic(op, width, R10, place, self.number())

    def keep_pointer(self) -> None:
        """Keep a pointer on the stack and get it back."""
        b = self.builder
        b.store(64, R10, -72, DATA)
        for _ in range(self.rng.randrange(2)):
            self.arithmetic()
        b.load(64, DATA, R10, -72)

    def after_call(self) -> None:
        for register in (R1, R2, R3, R4, R5):
            if not self.mistake():
                self.builder.mov(register, self.constant())

    def copy_packet(self) -> None:
        b, size = self.builder, self.rng.choice((1, 4, 8))
        b.mov(R2, self.number()).mov(R1, CONTEXT).mov(R3, R10)
        b.alu(Arithmetic.ADD, R3, -80)
        b.mov(R4, size)
        b.call(189)
        self.after_call()
        b.load(8, R9, R10, -80)

    def array_value(self) -> None:
        """Look a value up, and change it if it is there."""
        b, rng, skip = self.builder, self.rng, self.builder.new_label("no")
        b.store(32, R10, -84, rng.choice((0, 3, 9, self.number())))
        b.wide(R1, self.maps.array, Wide.MAP_FD)
        b.mov(R2, R10).alu(Arithmetic.ADD, R2, -84)
        b.call(1)
        if rng.random() < 0.5:
            b.mov(R9, R0)
        if not self.mistake():
            b.jump_if(Condition.EQ, R0, 0, skip)
        self.after_call()
        if rng.random() < 0.5:
            b.alu(Arithmetic.AND, R2, 7)
            b.alu(Arithmetic.ADD, R0, R2)
        width = rng.choice(WIDTHS)
        b.store(width, R0, rng.choice((0, 1, 8 if self.mistake() else 0)), 5)
        b.load(width, R3, R0, 0)
        b.label(skip)
        for register in (R0, R9):
            b.mov(register, self.constant())
        self.after_call()

    def hash_update(self) -> None:
        b = self.builder
        for place in (-120, -112, -104, -96):
            if not self.mistake():
                b.store(64, R10, place, 7)
        b.wide(R1, self.maps.hash, Wide.MAP_FD)
        b.mov(R2, R10).alu(Arithmetic.ADD, R2, -120)
        b.mov(R3, R10).alu(Arithmetic.ADD, R3, -120)
        b.mov(R4, 0)
        b.call(2)
        self.after_call()

    def record(self) -> None:
        b, skip = self.builder, self.builder.new_label("full")
        b.wide(R1, self.maps.ring, Wide.MAP_FD)
        b.mov(R2, 16).mov(R3, 0)
        b.call(131)
        b.jump_if(Condition.EQ, R0, 0, skip)
        b.store(64, R0, 12 if self.mistake() else 8, 1)
        b.mov(R1, R0).mov(R2, 0)
        if not self.mistake():
            b.call(self.rng.choice((132, 133)))
        b.label(skip).mov(R0, 0)
        self.after_call()

    def call_function(self) -> None:
        if not self.functions or self.rng.random() < 0.5:
            self.functions.append(self.builder.new_label("function"))
        b = self.builder
        b.mov(R1, self.rng.choice((DATA, R10, self.number())))
        if self.rng.random() < 0.8:
            b.mov(R1, self.constant())
        b.call_local(self.rng.choice(self.functions))
        self.after_call()

    def function(self, name: str) -> None:
        b, rng = self.builder, self.rng
        b.label(name)
        b.mov(R0, R1).alu(Arithmetic.MOV, R6, R1)
        b.store(64, R10, -8, R6)
        done = b.new_label("done")
        b.jump_if(rng.choice((Condition.EQ, Condition.GT)), R0, 5, done)
        b.load(64, R0, R10, -8)
        b.label(done)
        b.mov(R0, rng.randrange(3)).exit()

    def branch(self, depth: int) -> None:
        b, rng, skip = self.builder, self.rng, self.builder.new_label("skip")
        test = rng.choice(tuple(Condition))
        value = rng.choice((self.number(), self.constant(), self.constant()))
        b.jump_if(test, self.number(), value, skip, rng.choice((32, 64)))
        reach, written = self.reach, set(self.written)
        for _ in range(rng.randrange(1, 4)):
            self.statement(depth + 1)
        b.label(skip)
        self.reach, self.written = reach, written

    def merge(self, depth: int) -> None:
        """Set a register differently on two ways."""
        b, rng = self.builder, self.rng
        other, done = b.new_label("other"), b.new_label("done")
        register = self.number()
        b.jump_if(rng.choice((Condition.EQ, Condition.SLT)), self.number(), 5, other)
        b.mov(register, self.constant()).jump(done)
        b.label(other).mov(register, rng.choice((self.constant(), self.number())))
        b.label(done)
        del depth

    def loop(self, depth: int) -> None:
        """Count up or down, in R5, which the body is told to leave alone by its own counter."""
        b, rng, place = self.builder, self.rng, -128 - 8 * depth
        again, times = b.new_label("again"), rng.randrange(1, 6)
        b.store(64, R10, place, 0)
        b.label(again)
        reach, written = self.reach, set(self.written)
        for _ in range(rng.randrange(1, 3)):
            self.statement(depth + 2)
        self.reach, self.written = reach, written
        b.load(64, R5, R10, place)
        b.alu(Arithmetic.ADD, R5, 0 if rng.random() < 0.1 * self.mistakes else 1)
        b.store(64, R10, place, R5)
        b.jump_if(rng.choice((Condition.LT, Condition.NE, Condition.SLT)), R5, times, again)


NUMBERED = Numbers()


FEW_MISTAKES = (0.0, 0.0, 0.02, 0.1)
MORE_MISTAKES = (0.0, 0.02, 0.1, 0.3)


def plausible_program(rng: random.Random, maps: Numbers = NUMBERED, mistakes=FEW_MISTAKES):
    """Return a random program of about ten statements; `mistakes` has the rates to choose from."""
    return Plausible(rng, maps, rng.choice(mistakes)).program(rng.randrange(3, 14))
