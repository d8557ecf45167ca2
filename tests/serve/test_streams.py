from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from marey.engine.inference.predict import Predictor
from marey.engine.live.recogniser import live_recogniser
from marey.engine.weights.trained import Trained
from marey.models import Head
from marey.serve.limits import Limits
from marey.video.reading.jpeg import decode_jpeg, encode_jpeg
from tests.engine.inference.test_predict import untrained
from tests.engine.live.test_recogniser import predictor as looking_back
from tests.serve.running import Running, serving, until
from tests.tiny import CLASSES

LIMITS = Limits(streams=2, stream_seconds=20, stream_bytes=1 << 16, pixels=200 * 200)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return untrained(tmp_path_factory.mktemp("streams"))


@pytest.fixture(scope="module")
def server(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(predictor, tmp_path_factory.mktemp("uploads"), LIMITS) as running:
        yield running


def opened(server: Running, query: str = "", **options: Any) -> ClientConnection:
    return connect(f"ws{server.url.removeprefix('http')}/v1/stream{query}", **options)


def jpeg(level: int) -> bytes:
    return encode_jpeg(np.full((40, 48, 3), level, np.uint8))


def said(stream: ClientConnection, picture: bytes) -> dict[str, Any]:
    stream.send(picture)
    found: dict[str, Any] = json.loads(stream.recv(60))
    return found


def test_each_picture_that_is_looked_at_has_an_answer(server: Running) -> None:
    with opened(server, "?top=2") as stream:
        answers = [said(stream, jpeg(level)) for level in (20, 120, 220)]
    for answer in answers:
        assert set(answer) == {"seconds", "label", "score", "top", "dropped"}
        assert answer["label"] is None or answer["label"] in CLASSES
    assert answers[0]["seconds"] <= answers[1]["seconds"] <= answers[2]["seconds"]
    assert answers[-1]["dropped"] == 0


def test_the_newest_picture_wins(server: Running) -> None:
    with opened(server) as stream:
        said(stream, jpeg(0))
        for level in range(100):
            stream.send(jpeg(level))
        answered, dropped = 0, 0
        while answered + dropped < 100:
            dropped = json.loads(stream.recv(60))["dropped"]
            answered += 1
    assert answered + dropped == 100
    assert server.metric("marey_stream_frames_dropped_total") == dropped


def test_a_picture_that_is_none_is_an_error_and_the_stream_goes_on(server: Running) -> None:
    with opened(server) as stream:
        assert "damaged" in said(stream, b"\xff\xd8\xff no picture")["error"]["message"]
        large = encode_jpeg(np.zeros((300, 300, 3), np.uint8))
        assert "a frame of 300 x 300" in said(stream, large)["error"]["message"]
        assert "label" in said(stream, jpeg(9))


def test_too_many_streams_too_large_pictures_and_text_are_refused(server: Running) -> None:
    with opened(server), opened(server):
        with pytest.raises(InvalidStatus) as refused:
            opened(server)
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["Retry-After"]) >= 1
    assert until(lambda: server.metric("marey_streams ") == 0)
    for message, code in ((bytes(1 << 17), 1009), ("text", 1003)):
        with opened(server) as stream:
            stream.send(message)
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code


def test_a_word_that_streams_do_not_know_is_refused(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(server, "?tpo=3")
    assert refused.value.response.status_code == 422
    error = json.loads(refused.value.response.body)["error"]
    assert error["message"] == "/v1/stream has no parameter 'tpo'"
    assert "top" in error["hint"]
    assert until(lambda: not server.server.server_state.connections)
    assert not caplog.records  # a stranger cannot fill the log


def test_text_is_refused_whatever_its_bytes(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(server) as stream:
        stream.send(b"\xff", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv(60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003
    assert until(lambda: not server.server.server_state.connections)
    assert not caplog.records


def test_a_stream_that_sends_nothing_is_closed(predictor: Predictor, tmp_path: Path) -> None:
    limits = replace(LIMITS, stream_seconds=0.2)
    with (
        serving(predictor, tmp_path / "uploads", limits) as server,
        opened(server) as stream,
        pytest.raises(ConnectionClosed, match="nothing came for 0.2 s"),
    ):
        stream.recv(60)


def of_two_heads(predictor: Predictor) -> Predictor:
    trained = predictor.trained
    heads = (Head("label", len(CLASSES)), Head("wörk" * 30, 2))
    recipe = replace(trained.recipe, model=replace(trained.recipe.model, heads=heads))
    classes = {"label": CLASSES, heads[1].name: ("yes", "no")}
    return Predictor(Trained(recipe, recipe.model.build().eval(), classes), predictor.device)


def test_a_stream_is_of_one_head_and_who_names_none_is_told(
    predictor: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two = of_two_heads(predictor)
    with serving(two, tmp_path, LIMITS) as server:
        for query, message in (("", "has several heads"), ("?head=lable", "has no head 'lable'")):
            with opened(server, query) as stream:
                error = json.loads(stream.recv(60))["error"]
                assert message in error["message"]
                assert "label" in error["hint"]
                with pytest.raises(ConnectionClosed) as closed:
                    stream.recv(60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert closed.value.rcvd.reason in error["message"]
        for head, names in two.trained.classes.items():
            with opened(server, f"?head={quote(head)}") as stream:
                stream.send(jpeg(20))
                found = json.loads(stream.recv(60))
                assert {label for label, _ in found["top"]} <= set(names)
                assert found["head"] == head
                assert "error" not in found
    assert not caplog.records


def test_a_page_of_another_site_may_not_stream_and_a_token_is_asked_for(
    predictor: Predictor, tmp_path: Path
) -> None:
    token = "a-token-of-16-letters"
    with serving(predictor, tmp_path / "uploads", LIMITS, token=token) as server:
        for options, status in (
            ({}, 401),
            ({"subprotocols": ["marey", "bearer.another"]}, 401),
            ({"origin": "https://attacker.example", "subprotocols": [f"bearer.{token}"]}, 403),
        ):
            with pytest.raises(InvalidStatus) as refused:
                opened(server, **options)
            assert refused.value.response.status_code == status
        with opened(server, subprotocols=["marey", f"bearer.{token}"]) as stream:
            assert stream.subprotocol == "marey"
        headers = {"Authorization": f"Bearer {token}"}
        with opened(server, additional_headers=headers, origin=server.url) as stream:
            assert "label" in said(stream, jpeg(1))


def test_what_is_said_frame_by_frame_is_what_the_recogniser_says(tmp_path: Path) -> None:
    predictor = looking_back()
    recogniser = live_recogniser(predictor)
    states = recogniser.begin(), recogniser.begin()
    with serving(predictor, tmp_path, LIMITS) as server:
        assert httpx.get(f"{server.url}/v1/model").json()["streams"] == "frame"
        with opened(server) as one, opened(server) as other:
            for level in (20, 120, 220):
                sent = jpeg(level), jpeg(255 - level)
                for stream, data in zip((one, other), sent, strict=True):
                    stream.send(data)
                for stream, data, state in zip((one, other), sent, states, strict=True):
                    answer = json.loads(stream.recv(60))
                    picture = np.ascontiguousarray(decode_jpeg(data, "it"))
                    [expected] = recogniser.step([(state, picture, answer["seconds"])])
                    assert expected is not None
                    assert answer["top"][0][1] == pytest.approx(expected.scores.max(), abs=1e-4)
                    assert answer["label"] == expected.label
