"""Files that hold less than they announce are named, and left out by one rule: below half."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.checks.check import check_manifest
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.init import InitReport, init_dataset
from marey.jobs.executors import Processes
from marey.video.reading.reader import open_video

NUM_FRAMES, RATE = 40, 20
CONTAINERS = {
    "clip.mp4": ("libx264", {"movflags": "faststart"}),
    "clip.avi": ("mpeg4", {}),
    "clip.mkv": ("libx264", {}),
    "clip.flv": ("libx264", {}),
}


def write_noise(path: Path, num_frames: int = NUM_FRAMES) -> Path:
    """A video of noise, so that its bytes are spread evenly over its frames."""
    codec, options = CONTAINERS[f"clip{path.suffix}"]
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 4
        for _ in range(num_frames):
            picture = rng.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> None:
    """Keep the beginning of a file, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: round(share * len(data))])


@pytest.fixture(scope="module", params=CONTAINERS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("whole") / request.param)


def made(source: Path, out: Path) -> InitReport:
    return init_dataset(source, out, num_workers=1)


def test_a_file_announces_what_it_had_before_it_was_cut_off(whole: Path, tmp_path: Path) -> None:
    with open_video(whole) as video:
        assert abs(video.announced - len(video)) <= 2  # FLV writes its length a frame too long
    short = shutil.copy(whole, tmp_path)
    cut(Path(short), 0.3)
    with open_video(short) as video:
        assert abs(video.announced - NUM_FRAMES) <= 2
        assert 2 * len(video) < NUM_FRAMES


def test_a_trimmed_mp4_announces_what_its_edit_list_shows(tmp_path: Path) -> None:
    """Phones trim by an edit list: all frames stay in the file."""
    path = write_noise(tmp_path / "clip.mp4")
    data = path.read_bytes()
    at = data.index(b"elst") + len(b"elst") + 8  # version and flags, entries; then the duration
    timescale = int.from_bytes(data[(mvhd := data.index(b"mvhd") + 16) : mvhd + 4])
    trimmed = round(0.25 * NUM_FRAMES / RATE * timescale)
    path.write_bytes(data[:at] + trimmed.to_bytes(4) + data[at + 4 :])
    with open_video(path) as video:
        assert len(video) < NUM_FRAMES / 2
        assert video.announced <= len(video) + 2


def test_a_file_that_is_cut_off_is_left_out_by_name(whole: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("wave", "jump"):
        (source / name).mkdir(parents=True)
        for number in range(2):
            shutil.copy(whole, source / name / f"{number}{whole.suffix}")
    name = f"wave/1{whole.suffix}"
    cut(source / name, 0.3)
    report = made(source, tmp_path / "out")
    assert len(report.manifest) == 3
    ((path, reason),) = report.rejects
    assert path == name
    with open_video(source / name) as video:
        said = f"{len(video)} frames decode of {video.announced} that the file announces"
    assert reason == f"cut off or damaged: {said}"
    (note,) = [note for note in report.notes if "cut off" in note]
    assert note == f"1 clip left out as cut off or damaged: {name} ({said})"
    assert note in json.loads((tmp_path / "out/init.json").read_text())["notes"]
    with (tmp_path / "out/rejects.csv").open(newline="") as file:
        assert [*csv.DictReader(file)] == [{"path": name, "reason": reason}]


def test_more_than_half_is_kept_and_named_and_so_is_a_frame_alone(tmp_path: Path) -> None:
    for name in ("wave/a.avi", "jump/b.avi"):
        write_noise(tmp_path / "in" / name)
    cut(tmp_path / "in/wave/a.avi", 0.7)
    write_noise(tmp_path / "in/jump/still.avi", num_frames=1)
    report = made(tmp_path / "in", tmp_path / "out")
    assert (len(report.manifest), report.rejects) == (3, ())
    notes = "\n".join(report.notes)
    assert "1 clip kept with fewer frames than the files announce: wave/a.avi (2" in notes
    assert "1 clip of one frame, in which nothing moves: jump/still.avi" in notes


def test_spans_that_can_be_read_of_a_file_that_is_cut_off_are_kept(tmp_path: Path) -> None:
    write_noise(tmp_path / "long.avi")
    cut(tmp_path / "long.avi", 0.4)
    rows = "long.avi,a,0,2\nlong.avi,b,2,5\nlong.avi,b,30,40\n"
    (tmp_path / "list.csv").write_text(f"path,label,start_frame,end_frame\n{rows}")
    report = made(tmp_path / "list.csv", tmp_path / "out")
    assert len(report.manifest) == 2
    assert [path for path, _ in report.rejects] == ["long.avi"]
    assert any("kept of files that are cut off" in note for note in report.notes)


def test_a_check_says_which_files_are_cut_off(tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        write_noise(tmp_path / name)
    cut(tmp_path / "b.avi", 0.3)
    (tmp_path / "manifest.csv").write_text("path,label\na.avi,0\nb.avi,0\n")
    report = check_manifest(read_manifest(tmp_path / "manifest.csv"), executor=Processes(1))
    assert (report.counts["ok"], report.counts["cut-off"]) == (1, 1)
    assert report.reason(1).endswith(f" frames decode of {NUM_FRAMES} that the file announces")


def test_the_command_says_what_it_leaves_out_and_why(tmp_path: Path) -> None:
    for name in ("wave/a.avi", "jump/b.avi", "jump/empty.avi", "jump/placeholder.avi"):
        write_noise(tmp_path / "in" / name, num_frames=4)
    (tmp_path / "in/jump/empty.avi").write_bytes(b"")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    (tmp_path / "in/jump/placeholder.avi").write_text(pointer)
    words = ["data", "init", str(tmp_path / "in"), str(tmp_path / "out"), "-j", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert said.count("left out: ") == 2
    assert "jump/empty.avi: the file is empty (0 bytes)" in said
    assert "placeholder of Git LFS" in said
