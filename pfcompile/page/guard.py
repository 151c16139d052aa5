"""Who may ask the server, and the headers that every answer has.

The server listens on the loopback address alone, but any page in the user's browser can send
requests there, and so can every other user of the machine. Hence:

* the Host header must name the loopback address: a name that a foreign page's owner has pointed at
  it (DNS rebinding) is refused;
* a request that says where it comes from (Origin, Sec-Fetch-Site) must come from this server;
* all but the files of the page, which hold nothing of the user's, needs the token, in a header that
  a foreign page cannot set and the browser does not add by itself, as it does a cookie;
* a body has a limit, which is kept while it is read.

Sources: Fetch Metadata (W3C); RFC 6750 for the header; RFC 9110, 7.2 for Host.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

GUARDED: Final = "/api/"
"""Where everything is that needs the token."""

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # No text becomes markup or code, not even by a mistake of ours.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """An ASGI application around another one: refuses, limits, and adds headers."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = f"Bearer {token}".encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        app = self._app if refusal is None else refusal
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Return the answer to who may not ask, or None for who may."""
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return refuse(421, "this server answers to 127.0.0.1 and localhost alone")
        foreign = headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}
        guarded = scope["path"].startswith(GUARDED)
        if headers.get("origin", "") not in {"", *self._origins} or (foreign and guarded):
            return refuse(403, "this request comes from another site")
        given = headers.get("authorization", "").encode()
        if guarded and not hmac.compare_digest(given, self._token):
            return refuse(401, "the token is missing or wrong: open the address that was printed")
        return None


def refuse(status: int, message: str) -> JSONResponse:
    """Return an answer that says why there is no better one."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"refused": message}, status, headers)
