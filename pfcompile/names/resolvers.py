"""Three places to look names up: the system, a caller's own lists, and nowhere.

======================  ==================  ==================  ==========================
what                    `SystemResolver`    `StaticResolver`    `NoNames`
======================  ==================  ==================  ==========================
host                    hosts(5), DNS       the caller's        refused
network                 networks(5)         the caller's        refused
Ethernet address        ethers(5)           the caller's        refused
service, protocol       the system, else    the caller's, else  the shipped tables; others
                        the shipped tables  the shipped tables  are refused
decimal port            itself              itself              itself
======================  ==================  ==================  ==========================

The tables that are shipped are `pfcompile.facts.services` and `pfcompile.facts.ip_protocols`. They
step in only for names that the system does not have at all: an administrator's entry is never
mixed with ours, since which protocols a name has decides what it means.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pfcompile.facts.ip_protocols import PROTOCOL_NAMES
from pfcompile.names.answers import Host, LookupRefused, Service, numeric_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PATIENCE: Final = 2.0
"""Seconds that a look-up may take before `on_slow` is told."""


class SystemResolver:
    """Looks names up where the system's other programs do.

    A host's name may be asked of a name server. How long that takes when none answers is the
    system's affair (resolv.conf(5): five seconds for each server and attempt, by default), and
    Python cannot end it early; `on_slow` makes the wait known.

    Networks and Ethernet addresses come from their files alone, not from NIS or DNS.

    Args:
        on_slow: Called once, from another thread, with the name of a host whose look-up has taken
            `patience` seconds.
        patience: Seconds.
        networks: What to read instead of /etc/networks.
        ethers: What to read instead of /etc/ethers.
    """

    def __init__(
        self,
        *,
        on_slow: Callable[[str], None] | None = None,
        patience: float = PATIENCE,
        networks: Path | str = "/etc/networks",
        ethers: Path | str = "/etc/ethers",
    ) -> None:
        self._on_slow = on_slow
        self._patience = patience
        self._networks = networks
        self._ethers = ethers

    def host(self, name: str) -> Host | None:
        """Return the addresses of a host, or None. Source: getaddrinfo(3)."""
        if not name or "\0" in name:
            return None
        import socket  # noqa: PLC0415 - for names only

        try:
            # As bytes, since Python would refuse some names (a label too long) before asking.
            raw = name.encode("utf-8", "surrogateescape")
            with self._noticed(name):
                found = socket.getaddrinfo(
                    raw, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
                )
        except (OSError, UnicodeError):
            return None
        families = (socket.AF_INET, socket.AF_INET6)
        # A link-local address may name its interface behind a percent sign; a packet does not.
        texts = [
            str(address[0]).partition("%")[0] for family, *_, address in found if family in families
        ]
        return Host.of(texts) if texts else None

    def network(self, name: str) -> int | None:
        """Return a network's number, 1 to 2^32-1, or None. Source: networks(5)."""
        from pfcompile.names.tables import find_network  # noqa: PLC0415 - for these names only

        # Zero is how libpcap says "no such network", so a network of that number has no name.
        return find_network(self._networks, name) or None

    def service(self, name: str) -> Service | None:
        """Return a service's ports, or None. Source: services(5)."""
        numeric = numeric_service(name)
        if numeric is not None:
            return numeric
        listed = Service(*(_system_port(name, protocol) for protocol in ("tcp", "udp", "sctp")))
        return _shipped_service(name) if listed == Service() else listed

    def protocol(self, name: str) -> int | None:
        """Return a protocol's number, or None. Source: protocols(5)."""
        import socket  # noqa: PLC0415 - for names only

        try:
            return socket.getprotobyname(name)
        except (OSError, ValueError):
            return PROTOCOL_NAMES.get(name)

    def ethernet(self, name: str) -> int | None:
        """Return a host's Ethernet address, 48 bits, or None. Source: ethers(5)."""
        from pfcompile.names.tables import find_ethernet  # noqa: PLC0415 - for these names only

        return find_ethernet(self._ethers, name)

    @contextmanager
    def _noticed(self, name: str) -> Iterator[None]:
        """Tell `on_slow` if what is done inside takes longer than `patience`."""
        if self._on_slow is None:
            yield
            return
        import threading  # noqa: PLC0415 - for names only

        timer = threading.Timer(self._patience, self._on_slow, (name,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class NoNames:
    """Never asks the system: for `--no-names`, and wherever the same filter must mean the same.

    Services and protocols in the shipped tables are understood, since nothing has to be looked up
    for them; whoever switches names off to spare a name server still writes `port http`. Every
    other name is refused.
    """

    def host(self, name: str) -> Host | None:
        """Refuse.

        Raises:
            LookupRefused: Always.
        """
        raise LookupRefused("host", name)

    def network(self, name: str) -> int | None:
        """Refuse.

        Raises:
            LookupRefused: Always.
        """
        raise LookupRefused("network", name)

    def service(self, name: str) -> Service | None:
        """Return a shipped service's ports.

        Raises:
            LookupRefused: It is not in the shipped table.
        """
        found = numeric_service(name) or _shipped_service(name)
        if found is None:
            raise LookupRefused("service", name)
        return found

    def protocol(self, name: str) -> int | None:
        """Return a shipped protocol's number.

        Raises:
            LookupRefused: It is not in the shipped table.
        """
        number = PROTOCOL_NAMES.get(name)
        if number is None:
            raise LookupRefused("protocol", name)
        return number

    def ethernet(self, name: str) -> int | None:
        """Refuse.

        Raises:
            LookupRefused: Always.
        """
        raise LookupRefused("ethernet address", name)


class StaticResolver:
    """Knows what its caller tells it: for tests, and for builds that give the same everywhere.

    Names must be spelt as the caller spelt them. Services and protocols that the caller does not
    list come from the shipped tables.

    Args:
        hosts: Name to addresses; `Host.of(["192.0.2.1", "2001:db8::1"])` makes them from text.
        networks: Name to number, 1 to 2^32-1: 0x7f000000 is 127.0.0.0.
        services: Name to ports.
        protocols: Name to number.
        ethers: Name to Ethernet address, 48 bits.
    """

    def __init__(
        self,
        *,
        hosts: Mapping[str, Host] | None = None,
        networks: Mapping[str, int] | None = None,
        services: Mapping[str, Service] | None = None,
        protocols: Mapping[str, int] | None = None,
        ethers: Mapping[str, int] | None = None,
    ) -> None:
        self._hosts = dict(hosts or {})
        self._networks = dict(networks or {})
        self._services = dict(services or {})
        self._protocols = dict(protocols or {})
        self._ethers = dict(ethers or {})

    def host(self, name: str) -> Host | None:
        """Return the addresses of a host, or None."""
        found = self._hosts.get(name)
        return found if found != Host() else None

    def network(self, name: str) -> int | None:
        """Return a network's number, or None."""
        return self._networks.get(name) or None

    def service(self, name: str) -> Service | None:
        """Return a service's ports, or None."""
        return numeric_service(name) or self._services.get(name) or _shipped_service(name)

    def protocol(self, name: str) -> int | None:
        """Return a protocol's number, or None."""
        return self._protocols.get(name, PROTOCOL_NAMES.get(name))

    def ethernet(self, name: str) -> int | None:
        """Return a host's Ethernet address, 48 bits, or None."""
        return self._ethers.get(name)


def _shipped_service(name: str) -> Service | None:
    """Return a service's ports from the table that is shipped, or None."""
    from pfcompile.facts.services import service_ports  # noqa: PLC0415 - a long table

    row = service_ports(name)
    return None if row is None else Service(row.tcp, row.udp, row.sctp)


def _system_port(name: str, protocol: str) -> int | None:
    """Return the port that the system lists for `name`, 0 to 65535, or None."""
    import socket  # noqa: PLC0415 - for names only

    try:
        return socket.getservbyname(name, protocol)
    except (OSError, ValueError):  # ValueError: a NUL, or what is not text
        return None
