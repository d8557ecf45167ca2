"""Servers that stall, cut off, lie or change their files: a few tries, then an error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from marey.errors import DecodeError, StorageError, UrlError
from marey.storage import asking, blocks
from marey.storage import url as urls
from marey.storage.url import Url
from marey.video.reading.reader import open_video
from tests.video.media import numbered, numbers_of, write_video


class Server(ThreadingHTTPServer):
    """Answers a GET, and a HEAD if `head`, as `answer` does; `data` is the file that it has."""

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        self.data, self.head = data, True
        self.asked: list[str] = []
        self.answer: Callable[[Request], object] = Request.whole
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Request)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/a.mp4?X-Signature=secret"


class Request(BaseHTTPRequestHandler):
    """One question, and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        if self.server.head:
            self.server.asked.append("HEAD")
            self.begin(200, {"Content-Length": len(self.server.data)})
        else:
            self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range", "all"))
        self.server.answer(self)

    def begin(self, status: int, headers: dict[str, object]) -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()

    def write(self, data: bytes) -> None:
        if self.command == "GET":
            self.wfile.write(data)
            self.wfile.flush()

    def whole(self, length: int | None = None) -> None:
        data = self.server.data
        self.begin(200, {"Content-Length": len(data)})
        self.write(data[:length])

    def part(self, *, late: int = 0, missing: int = 0, **headers: object) -> None:
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        size = len(self.server.data)
        data = self.server.data[first + late : min(last + 1, size) - missing]
        place = f"bytes {first + late}-{first + late + len(data) - 1}/{size}"
        self.begin(206, {"Content-Length": len(data), "Content-Range": place, **headers})
        self.write(data)

    def without_length(self) -> None:
        self.begin(200, {})
        self.write(self.server.data)

    def in_chunks(self) -> None:
        self.begin(200, {"Transfer-Encoding": "chunked"})
        for data in (self.server.data, b""):
            self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def without_end(self) -> None:
        self.begin(200, {})
        while not self.server.over.is_set():
            self.write(self.server.data)

    def stalling(self) -> None:
        self.whole(100)
        self.server.over.wait()

    def dripping(self) -> None:
        self.begin(200, {"Content-Length": len(self.server.data)})
        for byte in self.server.data:
            if self.server.over.wait(0.02):
                return
            self.write(bytes([byte]))

    def silent(self) -> None:
        self.server.over.wait()

    def circle(self) -> None:
        self.begin(302, {"Location": self.path, "Content-Length": 0})

    def log_message(self, *args: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # whoever asked has had enough
            super().handle()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("http") / "a.mp4", numbered(40)).read_bytes()


@pytest.fixture
def server(video: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(asking, "WAIT_SECONDS", 0.0)
    server = Server(video)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is too large to be read at once."""
    monkeypatch.setattr(urls, "WHOLE", 100)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 10)


@pytest.mark.parametrize("answer", [Request.without_length, Request.in_chunks])
def test_a_server_need_not_say_how_long_a_file_is(server, answer):
    server.answer, server.head = answer, False
    with open_video(server.url) as video:
        assert numbers_of(video.read([7, 30])) == [7, 30]


@pytest.mark.parametrize("answer", [Request.without_length, Request.without_end])
def test_a_file_without_a_told_length_is_read_up_to_a_limit(server, answer, monkeypatch):
    monkeypatch.setattr(urls, "WHOLE", 1 << 10)
    server.answer, server.head = answer, False
    with pytest.raises(DecodeError, match=r"a\.mp4: the server sends over 1,024 bytes") as found:
        open_video(server.url)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("answer", [Request.silent, Request.stalling, Request.dripping])
def test_no_answer_is_waited_for_for_ever(server, answer, head, monkeypatch):
    monkeypatch.setenv(asking.BUDGET, "0.3")
    server.answer, server.head = answer, head
    with pytest.raises(StorageError, match=r"a\.mp4: no answer in time .*hint") as found:
        open_video(server.url)
    assert "secret" not in str(found.value)
    assert len(server.asked) <= 3 * asking.TRIES


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize("answer", [Request.silent, Request.stalling, Request.dripping])
def test_no_part_is_waited_for_for_ever(server, answer, monkeypatch):
    server.answer = Request.part
    with open_video(server.url, num_frames=40) as video:
        assert numbers_of(video.read([0])) == [0]
        monkeypatch.setenv(asking.BUDGET, "0.3")
        server.answer = answer
        with pytest.raises(StorageError, match=r"a\.mp4: (no answer in time|the server gives)"):
            video.read([39])


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_limit_that_is_none_is_an_error(monkeypatch, value):
    monkeypatch.setenv(asking.BUDGET, value)
    with pytest.raises(UrlError, match=f"MAREY_STORE_SECONDS is '{value}'.*hint: .*above 0"):
        asking.patience()


def test_an_answer_that_is_cut_off_is_asked_for_again(server):
    good, tries = server.answer, []

    def cut_twice(request: Request) -> None:
        tries.append(1)
        good(request) if len(tries) > 2 else request.whole(500)

    server.answer = cut_twice
    with open_video(server.url) as video:
        assert len(video) == 40
    server.answer = lambda request: request.whole(500)
    server.asked.clear()
    with pytest.raises(StorageError, match=r"a\.mp4: no answer \(ClientPayloadError\), 3 times"):
        open_video(server.url)
    assert server.asked.count("all") == asking.TRIES


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"missing": 1}, "cut short"), ({"late": 1}, "another part"),
     ({"ETag": '"b"'}, "changed while"), ({"Last-Modified": "today"}, "changed while")],
)  # fmt: skip
def test_a_part_that_is_not_the_one_asked_for_is_not_taken(server, fault, reason):
    server.answer = lambda request: request.part(ETag='"a"')
    with open_video(server.url, num_frames=40) as video:
        assert numbers_of(video.read([0])) == [0]
        server.answer = lambda request: request.part(**{"ETag": '"a"', **fault})
        with pytest.raises(StorageError, match=rf"a\.mp4: .*{reason}"):
            video.read([39])


@pytest.mark.usefixtures("_large")
def test_a_file_that_grows_between_two_requests_is_another(server):
    server.answer = Request.part
    with open_video(server.url, num_frames=40) as video:
        assert numbers_of(video.read([0])) == [0]
        server.data += b"more"
        with pytest.raises(StorageError, match=r"a\.mp4: the file changed while it was read"):
            video.read([39])
    url = Url(server.url)
    assert url.size == len(server.data)
    server.data += b"more"
    with pytest.raises(OSError, match="the file changed while it was read"):
        url.read_range(0, 10)


def test_a_circle_of_redirects_ends(server):
    server.answer, server.head = Request.circle, False
    with pytest.raises(StorageError, match=r"a\.mp4: the server sends on from url to url"):
        open_video(server.url)


def test_a_download_is_whole_or_an_error(server, tmp_path: Path, video: bytes, monkeypatch):
    Url(server.url).download(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == video
    server.answer = lambda request: request.whole(500)
    with pytest.raises(OSError, match="3 times"):
        Url(server.url).download(tmp_path / "a.mp4")
    monkeypatch.setenv(asking.BUDGET, "0.3")
    server.answer = Request.dripping
    with pytest.raises(OSError, match="no answer in time"):
        Url(server.url).download(tmp_path / "a.mp4")


def test_a_url_that_is_none_for_http_is_an_error():
    with pytest.raises(DecodeError, match=r"127\.0\.0\.1:99999/a\.mp4"):
        open_video("http://127.0.0.1:99999/a.mp4")
