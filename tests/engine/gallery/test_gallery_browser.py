"""The page of a data set as a browser has it: clips play, are found, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marey.data.manifest.read import read_manifest
from marey.engine.gallery.answers import read_answers
from marey.engine.gallery.gallery import write_gallery
from marey.jobs.executors import HERE
from tests.chromium import Tab, chromium
from tests.fake_run import write_clip, write_run

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=document.title=1>"
SHOWN = "[...document.querySelectorAll('.clips li')].map((each) => each.innerText)"
FRAME = "(() => {{ const v = document.querySelector('.clips video'); return v && {}; }})()"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seventy clips of two splits and three classes, of which six were answered."""
    tmp_path = tmp_path_factory.mktemp("set")
    run, data = write_run(tmp_path / "run"), tmp_path / "data"
    write_clip(data / "clips" / f"{EVIL}.mp4")
    lines = [f"clips/{i}.mp4,{i % 3},val" for i in range(6)]
    lines += [f"clips/{EVIL}.mp4,2,train"]
    for i in range(63):
        (data / "clips" / f"more {i}.mp4").symlink_to(data / "clips" / "0.mp4")
        lines.append(f"clips/more {i}.mp4,0,train")
    (data / "all.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    manifest = read_manifest(data / "all.csv")
    answers = read_answers(run, manifest)
    return write_gallery(manifest, data / "show.html", answers=answers, executor=HERE).path


def ask(tab: Tab, **values: str) -> int:
    """How many clips are shown once a person has filled in these fields."""
    for name, value in values.items():
        tab.run(
            f"(() => {{ const e = document.querySelector('[name={name}]'); e.value = {value!r};"
            "e.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )
    return int(tab.run("document.querySelector('.status').textContent").split()[0])


def test_clips_are_found_by_what_is_asked(tab: Tab, page: Path):
    tab.open(page.as_uri())
    assert tab.run("document.querySelectorAll('.clips li').length") == 60
    assert ask(tab, split="val") == 6
    assert ask(tab, answer="wrong") == 2
    assert ask(tab, sort="surest") == 2
    first, second = tab.run(SHOWN)
    assert "answered left, 99.5 % sure" in first
    assert "answered right" in second
    assert ask(tab, least="98") == 2
    assert ask(tab, least="99") == 1
    assert ask(tab, least="", answer="", sort="", fault="unreadable") == 2
    assert all("unreadable: " in each for each in tab.run(SHOWN))
    assert ask(tab, fault="", split="", search="MORE 6") == 9
    assert ask(tab, search="no such clip") == 0
    assert "none is as asked" in tab.run("document.querySelector('.status').textContent")
    tab.run("document.querySelector('button[type=reset]').click()")
    tab.until("document.querySelector('.status').textContent.startsWith('70 of 70')")
    assert not tab.log


def test_the_bars_of_classes_count_and_filter(tab: Tab, page: Path):
    tab.open(page.as_uri())
    tab.run("document.querySelector('.counts summary').click()")
    bars = tab.until(
        "(() => { const all = [...document.querySelectorAll('.counts li')];"
        "return all.length && all.map((each) => each.innerText.split(/\\n+/)); })()"
    )
    assert bars == [["left", "65"], ["up & <down>", "3"], ["right", "2"]]
    tab.run("document.querySelectorAll('.counts button')[1].click()")
    assert tab.run("document.querySelectorAll('.clips li').length") == 3
    pressed = tab.run("document.activeElement.getAttribute('aria-pressed')")
    assert pressed == "true"


def test_a_name_is_no_html(tab: Tab, page: Path):
    tab.open(page.as_uri() + "#search=onerror")
    (shown,) = tab.run(SHOWN)
    assert f"clips/{EVIL}.mp4" in shown
    assert tab.run("document.title") == "Clips of all.csv"
    assert not tab.log


def test_scripts_that_are_not_its_own_do_not_run(tab: Tab, page: Path):
    tab.open(page.as_uri())
    tab.run(
        "(() => { const s = document.createElement('script');"
        "s.textContent = 'document.title = 1'; document.body.append(s); })()"
    )
    assert tab.run("document.title") == "Clips of all.csv"
    assert "Content Security Policy" in " ".join(tab.log)
    tab.log.clear()


def test_a_clip_plays_under_the_pointer_and_stops_behind_it(tab: Tab, page: Path):
    tab.open(page.as_uri())
    tab.until("document.querySelector('.clips img').naturalWidth")
    tab.move(".clips .look")
    tab.until(FRAME.format("v.currentTime > 0 && !v.paused"))
    assert tab.run(FRAME.format("v.muted && v.videoHeight === 144"))
    tab.move("h1")
    tab.until("!document.querySelector('.clips video')")
    assert not tab.log


def test_a_clip_plays_by_keys_alone(tab: Tab, page: Path):
    tab.open(page.as_uri())
    tab.run("document.querySelector('.counts summary').focus()")
    tab.press("Tab", 9)
    assert tab.run("document.activeElement.className") == "look"
    name = tab.run("document.activeElement.getAttribute('aria-label')")
    assert name == "Play left, clips/0.mp4"
    tab.until(FRAME.format("v.currentTime > 0"))
    tab.press("Tab", 9)
    tab.until("document.querySelectorAll('.clips video').length === 1")
    assert tab.run("document.activeElement.querySelector('video') !== null")


def test_the_address_keeps_what_is_asked(tab: Tab, page: Path):
    tab.open(page.as_uri())
    ask(tab, split="train")
    tab.run("document.querySelector('[name=next]').click()")
    assert tab.run("document.querySelectorAll('.clips li').length") == 4
    address = tab.run("location.href")
    tab.open(address)
    assert tab.run("document.querySelectorAll('.clips li').length") == 4
    assert tab.run("document.querySelector('[name=split]').value") == "train"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off(tab: Tab, page: Path, tmp_path: Path, width: int, dark: bool):
    import av

    tab.open(page.as_uri(), width=width, dark=dark)
    tab.run("document.querySelector('.counts summary').click()")
    assert not tab.too_wide()
    assert tab.run("document.documentElement.scrollWidth") <= width
    with av.open(str(tab.picture(tmp_path / "page.png"))) as file:
        shot = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert (shot[0, 0].max() < 40) if dark else (shot[0, 0].min() > 240)
