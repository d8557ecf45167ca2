from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from marey.data.loading.clips import NO_SEED, ClipDataset, clip_rng, collate
from marey.data.loading.samplers import EpochSampler
from marey.data.manifest.manifest import Manifest
from marey.video.crops import CenterCrop, MultiScaleCrop, ThreeCrop
from marey.video.sampling.segments import Clips, Segments


@pytest.fixture
def manifest(tmp_path, video) -> Manifest:
    """Eight clips, of which row 3 is no video and row 5 is not there."""
    for row in range(8):
        shutil.copy(video, tmp_path / f"{row}.mp4")
    (tmp_path / "3.mp4").write_text("not a video")
    (tmp_path / "5.mp4").unlink()
    columns = {
        "path": [f"{row}.mp4" for row in range(8)],
        "label": np.arange(8) % 3,
        "noun": np.arange(8),
    }
    classes = {"label": ("a", "b", "c"), "noun": tuple("01234567")}
    return Manifest.from_columns(tmp_path / "m.csv", tmp_path, columns, classes)


def dataset(manifest, sampling=None, crop=None) -> ClipDataset:
    return ClipDataset(manifest, sampling or Segments(4), crop or CenterCrop(size=16, resize=None))


def levels(clip: torch.Tensor) -> list[int]:
    """Which frame of the video each frame of a view [t 3 h w] is."""
    return [round((level - 16) / 4) for level in clip.float().mean(dim=(1, 2, 3)).tolist()]


def test_without_a_seed_a_sample_is_the_clip_of_the_test_rule(manifest):
    sample = dataset(manifest)[0, None]
    assert sample.clip.shape == (1, 4, 3, 16, 16)
    assert levels(sample.clip[0]) == Segments(4).indices(12)[0].tolist()
    assert (sample.row, sample.seed, sample.labels) == (0, NO_SEED, {"label": 0, "noun": 0})
    assert min(sample.seconds.values()) > 0


def test_a_seed_decides_frames_and_crop_and_nothing_else_does(manifest):
    clips = dataset(manifest, crop=MultiScaleCrop(size=16))
    once, again, other = (clips[0, seed].clip for seed in (7, 7, 8))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_frames_and_crop_draw_from_another_stream_than_the_device_does():
    assert clip_rng(5).random() != np.random.default_rng(5).random()
    assert clip_rng(5).random() != np.random.default_rng([5, 1]).random()


def test_views_are_clips_by_crops_with_the_crops_of_a_clip_together(manifest):
    sampling = Clips(num_frames=2, clips=2)
    sample = dataset(manifest, sampling, ThreeCrop(size=16, resize=None))[0, None]
    assert sample.clip.shape == (6, 2, 3, 16, 16)
    expected = sampling.indices(12)
    assert [levels(view) for view in sample.clip] == [expected[v // 3].tolist() for v in range(6)]


def test_a_span_and_a_known_frame_count_reach_the_reader(tmp_path, manifest):

    bounds = {"start_frame": np.full(8, 4.0), "end_frame": np.full(8, 8.0)}
    cut = manifest.with_columns(bounds | {"num_frames": np.full(8, 12)})
    assert levels(dataset(cut)[0, None].clip[0]) == [4, 5, 6, 7]
    wrong = manifest.with_columns({"num_frames": np.full(8, 99)})
    assert "0.mp4" in dataset(wrong)[0, None].error


@pytest.mark.parametrize("row", [3, 5])
def test_a_clip_that_cannot_be_read_says_why_and_is_never_another_clip(manifest, row):
    sample = dataset(manifest)[row, 1]
    assert sample.clip is None
    assert f"{row}.mp4" in sample.error
    assert sample.row == row


def test_failed_samples_leave_the_batch_and_are_named_in_it(manifest):
    clips = dataset(manifest)
    batch = collate([clips[row, row] for row in range(8)])
    assert batch.rows.tolist() == [0, 1, 2, 4, 6, 7]
    assert batch.clip.shape == (6, 1, 4, 3, 16, 16)
    assert batch.labels["noun"].tolist() == [0, 1, 2, 4, 6, 7]
    assert batch.seeds.tolist() == [0, 1, 2, 4, 6, 7]
    assert [row for row, _ in batch.failures] == [3, 5]


def test_a_batch_in_which_nothing_could_be_read_is_empty_not_an_error(manifest):
    clips = dataset(manifest)
    batch = collate([clips[3, None], clips[5, None]])
    assert len(batch.rows) == len(batch.clip) == len(batch.labels["label"]) == 0
    assert len(batch.failures) == 2
    assert batch.to("cpu").clip.dtype == torch.uint8


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_every_start_method_give_what_the_main_process_gives(manifest, method):
    clips = dataset(manifest, crop=MultiScaleCrop(size=16))
    sampler = EpochSampler(np.array([6, 3, 0, 7]), 2, seed=1, epoch=0)
    loader = DataLoader(
        clips,
        batch_sampler=sampler,
        num_workers=1,
        collate_fn=collate,
        multiprocessing_context=method,
    )
    for batch, keys in zip(loader, sampler, strict=True):
        alone = collate([clips[key] for key in keys])
        assert torch.equal(batch.clip, alone.clip)
        assert batch.rows.tolist() == alone.rows.tolist()
        assert [row for row, _ in batch.failures] == [row for row, _ in alone.failures]


def test_a_data_set_of_many_rows_is_pickled_as_columns(tmp_path):
    many = 100_000
    columns = {"path": [f"{row:06d}.mp4" for row in range(many)]}
    manifest = Manifest.from_columns(tmp_path / "m.csv", tmp_path, columns)
    assert len(pickle.dumps(dataset(manifest))) < 20 * many


def test_frames_of_other_sizes_give_clips_of_one_size(tmp_path, manifest, make_video):
    make_video(tmp_path / "1.mp4", size=(64, 64))
    clips = dataset(manifest)
    assert collate([clips[0, None], clips[1, None]]).clip.shape == (2, 1, 4, 3, 16, 16)
