"""The network interfaces of this network namespace, and what a capture must know about them.

Everything is asked through a socket: /sys/class/net shows the namespace in which sysfs was mounted,
which need not be this one.

Source: netdevice(7).
"""

from __future__ import annotations

import difflib
import errno
import fcntl
import socket
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from pfcompile.errors import KernelError
from pfcompile.kernel.abi import (
    IFREQ,
    INTERFACE_NAME_BYTES,
    SIOCGIFFLAGS,
    SIOCGIFHWADDR,
    SIOCGIFINDEX,
    SIOCGIFNETMASK,
)

ANY: Final = "any"
"""The name that stands for all interfaces at once, as in tcpdump."""


class Flags(IntFlag):
    """The flags of an interface that are shown to people, linux/if.h."""

    UP = 0x1
    LOOPBACK = 0x8
    RUNNING = 0x40


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface as it is now.

    Attributes:
        name: 1 to 15 bytes.
        index: From 1; 0 is `any`.
        hardware_type: ARPHRD_ number, linux/if_arp.h; None for `any`.
        flags: IFF_ bits, linux/if.h.
    """

    name: str
    index: int
    hardware_type: int | None
    flags: Flags

    def __str__(self) -> str:
        """Return the line that lists it: `2.eth0 [Up, Running]`."""
        words = [
            str(flag.name).capitalize()
            for flag in (Flags.UP, Flags.RUNNING, Flags.LOOPBACK)
            if flag in self.flags
        ]
        return f"{self.index}.{self.name} [{', '.join(words) or 'Down'}]"


ANY_INTERFACE: Final = Interface(ANY, 0, None, Flags.UP | Flags.RUNNING)


def interfaces() -> tuple[Interface, ...]:
    """Return all interfaces in the order of their numbers."""
    found = []
    for _, name in sorted(socket.if_nameindex()):
        try:
            found.append(_look(name))
        except OSError:  # it went away since the list was made
            continue
    return tuple(found)


def find_interface(name: str) -> Interface:
    """Return the interface called `name`, or numbered so in the list, or `any`.

    Raises:
        KernelError: ENODEV; the message holds the nearest names, or all.
    """
    if name == ANY:
        return ANY_INTERFACE
    try:
        return _look(name)
    except (OSError, ValueError):
        pass
    present = interfaces()
    for interface in present:
        if name == str(interface.index):
            return interface
    names = [interface.name for interface in present] + [ANY]
    near = difflib.get_close_matches(name, names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    raise KernelError(f"no interface {name!r}; {hint}", errno.ENODEV)


def ipv4_netmask(interface: Interface) -> int:
    """Return the mask of the interface's first IPv4 address, 0 to 0xffffffff.

    0 where it has none, which is also what tcpdump compiles `ip broadcast` with then.
    """
    try:
        with _inquiry() as sock:
            answer = _ask(sock, SIOCGIFNETMASK, interface.name)
    except OSError:
        return 0
    # struct sockaddr_in: family, port, address in network order.
    (mask,) = struct.unpack_from("!4xI", answer)
    return int(mask)


def interface_index(sock: socket.socket, name: str) -> int:
    """Return the number that an interface has in the network namespace of `sock`.

    Raises:
        OSError: It has none of that name.
    """
    (index,) = struct.unpack_from("=i", _ask(sock, SIOCGIFINDEX, name))
    return int(index)


def _look(name: str) -> Interface:
    """Ask for one interface. OSError where there is none, ValueError where no name can be so."""
    with _inquiry() as sock:
        (hardware_type,) = struct.unpack_from("=H", _ask(sock, SIOCGIFHWADDR, name))
        (flags,) = struct.unpack_from("=H", _ask(sock, SIOCGIFFLAGS, name))
        known = Flags.UP | Flags.RUNNING | Flags.LOOPBACK
        return Interface(name, interface_index(sock, name), hardware_type, Flags(flags) & known)


def _inquiry() -> socket.socket:
    """Return a socket for asking: any will do, and these need no privilege."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _ask(sock: socket.socket, request: int, name: str) -> bytes:
    """Return the union of `struct ifreq` as the kernel filled it for one interface."""
    encoded = name.encode(errors="surrogateescape")
    if not 1 <= len(encoded) <= INTERFACE_NAME_BYTES or 0 in encoded:
        raise ValueError(name)
    answer = fcntl.ioctl(sock.fileno(), request, IFREQ.pack(encoded, b""))
    return bytes(IFREQ.unpack(answer)[1])
