"""Lines of LLVM's language under way: every value gets a name of its own."""

from __future__ import annotations

from itertools import count

TRUE = "true"


class Text:
    """A function's body while it is written.

    Attributes:
        lines: What has been written.
        label: The block that is being written.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.label = "entry"
        self._numbers = count()

    def value(self, computation: str) -> str:
        """Write an instruction and return the name of its value."""
        name = f"%v{next(self._numbers)}"
        self.lines.append(f"  {name} = {computation}")
        return name

    def act(self, instruction: str) -> None:
        """Write an instruction that has no value."""
        self.lines.append(f"  {instruction}")

    def begin(self, label: str) -> None:
        """Begin a block; the one before must have ended."""
        self.lines.append(f"{label}:")
        self.label = label

    def new_label(self) -> str:
        """Return a label that no other block has."""
        return f"n{next(self._numbers)}"

    def both(self, a: str, b: str) -> str:
        """Return the bit that says that `a` and `b` hold."""
        if TRUE in {a, b}:
            return b if a == TRUE else a
        return self.value(f"and i1 {a}, {b}")

    def not_(self, a: str) -> str:
        """Return the bit that says that `a` does not hold."""
        return self.value(f"xor i1 {a}, true")

    def load(self, bits: int, place: str) -> str:
        """Load a number of 8, 16 or 32 bits, wherever it lies, in the machine's byte order."""
        return self.value(f"load i{bits}, ptr {place}, align 1")

    def swapped(self, bits: int, number: str) -> str:
        """Return a number of 16 or 32 bits with its bytes in the opposite order."""
        return self.value(f"call i{bits} @llvm.bswap.i{bits}(i{bits} {number})")
