from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.checks.check import check_manifest
from marey.data.checks.probe import probe_clips
from marey.data.checks.stats import ClassCounts, stats
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.engine.report.charts.manifest_charts import manifest_svg
from marey.errors import ManifestError
from marey.jobs.processes import Lost, Processes, Worker
from marey.jobs.shards import Shard


def do(job: str) -> int:
    """What a decoder may do with a file: answer, crash, hang."""
    if job == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if job == "exit":
        os._exit(3)
    if job == "hang":
        time.sleep(60)
    return len(job)


@pytest.fixture
def manifest(tmp_path, video, make_video) -> Manifest:
    """Good, good but miscounted, one frame, text, truncated, missing."""
    for name in ("good", "miscounted", "cut"):
        shutil.copy(video, tmp_path / f"{name}.mp4")
    make_video(tmp_path / "short.mp4", 1)
    (tmp_path / "text.mp4").write_text("not a video")
    os.truncate(tmp_path / "cut.mp4", 400)
    names = ["good", "miscounted", "short", "text", "cut", "missing"]
    columns = {
        "path": [f"{name}.mp4" for name in names],
        "label": [0, 1, 1, 1, 0, 0],
        "num_frames": [12, 99, None, 5, 5, 5],
    }
    classes = {"label": ("a", "b <c>", "d")}
    return Manifest.from_columns(tmp_path / "m.csv", tmp_path, columns, classes)


def test_a_job_that_crashes_or_hangs_its_process_is_lost_and_no_other():
    jobs = ["a", "crash", "bb", "hang", "ccc", "exit", "dddd"]
    found = dict(Processes(2).answers(do, jobs, timeout_seconds=3))
    assert {job: answer for job, answer in found.items() if isinstance(answer, int)} == {
        "a": 1,
        "bb": 2,
        "ccc": 3,
        "dddd": 4,
    }
    assert found["crash"] == Lost("the process that read it died (SIGSEGV)")
    assert found["exit"] == Lost("the process that read it died (exit status 3)")
    assert found["hang"] == Lost("not done after 3 s")


def test_a_process_killed_while_it_waits_costs_no_job():
    worker = Worker(str.upper, 5.0)
    try:
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.join()
        assert worker.do("a") == "A"
        number = signal.SIGRTMIN + 3
        os.kill(worker._process.pid, number)
        worker._process.join()
        worker._job = ["b"]
        lost = Lost(f"the process that read it died (signal {number})")
        assert list(worker.collect()) == [("b", lost)]
    finally:
        worker.stop()


def test_processes_are_gone_when_nobody_asks_on():
    import psutil

    before = len(psutil.Process().children(recursive=True))
    for _ in Processes(1).answers(do, ["a", "hang", "hang"]):
        break
    deadline = time.monotonic() + 10
    while len(psutil.Process().children(recursive=True)) > before + 2:  # the server of forks stays
        assert time.monotonic() < deadline
    assert not list(Processes().answers(do, []))


def test_a_check_says_what_is_wrong_with_each_clip(manifest, tmp_path):
    seen = []
    report = check_manifest(manifest, executor=Processes(1), progress=lambda *at: seen.append(at))
    assert report.counts == {
        "ok": 1,
        "unreadable": 3,
        "count-differs": 1,
        "too-short": 1,
        "unchecked": 0,
        "not-measured": 0,
        "cut-off": 0,
    }
    assert seen[-1] == (6, 6)
    assert report.bad_rows.tolist() == [1, 2, 3, 4, 5]
    assert report.reason(0) == ""
    assert report.reason(1) == "12 frames decoded, the manifest says 99"
    assert report.reason(2) == "1 frame, fewer than 2"
    assert "missing.mp4" in report.reason(5)
    with (tmp_path / "check.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == [
        "ok",
        "count-differs",
        "too-short",
        "unreadable",
        "unreadable",
        "unreadable",
    ]
    assert (rows[0]["path"], rows[0]["frames"], rows[0]["width"], rows[0]["height"]) == (
        "good.mp4",
        "12",
        "48",
        "32",
    )
    assert "text.mp4" in rows[3]["reason"]


def test_an_interrupted_check_keeps_what_it_has(manifest, tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        check_manifest(manifest, executor=Processes(1), progress=interrupt)
    kept = f"2 of 6 clips of {tmp_path / 'check.csv'} are done and kept; the same command goes on"
    assert stopped.value.__notes__ == [kept]
    with (tmp_path / "check.csv").open(newline="") as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    assert statuses == ["ok", "count-differs", *["unchecked"] * 4]


def test_what_was_found_below_one_root_is_not_said_of_another(tmp_path, video):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, name in ((here, "a.mp4"), (there, "b.mp4")):
        folder.mkdir()
        shutil.copy(video, folder / name)
    (tmp_path / "m.csv").write_text("path,label,source\na.mp4,0,x\nb.mp4,0,y\n")
    counts, places = [], []
    for roots in ({"x": here, "y": there}, {"x": there, "y": here}):
        found = read_manifest(tmp_path / "m.csv", at=Location(roots=roots))
        places.append(found.where())
        shards = [Shard(0, 2), Shard(1, 2)]
        reports = [check_manifest(found, shard=one, executor=Processes(1)) for one in shards]
        counts.append(reports[-1].counts)
    assert [count["ok"] for count in counts] == [2, 0]
    assert places[0] != places[1]


def test_a_report_that_cannot_be_written_is_an_error_before_the_work(manifest, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match="cannot write"):
        check_manifest(manifest, tmp_path / "file" / "check.csv", progress=pytest.fail)


def test_a_file_of_many_spans_is_decoded_once_and_each_span_is_checked(manifest):

    bounds = {"start_frame": [0.0, 4.0, 40.0], "end_frame": [4.0, None, 50.0]}
    spans = manifest.take(np.array([0, 0, 0])).with_columns(bounds)
    seen = []
    found = dict(probe_clips(spans, executor=Processes(1), progress=lambda *at: seen.append(at)))
    assert [found[row].frames for row in range(3)] == [4, 8, 0]
    assert [found[row].file_frames for row in range(3)] == [12, 12, 12]
    assert "outside the video" in found[2].error
    assert seen == [(3, 3)]


def test_every_image_of_a_folder_is_decoded_if_the_check_is_thorough(tmp_path):
    from PIL import Image

    for number in (1, 2, 3):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number:05d}.png")
    (tmp_path / "00002.png").write_text("not an image")
    folder = Manifest.from_columns(tmp_path / "m.csv", tmp_path, {"path": ["."]})
    for thorough in (True, False):
        ((_, probe),) = probe_clips(folder, thorough=thorough, executor=Processes(1))
        assert bool(probe.error) == thorough
    assert (probe.frames, probe.width, probe.height) == (3, 8, 6)


# --- stats --------------------------------------------------------------------------------------


def test_stats_count_classes_splits_lengths_and_sizes(manifest):

    splits = pa.array(["val", "train", "train", "train", "train", "train"]).dictionary_encode()
    found = stats(manifest.with_columns({"split": splits}), executor=Processes(1))
    assert found.splits == {"train": 5, "val": 1}
    counts = found.heads["label"]
    assert {split: column.tolist() for split, column in counts.by_split.items()} == {
        "train": [2, 3, 0],
        "val": [1, 0, 0],
    }
    assert (counts.total.tolist(), counts.num_empty, counts.imbalance) == ([3, 3, 0], 1, 1.0)
    assert (found.num_known, found.frames[0.0], found.frames[0.5], found.frames[1.0]) == (
        5,
        5,
        5,
        99,
    )
    assert (found.num_opened, found.num_unreadable) == (6, 3)
    assert found.sizes == [((48, 32), 3)]
    assert found.fps == [(10.0, 3)]


def test_stats_without_frame_counts_take_lengths_from_the_clips_opened(manifest):

    found = stats(manifest.without("num_frames"), executor=Processes(1))
    assert (found.num_known, found.frames[0.0], found.frames[1.0]) == (3, 1, 12)
    none = stats(manifest.without("num_frames"), sample=0)
    assert (none.frames, none.sizes, none.num_opened) == ({}, [], 0)


@pytest.mark.parametrize("num_classes", [1, 3, 60, 61, 400])
def test_the_plot_is_a_drawing_with_a_bar_for_each_class_and_split(num_classes):
    from xml.etree import ElementTree

    counts = ClassCounts(
        tuple(f"<&{n}>" for n in range(num_classes)),
        {"train": np.arange(1, num_classes + 1), "val": np.ones(num_classes, np.int64)},
    )
    columns = {"path": ["a.mp4"], "label": [0]}
    clip = Manifest.from_columns(Path("m.csv"), Path(), columns, {"label": ("a",)})
    facts = stats(clip, sample=0)
    drawing = ElementTree.fromstring(manifest_svg(facts, counts))
    bars = drawing.findall("{*}rect")
    assert len(bars) == 2 * num_classes + 2  # and the legend
    assert bars[2].find("{*}title").text == f"<&{num_classes - 1}>: {num_classes} train"
    assert all(float(bar.get("width")) > 0 < float(bar.get("height")) for bar in bars)


def test_lengths_in_frames_and_seconds_and_sizes_are_drawn_for_light_and_dark(manifest):
    found = stats(manifest, executor=Processes(1))
    assert found.durations.tolist() == [1.2, 1.2, 0.1]
    assert found.seconds[0.5] == 1.2
    drawing = manifest_svg(found, found.heads["label"])
    for words in ("Length of 3 clips, s", "48 x 32: 3 clips", "prefers-color-scheme: dark"):
        assert words in drawing
    assert 'fill="#666"' not in drawing
    untimed = replace(found, durations=np.zeros(0))
    assert "Length of 5 clips, frames" in manifest_svg(untimed, found.heads["label"])


def test_stats_say_percentiles_of_what_and_are_printed_as_json(manifest):
    write_manifest(manifest, manifest.source)
    words = ["data", "stats", str(manifest.source), "-j", "1"]
    shown = " ".join(CliRunner().invoke(app, words).output.replace("│", " ").split())
    assert "frames a clip percentiles of 5 clips: 0 %: 5," in shown
    assert "seconds a clip percentiles of 3 clips: 0 %: 0.1, 5 %: 0.21," in shown
    facts = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert facts["seconds"] == {
        "clips": 3,
        "quantiles": {"0.0": 0.1, "0.05": 0.21, "0.25": 0.65, "0.5": 1.2, "0.75": 1.2}
        | {"0.95": 1.2, "1.0": 1.2},
    }
    assert facts["classes"]["label"]["all"] == {"a": 3, "b <c>": 3, "d": 0}
