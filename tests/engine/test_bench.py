from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from marey.data.manifest.read import read_manifest
from marey.engine.bench import end2end
from marey.engine.bench.data import bench_data
from marey.engine.bench.end2end import bench_end_to_end
from marey.engine.bench.model import Amp, Form, bench_model, bench_training
from marey.engine.bench.stream import bench_stream
from marey.engine.inference.scoring import score_views
from marey.engine.runtimes.scorer import Scorer
from marey.models.encoders.resnet import ResNetSpec
from marey.models.temporal.tsm import TSM
from marey.models.video_model import Head, ModelSpec
from marey.types import Scores
from tests.tiny import TinySpec, tiny_recipe, write_set


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


SPEC = ModelSpec(ResNetSpec(18), num_segments=2, heads=(Head("label", 10),))


@pytest.mark.parametrize("form", ["fused", "plain"])
def test_the_model_is_timed_and_weighed(form: Form) -> None:
    speed = bench_model(SPEC, size=32, batch_size=2, repeats=2, form=form)
    assert speed.parameters == 11_689_512 - 513_000 + 5_130
    assert speed.gmacs == pytest.approx(2 * 1.814 * (32 / 224) ** 2, rel=0.05)
    assert speed.clips_per_second == 2 / speed.median_seconds
    assert speed.form == form
    assert speed.peak_memory_bytes > 4 * speed.parameters
    assert 0 < speed.peak_share < 2


@pytest.mark.parametrize(
    ("amp", "taken"), [(True, {True}), (False, {False}), ("auto", {True, False})]
)
def test_what_it_computes_in_is_chosen_or_the_faster(amp: Amp, taken: set[bool]) -> None:
    # tiny: without instructions for bfloat16 a step of ResNet-18 in it takes a minute
    spec = ModelSpec(TinySpec(), num_segments=2, heads=(Head("label", 10),))
    for measure in (bench_model, bench_training):
        assert measure(spec, size=32, batch_size=2, repeats=1, amp=amp).amp in taken


def test_a_step_of_training_is_timed_as_three_passes() -> None:
    speed = bench_training(SPEC, size=32, batch_size=2, repeats=1)
    assert speed.clips_per_second == 2 / speed.median_seconds
    assert speed.gmacs == pytest.approx(2 * 1.814 * (32 / 224) ** 2, rel=0.05)
    assert 0 < speed.peak_share < 2


def test_a_frame_of_a_stream_is_a_part_of_a_clip() -> None:
    past = replace(SPEC, temporal=(TSM(direction="past"),))
    speed = bench_stream(past, size=32, repeats=5)
    assert speed.frames == 2
    assert speed.slow_seconds >= speed.median_seconds
    assert speed.frames_per_second == pytest.approx(1 / speed.median_seconds)
    assert speed.share_of_clip == speed.cpu_seconds / speed.clip_cpu_seconds


def test_a_model_that_looks_ahead_has_no_stream() -> None:
    with pytest.raises(ValueError, match="expected \\(TSM"):
        bench_stream(replace(SPEC, temporal=(TSM(),)), size=32)


@pytest.mark.parametrize("workers", [0, 2])
def test_clips_are_counted_from_files_to_scores(workers: int, tmp_path: Path) -> None:
    manifest = write_set(tmp_path, per_class=1, val_per_class=1)
    recipe = replace(tiny_recipe(manifest), amp=True)
    speed = bench_end_to_end(
        read_manifest(manifest), recipe, num_clips=6, batch_size=2, workers=workers
    )
    assert (speed.clips, speed.unreadable) == (6, 0)
    assert 0 <= speed.waiting_share <= 1
    assert (speed.form, speed.amp) == ("fused", True)


@pytest.mark.parametrize("form", ["fused", "plain"])
def test_what_scores_end_to_end_is_the_form_that_is_said(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_set(tmp_path, per_class=1, val_per_class=1)
    scorers: list[Scorer] = []

    def noting(scorer: Scorer, *args: Any, **options: Any) -> Scores:
        scorers.append(scorer)
        return score_views(scorer, *args, **options)

    monkeypatch.setattr(end2end, "score_views", noting)
    recipe = replace(tiny_recipe(manifest), model=replace(SPEC, heads=(Head("label", 4),)))
    speed = end2end.bench_end_to_end(
        read_manifest(manifest), recipe, num_clips=1, workers=0, form=form
    )
    norms = [m for m in scorers[0].modules() if isinstance(m, nn.BatchNorm2d)]  # type: ignore[attr-defined]
    assert speed.form == form
    assert bool(norms) == (form == "plain")
