"""The page of a server as a browser has it: upload, camera, faults, two models, and its looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marey.serve.app import make_app
from marey.serve.limits import Limits
from marey.serve.pages import with_page
from tests.chromium import Tab, chromium
from tests.colours import colour_predictor, write_colours
from tests.serve.running import Running, running

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=alert(1)>"
FLAGS = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
BARS = "[...document.querySelectorAll('.bar')].map((each) => each.innerText.split(/\\n+/))"
NOW = "[...document.querySelectorAll('.now b')].map((each) => each.textContent)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    """The same model twice, side by side; the second has another name."""
    limits = Limits(bytes=1 << 20)
    app, other = (
        make_app(colour_predictor(folder, name), limits, temporary=folder)
        for name in ("colours", EVIL)
    )
    with running(with_page(app, other), folder) as server:
        yield server


@pytest.fixture(scope="module")
def tab(server: Running, folder: Path) -> Iterator[Tab]:
    """A browser whose camera shows red for five seconds, then blue, again and again."""
    film = write_colours(folder / "camera.mjpeg", [("red", 5), ("blue", 5)], rate=20, codec="mjpeg")
    flags = (*FLAGS, f"--use-file-for-fake-video-capture={film}")
    with chromium(folder / "profile", flags) as tab:
        yield tab


@pytest.fixture
def page(server: Running, tab: Tab) -> Tab:
    tab.log.clear()
    tab.open(server.url + "/")
    tab.until("document.querySelectorAll('.column').length === 2")
    return tab


def give(tab: Tab, file: Path) -> None:
    tab.upload("input[type=file]", file)


def test_an_upload_has_a_result(page: Tab, folder: Path):
    give(page, write_colours(folder / "green.mp4", [("green", 2)]))
    page.until("document.querySelectorAll('.strip canvas').length === 4")
    bars = page.run(BARS)
    assert len(bars) == 6
    assert bars[0][0] == bars[3][0] == "green"
    assert bars[0][2] == "30 training clips; no. 2 of 3 classes by frequency"
    wide, narrow = page.run(
        "[...document.querySelectorAll('.bar i')].slice(0, 2).map((each) =>"
        "parseFloat(getComputedStyle(each, '::before').width))"
    )
    assert wide > 10 * narrow
    assert "20 frames, 2.0 s, 160 × 120" in page.run("document.querySelector('.took').textContent")
    assert not page.run("document.querySelector('#video').hidden")
    assert "green" in page.run("document.querySelector('.looks .note').textContent")
    assert not page.log


def test_heat_lies_over_the_frames_and_can_be_taken_off(page: Tab, folder: Path):
    give(page, write_colours(folder / "two.mp4", [("green", 1), ("blue", 1)]))
    page.until("document.querySelectorAll('.strip canvas').length === 4")
    pixel = (
        "[...document.querySelectorAll('.strip')[0].querySelectorAll('canvas')].map((each) =>"
        "[...each.getContext('2d').getImageData(16, 16, 1, 1).data.slice(0, 3)])"
    )
    label = page.run("document.querySelector('.looks select').value").split("\n")[1]
    hot, cold = (0, 1) if label == "green" else (1, 0)
    before = page.run(pixel)
    page.run("document.querySelector('.looks input').click()")
    after = page.run(pixel)
    assert before[hot][0] - after[hot][0] > 60  # red lay over it
    assert before[cold] == after[cold]


def test_a_long_video_has_a_timeline_to_jump_in(page: Tab, folder: Path):
    give(page, write_colours(folder / "long.mp4", [("red", 10), ("blue", 8), ("green", 6)], rate=5))
    page.until("document.querySelectorAll('.line button').length === 6")
    assert page.run("document.querySelector('[name=window]').value") == "2"
    lines = page.run(
        "[...document.querySelector('.parts').querySelectorAll('.line button')].map((each) =>"
        "[each.textContent, each.offsetLeft / each.parentNode.offsetWidth])"
    )
    assert [label for label, _ in lines] == ["red", "blue", "green"]
    assert lines[1][1] == pytest.approx(10 / 24, abs=0.05)
    assert lines[2][1] == pytest.approx(18 / 24, abs=0.05)
    page.run("document.querySelector('.line button:nth-child(2)').click()")
    page.until("document.querySelector('#video').currentTime > 9")
    page.until("document.querySelector('.looks .note').textContent.includes('blue')")
    assert not page.log


def test_the_parts_of_a_timeline_are_asked_for_by_their_length(page: Tab, folder: Path):
    give(page, write_colours(folder / "short.mp4", [("red", 2), ("blue", 2)]))
    page.until("document.querySelectorAll('.bar').length === 6")
    page.run(
        "(() => { const e = document.querySelector('[name=window]'); e.value = 1;"
        "e.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )
    page.until("document.querySelectorAll('.line button').length === 4")


def test_a_corrupt_file_is_said_to_be_one(page: Tab, folder: Path):
    whole = write_colours(folder / "whole.mp4", [("red", 1)]).read_bytes()
    name = f"{EVIL.replace('/', '')}.mp4"
    (folder / name).write_bytes(whole[: len(whole) // 2])
    give(page, folder / name)
    said = page.until("document.querySelector('#fault').textContent")
    assert said.startswith("The video: ")
    assert "get a new copy" in said
    assert page.run("document.querySelector('#sending').hidden")
    assert page.run("[...document.querySelectorAll('.column')].every((each) => each.hidden)")
    assert not page.run("document.querySelector('#drop img')")
    give(page, folder / "whole.mp4")  # and the next one is looked at
    page.until("document.querySelectorAll('.bar').length === 6")
    assert page.run("document.querySelector('#fault').hidden")


def test_a_file_beyond_the_limit_is_not_sent(page: Tab, folder: Path):
    (folder / "large.mp4").write_bytes(bytes((1 << 20) + 1))
    give(page, folder / "large.mp4")
    said = page.until("document.querySelector('#fault').textContent")
    assert "large.mp4 has 1.0 MB; this server takes 1.0 MB" in said
    assert not page.log


def test_the_label_changes_with_what_the_camera_sees(page: Tab):
    page.run("document.querySelector('#by-camera').click()")
    page.run("document.querySelector('#start').click()")
    for colour in ("red", "blue", "red"):
        page.until(f"{NOW}.every((label) => label === '{colour}')")
    pace = page.until("document.querySelector('#pace').textContent")
    assert pace.endswith(("frame dropped", "frames dropped"))
    drawn = (
        "[...document.querySelectorAll('.track canvas')].every((each) => each.getContext('2d')"
        ".getImageData(each.width - 3, each.height - 3, 1, 1).data[3] === 255)"
    )
    assert page.run(drawn)
    legend = page.run("document.querySelector('.legend').innerText").split()
    assert {*legend} == {"red", "blue"}
    page.run("document.querySelector('#stop').click()")
    assert page.run("document.querySelector('#live').srcObject") is None
    assert not page.log


def test_a_server_that_ends_is_said_to_have(tab: Tab, folder: Path):
    app = with_page(make_app(colour_predictor(folder), temporary=folder))
    with running(app, folder) as server:
        tab.open(server.url + "/")
        tab.until("document.querySelector('.column')")
    give(tab, write_colours(folder / "late.mp4", [("red", 1)]))
    said = tab.until("document.querySelector('#fault').textContent")
    assert "Is it still running" in said


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off(tab: Tab, server: Running, folder: Path, width: int, dark: bool):
    import av

    tab.open(server.url + "/", width=width, dark=dark)
    tab.until("document.querySelector('.column')")
    give(tab, write_colours(folder / "looks.mp4", [("red", 12), ("blue", 12)], rate=5))
    tab.until("document.querySelectorAll('.strip canvas').length === 4")
    assert not tab.too_wide()
    assert tab.run("document.documentElement.scrollWidth") <= width
    with av.open(str(tab.picture(folder / "page.png"))) as file:
        shot = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert (shot[0, 0].max() < 40) if dark else (shot[0, 0].min() > 240)
