"""RandAugment: each change against Pillow, and what a seed draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from marey.recipes.catalog import find
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.video import rand_augment as changes
from marey.video.augment import Augment, augment
from marey.video.rand_augment import CHANGES, Change, RandAugment, rand_augment

Picture = Image.Image
SEEDS = np.arange(8, dtype=np.int64)


def moving(count: int = 8, frames: int = 3, height: int = 20, width: int = 28) -> Tensor:
    """Smooth pictures, so that a pixel beside the right one is nearly right."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 256, (count * frames, 3, 4, 5)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 255).byte().view(count, frames, 3, height, width)


def affine(*matrix: float) -> Callable[[Picture], Picture]:
    return lambda image: image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        Image.Resampling.BILINEAR,
        fillcolor=(128, 128, 128),
    )


def with_factor(enhance: type[ImageEnhance._Enhance], x: float) -> Callable[[Picture], Picture]:
    return lambda image: enhance(image).enhance(1 + 0.9 * x)


def brighter_dark(image: Picture, x: float) -> Picture:
    return image.point([i + int(110 * x) if i < 128 else i for i in range(256)] * 3)


def with_pillow(x: float) -> dict[Change, Callable[[Picture], Picture]]:
    strength = abs(x)
    return {
        changes.autocontrast: ImageOps.autocontrast,
        changes.equalize: ImageOps.equalize,
        changes.invert: ImageOps.invert,
        changes.posterize: lambda image: ImageOps.posterize(image, max(1, 4 - int(4 * strength))),
        changes.solarize: lambda image: ImageOps.solarize(image, 256 - int(256 * strength)),
        changes.solarize_add: lambda image: brighter_dark(image, strength),
        changes.color: with_factor(ImageEnhance.Color, x),
        changes.contrast: with_factor(ImageEnhance.Contrast, x),
        changes.brightness: with_factor(ImageEnhance.Brightness, x),
        changes.sharpness: with_factor(ImageEnhance.Sharpness, x),
        changes.rotate: lambda image: image.rotate(
            30 * x, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
        ),
        changes.shear_x: affine(1, 0.3 * x, 0, 0, 1, 0),
        changes.shear_y: affine(1, 0, 0, 0.3 * x, 1, 0),
        changes.translate_x: affine(1, 0, 0.45 * x * 28, 0, 1, 0),
        changes.translate_y: affine(1, 0, 0, 0, 1, 0.45 * x * 20),
    }


@pytest.mark.parametrize("x", [-1.0, -0.37, 0.0, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_that_of_pillow(change: Change, x: float) -> None:
    clip = moving(1)[0]
    changed = change(clip, x)
    assert changed.dtype == torch.uint8
    for ours, frame in zip(changed, clip, strict=True):
        theirs = with_pillow(x)[change](Image.fromarray(frame.permute(1, 2, 0).numpy()))
        difference = np.abs(ours.permute(1, 2, 0).numpy().astype(int) - np.asarray(theirs))
        assert difference.max() <= 1 or (difference > 1).mean() < 0.003, "pixels at the rim"


def test_nothing_but_the_strength_of_0_leaves_a_clip_as_it_is() -> None:
    clip = moving(1)[0]
    alike = {change.__name__ for change in CHANGES if torch.equal(change(clip, 0.0), clip)}
    always = {"autocontrast", "equalize", "invert", "posterize"}
    assert alike == {change.__name__ for change in CHANGES} - always


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@given(value=st.integers(0, 255), x=st.floats(-1, 1), size=st.sampled_from([(1, 1), (2, 5)]))
def test_a_change_knows_plain_and_tiny_frames(
    change: Change, value: int, x: float, size: tuple[int, int]
) -> None:
    plain = torch.full((2, 3, *size), value, dtype=torch.uint8)
    assert change(plain, x).shape == plain.shape


def test_the_strongest_posterizing_is_not_black() -> None:
    clip = moving(1)[0]
    assert set(changes.posterize(clip, 1.0).unique().tolist()) == {0, 128}


def test_a_clip_changes_alike_in_any_batch_and_the_batch_given_stays() -> None:
    clip, plan = moving(), RandAugment(num_ops=3, probability=1.0)
    before = clip.clone()
    together = rand_augment(clip, plan, SEEDS)
    assert torch.equal(clip, before)
    for i in range(len(clip)):
        assert torch.equal(rand_augment(clip[i : i + 1], plan, SEEDS[i : i + 1])[0], together[i])


def test_every_frame_of_a_clip_is_changed_alike() -> None:
    still = moving(8, 1).expand(-1, 4, -1, -1, -1)
    changed = rand_augment(still, RandAugment(probability=1.0), SEEDS)
    assert torch.equal(changed, changed[:, :1].expand_as(changed))


def test_half_of_the_changes_are_made_and_all_are_drawn() -> None:
    drawn = [RandAugment(magnitude=6).draw(seed) for seed in range(2000)]
    strengths = np.array([x for changes_of_clip in drawn for _, x in changes_of_clip])
    assert 0.48 < len(strengths) / 4000 < 0.52
    assert 0.23 < np.mean([not changes_of_clip for changes_of_clip in drawn]) < 0.27
    assert {change for changes_of_clip in drawn for change, _ in changes_of_clip} == set(CHANGES)
    assert abs(np.abs(strengths).mean() - 0.6) < 0.005
    assert abs(strengths.mean()) < 0.05
    assert 0.04 < np.abs(strengths).std() < 0.06
    assert all(abs(x) == 1 for _, x in RandAugment(8, 10, 0).draw(0))


def test_a_plan_without_changes_is_none_of_them() -> None:
    clip = moving()
    for plan in (RandAugment(num_ops=0), RandAugment(probability=0)):
        assert torch.equal(rand_augment(clip, plan, SEEDS), clip)


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_ops", -1), ("magnitude", 15), ("magnitude_std", -0.1), ("probability", 1.5)],
)
def test_numbers_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected (0 to|at least 0)"):
        replace(RandAugment(), **{field: value})


# --- as a part of training -------------------------------------------------------------------


def test_it_comes_before_everything_else_and_leaves_the_other_draws_as_they_were() -> None:
    clip, labels = moving(), {"label": torch.arange(8)}
    rest = Augment(flip="plain", brightness=0.4, erase=0.5)
    plan = replace(rest, randaugment=RandAugment())
    after = augment(rand_augment(clip, RandAugment(), SEEDS), labels, rest, SEEDS)[0]
    assert torch.equal(augment(clip, labels, plan, SEEDS)[0], after)


def test_it_needs_colour() -> None:
    flow = torch.zeros(1, 2, 10, 8, 8, dtype=torch.uint8)
    plan = Augment(mean=(0.5,), std=(0.2,), randaugment=RandAugment())
    with pytest.raises(ValueError, match="RandAugment needs RGB, the clip has 10 channels"):
        augment(flow, {"label": torch.zeros(1).long()}, plan, SEEDS[:1])


def test_a_recipe_takes_it_by_one_override_and_writes_it_down() -> None:
    recipe = find("tsm-r50-8f-ssv1")
    with_it = override(recipe, ["augment.randaugment={magnitude: 7}"])
    assert with_it.augment.randaugment == RandAugment(magnitude=7)
    assert from_yaml(type(recipe), to_yaml(with_it)) == with_it
    assert override(with_it, ["augment.randaugment=null"]) == recipe


def test_the_published_rows_that_train_with_it_have_it_at_full_strength() -> None:
    strongest = RandAugment(magnitude=10, magnitude_std=0)
    for name in ("motionformer-16f-ssv2", "motionformer-hr-16f-epic100", "vit-divided-16f-ssv2"):
        assert find(name).augment.randaugment == strongest
    for name in ("motionformer-16f-k400", "vit-joint-16f-ssv2"):
        assert find(name).augment.randaugment is None
