"""Packets from an interface through memory that the kernel shares: a TPACKET_V3 ring.

The kernel fills blocks, each with many packets, and hands over one that is full or has waited for
its time; who reads it gives it back. So a wake-up is for hundreds of packets, and none is copied by
a system call. As in `packet_socket`, the filter is attached before the socket is bound.

A filter that the kernel cannot run stays with the reader: the kernel then takes all packets.

Sources: Documentation/networking/packet_mmap.rst; net/packet/af_packet.c of Linux 6.18.
"""

from __future__ import annotations

import ctypes
import errno
import math
import mmap
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.errors import KernelError
from pfcompile.kernel import socket_filter
from pfcompile.kernel.abi import (
    BLOCK_STATUS,
    PACKET_FANOUT,
    PACKET_FANOUT_FLAG_UNIQUEID,
    PACKET_FANOUT_HASH,
    PACKET_IGNORE_OUTGOING,
    PACKET_RX_RING,
    PACKET_STATISTICS,
    PACKET_VERSION,
    SOL_PACKET,
    TP_STATUS_USER,
    TPACKET_BLOCK_DESC,
    TPACKET_REQ3,
    TPACKET_STATS_V3,
    TPACKET_V3,
)
from pfcompile.kernel.hardware_types import ARPHRD_LOOPBACK, capture_link_type, cooked_header
from pfcompile.kernel.interfaces import ANY, Interface, find_interface
from pfcompile.kernel.membarrier import wait_for_handlers
from pfcompile.kernel.opening import (
    Statistics,
    bind,
    enter_promiscuous_mode,
    interface_lost,
    open_socket,
)
from pfcompile.kernel.refusals import Operation, refused
from pfcompile.kernel.ring_programs import ACCEPT, REJECT, Direction, directed, for_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.facts.link_types import LinkType

DEFAULT_BUFFER_BYTES: Final = 16 << 20
"""The ring's size. It takes up a burst of 100,000 small packets, for as long as a reader that
shares its processor with the sender may have to wait for it."""

LEAST_BLOCK_BYTES: Final = 512 * 1024
"""A block's size where the ring is small. The longest packet fits."""
_MOST_BLOCK_BYTES: Final = 2 << 20
"""A block's size where there is room: each that is waited for has to be woken up for, with cold
caches. A quarter of it takes a third more processor time; twice as much gains nothing."""

_LEAST_BLOCKS: Final = 8
_LEAST_SECONDS: Final = 0.32
"""So long packets may be left in the ring that come one by one, and fill no block."""

_FRAME_BYTES: Final = 2048
"""The kernel wants a number here and does not use it, in this version."""

_COUNT: Final = struct.Struct("@I")

_SETTLED_SECONDS: Final = 1
"""So long after the kernel has begun to filter, what another processor has let in is over."""

_PATIENCE: Final = 4
"""A block under way is handed over within two timeouts; nobody waits for longer than this many."""


class Block(NamedTuple):
    """A block of the ring that is the reader's until it is released.

    Attributes:
        number: Which one.
        first: Where in the ring its first packet is.
        packets: How many it has.
    """

    number: int
    first: int
    packets: int


class Blocks(NamedTuple):
    """All blocks of a ring.

    Attributes:
        address: Where they begin in this process's memory.
        size: The bytes of each.
        number: How many there are.
        descriptor: The file descriptor that can be read when one is handed over.
    """

    address: int
    size: int
    number: int
    descriptor: int


class Fanout:
    """Rings that share the packets of an interface, each flow in one of them."""

    def __init__(self) -> None:
        self._number: int | None = None

    def join(self, sock: socket.socket) -> None:
        """Add a ring, which is bound already; raises OSError."""
        if self._number is None:
            option = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16
            sock.setsockopt(SOL_PACKET, PACKET_FANOUT, option)
            self._number = sock.getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF
        else:
            sock.setsockopt(SOL_PACKET, PACKET_FANOUT, self._number | PACKET_FANOUT_HASH << 16)


class Ring:
    """A capture on one interface, or on `any`; a context manager.

    Attributes:
        interface: What is captured on.
        link_type: What each packet begins with, and so what the filter must be compiled for.
        header: What is put before packets that come without their own; or None.
        memory: The blocks.
        block_bytes: How large each is.
        user_filter: What the reader has to filter with; None where the kernel does it.
        user_reason: Why.
    """

    def __init__(
        self,
        interface: str,
        instructions: Sequence[Instruction],
        *,
        promiscuous: bool = True,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
        timeout_ms: int = 100,
        direction: Direction = Direction.BOTH,
        fanout: Fanout | None = None,
    ) -> None:
        """Start capturing.

        Args:
            interface: A name, a number from the list of interfaces, or `any`.
            instructions: A filter for the interface's link type. What it returns for a match is
                how many bytes are captured.
            promiscuous: Ask for packets to other hosts as well; `any` cannot.
            buffer_bytes: The ring's size, rounded up to two blocks of 512 KB at least.
            timeout_ms: When a block is handed over that is not full, at least 1.
            direction: Which packets.
            fanout: What the ring shares its interface's packets with. Then nothing is captured
                until `start` is called.

        Raises:
            KernelError: No such interface; CAP_NET_RAW is missing; the interface is down, or of
                a kind that cannot be captured; the filter was refused.
            ProgramError: The filter cannot be represented.
        """
        self.interface: Interface = find_interface(interface)
        self.link_type: LinkType = capture_link_type(self.interface)
        self.header = cooked_header(self.link_type)
        self.user_filter: Sequence[Instruction] | None = None
        self.user_reason = ""
        self.memory: mmap.mmap | None = None
        self._timeout_ms = timeout_ms
        self._direction = direction
        self._instructions = instructions
        self.block_bytes = _block_bytes(buffer_bytes, timeout_ms)
        self._blocks = max(2, -(-buffer_bytes // self.block_bytes))
        self._next = 0
        self._received = self._dropped = 0
        self._counting = threading.Lock()
        self._exchanging = threading.Lock()
        self._leaves_user_filter_at: int | None = None
        self._ended: OSError | None = None
        self._ends_at = 0.0
        self._is_still = False
        self._status: list[ctypes.c_uint32] = []
        self._socket = open_socket(cooked=self.header is not None)
        try:
            self._configure()
            if fanout is None:
                self.exchange(instructions)
            else:
                socket_filter.attach(REJECT, self._socket)
            bind(self._socket, self.interface)
            if fanout is not None:
                self._join(fanout)
            if promiscuous and self.interface.name != ANY:
                enter_promiscuous_mode(self._socket, self.interface)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def address(self) -> int:
        """Where in this process's memory the ring is."""
        return ctypes.addressof(self._status[0]) - BLOCK_STATUS

    @property
    def timeout(self) -> float:
        """When a block is handed over that is not full, in seconds."""
        return self._timeout_ms / 1000

    def fileno(self) -> int:
        """Return the socket's file descriptor, for poll()."""
        return self._socket.fileno()

    def start(self) -> None:
        """Let packets into a ring that shares them, once all that share are there.

        Raises:
            KernelError: The filter was refused.
        """
        self.exchange(self._instructions)

    def exchange(self, instructions: Sequence[Instruction]) -> None:
        """Filter with another program from now on, at no moment with none.

        What is in the ring already has passed the one before.

        Raises:
            KernelError: The kernel refused; the filter before stays.
            ProgramError: The filter cannot be represented.
        """
        with self._exchanging:
            self._exchange(instructions)

    def _exchange(self, instructions: Sequence[Instruction]) -> None:
        program, reason = for_kernel(instructions, self.header, self._direction)
        if program is not None:
            try:
                socket_filter.attach(program, self._socket)
            except KernelError as error:
                if error.errno != errno.ENOMEM:
                    raise
                reason = str(error)
            else:
                self._kernel_filters(instructions)
                return
        # First the reader filters, then the kernel no longer does.
        self.user_filter, self.user_reason = instructions, reason
        self._leaves_user_filter_at = None
        socket_filter.attach(directed(ACCEPT, self._direction), self._socket)
        if program is None:
            return
        try:  # where there was room for one program, but not for two
            socket_filter.attach(program, self._socket)
        except KernelError as error:
            if error.errno != errno.ENOMEM:
                raise
        else:
            self._kernel_filters(instructions)

    def take(self) -> Block | None:
        """Return the next block; None where the kernel has not handed it over.

        After `end`, the block under way is handed over as well.

        Raises:
            KernelError: The interface went down or away, and all packets before were taken.
        """
        assert self.memory is not None
        if not self._is_ready():
            if self._ended is not None and self.is_empty():
                raise interface_lost(self._socket, self.interface, self._ended) from self._ended
            return None
        start = self._next * self.block_bytes
        _, count, offset, _, seconds, _ = TPACKET_BLOCK_DESC.unpack_from(self.memory, start)
        if self._leaves_user_filter_at is not None:
            self._leave_user_filter(seconds)
        return Block(self._next, start + offset, count)

    @property
    def blocks(self) -> Blocks:
        """Its blocks."""
        return Blocks(self.address, self.block_bytes, self._blocks, self.fileno())

    @property
    def next(self) -> int:
        """The number of the block that is handed over next."""
        return self._next

    @property
    def is_settled(self) -> bool:
        """Whether all blocks have passed the kernel's filter, and more will come."""
        return self.user_filter is None and self._ended is None and not self._ends_at

    def went_on(self, number: int) -> None:
        """Go on at a block; those before were taken and released by somebody else."""
        self._next = number

    def _leave_user_filter(self, seconds: int) -> None:
        """Leave filtering to the kernel from a block on, if what is in it came late enough."""
        with self._exchanging:  # by another thread, perhaps
            leaves_at = self._leaves_user_filter_at
            if leaves_at is not None and seconds > leaves_at:
                self.user_filter, self._leaves_user_filter_at = None, None

    def release(self, block: Block) -> None:
        """Give a block back to the kernel."""
        assert self.memory is not None
        # The kernel sets the count anew, but perhaps not at once; until then it must not mislead.
        _COUNT.pack_into(self.memory, block.number * self.block_bytes + BLOCK_STATUS + 4, 0)
        self._status[block.number].value = 0
        self._next = (block.number + 1) % self._blocks

    def is_empty(self) -> bool:
        """Return whether there is no packet in the ring, also none in a block under way."""
        if self._status[self._next].value & TP_STATUS_USER:
            return False
        return self._count() == 0

    def end(self) -> None:
        """Let nothing more in; what is in the ring can still be taken."""
        socket_filter.attach(REJECT, self._socket)
        self._ends_at = time.monotonic() + self.timeout * _PATIENCE
        self._is_still = wait_for_handlers()

    def is_done(self) -> bool:
        """Return whether the ring is empty after `end`."""
        if self._is_ready():
            return False
        return self.is_empty() or time.monotonic() > self._ends_at

    def _is_ready(self) -> bool:
        """Return whether the next block can be taken.

        To one under way nobody adds any more once all is still; so it need not be waited for until
        the kernel hands it over.
        """
        if self._status[self._next].value & TP_STATUS_USER:
            return True
        return self._is_still and self._count() > 0

    def _count(self) -> int:
        """Return how many packets the next block has."""
        assert self.memory is not None
        start = self._next * self.block_bytes
        _, count, *_ = TPACKET_BLOCK_DESC.unpack_from(self.memory, start)
        return int(count)

    def look_for_loss(self) -> None:
        """Find out what is wrong, when poll() says that something is (POLLERR)."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            error = OSError(number, "")
            if number not in {errno.ENETDOWN, errno.ENODEV}:
                raise refused(Operation.RECEIVE, error, self.interface.name)
            self._ended = error

    def statistics(self) -> Statistics:
        """Return what the kernel counted so far.

        Raises:
            KernelError: The socket is closed.
        """
        with self._counting:
            try:
                counts = self._socket.getsockopt(
                    SOL_PACKET, PACKET_STATISTICS, TPACKET_STATS_V3.size
                )
            except OSError as error:
                raise refused(Operation.CONFIGURE, error) from error
            received, dropped, _ = TPACKET_STATS_V3.unpack(counts)
            self._received += received
            self._dropped += dropped
            return Statistics(self._received, self._dropped)

    def close(self) -> None:
        """End the capture; calling it again does nothing."""
        self._socket.close()
        self._status.clear()
        if self.memory is not None:
            self.memory.close()
            self.memory = None

    def _configure(self) -> None:
        """Have the kernel make the ring, and map it."""
        size = self._blocks * self.block_bytes
        frames = size // _FRAME_BYTES
        request = TPACKET_REQ3.pack(
            self.block_bytes, self._blocks, _FRAME_BYTES, frames, self._timeout_ms, 0, 0
        )
        # Packets that leave through the loopback interface come in again a moment later.
        is_loopback = self.interface.hardware_type == ARPHRD_LOOPBACK
        ignores = self._direction is Direction.IN or (
            is_loopback and self._direction is Direction.BOTH
        )
        try:
            if ignores:
                self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
            self.memory = mmap.mmap(self._socket.fileno(), size)
        except OSError as error:
            raise refused(Operation.CONFIGURE, error) from error
        self._status = [
            ctypes.c_uint32.from_buffer(self.memory, number * self.block_bytes + BLOCK_STATUS)
            for number in range(self._blocks)
        ]

    def _join(self, fanout: Fanout) -> None:
        try:
            fanout.join(self._socket)
        except OSError as error:
            raise refused(Operation.FANOUT, error, self.interface.name) from error

    def _kernel_filters(self, instructions: Sequence[Instruction]) -> None:
        """Note that the kernel does it from now on, and what is unfiltered in the ring."""
        if self.user_filter is not None:
            self.user_filter = instructions
            self._leaves_user_filter_at = int(time.time()) + _SETTLED_SECONDS


def _block_bytes(buffer_bytes: int, timeout_ms: int) -> int:
    """Return how large blocks are: as few as will do, a power of two bytes each."""
    blocks = max(_LEAST_BLOCKS, math.ceil(_LEAST_SECONDS * 1000 / timeout_ms))
    size = LEAST_BLOCK_BYTES
    while size < _MOST_BLOCK_BYTES and 2 * size * blocks <= buffer_bytes:
        size *= 2
    return size
