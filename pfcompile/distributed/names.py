"""Names in the expression mean on every machine what they mean where the command was given.

The first compilation, before any task, asks; what it was told goes along with the tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pfcompile.names.resolvers import SystemResolver

if TYPE_CHECKING:
    from pfcompile.names.answers import Host, Resolver, Service


class Remembering:
    """Asks another resolver, and asks it nothing twice.

    A copy on another machine knows the answers. What has not been asked, as another link type
    might need it, is asked there: of the system, if the system was asked here.
    """

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._resolver = SystemResolver() if resolver is None else resolver
        self._known: dict[tuple[str, str], Any] = {}

    def host(self, name: str) -> Host | None:
        """Return the addresses of a host, or None."""
        found: Host | None = self._ask("host", name)
        return found

    def network(self, name: str) -> int | None:
        """Return a network's number, or None."""
        found: int | None = self._ask("network", name)
        return found

    def service(self, name: str) -> Service | None:
        """Return a service's ports, or None."""
        found: Service | None = self._ask("service", name)
        return found

    def protocol(self, name: str) -> int | None:
        """Return a protocol's number, or None."""
        found: int | None = self._ask("protocol", name)
        return found

    def ethernet(self, name: str) -> int | None:
        """Return a host's Ethernet address, or None."""
        found: int | None = self._ask("ethernet", name)
        return found

    def _ask(self, kind: str, name: str) -> Any:
        if (kind, name) not in self._known:
            self._known[kind, name] = getattr(self._resolver, kind)(name)
        return self._known[kind, name]

    def __getstate__(self) -> dict[str, Any]:
        # The system's resolver may have something to call that cannot go along.
        of_system = isinstance(self._resolver, SystemResolver)
        resolver = SystemResolver() if of_system else self._resolver
        return {"_resolver": resolver, "_known": self._known}
