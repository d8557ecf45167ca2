"""EPIC-KITCHENS-100 from its csv and folders of frames to clips; numbers in tests/parity."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.data.lists.epic import LAYOUTS, frames_a_second, in_frames
from marey.data.lists.listing import Listing
from marey.data.lists.lists import read_listing
from marey.data.loading.clips import ClipDataset
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.init import init_dataset
from marey.errors import ManifestError
from marey.video.crops import CenterCrop
from marey.video.sampling.motionformer import TimedClips
from tests.manifests import read_complete
from tests.video.media import numbered, numbers_of, write_folder

HEADER = "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,verb_class,noun_class"
OLD = "P01_11_0,P01,P01_11,00:00:00.10,00:00:00.50,0,2"
NEW = "P01_101_0,P01,P01_101,00:00:00.10,00:00:00.50,3,1"


def listed(folder: Path, *rows: str) -> Listing:
    (folder / "EPIC_100_train.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return read_listing(folder / "EPIC_100_train.csv")


def make_folders(root: Path, *videos: str) -> Path:
    for video in videos:
        (root / video).mkdir(parents=True)
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_segments_are_spans_of_frames_at_the_rate_of_their_video(
    tmp_path: Path, layout: str
) -> None:
    old, new = layout.format("P01", "P01_11"), layout.format("P01", "P01_101")
    listing = in_frames(listed(tmp_path, OLD, NEW), make_folders(tmp_path, old, new))
    assert [row.path for row in listing.rows] == [old, new]
    assert (listing.unit, [row.rate for row in listing.rows]) == ("frames", [60.0, 50.0])
    assert [(row.start, row.end) for row in listing.rows] == [(6.0, 30.0), (5.0, 25.0)]
    assert listing.format.endswith("; frames at 50 and 60 a second")


def test_a_time_between_two_frames_is_the_even_one(tmp_path: Path) -> None:
    row = "x,P04,P04_101,00:01:00.25,00:01:00.75,0,0"
    listing = in_frames(listed(tmp_path, row), make_folders(tmp_path, "P04/P04_101"))
    assert [(row.start, row.end) for row in listing.rows] == [(3012.0, 3038.0)]


def test_videos_that_are_files_keep_their_seconds(tmp_path: Path) -> None:
    listing = listed(tmp_path, OLD, NEW)
    assert in_frames(listing, tmp_path) is listing


def test_other_lists_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label,start,end\nP01_11,0,0.1,0.5\n")
    listing = read_listing(tmp_path / "list.csv")
    assert in_frames(listing, make_folders(tmp_path, "P01/P01_11")) is listing


def test_a_segment_without_a_frame_is_named(tmp_path: Path) -> None:
    empty = "P01_11_1,P01,P01_11,00:00:10.00,00:00:10.00,0,2"
    root = make_folders(tmp_path, "P01/P01_11")
    with pytest.raises(ManifestError, match=r"train\.csv:3: no frame from frame 600 up to 600"):
        in_frames(listed(tmp_path, OLD, empty), root)


def test_a_video_of_another_name_is_named(tmp_path: Path) -> None:
    root = make_folders(tmp_path, "P01/P01_11")
    with pytest.raises(ManifestError, match=r"csv:2: video_id is 'P01_1'.*P01_01 or P01_101"):
        in_frames(listed(tmp_path, OLD.replace("P01_11,", "P01_1,"), OLD), root)
    with pytest.raises(ValueError, match="video is 'kitchen', expected a name like P01_01"):
        frames_a_second("kitchen")


def test_clips_of_one_manifest_last_equally_long_at_50_and_60_frames(tmp_path: Path) -> None:
    for folder in ("P01/P01_11", "P01/rgb_frames/P01_101"):
        write_folder(tmp_path / folder, numbered(36), template="frame_{:010d}.jpg")
    listed(tmp_path, OLD, NEW, OLD.replace("P01_11", "P01_12"))
    made = init_dataset(
        tmp_path / "EPIC_100_train.csv", tmp_path / "out", root=tmp_path, num_workers=1
    )
    assert made.rejects == (("P01/P01_12", "no such file"),)
    manifest = read_complete(made.path)
    assert [manifest.fps(row) for row in range(2)] == [60.0, 50.0]
    assert manifest.digest() == made.manifest.digest()

    sampling = TimedClips(4, stride=5, fps=60, clips=1)  # a third of a second
    clips = ClipDataset(manifest, sampling, CenterCrop(48, None))
    shown = [clips[row, None].clip for row in range(2)]
    # spans of 20 frames at 60 a second and 16.7 at 50, in the middle of 24 and 20
    assert [numbers_of(clip[0]) for clip in shown if clip is not None] == [
        [8, 14, 20, 27],
        [6, 11, 17, 22],
    ]


def test_classes_are_named_by_the_files_of_each_head(tmp_path: Path) -> None:
    (tmp_path / "EPIC_100_verb_classes.csv").write_text("id,key\n0,take\n1,put\n2,wash\n3,open\n")
    (tmp_path / "EPIC_100_noun_classes.csv").write_text("id,key\n0,tap\n1,spoon\n2,plate\n")
    write_folder(tmp_path / "P01/P01_11", numbered(36), template="frame_{:010d}.jpg")
    listed(tmp_path, OLD)
    made = init_dataset(
        tmp_path / "EPIC_100_train.csv", tmp_path / "out", root=tmp_path, probe=False
    )
    assert made.manifest.classes == {
        "verb": ("take", "put", "wash", "open"),
        "noun": ("tap", "spoon", "plate"),
    }


def test_a_rate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label,fps\na,0,60\nb,0,\nc,0,-1\n")
    with pytest.raises(ManifestError, match=r"m\.csv:4: 'fps' is -1; expected frames a second"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("path,label,fps\na,0,60\nb,0,\n")
    manifest = read_manifest(tmp_path / "m.csv")
    assert [manifest.fps(row) for row in range(2)] == [60.0, None]
