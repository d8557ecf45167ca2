"""Rows of a manifest as what is marked in whole videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.annotated import annotated_videos
from marey.timelines.spans import Spans

TIMES = np.arange(40) / 10
NAMES = ("run", "sit", "rest")


def marked(columns: Mapping[str, object], background: str = "") -> tuple[Spans, list[str]]:
    """What is marked in the only video, of four seconds."""
    n = len(columns["label"])
    manifest = Manifest.from_columns(
        Path("m.csv"),
        Path("videos"),
        {"path": ["a.mp4"] * n, **columns},  # type: ignore[dict-item]
        {"label": NAMES},
    )
    (video,) = annotated_videos(manifest)
    spans, bad = video.marked(TIMES, 4.0, background=background)
    return spans["label"], bad


def test_rows_of_one_path_are_one_video() -> None:
    manifest = Manifest.from_columns(
        Path("m.csv"),
        Path("videos"),
        {
            "path": ["b.mp4", "a.mp4", "b.mp4"],
            "label": [0, 1, 1],
            "num_frames": [40, 7, 40],
        },
        {"label": NAMES},
    )
    videos = annotated_videos(manifest)
    assert [(video.path, video.rows, video.num_frames) for video in videos] == [
        (Path("videos/b.mp4"), (0, 2), 40),
        (Path("videos/a.mp4"), (1,), 7),
    ]


def test_a_file_is_one_video_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.mp4").touch()
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    spelled = ["a.mp4", "./a.mp4", str(tmp_path / "a.mp4"), "in/../a.mp4", "link.mp4", "b.mp4"]
    manifest = Manifest.from_columns(
        Path("m.csv"), tmp_path, {"path": spelled, "label": [0] * 6}, {"label": NAMES}
    )
    videos = annotated_videos(manifest)
    assert [(video.path, video.rows) for video in videos] == [
        (tmp_path / "a.mp4", (0, 1, 2, 3, 4)),
        (tmp_path / "b.mp4", (5,)),
    ]


def test_an_open_end_is_that_of_the_video() -> None:
    found, bad = marked({"label": [0, 1, 0], "start": [None, 2.5, 1.0], "end": [1.5, None, 2.0]})
    assert found.rows() == [(0, 1.5, 0), (2.5, 4, 1), (1, 2, 0)]
    assert bad == []
    whole, _ = marked({"label": [1]})
    assert whole.rows() == [(0, 4, 1)]


def test_an_end_that_was_rounded_up_is_that_of_the_video() -> None:
    found, bad = marked({"label": [0, 0], "start": [1.0, 2.0], "end": [5.0, 5.1]})
    assert found.rows() == [(1, 4, 0)]
    assert bad == ["videos/a.mp4: [2, 5.1) seconds is not in the video, which lasts 4.000 s"]


def test_a_span_behind_the_video_is_named() -> None:
    found, bad = marked({"label": [0], "start": [4.0], "end": [4.5]})
    assert len(found) == 0
    assert bad == ["videos/a.mp4: [4, 4.5) seconds is not in the video, which lasts 4.000 s"]


def test_frames_are_shown_in_seconds() -> None:
    found, bad = marked({"label": [0, 1, 0], "start_frame": [5, 10, 3], "end_frame": [10, 40, 50]})
    assert found.rows() == [(0.5, 1, 0), (1, 4, 1)]
    assert bad == ["videos/a.mp4: [3, 50) frames is not in the video, which lasts 4.000 s"]


def test_rows_of_the_background_mark_nothing() -> None:
    found, bad = marked({"label": [2, 0], "start": [0.0, 1.0], "end": [1.0, 2.0]}, "rest")
    assert found.rows() == [(1, 2, 0)]
    assert bad == []


def test_several_classes_of_a_row_are_a_span_each() -> None:
    labels = np.array([[True, False, True]])
    found, _ = marked({"label": labels, "start": [1.0], "end": [2.0]})
    assert found.rows() == [(1, 2, 0), (1, 2, 2)]
