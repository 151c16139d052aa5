"""Lines of LLVM's language under way: every value gets a name of its own.

What is computed twice in one block is computed once: filters that run side by side share what they
have in common, and LLVM needs no pass for it. So whatever is written through `value` must be
without effect, and nothing that it reads may be stored to within the block.
"""

from __future__ import annotations

from itertools import count
from typing import Final

from pfcompile.ir.arithmetic import WORD

TRUE: Final = "true"
FALSE: Final = "false"


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
        self._computed: dict[str, str] = {}
        self._bounds: dict[str, int] = {}

    def value(self, computation: str, *, most: int = WORD) -> str:
        """Write an instruction, if it is new in this block, and return the name of its value.

        Args:
            computation: The instruction.
            most: The greatest number that it can give, where that is known.
        """
        name = self._computed.get(computation)
        if name is None:
            name = self._computed[computation] = f"%v{next(self._numbers)}"
            self.lines.append(f"  {name} = {computation}")
            self._bounds[name] = most
        return name

    def most(self, name: str) -> int:
        """Return the greatest number that a value of 32 bits can be; a constant is itself."""
        return int(name) if name.isdecimal() else self._bounds.get(name, WORD)

    def act(self, instruction: str) -> None:
        """Write an instruction that has no value."""
        self.lines.append(f"  {instruction}")

    def begin(self, label: str) -> None:
        """Begin a block; the one before must have ended."""
        self.lines.append(f"{label}:")
        self.label = label
        self._computed.clear()

    def new_label(self) -> str:
        """Return a label that no other block has."""
        return f"n{next(self._numbers)}"

    def both(self, a: str, b: str) -> str:
        """Return the bit that says that `a` and `b` hold."""
        if FALSE in {a, b}:
            return FALSE
        if TRUE in {a, b}:
            return b if a == TRUE else a
        return self.value(f"and i1 {a}, {b}")

    def either(self, a: str, b: str) -> str:
        """Return the bit that says that `a` or `b` holds."""
        if TRUE in {a, b}:
            return TRUE
        if FALSE in {a, b}:
            return b if a == FALSE else a
        return self.value(f"or i1 {a}, {b}")

    def not_(self, a: str) -> str:
        """Return the bit that says that `a` does not hold."""
        return self.value(f"xor i1 {a}, true")

    def load(self, bits: int, place: str) -> str:
        """Load a number of 8, 16 or 32 bits, wherever it lies, in the machine's byte order."""
        return self.value(f"load i{bits}, ptr {place}, align 1", most=(1 << bits) - 1)

    def swapped(self, bits: int, number: str) -> str:
        """Return a number of 16 or 32 bits with its bytes in the opposite order."""
        swap = f"call i{bits} @llvm.bswap.i{bits}(i{bits} {number})"
        return self.value(swap, most=(1 << bits) - 1)
