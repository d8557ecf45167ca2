from __future__ import annotations

from pathlib import Path

import pytest

from marey.data.manifest.read import read_manifest
from marey.engine.bench import bench_data, bench_model
from marey.models.encoders.resnet import ResNetSpec
from marey.models.video_model import Head, ModelSpec
from tests.tiny import tiny_recipe, write_set


@pytest.mark.parametrize("workers", [0, 2])
def test_shares_of_the_time_sum_to_one(workers: int, tmp_path: Path) -> None:
    manifest = write_set(tmp_path, per_class=1, val_per_class=1)
    speed = bench_data(
        read_manifest(manifest),
        tiny_recipe(manifest).train,
        num_clips=12,
        batch_size=4,
        workers=workers,
    )
    assert (speed.clips, speed.unreadable) == (12, 0)
    assert speed.decode_share + speed.resize_share + speed.collate_share == pytest.approx(1)
    assert speed.decode_share > speed.collate_share > 0
    assert speed.clips_per_second_per_core == speed.clips_per_second / max(1, workers)


def test_clips_that_cannot_be_read_are_counted_apart(tmp_path: Path) -> None:
    manifest = write_set(tmp_path, per_class=1, val_per_class=0)
    for path in tmp_path.glob("*.mp4"):
        path.write_bytes(b"text")
    speed = bench_data(
        read_manifest(manifest),
        tiny_recipe(manifest).train,
        num_clips=8,
        batch_size=4,
        workers=0,
    )
    assert (speed.clips, speed.unreadable, speed.clips_per_second) == (0, 8, 0)


def test_the_model_is_timed_and_weighed() -> None:
    spec = ModelSpec(ResNetSpec(18), num_segments=2, heads=(Head("label", 10),))
    speed = bench_model(spec, size=32, batch_size=2, repeats=2)
    assert speed.parameters == 11_689_512 - 513_000 + 5_130
    assert speed.gmacs == pytest.approx(2 * 1.814 * (32 / 224) ** 2, rel=0.05)
    assert speed.clips_per_second == 2 / speed.median_seconds
    assert speed.peak_memory_bytes > 4 * speed.parameters
