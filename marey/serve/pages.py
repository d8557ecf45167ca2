"""The page of a server: upload a video or show the camera, see what the model says and looks at.

    GET  /                    the page; /page/app.css, /page/app.js
    GET  /page/models.json    where its models answer: ["", "other/"]
    POST /v1/explain          where the model looks (`explaining`)

Its policy lets it load nothing from anywhere else, and run no other script than its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from marey.serve.app import BODY
from marey.serve.documents import OF_VIDEOS, failures
from marey.serve.explaining import Asked, Explained, explain
from marey.serve.refusals import Refused

FOLDER = Path(__file__).parent / "page"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
OTHER = "other"
"""Below which a second model answers."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def with_page(app: FastAPI, other: FastAPI | None = None) -> FastAPI:
    """The app with a page, and with a second model beside its own, if one is given.

    Args:
        app: made by `make_app`.
        other: made so too, of the model that is compared; it answers below /other/.
    """
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in KINDS}

    def file(name: str) -> Response:
        if name not in files:
            raise Refused(404, f"the page has no {name[:80]!r}")
        kind = KINDS[Path(name).suffix]
        return Response(files[name], headers=HEADERS, media_type=f"{kind}; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return file("index.html")

    @app.get("/page/models.json", include_in_schema=False)
    async def models() -> list[str]:
        return ["", f"{OTHER}/"] if other else [""]

    @app.get("/page/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        return file(name)

    add_explain(app)
    if other is not None:
        add_explain(other)
        app.mount(f"/{OTHER}", other)
        app.state.services += other.state.services
        _start_with(app, other)
    return app


def add_explain(app: FastAPI) -> None:
    """Answer where the model of the app looks, too."""

    @app.post("/v1/explain", openapi_extra=BODY, responses=failures(*OF_VIDEOS))
    async def where(
        request: Request,
        label: Annotated[str, Query(max_length=1000)] = "",
        head: Annotated[str, Query(max_length=1000)] = "",
        start: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
        end: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    ) -> Explained:
        """Where the model looks in a video, or a part of it: frames, with heat for a class."""
        return await explain(app.state.service, request, Asked(label, head, start, end))


def _start_with(app: FastAPI, other: FastAPI) -> None:
    """Start and end a mounted app with the one that it is mounted in, which does not do so."""
    own = app.router.lifespan_context

    @asynccontextmanager
    async def both(of: FastAPI) -> AsyncIterator[None]:
        async with own(of), other.router.lifespan_context(other):
            yield

    app.router.lifespan_context = both
