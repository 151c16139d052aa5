"""Names looked up once: an explanation reads an expression many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pfcompile.names.answers import LookupRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.names.answers import Host, Resolver, Service

T = TypeVar("T")


class Remembering:
    """Asks another resolver for each name once, and remembers what it refused too."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._answers: dict[tuple[str, str], object] = {}

    def host(self, name: str) -> Host | None:
        """Return the addresses of a host, or None."""
        return self._asked("host", name, self._resolver.host)

    def network(self, name: str) -> int | None:
        """Return a network's number, or None."""
        return self._asked("network", name, self._resolver.network)

    def service(self, name: str) -> Service | None:
        """Return a service's ports, or None."""
        return self._asked("service", name, self._resolver.service)

    def protocol(self, name: str) -> int | None:
        """Return a protocol's number, or None."""
        return self._asked("protocol", name, self._resolver.protocol)

    def ethernet(self, name: str) -> int | None:
        """Return a host's Ethernet address, or None."""
        return self._asked("ethernet", name, self._resolver.ethernet)

    def _asked(self, kind: str, name: str, ask: Callable[[str], T]) -> T:
        key = (kind, name)
        if key not in self._answers:
            try:
                self._answers[key] = ask(name)
            except LookupRefused as refusal:
                self._answers[key] = refusal
        answer = self._answers[key]
        if isinstance(answer, LookupRefused):
            raise answer
        return answer  # type: ignore[return-value]  # what `ask` gave under this key
