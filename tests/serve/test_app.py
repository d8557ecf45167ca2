"""What a server answers, asked over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from torch import Tensor

from marey.engine.inference.predict import Predictor
from marey.errors import RunError
from marey.jobs.processes import Worker
from marey.serve import decoders
from marey.serve.decoding import Decoded, Job, Look
from marey.serve.limits import Limits
from marey.serve.service import Service, _blank
from marey.timelines.segments import SegmentRule
from marey.types import Scores
from tests.engine.inference.test_predict import untrained
from tests.serve.running import Running, serving, until
from tests.tiny import CLASSES, write_clip
from tests.video.media import grey, write_video

LIMITS = Limits(
    bytes=1 << 20, seconds=20, frames=300, pixels=640 * 480, windows=20, request_seconds=30
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return untrained(folder)


@pytest.fixture(scope="module")
def server(predictor: Predictor, folder: Path) -> Iterator[Running]:
    with serving(predictor, folder / "uploads", LIMITS) as running:
        yield running


@pytest.fixture
def clip(folder: Path) -> Path:
    return folder / "red_0.mp4"


def error_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert set(error) == {"message", "hint"}
    return f"{answer.status_code} {error['message']}"


def test_a_video_has_the_answers_that_a_prediction_gives(
    server: Running, predictor: Predictor, clip: Path
) -> None:
    answer = server.predict(clip, top=3)
    assert answer.status_code == 200
    found = answer.json()
    expected = predictor.predict(clip, top=3)
    assert isinstance(expected, list)
    assert [each["label"] for each in found["answers"]] == [each["label"] for each in expected]
    for one, other in zip(found["answers"], expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
        assert set(one) == {"label", "score"}
    assert found["clip"] == {"frames": 6, "seconds": 0.6, "width": 48, "height": 40}
    assert "timeline" not in found
    assert server.files() == []


def test_of_a_video_that_was_cut_off_it_is_said(server: Running, tmp_path: Path) -> None:
    video = write_video(tmp_path / "whole.avi", grey(20, width=48, height=40), codec="mpeg4")
    whole = video.read_bytes()
    assert "warning" not in server.predict(whole).json()
    found = server.predict(whole[: len(whole) * 17 // 20]).json()
    told = f"{found['clip']['frames']} frames decode of 20 that the file announces"
    assert found["warning"] == f"the video is cut off or damaged: {told}"


def test_windows_are_those_of_a_prediction(
    server: Running, predictor: Predictor, folder: Path
) -> None:
    long = folder / "long.mp4"
    write_clip(long, 1, num_frames=40)
    found = server.predict(long, window=1.0, stride=0.5).json()
    expected = predictor.predict(long, top=1, window_seconds=1.0, stride_seconds=0.5)
    assert isinstance(expected, list)
    assert len(found["answers"]) == len(expected) == 7
    for one, other in zip(found["answers"], expected, strict=True):
        assert one == other | {"score": pytest.approx(other["score"], abs=1e-6)}
    rule = SegmentRule()
    segments = predictor.timeline(long, window_seconds=1.0, stride_seconds=0.5, rule=rule)
    for one, segment in zip(found["timeline"], segments, strict=True):
        assert one == segment.to_json() | {"score": pytest.approx(segment.score, abs=1e-5)}


def test_the_model_and_the_limits_are_told(server: Running) -> None:
    told = httpx.get(f"{server.url}/v1/model").json()
    assert told["heads"] == {"label": list(CLASSES)}
    assert (told["frames"], told["size"]) == (2, 32)
    assert told["limits"]["bytes"] == LIMITS.bytes
    described = httpx.get(f"{server.url}/openapi.json").json()
    assert {"/v1/predict", "/v1/model", "/healthz", "/readyz"} <= set(described["paths"])
    form = described["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert set(form) == {"multipart/form-data", "application/json"}
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_requests_at_the_same_time_share_a_pass_of_the_model(server: Running, clip: Path) -> None:
    passes, clips = "marey_batch_size_count", "marey_batch_size_sum"
    before = server.metric(passes), server.metric(clips)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: server.predict(clip), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()["answers"][0]["label"]) for answer in answers}) == 1
    assert server.metric(clips) - before[1] == 24
    assert server.metric(passes) - before[0] <= 24
    assert server.metric('marey_requests_total{route="/v1/predict",status="200"}') >= 24


def test_a_batch_that_is_too_large_for_the_memory_is_done_clip_by_clip(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, sizes = Predictor.score_batch, []

    def scarce(self: Predictor, views: Tensor, clips: Sequence[object]) -> Scores:
        sizes.append(len(clips))
        if len(clips) > 1:
            raise torch.OutOfMemoryError
        if views.all():  # the other clip is too large alone
            raise torch.OutOfMemoryError
        return score(self, views, clips)

    monkeypatch.setattr(Predictor, "score_batch", scarce)
    service = Service(predictor, LIMITS)
    black = _blank(predictor)

    async def ask() -> list[Scores | BaseException]:
        wanted = (service.scores(views) for views in (black, black + np.uint8(255)))
        return await asyncio.gather(*wanted, return_exceptions=True)

    one, other = asyncio.run(ask())
    assert sizes == [2, 1, 1]
    assert isinstance(one, dict)
    assert isinstance(other, torch.OutOfMemoryError)


def test_what_a_video_took_is_with_the_look_at_it(
    server: Running, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = server.service.decoders.do

    async def slowly(job: Job) -> Decoded:
        if isinstance(job, Look):
            await asyncio.sleep(0.5)
        return await do(job)

    monkeypatch.setattr(server.service.decoders, "do", slowly)
    assert server.predict(clip).json()["took_seconds"] >= 0.5


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"top": 0}, "top is '0', expected 1 or more"),
        ({"top": "two"}, "top is 'two', expected a whole number"),
        ({"tpo": 2}, "/v1/predict has no parameter 'tpo'"),
        ({"window": "nan"}, "window is 'nan'"),
        ({"window": 0}, "window is '0'"),
        ({"stride": 1}, "stride is 1, but there are no windows"),
        ({"window": 0.01}, "a window of 0.01 s holds no two frames"),
        ({"window": 0.3, "stride": 0.0001}, "a window every 0.0001 s"),
        ({"window": 0.3, "stride": 1e-320}, "s is over "),
        ({"window": 0.2, "stride": 0.01}, "over 20 windows"),
    ],
)
def test_what_nobody_can_answer_is_refused(
    query: dict[str, object], message: str, server: Running, clip: Path
) -> None:
    answer = server.predict(clip, **query)
    assert answer.status_code in (413, 422)
    assert message in error_of(answer)


def test_what_is_not_there_is_an_error_of_the_same_form(server: Running) -> None:
    nothing = httpx.get(f"{server.url}/nothing")
    assert error_of(nothing) == "404 Not Found"
    assert nothing.json()["error"]["hint"] == "GET /openapi.json lists what can be asked, and how"
    refused = httpx.get(f"{server.url}/v1/predict")
    assert error_of(refused) == "405 Method Not Allowed"
    assert refused.headers["Allow"] == "POST"


def test_a_server_that_can_start_no_process_is_not_ready_until_it_can(
    server: Running, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_lacking = True

    def lacking(*rest: object, **named: object) -> object:
        if is_lacking:
            raise RunError("a worker process could not start", "most often memory ran out")
        return Worker(*rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(decoders, "Worker", lacking)
    monkeypatch.setattr(decoders, "PAUSES", (0.01,))
    for process in server.service.decoders._all:
        process.end()
    for _ in range(3):
        refused = server.predict(clip)
        assert error_of(refused) == "503 a worker process could not start"
        assert int(refused.headers["Retry-After"]) >= 1
    assert error_of(httpx.get(f"{server.url}/readyz")) == "503 a worker process could not start"
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    is_lacking = False
    assert until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)
    assert server.predict(clip).status_code == 200


def test_a_worker_that_is_killed_loses_its_requests_alone(server: Running, clip: Path) -> None:
    assert server.predict(clip).status_code == 200
    before = server.metric("marey_decoders_replaced_total")
    process = server.service.decoders.processes()[0]
    os.kill(process, signal.SIGSTOP)  # so that a request is there when it is killed
    with ThreadPoolExecutor(6) as clients:
        asked = [clients.submit(server.predict, clip) for _ in range(6)]
        assert until(lambda: sum(each.done() for each in asked) == 5)
        os.kill(process, signal.SIGKILL)
        statuses = sorted(each.result().status_code for each in asked)
    assert statuses == [200] * 5 + [503]
    assert server.metric("marey_decoders_replaced_total") == before + 1
    assert server.predict(clip).status_code == 200
    assert process not in server.service.decoders.processes()
    assert server.files() == []


def test_a_full_queue_says_when_to_come_again(predictor: Predictor, tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    write_clip(clip, 1)
    limits = Limits(concurrency=1, queue=1, request_seconds=30)
    with serving(predictor, tmp_path / "uploads", limits) as server:
        held = [slow_upload(server, clip) for _ in range(2)]
        assert until(lambda: server.service.admission.num_inside == 2)
        refused = server.predict(clip)
        assert error_of(refused) == "429 2 requests are worked on or wait already"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        for connection in held:
            connection.close()
        assert until(lambda: server.service.admission.num_inside == 0)
        assert server.predict(clip).status_code == 200
        assert server.files() == []


def slow_upload(server: Running, clip: Path) -> socket.socket:
    """A client that begins to send a video, and goes no further."""
    url = httpx.URL(server.url)
    connection = socket.create_connection((url.host, url.port or 80))
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: 100000\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    connection.sendall((head + part).encode() + clip.read_bytes()[:100])
    return connection


def test_who_sends_slowly_or_leaves_keeps_nothing(predictor: Predictor, tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    write_clip(clip, 1)
    with serving(predictor, tmp_path / "uploads", Limits(request_seconds=1.0)) as server:
        with slow_upload(server, clip) as slow:
            answer = b"".join(iter(lambda: slow.recv(4096), b"")).decode()
        assert answer.startswith("HTTP/1.1 408 ")
        assert "the video did not come in time" in answer
        assert server.files() == []


def test_it_stops_when_those_inside_are_served(predictor: Predictor, tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    write_clip(clip, 1)
    with serving(predictor, tmp_path / "uploads", Limits(request_seconds=30)) as server:
        inside = slow_upload(server, clip)
        assert until(lambda: server.service.admission.num_inside == 1)
        server.server.handle_exit(signal.SIGTERM, None)
        assert error_of(httpx.get(f"{server.url}/readyz")) == "503 the server is about to stop"
        assert error_of(server.predict(clip)) == "503 the server is about to stop"
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert not server.server.should_exit
        inside.close()
        assert until(lambda: server.server.should_exit)
    assert not any(tmp_path.glob("uploads/*"))
