"""Clips of a packing are called as their videos, wherever the manifest lies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.datasets.dataset import AnnotatedClip
from marey.data.datasets.ssv2 import SSV2
from marey.data.datasets.ucf101 import UCF101
from marey.data.lists.rejects import SourceLine
from marey.data.manifest.location import Roots
from marey.data.manifest.manifest import Manifest
from marey.data.own_videos.init import init_dataset
from marey.data.packs.clip_names import clip_names
from marey.data.prepare.find_media import find_media
from marey.storage.url import any_path
from tests.manifests import read_complete
from tests.video.media import numbered, write_video


def names(
    paths: Sequence[str],
    *,
    roots: Sequence[str] = ("/data",),
    codes: Sequence[int] = (),
    suffixes: bool = False,
    spaces: bool = True,
    **more: Sequence[float | None] | Sequence[str],
) -> list[str]:
    columns = {"path": list(paths)} | {name: list(values) for name, values in more.items()}
    clips = Manifest.from_columns(Path("m.csv"), Path("/data"), columns)
    where = Roots(tuple(map(any_path, roots)), np.array(codes, np.uint16) if codes else None)
    vars(clips)["roots"] = where
    named = clip_names(clips, suffixes=suffixes, spaces=spaces)
    return [named.name(clips.clip(row), where.of(row)) for row in range(len(clips))]


@pytest.mark.parametrize(
    "paths",
    [
        ["/in/jump/1.mp4", "/in/run/2.mp4"],
        ["jump/1.mp4", "run/2.mp4"],
        ["videos/jump/1.mp4", "videos/run/2.mp4"],
        ["../in/jump/1.mp4", "../in/run/2.mp4"],
        ["./jump//1.mp4", "x/../run/2.mp4"],
        ["packs/00000.tar/jump/1.mp4", "packs/00001.tar/run/2.mp4"],
        ["packs/00000.tar/jump/1.mp4", "/in/run/2.mp4", "/in/walk/3.mp4"],
    ],
)
def test_names_do_not_tell_where_the_manifest_lies(paths: list[str]) -> None:
    assert names(paths)[:2] == ["jump/1", "run/2"]
    assert names(paths, suffixes=True)[:2] == ["jump/1.mp4", "run/2.mp4"]


def test_names_of_a_flat_folder_are_those_of_the_videos() -> None:
    assert names(["/ssv2/20bn/74225.webm", "/ssv2/20bn/3.webm"]) == ["74225", "3"]
    assert names(["take.2/a_v1.2_x", "take.2/b"]) == ["a_v1.2_x", "b"]  # folders: no suffix


def test_clips_of_several_roots_are_named_from_what_the_roots_have_in_common() -> None:
    both = ["jump/1.mp4", "jump/1.mp4"]
    assert names(both, roots=["/d/real", "/d/made"], codes=[0, 1]) == ["real/jump/1", "made/jump/1"]
    one = ["s3://b/real", "s3://b/made"]
    assert names(both, roots=one, codes=[0, 1]) == ["real/jump/1", "made/jump/1"]
    stores = ["s3://b/real", "/d"]
    assert names(["jump/1.mp4", "run/2.mp4"], roots=stores, codes=[0, 1]) == ["1", "2"]
    assert names(both, roots=stores, codes=[0, 1]) == ["1_e874c935", "1_da9fbc0a"]


def test_a_span_ends_the_name_in_the_unit_of_the_manifest() -> None:
    paths = ["c/a.mp4", "d/b.mp4", "c/a.mp4"]
    spans = {"start": [0, 1, 2.5], "end": [1, None, 62.25]}
    assert names(paths, **spans) == ["c/a_0_1", "d/b_1_end", "c/a_2.5_62.25"]
    assert names(paths, **spans, suffixes=True)[2] == "c/a_2.5_62.25.mp4"
    frames = {"start_frame": [5, 10, 0], "end_frame": [10, None, 30], "num_frames": [30, 30, 30]}
    assert names(paths, **frames) == ["c/a_5_10", "d/b_10_end", "c/a"]  # the whole file
    twice = {"start_frame": [0, None], "end_frame": [30, None], "num_frames": [30, 30]}
    assert names(["a.mp4", "a.mp4"], **twice) == ["a_0_30", "a"]


def test_clips_that_would_share_a_name_are_told_apart_by_suffix_then_id_then_a_digest() -> None:
    beside = ["c/a.mp4", "c/a.avi", "d/b.mp4"]
    assert names(beside) == ["c/a_mp4", "c/a_avi", "d/b"]
    assert names(beside, suffixes=True) == beside
    assert names(["a_mp4", "a.mp4", "a.avi"]) == ["a_mp4", "a", "a_avi"]
    assert names(["c/a.mp4", "c/a", "d/b.mp4"]) == ["c/a_mp4", "c/a", "d/b"]  # a folder of frames
    twice = {"start": [0, 0, 2], "end": [1, 1, 3], "id": ["u1", "u/2", "u3"]}
    assert names(["x.mp4"] * 3, **twice) == ["x_0_1_u1", "x_0_1_u_2", "x_2_3"]
    assert names(["c/A.mp4", "C/a.mp4", "d/b.mp4"])[:2] == ["c/A_d25e4346", "C/a_f834daee"]
    assert names(["c/e\u0301.mp4", "c/\u00e9.mp4"])[1] == "\u00e9_e98c2b2d"  # NFD and NFC
    assert names(["x/a.mp4", "x/./a.mp4"])[1] == "a_0c8ec455_1"  # one clip, in two spellings


def test_names_do_not_depend_on_the_order_of_the_clips() -> None:
    paths = ["c/a.mp4", "c/a.avi", "c/A.avi", "c/a_avi", "d/b.mp4", "d/b.mp4", "c"]
    starts = [None, None, None, None, 1, 2, None]
    made = dict(zip(zip(paths, starts, strict=True), names(paths, start=starts), strict=True))
    back = names(paths[::-1], start=starts[::-1])
    assert back == [*made.values()][::-1]


def test_no_clip_lies_inside_of_another() -> None:
    assert names(["x/a", "x/a/b", "x/c"]) == ["a_550e80a9", "a/b", "c"]
    assert names(["x/a", "x/a.mp4/b"]) == ["a_550e80a9", "a.mp4/b"]  # as mp4 files


def test_names_are_such_as_every_system_takes() -> None:
    odd = ["x/what?.mp4", "x/a: b.mp4", "x/con.mp4", "x/end .mp4", "x/\u4e2d\u6587 (1).mp4"]
    safe = ["what_", "a_ b", "con_", "end_", "\u4e2d\u6587 (1)"]
    assert names(odd) == safe
    assert names(odd, spaces=False)[1:] == ["a__b", "con_", "end_", "\u4e2d\u6587_(1)"]
    assert names(["x/a?.mp4", "x/a_.mp4"]) == ["a__8a7ad12c", "a__f45eaf28"]
    long = names(["x/" + "\u00e9" * 120 + end for end in ("a.mp4", "b.mp4")])
    assert all(190 < len(name.encode()) <= 200 for name in long)
    assert long[0] != long[1]


_PART = st.sampled_from(["a", "A", "b", "..", ".", "a.mp4", "a.avi", "x.tar", "a_mp4", "a?", "c.d"])


@given(st.lists(st.lists(_PART, min_size=1, max_size=4).map("/".join), min_size=1, max_size=6))
def test_each_clip_has_a_place_of_its_own_inside_of_the_target(paths: list[str]) -> None:
    for suffixes in (False, True):
        made = [name.lower() for name in names(paths, roots=["/data/in/x"], suffixes=suffixes)]
        assert len(set(made)) == len(paths)
        for name in made:
            assert not {"", ".", ".."} & set(name.split("/"))
            assert suffixes or not any(other.startswith(f"{name}/") for other in made)


def test_frames_of_the_readmes_walk_are_found_by_the_names_of_the_videos(tmp_path: Path) -> None:
    for number, name in enumerate(("jump/1000", "jump/1001", "run/2000", "run/2001"), start=3):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / f"in/{name}.mp4", numbered(number))
    init_dataset(tmp_path / "in", tmp_path / "lists", num_workers=1)
    words = ["data", "extract", str(tmp_path / "lists/manifest.csv"), str(tmp_path / "out")]
    said = CliRunner().invoke(app, [*words, "--template", "ssv2", "--size", "48", "--workers", "1"])
    assert said.exit_code == 0, said.output
    frames = tmp_path / "out/frames"
    assert (frames / "run/2000/000005.jpg").is_file()
    assert read_complete(tmp_path / "out/manifest.csv").frame_counts.tolist() == [3, 4, 5, 6]
    again = init_dataset(frames, tmp_path / "again", num_workers=1).manifest
    assert sorted(Path(path).name for path in again.texts()) == ["1000", "1001", "2000", "2001"]
    assert again.classes["label"] == ("jump", "run")
    clips = [
        AnnotatedClip(SourceLine(frames), name, "train", {"label": 1}) for name in ("2000", "2001")
    ]
    assert find_media(clips, ("jump", "run"), frames / "run", SSV2.layouts).paths == [
        "2000",
        "2001",
    ]
    assert find_media(clips, ("jump", "run"), frames, UCF101[0].layouts).paths == [
        "run/2000",
        "run/2001",
    ]


def test_a_packing_of_an_earlier_version_ends_with_its_names_and_it_is_said(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(3))
    (tmp_path / "in").mkdir()
    rows = "../a.mp4,0,0,1\n../a.mp4,0,2,3\n"
    (tmp_path / "in/manifest.csv").write_text(f"path,label,start_frame,end_frame\n{rows}")
    words = ["data", "extract", str(tmp_path / "in/manifest.csv"), str(tmp_path / "out")]
    words += ["--workers", "1", "--size", "48"]
    assert "names of an earlier" not in CliRunner().invoke(app, words).output
    assert (tmp_path / "out/frames/a_0_1").is_dir()
    note = tmp_path / "out/packing.json"
    facts = json.loads(note.read_text())
    for naming in ("by the common folder", None):  # as it was begun before, with nothing done yet
        note.write_text(
            json.dumps({k: v for k, v in (facts | {"names": naming}).items() if k != "names" or v})
        )
        (tmp_path / "out/manifest.csv").unlink()
        shutil.rmtree(tmp_path / "out/frames")
        for _ in range(2):  # while it is made, and when it is finished
            said = CliRunner().invoke(app, words)
            assert said.exit_code == 0, said.output
            assert "names of an earlier version" in said.output
            assert (tmp_path / "out/frames/a@00000000").is_dir()
