"""Strangers send what they like: the server answers each, and goes on as before."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from benchmarks.hostile_files import HOSTILE
from marey.serve.limits import Limits
from tests.conftest import SHARED
from tests.engine.inference.test_predict import untrained
from tests.serve.running import Running, serving, until
from tests.tiny import write_clip

MEDIA = SHARED / "data" / "media"
LIMITS = Limits(
    bytes=1 << 20, seconds=30, frames=1000, pixels=1280 * 720, memory=1 << 30, request_seconds=30
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hostile")
    with serving(untrained(folder), folder / "uploads", LIMITS) as running:
        yield running


@pytest.fixture(autouse=True)
def _well_afterwards(server: Running, tmp_path: Path) -> Iterator[None]:
    processes = server.service.decoders.processes()
    yield
    assert until(lambda: not server.files() and not server.service.admission.num_inside)
    clip = tmp_path / "well.mp4"
    write_clip(clip, 2)
    assert server.predict(clip).status_code == 200
    assert server.service.decoders.processes() == processes, "a decoding process died"


def test_each_hostile_file_is_refused(server: Running) -> None:
    with ThreadPoolExecutor(4) as clients:
        answers = dict(
            zip(
                HOSTILE,
                clients.map(lambda name: server.predict(HOSTILE[name]()), HOSTILE),
                strict=True,
            )
        )
    for name, answer in answers.items():
        if answer.status_code == 200:
            assert name in ("mp4 of 100,000 x 100,000", "a slow video")
            continue
        assert answer.status_code in (413, 422), (name, answer.text)
        assert "/" not in answer.json()["error"]["message"]


@pytest.mark.skipif(not MEDIA.is_dir(), reason="no odd media of other projects")
def test_odd_files_of_other_projects_are_answered(server: Running) -> None:
    files = sorted(path for path in MEDIA.rglob("*") if path.is_file())
    some = [path for path in files if path.stat().st_size < 100_000][::12]
    assert len(some) > 12
    with ThreadPoolExecutor(4) as clients:
        statuses = [answer.status_code for answer in clients.map(server.predict, some)]
    assert {*statuses} <= {200, 413, 422}
    assert {200, 422} <= {*statuses}


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="../../etc/cron.d/x"\r\n\r\n'
JSON = "application/json"


@pytest.mark.parametrize(
    ("kind", "body", "statuses"),
    [
        (None, b"video", {415}),
        ("video/mp4", b"video", {415}),
        ("multipart/form-data", b"video", {400}),
        ("multipart/form-data; boundary=" + "b" * 300, b"video", {400}),
        (FORM, b"no form at all", {400, 422}),
        (FORM, PART + b"video", {400}),
        (FORM, PART + b"video\r\n--b--\r\n", {422}),
        (FORM, PART + b"\r\n--b--\r\n", {422}),
        (FORM, (PART + b"video\r\n") * 2 + b"--b--\r\n", {422}),
        (FORM, PART.replace(b'"file"', b'"other"') + b"video\r\n--b--\r\n", {422}),
        (FORM, PART.replace(b'"file"', b'"other"') * 20 + b"--b--\r\n", {400, 413, 422}),
        (FORM, PART.replace(b"filename", b"x" * 10_000) + b"video\r\n--b--\r\n", {400, 413}),
        (JSON, b"no JSON", {400}),
        (JSON, b"[" * 9000, {400}),
        (JSON, b" " * 20_000, {413}),
        (JSON, b'["url"]', {422}),
        (JSON, b'{"url": "file:///etc/passwd"}', {403}),
        (JSON, b'{"url": "http://169.254.169.254/latest"}', {403}),
    ],
)
def test_what_a_client_says_of_a_body_is_not_believed(
    kind: str | None, body: bytes, statuses: set[int], server: Running
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = httpx.post(f"{server.url}/v1/predict", content=body, headers=headers)
    assert answer.status_code in statuses, answer.text
    assert set(answer.json()["error"]) == {"message", "hint"}


def test_a_compressed_body_is_refused(server: Running) -> None:
    for kind, body in ((FORM, PART + b"video\r\n--b--\r\n"), (JSON, b'{"url": "a"}')):
        headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
        answer = httpx.post(
            f"{server.url}/v1/predict", content=gzip.compress(body), headers=headers
        )
        assert answer.status_code == 415
        assert "the body is compressed ('gzip')" in answer.json()["error"]["message"]


def test_a_name_and_a_type_that_lie_do_not_matter(server: Running, tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    write_clip(clip, 1)
    for name in ("../../../tmp/x", "/etc/passwd", "a\x00b", "x" * 255, "a.jpg"):
        sent = {"file": (name, clip.read_bytes(), "text/html")}
        assert httpx.post(f"{server.url}/v1/predict", files=sent).status_code == 200


def head(server: Running, *lines: str) -> socket.socket:
    """A connection that has sent the head of a request for a prediction."""
    url = httpx.URL(server.url)
    connection = socket.create_connection((url.host, url.port or 80), timeout=60)
    first = ("POST /v1/predict HTTP/1.1", f"Host: {url.host}", f"Content-Type: {FORM}")
    connection.sendall("\r\n".join((*first, *lines, "", "")).encode())
    return connection


def test_a_body_without_an_end_is_cut_off(server: Running) -> None:
    def send_for_ever(connection: socket.socket) -> None:
        connection.sendall(b"%x\r\n%b\r\n" % (len(PART), PART))
        while True:
            connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    with head(server, "Transfer-Encoding: chunked") as connection, pytest.raises(OSError):
        send_for_ever(connection)


def test_a_length_that_is_too_large_is_refused_before_it_is_sent(server: Running) -> None:
    with head(server, f"Content-Length: {10**15}") as connection:
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"over 1,048,576 bytes" in answer


def test_a_client_that_leaves_leaves_nothing(server: Running) -> None:
    with head(server, "Content-Length: 100000") as connection:
        connection.sendall(PART + bytes(1000))
        assert until(lambda: server.service.admission.num_inside == 1)
    assert until(lambda: server.service.admission.num_inside == 0)


def test_a_client_that_sends_too_much_reads_why(server: Running) -> None:
    for data in (bytes(5 << 20), bytes(40 << 20)):
        answer = server.predict(data)
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == "over 1,048,576 bytes"
