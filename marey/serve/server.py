"""An application behind a port, until it is asked to stop.

SIGTERM or Ctrl-C       /readyz says 503, new requests are refused so, streams are closed;
                        what is inside is finished
`grace_seconds` later,  what is still inside is refused with 503;
or a second signal      connections may take their answers, processes and files go
`LAST_SECONDS` later    the process ends, whatever its threads do
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from types import FrameType

import uvicorn
from fastapi import FastAPI

from marey.errors import RunError
from marey.serve.admission import Admission
from marey.serve.connections import Connection, Stream
from marey.serve.responses import LINGER_SECONDS

log = logging.getLogger("marey")

LAST_SECONDS = LINGER_SECONDS + 1.5
"""After the grace, in which a server has ended."""
BACKLOG = 256
IDLE_SECONDS = 5
"""For which a connection without a request is kept."""


def run(app: FastAPI, host: str, port: int, *, ready: Callable[[str], None]) -> bool:
    """Serve the app until SIGTERM or Ctrl-C; whether a second one did not cut it short.

    Args:
        app: made by `make_app`.
        host: the address to listen at.
        port: 0 takes one that is free.
        ready: told the url, once it answers.

    Raises:
        RunError: nothing can listen there, or it cannot start.

    Where a long pass of the model keeps it from stopping in time, the process ends.
    """
    with listening(host, port) as sock:
        server = Server(app, lambda: ready(url_of(sock)))
        with _ends_in_time(server):
            server.run(sockets=[sock])
    if not server.started:
        raise RunError("the server could not start", "the lines above say why")
    return server.num_signals < 2


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


@contextmanager
def _ends_in_time(server: Server) -> Iterator[None]:
    ended = threading.Event()

    def watch() -> None:
        server.is_stopping.wait()
        if not ended.wait(server.grace_seconds + LAST_SECONDS):
            log.error("the server did not stop in time: the model was still at work")
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        server.is_stopping.set()


class Server(uvicorn.Server):
    """uvicorn, which finishes what it has begun before it stops listening."""

    def __init__(self, app: FastAPI, ready: Callable[[], None]) -> None:
        """A server of the app that calls `ready` when it answers."""
        limits = app.state.service.limits
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws=Stream,
                access_log=False,
                log_config=None,
                log_level="warning",
                lifespan="on",
                server_header=False,
                proxy_headers=False,  # whoever asks could say to be somebody else
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=math.ceil(LINGER_SECONDS),
                ws_max_size=limits.stream_bytes,
                ws_max_queue=2,
                ws_per_message_deflate=False,  # a few bytes could become many
            )
        )
        self.grace_seconds: float = limits.grace_seconds
        """For what is inside when it is asked to stop."""
        self.is_stopping = threading.Event()
        """Set once it is asked to stop."""
        self._admissions: list[Admission] = [of.admission for of in app.state.services]
        self.num_signals = 0
        """By which it was asked to stop."""
        self._ready = ready
        self._stopping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop gently at first, then at once; never as uvicorn, which would leave our processes."""
        self.num_signals += 1
        if not self.started:  # nothing is inside yet
            self.should_exit = True
            if self.num_signals > 1:  # processes go with this one
                os._exit(130)
        elif self.num_signals == 1:
            self._loop.call_soon_threadsafe(self._begin_to_stop)
        else:
            self.should_exit = True
            self._loop.call_soon_threadsafe(self._give_up)

    def _begin_to_stop(self) -> None:
        self.is_stopping.set()
        for each in self._admissions:
            each.close()
        self._stopping = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace_seconds):
                for each in self._admissions:
                    await each.emptied()
        self._give_up()
        self.should_exit = True

    def _give_up(self) -> None:
        for each in self._admissions:
            each.give_up()
