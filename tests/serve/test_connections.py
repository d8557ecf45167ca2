from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from websockets.sync.client import connect

from marey.serve import connections
from marey.serve.admission import Admission
from marey.serve.limits import Limits
from marey.serve.metrics import Metrics
from tests.serve.running import Running, running, until


class _Service:
    """As much of a service as a server needs."""

    limits = Limits()

    def __init__(self) -> None:
        self.admission = Admission(self.limits, Metrics())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Running]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    app = FastAPI()
    app.state.service = _Service()

    @app.get("/")
    async def _() -> str:
        return "here"

    @app.websocket("/stream")
    async def _(stream: WebSocket) -> None:
        await stream.accept()
        await stream.send_bytes(await stream.receive_bytes())

    with running(app, tmp_path) as found:
        yield found


def connected(server: Running) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HT"])
def test_a_connection_that_does_not_ask_in_time_is_ended(server: Running, sent: bytes) -> None:
    with connected(server) as slow:
        slow.sendall(sent)
        assert slow.recv(1) == b""


def test_who_sends_a_second_request_slowly_is_ended_too(server: Running) -> None:
    with connected(server) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while b"here" not in answer:
            answer += slow.recv(1 << 16)
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert slow.recv(1) == b""


def test_who_asks_in_time_is_not(server: Running) -> None:
    with httpx.Client() as client, connect(f"ws{server.url.removeprefix('http')}/stream") as stream:
        assert client.get(server.url).json() == "here"
        time.sleep(0.5)  # a stream has no more headers to send
        assert client.get(server.url).json() == "here"
        stream.send(b"still")
        assert stream.recv(60) == b"still"


def test_there_are_only_so_many(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60.0)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    held = [connected(server) for _ in range(3)]
    assert until(lambda: len(server.server.server_state.connections) == 3)
    with connected(server) as more:
        assert more.recv(1) == b""
    for each in held:
        each.close()
    assert until(lambda: not server.server.server_state.connections)
    assert httpx.get(server.url).json() == "here"
