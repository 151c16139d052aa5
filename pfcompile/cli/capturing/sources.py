"""Where captured packets come from: interfaces, each with its ring and its filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pfcompile.compiler import compile as compile_text
from pfcompile.errors import ProgramError
from pfcompile.kernel.blocks import Copied, Copier, Limits, PythonCopier, Shape, Walk
from pfcompile.kernel.hardware_types import capture_link_type
from pfcompile.kernel.interfaces import find_interface, ipv4_netmask
from pfcompile.kernel.ring import Fanout, Ring
from pfcompile.kernel.ring_programs import Direction, sufficient_optmem

if TYPE_CHECKING:
    from pfcompile.kernel.blocks import Moved, Mover, RecordFormat, Wait
    from pfcompile.kernel.interfaces import Interface
    from pfcompile.names.answers import Resolver
    from pfcompile.program import Program

_NO_LLVM: Final = (ImportError, OSError, RuntimeError, AttributeError)
"""What llvmlite raises where it is missing, broken, or too old to have what is asked of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to capture.

    Attributes:
        text: The expression.
        snaplen: Bytes to keep of each packet.
        optimize: Whether the optimiser runs.
        resolver: Where names are looked up.
        protochain_headers: How many headers `protochain` follows.
        promiscuous: Whether packets to other hosts are asked for.
        buffer_bytes: The size of a ring.
        timeout_ms: How long a packet may wait in it.
        direction: Which packets.
        format: What records are made.
        native: Whether native code makes them; it filters in any case.
    """

    text: str
    snaplen: int
    optimize: bool
    resolver: Resolver
    protochain_headers: int
    promiscuous: bool
    buffer_bytes: int
    timeout_ms: int
    direction: Direction
    format: RecordFormat
    native: bool

    def program(self, interface: Interface) -> Program:
        """Compile the expression for an interface; raises FilterError."""
        return compile_text(
            self.text,
            link_type=capture_link_type(interface).dlt,
            snaplen=self.snaplen,
            netmask=ipv4_netmask(interface),
            optimize=self.optimize,
            live=True,
            resolver=self.resolver,
            protochain_headers=self.protochain_headers,
        )


class Source:
    """An interface that is captured on.

    Attributes:
        ring: Its packets.
        plan: How.
        number: Which of the interfaces it is.
        captured: How many packets it has given.
    """

    def __init__(
        self, plan: Plan, name: str, program: Program, number: int, fanout: Fanout | None = None
    ) -> None:
        """Start capturing; raises KernelError."""
        self.plan = plan
        self.number = number
        self.captured = 0
        self._program = program
        self.ring = Ring(
            name,
            program.instructions,
            promiscuous=plan.promiscuous,
            buffer_bytes=plan.buffer_bytes,
            timeout_ms=plan.timeout_ms,
            direction=plan.direction,
            fanout=fanout,
        )
        self._shape = Shape.of(self.ring, plan.format)
        self._judges = self.ring.user_filter
        self.interpreted = ""
        self._copier = self._new_copier()
        self._mover: Mover | None = None
        self._is_to_move = False

    def copy(self, walk: Walk, limits: Limits) -> Copied:
        """Make records of packets in a block."""
        if self.ring.user_filter is not self._judges:
            self._judges = self.ring.user_filter
            self._copier = self._new_copier()
            self._mover = None
            if self._is_to_move:
                self.prepare_to_move()
        return self._copier.copy(walk, limits)

    def prepare_to_move(self) -> None:
        """Have what moves whole blocks from now on, whenever there is something that does."""
        self._is_to_move = True
        try:
            from pfcompile.jit.ring import NativeCopier, NativeMover  # noqa: PLC0415 - as below

            if isinstance(self._copier, NativeCopier) and not self._copier.judges:
                self._mover = NativeMover(self._copier, self.ring.blocks)
        except _NO_LLVM:
            pass  # then blocks are moved one by one

    def move(self, output: int, wait: Wait) -> Moved | None:
        """Move whole blocks as they come, for as long as there is nothing else to do.

        Args:
            output: The descriptor of the file that records are written to.
            wait: For how long.

        Returns:
            What was moved; None where it has to be done otherwise.
        """
        ring = self.ring
        if not ring.is_settled or self._judges is not None or self._mover is None:
            return None
        moved = self._mover.move(ring.next, output, wait)
        ring.went_on(moved.number)
        self.captured += moved.packets
        return moved

    def exchange(self, plan: Plan, program: Program) -> None:
        """Filter with another expression from now on; raises KernelError."""
        self.ring.exchange(program.instructions)
        self.plan, self._program = plan, program

    def told(self) -> str:
        """Return what is to be said of the filter, if the kernel does not run it."""
        if self.ring.user_filter is None:
            return ""
        how = f"by the interpreter ({self.interpreted})" if self.interpreted else "natively"
        said = f"on {self.ring.interface.name} packets are filtered outside the kernel, {how}"
        count = len(self._program.instructions)
        if "optmem_max" in self.ring.user_reason:
            enough = sufficient_optmem(self._program.instructions)
            return (
                f"{said}: the filter of {count} instructions is too long for net.core.optmem_max;"
                f" to raise it: sudo sysctl -w net.core.optmem_max={enough}"
            )
        return f"{said}: {self.ring.user_reason}"

    def close(self) -> None:
        """End the capture."""
        self._mover = None
        self._copier = PythonCopier(b"", self._shape, snaplen=0)
        self.ring.close()

    def _new_copier(self) -> Copier:
        ring, plan = self.ring, self.plan
        assert ring.memory is not None
        if plan.native or self._judges is not None:
            try:
                from pfcompile.jit.ring import NativeCopier  # noqa: PLC0415 - lines need none

                return NativeCopier(
                    ring.address,
                    ring.block_bytes,
                    self._shape,
                    snaplen=plan.snaplen,
                    interface=self.number,
                    instructions=self._judges,
                )
            except (ProgramError, *_NO_LLVM) as error:
                self.interpreted = str(error)
        return PythonCopier(
            ring.memory,
            self._shape,
            snaplen=plan.snaplen,
            interface=self.number,
            instructions=self._judges,
        )


def open_sources(plan: Plan, names: list[str], workers: int = 1) -> list[list[Source]]:
    """Start capturing on some interfaces.

    A mistake in the expression is found before any privilege is needed.

    Args:
        plan: How.
        names: The interfaces.
        workers: How many share the packets.

    Returns:
        For each worker a source for each interface.

    Raises:
        FilterError: The expression is wrong.
        KernelError: The kernel refused.
    """
    found = [find_interface(name) for name in names]
    programs = [plan.program(interface) for interface in found]
    fanouts = [Fanout() if workers > 1 else None for _ in found]
    opened: list[list[Source]] = []
    try:
        for _ in range(workers):
            opened.append([])
            for number, interface in enumerate(found):
                opened[-1].append(
                    Source(plan, interface.name, programs[number], number, fanouts[number])
                )
        if workers > 1:
            for source in (source for sources in opened for source in sources):
                source.ring.start()
    except BaseException:
        for source in (source for sources in opened for source in sources):
            source.close()
        raise
    return opened


def exchange(sources: list[Source], text: str) -> None:
    """Filter with another expression from now on; where it is wrong, all stays as it is.

    Raises:
        FilterError: The expression is wrong.
        KernelError: The kernel refused.
    """
    plan = replace(sources[0].plan, text=text)
    programs = [plan.program(source.ring.interface) for source in sources]
    for source, program in zip(sources, programs, strict=True):
        source.exchange(plan, program)
