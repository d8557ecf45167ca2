"""Every published row has a protocol, and a protocol has the frames of the code it is named for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from marey.errors import RecipeError
from marey.recipes.catalog import rows
from marey.recipes.describe import facts
from marey.recipes.protocols import PROTOCOLS, compatible_views, protocol, protocol_of
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.video.crops import CenterCrop, ThreeCrop
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.motionformer import TimedClips
from marey.video.sampling.repeated_draws import Drawn
from marey.video.sampling.resampled import ResampledClips
from marey.video.sampling.segments import Sampling, Segments

TSM, TDN = rows()["tsm-r50-8f-ssv1"], rows()["tdn-r50-8f-ssv1"]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("tsm-r50-8f-k400", "tsm-1x1"),
        ("tsm-r50-8f-k400-dense", "tsm-dense-10x3"),
        ("tsm-r50-8f-ssv2", "tsm-2x3"),
        ("gc-tsn-r50-8f-ssv1", "gc-2x1"),
        ("gc-tsm-r50-16f-k400", "gc-dense-10x1"),
        ("gc-tsm-r50-16f-k400-3crop", "tsm-dense-10x3"),
        ("gc-gst-r50-16f-diving48", "gc-1x1"),
        ("gc-tdn-r50-8f-ssv1", "tdn-1x1"),
        ("gc-tdn-r50-16f-diving48", "tdn-1x1"),
        ("gc-tdn-r50-8f-k400", "tdn-10x3"),
        ("gst-r50-8f-ssv1", "tsm-1x1"),
        ("tdn-r50-8f-ssv1", "tdn-1x1"),
        ("tdn-r101-16f-k400", "tdn-10x3"),
        ("blvnet-tam-50-a2-b4-f8x2-ssv2", "blvnet-1x1-upstream"),
        ("blvnet-tam-50-a2-b4-f8x2-k400", "blvnet-dense-3x3"),
        ("tam-r50-16f-mini-k400", "arp-1x1-upstream"),
        ("tam-r50-32f-k400", "arp-dense-10x3"),
        ("i3d-r50-32f-ssv2", "arp-2x3-upstream"),
        ("r2plus1d-r18-16f-k400", "torchvision-5x1"),
        ("s3d-64f-k400", "torchvision-1x1"),
        ("motionformer-hr-16f-k400", "motionformer-10x3"),
        ("motionformer-16f-ssv2", "motionformer-1x3"),
        ("motionformer-l-32f-epic100", "motionformer-epic-10x3"),
        ("videolt-bce-r101", "videolt-150"),
    ],
)
def test_a_row_names_the_protocol_of_its_number(row: str, name: str) -> None:
    assert protocol_of(rows()[row]) == name
    assert facts(rows()[row])["protocol"] == name


def test_no_published_row_is_without_a_protocol() -> None:
    assert not [row.name for row in rows().values() if row.claim and not protocol_of(row)]


def test_names_are_unique_and_so_are_the_views_they_mean() -> None:
    assert len({one.name for one in PROTOCOLS}) == len(PROTOCOLS)
    for row in (TSM, TDN, rows()["motionformer-16f-k400"]):
        views = [
            views for name, views in compatible_views(row).items() if not name.startswith("tdn-1x1")
        ]
        assert len(views) == len(set(views))


def test_a_name_is_never_that_of_other_views() -> None:
    changed = override(TSM, ["test.crop.size=224"])
    assert protocol_of(changed) == "tsm-2x3-224"
    assert protocol_of(override(TSM, ["test.average=probs"])) == ""


@pytest.mark.parametrize("one", PROTOCOLS, ids=lambda one: one.name)
def test_views_by_a_protocol_survive_yaml(one: Any) -> None:
    row = rows()["videolt-bce-r50"] if one.of_features else TDN if "tdn" in one.name else TSM
    recipe = one.applied(row)
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    assert protocol_of(recipe) == one.name


def test_sizes_follow_training() -> None:
    assert protocol("tsm-1x1").views(rows()["tsm-r18"]).crop == CenterCrop(112, 128)
    assert protocol("tsm-2x3").views(rows()["tsm-r18"]).crop == ThreeCrop(128, 128)
    assert protocol("motionformer-1x3").views(rows()["motionformer-hr-16f-k400"]).crop.size == 336


def test_consecutive_frames_follow_training() -> None:
    assert protocol("gc-2x1").views(TDN).sampling == Segments(8, 5, clips=2)
    assert protocol("tdn-10x3").views(TDN).sampling == Uniform(8, 5, clips=10)
    pairs = rows()["blvnet-tam-50-a2-b4-f8x2-ssv1"]
    assert protocol("tsm-1x1").views(pairs).sampling == Segments(16)


def test_clips_last_as_long_as_in_training() -> None:
    row = rows()["motionformer-hr-16f-k400"]
    for name, fps in (("motionformer-10x3", 30), ("motionformer-epic-10x3", 60)):
        sampling = protocol(name).views(row).sampling
        assert isinstance(sampling, TimedClips)
        assert (sampling.stride / sampling.fps, sampling.fps) == (8 / 30, fps)


@pytest.mark.parametrize(
    ("row", "name", "message"),
    [
        ("tdn-r50-8f-ssv1", "tsm-dense-10x3", "takes 5 consecutive frames a segment"),
        ("tsm-r50-8f-ssv1", "tdn-1x1", "takes one frame a segment.*hint: tsm-1x1"),
        ("tsm-r50-8f-ssv1", "videolt-150", "takes videos, videolt-150 has views of features"),
        ("features-linear", "tsm-1x1", "takes features, tsm-1x1 has views of videos"),
    ],
)
def test_a_protocol_that_does_not_fit_says_why(row: str, name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"protocol {name} does not fit '{row}': .*{message}"):
        protocol(name).applied(rows()[row])
    assert name not in compatible_views(rows()[row])


def test_an_unknown_protocol_has_a_nearest_one() -> None:
    with pytest.raises(RecipeError, match=r"no protocol 'tsm-3x2'.*did you mean 'tsm-2x3'\?"):
        protocol("tsm-3x2")


# --- the frames of the published code; stored numbers are 1-based ------------------------------


def taken(name: str, t: int, row: Recipe = TSM, length: int = 1, **trained: Any) -> Sampling:
    """What a protocol takes of a video for a model of `t` segments."""
    train = Views(trained.get("sampling", Segments(t, length)), row.train.crop)
    model = replace(row.model, num_segments=t)
    shaped = replace(row, model=model, train=train, test=TestViews(train.sampling))
    return protocol(name).views(shaped).sampling


@pytest.mark.parametrize(
    ("mode", "name", "row", "length"),
    [
        ("tsn_test_uniform_L1", "tsm-1x1-upstream", TSM, 1),
        ("tsn_test_twice_L1", "tsm-2x3-upstream", TSM, 1),
        ("dense_test_L1", "tsm-dense-10x3-upstream", TSM, 1),
        ("tdn_test_L5", "tdn-1x1-upstream", TDN, 5),
    ],
)
def test_tsm_and_tdn_are_tested_on_the_published_frames(
    mode: str, name: str, row: Recipe, length: int, goldens_dir: Path
) -> None:
    stored = json.loads((goldens_dir / "gc" / "sampling.json").read_text())["modes"][mode]
    for t, by_length in stored.items():
        sampling = taken(name, int(t), row, length)
        for n, expected in by_length.items():
            first = sampling.indices(int(n)).reshape(-1, length)[:, 0] + 1
            assert first.tolist() == np.clip(expected, 1, int(n)).tolist(), (t, n)


def test_blvnet_and_arp_are_tested_on_the_published_frames(goldens_dir: Path) -> None:
    stored = json.loads((goldens_dir / "blvnet" / "sampling.json").read_text())
    uniform = {1: "blvnet-1x1-upstream", 2: "arp-2x3-upstream"}
    dense = {3: "blvnet-dense-3x3-upstream", 10: "arp-dense-10x3-upstream"}
    compared = set()
    for case, name, t in of_cases(stored, uniform, dense):
        compared.add(name)
        for n, expected in case["rows"]:
            assert (taken(name, t).indices(n) + 1).ravel().tolist() == expected, (case, n)
    assert compared == {*uniform.values(), *dense.values()}


def of_cases(
    stored: dict[str, Any], uniform: dict[int, str], dense: dict[int, str]
) -> Iterator[tuple[dict[str, Any], str, int]]:
    """The stored cases that are protocols: (case, name, frames)."""
    for case in stored["val_uniform_fixed"]:
        if case["num_clips"] in uniform:
            yield case, uniform[case["num_clips"]], case["groups"]
    for case in stored["val_dense_fixed"]:
        if case["num_clips"] in dense and case["stride"] == 2:
            yield case, dense[case["num_clips"]], case["num_frames_sampled"]


def test_motionformer_is_tested_on_the_published_frames(goldens_dir: Path) -> None:
    stored = json.loads((goldens_dir / "lmr" / "sampling.json").read_text())
    for case in stored["ssv2_eval"]:
        sampling = taken("motionformer-1x3-upstream", case["num_frames"])
        assert sampling.indices(case["video_length"]).tolist() == [case["index"]]
    for case in stored["epic_test"]:
        clips = TimedClips(case["NUM_FRAMES"], case["SAMPLING_RATE"], case["TARGET_FPS"])
        name, row = "motionformer-epic-10x3-upstream", rows()["motionformer-16f-epic100"]
        sampling = taken(name, case["NUM_FRAMES"], row, sampling=clips)
        assert isinstance(sampling, TimedClips)
        frames = sampling.at(case["fps_used"]).indices(case["num_frames_segment"])
        for clip in case["clips"]:
            wanted = np.array(clip["frames"]) - case["start_frame"] - 1
            assert frames[clip["clip"]].tolist() == wanted.tolist()


@pytest.mark.parametrize("fps", [15, 24, 25, 29.97, 30, 50, 60])
@pytest.mark.parametrize("num_clips", [1, 5])
def test_torchvisions_networks_are_tested_on_its_frames(num_clips: int, fps: float) -> None:
    """Its rule in torch: the video at 15 frames a second, and windows of it, evenly spread."""
    row = rows()["r2plus1d-r18-16f-k400"]
    sampling = taken(f"torchvision-{num_clips}x1-upstream", 16, row, sampling=row.train.sampling)
    assert isinstance(sampling, ResampledClips)
    step = fps / 15
    for n in range(80, 320):
        frames = torch.arange(n)
        if step.is_integer():
            frames = frames[:: int(step)]
        else:
            there = torch.arange(math.floor(n * (15.0 / fps)), dtype=torch.float32) * step
            frames = frames[there.floor().long()]
        windows = frames.unfold(0, 16, 1)
        chosen = torch.linspace(0, len(windows) - 1, num_clips).floor().long()
        assert sampling.at(fps).indices(n).tolist() == windows[chosen].tolist(), (n, fps)


def test_torchvisions_pictures_are_stretched() -> None:
    rgb = torch.arange(4 * 3 * 240 * 320).remainder(251).to(torch.uint8).view(4, 3, 240, 320)
    for row, height, width, left in (
        ("r2plus1d-r18-16f-k400", 128, 171, 30),
        ("s3d-64f-k400", 256, 256, 16),
    ):
        crop = rows()[row].test.crop
        top, size = (height - crop.size) // 2, crop.size
        scaled = torch.nn.functional.interpolate(rgb.float(), (height, width), mode="bilinear")
        wanted = scaled[..., top : top + size, left : left + size]
        assert (crop(rgb)[0] - wanted).abs().max() <= 1


# --- drawn clips -----------------------------------------------------------------------------


def test_drawn_clips_are_training_draws_and_the_same_in_every_test() -> None:
    rule = Segments(8, 5, variant="upstream")
    frames = Drawn(rule, clips=10).indices(100)
    assert frames.shape == (10, 40)
    assert len(np.unique(frames, axis=0)) == 10
    np.testing.assert_array_equal(frames, Drawn(rule, clips=10).indices(100))
    np.testing.assert_array_equal(frames[3:4], rule.indices(100, np.random.default_rng((0, 3))))
    again, same = (np.random.default_rng(5) for _ in range(2))
    np.testing.assert_array_equal(Drawn(rule).indices(100, again), rule.indices(100, same))


def test_drawn_clips_follow_the_rate_of_the_video() -> None:
    drawn = Drawn(TimedClips(4, 2.0, fps=30), clips=2)
    assert drawn.at(60) == Drawn(TimedClips(4, 4.0, fps=60), clips=2)
    assert Drawn(Segments(4)).at(60) == Drawn(Segments(4))


def test_less_than_one_drawn_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="clips is 0, expected at least 1"):
        Drawn(clips=0)
    with pytest.raises(ValueError, match="seed is -1, expected at least 0"):
        Drawn(seed=-1)
