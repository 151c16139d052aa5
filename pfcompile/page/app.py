"""What the server answers, by path.

==========================  ======================================================================
`GET /`, `GET /static/...`  the files of the page
`GET /api/start`            version, link types, limits, the capture to begin with
`POST /api/analysis`        {text, link_type, savefile}: `analysis.Analysis`
`POST /api/meaning`         {text, link_type, savefile}: `meaning.Meaning`
`POST /api/comparison`      {a, b, link_type, savefile}: `comparison.Comparison`
`POST /api/captures`        the bytes of a capture: `packets.Contents`
`POST /api/contents`        {capture}: `packets.Contents`
`POST /api/packets`         {capture, text, link_type, savefile}: `packets.Outcome`
`POST /api/why`             {capture, text, link_type, savefile, number}: `course.Course`
==========================  ======================================================================

All but the first need the token. An answer is the JSON of what is named, or {refused: why}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pfcompile import __version__
from pfcompile.facts.link_types import LINK_TYPES
from pfcompile.page import work
from pfcompile.page.guard import refuse
from pfcompile.page.uploads import LARGEST, TooLargeError, Uploads
from pfcompile.page.workers import OutOfTimeError, Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pfcompile.page.asked import Filter

Given = TypeVar("Given")

STATIC: Final = Path(__file__).parent / "static"

LONGEST_TEXT: Final = 1 << 18
"""Bytes of a request that holds expressions."""

COMPILE_SECONDS: Final = 15.0
PROVE_SECONDS: Final = 30.0
CAPTURE_SECONDS: Final = 30.0
"""How long the work for one request may take."""


@dataclass(frozen=True, slots=True)
class Service:
    """What requests are answered with.

    Attributes:
        uploads: The captures that were handed over.
        usual: What every expression's meaning hangs on beside its text and its link type.
        opened: The capture that pages show first, by its identifier, and its name; or None.
        workers: Where the work is done.
    """

    uploads: Uploads
    usual: Filter
    opened: tuple[str, str] | None = None
    workers: Workers = field(default_factory=Workers)


def application(service: Service) -> Starlette:
    """Return the server's application, which `guard.Guard` has to stand in front of."""

    async def start(_request: Request) -> Response:
        types = [
            {"name": row.name, "description": row.description}
            for row in sorted(LINK_TYPES, key=lambda row: (row.name != "EN10MB", row.name))
        ]
        limits = {"capture": LARGEST, "text": LONGEST_TEXT}
        begin = {"version": __version__, "link_types": types, "limits": limits}
        return JSONResponse({**begin, "opened": service.opened})

    async def analysis(request: Request) -> Response:
        asked = await _asked(request, "text", "link_type", savefile=bool)
        return await answer(request, COMPILE_SECONDS, work.analyse, filter_of(asked))

    async def meaning(request: Request) -> Response:
        asked = await _asked(request, "text", "link_type", savefile=bool)
        return await answer(request, PROVE_SECONDS, work.explain, filter_of(asked))

    async def comparison(request: Request) -> Response:
        asked = await _asked(request, "a", "b", "link_type", savefile=bool)
        pair = (filter_of(asked, asked["a"]), filter_of(asked, asked["b"]))
        return await answer(request, PROVE_SECONDS, work.compare, pair)

    async def captures(request: Request) -> Response:
        try:
            name = await service.uploads.keep(request.stream())
        except TooLargeError as error:
            return refuse(413, str(error))
        return await answer(request, CAPTURE_SECONDS, work.describe_capture, uploaded(name))

    async def contents(request: Request) -> Response:
        asked = await _asked(request, "capture")
        given = uploaded(asked["capture"])
        return await answer(request, CAPTURE_SECONDS, work.describe_capture, given)

    async def packets(request: Request) -> Response:
        asked = await _asked(request, "capture", "text", "link_type", savefile=bool)
        given = (uploaded(asked["capture"]), filter_of(asked))
        return await answer(request, CAPTURE_SECONDS, work.run_over_capture, given)

    async def why(request: Request) -> Response:
        asked = await _asked(request, "capture", "text", "link_type", savefile=bool, number=int)
        given = (uploaded(asked["capture"]), filter_of(asked), asked["number"])
        return await answer(request, CAPTURE_SECONDS, work.explain_packet, given)

    def filter_of(asked: dict[str, Any], text: str | None = None) -> Filter:
        return replace(
            service.usual,
            text=asked["text"] if text is None else text,
            link_type=asked["link_type"],
            savefile=asked["savefile"],
        )

    def uploaded(name: str) -> work.Uploaded:
        path = service.uploads.path(name)
        if path is None:
            raise HTTPException(404, "the capture is no longer there: open it again")
        return work.Uploaded(name, str(path))

    async def answer(
        request: Request, seconds: float, function: Callable[[Given], bytes], given: Given
    ) -> Response:
        found = await service.workers.run(request, seconds, function, given)
        # Nobody hears the answer to what nobody waits for; there must be one all the same.
        return Response(b"{}" if found is None else found, media_type="application/json")

    routes = [
        Route("/", _page, methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/api/start", start, methods=["GET"]),
        *(
            Route(f"/api/{each.__name__}", each, methods=["POST"])
            for each in (analysis, meaning, comparison, captures, contents, packets, why)
        ),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: _refuse_request,
        OutOfTimeError: _out_of_time,
        MemoryError: _out_of_memory,
        anyio.BrokenWorkerProcess: _broken,
        ClientDisconnect: _nobody,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


async def _page(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _asked(request: Request, *texts: str, **others: type) -> dict[str, Any]:
    """Return the JSON object of a request, which must have these texts and others.

    Raises:
        HTTPException: It has not, or is too long.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_TEXT:
            raise HTTPException(413, f"an expression may have {LONGEST_TEXT >> 10} KiB")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the request is no JSON") from None
    wanted = {**dict.fromkeys(texts, str), **others}
    if not isinstance(asked, dict) or not all(
        type(asked.get(name)) is kind for name, kind in wanted.items()
    ):
        raise HTTPException(400, f"the request needs: {', '.join(wanted)}")
    return asked


async def _refuse_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refuse(error.status_code, error.detail)


async def _out_of_time(_request: Request, error: Exception) -> Response:
    return refuse(503, f"it {error}, and was given up")


async def _out_of_memory(_request: Request, _error: Exception) -> Response:
    return refuse(503, "it took too much memory, and was given up")


async def _broken(_request: Request, _error: Exception) -> Response:
    return refuse(503, "what worked on it has ended, perhaps for want of memory")


async def _nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)
