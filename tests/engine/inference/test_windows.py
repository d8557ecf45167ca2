"""Windows of a long video: which they are, that each is scored as its clip, and read once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.engine.inference.windows import (
    Window,
    WindowScores,
    check_window,
    views_of_windows,
    windows,
)
from marey.errors import DecodeError
from marey.timelines.segments import SegmentRule
from marey.video.crops import CenterCrop
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pixels import Picture, ShortSide
from marey.video.reading.pyav import VideoFile
from tests.engine.inference.test_predict import untrained
from tests.tiny import CLASSES, write_clip
from tests.video.media import numbered, write_video


class Grey(FrameReader):
    """A video whose frame i is of grey level i; it counts how often each is decoded."""

    def __init__(self, num_frames: int) -> None:
        self.path, self.fps, self.num_frames = Path("grey"), 10.0, num_frames
        self.read_at: list[int] = []

    def __len__(self) -> int:
        return self.num_frames

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        for index in indices:
            self.read_at.append(int(index))
            yield np.full((8, 8, 3), index, np.uint8)[::-1]  # as a frame that was turned

    def timestamps(self) -> np.ndarray:
        return np.arange(self.num_frames) / 10


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=4, max_size=4), min_size=1, max_size=8),
    st.booleans(),
)
def test_every_window_gets_its_frames_and_each_is_decoded_once_in_order(
    rows: list[list[int]], in_order: bool
) -> None:
    indices = [np.array(row).reshape(2, 2) for row in (sorted(rows) if in_order else rows)]
    reader = Grey(41)
    views = list(views_of_windows(reader, indices, CenterCrop(size=8, resize=8)))
    for of_window, clips in zip(views, indices, strict=True):
        assert of_window.shape == (2, 2, 3, 8, 8)
        assert (of_window.amax(dim=(2, 3, 4)).numpy() == clips).all()
    assert reader.read_at == sorted({i for row in rows for i in row})


def test_only_frames_that_a_window_still_needs_are_held() -> None:
    """Views are made as soon as the last frame of a window is decoded, not after the video."""
    reader = Grey(100)
    indices = [np.arange(i, i + 8)[None] for i in range(0, 92, 4)]
    read = [len(reader.read_at) for _ in views_of_windows(reader, indices, CenterCrop(8, 8))]
    assert read == [i + 8 for i in range(0, 92, 4)]


def test_windows_of_a_real_video_have_the_frames_that_are_read_by_index(shared_dir: Path) -> None:
    crop = CenterCrop(32, resize=36)
    with VideoFile(shared_dir / "data" / "falls" / "S4" / "Fall" / "02.mp4") as reader:
        times = reader.timestamps()
        indices = [
            np.linspace(of.first, of.last - 1, 4).astype(np.int64)[None]
            for of in windows(times, 1.0, 0.4)
        ]
        views = list(views_of_windows(reader, indices, crop))
        assert len(views) == len(indices) > 4
        for of_window, (clip,) in zip(views, indices, strict=True):
            assert torch.equal(of_window, crop(reader.gather(clip)))


def test_a_batch_of_windows_has_the_scores_of_each_alone(tmp_path: Path) -> None:
    predictor, path = untrained(tmp_path), tmp_path / "long.mp4"
    write_clip(path, 1, num_frames=30)
    watched = predictor.watch(path, window_seconds=0.8, stride_seconds=0.3)
    with VideoFile(path) as reader:
        frames = reader.read(range(30))
    for i, window in enumerate(watched.windows):
        alone = predictor.predict(
            frames[window.first : window.last].numpy(), top=4, all_scores=True
        )
        assert isinstance(alone, list)
        expected = [alone[0]["scores"][name] for name in CLASSES]
        np.testing.assert_allclose(watched.probabilities["label"][i], expected, atol=1e-5)


def test_a_timeline_has_the_segments_of_the_windows(tmp_path: Path) -> None:
    predictor, path = untrained(tmp_path), tmp_path / "long.mp4"
    write_clip(path, 1, num_frames=30)
    rule = SegmentRule(smooth=0.4)
    found = predictor.timeline(path, window_seconds=0.8, rule=rule)
    assert found == predictor.watch(path, window_seconds=0.8).segments(rule)
    assert (found[0].start, found[-1].end) == (0.0, 3.0)
    answers = predictor.predict(path, window_seconds=0.8, rule=rule)
    assert answers == [segment.to_json() for segment in found]
    both = predictor.predict([path, tmp_path / "none.mp4"], window_seconds=0.8, rule=rule)
    assert isinstance(both, dict)
    assert both[str(path)] == answers
    assert "none.mp4" in both[str(tmp_path / "none.mp4")][0]["error"]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    predictor, path = untrained(tmp_path), tmp_path / "red_0.mp4"
    with pytest.raises(ValueError, match="the background is 'drak', which is none.*'dark'"):
        predictor.timeline(path, window_seconds=0.3, rule=SegmentRule(background="drak"))
    with pytest.raises(ValueError, match="rule is SegmentRule.*there are no windows"):
        predictor.predict(path, rule=SegmentRule())
    with pytest.raises(ValueError, match="all_scores are of windows"):
        predictor.predict(path, window_seconds=0.3, rule=SegmentRule(), all_scores=True)
    with pytest.raises(DecodeError, match=r"none\.mp4"):
        predictor.timeline(tmp_path / "none.mp4", window_seconds=0.3)
    with pytest.raises(DecodeError, match=r"red_0\.mp4: a window of 0\.1 s holds no two frames"):
        predictor.timeline(path, window_seconds=0.1)
    slow = tmp_path / "slow.mp4"
    write_video(slow, numbered(4), fps=2)
    both = predictor.predict([slow, path], window_seconds=0.3)
    assert isinstance(both, dict)
    assert "slow.mp4: a window of 0.3 s holds no two frames of 4" in both[str(slow)][0]["error"]
    assert both[str(path)][0]["start"] == 0


def test_each_head_has_a_timeline_of_its_own() -> None:
    watched = WindowScores(
        windows=[Window(0, 2, 0, 20), Window(1, 3, 10, 30)],
        probabilities={
            "verb": torch.tensor([[0.9, 0.1], [0.9, 0.1]]),
            "noun": torch.tensor([[0.8, 0.7], [0.1, 0.7]]),
        },
        classes={"verb": ("take", "put"), "noun": ("cup", "pan")},
        times=np.arange(30) / 10,
        several=frozenset({"noun"}),
    )
    rows = [(of.head, of.label, of.start, round(of.end, 2)) for of in watched.segments()]
    assert rows == [("verb", "take", 0, 3), ("noun", "cup", 0, 1.4), ("noun", "pan", 0, 3)]
    assert watched.seconds == 3
    background = SegmentRule(background="pan")
    assert [of.label for of in watched.segments(background)] == ["take", "cup"]


def test_a_single_frame_has_a_window_and_no_timeline() -> None:
    found = WindowScores(
        windows=list(windows(np.zeros(1), 1.0, 0.5)),
        probabilities={"label": torch.tensor([[0.2, 0.8]])},
        classes={"label": ("a", "b")},
        times=np.zeros(1),
    )
    assert len(found.windows) == 1
    assert found.segments(SegmentRule(smooth=1.0)) == []
    assert len(found.moments("label", SegmentRule()).middles) == 0


def test_a_window_needs_two_frames() -> None:
    check_window(np.arange(6) / 10, 0.2)
    with pytest.raises(DecodeError, match=r"video: a window of 0.15 s holds no two frames of 6"):
        check_window(np.arange(6) / 10, 0.15)


def test_what_the_last_stride_leaves_over_gets_a_window() -> None:
    times = np.arange(25) / 10
    assert [found[:2] for found in windows(times, 1.0, 1.0)] == [(0, 1), (1, 2), (1.5, 2.5)]


@given(
    st.integers(1, 200),
    st.sampled_from([5.0, 12.5, 25.0, 30.0]),
    st.floats(0.2, 4),
    st.floats(0.1, 1),
)
def test_overlapping_windows_cover_every_frame(
    n: int, fps: float, window: float, share: float
) -> None:
    found = list(windows(np.arange(n) / fps, window, max(window * share, 0.05)))
    covered = {frame for _, _, first, last in found for frame in range(first, last)}
    assert covered == set(range(n))
    assert [w[0] for w in found] == sorted(w[0] for w in found)


def test_frames_of_uneven_times_are_found_by_time() -> None:
    times = np.array([0.0, 0.1, 0.2, 3.0, 3.1])
    assert [w[2:] for w in windows(times, 1.0, 1.0)] == [(0, 3), (3, 5)]
