"""The pages as a browser shows them: drawn, in light and dark, wide and narrow."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from marey.engine.report.compare import read_comparison
from marey.engine.report.report import write_report
from tests.fake_run import write_run

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
DARK = "--blink-settings=preferredColorScheme=0"


@pytest.fixture(scope="module")
def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(names)} is installed")
    return found


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
        timeout=120,
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


def test_the_script_sorts_filters_and_shows_tips(browser, pages, tmp_path):
    page = pages[0].with_name("scripted.html")
    asked = pages[0].read_text().replace("</body>", f"<script>{SCRIPTED}</script></body>")
    page.write_text(asked)
    profile = f"--user-data-dir={tmp_path / 'profile-script'}"
    done = subprocess.run(
        [browser, *FLAGS, profile, "--dump-dom", page.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "<title>true true 1 true 0</title>" in done.stdout


def test_a_narrow_window_has_nothing_cut_off_at_the_right(browser, pages, tmp_path):
    """Chromium opens no narrower than 500 px; beyond the margin of 20 px only paper is left."""
    for page in pages:
        shot = picture(browser, page, tmp_path, 500)
        assert (shot[:, -15:] == shot[0, 0]).all()
