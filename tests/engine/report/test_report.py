"""The report shows what the files of a run say, and a sentence for what is not there."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pyarrow.parquet
import pytest
import yaml

from marey.data.manifest.read import read_manifest
from marey.data.packs.forms import JpegPacks
from marey.data.packs.pack_clips import pack_clips
from marey.engine.report.compare import read_comparison
from marey.engine.report.evaluations import HeadResult
from marey.engine.report.frame_strips import (
    ClipPictures,
    frame_strip,
    small_video,
    spread_frames,
)
from marey.engine.report.mistakes import (
    confident_mistakes,
    most_confused,
)
from marey.engine.report.pages import count
from marey.engine.report.report import write_report
from marey.engine.report.run_files import read_run
from marey.engine.report.summary import views_cell, views_text
from marey.errors import RunError
from marey.jobs.executors import HERE
from tests.fake_run import CLASSES, LABELS, LOGITS, write_clip, write_metrics, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def words(page: Path) -> str:
    """All that is to be read on a page, which must be well-formed."""
    tree = ElementTree.fromstring(page.read_text(encoding="utf-8"))
    for hidden in (next(tree.iter("style")), next(tree.iter("script"))):
        hidden.text = ""
    return re.sub(r"\s+", " ", " ".join(tree.itertext()))


def head(labels: list[int], probabilities: list[list[float]]) -> HeadResult:
    k = len(probabilities[0])
    names = tuple("abcdef"[:k])
    return HeadResult("label", names, np.array(labels), np.array(probabilities, np.float32))


def test_the_report_lies_in_the_run_unless_told_otherwise(run, tmp_path):
    assert write_report(run) == run / "report.html"
    assert write_report(run, tmp_path / "new" / "a.html") == tmp_path / "new" / "a.html"


def test_the_headline_numbers_are_those_of_results_json(run):
    page = words(write_report(run))
    for fact in (
        "66.7 %",
        "100.0 %",
        "72.2 %",
        "11.7 M",
        "14.6",
        "87.6 a clip",
        "2 × 3",
        "8 frames, tsm-2x3",
        "1 of 7",
        "cafe0123",
        "2.13.0",
        "pyav 16",
    ):
        assert fact in page


def test_claim_and_measurement_stand_side_by_side_with_their_difference(run):
    tree = ElementTree.fromstring(write_report(run).read_text(encoding="utf-8"))
    rows = [[cell.text for cell in row] for row in tree.iter("tr")]
    assert ["top-1 (%)", "70.00", "66.67", "-3.33"] in rows
    assert ["parameters (M)", "11.00", "11.69", "+0.69"] in rows


def test_all_parts_of_the_report_are_there(run):
    tree = ElementTree.fromstring(write_report(run).read_text(encoding="utf-8"))
    assert [h.text for h in tree.iter("h2")] == [
        "Training",
        "Confusions",
        "Classes",
        "Calibration",
        "Most confident mistakes",
        "Labels that may be wrong",
        "Unreadable clips",
        "What was measured, with what",
        "Recipe",
    ]
    assert len(list(tree.iter("svg"))) == 8


def test_nothing_a_user_wrote_is_markup(run):
    source = write_report(run).read_text(encoding="utf-8")
    assert "<tsm>" not in source
    assert "<down>" not in source
    assert "tiny &lt;tsm&gt;" in source
    assert "up &amp; &lt;down&gt;" in source


def test_the_page_fetches_nothing_and_runs_its_own_script_alone(run):
    source = write_report(run).read_text(encoding="utf-8")
    assert not re.search(r"https?:|<link|@import|url\(|fetch\(|import\(|innerHTML|eval\(", source)
    tree = ElementTree.fromstring(source)
    assert [script.attrib for script in tree.iter("script")] == [{}]
    sources = [each.attrib["src"] for name in ("img", "video") for each in tree.iter(name)]
    assert sources
    assert all(
        src.startswith(("data:image/jpeg;base64,", "data:video/mp4;base64,")) for src in sources
    )


def test_no_folder_of_this_machine_stands_outside_the_recipe(run, tmp_path):
    source = write_report(run).read_text(encoding="utf-8")
    before_recipe, _, _ = source.partition("<details>")
    assert str(tmp_path) not in before_recipe


def test_mistakes_are_listed_the_surest_first_with_frames_where_the_file_is_readable(run):
    tree = ElementTree.fromstring(write_report(run).read_text(encoding="utf-8"))
    first, second, *_ = [
        "".join(figure.itertext())
        for figure in tree.iter("figure")
        if figure.get("class") == "strip"
    ]
    assert "right taken for left, 99.5 % sure. clips/4.mp4" in first
    assert "Its frames cannot be read now" in first
    assert "left taken for right, 98.7 % sure. clips/2.mp4" in second
    image = next(tree.iter("img"))
    assert base64.b64decode(image.attrib["src"].partition(",")[2])[:3] == b"\xff\xd8\xff"


def test_a_clip_that_vanished_is_said_to_have_vanished(run):
    (run.parent / "data" / "clips" / "2.mp4").unlink()
    assert "Its file is not where it was" in words(write_report(run))


def test_a_strip_of_five_frames_and_a_video_are_small(tmp_path):
    write_clip(tmp_path / "a.mp4")
    frames, seconds = spread_frames(tmp_path / "a.mp4")
    assert (frames.shape, seconds) == ((12, 96, 128, 3), 1.0)
    assert len(frame_strip(frames)) < 20_000
    video = small_video(frames, seconds)
    assert len(video) < 20_000
    with av.open(io.BytesIO(base64.b64decode(video.partition(",")[2]))) as file:
        assert file.streams.video[0].frames == 12
        assert float(file.streams.video[0].average_rate) == 12
    assert small_video(frames[:1], seconds) == ""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_a_video_is_encoded_by_the_thread_that_asks(tmp_path, monkeypatch):
    write_clip(tmp_path / "a.mp4")
    frames, seconds = spread_frames(tmp_path / "a.mp4")
    threads, within = Path("/proc/self/task"), []
    before = len([*threads.iterdir()])
    contiguous = np.ascontiguousarray

    def watched(frame):  # called for every frame, between those that are encoded
        within.append(len([*threads.iterdir()]))
        return contiguous(frame)

    monkeypatch.setattr(np, "ascontiguousarray", watched)
    assert small_video(frames, seconds)
    assert within == [before] * len(frames)


def test_videos_end_where_the_budget_does(tmp_path):
    write_clip(tmp_path / "a.mp4")
    pictures = ClipPictures([tmp_path], budget=1)
    first, second = (pictures.strip("a.mp4", None, label) for label in "ab")
    assert first.video
    assert second.image
    assert not second.video


def test_a_packed_clip_has_its_frames(tmp_path):
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "a.mp4")
    (tmp_path / "list.csv").write_text("path,label\nvideos/a.mp4,0\n")
    pack_clips(
        read_manifest(tmp_path / "list.csv"), tmp_path / "packed", JpegPacks(), executor=HERE
    )
    strip = ClipPictures([tmp_path / "packed"]).strip("packs/00000.tar/a.mp4", None, "x")
    assert strip.reason == ""
    assert strip.image
    assert strip.video


def test_class_sizes_are_those_of_training_while_the_manifest_is_there(run):
    assert "left: 66.7 % right, 30 training clips" in words(write_report(run))


def test_without_the_manifest_class_sizes_are_those_of_the_test_set_and_said_to_be(run):
    (run.parent / "data" / "train.csv").unlink()
    page = words(write_report(run))
    assert "left: 66.7 % right, 3 test clips" in page
    assert "Class sizes count test clips" in page


def test_of_folds_which_learned_from_other_clips_each_class_sizes_are_of_the_test(run):
    path = run / "results" / "val" / "results.json"
    repeats = {"kind": "folds", "runs": [], "spread": {}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repeats": repeats}))
    assert "left: 66.7 % right, 3 test clips" in words(write_report(run))


def test_one_of_anything_is_in_the_singular(tmp_path):
    labels = [0, 1, 2, 0, 1]
    logits = [[0, 9.0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0], [0, 9, 0]]
    page = words(write_report(write_run(tmp_path / "run", labels=labels, logits=logits, epochs=1)))
    assert not re.search(r"(?<![\d.,])1 (test |training )?(clips|epochs|frames|classes)", page)


def test_clips_that_could_not_be_read_are_listed_with_reasons(run):
    page = words(write_report(run))
    for fact in ("clips/b&.mp4", "moov <atom>", "clips/gone.mp4", "no video stream"):
        assert fact in page


def test_accuracy_without_the_clips_that_could_not_be_read_stands_beside_their_number(run):
    page = words(write_report(run))
    assert "1 of 7 clips could not be read: answers that are missing count as wrong" in page
    assert "Of the clips that could be read 77.8 % are right" in page


def test_a_run_that_was_not_evaluated_has_curves_and_says_what_is_missing(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: early\n")
    write_metrics(tmp_path, 2)
    page = words(write_report(tmp_path))
    assert "Loss" in page
    assert "This run has not been evaluated yet" in page


def test_a_run_without_an_epoch_says_so(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: very early\n")
    page = words(write_report(tmp_path))
    assert "No epoch is finished yet" in page
    assert "There are no curves yet" in page


def test_a_result_without_predictions_says_so(run):
    (run / "results" / "val" / "predictions.parquet").unlink()
    assert "results/val has no predictions" in words(write_report(run))


def test_an_evaluated_model_without_training_has_no_recipe_to_show(run):
    (run / "recipe.yaml").unlink()
    assert "The run has no recipe.yaml" in words(write_report(run))


def test_a_training_loss_that_is_not_finite_is_said(run):
    metrics = run / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("1,10,2.0,", "1,10,nan,"))
    assert "In 1 epoch the training loss has no finite value" in words(write_report(run))


def another_result(run: Path, name: str, split: str = "", top1: float = 12.3) -> None:
    """A newer evaluation of the run, without predictions."""
    other = run / "results" / name
    other.mkdir()
    facts = json.loads((run / "results" / "val" / "results.json").read_text())
    facts |= {"metrics": {"acc/top1": top1}, "split": split}
    (other / "results.json").write_text(json.dumps(facts))
    os.utime(other / "results.json", (2e9, 2e9))


def test_the_validation_is_looked_into_whatever_is_newer(run):
    for name in ("train", "test", "mine"):
        another_result(run, name)
    page = words(write_report(run))
    assert (
        "recipe tiny <tsm> results val split val clips 7 tested epoch and choice not recorded"
        in page
    )
    assert "66.7 %" in page
    assert "This page is about 'val'" in page


def test_an_evaluation_may_be_named_or_its_folder_given(run):
    another_result(run, "mine", split="test")
    for asked in (read_run(run, "mine"), read_run(run, "test"), read_run(run / "results" / "mine")):
        assert asked.result.name == "mine"
    assert "12.3 %" in words(write_report(run, results="test"))
    with pytest.raises(RunError, match="has no results 'train', but mine, val"):
        read_run(run, "train")


def test_of_several_evaluations_that_may_be_meant_none_is_guessed(run):
    for name in ("a", "b"):
        another_result(run, name, split="test")
    assert read_run(run).result.name == "val"
    with pytest.raises(RunError, match="has the results a and b"):
        read_run(run, "test")


def test_an_evaluation_of_training_clips_is_shown_only_where_it_is_named(run):
    (run / "results" / "val").rename(run / "results" / "train")
    assert "evaluated on its training clips alone" in words(write_report(run))
    assert "66.7 %" in words(write_report(run, results="train"))


def test_the_headline_says_which_weights_were_tested_and_what_chose_them(run):
    path = run / "results" / "val" / "results.json"
    chosen = {"how": "best", "epoch": 3, "epochs": 4, "by": "acc/top1", "on": "val"}
    facts = {"chosen": chosen, "role": "choice", "split": "val"}
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    page = words(write_report(run))
    assert "tested weights of epoch 3 of 4, chosen by acc/top1 on split val" in page
    assert "these clips chose the epoch (by acc/top1)" in page


def test_a_run_with_two_heads_has_each_part_twice(run):
    path = run / "results" / "val" / "predictions.parquet"
    table = pyarrow.parquet.read_table(path)
    names = {"label": "verb", "scores": "scores.verb"}
    named = table.rename_columns([names.get(name, name) for name in table.column_names])
    named = named.append_column("noun", named.column("verb"))
    named = named.append_column("scores.noun", named.column("scores.verb"))
    pyarrow.parquet.write_table(named, path)
    facts = json.loads((path.parent / "results.json").read_text())
    facts["classes"] = {"verb": CLASSES, "noun": ["x", "y", "z"]}
    (path.parent / "results.json").write_text(json.dumps(facts))
    page = words(write_report(run))
    assert "Confusions: verb" in page
    assert "Confusions: noun" in page


def test_a_thousand_classes_fit_in_a_page_of_a_megabyte_and_a_half(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 3000)
    logits = rng.normal(size=(3000, 1000)).astype(np.float32)
    classes = tuple(f"class {i}" for i in range(1000))
    run = write_run(
        tmp_path / "run", labels=labels.tolist(), logits=logits.tolist(), classes=classes
    )
    page = write_report(run)
    assert page.stat().st_size < 1_500_000
    assert "The 200 of 1000 classes with most errors are drawn" in words(page)


def test_an_empty_folder_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"is not the folder of a run: it has no recipe\.yaml"):
        write_report(tmp_path)
    with pytest.raises(RunError, match="there is no run at"):
        write_report(tmp_path / "nowhere")


def test_a_torn_results_file_is_named(run):
    (run / "results" / "val" / "results.json").write_text('{"metrics": ')
    with pytest.raises(RunError, match=r"results\.json is not JSON"):
        write_report(run)


def test_a_number_that_is_none_is_named_with_its_line(run):
    (run / "metrics.csv").write_text("epoch,train/loss\n1,abc\n")
    with pytest.raises(RunError, match=r"metrics\.csv:2: .*abc"):
        write_report(run)


def test_scores_that_do_not_fit_the_classes_are_refused(tmp_path):
    run = write_run(tmp_path / "run", classes=("a", "b"))
    with pytest.raises(RunError, match=r"3 scores a clip .* 2 class names"):
        write_report(run)


def test_a_place_that_cannot_be_written_is_a_run_error(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_report(run, tmp_path / "file" / "report.html")


def test_probabilities_are_not_put_through_softmax_again(run):
    path = run / "results" / "val" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"average": "probs"}))
    result = read_run(run).result
    assert result is not None
    assert result.heads[0].probabilities.tolist() == LOGITS


def test_the_most_confused_pair_has_most_clips():
    counts = np.array([[5, 2, 0], [1, 5, 0], [0, 3, 1]])
    first, second, third = most_confused(counts, ("a", "b", "c"), 9)
    assert (first.true, first.predicted, first.count, first.share) == ("c", "b", 3, 0.75)
    assert (second.count, third.count) == (2, 1)


def test_confident_mistakes_are_wrong_and_sorted():
    answers = head([0, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.8, 0.2]])
    assert confident_mistakes(answers, 5).tolist() == [2, 1]


def test_large_counts_are_written_short():
    assert [count(n) for n in (None, 950, 23_512_128, 14.62)] == ["–", "950", "23.5 M", "14.62"]


def test_a_comparison_has_a_row_a_run(tmp_path):
    runs = [write_run(tmp_path / n, name=n, epochs=e) for n, e in (("tsn", 2), ("tsm", 3))]
    comparison = read_comparison(runs)
    facts = comparison.runs[0].result.facts
    assert comparison.names == ["tsn", "tsm"]
    assert (facts.metrics, facts.parameters) == (
        {"acc/top1": 66.67, "acc/top5": 100.0, "acc/class_avg": 72.22},
        11_689_512,
    )
    first, second = comparison.table.rows
    assert comparison.table.header[:3] == ("run", "results", "top-1 (%)")
    assert first[:5] == ("tsn", "val (7 clips)", "66.7", "100.0", "72.2")
    assert second == (
        "tsm",
        "val (7 clips)",
        "66.7",
        "100.0",
        "72.2",
        "11.7 M",
        "14.6",
        "2×3×8 (tsm-2x3)",
        "3",
    )


def test_views_without_the_name_of_a_protocol_are_shown_as_numbers(run):
    assert views_cell(read_run(run).result.facts) == "2×3×8 (tsm-2x3)"
    file = run / "results" / "val" / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"protocol": None}))
    assert views_cell(read_run(run).result.facts) == "2×3×8"
    assert views_text(read_run(run).result.facts) == "2 × 3, 8 frames"


def test_missing_clips_are_the_only_warning_about_runs_that_compare(tmp_path):
    (warning,) = read_comparison([write_run(tmp_path / "tsm")]).warnings
    assert warning == "clips that could not be read when tsm was evaluated: 1."


def test_runs_are_called_as_their_folders_are(tmp_path):
    runs = [write_run(tmp_path / n, name="tsm") for n in ("a", "b", "x/b")]
    assert read_comparison(runs[:2]).names == ["a", "b"]
    assert read_comparison(runs).names == ["a", f"{tmp_path.name}/b", "x/b"]
    assert read_comparison([runs[0], runs[0]]).names == [
        f"{tmp_path.name}/a ({number})" for number in (1, 2)
    ]


def test_a_comparison_page_shows_which_classes_and_clips_differ(tmp_path):
    better = [[9.0 * (label == k) for k in range(3)] for label in LABELS]
    runs = [
        write_run(tmp_path / "tsn", name="tsn"),
        write_run(tmp_path / "tsm", name="tsm", logits=better),
    ]
    page = words(read_comparison(runs).write(tmp_path / "compare.html"))
    assert "tsm over tsn" in page
    assert "right: 50" in page
    assert "both right only tsn only this run both wrong tsm 4 0 2 0" in page


def test_runs_on_other_clips_are_marked(tmp_path):
    ours = write_run(tmp_path / "tsn", name="tsn")
    labels, logits = [*LABELS, 2, 2], [*LOGITS, [0, 0, 3], [0, 0, 3]]
    other = write_run(tmp_path / "tsm", name="tsm", labels=labels, logits=logits)
    comparison = read_comparison([ours, other])
    assert "2 of 8 of tsm are not in tsn: only gains are of the same clips." in comparison.warnings
    assert len(comparison.pairs["tsm"]) == 6
    page = words(comparison.write(tmp_path / "compare.html"))
    assert all(warning in page for warning in comparison.warnings)


def test_runs_of_other_classes_are_marked(tmp_path):
    ours = write_run(tmp_path / "tsn", name="tsn")
    other = write_run(tmp_path / "tsm", name="tsm", classes=("x", "y", "z"))
    comparison = read_comparison([ours, other])
    assert sum("do not measure the same thing" in warning for warning in comparison.warnings) == 1
    assert comparison.gains == {"tsm": []}
    page = words(comparison.write(tmp_path / "compare.html"))
    assert "tsm and tsn do not have the same classes" in page


def test_classes_in_another_order_are_matched_by_name(tmp_path):
    order = [2, 0, 1]  # new place -> old class
    runs = [
        write_run(tmp_path / "tsn", name="tsn"),
        write_run(
            tmp_path / "tsm",
            name="tsm",
            labels=[order.index(label) for label in LABELS],
            logits=[[row[k] for k in order] for row in LOGITS],
            classes=tuple(CLASSES[k] for k in order),
        ),
    ]
    comparison = read_comparison(runs)
    assert not any("not that of" in warning for warning in comparison.warnings)
    assert {gain.key: gain.points.value for gain in comparison.gains["tsm"]} == {
        "acc/top1": 0.0,
        "acc/class_avg": 0.0,
    }
    first, other = (result.heads[0] for _, result in comparison.results)
    assert other.classes == first.classes
    assert (other.confusions == first.confusions).all()
    names = [name.rpartition("/")[2] for name in read_comparison([*runs, runs[0]]).names]
    assert names == ["tsn (1)", "tsm", "tsn (2)"]


def test_a_run_in_progress_can_be_compared(tmp_path):
    done = write_run(tmp_path / "tsn", name="tsn")
    (tmp_path / "tsm").mkdir()
    (tmp_path / "tsm" / "recipe.yaml").write_text("name: tsm\n")
    assert read_comparison([done, tmp_path / "tsm"]).table.rows[1][1:3] == ("–", "–")
    page = words(read_comparison([done, tmp_path / "tsm"]).write(tmp_path / "compare.html"))
    assert f"tsm has not been evaluated: marey eval {tmp_path / 'tsm'} does it." in page


def test_runs_none_of_which_was_evaluated_compare_by_their_curves(tmp_path):
    for name in ("tsn", "tsm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(f"name: {name}\n")
        write_metrics(tmp_path / name, 2)
    comparison = read_comparison([tmp_path / "tsn", tmp_path / "tsm"])
    assert len(comparison.warnings) == 2
    assert "Validation loss" in charts(comparison.write(tmp_path / "compare.html"))


def test_nothing_to_compare_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 runs to compare, expected at least 1"):
        read_comparison([]).write(tmp_path / "compare.html")


def write_two_heads(folder: Path) -> Path:
    """A run of two heads that has not been evaluated, as metrics.csv has it."""
    folder.mkdir()
    (folder / "recipe.yaml").write_text("name: two\n")
    (folder / "metrics.csv").write_text(
        "epoch,step,train/loss,val/loss,acc/top1,verb/val/loss,verb/acc/top1,verb/acc/few,mine,lr\n"
        "1,10,2.5,2.6,10,1.2,40,5,1,0.1\n"
        "2,20,2.0,2.2,20,1.1,50,,1,0.1\n"
    )
    return folder


def charts(page: Path) -> dict[str, list[str]]:
    """Title of each chart -> the tips of its marks."""
    tree = ElementTree.fromstring(page.read_text(encoding="utf-8"))
    return {
        svg.attrib["aria-label"]: [tip.text for tip in svg.iter("title")]
        for svg in tree.iter("svg")
    }


def test_the_curves_of_each_head_have_charts_of_their_own(tmp_path):
    drawn = charts(write_report(write_two_heads(tmp_path / "run")))
    assert list(drawn) == [
        "Loss",
        "Loss: verb",
        "Validation accuracy (%)",
        "Validation accuracy (%): verb",
        "Learning rate",
    ]
    assert drawn["Loss"][2:] == ["validation loss at 1: 2.6", "validation loss at 2: 2.2"]
    assert drawn["Validation accuracy (%): verb"] == [
        "top-1 at 1: 40",
        "top-1 at 2: 50",
        "few-shot classes at 1: 5",
    ]


def test_a_comparison_draws_what_is_watched_of_every_head(tmp_path):
    runs = [write_two_heads(tmp_path / "a"), write_run(tmp_path / "tsm", name="tsm")]
    drawn = charts(read_comparison(runs).write(tmp_path / "compare.html"))
    assert list(drawn)[:7] == [
        "Training loss",
        "Validation loss",
        "Validation loss: verb",
        "Validation top-1 (%)",
        "Validation top-1 (%): verb",
        "Validation accuracy of few-shot classes (%): verb",
        "Learning rate",
    ]
    assert drawn["Validation accuracy of few-shot classes (%): verb"] == ["a at 1: 5"]


def test_a_curve_of_few_shot_classes_is_drawn_where_not_all_classes_are(tmp_path):
    for name, few in (("all", "acc/class_avg"), ("some", "few")):
        run = tmp_path / name
        run.mkdir()
        (run / "recipe.yaml").write_text("name: two\n")
        rows = [{"epoch": e, "acc/class_avg": 20.0 * e, "few": 10.0 * e} for e in (1, 2)]
        lines = [f"{row['epoch']},{row['acc/class_avg']},{row[few]}" for row in rows]
        (run / "metrics.csv").write_text("\n".join(["epoch,acc/class_avg,acc/few", *lines, ""]))
    rule = "few-shot ones have at most 20, head classes are the most frequent ones"
    page = write_report(tmp_path / "all")
    assert charts(page)["Validation accuracy (%)"] == [
        "class average at 1: 20",
        "class average at 2: 40",
    ]
    assert rule not in words(page)
    page = write_report(tmp_path / "some")
    assert charts(page)["Validation accuracy (%)"][2:] == [
        "few-shot classes at 1: 10",
        "few-shot classes at 2: 20",
    ]
    assert rule in words(page)
    of_few = "Validation accuracy of few-shot classes (%)"
    for runs, drawn in ((["all", "all"], False), (["all", "some"], True)):
        page = read_comparison([tmp_path / name for name in runs]).write(tmp_path / "compare.html")
        assert (of_few in charts(page)) == drawn


def test_the_numbers_of_two_heads_stand_at_the_top(run):
    path = run / "results" / "val" / "results.json"
    metrics = {
        "acc/top1": 40.0,
        "verb/acc/top1": 60.0,
        "verb/acc/top5": 90.0,
        "noun/acc/top1": None,
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))
    assert "top-1 40.0 % top-1: verb 60.0 % top-1: noun –" in words(write_report(run))
    table = read_comparison([run]).table
    assert table.header[2:5] == ("top-1 (%)", "top-1 (%): verb", "top-1 (%): noun")
    assert table.rows[0][2:5] == ("40.0", "60.0", "–")


def test_pages_say_which_views_a_number_is_of(tmp_path: Path) -> None:
    one, other = (write_run(tmp_path / name, name=name) for name in ("one", "other"))
    views = "{sampling: {Dense: {clips: %d}}, crop: {CenterCrop: {size: 32}}, average: logits}"
    for run, key, clips in ((one, "val", 1), (other, "test", 10)):
        path = run / "recipe.yaml"
        plain = yaml.safe_load(path.read_text()) | {key: yaml.safe_load(views % clips)}
        path.write_text(yaml.safe_dump(plain))
    page = write_report(one).read_text()
    assert (
        "are of the views Dense (1 clip), CenterCrop, by which it was watched while it trained"
        in page
    )
    assert "measured in results/val, views: " in page
    warnings = read_comparison([one, other]).warnings
    assert "other validated in training by other views than one: compare the results" in " ".join(
        warnings
    )


def test_the_summary_of_folds_shows_each_and_what_they_come_to(run: Path) -> None:
    (run / "metrics.csv").unlink()
    path = run / "results" / "val" / "results.json"
    each = [
        {"name": f"fold-{i}", "num_clips": 3, "metrics": {"acc/top1": top1}}
        for i, top1 in enumerate((60.0, 73.3))
    ]
    spread = {"acc/top1": {"mean": 66.65, "low": 0.0, "high": 100.0}}
    repeats = {"kind": "folds", "runs": each, "spread": spread}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repeats": repeats}))
    for one in each:
        (run / one["name"]).mkdir()
        (run / one["name"] / "recipe.yaml").write_text("name: tiny\n")
        write_metrics(run / one["name"], 3)
    page = words(write_report(run))
    assert "tested 2 folds, each by the run that it was left out of" in page
    assert "fold-1 73.3 3" in page
    assert "mean of 2 66.7 (0.0–100.0)" in page
    assert "No epoch is finished yet" not in page
    assert charts(run / "report.html")["Validation loss"][3:] == [
        f"fold-1 at {e}: {2.1 / e:.4g}" for e in (1, 2, 3)
    ]
    assert read_comparison([run]).table.rows[0][2] == "66.7"


def test_what_an_earlier_marey_left_without_a_width_gets_its_interval(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", labels=[0, 1], logits=[[4, 0, 0], [0, 4, 0]])
    path = run / "results" / "val" / "results.json"
    lost = {"row": 2, "path": "gone.mp4", "labels": {"label": [2]}}
    old = {"value": 66.6667, "low": 66.6667, "high": 66.6667, "num_classes": 3, "num_clips": 3}
    facts = json.loads(path.read_text()) | {"num_clips": 3, "num_missing": 1, "missing": [lost]}
    path.write_text(json.dumps(facts | {"estimates": {"label": {"acc/top1": old}}}))
    found = read_run(run).result.facts.estimate("acc/top1")
    assert found.value == pytest.approx(200 / 3)
    assert found.low < 25 < 90 < found.high
