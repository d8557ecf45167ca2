from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request, Response, WebSocket
from websockets.sync.client import connect

from marey.serve import connections
from marey.serve.admission import Admission
from marey.serve.limits import Limits
from marey.serve.metrics import Metrics
from tests.serve.running import Running, running, until

KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"


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
    app.state.services = [app.state.service]

    @app.get("/")
    async def _() -> str:
        return "here"

    @app.get("/large")
    async def _() -> Response:
        return Response(bytes(32 << 20))

    @app.post("/take")
    async def _(request: Request) -> int:
        return len(await request.body())

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


def asked_for_much(server: Running) -> socket.socket:
    """A client that asks for more than fits into what lies between, and takes none of it."""
    client = connected(server)
    client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    assert until(lambda: any(each._looking for each in server.server.server_state.connections))
    return client


def test_who_takes_nothing_of_an_answer_is_ended(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TAKE_SECONDS", 0.2)
    with asked_for_much(server):
        assert until(lambda: not server.server.server_state.connections)
    with connected(server) as closing:
        closing.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert until(lambda: bool(server.server.server_state.connections))
        assert until(lambda: not server.server.server_state.connections)
    assert httpx.get(server.url).json() == "here"


def test_who_takes_it_slowly_is_not(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    look = connections._Taken._look
    monkeypatch.setattr(connections, "TAKE_SECONDS", 0.05)
    monkeypatch.setattr(connections._Taken, "_look", lambda self: looked.append(self) or look(self))
    sizes = iter(range(10_000, 0, -1))  # it becomes less, however seldom it is looked at
    with asked_for_much(server) as client:
        (connection,) = server.server.server_state.connections
        monkeypatch.setattr(connection.transport, "get_write_buffer_size", lambda: next(sizes))
        assert until(lambda: len(looked) > 3)
        left = 32 << 20
        while left > 0:
            piece = client.recv(1 << 20)
            assert piece
            left -= len(piece)


def test_a_server_that_ends_waits_for_nobody_who_takes_nothing(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with asked_for_much(server):
        server.server.should_exit = True
        assert until(lambda: not server.server.server_state.connections)
    assert not caplog.records


def send_for_ever(client: socket.socket, data: bytes) -> None:
    while True:
        client.sendall(data)


def test_a_body_of_very_small_chunks_is_refused(server: Running) -> None:
    head = b"POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for size, count, status in ((1, 2000, b"400"), (200, 2000, b"200"), (1, 900, b"200")):
        with connected(server) as client:
            chunk = b"%x\r\n%b\r\n" % (size, bytes(size))
            client.sendall(head + chunk * count + b"0\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 " + status


def test_what_is_no_http_after_an_answer_has_begun_ends_it(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with asked_for_much(server) as client:
        client.sendall(b"\0no request\r\n\r\n")
        answer = client.recv(1 << 20)
    assert answer.startswith(b"HTTP/1.1 200")
    with connected(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 405"
        client.sendall(b"no chunk\r\n\r\n")
        with suppress(OSError):
            while client.recv(1 << 16):
                pass
    assert until(lambda: not server.server.server_state.connections)
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


def streaming(server: Running) -> socket.socket:
    """A client whose WebSocket is open."""
    client = connected(server)
    client.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n")
    client.sendall(b"Connection: Upgrade\r\n" + KEY)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return client


@pytest.mark.parametrize("frame", [b"\x89\x80" + bytes(4), b"\x00\x80" + bytes(4)])
def test_a_stream_of_pings_or_of_empty_parts_is_ended(server: Running, frame: bytes) -> None:
    with streaming(server) as client:
        client.sendall(b"\x02\x80" + bytes(4))  # a message begins, and does not end
        with pytest.raises(OSError):
            send_for_ever(client, frame * 1000)


def test_pongs_are_not_kept_without_end(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TAKE_SECONDS", 0.2)
    monkeypatch.setattr(connections, "MOST_SMALL", 1 << 40)
    unsent = []
    size = connections._Taken._look
    monkeypatch.setattr(
        connections._Taken,
        "_look",
        lambda self: unsent.append(self.transport.get_write_buffer_size()) or size(self),
    )
    with streaming(server) as client, pytest.raises(OSError):  # it takes no pong, and is ended
        send_for_ever(client, (b"\x89\xfd" + bytes(4 + 125)) * 1000)
    assert max(unsent) < 1 << 20
