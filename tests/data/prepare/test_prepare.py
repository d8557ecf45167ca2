"""`marey data prepare` from annotations and media to a manifest, whatever happens in between."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.datasets.catalog import find_dataset
from marey.data.prepare import prepare as module
from marey.data.prepare.prepare import MediaFolder, Prepared, prepare
from marey.errors import ManifestError, RunError
from marey.jobs import journal
from marey.jobs.executors import Executor, Here, Processes
from marey.jobs.shards import Shard
from marey.storage.lock import locked
from tests import fresh
from tests.manifests import read_complete

LABELS = [*(f"Gesture {number}" for number in range(26)), "No gesture"]
JESTER = find_dataset("jester")
HERE = Here()


@pytest.fixture
def root(tmp_path: Path, video: Path) -> Path:
    """Jester: clips 1 to 4 as videos, 5 broken, 6 not there, 7 without a label; a dirty line."""
    root = tmp_path / "root"
    write_annotations(root)
    (root / "20bn-jester-v1").mkdir()
    for name in (1, 2, 3, 4, 7):
        shutil.copy(video, root / "20bn-jester-v1" / f"{name}.mp4")
    (root / "20bn-jester-v1" / "5.mp4").write_bytes(b"no video")
    return root


def write_annotations(root: Path) -> None:
    root.mkdir()
    (root / "jester-v1-labels.csv").write_text("\n".join(LABELS))
    train = "".join(f"{name};Gesture {name}\n" for name in (1, 2, 3))
    (root / "jester-v1-train.csv").write_text(f"{train}Err:522,\n")
    (root / "jester-v1-validation.csv").write_text("4;No gesture\n5;Gesture 0\n6;Gesture 0\n")
    (root / "jester-v1-test.csv").write_text("7\n")


def write_frames(folder: Path, num_frames: int) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for number in range(1, num_frames + 1):
        grey = np.full((32, 48, 3), 16 + 4 * number, np.uint8)
        Image.fromarray(grey).save(folder / f"{number:05d}.jpg")


@dataclass
class Watched:
    """This process; knows the names of the files it opened."""

    opened: list[str] = field(default_factory=list)

    def answers(
        self, function: Callable, jobs: Iterable, *, timeout_seconds: float = 60.0
    ) -> Iterator[tuple]:
        for job in jobs:
            self.opened.append(job.path.name)
            yield job, function(job)


def make(
    root: Path, out: Path, executor: Executor = HERE, *, probe: bool = True, **options: object
) -> Prepared:
    return prepare(JESTER, MediaFolder(root, probe=probe, executor=executor), out, **options)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def test_what_is_there_is_in_the_manifest_and_all_else_is_accounted_for(
    root: Path, tmp_path: Path
) -> None:
    made = make(root, tmp_path / "out", Processes(1))
    manifest = read_complete(tmp_path / "out" / "manifest.csv")
    assert [Path(path).stem for path in manifest.texts()] == ["1", "2", "3", "4"]
    assert manifest.labels["label"].tolist() == [1, 2, 3, 26]
    assert manifest.split_counts() == {"train": 3, "val": 1}
    assert manifest.classes["label"] == tuple(LABELS)
    assert set(manifest.frame_counts) == {12}
    val = made.account.coverage["val"]
    assert (val.clips, val.found, val.missing, val.unreadable) == (3, 2, 1, 1)
    assert [(row["line"], row["value"]) for row in rows(tmp_path / "out" / "rejects.csv")] == [
        ("4", "Err:522,")
    ]
    left_out = {row["name"]: row["reason"] for row in rows(tmp_path / "out" / "missing.csv")}
    assert left_out["6"] == "no such video or folder"
    assert "5.mp4" in left_out["5"]
    (unlabelled,) = rows(tmp_path / "out" / "unlabelled.csv")
    path = str(root / "20bn-jester-v1" / "7.mp4")
    assert unlabelled == {"path": path, "split": "test", "num_frames": "12"}
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert set(facts["written"]) == set(contents(tmp_path / "out")) - {"prepare.json", "prepare.md"}
    assert facts["annotations"].keys() == {
        str(root / f"jester-v1-{name}.csv") for name in ("labels", "train", "validation", "test")
    }


def test_strict_fails_with_the_line_and_leaves_the_list_of_all_rejects(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=r"jester-v1-train.csv:4: 'Err:522,': no clip"):
        make(root, tmp_path / "out", strict=True)
    assert list(contents(tmp_path / "out")) == ["rejects.csv"]


def test_repeating_it_gives_the_same_bytes_and_opens_only_what_failed(
    root: Path, tmp_path: Path
) -> None:
    make(root, tmp_path / "out")
    first = contents(tmp_path / "out")
    watched = Watched()
    make(root, tmp_path / "out", watched)
    assert contents(tmp_path / "out") == first
    assert watched.opened == ["5.mp4"]


def test_a_file_that_was_replaced_is_opened_again(
    root: Path, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    make(root, tmp_path / "out")
    make_video(root / "20bn-jester-v1" / "5.mp4", 7)
    make_video(root / "20bn-jester-v1" / "2.mp4", 8)
    watched = Watched()
    make(root, tmp_path / "out", watched)
    assert sorted(watched.opened) == ["2.mp4", "5.mp4"]
    manifest = read_complete(tmp_path / "out" / "manifest.csv")
    assert manifest.frame_counts.tolist() == [12, 8, 12, 12, 7]


def test_a_journal_cut_at_any_byte_is_gone_on_from(root: Path, tmp_path: Path) -> None:
    make(root, tmp_path / "whole")
    journal = (tmp_path / "whole" / ".probes.jsonl").read_bytes()
    (tmp_path / "out").mkdir()
    assert journal.count(b"]\n") == 6
    for cut in range(0, len(journal), 61):
        (tmp_path / "out" / ".probes.jsonl").write_bytes(journal[:cut])
        make(root, tmp_path / "out")
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_after_kill_9_nothing_is_opened_twice_and_the_result_is_the_same(
    root: Path, tmp_path: Path
) -> None:
    make(root, tmp_path / "whole")
    out = tmp_path / "out"
    words = ("data", "prepare", "jester", "--root", str(root), "--out", str(out), "-j", "1")
    started = fresh.Process("-m", "marey", *words, start_new_session=True)
    journal = out / ".probes.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and started.poll() is None:
        if journal.is_file() and journal.read_bytes().count(b"]\n") > 1:
            break
        time.sleep(0.002)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    known = {json.loads(line)[0] for line in journal.read_text().split("\n") if line[-1:] == "]"}
    watched = Watched()
    make(root, out, watched)
    good = {Path(name).name for name in known} - {"5.mp4"}
    assert good
    assert not good & set(watched.opened)
    assert (out / "manifest.csv").read_bytes() == (tmp_path / "whole" / "manifest.csv").read_bytes()


def test_shards_open_each_file_once_and_the_last_writes_what_one_run_writes(
    root: Path, tmp_path: Path
) -> None:
    make(root, tmp_path / "whole")
    watched = Watched()
    made = [make(root, tmp_path / "out", watched, shard=Shard(n, 3)).manifest for n in (2, 0, 1)]
    assert [path is not None for path in made] == [False, False, True]
    assert sorted(watched.opened) == [f"{name}.mp4" for name in (1, 2, 3, 4, 5, 7)]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_runs_do_not_write_into_one_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    said = f"another process prepares {tmp_path / 'out'}"
    with (
        locked(tmp_path / "out" / ".prepare.lock", "holds it"),
        pytest.raises(RunError, match=said),
    ):
        make(root, tmp_path / "out")
    assert make(root, tmp_path / "out", probe=False).manifest


def test_another_manifest_is_not_written_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,label\n")
    with pytest.raises(ManifestError, match="holds a manifest that was not prepared"):
        make(root, tmp_path)
    make(root, tmp_path, probe=False, overwrite=True)
    other = replace(JESTER, name="ssv1")
    with pytest.raises(ManifestError, match="holds a manifest of jester"):
        prepare(other, MediaFolder(root), tmp_path)


def test_a_folder_of_frames_is_a_clip_with_its_count_and_rate(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_annotations(root)
    for name in (1, 2, 4):
        write_frames(root / "20bn-jester-v1" / str(name), 3 + name)
    (root / "20bn-jester-v1" / "3").mkdir()
    make(root, tmp_path / "out")
    manifest = read_complete(tmp_path / "out" / "manifest.csv")
    assert manifest.frame_counts.tolist() == [4, 5, 7]
    assert manifest.rates.tolist() == [12.0] * 3
    left_out = {row["name"]: row["reason"] for row in rows(tmp_path / "out" / "missing.csv")}
    assert "3: " in left_out["3"]


def test_a_manifest_beside_its_clips_can_be_moved_with_them(root: Path, tmp_path: Path) -> None:
    make(root, root, probe=False)
    shutil.move(root, tmp_path / "moved")
    manifest = read_complete(tmp_path / "moved" / "manifest.csv")
    assert manifest.paths[0].as_py() == "20bn-jester-v1/1.mp4"


def test_without_probes_nothing_is_opened(root: Path, tmp_path: Path) -> None:
    watched = Watched()
    made = make(root, tmp_path / "out", watched, probe=False)
    assert not watched.opened
    assert made.account.coverage["val"].unreadable == 0
    assert "files were not opened: what is unreadable is not known" in made.account.notes


def test_two_videos_of_one_name_are_not_chosen_from(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "20bn-jester-v1" / "1.mp4", root / "20bn-jester-v1" / "1.webm")
    make(root, tmp_path / "out", probe=False)
    left_out = {row["name"]: row["reason"] for row in rows(tmp_path / "out" / "missing.csv")}
    assert left_out["1"].startswith("2 videos of one name: ")


def test_another_layout_is_a_template(root: Path, tmp_path: Path) -> None:
    (root / "20bn-jester-v1").rename(root / "small")
    with pytest.raises(ManifestError, match=r"none of the 7 clips .* '1': no such video") as error:
        make(root, tmp_path / "out")
    assert "20bn-jester-v1/{name}" in error.value.hint
    media = MediaFolder(root, layout="small/{name}", probe=False)
    assert prepare(JESTER, media, tmp_path / "out").manifest
    media = MediaFolder(root, layout="nowhere/{name}", probe=False)
    with pytest.raises(ManifestError, match=r"looked for nowhere/\{name\};"):
        prepare(JESTER, media, tmp_path / "none")


def test_a_disk_that_is_full_is_said_and_what_was_counted_is_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = journal._write_all, []

    def full(file: object, data: bytes) -> None:
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        written.append(data)
        write(file, data)

    monkeypatch.setattr(journal, "_write_all", full)
    with pytest.raises(ManifestError, match=r"cannot write .*probes.jsonl: No space left") as error:
        make(root, tmp_path / "out")
    assert "what was probed so far is kept" in error.value.hint
    monkeypatch.undo()
    watched = Watched()
    make(root, tmp_path / "out", watched)
    assert len(watched.opened) < 6


def test_a_folder_that_cannot_be_made_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match=r"cannot write .*file/out: Not a directory"):
        make(root, tmp_path / "file" / "out")


def test_annotations_that_cannot_be_read_are_said(root: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / "jester-v1-train.csv").chmod(0)
    with pytest.raises(ManifestError, match=r"cannot read .*train.csv: Permission denied"):
        make(root, tmp_path / "out")


def test_a_clip_that_vanishes_after_it_was_listed_is_unreadable(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*args: object, **options: object) -> object:
        (root / "20bn-jester-v1" / "2.mp4").unlink(missing_ok=True)
        return probe_once(*args, **options)

    probe_once = module.probe_once
    monkeypatch.setattr(module, "probe_once", vanish)
    made = make(root, tmp_path / "out")
    assert made.account.coverage["train"].unreadable == 1
    assert ("train", "2") in [row[:2] for row in made.account.missing]


@pytest.mark.parametrize("name", ["../outside/x", "/etc/passwd", "a/../../outside/x"])
def test_no_name_in_a_list_leads_out_of_the_root(name: str, tmp_path: Path, video: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    shutil.copy(video, tmp_path / "outside" / "x.mp4")
    shutil.copy(video, root / "y.mp4")
    (root / "label_map_k400.txt").write_text("\n".join(f"class {n}." for n in range(400)))
    (root / "train.csv").write_text(f"{name}.mp4,1\ny.mp4,2\n{root}/y.mp4,2\n")
    media = MediaFolder(root, probe=False)
    made = prepare(find_dataset("kinetics400"), media, tmp_path / "out")
    reasons = {row.line.number: row.reason for row in made.account.rejects}
    assert reasons[1] == "leads out of the root"
    assert reasons[3].startswith("was given before")
    manifest = read_complete(made.manifest)
    assert [Path(path).name for path in manifest.texts()] == ["y.mp4"]


def test_the_command_prints_coverage_and_lists_all_data_sets(root: Path, tmp_path: Path) -> None:
    words = ["data", "prepare", "jester", "--root", str(root), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--no-probe"])
    assert done.exit_code == 0, done.output
    assert "rows that do not fit: 1" in done.output
    assert "Err:522" in done.output
    listed = CliRunner().invoke(app, ["data", "prepare"])
    assert "kinetics700" in listed.output
    assert CliRunner().invoke(app, words[:3]).exit_code == 2


def test_clips_of_kinetics_are_their_replacements_where_there_are_some(
    tmp_path: Path, video: Path
) -> None:
    root = tmp_path / "root"
    names = [f"{'abcdefghij'}{n}_000001_000011" for n in range(3)]
    replaced = root / "replacement" / "replacement_for_corrupted_k400"
    for folder, name in ((root / "train", names[0]), (root / "train", names[1])):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, folder / f"{name}.mp4")
    (root / "train" / f"{names[0]}.mp4").write_bytes(b"damaged")
    replaced.mkdir(parents=True)
    for name in (names[0], names[2]):
        shutil.copy(video, replaced / f"{name}.mp4")
    (root / "label_map_k400.txt").write_text("\n".join(f"class {n}." for n in range(400)))
    rows = "".join(f"class 1.,{name[:11]},1,11,train\n" for name in names)
    (root / "train.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    made = prepare(find_dataset("kinetics400"), MediaFolder(root, probe=False), tmp_path / "out")
    paths = [*read_complete(made.manifest).texts()]
    assert [Path(path).parent.name for path in paths] == [replaced.name, "train", replaced.name]
    assert any("2 as replacement/replacement_for_corrupted" in n for n in made.account.notes)
