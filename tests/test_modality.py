"""What follows from the modality of a model: channels, samples, normalisation and mirror images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.engine.export.export import WantedFile, export_file
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.engine.inference.looking import look_at
from marey.engine.inference.predict import load
from marey.engine.live.recogniser import live_recogniser
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import save_checkpoint
from marey.errors import DecodeError, RecipeError, RunError
from marey.modality import STACKS, modality_of
from marey.models.encoders import bninception
from marey.models.encoders.resnet import ResNetSpec
from marey.models.imagenet import adapt_torchvision
from marey.models.optim_groups import tsm_groups
from marey.models.temporal.tsm import TSM
from marey.models.video_model import Head, ModelSpec
from marey.recipes.catalog import find
from marey.recipes.compatible import check_pictures
from marey.recipes.recipe import DataSpec, Recipe
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.recipes.short_names import spelled_out
from marey.recipes.testing import for_test
from marey.video.augment import Augment, augment, normalize
from marey.video.crops import CenterCrop, Mirrored, MultiScaleCrop, TenCrop
from marey.video.mirror import mirrored
from marey.video.reading.in_memory import FramesInMemory
from marey.video.reading.reader import open_video
from marey.video.reading.samples import samples_of
from tests.flow_pairs import write_pairs
from tests.tiny import tiny_recipe, write_set

SMALL = ResNetSpec(18, channels=16)


def pictures(num: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (num, 3, 6, 8), np.uint8))


def as_a(recipe: Recipe, modality: str) -> Recipe:
    return override(recipe, spelled_out(recipe, [f"modality={modality}"]))


@pytest.mark.parametrize(("modality", "channels"), [("rgb", 3), ("flow", 10), ("rgbdiff", 15)])
def test_one_word_changes_all_that_follows_from_it(modality: str, channels: int) -> None:
    row = find("tsm-r50-8f-k400")
    changed = as_a(row, modality)
    stack = STACKS[modality]  # type: ignore[index]
    assert changed.model.clip_shape(224) == (8, channels, 224, 224)
    assert (changed.augment.mean, changed.augment.std) == (stack.mean, stack.std)
    assert changed.train.sampling == row.train.sampling
    assert from_yaml(Recipe, to_yaml(changed)) == changed
    assert as_a(changed, "rgb") == row


def test_it_is_normalised_as_the_network_is_published() -> None:
    """BN-Inception's weights are Caffe's, whose pixels TSN divides by nothing."""
    row = find("tsn-inception-v1-8f-mini-ssv2")
    assert as_a(row, "rgb") == row  # of means of its own
    assert as_a(as_a(row, "rgbdiff"), "rgb") == row
    assert as_a(row, "flow").augment.std == (0.5,)
    caffe = override(find("tsn-r50-8f-k400"), ["model.encoder=BNInceptionSpec"])
    for modality, mean, order in (("flow", 128 / 255, "rgb"), ("rgbdiff", 0.0, "bgr")):
        plan = as_a(caffe, modality).augment
        assert (plan.mean, plan.std, plan.channel_order) == ((mean,), (1 / 255,), order)
        back = as_a(as_a(caffe, modality), "rgb").augment
        assert (back.mean, back.channel_order) == (bninception.MEAN, "bgr")


def test_parts_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="modality is flow, of 10 channels.*takes 3. hint: "):
        ModelSpec(SMALL, modality="flow")
    row = find("tsm-r50-8f-k400")
    with pytest.raises(RecipeError, match=r"augment.mean is .*pictures.*modality is rgbdiff.*hint"):
        override(row, ["model.modality=rgbdiff", "model.encoder.in_channels=15"])
    with pytest.raises(RecipeError, match="augment has contrast, of pictures.*flow"):
        override(as_a(row, "flow"), ["augment.contrast=0.2"])
    with pytest.raises(RecipeError, match="flow has no colours"):
        override(as_a(row, "flow"), ["augment.channel_order=bgr"])
    with pytest.raises(RecipeError, match="modality is depth, expected rgb or flow or rgbdiff"):
        as_a(row, "depth")
    with pytest.raises(RecipeError, match="changes the model, which is trained already"):
        for_test(row, overrides=["modality=flow"])


def test_samples_differ_in_their_channels() -> None:
    assert [modality_of(stack.read) for stack in STACKS.values()] == list(STACKS)


@given(st.integers(2, 20), st.integers(0, 9))
def test_a_sample_of_differences_is_six_pictures_and_their_five_differences(
    n: int, seed: int
) -> None:
    frames = pictures(n, seed)
    samples = samples_of(FramesInMemory(frames), "rgbdiff")
    assert len(samples) == max(1, n - 5)
    at = len(samples) - 1
    follow = frames[(at + torch.arange(6)).clamp(max=n - 1)]
    sample = samples.read([at])
    assert torch.equal(sample[0], follow.reshape(18, 6, 8))
    expected = (follow[1:].float() - follow[:-1].float()) / 255
    assert torch.allclose(normalize(sample, [0.0], [1.0])[0], expected.reshape(15, 6, 8), atol=1e-6)


def test_samples_come_in_the_order_asked_for() -> None:
    samples = samples_of(FramesInMemory(pictures(12)), "rgbdiff")
    asked = [3, 0, 6, 3]
    alone = torch.cat([samples.read([index]) for index in asked])
    assert torch.equal(samples.read(asked), alone)
    shown = np.stack(list(samples.pictures(asked)))
    assert torch.equal(torch.from_numpy(shown).permute(0, 3, 1, 2), alone)


def test_one_picture_has_no_motion() -> None:
    with pytest.raises(DecodeError, match="a single picture, which has no motion"):
        samples_of(FramesInMemory(pictures(1)), "rgbdiff")


def test_pictures_of_a_sample_are_changed_alike_before_they_are_compared() -> None:
    clip = pictures(24).reshape(1, 4, 18, 6, 8)
    plan = Augment(flip="plain", brightness=0.4, contrast=0.4, saturation=0.4, mean=(0,), std=(1,))
    seeds = np.array([3])
    changed, _ = augment(clip, {}, plan, seeds)
    one_by_one = clip.reshape(1, 24, 3, 6, 8)
    of_pictures, _ = augment(one_by_one, {}, replace(plan, mean=(0.0,)), seeds)
    six = of_pictures.reshape(1, 4, 6, 3, 6, 8)
    assert torch.allclose(changed, (six[:, :, 1:] - six[:, :, :-1]).flatten(2, 3), atol=1e-6)


def test_red_and_blue_change_places_in_every_picture_of_a_sample() -> None:
    sample = pictures(6).reshape(1, 18, 6, 8)
    other = sample.reshape(6, 3, 6, 8).flip(1).reshape(1, 18, 6, 8)
    bgr = normalize(sample, [0.0], [1.0], channel_order="bgr")
    assert torch.equal(bgr, normalize(other, [0.0], [1.0]))


def test_the_mirror_image_of_flow_has_x_inverted_and_that_of_pictures_has_not() -> None:
    flow = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 10, 6, 8), np.uint8))
    image = mirrored(flow)
    assert torch.equal(image[:, 0::2], 255 - flow[:, 0::2].flip(-1))
    assert torch.equal(image[:, 1::2], flow[:, 1::2].flip(-1))
    assert torch.equal(mirrored(image), flow)
    for other in (pictures(4), pictures(24).reshape(4, 18, 6, 8)):
        assert torch.equal(mirrored(other), other.flip(-1))


def test_crops_and_training_mirror_flow_as_the_rule_says() -> None:
    flow = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 10, 6, 6), np.uint8))
    plain = CenterCrop(6, resize=None)
    assert torch.equal(Mirrored(plain)(flow), mirrored(plain(flow)))
    ten = TenCrop(4, resize=None)(flow)
    assert torch.equal(ten[1::2], mirrored(ten[0::2]))
    plan = Augment(flip="plain", mean=(0.5,), std=(0.226,))
    image = normalize(mirrored(flow), [0.5], [0.226])
    seen = [augment(flow[None], {}, plan, np.array([seed]))[0][0] for seed in range(8)]
    assert {torch.equal(clip, image) for clip in seen} == {True, False}


@pytest.mark.parametrize(("modality", "rate"), [("rgb", 1), ("flow", 5), ("rgbdiff", 1)])
def test_the_first_convolution_starts_from_the_mean_over_rgb(modality: str, rate: int) -> None:
    stack = STACKS[modality]  # type: ignore[index]
    heads = (Head("label", 2),)
    of_pictures = ModelSpec(SMALL, (TSM(),), heads=heads).build().encoder.state_dict()
    encoder = replace(SMALL, in_channels=stack.channels)
    model = ModelSpec(encoder, (TSM(),), heads=heads, modality=modality).build()  # type: ignore[arg-type]
    adapted = adapt_torchvision(of_pictures, model.encoder)
    first, before = adapted["conv1.weight"], of_pictures["conv1.weight"]
    mean = before.mean(1, keepdim=True).expand_as(first)
    assert torch.equal(first, before if modality == "rgb" else mean)
    groups = {group.name: group.lr_mult for group in tsm_groups(model, head_lr5=False)}
    assert groups["first_conv_weight"] == rate


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model of differences, killed in its first epoch and resumed."""
    folder = tmp_path_factory.mktemp("differences")
    small = tiny_recipe(write_set(folder / "clips", per_class=2, val_per_class=1))
    model = replace(small.model, encoder=SMALL, temporal=(TSM(shift_div=4),))
    recipe = as_a(replace(small, model=model, amp=False), "rgbdiff")

    def save_and_die(path: Path, state: dict[str, Any]) -> None:
        save_checkpoint(path, state)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("marey.engine.train.loop.save_checkpoint", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, folder / "run", save_steps=1, quiet=True)
    train(recipe, folder / "run", resume=folder / "run" / "checkpoints" / "last.pt", quiet=True)
    train(recipe, folder / "whole", quiet=True)
    return folder / "run"


def test_a_run_of_differences_resumes_to_the_same_bits(run: Path) -> None:
    resumed, whole = (load(run.parent / name).trained.model for name in ("run", "whole"))
    assert resumed.spec.modality == "rgbdiff"
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_model_of_differences_says_of_a_file_what_it_says_in_evaluation(run: Path) -> None:
    evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
    table = pq.read_table(next((run / "results").rglob("predictions.parquet")))
    clip = run.parent / "clips" / "red_2.mp4"
    predictor = load(run)
    answers = predictor.predict(clip, top=4, all_scores=False)
    with open_video(clip) as video:
        frames = video.read(range(len(video)))
    assert predictor.predict(frames, top=4) == answers
    assert len(table) == 4


def test_a_model_of_features_of_differences_takes_videos(run: Path, tmp_path: Path) -> None:
    file, clips = tmp_path / "features.arrow", run.parent / "clips"
    options = FeatureOptions(source=str(run), manifest=clips / "manifest.csv", out=file, workers=0)
    assert extract_features(options) is not None
    of_features = replace(find("features-linear"), data=DataSpec(train=str(file)), amp=False)
    learned = load(train(override(of_features, ["stages.0.epochs=1"]), tmp_path / "run"))
    assert learned.trained.model.spec.modality == "rgbdiff"
    assert learned.predict(clips / "red_2.mp4", top=1)


def test_a_model_of_differences_is_exported(run: Path, tmp_path: Path) -> None:
    export_file(run, tmp_path / "made", WantedFile(to="pt2"))
    clip = run.parent / "clips" / "red_2.mp4"
    theirs = load(tmp_path / "made", trusted=True).predict(clip, top=4)
    ours = load(run).predict(clip, top=4)
    assert [a["label"] for a in theirs] == [a["label"] for a in ours]  # type: ignore[index]


def test_doors_that_show_pictures_one_by_one_refuse_it_by_name(run: Path) -> None:
    predictor = load(run)
    with pytest.raises(RunError, match="a stream shows pictures one by one.*differences.*hint"):
        live_recogniser(predictor)
    with pytest.raises(RunError, match="differences of pictures, on which no places are shown"):
        look_at(predictor, pictures(2))


def test_flow_of_pairs_of_pictures_trains_evaluates_and_predicts(tmp_path: Path) -> None:
    """Without OpenCV: two classes, of motion to the left and to the right."""
    lines = ["path,label,split"]
    for number in range(6):
        label = number % 2
        fields = np.full((7, 32, 32, 2), 128, np.uint8)
        fields[..., 0] = 90 if label else 166
        write_pairs(tmp_path / f"{number}", fields)
        lines.append(f"{number},{label},{'train' if number < 4 else 'val'}")
    (tmp_path / "labels.txt").write_text("right\nleft\n")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    small = tiny_recipe(tmp_path / "m.csv", epochs=1)
    recipe = as_a(replace(small, model=replace(small.model, encoder=SMALL), amp=False), "flow")
    run = train(override(recipe, ["augment.flip=none"]), tmp_path / "run", quiet=True)
    evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
    answers = load(run).predict(tmp_path / "4")
    assert {answer["label"] for answer in answers} == {"right", "left"}  # type: ignore[index]
    with pytest.raises(RunError, match="the server shows pictures one by one.*optical flow"):
        check_pictures(load(run).trained.model.spec, "the server")


def test_the_published_row_of_flow_is_upstreams() -> None:
    row = find("tsm-r50-flow-8f-k400")
    assert (row.model.modality, row.model.encoder.in_channels) == ("flow", 10)
    assert (row.augment.flip, row.augment.mean, row.augment.std) == ("plain", (0.5,), (0.226,))
    assert isinstance(row.train.crop, MultiScaleCrop)
    assert row.train.crop.scales == (1.0, 0.875, 0.75)
