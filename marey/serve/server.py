"""An application behind a port, until it is asked to stop.

SIGTERM or Ctrl-C: new requests are refused (503, /readyz says so), those inside are served, then
the server ends. A second one, or `STOP_SECONDS`, ends it at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from types import FrameType

import uvicorn
from fastapi import FastAPI

from marey.errors import RunError
from marey.serve.admission import Admission
from marey.serve.connections import Connection

STOP_SECONDS = 30.0
"""For which requests inside may go on when the server is to stop."""
BACKLOG = 256
IDLE_SECONDS = 5
"""For which a connection without a request is kept."""
LOOK_SECONDS = 0.05


def run(app: FastAPI, host: str, port: int, *, ready: Callable[[str], None]) -> None:
    """Serve the app until SIGTERM or Ctrl-C.

    Args:
        app: made by `make_app`.
        host: the address to listen at.
        port: 0 takes one that is free.
        ready: told the url, once it answers.

    Raises:
        RunError: nothing can listen there, or it cannot start.
    """
    with listening(host, port) as sock:
        server = Server(app, lambda: ready(url_of(sock)))
        server.run(sockets=[sock])
    if not server.started:
        raise RunError("the server could not start", "the lines above say why")


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; RunError if it cannot."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"nothing can listen at {host}, port {port}: {reason}",
            "give an address of this machine, and a port that is free (--host, --port)",
        ) from error


def url_of(sock: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server(uvicorn.Server):
    """uvicorn, which finishes what it has begun before it stops listening."""

    def __init__(self, app: FastAPI, ready: Callable[[], None]) -> None:
        """A server of the app that calls `ready` when it answers."""
        limits = app.state.service.limits
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                access_log=False,
                log_config=None,
                log_level="warning",
                lifespan="on",
                server_header=False,
                proxy_headers=False,  # whoever asks could say to be somebody else
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=5,
                ws_max_size=limits.stream_bytes,
                ws_max_queue=2,
                ws_per_message_deflate=False,  # a few bytes could become many
            )
        )
        self._admission: Admission = app.state.service.admission
        self._ready = ready
        self._stopping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gently at first, then at once."""
        if not self._admission.is_open or not self.started:
            super().handle_exit(sig, frame)
            return
        self._admission.close()
        self._loop.call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        self._stopping = asyncio.create_task(self._stop_when_empty())

    async def _stop_when_empty(self) -> None:
        end = self._loop.time() + STOP_SECONDS
        while self._admission.num_inside and self._loop.time() < end:
            await asyncio.sleep(LOOK_SECONDS)
        self.should_exit = True
