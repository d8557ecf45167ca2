"""A download goes on where it stopped, follows its server only so far, and is checked."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from marey.errors import RunError
from marey.storage import download as module
from marey.storage.download import download
from marey.storage.lock import locked

CONTENT = bytes(range(256)) * 64


class Server(ThreadingHTTPServer):
    """A file that is sent in parts, cut off after `sends` bytes of each answer."""

    daemon_threads = True

    def __init__(self) -> None:
        self.content, self.tag, self.sends, self.type = CONTENT, '"1"', len(CONTENT), "x/y"
        self.location, self.status, self.ranges = "", 0, True
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/w.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        own, span = self.server, self.headers.get("Range", "")
        own.asked.append(span)
        if own.status:
            return self.send_error(own.status)
        if own.location and self.path == "/w.pth":
            self.send_response(302)
            self.send_header("Location", own.location)
            return self.end_headers()
        first = int(re.findall(r"\d+", span)[0]) if span else 0
        whole = not span or not own.ranges or self.headers.get("If-Range") != own.tag
        if not whole and first >= len(own.content):
            return self.send_error(416)
        part = own.content if whole else own.content[first:]
        self.send_response(200 if whole else 206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Type", own.type)
        self.send_header("ETag", own.tag)
        if not whole:
            end = len(own.content)
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{end}")
        self.end_headers()
        self.wfile.write(part[: own.sends])
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0)
    with Server() as own:
        threading.Thread(target=own.serve_forever, daemon=True).start()
        yield own
        own.shutdown()


def fetched(server: Server, folder: Path, *, most: int = 1 << 20) -> bytes:
    download(server.url, folder / "w.pth", most=most)
    return (folder / "w.pth").read_bytes()


def test_an_answer_that_is_cut_off_is_gone_on_with_from_there(
    server: Server, tmp_path: Path
) -> None:
    server.sends = 10_000
    assert fetched(server, tmp_path) == CONTENT
    assert server.asked == ["", "bytes=10000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def test_a_later_process_goes_on_and_a_file_that_changed_meanwhile_begins_anew(
    server: Server, tmp_path: Path
) -> None:
    for tag, begins in (('"1"', ["", "bytes=900-"]), ('"2"', ["bytes=900-"])):
        (tmp_path / "w.pth").unlink(missing_ok=True)
        (tmp_path / "w.pth.part").write_bytes(CONTENT[:900])
        (tmp_path / "w.pth.part.version").write_text('"1"')
        server.tag, server.content = tag, CONTENT if tag == '"1"' else CONTENT[::-1]
        server.asked.clear()
        assert fetched(server, tmp_path) == server.content
        assert server.asked == begins[-1:]


def test_what_came_of_nobody_knows_what_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(b"of another day")
    assert fetched(server, tmp_path) == CONTENT
    assert server.asked == [""]


def test_a_server_without_parts_and_one_that_has_no_more_begin_anew(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "w.pth.part.version").write_text(server.tag)
    (tmp_path / "w.pth.part").write_bytes(b"x" * 900)
    server.ranges = False
    assert fetched(server, tmp_path) == CONTENT
    (tmp_path / "w.pth").unlink()
    server.ranges = True
    (tmp_path / "w.pth.part.version").write_text(server.tag)
    (tmp_path / "w.pth.part").write_bytes(CONTENT)
    server.asked.clear()
    assert fetched(server, tmp_path) == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-", ""]


def test_what_came_stays_where_nothing_more_comes(server: Server, tmp_path: Path) -> None:
    server.sends = 0
    with pytest.raises(OSError, match="the answer is cut short"):
        fetched(server, tmp_path)
    server.status = 503
    with pytest.raises(OSError, match="status 503"):
        fetched(server, tmp_path)
    assert len(server.asked) == 2 * module.TRIES
    assert (tmp_path / "w.pth.part").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": 404}, "no such file .status 404"),
        ({"status": 403}, "status 403"),
        ({"type": "text/html; charset=utf-8"}, "a web page in its place"),
        ({"location": "/w.pth"}, "sends on over 5 times"),
        ({"location": "ftp://127.0.0.1/w.pth"}, "sends on to ftp://.*not https"),
        ({"location": "http://example.org/w.pth"}, "sends on to http://example.*not https"),
        ({"location": "file:///etc/hostname"}, "sends on .* to no https"),
    ],
    ids=str,
)
def test_what_is_in_vain_is_asked_for_once(
    server: Server, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    vars(server).update(change)
    with pytest.raises(OSError, match=said):
        fetched(server, tmp_path)
    assert len(server.asked) <= module.REDIRECTS + 1
    assert not (tmp_path / "w.pth").exists()


def test_a_file_may_be_sent_on_to(server: Server, tmp_path: Path) -> None:
    server.location = server.url.replace("w.pth", "elsewhere.pth")
    assert fetched(server, tmp_path) == CONTENT


def test_more_than_a_file_may_have_is_not_taken(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it has 16,384 bytes or more, expected at most 9,999"):
        fetched(server, tmp_path, most=9_999)


def test_only_https_is_asked_but_on_this_machine(tmp_path: Path) -> None:
    for url in ("http://example.org/w.pth", "file:///etc/hostname", "w.pth"):
        with pytest.raises(OSError, match="not https"):
            download(url, tmp_path / "w.pth", most=1)
    assert not any(tmp_path.iterdir())


def test_a_file_is_checked_and_one_process_at_a_time_fetches_it(
    server: Server, tmp_path: Path
) -> None:
    digits = hashlib.sha256(CONTENT).hexdigest()[:8]
    path = tmp_path / "w.pth"
    with pytest.raises(OSError, match=f"begins with {digits}, expected 00000000"):
        download(server.url, path, most=1 << 20, digits=("00000000",))
    assert not any(tmp_path.iterdir())
    with locked(tmp_path / "w.pth.lock", ""), pytest.raises(RunError, match="downloads w.pth"):
        download(server.url, path, most=1 << 20)
    seen: list[tuple[int, int]] = []
    download(
        server.url, path, most=1 << 20, digits=("1", digits), progress=lambda *at: seen.append(at)
    )
    assert seen[-1] == (len(CONTENT), len(CONTENT))
