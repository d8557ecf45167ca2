"""The web application: what may be asked of a server, and what it answers.

    GET  /healthz /readyz /metrics /openapi.json
    GET  /v1/model     the labels of the model, and the limits of the server
    POST /v1/predict   a video (a form's field `file`, or {"url": ...}) -> labels, a timeline
    WS   /v1/stream    JPEG pictures -> labels (`streams`)

Errors are JSON: {"error": {"message": ..., "hint": ...}}.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

import marey
from marey.engine.inference.predict import Predictor
from marey.errors import MareyError, cut_short, did_you_mean
from marey.recipes.compatible import check_pictures
from marey.serve.documents import (
    GUARDED,
    OF_VIDEOS,
    Failed,
    Model,
    Predicted,
    about_model,
    failures,
)
from marey.serve.guards import Guard, check_name
from marey.serve.limits import Limits
from marey.serve.metrics import CONTENT_TYPE, Measured
from marey.serve.refusals import Refused
from marey.serve.responses import respond, response
from marey.serve.service import Asked, Service
from marey.serve.streams import Streams
from marey.serve.urls import AllowedUrl
from marey.timelines.segments import SegmentRule

MOST_LABELS = 1000
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["url"],
                    "properties": {"url": {"type": "string", "format": "uri"}},
                }
            },
        },
    }
}


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    *,
    token: str | None = None,
    allowed_urls: Sequence[str] = (),
    names: Collection[str] = (),
    temporary: Path | None = None,
    rule: SegmentRule | None = None,
    name: str = "",
) -> FastAPI:
    """The application that answers by `predictor`; its `state.service` is what works.

    Args:
        predictor: of a model of videos.
        limits: what it takes; by default `Limits()`.
        token: what who asks must send; nothing is asked for by default.
        allowed_urls: below which videos are fetched (`https://host/folder/`); none by default.
        names: by which the server may be asked, besides addresses and localhost.
        temporary: where uploads lie while they are worked on; by default the system's folder.
        rule: makes timelines of windows; by default each moment shows its likeliest class.
        name: what the model is called; by default as its recipe.

    Raises:
        RunError: the model is not one of videos.
        UrlError: an allowed url is not that of a folder.
        ValueError: the rule names a class that the model has not, or a name is none.
    """
    for each in names:
        check_name(each)
    predictor = predictor.of_videos
    check_pictures(predictor.trained.model.spec, "the server")
    if rule is not None:
        rule.check_classes(predictor.trained.classes)
    allowed = [AllowedUrl(url) for url in allowed_urls]
    service = Service(
        predictor, limits or Limits(), allowed=allowed, temporary=temporary, rule=rule
    )
    streams = Streams(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            service.start()
            yield
        finally:
            streams.close()
            service.close()

    app = FastAPI(
        title="marey",
        summary="What happens in a video, and when.",
        version=marey.__version__,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(_refuse_unknown_words)],
        responses={"default": {"model": Failed, "description": "why there is no answer"}},
    )
    app.state.service, app.state.services = service, [service]
    app.add_middleware(Guard, token=token, names=tuple(names))
    app.add_middleware(Measured, metrics=service.metrics)
    for kind in (Refused, MareyError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)
    _add_health(app, service)
    _add_model(app, service, name)

    @app.websocket("/v1/stream")
    async def stream(
        socket: WebSocket,
        top: Annotated[int, Query(ge=1, le=MOST_LABELS)] = 5,
        head: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> None:
        if (refused := _of_unknown_words(socket)) is not None:
            return await socket.send_denial_response(response(refused))
        return await streams.serve(socket, top, head)

    return app


async def _refuse_unknown_words(connection: HTTPConnection) -> None:
    """Refuse a query with a word that the path does not know: `tpo=2` is no `top`."""
    if connection.scope["type"] == "http" and (refused := _of_unknown_words(connection)):
        raise refused  # a stream refuses it itself: errors of its dependencies are not sent


def _of_unknown_words(connection: HTTPConnection) -> Refused | None:
    """The refusal of a query with a word that the path does not know."""
    route = connection.scope.get("route")
    if not isinstance(route, APIRoute | APIWebSocketRoute):
        return None
    known = [word.alias for word in route.dependant.query_params]
    for word in connection.query_params:
        if word not in known:
            hint = did_you_mean(word, known) if known else "it takes none"
            return Refused(422, f"{route.path} has no parameter '{cut_short(word)}'", hint)
    return None


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", responses=failures(400, 403))
    async def healthz() -> dict[str, str]:
        """Whether the server lives."""
        return {"status": "ok"}

    @app.get("/readyz", responses=failures(400, 403, 503))
    async def readyz() -> dict[str, str]:
        """Whether it takes requests: it is not about to stop, and has processes that decode."""
        service.admission.check_open()
        service.decoders.check()
        return {"status": "ready"}

    text: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/plain": {}}, "description": "their values"}
    }

    @app.get("/metrics", response_class=Response, responses=text | failures(*GUARDED))
    async def metrics() -> Response:
        """What it counts, as Prometheus reads it."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_model(app: FastAPI, service: Service, name: str) -> None:
    about = about_model(service.predictor, service.limits, name)

    @app.get("/v1/model", responses=failures(*GUARDED))
    async def model() -> Model:
        """The labels of the model, how often they were trained on, and the limits here."""
        return about

    @app.post(
        "/v1/predict",
        openapi_extra=BODY,
        response_model_exclude_none=True,
        responses=failures(*OF_VIDEOS),
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=MOST_LABELS)] = 5,
        window: Annotated[float | None, Query(gt=0, le=86400, allow_inf_nan=False)] = None,
        stride: Annotated[float | None, Query(gt=0, le=86400, allow_inf_nan=False)] = None,
    ) -> Predicted:
        """The labels of a video; with a `window` in seconds the label of each, and a timeline."""
        if stride is not None and window is None:
            raise Refused(422, f"stride is {stride:g}, but there are no windows", "give window too")
        return await service.predict(request, Asked(top, window, stride))
