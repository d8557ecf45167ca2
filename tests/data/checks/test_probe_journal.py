"""What was probed is not probed again: by a check or a preparation that goes on, and only then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from marey.data.checks.check import check_manifest
from marey.data.checks.probe_journal import probe_once
from marey.data.manifest.manifest import Manifest
from marey.jobs.executors import Processes
from marey.jobs.shards import Shard

NAMES = ["a.mp4", "b.mp4", "c.mp4", "text.mp4"]


@dataclass
class Watched:
    """This process; knows the names of the files it opened, and stops after some."""

    stop_after: int = 99
    opened: list[str] = field(default_factory=list)

    def answers(self, function, jobs, *, timeout_seconds: float = 60.0) -> Iterator[tuple]:
        for job in jobs:
            if len(self.opened) == self.stop_after:
                raise KeyboardInterrupt
            self.opened.append(job.path.name)
            yield job, function(job)


@pytest.fixture
def clips(tmp_path: Path, video: Path) -> Manifest:
    root = tmp_path / "clips"
    root.mkdir()
    for name in NAMES[:3]:
        shutil.copy(video, root / name)
    (root / "text.mp4").write_text("no video")
    return Manifest.from_columns(root / "m.csv", root, {"path": NAMES})


def interrupted(clips: Manifest, report: Path, stop_after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        check_manifest(clips, report, executor=Watched(stop_after))


def test_a_check_that_goes_on_opens_what_is_left_and_what_failed(clips, tmp_path: Path) -> None:
    whole = check_manifest(clips, tmp_path / "whole.csv", executor=Watched())
    interrupted(clips, tmp_path / "check.csv", 2)
    watched = Watched()
    assert check_manifest(clips, tmp_path / "check.csv", executor=watched).counts == whole.counts
    assert watched.opened == ["c.mp4", "text.mp4"]
    assert (tmp_path / "check.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".check.csv.parts"))


def test_a_file_that_was_replaced_meanwhile_is_decoded_again(clips, tmp_path, make_video) -> None:
    interrupted(clips, tmp_path / "check.csv", 3)
    make_video(tmp_path / "clips" / "b.mp4", 7)
    watched = Watched()
    report = check_manifest(clips, tmp_path / "check.csv", executor=watched)
    assert watched.opened == ["b.mp4", "text.mp4"]
    assert report.probes.frames.tolist() == [12, 7, 12, 0]


def test_parts_of_a_check_by_an_earlier_version_are_not_taken_and_go(clips, tmp_path) -> None:
    parts = tmp_path / ".check.csv.parts" / "0123456789abcdef"
    parts.mkdir(parents=True)
    (parts / "00000.part").write_bytes(b"ARROW1")
    assert check_manifest(clips, tmp_path / "check.csv", executor=Watched()).counts["ok"] == 3
    assert not parts.parent.exists()


def test_a_line_that_an_earlier_version_wrote_is_read(clips: Manifest, tmp_path: Path) -> None:
    status = (tmp_path / "clips" / "a.mp4").stat()
    line = ["a.mp4", None, None, status.st_size, status.st_mtime_ns, 11, 12, 48, 32, 10.0, ""]
    foreign = ["[]", '["a.mp4", null, null]', '[["b.mp4"], 0, 0, 1, 1, 1, 1, 1, 1, 1, ""]']
    text = "\n".join([json.dumps(line), *foreign])
    (tmp_path / ".probes.jsonl").write_text(text)
    watched = Watched()
    probes = probe_once(clips, tmp_path, thorough=False, executor=watched)
    assert watched.opened == NAMES[1:]
    assert (probes.frames[0], probes.file_frames[0]) == (11, 12)
    assert sorted(probes.errors) == [3]


def test_shards_probe_each_file_once_and_the_last_has_seen_all(clips, tmp_path: Path) -> None:
    seen, watched = [], Watched()
    for index in (1, 0, 2):
        probes = probe_once(
            clips, tmp_path, thorough=False, executor=watched, shard=Shard(index, 3)
        )
        seen.append(int(probes.seen.sum()))
    assert sorted(watched.opened) == NAMES
    assert seen == sorted(seen)
    assert seen[-1] == 4
    assert probes.frames.tolist() == [12, 12, 12, 0]


def test_a_file_that_vanishes_after_it_was_probed_counts_as_probed(clips, tmp_path: Path) -> None:
    def remove(done: int, total: int) -> None:
        (tmp_path / "clips" / "a.mp4").unlink(missing_ok=True)

    probes = probe_once(clips, tmp_path, thorough=False, executor=Processes(1), progress=remove)
    assert probes.seen.all()
