"""Random functions in LLVM's language, for what it makes of them for BPF."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


class RandomFunction:
    """LLVM IR of a function that does random things with a pointer and four numbers."""

    def __init__(self, rng: random.Random, cpu: int) -> None:
        self.rng = rng
        self.cpu = cpu
        self.lines: list[str] = []
        self.values: dict[int, list[str]] = {64: ["%a", "%b"], 32: ["%c", "%d"]}
        self.made = 0

    def new(self, width: int | None, text: str) -> str:
        self.made += 1
        name = f"%v{self.made}"
        self.lines.append(f"  {name} = {text}")
        if width is not None:
            self.values[width].append(name)
        return name

    def value(self, width: int) -> str:
        if self.rng.random() < 0.2:
            return str(self.rng.choice((0, 1, 7, -3, 4096, 1 << (width - 2), 0x7FFFFFFF)))
        return self.rng.choice(self.values[width])

    def address(self) -> str:
        return self.new(None, f"getelementptr i8, ptr %p, i64 {self.rng.randint(-64, 64) * 8}")

    def step(self) -> None:
        rng, width = self.rng, self.rng.choice((32, 64))
        kind = f"i{width}"
        match rng.randrange(9):
            case 0 | 1:
                op = rng.choice(("add", "sub", "mul", "and", "or", "xor"))
                self.new(width, f"{op} {kind} {self.value(width)}, {self.value(width)}")
            case 2:
                signed = ("sdiv", "srem") if self.cpu >= 4 else ()
                op = rng.choice(("udiv", "urem", *signed))
                divisor = rng.choice(self.values[width])
                self.new(width, f"{op} {kind} {self.value(width)}, {divisor}")
            case 3:
                op = rng.choice(("shl", "lshr", "ashr"))
                shifted = rng.choice(self.values[width])
                self.new(width, f"{op} {kind} {shifted}, {rng.choice(self.values[width])}")
            case 4:
                small = rng.choice((8, 16, 32))
                part = self.new(None, f"load i{small}, ptr {self.address()}")
                if small < width:
                    self.new(width, f"{rng.choice(('sext', 'zext'))} i{small} {part} to {kind}")
            case 5:
                size = rng.choice((8, 16, 32, 64))
                number = self.value(64)
                part = number if size == 64 else self.new(None, f"trunc i64 {number} to i{size}")
                self.lines.append(f"  store i{size} {part}, ptr {self.address()}")
            case 6 if self.cpu >= 3:
                op = rng.choice(("add", "and", "or", "xor", "xchg"))
                order = rng.choice(("monotonic", "seq_cst"))
                place, value = self.address(), self.value(width)
                old = self.new(None, f"atomicrmw {op} ptr {place}, {kind} {value} {order}")
                if rng.random() < 0.7:
                    self.values[width].append(old)
            case 7 if self.cpu >= 3:
                pair = self.new(
                    None,
                    f"cmpxchg ptr {self.address()}, {kind} {self.value(width)}, "
                    f"{kind} {self.value(width)} seq_cst seq_cst",
                )
                self.new(width, f"extractvalue {{{kind}, i1}} {pair}, 0")
            case _:
                self.convert()

    def convert(self) -> None:
        rng, values = self.rng, self.values
        match rng.randrange(6):
            case 0:
                self.new(32, f"trunc i64 {rng.choice(values[64])} to i32")
            case 1:
                b = rng.choice((8, 16))
                small = self.new(None, f"trunc i64 {rng.choice(values[64])} to i{b}")
                self.new(64, f"sext i{b} {small} to i64")
                self.new(32, f"sext i{b} {small} to i32")
            case 2:
                self.new(64, f"sext i32 {rng.choice(values[32])} to i64")
            case 3:
                self.new(64, f"call i64 @llvm.bswap.i64(i64 {rng.choice(values[64])})")
                half = self.new(None, f"trunc i64 {rng.choice(values[64])} to i16")
                turned = self.new(None, f"call i16 @llvm.bswap.i16(i16 {half})")
                self.new(64, f"zext i16 {turned} to i64")
                word = self.new(32, f"call i32 @llvm.bswap.i32(i32 {rng.choice(values[32])})")
                self.new(64, f"zext i32 {word} to i64")
            case 4:
                called = self.new(None, f"inttoptr i64 {rng.choice(values[64])} to ptr")
                self.new(64, f"call i64 {called}(i64 {self.value(64)})")
            case _:
                helper = rng.randrange(1, 200)
                self.new(64, f"call i64 inttoptr (i64 {helper} to ptr)(i64 {self.value(64)})")
                size = rng.choice(("byte", "half", "word"))
                self.new(64, f"call i64 @llvm.bpf.load.{size}(ptr %p, i64 {self.value(64)})")

    def text(self, name: str) -> str:
        """Return the function: steps, a comparison, and more steps on both ways."""
        for _ in range(self.rng.randrange(2, 10)):
            self.step()
        width = self.rng.choice((32, 64))
        predicate = self.rng.choice(
            ["eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"]
        )
        first, second = self.rng.choice(self.values[width]), self.value(width)
        test = self.new(None, f"icmp {predicate} i{width} {first}, {second}")
        self.lines.append(f"  br i1 {test}, label %yes, label %no")
        before = {width: list(values) for width, values in self.values.items()}
        for label in ("yes", "no"):
            self.lines.append(f"{label}:")
            self.values = {width: list(values) for width, values in before.items()}
            for _ in range(self.rng.randrange(1, 6)):
                self.step()
            wide = self.new(64, f"zext i32 {self.values[32][-1]} to i64")
            total = self.new(64, f"xor i64 {self.values[64][-2]}, {wide}")
            self.lines.append(f"  ret i64 {total}")
        arguments = "ptr %p, i64 %a, i64 %b, i32 %c, i32 %d"
        return "\n".join([f"define i64 @{name}({arguments}) {{", *self.lines, "}"])


DECLARATIONS = "\n".join(
    [f"declare i{bits} @llvm.bswap.i{bits}(i{bits})" for bits in (16, 32, 64)]
    + [f"declare i64 @llvm.bpf.load.{size}(ptr, i64)" for size in ("byte", "half", "word")]
)
