"""Clips in another form: the same frames, none lost or doubled, whatever is killed or missing."""

from __future__ import annotations

import errno
import os
import signal
import time
import tracemalloc
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.manifest import Manifest, VideoClip
from marey.data.manifest.read import read_manifest
from marey.data.packs import crashes
from marey.data.packs.checksums import verify
from marey.data.packs.clips import at_rate
from marey.data.packs.forms import (
    TEMPLATES,
    FlowPacks,
    FrameFolders,
    JpegPacks,
    Mp4Files,
    PackFormat,
)
from marey.data.packs.pack_clips import Packed, pack_clips
from marey.errors import ManifestError
from marey.jobs.executors import Here
from marey.jobs.shards import Shard
from marey.video.reading.pack_writer import PackWriter
from marey.video.reading.pixels import ShortSide
from marey.video.reading.reader import open_video
from tests import fresh
from tests.flow_pairs import write_pairs
from tests.manifests import read_complete
from tests.video.media import number_of, numbered, numbers_of, write_folder, write_video

TINY = ShortSide(48)
FORMS: dict[str, PackFormat] = {
    "jpeg": JpegPacks(TINY, part_size=2),
    "mp4": Mp4Files(TINY, part_size=2),
    "frames": FrameFolders("img_{:05d}.jpg", TINY, part_size=2),
}


def write_rows(path: Path, rows: Sequence[str], header: str = "path,label,split") -> Manifest:
    path.write_text("\n".join([header, *rows, ""]))
    return read_manifest(path)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips, of which one is missing and one is no video; clip i begins with number 100 i."""
    root = tmp_path_factory.mktemp("videos")
    (root / "wave").mkdir()
    write_video(root / "wave/a.mp4", numbered(13))
    write_video(root / "wave/b.mp4", numbered(7, first=100), times=[0, 0.1, 0.15, 0.5, 0.6, 1, 1.5])
    write_folder(root / "hop", numbered(5, first=200))
    (root / "text.mp4").write_text("no video")
    rows = [
        "wave/a.mp4,1,train",
        "text.mp4,0,train",
        "wave/b.mp4,1,val",
        "gone.mp4,0,val",
        "hop,0,",
    ]
    write_rows(
        root / "manifest.csv", [row.removesuffix(",") + ",val" * row.endswith(",") for row in rows]
    )
    return root


def pack(root: Path, out: Path, form: PackFormat, **options: object) -> Packed:
    manifest = read_manifest(root / "manifest.csv")
    made = pack_clips(manifest, out, form, **({"executor": Here()} | options))  # type: ignore[arg-type]
    assert made is not None
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".parts" not in str(path)
    }


@pytest.mark.parametrize("name", FORMS)
def test_all_frames_of_all_clips_that_can_be_read_are_packed(
    videos: Path, tmp_path: Path, name: str
) -> None:
    made = pack(videos, tmp_path, FORMS[name])
    assert (made.num_clips, made.num_rejects) == (3, 2)
    packed = read_complete(made.manifest)
    assert packed.split_counts() == {"train": 1, "val": 2}
    assert packed.labels["label"].tolist() == [1, 1, 0]
    for row, (first, count) in enumerate([(0, 13), (100, 7), (200, 5)]):
        with open_video(packed.path(row)) as video:
            assert len(video) == packed.num_frames(row) == count
            assert numbers_of(video.read(range(count))) == list(range(first, first + count))
    rejects = (tmp_path / "rejects.csv").read_text().splitlines()
    assert rejects[1].startswith("text.mp4,2,")
    assert rejects[2].startswith("gone.mp4,4,")
    assert "no such file" in rejects[2]
    assert verify(tmp_path, executor=Here()) == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".unfinished")]


@pytest.mark.parametrize("name", ["jpeg", "mp4"])
def test_times_survive(videos: Path, tmp_path: Path, name: str) -> None:
    packed = read_complete(pack(videos, tmp_path, FORMS[name]).manifest)
    for row, source in enumerate(["wave/a.mp4", "wave/b.mp4"]):
        with open_video(packed.path(row)) as video, open_video(videos / source) as original:
            np.testing.assert_allclose(video.timestamps(), original.timestamps(), atol=1e-4)
            assert packed.fps(row) == pytest.approx(original.fps)


@pytest.mark.parametrize("name", FORMS)
def test_a_damaged_byte_is_found_and_its_file_named(
    videos: Path, tmp_path: Path, name: str
) -> None:
    pack(videos, tmp_path, FORMS[name])
    files = [p for p in sorted(tmp_path.rglob("*")) if p.suffix in (".tar", ".mp4", ".jpg")]
    data = bytearray(files[0].read_bytes())
    data[len(data) // 3] ^= 1
    files[0].write_bytes(data)
    (fault,) = verify(tmp_path, executor=Here())
    assert str(files[0] if name != "frames" else files[0].parent) in fault
    files[0].unlink()
    assert len(verify(tmp_path, executor=Here())) == 1


@pytest.mark.parametrize("name", FORMS)
def test_shards_make_the_same_bytes_as_one_process(videos: Path, tmp_path: Path, name: str) -> None:
    manifest = read_manifest(videos / "manifest.csv")
    pack(videos, tmp_path / "one", FORMS[name])
    out = tmp_path / "many"
    shards = [Shard(1, 3), Shard(0, 3), Shard(2, 3), Shard(1, 3)]
    made = [pack_clips(manifest, out, FORMS[name], executor=Here(), shard=s) for s in shards]
    assert [m is None for m in made] == [True, True, False, False]
    assert tree(out) == tree(tmp_path / "one")


def films(root: Path, names: Sequence[str]) -> PackFormat:
    """Videos under `root`, and a form for them that is written a clip at a time."""
    for i, name in enumerate(names):
        write_video(root / f"{name}.mp4", numbered(40, width=160, height=120, first=i))
    write_rows(root / "manifest.csv", [f"{name}.mp4,0,train" for name in names])
    return JpegPacks(ShortSide(96), part_size=1)


def pairs(root: Path, names: Sequence[str]) -> PackFormat:
    """Optical flow under `root`, as `films`."""
    for i, name in enumerate(names):
        rng = np.random.default_rng(i)
        write_pairs(root / name, rng.integers(256, size=(40, 120, 160, 2), dtype=np.uint8))
    write_rows(root / "manifest.csv", [f"{name},0,train" for name in names])
    return FlowPacks(part_size=1)


@pytest.mark.parametrize("clips", [films, pairs])
def test_a_killed_packing_goes_on_and_gives_the_same_bytes(
    clips: Callable[[Path, Sequence[str]], PackFormat], tmp_path: Path
) -> None:
    root, out = tmp_path / "videos", tmp_path / "packed"
    root.mkdir()
    form = clips(root, [str(i) for i in range(10)])
    process = fresh.Process("-c", _PACK.format(form=form), root, out, start_new_session=True)
    while not len(list(out.glob("packs/*.tar"))) >= 2:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("packs/*.tar")}
    assert len(done) < 10
    assert not (out / "manifest.csv").exists()
    made = pack(root, out, form)
    assert made.num_clips == 10
    kept = [path for path, when in done.items() if path.stat().st_mtime_ns == when]
    assert len(kept) >= len(done) - 1  # one may have had a pack without its receipt
    pack(root, tmp_path / "clean", form)
    assert tree(out) == tree(tmp_path / "clean")


_PACK = """
import sys
from pathlib import Path
from marey.jobs.executors import Here
from marey.data.manifest.read import read_manifest
from marey.data.packs.forms import FlowPacks, JpegPacks
from marey.data.packs.pack_clips import pack_clips
from marey.video.reading.flow import FlowSettings
from marey.video.reading.pixels import ShortSide
if __name__ == "__main__":
    manifest = read_manifest(Path(sys.argv[1]) / "manifest.csv")
    pack_clips(manifest, Path(sys.argv[2]), {form}, executor=Here())
"""


def test_a_finished_packing_is_left_alone_and_another_is_refused(
    videos: Path, tmp_path: Path
) -> None:
    made = pack(videos, tmp_path, FORMS["jpeg"])
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tar")}
    assert pack(videos, tmp_path, FORMS["jpeg"]) == made
    assert times == {path: path.stat().st_mtime_ns for path in times}
    with pytest.raises(ManifestError, match="made of other clips, or in another form"):
        pack(videos, tmp_path, JpegPacks(TINY, quality=5, part_size=2))


def test_labels_that_changed_come_into_the_manifest_and_frames_stay(tmp_path: Path) -> None:
    for name in ("a.mp4", "c.mp4"):
        write_video(tmp_path / name, numbered(5))
    (tmp_path / "b.mp4").touch()  # is left out
    made = []
    for splits in (("train", "train", "val"), ("train", "train", "test")):
        labels = [splits.index(split) for split in splits]
        rows = [f"{n}.mp4,{c},{s}" for n, c, s in zip("abc", labels, splits, strict=True)]
        write_rows(tmp_path / "manifest.csv", rows, "path,label,split")
        packed = pack(tmp_path, tmp_path / "packed", FORMS["jpeg"]).manifest
        made.append((tmp_path / "packed" / "packs" / "00000.tar").stat().st_mtime_ns)
        assert read_complete(packed).split_counts() == {"train": 1, splits[2]: 1}
        assert read_complete(packed).labels["label"].tolist() == [0, 2]
        edited = packed.read_text().replace(splits[2], "mine")
        packed.write_text(edited)  # by hand: is left alone while the other manifest is the same
        pack(tmp_path, tmp_path / "packed", FORMS["jpeg"])
        assert packed.read_text() == edited
    assert made[0] == made[1]
    packed.write_text(edited.rpartition("packs")[0])
    write_rows(tmp_path / "manifest.csv", [f"{n}.mp4,0,val" for n in "abc"], "path,label,split")
    with pytest.raises(ManifestError, match=r"manifest.csv has 1 clip, not the 2 packed"):
        pack(tmp_path, tmp_path / "packed", FORMS["jpeg"])


def test_a_clip_with_a_span_is_packed_as_its_frames_only(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(30))
    rows = ["a.mp4,0,0.5,1", "a.mp4,0,1,", "a.mp4,0,,"]
    write_rows(tmp_path / "manifest.csv", rows, "path,label,start,end")
    for name, form in FORMS.items():
        packed = read_complete(pack(tmp_path, tmp_path / name, form).manifest)
        assert packed.span(0) is None
        for row, wanted in enumerate([range(5, 10), range(10, 30), range(30)]):
            with open_video(packed.path(row)) as video:
                assert numbers_of(video.read(range(len(video)))) == list(wanted)
    assert (tmp_path / "frames/frames/a_1_end").is_dir()


def test_a_pack_of_an_extracted_folder_has_its_very_pixels(videos: Path, tmp_path: Path) -> None:
    extracted = pack(videos, tmp_path / "frames", FORMS["frames"])
    packed = pack(tmp_path / "frames", tmp_path / "packs", FORMS["jpeg"])
    old, new = (read_complete(made.manifest) for made in (extracted, packed))
    for row in range(3):
        with open_video(old.path(row)) as folder, open_video(new.path(row)) as clip:
            assert torch.equal(folder.read(range(len(clip))), clip.read(range(len(folder))))
            assert folder.data(0) == clip.data(0)  # type: ignore[attr-defined]
            if old.fps(row):  # a folder has times by the rate in its manifest
                assert len(clip.timestamps()) == len(clip)


def test_a_pack_of_packs_has_the_same_bytes(videos: Path, tmp_path: Path) -> None:
    pack(videos, tmp_path / "one", FORMS["jpeg"])
    again = read_complete(pack(tmp_path / "one", tmp_path / "two", JpegPacks(TINY)).manifest)
    once = read_complete(tmp_path / "one/manifest.csv")
    with open_video(once.path(1)) as old, open_video(again.path(1)) as new:
        assert old.data(3) == new.data(3)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(old.timestamps(), new.timestamps())


def test_pixels_of_packs_are_those_of_the_video_but_for_jpeg(videos: Path, tmp_path: Path) -> None:
    packed = read_complete(pack(videos, tmp_path, FORMS["jpeg"]).manifest)
    with open_video(packed.path(0)) as clip, open_video(videos / "wave/a.mp4") as video:
        difference = (clip.read(range(13)).float() - video.read(range(13)).float()).abs()
    assert difference.mean() < 2.5


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((427, 240), (455, 256)), ((240, 427), (256, 455)), ((320, 240), (341, 256))],
)
def test_extraction_has_the_short_side_asked_for(
    tmp_path: Path, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    width, height = size
    pictures = numbered(2, width=width - width % 2, height=height)
    write_folder(tmp_path / "a", [np.pad(p, ((0, 0), (0, width % 2), (0, 0))) for p in pictures])
    write_rows(tmp_path / "manifest.csv", ["a,0,train"])
    made = read_complete(pack(tmp_path, tmp_path / "out", FrameFolders()).manifest)
    with open_video(made.path(0)) as video:
        assert tuple(video.read([1]).shape[:1:-1]) == wanted


def test_turned_and_odd_videos_come_out_upright(tmp_path: Path) -> None:
    write_video(
        tmp_path / "a.mp4", numbered(3, width=64, height=48), rotation=90, aspect=Fraction(3, 2)
    )
    write_rows(tmp_path / "manifest.csv", ["a.mp4,0,train"])
    with open_video(tmp_path / "a.mp4") as original:
        upright = original.read([2])
    for name, form in FORMS.items():
        made = read_complete(pack(tmp_path, tmp_path / name, form).manifest)
        with open_video(made.path(0)) as video:
            assert video.read([2]).shape == upright.shape == (1, 3, 96, 48)
            assert (video.read([2]).float() - upright.float()).abs().mean() < 3


def test_a_lower_rate_takes_what_is_shown_at_its_times(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(60), fps=25)
    write_rows(tmp_path / "manifest.csv", ["a.mp4,0,train"])
    form = JpegPacks(TINY, fps=10.0)
    made = read_complete(pack(tmp_path, tmp_path / "out", form).manifest)
    assert made.fps(0) == 10
    with open_video(made.path(0)) as video:
        assert [number_of(f) for f in video.read(range(5))] == [0, 2, 5, 7, 10]
        assert len(video) == 24


@pytest.mark.parametrize("source", [10.0, 12.0, 25.0, 29.97, 59.94])
def test_a_rate_that_is_not_lower_keeps_every_frame_once(source: float) -> None:
    seconds = np.round(np.arange(200) / source, 3)
    np.testing.assert_array_equal(at_rate(seconds, source), np.arange(200))
    np.testing.assert_array_equal(at_rate(seconds, 4 * source), np.arange(200))


def test_mp4_has_short_gops_and_no_b_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.webm", numbered(30), codec="libvpx")
    write_rows(tmp_path / "manifest.csv", ["a.webm,0,train"])
    pack(tmp_path, tmp_path / "out", Mp4Files(ShortSide(32)))
    with av.open(str(tmp_path / "out/clips/a.mp4")) as file:
        packets = [p for p in file.demux(video=0) if p.size]
        assert file.streams.video[0].codec.canonical_name == "h264"
        assert (file.streams.video[0].width, file.streams.video[0].height) == (42, 32)
    assert [i for i, p in enumerate(packets) if p.is_keyframe] == [0, 12, 24]
    assert all(p.pts == p.dts for p in packets)


def test_templates_name_frames_as_the_published_tools_do(videos: Path, tmp_path: Path) -> None:
    pack(videos, tmp_path, FrameFolders(TEMPLATES["ssv2"], TINY))
    names = sorted(path.name for path in (tmp_path / "frames/wave/b").iterdir())
    assert names == [f"{i:06d}.jpg" for i in range(1, 8)]
    for template in TEMPLATES.values():
        assert FrameFolders(template).template == template
    assert FrameFolders("a{}.JPEG").template == "a{}.JPEG"
    wrong_ones = (
        "frame.jpg",
        "a/{:05d}.jpg",
        "{:05d}.png",
        "{:05d}",
        "{:5d}.jpg",
        "{:x}.jpg",
        "{:.2f}.jpg",
        "v2{}.jpg",
        "{0}_{0}.jpg",
        "{0.__class__}",
    )
    for wrong in wrong_ones:
        with pytest.raises(ValueError, match="expected a file name like"):
            FrameFolders(wrong)


def test_clips_that_differ_by_suffix_only_get_folders_of_their_own(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(2))
    write_video(tmp_path / "a.avi", numbered(3), codec="mpeg4")
    write_rows(tmp_path / "manifest.csv", ["a.mp4,0,train", "a.avi,0,train"])
    made = read_complete(pack(tmp_path, tmp_path / "out", FORMS["frames"]).manifest)
    assert [made.num_frames(row) for row in range(2)] == [2, 3]


@pytest.mark.parametrize("name", ["jpeg", "frames"])
def test_one_video_under_two_ids_is_packed_as_two_clips(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "a.mp4", numbered(2))
    (tmp_path / "labels.txt").write_text("a\nb\n")
    (tmp_path / "manifest.csv").write_text("path,label,id\na.mp4,0,x\na.mp4,1,y\n")
    made = read_complete(pack(tmp_path, tmp_path / "out", FORMS[name]).manifest)
    assert made.ids is not None
    assert made.ids.to_pylist() == ["x", "y"]
    assert made.path(0) != made.path(1)


def test_a_clip_whose_folder_lies_in_another_clip_is_not_lost_with_it(tmp_path: Path) -> None:
    write_folder(tmp_path / "a/b", numbered(2))
    write_folder(tmp_path / "a", numbered(3))
    write_rows(tmp_path / "manifest.csv", ["a/b,0,train", "a,0,train"])
    made = read_complete(pack(tmp_path, tmp_path / "out", FORMS["frames"]).manifest)
    assert [made.num_frames(row) for row in range(2)] == [2, 3]


def test_what_is_outside_of_the_root_is_packed_inside_of_the_target(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(2))
    (tmp_path / "lists").mkdir()
    rows = ["../a.mp4,0,train", f"{tmp_path}/a.mp4,0,train"]
    write_rows(tmp_path / "lists/manifest.csv", rows)
    pack(tmp_path / "lists", tmp_path / "out", FORMS["mp4"])
    assert sorted(path.name for path in (tmp_path / "out/clips").rglob("*.mp4")) == [
        "a_0c8ec455_0.mp4",
        "a_0c8ec455_1.mp4",
    ]


def test_a_full_disk_is_said_and_finished_parts_are_kept(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = PackWriter.finish

    def full(writer: PackWriter) -> None:
        if (tmp_path / "packs/00000.tar").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finish(writer)

    with monkeypatch.context() as patch:
        patch.setattr(PackWriter, "finish", full)
        with pytest.raises(ManifestError, match=r"cannot write .*00001.tar: No space left"):
            pack(videos, tmp_path, FORMS["jpeg"])
    before = (tmp_path / "packs/00000.tar").stat().st_mtime_ns
    assert pack(videos, tmp_path, FORMS["jpeg"]).num_clips == 3
    assert (tmp_path / "packs/00000.tar").stat().st_mtime_ns == before


def test_a_target_that_cannot_be_written_is_said_at_once(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ManifestError, match="cannot write"):
        pack(videos, tmp_path / "file", FORMS["jpeg"])


def test_a_root_that_vanishes_stops_the_work_instead_of_rejecting_all(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    write_rows(root / "manifest.csv", ["a.mp4,0,train"])
    manifest = read_manifest(root / "manifest.csv")
    (root / "manifest.csv").unlink()
    root.rmdir()
    with pytest.raises(ManifestError, match=r"a\.mp4: no such file .*bring it back"):
        pack_clips(manifest, tmp_path / "out", FORMS["jpeg"], executor=Here())


def test_a_part_whose_maker_died_is_made_without_the_clip_that_killed_it(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished/00000.begun").touch()
    dies = "if path.endswith('text.mp4'): import os; os.abort()\n    try:"
    monkeypatch.setattr(crashes, "_READ", crashes._READ.replace("try:", dies))
    made = pack(videos, tmp_path, FORMS["jpeg"])
    assert (made.num_clips, made.num_rejects) == (3, 2)
    rejects = (tmp_path / "rejects.csv").read_text()
    assert "text.mp4: the process that read it died (signal 6)" in rejects


def test_a_clip_is_blamed_by_its_whole_name(tmp_path: Path) -> None:
    clips = [VideoClip(row=row, text="", path=tmp_path / f"a\u2028{row}.mp4") for row in range(3)]
    assert crashes.crashing_clips(clips, seconds=60.0) == {}


def test_a_manifest_that_was_not_packed_is_not_taken_for_finished_work(
    videos: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_text("mine")
    with pytest.raises(ManifestError, match="is there and was not packed"):
        pack(videos, tmp_path, FORMS["jpeg"])
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.csv"]


@pytest.mark.parametrize(
    "form",
    [
        lambda: JpegPacks(quality=0),
        lambda: JpegPacks(part_size=0),
        lambda: Mp4Files(crf=52),
        lambda: Mp4Files(fps=0.0),
        lambda: FrameFolders("img_{name}.jpg"),
        lambda: FrameFolders("img_{:d"),
        lambda: FrameFolders("{}_{}.jpg"),
    ],
)
def test_a_form_that_cannot_be_made_is_refused_before_anything_is_written(form) -> None:
    with pytest.raises(ValueError, match="expected"):
        form()


def test_features_are_no_clips(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float32))
    (tmp_path / "manifest.csv").write_text("path,label\na.npy,0\n")
    with pytest.raises(ManifestError, match="holds features.*NAME.arrow"):
        pack(tmp_path, tmp_path / "packed", FORMS["jpeg"])
    assert not (tmp_path / "packed").exists()


def test_a_clip_that_hangs_ends_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [VideoClip(row=row, text="", path=tmp_path / f"{row}.mp4") for row in range(3)]
    hangs = "if path.endswith('1.mp4'): import time; time.sleep(10_000)\n    try:"
    monkeypatch.setattr(crashes, "_READ", crashes._READ.replace("try:", hangs))
    found = crashes.crashing_clips(clips, seconds=8.0)
    assert found == {1: f"{tmp_path / '1.mp4'}: not read after 8 s"}


def test_one_frame_at_a_time_is_in_memory(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(300, width=160, height=120))
    write_rows(tmp_path / "manifest.csv", ["a.mp4,0,train"])
    whole = 300 * 160 * 120 * 3
    for name, form in FORMS.items():
        tracemalloc.start()
        pack(tmp_path, tmp_path / name, form)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < whole / 10


def test_the_commands_of_the_document_run(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("marey.jobs.executors.Processes", lambda _: Here())
    (tmp_path / "clips").symlink_to(videos)
    text = (Path(__file__).parents[3] / "docs/packing.md").read_text(encoding="utf-8")
    commands = [line.partition("#")[0] for line in text.splitlines() if line.startswith("marey ")]
    assert len(commands) == 5
    for command in commands:
        done = CliRunner().invoke(app, command.split()[1:])
        assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "frames/frames/wave/b").iterdir())[0] == (
        "000001.jpg"
    )
    with open_video("packed/packs/00000.tar/wave/a.mp4") as clip:
        assert len(clip.timestamps()) == len(clip) == 13
    (tmp_path / "packed/packs/00000.tar").write_bytes(b"")
    assert CliRunner().invoke(app, ["data", "verify", "packed"]).exit_code == 1
