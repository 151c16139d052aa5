"""Where a filter is to be attached: which interface, cgroup or socket."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from pfcompile.errors import KernelError
from pfcompile.facts import link_types
from pfcompile.kernel.attach.rows import ROW_OF, Direction
from pfcompile.kernel.attach.sockets import attach_socket, socket_of
from pfcompile.kernel.bpf.links import (
    AttachType,
    XdpMode,
    attach_cgroup,
    attach_tcx,
    attach_xdp,
)
from pfcompile.kernel.hardware_types import capture_link_type
from pfcompile.kernel.interfaces import find_interface

if TYPE_CHECKING:
    from pathlib import Path

    from pfcompile.kernel.attach.rows import Row
    from pfcompile.kernel.bpf.programs import LoadedProgram
    from pfcompile.kernel.interfaces import Interface

ETHERNET: Final = link_types.number("EN10MB")
BARE_IP: Final = link_types.number("RAW")

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_TCX: Final = {Direction.INGRESS: AttachType.TCX_INGRESS, Direction.EGRESS: AttachType.TCX_EGRESS}
_CGROUP: Final = {
    Direction.INGRESS: AttachType.CGROUP_INET_INGRESS,
    Direction.EGRESS: AttachType.CGROUP_INET_EGRESS,
}


class Hold(Protocol):
    """What keeps a program where it is; see `bpf.links.Link`."""

    def update(self, program: LoadedProgram) -> None:
        """Replace the program in one step."""

    def is_attached(self) -> bool:
        """Tell whether packets still meet it."""

    def pin(self, path: str | Path) -> Path:
        """Keep it after this process."""

    def detach(self) -> None:
        """Take the program off, even where this is pinned."""

    def close(self) -> None:
        """Give it up: the program goes unless it is pinned."""


@dataclass(frozen=True, slots=True)
class _OnInterface:
    """An interface.

    Attributes:
        interface: Its name, in the network namespace of the thread that attaches.
    """

    interface: str

    @property
    def attach_type(self) -> int:
        """What the program has to be loaded for: nothing in particular."""
        return 0

    @property
    def dlt(self) -> int | None:
        """The link type that filters there are compiled for; None where that is not known."""
        return _dlt_of(_interface(self.interface))


@dataclass(frozen=True, slots=True)
class Xdp(_OnInterface):
    """What comes in on an interface, before the kernel does anything with it.

    Attributes:
        mode: Where the program runs.
    """

    mode: XdpMode = XdpMode.BEST

    @property
    def row(self) -> Row:
        """What is found there."""
        return ROW_OF["xdp"]

    def attach(self, program: LoadedProgram) -> Hold:
        """Attach a program; raises KernelError."""
        return attach_xdp(program, _interface(self.interface).index, self.mode)

    def __str__(self) -> str:
        mode = "" if self.mode is XdpMode.BEST else f", {self.mode.name.lower()}"
        return f"xdp on {self.interface}{mode}"


@dataclass(frozen=True, slots=True)
class Tc(_OnInterface):
    """What comes in on an interface or goes out, at tc: where taps such as tcpdump's are.

    Attributes:
        direction: In or out.
        first: Whether the program comes before others that are there, instead of behind them.
    """

    direction: Direction = Direction.INGRESS
    first: bool = False

    @property
    def row(self) -> Row:
        """What is found there."""
        return ROW_OF["tc"]

    def attach(self, program: LoadedProgram) -> Hold:
        """Attach a program; raises KernelError."""
        index = _interface(self.interface).index
        return attach_tcx(program, index, _TCX[self.direction], first=self.first)

    def __str__(self) -> str:
        return f"tc on {self.interface}, {self.direction.value}"


@dataclass(frozen=True, slots=True)
class Cgroup:
    """What all processes of a cgroup receive or send, from the IP header on.

    Attributes:
        folder: The cgroup's, in a file system of type cgroup2.
        direction: Received or sent.
    """

    folder: str
    direction: Direction = Direction.INGRESS

    @property
    def row(self) -> Row:
        """What is found there."""
        return ROW_OF["cgroup"]

    @property
    def attach_type(self) -> int:
        """What the program has to be loaded for."""
        return _CGROUP[self.direction]

    @property
    def dlt(self) -> int | None:
        """The link type that filters there are compiled for."""
        return BARE_IP

    def attach(self, program: LoadedProgram) -> Hold:
        """Attach a program; raises KernelError."""
        return attach_cgroup(program, self.folder, _CGROUP[self.direction])

    def __str__(self) -> str:
        return f"cgroup {self.folder}, {self.direction.value}"


@dataclass(frozen=True, slots=True)
class Socket:
    """What a socket gets.

    Packet sockets see packets from the link layer on. Internet sockets see them from behind the IP
    header on; filters for them are compiled for bare IP all the same, and find it. There a filter
    sees no payload that lies in another piece than the headers, and `len` leaves the IP header out.

    Attributes:
        sock: The socket.
        force: Whether another filter that it has may go, which does not come back.
    """

    sock: socket.socket
    force: bool = False

    @property
    def row(self) -> Row:
        """What is found there."""
        return _row_of(self.sock)

    @property
    def attach_type(self) -> int:
        """What the program has to be loaded for: nothing in particular."""
        return 0

    @property
    def dlt(self) -> int | None:
        """The link type that filters there are compiled for; None where that is not known."""
        return _dlt_of_socket(self.sock)

    def attach(self, program: LoadedProgram) -> Hold:
        """Attach a program; raises KernelError."""
        return attach_socket(program, lambda: nullcontext(self.sock), force=self.force)

    def __str__(self) -> str:
        return f"socket {os.getpid()}:{self.sock.fileno()}"


@dataclass(frozen=True, slots=True)
class ProcessSocket:
    """What a socket of another process gets; as `Socket`.

    Attributes:
        process: The process's number.
        descriptor: The number of the socket's file descriptor there.
        force: As of `Socket`.
    """

    process: int
    descriptor: int
    force: bool = False

    @property
    def row(self) -> Row:
        """What is found there; raises KernelError."""
        with self._borrow() as sock:
            return _row_of(sock)

    @property
    def attach_type(self) -> int:
        """What the program has to be loaded for: nothing in particular."""
        return 0

    @property
    def dlt(self) -> int | None:
        """The link type that filters there are compiled for; raises KernelError."""
        with self._borrow() as sock:
            return _dlt_of_socket(sock)

    def attach(self, program: LoadedProgram) -> Hold:
        """Attach a program; raises KernelError."""
        return attach_socket(program, _Lender(self), force=self.force)

    def _borrow(self) -> closing[socket.socket]:
        return closing(socket_of(self.process, self.descriptor))

    def __str__(self) -> str:
        return f"socket {self.process}:{self.descriptor}"


Place: TypeAlias = Xdp | Tc | Cgroup | Socket | ProcessSocket
"""Where a filter can be attached."""


class _Lender:
    """Lends another process's socket, and no other one that has come in its place.

    To keep a copy of it would keep it open when that process closes it.
    """

    def __init__(self, place: ProcessSocket) -> None:
        self._place = place
        self._number: int | None = None

    def __call__(self) -> closing[socket.socket]:
        sock = socket_of(self._place.process, self._place.descriptor)
        number = os.fstat(sock.fileno()).st_ino
        if self._number not in {None, number}:
            sock.close()
            raise ProcessLookupError
        self._number = number
        return closing(sock)


def _interface(name: str) -> Interface:
    """Return an interface by its name or number; raises KernelError."""
    found = find_interface(name)
    if found.hardware_type is None:
        raise KernelError(
            f"'{name}' stands for all interfaces, a program is attached to one", errno.ENODEV
        )
    return found


def _dlt_of(interface: Interface) -> int | None:
    dlt = capture_link_type(interface).dlt
    return dlt if dlt in {ETHERNET, BARE_IP} else None


def _row_of(sock: socket.socket) -> Row:
    return ROW_OF["network socket" if sock.family in _INTERNET else "packet socket"]


def _dlt_of_socket(sock: socket.socket) -> int | None:
    if sock.family in _INTERNET:
        return BARE_IP
    if sock.family != socket.AF_PACKET:
        return None
    if sock.type == socket.SOCK_DGRAM:
        return BARE_IP
    name = sock.getsockname()[0]
    return _dlt_of(_interface(name)) if name else ETHERNET
