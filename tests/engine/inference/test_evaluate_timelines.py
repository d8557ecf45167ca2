"""Timelines of a trained model on marked videos: numbers, files, folds, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

import marey
from marey.cli.app import app
from marey.engine.inference.evaluate_run import EvalOptions
from marey.engine.inference.evaluate_timelines import evaluate_timelines
from marey.engine.inference.seen_videos import TimelineOptions
from marey.engine.inference.timelines_file import TimelineResults
from marey.engine.train.loop import train
from marey.engine.weights.origin import read_run_recipe
from marey.errors import ManifestError, RunError
from marey.recipes.schema import to_readable_yaml
from marey.timelines.segments import SegmentRule
from tests.tiny import CLASSES, COLOURS, tiny_recipe, write_set
from tests.video.media import numbered, write_video

HOW = TimelineOptions(window_seconds=0.8, stride_seconds=0.2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    recipe = tiny_recipe(write_set(folder / "clips"), epochs=6)
    return train(recipe, folder / "run", quiet=True)


def write_colours(path: Path, labels: list[int], frames: int = 20) -> None:
    """A video of two seconds of each colour after the other."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for label in np.repeat(labels, frames):
            pixels = (COLOURS[label] + rng.normal(0, 20, (40, 48, 3))).clip(0, 255)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of two long videos, whose colours are marked; blue is the background of one."""
    folder = tmp_path_factory.mktemp("marked")
    write_colours(folder / "one.mp4", [1, 2, 3])
    write_colours(folder / "two.mp4", [2, 1])
    (folder / "labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    (folder / "manifest.csv").write_text(
        "path,label,start,end,num_frames\n"
        "one.mp4,1,0,2,60\none.mp4,2,2,4,60\n"
        "two.mp4,2,,2,40\ntwo.mp4,1,2,,40\n",
        encoding="utf-8",
    )
    return folder / "manifest.csv"


def evaluated(
    run: Path, manifest: Path, how: TimelineOptions = HOW, out: Path | None = None
) -> tuple[TimelineResults, Path]:
    return evaluate_timelines(EvalOptions(folder=run, manifest=manifest, device="cpu"), how, out)


@pytest.fixture(scope="module")
def found_there(run: Path, marked: Path) -> tuple[TimelineResults, Path]:
    return evaluated(run, marked)


def test_colours_that_are_learned_are_found_where_they_are(
    run: Path, marked: Path, found_there: tuple[TimelineResults, Path]
) -> None:
    """Without a background blue is found too, where nothing is marked."""
    found, path = found_there
    of = found.heads["label"]
    assert of.estimates["map@0.5"].value == 100
    assert of.estimates["map@0.5"].num_classes == 2
    assert of.estimates["moments/accuracy/marked"].value > 75
    assert of.estimates["moments/accuracy"].value < 80  # two of ten seconds are blue
    assert (of.classes["blue"].num_marked, of.classes["blue"].num_found) == (0, 1)
    assert np.isnan(of.classes["blue"].precision["0.5"])
    assert path == run / "results" / f"{marked.parent.name}-timelines" / "timelines.json"


def test_python_has_the_numbers_of_the_command(
    run: Path, marked: Path, tmp_path: Path, found_there: tuple[TimelineResults, Path]
) -> None:
    found = marey.evaluate_timelines(
        run, marked, window_seconds=0.8, stride_seconds=0.2, out=tmp_path, device="cpu"
    )
    assert found.heads["label"].estimates == found_there[0].heads["label"].estimates
    with pytest.raises(ValueError, match="window_seconds is 0, expected more than 0"):
        marey.evaluate_timelines(run, marked, window_seconds=0)


def test_what_is_background_marks_nothing_and_is_no_segment(
    run: Path, marked: Path, tmp_path: Path
) -> None:
    how = replace(HOW, rule=SegmentRule(background="blue"))
    found, _ = evaluated(run, marked, how, tmp_path)
    of = found.heads["label"]
    assert "blue" not in of.classes
    assert of.estimates["moments/accuracy"].value > 80


def test_the_file_has_numbers_and_every_video(
    run: Path, marked: Path, found_there: tuple[TimelineResults, Path]
) -> None:
    found, path = found_there
    facts = json.loads(path.read_text())
    assert facts["heads"]["label"]["classes"]["blue"]["precision"]["0.5"] is None
    assert facts["rule"]["step"] == 0.1
    one, two = facts["videos"]
    assert one["path"].endswith("one.mp4")
    assert one["seconds"] == 6
    assert one["marked"][0] == {"start": 0, "end": 2, "label": "red"}
    assert one["found"][0]["label"] == "red"
    assert two["marked"][1] == {"start": 2, "end": 4, "label": "red"}
    assert found.num_clips == 4
    before = path.read_bytes()
    assert evaluated(run, marked)[1] == path
    assert path.read_bytes() == before  # intervals are drawn by a fixed seed


def test_a_video_that_cannot_be_read_counts_as_not_found(
    run: Path, marked: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_bytes((marked.parent / "labels.txt").read_bytes())
    text = marked.read_text().replace("one.mp4", str(marked.parent / "one.mp4"))
    (tmp_path / "two.mp4").write_bytes(b"text")
    (tmp_path / "manifest.csv").write_text(text)
    found, _ = evaluated(run, tmp_path / "manifest.csv")
    assert [Path(video.path).name for video in found.missing] == ["two.mp4"]
    assert found.heads["label"].classes["red"].num_marked == 2
    assert found.heads["label"].estimates["map@0.5"].value == 50


def test_a_video_that_no_window_fits_costs_itself_alone(
    run: Path, marked: Path, tmp_path: Path
) -> None:
    """One of two frames a second, one of a single picture, and a file that ends in its header."""
    (tmp_path / "labels.txt").write_bytes((marked.parent / "labels.txt").read_bytes())
    write_video(tmp_path / "slow.mp4", numbered(8), fps=2)
    write_video(tmp_path / "still.mp4", numbered(1))
    whole = marked.parent / "two.mp4"
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:200])
    rows = ["path,label,start,end", "slow.mp4,1,0,2", "cut.mp4,1,0,1"]
    (tmp_path / "none.csv").write_text("\n".join(rows))
    (tmp_path / "some.csv").write_text("\n".join([*rows, "still.mp4,1,,", f"{whole},2,0,2"]))
    found, _ = evaluated(run, tmp_path / "some.csv")
    errors = {Path(video.path).name: video.error for video in found.missing}
    assert set(errors) == {"slow.mp4", "cut.mp4"}
    assert "a window of 0.8 s holds no two frames of 8, one every 0.5 s" in errors["slow.mp4"]
    assert found.heads["label"].classes["red"].num_marked == 3 - 1  # a picture lasts no time
    assert found.heads["label"].classes["green"].precision["0.5"] == 100
    with pytest.raises(RunError, match=r"none of 2 videos could be read: .*holds no two frames"):
        evaluated(run, tmp_path / "none.csv")
    assert not (run / "results" / "none-timelines").exists()


def test_a_video_whose_rows_are_in_two_splits_is_refused(
    run: Path, marked: Path, tmp_path: Path
) -> None:
    """What the other rows mark would count as background; a video of one split is no matter."""
    (tmp_path / "labels.txt").write_bytes((marked.parent / "labels.txt").read_bytes())
    one, two = (marked.parent / f"{name}.mp4" for name in ("one", "two"))
    header = "path,label,start,end,split"
    rows = [f"{one},1,0,2,val", f"{one},2,2,4,val", f"{two},2,0,2,train", f"{two},1,2,4,train"]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join([header, *rows]))
    found, _ = evaluated(run, manifest, out=tmp_path / "out")
    assert [Path(video.path).name for video in found.videos] == ["one.mp4"]
    rows[1] = rows[1].replace("val", "train")
    manifest.write_text("\n".join([header, *rows]))
    with pytest.raises(ManifestError, match=r"1 video of split val .* as background: .*one\.mp4"):
        evaluated(run, manifest)


def test_spans_outside_of_their_video_are_named_and_count_for_nothing(
    run: Path, marked: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_bytes((marked.parent / "labels.txt").read_bytes())
    text = marked.read_text().replace("one.mp4", str(marked.parent / "one.mp4"))
    text = text.replace("two.mp4", str(marked.parent / "two.mp4"))
    wrong = f"{marked.parent / 'one.mp4'},0,9,12,60\n"
    (tmp_path / "manifest.csv").write_text(text + wrong)
    found, _ = evaluated(run, tmp_path / "manifest.csv")
    (line,) = found.bad_spans
    assert line.endswith("one.mp4: [9, 12) seconds is not in the video, which lasts 6.000 s")
    assert found.heads["label"].estimates["map"].num_classes == 2


def test_other_videos_of_the_same_name_replace_nothing(
    run: Path, marked: Path, tmp_path: Path, found_there: tuple[TimelineResults, Path]
) -> None:
    _, first = found_there
    other = tmp_path / marked.parent.name
    other.mkdir()
    (other / "labels.txt").write_bytes((marked.parent / "labels.txt").read_bytes())
    text = marked.read_text().replace("one.mp4", str(marked.parent / "one.mp4"))
    (other / "manifest.csv").write_text(text.replace("two.mp4", str(marked.parent / "two.mp4")))
    _, second = evaluated(run, other / "manifest.csv")
    assert second.parent.name == f"{first.parent.name}-2"
    with pytest.raises(RunError, match="holds the results of 4 clips"):
        evaluated(run, other / "manifest.csv", out=first.parent)


def test_of_several_labels_at_a_time_moments_have_a_map(
    run: Path, marked: Path, tmp_path: Path
) -> None:
    """Each class has its own probability then, and segments overlap."""
    recipe = read_run_recipe(run)
    heads = tuple(replace(head, several=True) for head in recipe.model.heads)
    folder = shutil.copytree(run, tmp_path / "several")
    recipe = replace(recipe, model=replace(recipe.model, heads=heads))
    text = to_readable_yaml(recipe, str(folder / "recipe.yaml"))
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    (marked.parent / "both.csv").write_text(
        "path,label,start,end\none.mp4,1|2,0,2\none.mp4,2,2,4\none.mp4,0|3,4,\n"
    )
    how = replace(HOW, rule=SegmentRule(threshold=0.0))
    found, _ = evaluated(folder, marked.parent / "both.csv", how)
    of = found.heads["label"]
    assert set(of.estimates) & {"moments/map", "moments/accuracy"} == {"moments/map"}
    assert of.estimates["moments/map"].num_classes == 4
    assert [each["label"] for each in found.videos[0].found] == list(CLASSES)
    assert {(each["start"], each["end"]) for each in found.videos[0].found} == {(0, 6)}
    assert [each["label"] for each in found.videos[0].marked] == [
        "red", "green", "green", "dark", "blue"
    ]  # fmt: skip


def test_folds_are_each_tested_on_their_own_videos(run: Path, marked: Path, tmp_path: Path) -> None:
    """And the numbers are of all videos together; a video of two folds is refused."""
    manifest = tmp_path / "folds.csv"
    (tmp_path / "labels.txt").write_bytes((marked.parent / "labels.txt").read_bytes())
    lines = marked.read_text().replace("one.mp4", str(marked.parent / "one.mp4")).split()
    lines = [line.replace("two.mp4", str(marked.parent / "two.mp4")) for line in lines]
    folds = ["fold", "0", "0", "1", "1"]
    manifest.write_text("\n".join(map(",".join, zip(lines, folds, strict=True))) + "\n")
    recipe = read_run_recipe(run)
    for fold in (0, 1):
        folder = shutil.copytree(run, tmp_path / "runs" / f"fold-{fold}")
        data = replace(recipe.data, train=str(manifest), val="", fold=fold)
        text = to_readable_yaml(replace(recipe, data=data), str(folder / "recipe.yaml"))
        (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    options = EvalOptions(folder=tmp_path / "runs", device="cpu")
    found, path = evaluate_timelines(options, HOW)
    assert [Path(video.path).name for video in found.videos] == ["one.mp4", "two.mp4"]
    assert [Path(model).name for model in found.models] == ["fold-0", "fold-1"]
    assert path == tmp_path / "runs" / "results" / "val-timelines" / "timelines.json"
    with pytest.raises(ManifestError, match="is tested by two models"):
        evaluate_timelines(replace(options, manifest=marked), HOW)


def test_the_command_prints_a_table_or_json(run: Path, marked: Path, tmp_path: Path) -> None:
    words = ["eval", str(run), "--manifest", str(marked), "--window", "0.8", "--stride", "0.2"]
    words += ["--background", "blue", "--device", "cpu", "--out", str(tmp_path)]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    for text in ("2 videos of", "map@0.5", "moments/accuracy", "AP@0.7", "red", "written:"):
        assert text in printed.output
    as_json = CliRunner().invoke(app, [*words, "--json"])
    facts = json.loads(as_json.stdout)
    assert facts["window_seconds"] == 0.8
    assert facts["rule"]["background"] == "blue"


def test_predict_prints_segments_and_json_has_windows_unless_segments_are_asked_for(
    run: Path, marked: Path
) -> None:
    video = str(marked.parent / "two.mp4")
    words = ["predict", str(run), video, "--window", "0.8", "--stride", "0.2", "--device", "cpu"]
    printed = CliRunner().invoke(app, words).output
    assert "green" in printed
    assert "0.00 -" in printed
    (windows,) = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout).values()
    assert len(windows) == 17
    assert set(windows[0]["scores"]) == {*CLASSES}
    asked = [*words, "--json", "--min-duration", "1", "--merge", "0.5"]
    (segments,) = json.loads(CliRunner().invoke(app, asked).stdout).values()
    assert [each["label"] for each in segments] == ["green", "red"]
    assert list(segments[0]) == ["start", "end", "label", "score"]
    words[words.index("0.2")] = "2"
    assert "1.2 s of every 2 s are in no window" in CliRunner().invoke(app, words).stderr
    refused = CliRunner().invoke(app, ["predict", str(run), video, "--smooth", "1"])
    assert refused.exit_code == 2
    assert "--smooth" in refused.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--smooth", "1"], "give --window too"),
        (["--window", "1", "--calibrate"], "--calibrate: not of timelines"),
        (["--window", "1", "--background", "blu"], "the background is 'blu', which is none"),
        (["--window", "1", "--threshold", "red=x"], "'x' is no probability"),
        (["--window", "1", "--threshold", "2"], "threshold is 2.0, expected 0 to 1"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    words: list[str], message: str, run: Path, marked: Path
) -> None:
    result = CliRunner().invoke(
        app, ["eval", str(run), "--manifest", str(marked), "--device", "cpu", *words]
    )
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", "").split())
