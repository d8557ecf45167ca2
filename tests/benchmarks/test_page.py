from __future__ import annotations

import json
from pathlib import Path

from benchmarks import page

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {
    "processor": "A Processor",
    "cores": 4,
    "threads": 1,
    "instruction_sets": ["avx2"],
    "gpu": "",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
}


def test_every_key_of_a_row_is_a_column_unless_nobody_has_it(tmp_path: Path) -> None:
    rows = [
        {"model": "a", "ratio": 1.23456, "max_error": None},
        {"model": "b", "ratio": None, "max_error": None, "growth": 2},
    ]
    (tmp_path / "growth.json").write_text(json.dumps({"machine": MACHINE, "rows": rows}))
    (tmp_path / "by_hand.md").write_text("## By hand\n\nOn another machine.\n")
    page.main([str(tmp_path), "--out", str(tmp_path / "page.md")])
    text = (tmp_path / "page.md").read_text()
    assert "| model | ratio | growth |\n|---|---|---|\n| a | 1.23 |  |\n| b |  | 2 |" in text
    assert "1 of 4 cores of A Processor (avx2), without a GPU, Python 3.11.7, torch 2.13.0" in text
    assert text.endswith("On another machine.\n")


def test_sections_have_their_order_and_plots(tmp_path: Path) -> None:
    names = ("inference", "growth", "another")
    for name in reversed(names):
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine": MACHINE, "rows": []}))
    (tmp_path / "growth").mkdir()
    (tmp_path / "growth" / "frames.svg").write_text("<svg/>")
    text = page.page(tmp_path)
    places = [
        text.index(f"benchmarks.{name} --json") for name in ("inference", "growth", "another")
    ]
    assert places == sorted(places)
    assert "![frames](growth-frames.svg)" in text
    page.main([str(tmp_path), "--out", str(tmp_path / "docs" / "page.md")])
    assert (tmp_path / "docs" / "growth-frames.svg").read_text() == "<svg/>"


def test_networks_on_processors_and_on_a_card_are_tables_too(tmp_path: Path) -> None:
    fused = {
        "model": "tsm-r50",
        "mode": "fused",
        "ratio": 1.5,
        "rounds": 7,
        "peak_bytes": 37_600_000,
    }
    plain = {"model": "tsm-r50", "mode": "plain", "ratio": 1.25, "rounds": 3}
    contents: dict[str, dict[str, object]] = {
        "inference": {"rows": [fused], "left_out": {"tsm-r50, compiled": "no C++ compiler"}},
        "training": {"rows": [plain], "left_out": {}},
        "gpu": {
            "rows": [{**fused, "bf16_ratio": 1.3}],
            "parts": {"tests": "12 s"},
            "memory": {"tsm-r50": {"ours_clips": 512, "ours_bytes": 70_000_000_000}},
        },
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine": MACHINE, **content}))
    text = page.page(tmp_path)
    assert "| model | mode | ratio | rounds | peak_bytes |" in text
    assert "| tsm-r50 | fused | 1.5 | 7 | 38 MB |" in text
    assert "Left out:\n\n- tsm-r50, compiled: no C++ compiler\n" in text
    assert "| tsm-r50 | plain | 1.25 | 3 |" in text
    assert "| tsm-r50 | fused | 1.5 | 7 | 38 MB | 1.3 |" in text
    assert "| tsm-r50 | 512 | 70,000 MB |" in text
    assert "- tests: 12 s\n" in text
    titles = ["## One clip through each model", "## A step of training", "## On a GPU"]
    assert sorted(titles, key=text.index) == titles


def test_the_page_is_what_is_made_of_the_results() -> None:
    made = page.page(ROOT / "benchmarks" / "results").replace(f"{ROOT.as_posix()}/", "")
    assert made == (ROOT / page.PAGE).read_text(encoding="utf-8")
