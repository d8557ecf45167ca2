"""The page of a server and what is behind it: its files, its policy, and where the model looks."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import httpx
import numpy as np
import pytest

from marey.serve.app import make_app
from marey.serve.pages import FOLDER, with_page
from marey.video.reading.jpeg import decode_jpeg
from marey.video.sampling.resampled import ResampledClips
from tests.colours import colour_predictor, write_colours
from tests.engine.inference.test_predict import untrained
from tests.serve.running import Running, running
from tests.video.media import grey, write_video


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two models, the second one without tokens."""
    folder = tmp_path_factory.mktemp("pages")
    uploads = folder / "uploads"
    uploads.mkdir()
    app = make_app(colour_predictor(folder), temporary=uploads)
    other = make_app(untrained(folder / "set"), temporary=uploads)
    with running(with_page(app, other), uploads) as server:
        yield server
    assert not [*uploads.iterdir()]  # both have ended


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Red for a second, and then blue for one."""
    return write_colours(tmp_path / "a.mp4", [("red", 1), ("blue", 1)])


def explain(server: Running, file: Path, base: str = "", **query: object) -> httpx.Response:
    url = f"{server.url}/{base}v1/explain"
    return httpx.post(url, files={"file": file.read_bytes()}, params=query, timeout=60)


def test_the_page_and_its_files_are_there(server: Running):
    for name, kind in (
        ("", "text/html"),
        ("page/app.css", "text/css"),
        ("page/app.js", "text/javascript"),
    ):
        answer = httpx.get(f"{server.url}/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    for name in ("page/other.js", "page/..%2Fapp.py", "page/%2Fetc%2Fpasswd"):
        answer = httpx.get(f"{server.url}/{name}")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]


class Ids(HTMLParser):
    """The ids of a page, and what would run or load there."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [named[name] or "" for name in ("src", "href") if name in named]
        self.inline += [name for name in named if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)


def test_the_files_fit_and_load_nothing_from_elsewhere():
    page, script = Ids(), (FOLDER / "app.js").read_text()
    page.feed((FOLDER / "index.html").read_text())
    assert not page.inline
    assert set(page.links) == {"data:,", "page/app.css", "page/app.js"}
    assert len({*page.ids}) == len(page.ids)
    asked = {*re.findall(r'at\("#([\w-]+)', script)}
    assert asked <= {*page.ids}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script)
    for file in FOLDER.iterdir():
        assert not re.search(r"https?://", file.read_text()), file.name


def test_both_models_answer(server: Running, video: Path):
    assert httpx.get(f"{server.url}/page/models.json").json() == ["", "other/"]
    names = [httpx.get(f"{server.url}/{base}v1/model").json()["name"] for base in ("", "other/")]
    assert names == ["colours", "tiny"]
    for base in ("", "other/"):
        url = f"{server.url}/{base}v1/predict"
        answer = httpx.post(url, files={"file": video.read_bytes()}, timeout=60)
        assert answer.status_code == 200


def test_a_server_of_one_model_has_no_other(tmp_path: Path):
    app = with_page(make_app(colour_predictor(tmp_path), temporary=tmp_path))
    with running(app, tmp_path) as server:
        assert httpx.get(f"{server.url}/page/models.json").json() == [""]
        assert httpx.get(f"{server.url}/other/v1/model").status_code == 404
        assert "/v1/explain" in httpx.get(f"{server.url}/openapi.json").json()["paths"]


def test_heat_is_where_the_class_is(server: Running, video: Path):
    answer = explain(server, video, label="blue")
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert {name: seen[name] for name in ("head", "label", "way")} == {
        "head": "label",
        "label": "blue",
        "way": "gradients",
    }
    first, second = seen["frames"]
    assert (first["seconds"], second["seconds"]) == (0.5, 1.5)
    heats = [np.array(frame["heat"]) for frame in (first, second)]
    assert heats[0].shape == (28, 28)
    assert heats[0].max() == 0
    assert heats[1].min() > 0.9
    kind, _, data = second["image"].partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = decode_jpeg(base64.b64decode(data), "a")
    assert picture.shape == (32, 32, 3)
    assert picture[16, 16, 2] > 150
    assert not server.files()


def test_frames_have_the_times_at_which_they_were_read(tmp_path: Path):
    """Of a video whose pictures first come fast, and then slowly, by a sampling in seconds."""
    sampling = ResampledClips(num_frames=2, rate=4, clips=1)
    predictor = colour_predictor(tmp_path)
    recipe = predictor.trained.recipe
    recipe = replace(recipe, test=replace(recipe.test, sampling=sampling))
    predictor = replace(predictor, trained=replace(predictor.trained, recipe=recipe))
    times = np.append(np.arange(15) * 0.05, 0.75 + np.arange(5) * 0.5)
    video = write_video(tmp_path / "a.mp4", grey(20), times=times.tolist())
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    with running(with_page(make_app(predictor, temporary=uploads)), uploads) as server:
        frames = explain(server, video).json()["frames"]
    levels = [decode_jpeg(base64.b64decode(of["image"][23:]), "a").mean() for of in frames]
    shown = [round((level - 16) / 8) for level in levels]  # the numbers of the pictures
    assert shown[0] < shown[1]
    assert [of["seconds"] for of in frames] == pytest.approx(times[shown], abs=0.002)


def test_a_part_of_a_video_is_looked_into(server: Running, video: Path):
    seen = explain(server, video, start=1.0, end=2.0).json()
    assert seen["label"] == "blue"
    assert all(1.0 <= frame["seconds"] < 2.0 for frame in seen["frames"])
    nothing = explain(server, video, start=5)
    assert nothing.status_code == 422
    assert "no frame is shown from 5 s on: the video has 2.000 s" in nothing.text
    assert explain(server, video, start="nan").status_code == 422


@pytest.mark.parametrize(
    ("base", "query", "why"),
    [
        ("", {"label": "pink"}, "label is 'pink', which is no class"),
        ("", {"head": "verb"}, "head is 'verb', expected one of label"),
        ("other/", {}, "where this model looks cannot be shown: TinyEncoder"),
    ],
)
def test_what_cannot_be_told_is_refused(
    server: Running, video: Path, base: str, query: dict[str, str], why: str
):
    answer = explain(server, video, base, **query)
    assert answer.status_code == 422
    assert why in answer.json()["error"]["message"]
    assert answer.json()["error"]["hint"]


def test_a_file_that_is_no_video_is_refused(server: Running, tmp_path: Path):
    (tmp_path / "a.mp4").write_text("<script>alert(1)</script>")
    answer = explain(server, tmp_path / "a.mp4")
    assert answer.status_code == 422
    assert json.loads(answer.text)["error"]["message"].startswith("the video: ")
    assert answer.headers["content-type"] == "application/json"
    assert not server.files()
