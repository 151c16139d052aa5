"""How packet bytes get into A and X, one class for each way.

The plan of `guards` says where to ask for a length. Ways that tell by themselves whether a byte is
there ask for none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pfcompile.ebpf.isa import R0, R1, R2, R3, R4, R5, R10, Arithmetic, Condition
from pfcompile.ebpf.translate.registers import (
    BOUND,
    BUFFER,
    CONTEXT,
    DATA,
    DATA_END,
    HEADER,
    LENGTH,
    SCRATCH,
    A,
    X,
)
from pfcompile.ebpf.translate.targets import Access
from pfcompile.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.ebpf.isa import Register
    from pfcompile.ebpf.translate.emission import Emission
    from pfcompile.ebpf.translate.guards import Group

_SWAPS: Final[Mapping[int, Arithmetic]] = MappingProxyType(
    {16: Arithmetic.BE16, 32: Arithmetic.BE32}
)
"""From network byte order, by width in bits."""

_FARTHEST_FIELD: Final = 0x7FFF
"""The largest offset that a load instruction holds."""

_FROM_NETWORK: Final = 1
"""BPF_HDR_START_NET, linux/bpf.h."""


class Indirect(NamedTuple):
    """A load at X + k, modulo 2**32, into A.

    Attributes:
        k: The constant, signed.
        width: 8, 16 or 32.
        group: The loads that share a guard with this one.
        is_first: Whether it is the first of them.
        is_disguised: Whether the verifier must not see X in an address.
    """

    k: int
    width: int
    group: Group
    is_first: bool
    is_disguised: bool


class Packets(Protocol):
    """One way to read packet bytes."""

    @property
    def reaches_headers(self) -> bool:
        """Whether constant offsets in HEADER_OFFSETS count from the kernel's headers."""

    def begin(self) -> None:
        """Add what has to be done once, with the context in CONTEXT."""

    def guard(self, length: int) -> None:
        """Leave with "no match" if the packet is shorter than `length`."""

    def load(self, dst: Register, offset: int, width: int) -> None:
        """Load `width` bits at `offset` into A or X; a guard for them has been asked for."""

    def load_indirect(self, load: Indirect) -> None:
        """Load what `load` says."""

    def forget(self) -> None:
        """Make the verifier forget how long the packet is."""


@dataclass
class Direct:
    """Through pointers to the packet's first byte and its end."""

    emission: Emission
    reaches_headers: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Fetch both pointers."""
        form = self.emission.form
        if form.data is None or form.data_end is None:
            raise InternalError(f"the row of {form.target.name} lacks its pointers")
        self.emission.fetch(DATA, form.data)
        self.emission.fetch(DATA_END, form.data_end)

    def guard(self, length: int) -> None:
        """Compare an address with the packet's end."""
        self._guard(DATA, length)

    def load(self, dst: Register, offset: int, width: int) -> None:
        """Load from the address, or from one nearer by."""
        base = DATA
        if offset > _FARTHEST_FIELD:
            self.emission.builder.mov(SCRATCH, DATA).alu(Arithmetic.ADD, SCRATCH, offset)
            base, offset = SCRATCH, 0
        self._load(dst, base, offset, width)

    def load_indirect(self, load: Indirect) -> None:
        """Load from the address that the first load of the group has made.

        The sum wraps in 32 bits as in classic BPF; to the rest of the group it cannot wrap any
        more, since what is guarded lies inside the packet.
        """
        if load.is_first:
            self._point_at(load)
        self._load(A, HEADER, load.k - load.group.lowest, load.width)

    def forget(self) -> None:
        """Fetch the address anew: what is known about the length is known about an address."""
        if self.emission.form.data is not None:
            self.emission.fetch(DATA, self.emission.form.data)

    def _point_at(self, load: Indirect) -> None:
        group, index = load.group, X
        if load.is_disguised:
            index = self.emission.disguise(SCRATCH, X)
        b, form = self.emission.builder, self.emission.form
        # Not X + k but k + X: what is X plus a constant, the verifier follows as that, and then
        # minds how large the constant is.
        b.mov(HEADER, group.lowest, 32).alu(Arithmetic.ADD, HEADER, index, 32)
        if form.is_bounded:
            most = form.farthest - group.span
            b.jump_if(Condition.GT, HEADER, most, self.emission.no_match())
        b.alu(Arithmetic.ADD, HEADER, DATA)
        self._guard(HEADER, group.span)

    def _guard(self, base: Register, length: int) -> None:
        b = self.emission.builder
        b.mov(BOUND, base).alu(Arithmetic.ADD, BOUND, length)
        b.jump_if(Condition.GT, BOUND, DATA_END, self.emission.no_match())

    def _load(self, dst: Register, base: Register, offset: int, width: int) -> None:
        self.emission.builder.load(width, dst, base, offset)
        if width in _SWAPS:
            self.emission.builder.alu(_SWAPS[width], dst)


@dataclass
class Legacy:
    """By LD_ABS and LD_IND, which end the program with 0 where there is no such byte.

    Where "no match" is another number than 0, the length is compared before.
    """

    emission: Emission
    _is_guarded: bool = field(init=False)

    def __post_init__(self) -> None:
        self._is_guarded = self.emission.verdicts.no_match != 0

    @property
    def reaches_headers(self) -> bool:
        """Whether LD_ABS may say by itself that there is no such byte: no length tells before."""
        return not self._is_guarded

    def begin(self) -> None:
        """Fetch the length, where it is compared with."""
        if self._is_guarded:
            self.emission.fetch(LENGTH, self.emission.form.length)

    def guard(self, length: int) -> None:
        """Compare the length, where that is needed."""
        if self._is_guarded:
            b = self.emission.builder
            b.jump_if(Condition.LT, LENGTH, length, self.emission.no_match())

    def load(self, dst: Register, offset: int, width: int) -> None:
        """Load into R0, which is A."""
        self.emission.keep_a(dst)
        self.emission.builder.packet(width, offset)
        if dst is not A:
            self.emission.builder.mov(dst, R0)
        self.emission.give_back_a(dst)

    def load_indirect(self, load: Indirect) -> None:
        """Load relative to X, which the kernel adds to k in 32 bits."""
        b = self.emission.builder
        if not self._is_guarded:
            b.packet(load.width, load.k, X)
            return
        index = self.emission.disguise(SCRATCH, X) if load.is_disguised else X
        b.mov(SCRATCH, index, 32).alu(Arithmetic.ADD, SCRATCH, load.k, 32)
        b.mov(BOUND, SCRATCH).alu(Arithmetic.ADD, BOUND, load.width // 8)
        b.jump_if(Condition.GT, BOUND, LENGTH, self.emission.no_match())
        b.packet(load.width, 0, SCRATCH)

    def forget(self) -> None:
        """Do nothing: the verifier learns no length."""


@dataclass
class Helpers:
    """By a helper that copies to the stack, and says whether it could."""

    emission: Emission
    reaches_headers: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Do nothing."""

    def guard(self, length: int) -> None:
        """Do nothing: each call tells."""

    def load(self, dst: Register, offset: int, width: int) -> None:
        """Copy from a constant offset."""
        self.emission.keep_a(dst)
        self.emission.builder.mov(R2, offset, 32)
        self._copy(dst, width)
        self.emission.give_back_a(dst)

    def load_indirect(self, load: Indirect) -> None:
        """Copy from X + k."""
        b = self.emission.builder
        b.mov(R2, X, 32)
        if load.k:
            b.alu(Arithmetic.ADD, R2, load.k, 32)
        self._copy(A, load.width)

    def forget(self) -> None:
        """Do nothing: the verifier learns no length."""

    def _copy(self, dst: Register, width: int) -> None:
        """Add the call for the offset in R2. It refuses offsets above 2**31 - 1."""
        b, helper = self.emission.builder, self.emission.form.load_helper
        if helper is None:
            raise InternalError(f"the row of {self.emission.form.target.name} lacks its helper")
        b.mov(R1, CONTEXT)
        b.mov(R3, R10).alu(Arithmetic.ADD, R3, BUFFER)
        b.mov(R4, width // 8)
        if self.emission.form.is_from_network:
            b.mov(R5, _FROM_NETWORK)
        b.call(helper)
        b.jump_if(Condition.NE, R0, 0, self.emission.no_match())
        b.load(width, dst, R10, BUFFER)
        if width in _SWAPS:
            b.alu(_SWAPS[width], dst)


WAYS: Final[Mapping[Access, Callable[[Emission], Packets]]] = MappingProxyType(
    {Access.DIRECT: Direct, Access.LEGACY: Legacy, Access.HELPERS: Helpers}
)
"""The classes by how packets are read."""
