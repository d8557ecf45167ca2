"""Augmentation: what is drawn from a seed, and labels that follow the pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from marey.types import Labels
from marey.video.augment import IMAGENET_MEAN, IMAGENET_STD, Augment, augment, flip_pairs, normalize

PLAIN = Augment(mean=(0.0,), std=(1.0,))
EVERYTHING = Augment(
    flip="swap",
    flip_pairs=((0, 1),),
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    erase=0.5,
)
SEEDS = np.arange(16, dtype=np.int64)


def clips(count: int = 16, frames: int = 2, size: int = 12) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, frames, 3, size, size), np.uint8))


def label(count: int = 16, classes: int = 4) -> Labels:
    return {"label": torch.arange(count) % classes}


def pixels(plan: Augment, clip: Tensor, seeds: np.ndarray = SEEDS) -> Tensor:
    """The changed clips, back in 0..255."""
    return augment(clip, label(len(clip)), replace(plan, mean=(0.0,), std=(1.0,)), seeds)[0] * 255


# --- normalising -----------------------------------------------------------------------------


def test_normalising_is_the_textbook_formula() -> None:
    clip = clips()
    mean, std = (torch.tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(normalize(clip), (clip / 255 - mean) / std, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (2, 1, 5, 3, 4, 4)])
def test_leading_axes_are_free(shape: tuple[int, ...]) -> None:
    assert normalize(torch.zeros(shape, dtype=torch.uint8)).shape == shape


def test_mean_and_std_repeat_over_stacked_channels() -> None:
    flow = torch.full((1, 10, 2, 2), 128, dtype=torch.uint8)
    assert torch.allclose(normalize(flow, [0.5], [0.226]), torch.tensor((128 / 255 - 0.5) / 0.226))
    rgb = clips(1)[0, :1]
    stacked = normalize(torch.cat([rgb, rgb], dim=1))
    assert torch.equal(stacked, normalize(rgb).repeat(1, 2, 1, 1))


def test_channels_of_a_bgr_model_are_reversed_and_mean_and_std_are_those_of_the_model() -> None:
    red = torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8)
    red[:, :, 0] = 255
    plan = Augment(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), channel_order="bgr", saturation=0.5)
    jittered, _ = augment(red, label(1), replace(plan, saturation=0.0), SEEDS[:1])
    plain = normalize(red, plan.mean, plan.std, channel_order="bgr")
    assert torch.equal(jittered, plain)
    torch.testing.assert_close(plain[0, 0, :, 0, 0], torch.tensor([-0.1, -0.2, 0.7]))
    saturated, _ = augment(red, label(1), plan, SEEDS[:1])  # with the grey of red, not of blue
    rgb, _ = augment(
        red, label(1), replace(plan, channel_order="rgb", mean=(0.0,), std=(1.0,)), SEEDS[:1]
    )
    means = torch.tensor(plan.mean)[:, None, None]
    torch.testing.assert_close(saturated, rgb.flip(2) - means)
    with pytest.raises(ValueError, match="channel_order is 'bgr', the clip has 10 channels"):
        normalize(torch.zeros(1, 10, 2, 2, dtype=torch.uint8), [0.5], [1.0], channel_order="bgr")


def test_low_precision_is_rounded_once_and_last() -> None:
    clip = clips()
    assert torch.equal(normalize(clip, dtype=torch.bfloat16), normalize(clip).to(torch.bfloat16))
    assert augment(clip, label(), PLAIN, SEEDS, dtype=torch.bfloat16)[0].dtype == torch.bfloat16


def test_the_default_plan_only_normalises() -> None:
    out, labels = augment(clips(), label(), Augment(), SEEDS)
    assert torch.equal(out, normalize(clips()))
    assert torch.equal(labels["label"], label()["label"])


# --- draws -----------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seeds=st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=6), data=st.data())
def test_a_clip_is_the_same_in_any_batch(seeds: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(seeds))))
    some = order[: data.draw(st.integers(1, len(seeds)))]
    clip, labels, all_seeds = clips(len(seeds)), label(len(seeds)), np.array(seeds, dtype=np.int64)
    whole, whole_labels = augment(clip, labels, EVERYTHING, all_seeds)
    part, part_labels = augment(
        clip[some], {"label": labels["label"][some]}, EVERYTHING, all_seeds[some]
    )
    assert torch.equal(whole[some], part)
    assert torch.equal(whole_labels["label"][some], part_labels["label"])


def test_turning_one_change_on_leaves_the_others_as_they_were() -> None:
    clip = clips()
    flipped = pixels(Augment(flip="plain"), clip)
    both = pixels(Augment(flip="plain", erase=1.0), clip)
    kept = both != 0
    assert torch.equal(flipped[kept], both[kept])
    mixed = augment(
        clip, label(), Augment(flip="plain", mixup=1e6), SEEDS, num_classes={"label": 4}
    )[0]
    flipped = augment(clip, label(), Augment(flip="plain"), SEEDS)[0]
    torch.testing.assert_close(mixed, (flipped + flipped.roll(-1, 0)) / 2, atol=0.02, rtol=0)


def test_the_clip_and_labels_given_stay_as_they_are() -> None:
    clip, labels = clips(), label()
    augment(clip, labels, replace(EVERYTHING, mixup=0.2), SEEDS, num_classes={"label": 4})
    assert torch.equal(clip, clips())
    assert torch.equal(labels["label"], label()["label"])


@pytest.mark.parametrize(
    "plan",
    [
        Augment(flip="plain"),
        Augment(brightness=0.4),
        Augment(contrast=0.4),
        Augment(saturation=0.4),
        Augment(erase=1.0),
        EVERYTHING,
    ],
)
def test_the_frames_of_a_clip_change_alike(plan: Augment) -> None:
    clip = clips()[:, :1].expand(-1, 3, -1, -1, -1)
    out, _ = augment(clip, label(), plan, SEEDS)
    assert (out == out[:, :1]).all()
    assert not torch.equal(out, normalize(clip))


# --- flipping --------------------------------------------------------------------------------


def test_half_of_the_clips_are_mirrored() -> None:
    clip = clips(1).expand(400, -1, -1, -1, -1)
    out = pixels(Augment(flip="plain"), clip, np.arange(400)).round().to(torch.uint8)
    mirrored = (out == clip.flip(-1)).flatten(1).all(1)
    assert ((out == clip).flatten(1).all(1) ^ mirrored).all()
    assert 160 < mirrored.sum() < 240


def test_labels_are_swapped_exactly_where_clips_are_mirrored() -> None:
    clip, labels = clips(64), {"label": torch.arange(64) % 5, "noun": torch.arange(64)}
    plan = replace(PLAIN, flip="swap", flip_pairs=((0, 1), (2, 4)))
    out, swapped = augment(clip, labels, plan, np.arange(64))
    mirrored = ((out * 255).round() == clip.flip(-1)).flatten(1).all(1)
    partner = torch.tensor([1, 0, 4, 3, 2])
    expected = torch.where(mirrored, partner[labels["label"]], labels["label"])
    assert 0 < mirrored.sum() < 64
    assert torch.equal(swapped["label"], expected)
    assert torch.equal(swapped["noun"], labels["noun"])


def test_a_plain_flip_keeps_the_labels() -> None:
    plan = Augment(flip="plain", flip_pairs=((0, 1),))
    assert torch.equal(augment(clips(), label(), plan, SEEDS)[1]["label"], label()["label"])


def test_swapping_without_pairs_is_refused_and_without_any_pair_is_not() -> None:
    with pytest.raises(ValueError, match=r"without flip_pairs. hint: flip_pairs\(class_names\)"):
        augment(clips(), label(), Augment(flip="swap"), SEEDS)
    augment(clips(), label(), Augment(flip="swap", flip_pairs=()), SEEDS)


def test_swapping_labels_of_an_unknown_head_is_refused() -> None:
    plan = Augment(flip="swap", flip_pairs=(), flip_head="verb")
    with pytest.raises(ValueError, match=r"flip_head is 'verb', the labels are \['label'\]"):
        augment(clips(), label(), plan, SEEDS)


# --- colour and erasing ----------------------------------------------------------------------


def test_brightness_scales_and_clamps() -> None:
    out = pixels(Augment(brightness=0.5), torch.full((16, 1, 3, 4, 4), 200, dtype=torch.uint8))
    level = out[:, 0, 0, 0, 0]
    assert (out == level[:, None, None, None, None]).all()
    assert level.min() >= 99.99
    assert level.max() <= 255.001
    assert len(level.unique()) > 5


def test_contrast_keeps_the_mean_grey_of_the_clip() -> None:
    clip = 100 + clips() % 50  # away from 0 and 255, so that nothing is clamped
    out = pixels(Augment(contrast=0.5), clip)
    grey = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    before, after = ((x * grey).sum(2).mean((1, 2, 3)) for x in (clip, out))
    torch.testing.assert_close(before, after, atol=0.01, rtol=0)
    assert (out.std((1, 2, 3, 4)) - clip.float().std((1, 2, 3, 4))).abs().max() > 1


def test_saturation_does_nothing_to_grey() -> None:
    clip = clips()[:, :, :1].expand(-1, -1, 3, -1, -1)
    torch.testing.assert_close(
        pixels(Augment(saturation=1.0), clip), clip.float(), atol=1e-3, rtol=0
    )


def test_erasing_blanks_one_rectangle_to_the_mean_colour() -> None:
    clip = torch.full((200, 1, 3, 30, 40), 255, dtype=torch.uint8)
    out, _ = augment(clip, label(200), Augment(erase=0.5), np.arange(200))
    blank = (out == 0).all(dim=(1, 2))
    count = blank.sum((1, 2))
    sides = blank.any(2).sum(1) * blank.any(1).sum(1)
    assert torch.equal(count, sides)  # the blank pixels fill their bounding box
    share = count[count > 0] / (30 * 40)
    assert 0.01 < share.min() < share.max() < 0.36
    assert 70 < len(share) < 130


def test_colours_need_rgb() -> None:
    clip = torch.zeros(1, 1, 2, 4, 4, dtype=torch.uint8)
    plan = Augment(contrast=0.1, mean=(0.5,), std=(0.2,))
    with pytest.raises(ValueError, match="need RGB, the clip has 2 channels"):
        augment(clip, label(1), plan, SEEDS[:1])


# --- mixup -----------------------------------------------------------------------------------


@settings(max_examples=25)
@given(batch=st.integers(1, 6), alpha=st.floats(0.05, 4), seed=st.integers(0, 1000))
def test_mixed_labels_stay_distributions(batch: int, alpha: float, seed: int) -> None:
    labels = {"verb": torch.arange(batch) % 3, "noun": torch.arange(batch) % 5}
    seeds = np.arange(seed, seed + batch)
    _, mixed = augment(
        clips(batch), labels, Augment(mixup=alpha), seeds, num_classes={"verb": 3, "noun": 5}
    )
    for head, k in (("verb", 3), ("noun", 5)):
        assert mixed[head].shape == (batch, k)
        assert mixed[head].min() >= 0
        torch.testing.assert_close(mixed[head].sum(1), torch.ones(batch))


def test_pixels_and_labels_are_mixed_by_the_same_weight_with_the_next_clip() -> None:
    clip, labels = clips(4), {"label": torch.arange(4)}
    out, mixed = augment(clip, labels, Augment(mixup=1.0), SEEDS[:4], num_classes={"label": 4})
    plain, weight = normalize(clip), mixed["label"].diagonal()
    assert len(weight.unique()) == 4
    assert ((mixed["label"] > 0).sum(1) == 2).all()
    w = weight[:, None, None, None, None]
    torch.testing.assert_close(out, w * plain + (1 - w) * plain.roll(-1, 0))
    torch.testing.assert_close(
        mixed["label"][3], torch.stack([1 - weight[3], *[weight[3] * 0] * 2, weight[3]])
    )


def test_a_clip_alone_mixes_with_itself() -> None:
    out, mixed = augment(
        clips(1), label(1), Augment(mixup=1.0), SEEDS[:1], num_classes={"label": 4}
    )
    assert torch.equal(out, normalize(clips(1)))
    assert mixed["label"].tolist() == [[1, 0, 0, 0]]


def test_mixup_weights_do_not_depend_on_the_batch() -> None:
    def weights(count: int) -> Tensor:
        labels = {"label": torch.arange(count)}
        return augment(
            clips(count), labels, Augment(mixup=0.5), SEEDS[:count], num_classes={"label": 8}
        )[1]["label"].diagonal()

    assert torch.equal(weights(8)[:3], weights(3))


def test_mixup_needs_the_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"mixup needs num_classes of \['label'\], got None"):
        augment(clips(), label(), Augment(mixup=0.2), SEEDS)


# --- pairs of classes ------------------------------------------------------------------------


def read_names(path: Path) -> list[str]:
    if not path.is_file():
        pytest.skip(f"no annotations at {path}")
    return path.read_text().splitlines()


@pytest.mark.parametrize(
    ("file", "pairs"),
    [
        ("uniformer_sthv1/category.txt", ((86, 87), (93, 94), (166, 167))),
        ("mmaction2/sthv2/label_map.txt", ((86, 87), (93, 94), (166, 167))),
        ("mmaction2/sthv1/label_map.txt", ((2, 4), (30, 41), (52, 66))),
        ("mmaction2/jester/label_map.txt", ((0, 1), (6, 7), (14, 15))),
        ("mmaction2/kinetics/label_map_k400.txt", ()),
        ("mmaction2/hmdb51/label_map.txt", ()),
        ("mmaction2/ucf101/label_map.txt", ()),
    ],
)
def test_pairs_of_the_published_class_lists(shared_dir: Path, file: str, pairs: Any) -> None:
    assert flip_pairs(read_names(shared_dir / "data" / "annotations" / file)) == pairs


def test_pairs_of_something_v2_hold_for_the_official_order_only(shared_dir: Path) -> None:
    """The file keeps the brackets of the templates and is sorted with them; labels.json is not."""
    names = read_names(shared_dir / "data" / "annotations" / "uniformer_sthv2" / "category.txt")
    assert flip_pairs(names) == ((86, 87), (93, 94), (161, 162))
    official = sorted(name.replace("[", "").replace("]", "") for name in names)
    assert flip_pairs(official) == ((86, 87), (93, 94), (166, 167))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SwipeLeft", "SwipeRight"),
        ("swipe_left", "swipe_right"),
        ("LEFT", "RIGHT"),
        ("right-to-left", "left-to-right"),
        ("left2right", "right2left"),
        ("Left-handed serve", "Right-handed serve"),
        ("moving leftwards", "moving rightwards"),
        ("cw", "ccw"),
        ("turn clockwise", "turn anti-clockwise"),
        ("Turning Counter Clockwise", "Turning Clockwise"),
    ],
)
def test_names_are_read_in_any_spelling(left: str, right: str) -> None:
    assert flip_pairs([left, "other", right]) == ((0, 2),)
    assert flip_pairs([right, left]) == ((0, 1),)


@pytest.mark.parametrize(
    "name", ["upright", "bright light", "pulling it right out", "clock", "cwm"]
)
def test_words_that_are_no_direction_are_left_alone(name: str) -> None:
    assert flip_pairs([name, "other"]) == ()


@pytest.mark.parametrize("name", ["turning left", "waving the right hand", "spin clockwise"])
def test_a_direction_without_its_mirror_image_forbids_flipping(name: str) -> None:
    message = f"'{name}' belong to no class, so this data cannot be flipped. hint: flip='none'"
    with pytest.raises(ValueError, match=message):
        flip_pairs([name, "other"])


# --- wrong arguments -------------------------------------------------------------------------


def test_float_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clip is torch.float32, expected uint8"):
        normalize(torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match=r"clip is torch.float32 \(1, 1, 3, 2, 2\) with 1 seed,"):
        augment(torch.zeros(1, 1, 3, 2, 2), label(1), PLAIN, SEEDS[:1])


def test_a_seed_for_every_clip_is_needed() -> None:
    with pytest.raises(ValueError, match=r"with 15 seeds, expected uint8 \[b t c h w\] and b"):
        augment(clips(), label(), PLAIN, SEEDS[:15])


def test_mean_and_std_that_do_not_fit_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="mean has 3 values and std 3; the clip has 4 channels"):
        normalize(torch.zeros(4, 2, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="mean has 1 value and std 3"):
        normalize(torch.zeros(3, 2, 2, dtype=torch.uint8), mean=[0.5])


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ValueError, match=r"brightness is -0.1, expected at least 0"):
        Augment(brightness=-0.1)
    with pytest.raises(ValueError, match=r"erase is 1.5, expected 0 to 1"):
        Augment(erase=1.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_gives_what_the_cpu_gives() -> None:
    plan, k = replace(EVERYTHING, mixup=0.3), {"label": 4}
    ours, soft = augment(clips(), label(), plan, SEEDS, num_classes=k)
    on_gpu = {head: x.cuda() for head, x in label().items()}
    theirs, soft_gpu = augment(clips().cuda(), on_gpu, plan, SEEDS, num_classes=k)
    torch.testing.assert_close(ours, theirs.cpu(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(soft["label"], soft_gpu["label"].cpu())
