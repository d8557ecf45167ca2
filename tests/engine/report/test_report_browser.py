"""The pages as a browser shows them: drawn, in light and dark, wide and narrow."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import av
import numpy as np
import pytest

from marey.engine.report.compare import read_comparison
from marey.engine.report.report import write_report
from tests.chromium import FLAGS, executable
from tests.engine.report.test_group_report import tailed_run
from tests.fake_run import write_run

pytestmark = pytest.mark.browser
DARK = "--blink-settings=preferredColorScheme=0"


@pytest.fixture(scope="module")
def browser() -> str:
    return executable()


@pytest.fixture
def pages(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 240)
    logits = rng.normal(size=(240, 12)) + 2.5 * np.eye(12)[labels]
    names = tuple(f"{verb} {side}" for verb in ("push", "pull", "turn") for side in "abcd")
    runs = [
        write_run(
            tmp_path / name,
            name=name,
            labels=labels.tolist(),
            classes=names,
            epochs=9,
            logits=(logits * scale + rng.normal(size=(240, 12))).tolist(),
        )
        for name, scale in (("tsn-resnet18", 0.6), ("tsm-resnet18", 1.4))
    ]
    for i in range(4, 240):  # every mistake has frames to show
        shutil.copy(tmp_path / "data" / "clips" / "0.mp4", tmp_path / "data" / "clips" / f"{i}.mp4")
    return [write_report(runs[1]), read_comparison(runs).write(tmp_path / "compare.html")]


@pytest.fixture
def long_names(tmp_path: Path) -> Path:
    """The report of a long tail of classes with the names of Something-Something."""
    rng, k = np.random.default_rng(0), 22
    labels = rng.integers(0, k, 330)
    names = (
        "Pretending or failing to wipe something off of something",
        "Poking it",
        "Jumping-jacks",
    )
    run = tailed_run(
        tmp_path / "long-tail",
        labels=labels,
        logits=rng.normal(size=(330, k)) + 2.5 * np.eye(k)[labels],
        classes=tuple(f"{names[i % 3]} {i}" for i in range(k)),
        clips=[max(2, int(400 * 0.75**i)) for i in range(k)],
    )
    return write_report(run)


def picture(browser: str, page: Path, tmp_path: Path, width: int, *flags: str) -> np.ndarray:
    """The page as uint8 [h w 3]."""
    image = tmp_path / f"{page.stem}-{width}{'-dark' if flags else ''}.png"
    subprocess.run(
        [
            browser,
            *FLAGS,
            *flags,
            f"--user-data-dir={tmp_path / f'profile-{image.stem}'}",
            f"--screenshot={image}",
            f"--window-size={width},4200",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=600,
    )
    with av.open(str(image)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


def test_both_pages_are_drawn_in_light_and_dark(browser, pages, tmp_path):
    for page in pages:
        light = picture(browser, page, tmp_path, 1100)
        dark = picture(browser, page, tmp_path, 1100, DARK)
        assert light[0, 0].min() > 240
        assert dark[0, 0].max() < 40
        for shot in (light, dark):
            inked = (shot != shot[0, 0]).any(axis=2)
            assert inked.mean() > 0.01
            colours = np.unique(shot.reshape(-1, 3) // 32, axis=0)
            assert len(colours) > 8  # the charts, not only text


SCRIPTED = """
window.addEventListener("load", () => {
  const said = [];
  const table = [...document.querySelectorAll("table")].find(
    (each) => each.textContent.includes("taken for it"));
  const clips = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === "clips");
  const rows = table.tBodies[0].rows, of = clips.cellIndex;
  const column = () => [...rows].map((row) => +row.cells[of].textContent);
  clips.click();
  said.push(column().every((n, i, all) => i === 0 || all[i - 1] <= n));
  clips.click();
  said.push(column().every((n, i, all) => i === 0 || all[i - 1] >= n));
  const field = table.closest("section").querySelector("input");
  field.value = "push a";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  said.push([...table.tBodies[0].rows].filter((row) => !row.hidden).length);
  const mark = document.querySelector("[data-tip]");
  mark.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 50, clientY: 50 }));
  said.push(document.querySelector(".tip").textContent === mark.dataset.tip);
  said.push(document.querySelectorAll("svg title").length);
  document.title = said.join(" ");
});
"""


def title_of(browser: str, page: Path, tmp_path: Path) -> str:
    """The title that the script of a page has given it."""
    profile = f"--user-data-dir={tmp_path / 'profile-script'}"
    done = subprocess.run(
        [browser, *FLAGS, profile, "--window-size=1400,900", "--dump-dom", page.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    (title,) = re.findall("<title>(.*?)</title>", done.stdout.replace("&quot;", ""))[:1] or [""]
    return title


def test_the_script_sorts_filters_and_shows_tips(browser, pages, tmp_path):
    page = pages[0].with_name("scripted.html")
    asked = pages[0].read_text().replace("</body>", f"<script>{SCRIPTED}</script></body>")
    page.write_text(asked)
    assert title_of(browser, page, tmp_path) == "true true 1 true 0"


MEASURED = """
window.addEventListener("load", () => {
  const said = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, width = frame.clientWidth;
    const name = (each) => `${width}: ${each.tagName} ${each.textContent.trim().slice(0, 40)}`;
    for (const each of page.querySelectorAll("main *")) {
      const { left, right } = each.getBoundingClientRect(), svg = each.closest("svg");
      const slides = each.parentNode.closest(".scroll, .slide, pre");
      if (!slides && !svg && (left < -0.5 || right > width + 0.5)) said.push(name(each));
      if (each.tagName !== "text") continue;
      const around = svg.getBoundingClientRect();
      if (left < around.left - 1 || right > around.right + 1) said.push(name(each));
    }
    for (const chart of page.querySelectorAll("svg:not(.slide svg)")) {
      const boxes = [...chart.querySelectorAll("text")].map((of) => of.getBoundingClientRect());
      const touch = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
      if (boxes.some((a, i) => boxes.some((b, j) => j > i && touch(a, b)))) said.push(name(chart));
    }
    for (const box of page.querySelectorAll(".scroll, .slide")) {
      const fits = box.scrollWidth <= box.clientWidth + 1;
      if (width > 1000 && !fits || getComputedStyle(box).overflowX !== "auto") said.push(name(box));
    }
    said.push(page.documentElement.scrollWidth <= width);
  }
  document.title = said.join(" | ");
});
"""


def test_nothing_is_wider_than_the_page_nor_cut_off(browser, pages, long_names, tmp_path):
    """In frames, as chromium opens no window narrower than 500 px.

    What slides may be wider than its box, but nothing slides in a window of 1280 px. No words of a
    chart reach beyond it, nor lie on others.
    """
    for page in (*pages, long_names):
        source = escape(page.read_text())
        frames = "".join(
            f'<iframe style="border:0;width:{width}px" srcdoc="{source}"></iframe>'
            for width in (390, 1280)
        )
        framed = page.with_name("framed.html")
        framed.write_text(f"<!DOCTYPE html><body>{frames}<script>{MEASURED}</script></body>")
        assert title_of(browser, framed, tmp_path) == "true | true", page
