"""FrameStack: laws of what is stacked, and that its state survives a run that is resumed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.errors import RecipeError
from marey.longtail.framestack import FrameStack, mixed, shares, stacked
from marey.longtail.objective import CrossEntropy
from marey.models.encoders.features import FeaturesSpec
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.recipes.schema import from_yaml, to_yaml

COUNTS = {"label": torch.tensor([5, 3, 1])}


def model() -> VideoModel:
    torch.manual_seed(0)
    return ModelSpec(FeaturesSpec(4), heads=(Head("label", 3),), dropout=0.0).build()


def batch(seed: int, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(size, 5, 4), (torch.rand(size, 3) > 0.5).float()


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**31))
def test_every_frame_is_one_of_the_clip_or_of_its_partner_as_its_share_says(
    count: int, length: int, seed: int
) -> None:
    torch.manual_seed(seed)
    clip, partner = torch.randn(6, 5, 4), torch.randint(6, (count,))
    beta = torch.rand(count)
    found = stacked(clip, partner, beta, length)
    assert found.shape == (count, length, 4)
    for i, frames in enumerate(found):
        theirs = int(beta[i] * length)
        for t, frame in enumerate(frames):
            source = clip[partner[i]] if t < theirs else clip[i]
            assert (source == frame).all(dim=1).any()


@given(st.integers(0, 2**31))
def test_mixed_distributions_stay_distributions_and_the_rest_stays_as_it_was(seed: int) -> None:
    torch.manual_seed(seed)
    targets = torch.rand(6, 3).softmax(dim=1)
    found = mixed(targets, torch.randint(6, (2,)), torch.rand(2))
    assert torch.allclose(found.sum(dim=1), torch.ones(6))
    assert torch.equal(found[2:], targets[2:])


def test_the_clip_of_a_class_that_is_known_less_gets_more_frames() -> None:
    targets = torch.eye(2)
    beta = shares(targets, torch.tensor([0.9, 0.1]), torch.tensor([1, 0]))
    assert torch.allclose(beta, torch.tensor([0.9, 0.1]))


def test_nothing_is_stacked_before_the_classes_were_measured() -> None:
    objective = FrameStack(CrossEntropy(), share=1.0).build(COUNTS)
    plain, net = CrossEntropy().build(COUNTS), model()
    clip, labels = batch(1)[0], {"label": torch.tensor([0, 1, 2, 0, 1, 2])}
    assert objective(net, clip, labels) == plain(net, clip, labels)
    objective.finish_epoch()
    assert 0 < objective.precision.mean() <= 1
    assert objective(net, clip, labels) != plain(net, clip, labels)


def test_an_objective_that_is_loaded_goes_on_as_it_would_have() -> None:
    spec, net = FrameStack(), model()
    one, other = spec.build(COUNTS), spec.build(COUNTS)
    for seed in (1, 2):
        one(net, batch(seed)[0], {"label": batch(seed)[1]})
        if seed == 1:
            one.finish_epoch()
    other.load_state_dict(one.state_dict())
    for objective in (one, other):
        objective.finish_epoch()
    assert torch.equal(one.precision, other.precision)
    losses = []
    for objective in (one, other):
        clip, target = batch(3)
        losses.append(objective(net, clip, {"label": target}))
    assert losses[0] == losses[1]


def test_a_spec_survives_yaml_and_refuses_what_makes_no_sense() -> None:
    spec = FrameStack(CrossEntropy(0.1), share=0.25)
    assert from_yaml(FrameStack, to_yaml(spec)) == spec
    with pytest.raises(ValueError, match="share is 2, expected 0 to 1"):
        FrameStack(share=2)
    with pytest.raises(ValueError, match="warm_epochs is 0"):
        FrameStack(warm_epochs=0)
    with pytest.raises(RecipeError, match=r"head is 'verp'.*'verb'"):
        FrameStack(head="verp").build({"verb": torch.ones(2)})


def test_clips_of_one_frame_cannot_be_stacked() -> None:
    clip, target = batch(1)
    with pytest.raises(RecipeError, match="clips have 1 frame.*take another objective"):
        FrameStack().build(COUNTS)(model(), clip[:, :1], {"label": target})
