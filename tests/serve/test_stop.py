"""What becomes of those inside when a server is asked to stop: gently, in time, and at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from marey.engine.inference.predict import Predictor
from marey.serve.admission import Admission
from marey.serve.limits import Limits
from marey.serve.metrics import Metrics
from marey.serve.refusals import Refused
from marey.serve.threads import in_thread
from tests.engine.inference.test_predict import untrained
from tests.serve.running import Running, serving, until
from tests.serve.test_app import error_of, slow_upload
from tests.tiny import write_clip

GIVEN_UP = "503 the server stops before it was done"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return untrained(tmp_path_factory.mktemp("stopped"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_clip(tmp_path / "a.mp4", 1)
    return tmp_path / "a.mp4"


def asked_by(server: Running, clip: Path) -> Callable[[], httpx.Response]:
    return lambda: server.predict(clip)


@contextmanager
def half_sent(server: Running, clip: Path) -> Iterator[Callable[[], httpx.Response]]:
    """A client that has sent a part of its video, and reads."""
    with slow_upload(server, clip) as connection:
        yield lambda: read(connection)


def read(connection: socket.socket) -> httpx.Response:
    head, _, body = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


@contextmanager
def decoded(server: Running, clip: Path) -> Iterator[Callable[[], httpx.Response]]:
    """A client whose video is in a process that does not go on."""
    for process in server.service.decoders.processes():
        os.kill(process, signal.SIGSTOP)
    yield asked_by(server, clip)


@contextmanager
def in_the_model(server: Running, clip: Path) -> Iterator[Callable[[], httpx.Response]]:
    """A client whose video waits for the model."""
    is_over = threading.Event()
    server.service.model_thread.submit(is_over.wait, 60)
    yield asked_by(server, clip)
    is_over.set()


@contextmanager
def fetched(server: Running, clip: Path) -> Iterator[Callable[[], httpx.Response]]:
    """A client whose url is that of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a/b"
        (allowed,) = server.service._allowed
        object.__setattr__(allowed, "text", url.removesuffix("b"))
        yield lambda: httpx.post(f"{server.url}/v1/predict", json={"url": url}, timeout=60)


@pytest.mark.parametrize("where", [half_sent, decoded, in_the_model, fetched])
@pytest.mark.parametrize("signals", [1, 2, 3])
def test_whoever_is_inside_when_the_grace_is_over_is_told_so(
    where: Callable[..., object],
    signals: int,
    predictor: Predictor,
    clip: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    grace = 0.3 if signals == 1 else 600.0
    limits = Limits(grace_seconds=grace, concurrency=1, request_seconds=600)
    with ExitStack() as stack, ThreadPoolExecutor(2) as clients:
        allowed = ["http://127.0.0.1:1/a/"]
        options = {"limits": limits, "allowed_urls": allowed}
        server = stack.enter_context(serving(predictor, tmp_path / "uploads", **options))
        ask = stack.enter_context(where(server, clip))  # type: ignore[arg-type]
        asked = [clients.submit(ask)]
        assert until(lambda: server.service.admission.num_inside == 1)
        if where in (decoded, in_the_model):  # and one that waits for its turn
            asked.append(clients.submit(server.predict, clip))
            assert until(lambda: server.metric("marey_waiting_requests ") == 1)
        for _ in range(signals):
            server.server.handle_exit(signal.SIGTERM, None)
        for each in asked:
            answer = each.result(60)
            assert error_of(answer) == GIVEN_UP
            assert answer.headers["Retry-After"] == "5"
    assert not any((tmp_path / "uploads").iterdir())
    assert not caplog.records


def test_a_stream_is_closed_as_soon_as_the_server_is_to_stop(
    predictor: Predictor, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(predictor, tmp_path / "uploads", Limits(grace_seconds=600)) as server:
        inside = slow_upload(server, clip)
        with connect(f"ws{server.url.removeprefix('http')}/v1/stream") as stream:
            assert until(lambda: server.service.admission.num_inside == 1)
            server.server.handle_exit(signal.SIGTERM, None)
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert not server.server.should_exit
        inside.close()
    assert not caplog.records


def test_a_request_is_given_up_once_and_others_are_not_let_in() -> None:
    async def run() -> None:
        admission = Admission(Limits(), Metrics())

        async def inside() -> None:
            async with admission.inside():
                await asyncio.sleep(3600)

        asked = [asyncio.create_task(inside()) for _ in range(3)]
        await asyncio.sleep(0)
        assert admission.num_inside == 3
        admission.give_up()
        admission.give_up()
        for each in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(each, Refused)
            assert each.status == 503
        await admission.emptied()
        with pytest.raises(Refused, match="about to stop"):
            await inside()

    asyncio.run(run())


def test_work_in_a_thread_is_waited_for_however_often_it_is_cancelled() -> None:
    async def run() -> None:
        is_over, has_ended = threading.Event(), []

        def work(is_given_up: Callable[[], bool]) -> None:
            is_over.wait()
            has_ended.append(is_given_up())

        task = asyncio.create_task(in_thread(work))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        is_over.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert has_ended == [True]

    asyncio.run(run())
