"""What a server says of itself to tools: numbers for Prometheus, and OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI

import marey.serve
from marey.serve.documents import OF_VIDEOS
from marey.serve.metrics import Metrics
from marey.serve.pages import with_page
from tests.engine.inference.test_predict import untrained
from tests.serve.running import Running, running
from tests.tiny import write_clip

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL},?)*)\}})? (\S+)")
PARTS = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_sum", "_count", "_created")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    from marey.serve.app import make_app

    folder = tmp_path_factory.mktemp("described")
    one, other = (make_app(untrained(folder / name), temporary=folder) for name in "ab")
    with running(with_page(one, other), folder) as found:
        yield found


def families(text: str) -> dict[str, tuple[str, dict[str, float]]]:
    """Name -> kind and samples, of numbers in Prometheus' text format, whose rules are checked."""
    assert text.endswith("\n")
    found: dict[str, tuple[str, dict[str, float]]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert line.split(" ", 3)[3], "what it is"
        elif line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in found, "the lines of a number stand together"
            found[name] = kind, {}
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            kind, samples = found[name]
            assert match[1].removeprefix(name) in (*PARTS.get(kind, ()), "")
            key = line.rpartition(" ")[0]
            assert key not in samples, "each is there once"
            samples[key] = float(match[3])
    return found


def test_numbers_are_in_the_format_of_prometheus(server: Running, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 1)
    assert server.predict(tmp_path / "a.mp4").status_code == 200
    assert server.predict(b"no video").status_code == 422
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = families(answer.text)
    assert found["marey_requests_total"][0] == "counter"
    kind, seconds = found["marey_request_seconds"]
    assert kind == "histogram"
    of = {key: value for key, value in seconds.items() if 'route="/v1/predict"' in key}
    buckets = {
        float(re.search(r'le="(.*?)"', key)[1]): value  # type: ignore[index]
        for key, value in of.items()
        if "_bucket" in key
    }
    assert list(buckets) == sorted(buckets)
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets[float("inf")] == of['marey_request_seconds_count{route="/v1/predict"}'] == 2
    assert list(buckets)[-2] >= 60, "the longest request that is allowed has a bucket"


def test_what_clients_write_makes_no_new_series(server: Running) -> None:
    def series() -> set[str]:
        return {
            key
            for _, samples in families(httpx.get(f"{server.url}/metrics").text).values()
            for key in samples
        }

    def ask(name: str) -> None:
        for path in (f"/{name}", f"/page/{name}", f"/v1/{name}", f"/other/{name}"):
            client.get(path)
        client.request(name.upper(), "/v1/predict")
        client.post(f"/v1/predict?top={name}")
        client.get("/v1/model", headers={"Host": f"{name}.example"})

    with httpx.Client(base_url=server.url, timeout=600) as client:
        ask("first")
        before = series()
        for number in range(3):
            ask("n" + "a" * number)
        assert series() == before


def test_a_name_of_a_label_cannot_break_the_format() -> None:
    metrics = Metrics()
    metrics.answered('a"\\\n} 1\nforged 2', 200, 0.1)
    assert "forged" not in families(metrics.text().decode())


@pytest.mark.parametrize("below", ["", "/other"])
def test_the_description_is_openapi_and_names_every_status(server: Running, below: str) -> None:
    told = httpx.get(f"{server.url}{below}/openapi.json").json()
    OpenAPI.model_validate(told)
    assert re.fullmatch(r"3\.1\.\d", told["openapi"])

    def references(of: Any) -> Iterator[str]:
        if isinstance(of, dict):
            yield from ([of["$ref"]] if "$ref" in of else [])
            for each in of.values():
                yield from references(each)
        elif isinstance(of, list):
            for each in of:
                yield from references(each)

    for each in set(references(told)):
        at = told
        for key in each.removeprefix("#/").split("/"):
            at = at[key]
    assert "HTTPValidationError" not in str(told), "errors have one form"
    source = Path(marey.serve.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in source.glob("*.py"))
    said = {int(each) for each in re.findall(r"(?:Refused\(|_in_time\([\w.]+, )\s*(\d{3})", text)}
    assert {413, 429, 504} <= said
    assert said - {404, 499} <= {*OF_VIDEOS}, "404 is no route's, and nobody is there to read 499"
    for path in ("/v1/predict", "/v1/explain"):
        answers = told["paths"][path]["post"]["responses"]
        assert {int(each) for each in answers if each != "default"} == {200, *OF_VIDEOS}
    assert {"200", "503"} <= told["paths"]["/readyz"]["get"]["responses"].keys()
    assert set(told["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}


def test_the_page_names_every_status_of_a_video_without_an_answer() -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    (rows,) = re.findall(r"\| status \| \|\n\|---\|---\|\n((?:\|.*\n)+)", page)
    named = [
        number for row in rows.splitlines() for number in re.findall(r"\d{3}", row.split("|")[1])
    ]
    assert [int(number) for number in named] == sorted(OF_VIDEOS)
