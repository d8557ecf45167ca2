from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from marey.serve.guards import Guard, check_name


def asked(
    *,
    host: str = "127.0.0.1:8000",
    path: str = "/v1/model",
    token: str | None = None,
    **headers: str,
) -> tuple[int, str]:
    app = FastAPI()

    @app.get("/{path:path}")
    async def _(path: str) -> str:
        return path

    client = TestClient(Guard(app, token, ["videos.example"]))
    answer = client.get(path, headers={"host": host, **headers})
    found = answer.json()
    return answer.status_code, "" if answer.status_code == 200 else found["error"]["message"]


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "localhost:1", "LOCALHOST"),
        *("192.168.1.7:80", "videos.example", "Videos.Example:443"),
    ],
)
def test_an_address_or_a_name_given_is_who_we_are(host: str) -> None:
    assert asked(host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.attacker.example", "", "[", "a b", "localhost.attacker"]
)
def test_a_page_that_has_its_own_name_lead_here_is_refused(host: str) -> None:
    status, message = asked(host=host)
    assert status == 400
    assert "is not known as" in message


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("https://127.0.0.1:8000", 200),
        ("http://127.0.0.1:9000", 403),
        ("http://127.0.0.1", 403),
        ("https://attacker.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_other_sites_may_not_ask(origin: str, status: int) -> None:
    assert asked(origin=origin)[0] == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer right-token-of-16", 200),
        ("bearer right-token-of-16", 200),
        ("Bearer right-token-of-1", 401),
        ("Bearer right-token-of-16x", 401),
        ("Basic right-token-of-16", 401),
        ("Bearer é", 401),
        ("", 401),
    ],
)
def test_a_token_is_asked_for(given: str, status: int) -> None:
    header = {"authorization": given.encode("latin-1")} if given else {}
    found, message = asked(token="right-token-of-16", **header)
    assert found == status
    assert "right-token" not in message


def test_health_and_pages_need_no_token() -> None:
    assert asked(token="t" * 16, path="/healthz")[0] == 200
    assert asked(token="t" * 16, path="/metrics")[0] == 401


@pytest.mark.parametrize("path", ["/other/v1/model", "/other/metrics"])
def test_a_mounted_app_asks_for_its_token_too(path: str) -> None:
    inner, outer, token = FastAPI(), FastAPI(), "right-token-of-16"

    @inner.get("/{path:path}")
    async def _(path: str) -> str:
        return path

    inner.add_middleware(Guard, token=token)
    outer.mount("/other", inner)
    client = TestClient(outer, base_url="http://127.0.0.1")
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/other/healthz").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["videos.example:8000", "https://videos.example", "videos.example/", "*.example", "[::1]", ""],
)
def test_a_name_that_nobody_can_ask_by_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a server. hint: give the name alone"):
        check_name(name)
    check_name("videos.example")
    check_name("xn--vdeos-zsa.example")
