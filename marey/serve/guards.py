"""Who may ask: checked before anything of a request is read.

- *The name it was asked by* (the header Host) is an address, ``localhost`` or one of the names
  given: a page of another site that has its own name lead here ("DNS rebinding") is refused.
- *The page that asks* (Origin) is one of this server: pages of others may not, not even where their
  browser would keep the answer from them.
- *The token*, where one is asked for: ``Authorization: Bearer TOKEN``; of a browser's WebSocket,
  which has no such header, the subprotocol ``bearer.TOKEN`` beside ``marey``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from marey.serve.refusals import Refused
from marey.serve.responses import response

PROTOCOL = "marey"
"""The subprotocol of streams."""
GUARDED = re.compile(r"/v1/|/metrics(/|$)")
"""Where a token is asked for, also of a mounted app; what the pages are made of, and whether it is
well, is no secret."""

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
"""Letters, figures and dots, as browsers send a name in Host, those of other scripts encoded."""


@dataclass(frozen=True)
class Guard:
    """The app behind these checks."""

    app: ASGIApp
    token: str | None = None
    names: Collection[str] = ()
    """By which it may be asked, besides addresses and localhost."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what may ask, and refuse the rest."""
        if scope["type"] in ("http", "websocket"):
            try:
                self._check(HTTPConnection(scope))
            except Refused as refused:
                return await _refuse(response(refused), scope, receive, send)
        await self.app(scope, receive, send)
        return None

    def _check(self, asked: HTTPConnection) -> None:
        host, origin = asked.headers.get("host", ""), asked.headers.get("origin")
        here = _authority(f"//{host}")
        if not _is_known(here[0], self.names):
            raise Refused(
                400,
                f"this server is not known as {host[:80]!r}",
                "ask it by its address, or start it with --allow-host NAME",
            )
        if origin is not None and _authority(origin) != here:
            raise Refused(403, f"a page of {origin[:80]!r} asks, which is another site")
        if self.token is not None and GUARDED.search(asked.scope["path"]):
            given = _token_of(asked)
            if not secrets.compare_digest(given.encode(), self.token.encode()):
                raise Refused(
                    401,
                    "a token is asked for" if not given else "it is another token",
                    "send the header 'Authorization: Bearer TOKEN'",
                )


def check_name(name: str) -> None:
    """ValueError of what no request can be asked by: a url, a name with its port, a pattern."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is no name of a server. "
            "hint: give the name alone, such as videos.example.org, without scheme or port"
        )


def _is_known(name: str, names: Collection[str]) -> bool:
    if name in ("localhost", *(each.lower() for each in names)):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _authority(url: str) -> tuple[str, int | None]:
    """Name and port; that of the scheme is as none, since a proxy may end TLS before us."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError:  # no url
        return "", None
    return name, None if port in (80, 443) else port


def _token_of(asked: HTTPConnection) -> str:
    kind, _, token = asked.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    protocols = asked.scope.get("subprotocols", ()) if asked.scope["type"] == "websocket" else ()
    bearers = (each for each in protocols if each.startswith("bearer."))
    return next(bearers, "").removeprefix("bearer.")


async def _refuse(answer: JSONResponse, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)
