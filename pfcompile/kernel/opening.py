"""What every capture begins and ends with: a packet socket, bound to an interface.

The socket is made for no protocol, which receives nothing; only after its filter is attached is it
bound. So no packet that the filter rejects is ever in its queue.

Sources: packet(7); linux/if_packet.h.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.kernel.abi import (
    ETH_P_ALL,
    PACKET_ADD_MEMBERSHIP,
    PACKET_MR_PROMISC,
    PACKET_MREQ,
    SOCKADDR_LL,
    SOL_PACKET,
)
from pfcompile.kernel.interfaces import interface_index
from pfcompile.kernel.refusals import Operation, refused

if TYPE_CHECKING:
    from pfcompile.errors import KernelError
    from pfcompile.kernel.interfaces import Interface

MAX_SNAPLEN: Final = 262144
"""The most bytes of a packet that are kept, and how many are when nobody says, as in tcpdump."""

TAG_OFFSETS: Final = {1: 12, 113: 14}
"""Where a VLAN tag goes that the kernel took out, by DLT: before the EtherType. Other link types
get none back, as in libpcap."""

_UNREGISTER_SECONDS: Final = 0.2
"""How long an interface that is being removed may still be found, down, before it is gone."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.bind.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.bind.restype = ctypes.c_int


class Statistics(NamedTuple):
    """What the kernel counted since the socket was opened.

    Attributes:
        received: Packets that the filter accepted, dropped ones included.
        dropped: Those of them that the full queue had no room for.
    """

    received: int
    dropped: int


def open_socket(*, cooked: bool) -> socket.socket:
    """Return a packet socket that receives nothing yet.

    Args:
        cooked: Whether the packets come without their link-layer header.

    Raises:
        KernelError: CAP_NET_RAW is missing.
    """
    kind = socket.SOCK_DGRAM if cooked else socket.SOCK_RAW
    try:
        return socket.socket(socket.AF_PACKET, kind, 0)
    except OSError as error:
        raise refused(Operation.OPEN, error) from error


def bind(sock: socket.socket, interface: Interface) -> None:
    """Let packets in. A bind to an interface that is down succeeds, with an error pending.

    Raises:
        KernelError: The interface is down or away.
    """
    address = SOCKADDR_LL.pack(
        socket.AF_PACKET, socket.htons(ETH_P_ALL), interface.index, 0, 0, 0, b""
    )
    # Through libc, because socket.bind() takes a name, and `any` has none.
    if _libc.bind(sock.fileno(), address, len(address)) != 0:
        raise refused(Operation.BIND, ctypes.get_errno(), interface.name)
    pending = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if pending:
        raise refused(Operation.BIND, pending, interface.name)


def enter_promiscuous_mode(sock: socket.socket, interface: Interface) -> None:
    """Ask for packets to other hosts; the kernel takes it back when the socket is closed.

    Raises:
        KernelError: The interface is away.
    """
    request = PACKET_MREQ.pack(interface.index, PACKET_MR_PROMISC, 0, b"")
    try:
        sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
    except OSError as error:
        raise refused(Operation.PROMISCUOUS, error, interface.name) from error


def interface_lost(sock: socket.socket, interface: Interface, error: OSError) -> KernelError:
    """Return what says whether the interface is gone or only down."""
    # One that is removed goes down first; look again until it must be gone.
    deadline = time.monotonic() + _UNREGISTER_SECONDS
    while time.monotonic() < deadline:
        try:
            index = interface_index(sock, interface.name)
        except OSError:
            index = 0
        if index != interface.index:
            return refused(Operation.RECEIVE, errno.ENODEV, interface.name)
        time.sleep(_UNREGISTER_SECONDS / 20)
    return refused(Operation.RECEIVE, error, interface.name)
