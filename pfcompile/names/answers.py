"""What a look-up gives, and what a resolver is.

Four kinds of names stand in filters: hosts, networks, services (ports) and protocols; a fifth,
the names of Ethernet addresses, is for `ether host NAME` and `gateway NAME`. Numbers in answers
are as they stand in a packet, read big-endian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ADDRESSES: Final = 100
"""Most addresses of one family that `host NAME` takes; a resolver gives all that there are."""

_PORT_BITS = 0xFFFF
_LARGEST_INT = 0x7FFFFFFF


class LookupRefused(PfcompileError):  # noqa: N818 -- what a user asked for, not a failure
    """A name would have to be looked up outside, which this resolver does not do.

    Attributes:
        kind: What sort of name: "host", "network", "service", "protocol" or "ethernet address".
        name: The name.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{kind} '{name}' was not looked up: names are switched off")


class Host(NamedTuple):
    """Addresses of a host: 32-bit and 128-bit numbers, each family ascending, none twice."""

    ipv4: tuple[int, ...] = ()
    ipv6: tuple[int, ...] = ()

    @classmethod
    def of(cls, addresses: Iterable[str]) -> Host:
        """Return the host with these addresses, written as inet_pton(3) reads them.

        Raises:
            ValueError: One of them is neither an IPv4 nor an IPv6 address.
        """
        families: dict[int, set[int]] = {4: set(), 16: set()}
        for text in addresses:
            packed = _packed_address(text)
            families[len(packed)].add(int.from_bytes(packed, "big"))
        return cls(tuple(sorted(families[4])), tuple(sorted(families[16])))


class Service(NamedTuple):
    """Ports of a service, 0 to 65535; None where the protocol has no port of that name."""

    tcp: int | None = None
    udp: int | None = None
    sctp: int | None = None


class NamedPort(NamedTuple):
    """What `port NAME` asks for.

    Attributes:
        port: 0 to 65535.
        protocol: "tcp" or "udp" where the name says so, None for any protocol with ports.
    """

    port: int
    protocol: str | None


class Resolver(Protocol):
    """Where names are looked up.

    Every method returns None for a name that does not exist, and may raise `LookupRefused`.
    Nothing else is raised, whatever characters the name holds.
    """

    def host(self, name: str) -> Host | None:
        """Return the addresses of a host, of which there is at least one."""
        ...

    def network(self, name: str) -> int | None:
        """Return a network's number, 1 to 2^32-1, as getnetbyname(3) gives it in host order."""
        ...

    def service(self, name: str) -> Service | None:
        """Return a service's ports, of which there is at least one. Decimal digits are a port."""
        ...

    def protocol(self, name: str) -> int | None:
        """Return an IP protocol's number; a system may know some above 255."""
        ...

    def ethernet(self, name: str) -> int | None:
        """Return a host's Ethernet address, 48 bits."""
        ...


def interpret_service(service: Service | None) -> NamedPort | None:
    """Return what a port's name means, or None if it means nothing.

    The same port of TCP and UDP stands for that port of any protocol; a name that differs between
    the two, or that only one of them has, for that protocol (TCP where they differ). SCTP is not
    asked, so a name that only SCTP has is unknown.

    Source: pcap_nametoport(), pcap-filter(7).
    """
    match service:
        case Service(tcp=int(tcp), udp=int(udp)) if tcp == udp:
            return NamedPort(tcp, None)
        case Service(tcp=int(tcp)):
            return NamedPort(tcp, "tcp")
        case Service(udp=int(udp)):
            return NamedPort(udp, "udp")
        case _:
            return None


def numeric_service(name: str) -> Service | None:
    r"""Return the port that a word of decimal digits is, or None for another word.

    `port \80` gets here, since the backslash makes a name of the number. As in getaddrinfo(3) the
    number wraps to 16 bits, so that `port \65536` is port 0; leading zeros do not make it octal.
    A number that does not fit into a C int is no port.
    """
    if not (name.isascii() and name.isdigit()):
        return None
    significant = name.lstrip("0") or "0"
    # Python refuses to convert thousands of digits; more than ten do not fit anyway.
    if len(significant) > len(str(_LARGEST_INT)) or int(significant) > _LARGEST_INT:
        return None
    port = int(significant) & _PORT_BITS
    return Service(port, port, port)


def _packed_address(text: str) -> bytes:
    """Return 4 or 16 bytes for an address."""
    import socket  # noqa: PLC0415 - for names only

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
    raise ValueError(f"not an IP address: {text!r}")
