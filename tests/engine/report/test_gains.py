"""Two runs on one data set compare whatever its form: videos, packs, features."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.clip_identity import ClipNames, common_keys
from marey.engine.report.compare import read_comparison
from marey.video.reading.reader import Span
from tests.engine.report.test_several_report import several_run
from tests.fake_run import write_run


def names(texts: list[str], root: str = "r", spans: list[Span | None] | None = None) -> ClipNames:
    places = [f"{root}/{text}" for text in texts]
    return ClipNames(
        ids=None, places=places, texts=texts, spans=spans or [None] * len(texts), root=root
    )


VIDEOS = ["all/run/a.mp4", "all/run/b.mp4", "all/hop/a.mp4"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (names(VIDEOS, "elsewhere"), "their paths below r and elsewhere"),
        (names(["all/run/a", "all/run/b", "all/hop/a"], "frames"), "without the endings of files"),
        (
            names(["packs/0.tar/run/a.mp4", "packs/0.tar/run/b.mp4", "packs/1.tar/hop/a.mp4"]),
            "pack",
        ),
        (names(["clips/run/a.mp4", "clips/run/b.mp4", "clips/hop/a.mp4"]), "packings"),
        (names(["frames/run/a", "frames/run/b", "frames/hop/a"]), "packings"),
    ],
)
def test_clips_are_known_whatever_their_form(other: ClipNames, words: str) -> None:
    by, (ours, theirs) = common_keys([names(VIDEOS), other])
    assert ours == theirs
    assert words in by
    assert common_keys([other, names(VIDEOS)])[1][0] == theirs


def test_a_packed_clip_has_its_span_in_its_name() -> None:
    spans = [Span(0, 1.5), Span(1.5, None)]
    videos = names(["v/a.mp4", "v/a.mp4"], spans=spans)
    packed = names(["packs/00000.tar/a_0_1.5", "packs/00000.tar/a_1.5_end"])
    _, (ours, theirs) = common_keys([videos, packed])
    assert ours == theirs


def test_clips_of_the_same_number_in_other_folders_are_others() -> None:
    train, val = (names([f"{split}/{i}.mp4" for i in range(4)]) for split in ("train", "val"))
    assert common_keys([train, val]) is None


def rename(run: Path, form: str) -> None:
    """The predictions of a run, of the same clips under other paths."""
    path = run / "results" / "val" / "predictions.parquet"
    table = pyarrow.parquet.read_table(path)
    paths = [form.format(i) for i in range(len(table))]
    order = [*reversed(range(len(table)))]
    table = table.set_column(table.column_names.index("path"), "path", pa.array(paths)).take(order)
    pyarrow.parquet.write_table(table, path)


def test_a_run_on_packs_compares_with_one_on_videos(tmp_path: Path) -> None:
    videos = write_run(tmp_path / "videos")
    packs = write_run(tmp_path / "packs", data_hash="beef")
    rename(packs, "/elsewhere/packs/00000.tar/{}.mp4")
    comparison = read_comparison([videos, packs])
    assert len(comparison.pairs["packs"]) == 6
    assert [gain.points.value for gain in comparison.gains["packs"]] == [0, 0]
    assert not [warning for warning in comparison.warnings if "same" in warning]


def test_clips_of_several_classes_have_gains_too(tmp_path: Path) -> None:
    runs = [several_run(tmp_path / name, noise) for name, noise in (("plain", 2.0), ("better", 0))]
    found = {gain.key: gain.points for gain in read_comparison(runs).gains["better"]}
    assert list(found) == ["mAP", "mAP/head", "mAP/tail", "mAP/few", "hit@1"]
    assert all(points.low < points.high for points in found.values())


def test_the_comparison_as_json_has_numbers_intervals_and_gains(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, name=name) for name in ("tsn", "tsm")]
    out = tmp_path / "c.html"
    done = CliRunner().invoke(app, ["compare", *map(str, runs), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert [run["run"] for run in said["runs"]] == ["tsn", "tsm"]
    assert said["runs"][0]["metrics"]["acc/top1"] == 66.67
    assert said["gains"][0]["points"]["value"] == 0
    assert said["gains"][0]["p"] == 1


def test_the_report_as_json_has_classes_suspects_and_temperature(tmp_path: Path) -> None:
    run = write_run(tmp_path / "tsn")
    done = CliRunner().invoke(app, ["report", str(run), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["run"], said["results"], said["split"]) == ("tsn", "val", "val")
    head = said["heads"]["label"]
    assert head["classes"]["left"]["num_clips"] == 3
    assert head["confusions"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert head["temperature_scaling"]["temperature"] > 1
    assert {each["clip"] for each in head["label_suspects"]} <= {f"clips/{i}.mp4" for i in range(6)}


def test_an_evaluation_of_two_classes_says_what_is_found_of_each(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        labels=[0, 0, 0, 1],
        logits=[[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 2.0]],
        classes=("normal", "fall"),
    )
    path = run / "results" / "val" / "results.json"
    facts = json.loads(path.read_text()) | {"num_clips": 4, "missing": []}
    path.write_text(json.dumps(facts))
    done = CliRunner().invoke(app, ["eval", str(run / "results" / "val")])
    assert done.exit_code == 0, done.output
    assert "taken" in done.output
    row = next(line for line in done.output.splitlines() if "fall" in line)
    assert "50.0 (9.5" in row
    done = CliRunner().invoke(app, ["eval", str(run / "results" / "val"), "--json"])
    assert json.loads(done.stdout)["metrics"]["acc/top1"] == 75
