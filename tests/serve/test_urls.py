from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.errors import UrlError
from marey.serve import urls
from marey.serve.refusals import Refused
from marey.serve.urls import AllowedUrl, check_url, fetch, is_public

ALLOWED = [AllowedUrl("https://videos.example/clips/"), AllowedUrl("http://10.0.0.7:81/a/b/")]


@pytest.mark.parametrize(
    "url",
    [
        "https://videos.example/clips/a.mp4",
        "https://VIDEOS.example:443/clips/deep/a.mp4?signature=x%2Fy",
        "https://videos.example./clips/a%20b.mp4",
        "https://videos.example/clips/a..%20b;c/..a.mp4",
        "http://10.0.0.7:81/a/b/c.mp4",
    ],
)
def test_what_lies_below_is_allowed(url: str) -> None:
    assert check_url(url, ALLOWED) in ALLOWED


@pytest.mark.parametrize(
    "url",
    [
        "http://videos.example/clips/a.mp4",
        "https://videos.example:8443/clips/a.mp4",
        "https://videos.example/other/a.mp4",
        "https://videos.example/clipsandmore/a.mp4",
        "https://videos.example.attacker.example/clips/a.mp4",
        "https://attacker.example/clips/a.mp4",
        "https://videos.example@attacker.example/clips/a.mp4",
        "https://attacker.example#@videos.example/clips/a.mp4",
        "https://attacker.example\\@videos.example/clips/a.mp4",
        "https://videos.example/clips/../other/a.mp4",
        "https://videos.example/clips/%2e%2e/other/a.mp4",
        "https://videos.example/clips/%252e%252e/other/a.mp4",
        "https://videos.example/clips/..%2fother/a.mp4",
        "https://videos.example/clips/..\\other\\a.mp4",
        "https://videos.example/clips/..;/other/a.mp4",
        "https://videos.example/clips/.;a=b/a.mp4",
        "https://videos.example/clips/..%3B/other/a.mp4",
        "https://videos.example/clips/..%20/other/a.mp4",
        "https://videos.example/clips/.%09./other/a.mp4",
        "https://videos.example/clips//etc",
        "https://videos.example/clips/a.mp4\r\nHost: attacker",
        "https://videos.example/clips/a b.mp4",
        "https://vídeos.example/clips/a.mp4",
        "https://videos.example:0/clips/a.mp4",
        "https://videos.example:99999/clips/a.mp4",
        "file:///etc/passwd",
        "zip://a::https://videos.example/clips/a.mp4",
        "/etc/passwd",
        "",
        7,
        None,
    ],
)
def test_what_may_lead_elsewhere_is_refused(url: object) -> None:
    with pytest.raises(Refused) as refused:
        check_url(url, ALLOWED)
    assert refused.value.status in (403, 422)


@given(st.text())
def test_whatever_follows_stays_below(text: str) -> None:
    url = f"https://videos.example/clips/{text}"
    try:
        assert check_url(url, ALLOWED) is ALLOWED[0]
    except Refused:
        return
    path = url.partition("?")[0].partition("#")[0]
    assert "/../" not in f"{path}/"
    assert url.isascii()


def test_nothing_is_fetched_unless_the_server_was_told_so() -> None:
    with pytest.raises(Refused, match="this server fetches nothing"):
        check_url("https://videos.example/clips/a.mp4", [])


@pytest.mark.parametrize(
    "url", ["https://videos.example", "https://videos.example/a.mp4", "ftp://a/b/", "https://a/?b/"]
)
def test_what_is_allowed_is_a_folder(url: str) -> None:
    with pytest.raises(UrlError):
        AllowedUrl(url)


class Answers(BaseHTTPRequestHandler):
    """A server that does as the path says."""

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        if name == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "/videos/plain")
            self.end_headers()
            return
        self.send_response(404 if name == "missing" else 200)
        if name in ("plain", "short", "told"):
            size = {"plain": 1000, "short": 1400, "told": 10**9}[name]
            self.send_header("Content-Length", str(size))
        self.end_headers()
        try:
            self.wfile.write(b"v" * 1000)
            while name == "endless":
                self.wfile.write(b"v" * 1000)
            if name == "slow":
                time.sleep(1.5)
        except OSError:  # the client has gone
            return

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/videos/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with answering() as url:
        yield url


def fetched(url: str, to: Path, below: str, most: int = 1500) -> None:
    asyncio.run(fetch(url, to, AllowedUrl(below), most))


def test_a_file_is_fetched(place: str, tmp_path: Path) -> None:
    fetched(f"{place}plain", tmp_path / "a", place, 1000)
    assert (tmp_path / "a").read_bytes() == b"v" * 1000
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("elsewhere", 502, "sends on to another url, which is not followed"),
        ("missing", 502, "status 404"),
        ("short", 502, "was cut short"),
        ("told", 413, "over 1,500 bytes"),
        ("endless", 413, "over 1,500 bytes"),
        ("slow", 504, "did not come in time"),
    ],
)
def test_what_a_server_does_instead_is_refused(
    name: str,
    status: int,
    message: str,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "slow":
        monkeypatch.setattr(urls, "WAIT_SECONDS", 0.3)
    with pytest.raises(Refused, match=message) as refused:
        fetched(f"{place}{name}", tmp_path / "a", place)
    assert refused.value.status == status


def test_a_name_that_leads_to_this_machine_is_refused_before_anything_is_asked(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("it was reached")

    monkeypatch.setattr(asyncio, "open_connection", never)
    for named in (place.replace("127.0.0.1", "videos.example"), "https://videos.example/a/"):
        with pytest.raises(Refused, match="an address of this machine or of a private network"):
            fetched(f"{named}plain", tmp_path / "a", named)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.7", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("::1", "::", "fe80::1%eth0", "fd00::1", "ff0e::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.7", "64:ff9b:1::808:808"),
        *("2002:7f00:1::", "2001:0:a00:7::", "2001:db8::1"),
    ],
)
def test_no_form_of_an_address_of_this_network_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
def test_other_ways_to_write_an_address_are_names_which_lead_there(
    host: str, tmp_path: Path
) -> None:
    url = f"http://{host}:9/a/"
    with pytest.raises(Refused) as refused:
        fetched(url, tmp_path / "a", url)
    assert refused.value.status in (403, 502)  # where the system does not read it so


def test_who_gives_up_ends_it_at_once(place: str, tmp_path: Path) -> None:
    async def give_up() -> None:
        async with asyncio.timeout(0.2):
            await fetch(f"{place}slow", tmp_path / "a", AllowedUrl(place), 1500)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
