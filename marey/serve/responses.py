"""Refusals and errors as they are sent: {"error": {"message": ..., "hint": ...}}."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from marey.errors import MareyError, cut_short
from marey.serve.refusals import Refused, refusal
from marey.storage.expected import expected

log = logging.getLogger("marey")


LISTED = "GET /openapi.json lists what can be asked, and how"
LINGER_SECONDS = 1.0
UNREAD = (400, 401, 403, 408, 413, 415, 429, 503)
"""Statuses of requests whose body may not have been read."""


class Farewell(JSONResponse):
    """A response after which the connection ends.

    What the client still sends is read for a moment, and thrown away: one whose connection is reset
    while it sends does not read why.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)

        async def kept_open(message: Message) -> None:
            is_body = message["type"] == "http.response.body"
            await send({**message, "more_body": True} if is_body else message)

        await super().__call__(scope, receive, kept_open)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        return await send({"type": "http.response.body", "body": b""})


def response(refused: Refused) -> JSONResponse:
    """The refusal as it is sent."""
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    error = {"error": {"message": refused.message, "hint": refused.hint}}
    if refused.status in UNREAD:
        return Farewell(error, refused.status, headers | {"Connection": "close"})
    return JSONResponse(error, refused.status, headers)


async def respond(_: HTTPConnection, error: Exception) -> JSONResponse:
    """What is sent for any error that ends a request."""
    match error:
        case Refused():
            return response(error)
        case MareyError():
            return response(refusal(error))
        case RequestValidationError():
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"][1:])
            value, wanted = cut_short(repr(first.get("input"))), expected(first)
            why = f", expected {wanted}" if wanted else f": {first['msg']}"
            return response(Refused(422, f"{name} is {value}{why}", LISTED))
        case HTTPException():
            answer = response(Refused(error.status_code, str(error.detail), LISTED))
            answer.headers.update(error.headers or {})  # as Allow, where a method is not
            return answer
    log.error("an error of the server", exc_info=error)
    return response(Refused(500, "an error of the server", "its log says more"))
