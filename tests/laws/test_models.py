"""What holds for every model, whatever its weights."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.models import (
    GST,
    TAM,
    TSM,
    BLVNetSpec,
    ECal,
    GroupContext,
    Head,
    I3DResNetSpec,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    NonLocal,
    Nystrom,
    Orthoformer,
    Performer,
    ResNetSpec,
    TDNSpec,
    TemporalPool,
    Trajectory,
    VideoModel,
)
from marey.models.layout import channels_last
from marey.models.sites import SITES
from marey.recipes.schema import from_yaml, to_yaml
from tests.laws.kinds import BEFORE_CONV2, BLIND, KINDS, ORDERED, R26, random_clip, random_model


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def model(request: pytest.FixtureRequest) -> VideoModel:
    return random_model(request.param)


@given(moved=st.integers(0, 2), seed=st.integers(1, 1000))
@settings(max_examples=3)
@torch.no_grad()
def test_one_clip_never_moves_the_scores_of_another(
    model: VideoModel, moved: int, seed: int
) -> None:
    clip = random_clip(model.spec, batch=3)
    other = clip.clone()
    other[moved] = random_clip(model.spec, 1, seed)[0]
    before, after = model(clip)["label"], model(other)["label"]
    for i in range(3):
        assert torch.equal(before[i], after[i]) is (i != moved)


@pytest.fixture(scope="module", params=list(BLIND.values()), ids=list(BLIND))
def blind(request: pytest.FixtureRequest) -> VideoModel:
    return random_model(request.param)


@given(order=st.permutations(range(4)))
@settings(max_examples=4)
@torch.no_grad()
def test_what_only_looks_at_frames_ignores_their_order(blind: VideoModel, order: list[int]) -> None:
    clip = random_clip(blind.spec, batch=1)
    torch.testing.assert_close(
        blind(clip[:, order])["label"], blind(clip)["label"], rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize("spec", ORDERED.values(), ids=ORDERED)
@torch.no_grad()
def test_what_looks_at_time_tells_a_clip_from_its_reverse(spec: ModelSpec) -> None:
    model, clip = random_model(spec), random_clip(spec, batch=1)
    forwards, backwards = model(clip)["label"], model(clip.flip(1))["label"]
    assert (forwards - backwards).abs().max() > 1e-3 * forwards.abs().max()


@torch.no_grad()
def test_channels_last_changes_the_layout_only(model: VideoModel) -> None:
    clip = random_clip(model.spec, batch=2)
    before = model(clip)["label"]
    torch.testing.assert_close(
        channels_last(deepcopy(model))(clip)["label"], before, rtol=1e-9, atol=1e-9
    )


def test_keys_are_made_of_plain_words_and_numbers(model: VideoModel) -> None:
    words = {word for name in model.state_dict() for word in name.split(".")}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*|\d+", word) for word in words)
    assert not words & {"net", "module", "base_model", "block", "layer", "wrapped"}


def test_nothing_is_patched_after_it_is_built(model: VideoModel) -> None:
    for name, module in model.named_modules():
        patched = {"forward", "__call__", "extra_repr", "_get_name"} & set(vars(module))
        assert not patched, name
        assert not module._forward_hooks, name
        assert not module._forward_pre_hooks, name
        assert "<" not in type(module).__qualname__, name  # no class made inside a function


def test_print_shows_what_every_op_put_where(model: VideoModel) -> None:
    shown = str(model)
    assert "lambda" not in shown
    for name, module in model.named_modules():
        site = name.rpartition(".")[2]
        if site in SITES:
            assert f"({site}): {type(module).__name__}(" in shown, name
        if type(module).__module__.startswith("marey.models.temporal."):
            said = module.extra_repr()
            assert said in shown, name
            assert said or next(module.children(), None), name


MORE = (
    ModelSpec(R26, (TAM(5, "max", "reference", False),)),
    ModelSpec(R26, (TSM(16, "block_out", "stage", "past"), TemporalPool(2, "mean"))),
    ModelSpec(
        R26,
        (
            GroupContext(
                "S",
                cdiv=5,
                loop=True,
                site=BEFORE_CONV2,
                norm=False,
                alternate="none",
                variant="upstream",
            ),
        ),
    ),
    ModelSpec(BLVNetSpec(101, alpha=4, beta=2, in_channels=10, tam=TAM(5)), num_segments=32),
    ModelSpec(TDNSpec(101, fusion=(0.6, 0.4)), num_segments=16),
    ModelSpec(I3DResNetSpec(101, temporal_stride=True, inflation="repeated"), (NonLocal((2,)),)),
    ModelSpec(
        MotionformerSpec(
            Trajectory("corrected", Nystrom(64, "space", 8)),
            depth=24,
            width=1024,
            num_heads=16,
            tubelet=1,
            pre_logits=False,
            drop_path=0.1,
            in_channels=4,
        )
    ),
    ModelSpec(MotionformerSpec(Trajectory(frames=Orthoformer(16, "random")))),
    ModelSpec(MotionformerSpec(Trajectory(frames=Performer(64, 7)))),
    ModelSpec(heads=(Head("verb", 97), Head("noun", 300)), dropout=0.0, partial_bn=True),
)
"""Of every field, a value other than its default."""


@pytest.mark.parametrize("spec", [*KINDS.values(), *MORE], ids=lambda spec: None)
def test_a_spec_survives_yaml(spec: ModelSpec) -> None:
    assert from_yaml(ModelSpec, to_yaml(spec)) == spec


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        *((TSM, "place"), (TSM, "alternate"), (TSM, "direction"), (TAM, "reduce"), (TAM, "init")),
        *((GST, "beta"), (ECal, "gate"), (ECal, "kernels"), (ECal, "alternate")),
        *((GroupContext, "alternate"), (GroupContext, "variant"), (TemporalPool, "reduce")),
        *((I3DResNetSpec, "inflation"), (MobileNetV2Spec, "rounding")),
        *((Trajectory, "values"), (Orthoformer, "start"), (Nystrom, "along")),
    ],
)
def test_a_misspelt_choice_is_refused_in_python_too(spec: type, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 'bohts', expected "):
        spec(**{field: "bohts"})


MANY = {
    f"{depth}-{name}": ModelSpec(encoder, ops)
    for depth, encoder in {
        "r18": ResNetSpec(18),
        "r34": ResNetSpec(34),
        "r50": ResNetSpec(50),
        "r101": ResNetSpec(101),
        "r152": ResNetSpec(152),
        "x50": ResNetSpec(50, groups=32, width_per_group=4),
        "x101": ResNetSpec(101, groups=32, width_per_group=8),
        "flow": ResNetSpec(50, in_channels=10),
        "mobilenet": MobileNetV2Spec(),
    }.items()
    for name, ops in {"tsn": (), "tsm": (TSM(),), "pool": (TSM(), TemporalPool())}.items()
}


@pytest.mark.parametrize("spec", MANY.values(), ids=MANY)
def test_every_spec_builds_and_runs_on_the_meta_device(spec: ModelSpec) -> None:
    with torch.device("meta"):
        model = spec.build().eval()
        clip = torch.empty(2, spec.frames, spec.encoder.in_channels, 64, 64)
    assert model(clip)["label"].shape == (2, 400)
    assert all(parameter.is_meta for parameter in model.parameters())


def test_several_heads_share_one_encoder() -> None:
    spec = ModelSpec(R26, (), num_segments=1, heads=(Head("verb", 97), Head("noun", 300)))
    scores = random_model(spec)(random_clip(spec, batch=1))
    assert [s.shape[1] for s in scores.values()] == [97, 300]
