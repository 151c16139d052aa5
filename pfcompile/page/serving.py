"""The socket of `pfcompile serve`, and the server from its start to Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.captures.sources.inputs import name_of
from pfcompile.errors import KernelError, MissingExtraError

try:
    import uvicorn

    from pfcompile.page.app import Service, application
    from pfcompile.page.guard import Guard
    from pfcompile.page.uploads import Uploads
    from pfcompile.page.work import analyse
except ImportError as error:
    raise MissingExtraError("starlette or uvicorn", "serve", "the page") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.page.asked import Filter

ADDRESS: Final = "127.0.0.1"

_CONNECTIONS: Final = 64
_PATIENCE: Final = 1
"""Seconds that requests under way have at the end."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is.

    Attributes:
        port: The TCP port.
        token: What the browser shows to be let in.
        state: What the page shows first, as the part of an address behind `#`.
    """

    port: int
    token: str
    state: str = ""

    def __str__(self) -> str:
        """Return it as a browser takes it.

        The part behind `#` stays in the browser: no log and no Referer header gets the token.
        """
        parts = [f"token={self.token}", *([self.state] if self.state else [])]
        return f"http://{ADDRESS}:{self.port}/#{'&'.join(parts)}"


def serve(
    port: int,
    usual: Filter,
    state: str,
    capture: str | None,
    when_ready: Callable[[Address], None],
) -> None:
    """Answer browsers of this machine until a signal ends it.

    Args:
        port: The TCP port; 0 for any that is free.
        usual: What every expression's meaning hangs on beside its text and its link type.
        state: As in `Address`.
        capture: What `Uploads.take` takes, or None; pages show it first.
        when_ready: Called with the page's address once connections are taken.

    Raises:
        KernelError: The port cannot be had.
        CaptureError: The capture cannot be read.
    """
    # What these signals do otherwise would leave the captures: while the first one is read, and
    # after SIGTERM, which uvicorn ends for and then lets do what it did before.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)
    with closing(_listen(port)) as listening, closing(Uploads()) as uploads:
        address = Address(listening.getsockname()[1], secrets.token_urlsafe(24), state)
        opened = None if capture is None else (uploads.take(capture), name_of(capture))
        service = Service(uploads, usual, opened)
        app = Guard(application(service), token=address.token, port=address.port)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_PATIENCE,
        )
        # It warns of workers that are ended with the loop.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        server = _Server(config, service, lambda: when_ready(address))
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, server.handle_exit)
        with suppress(KeyboardInterrupt):
            server.run([listening])


class _Server(uvicorn.Server):
    """A server that says when it takes connections, and is ready to work by then or soon after."""

    def __init__(
        self, config: uvicorn.Config, service: Service, when_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._when_ready = when_ready
        self._warming: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._when_ready()
        workers, usual = self._service.workers, self._service.usual
        self._warming = asyncio.create_task(workers.warm(analyse, usual))


def _listen(port: int) -> socket.socket:
    """Return a socket that is bound to the loopback address; raises KernelError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose last connections are still closing is free for this.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
    except OSError as error:
        listening.close()
        raise KernelError(
            f"cannot listen on port {port} of {ADDRESS} (--port takes another one, 0 any free one)",
            error.errno or 0,
        ) from error
    return listening
