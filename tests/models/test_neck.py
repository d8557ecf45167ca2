"""Necks: what stands between an encoder of videos and the heads."""

from __future__ import annotations

import pytest
import torch

from marey.longtail.decouple import set_trainable, training_mode
from marey.models import (
    TSM,
    AttentivePoolSpec,
    BLVNetSpec,
    FeaturesSpec,
    Head,
    LateAverageSpec,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    NetVLADSpec,
    ResNetSpec,
    TDNSpec,
    TemporalPool,
    VideoModel,
)
from marey.models.encoder import Encoder, Neck
from marey.models.lora import LoRA
from marey.models.profile import cost
from marey.models.stream import streaming
from marey.recipes.schema import from_yaml, to_yaml
from tests.tiny import TinySpec

HEADS = (Head("label", 3),)
SMALL = ResNetSpec(18, channels=8)
POOL = AttentivePoolSpec(num_heads=2, width=4)


def model(neck: Neck | None, encoder: Encoder = SMALL, num_segments: int = 2) -> VideoModel:
    torch.manual_seed(0)
    return ModelSpec(encoder, num_segments=num_segments, neck=neck, heads=HEADS).build().eval()


@pytest.mark.parametrize("neck", [None, FeaturesSpec(), LateAverageSpec(), NetVLADSpec(), POOL])
def test_what_is_encoded_stands_in_for_the_clip(neck: Neck | None) -> None:
    of = model(neck)
    clip = torch.randn(2, 2, 3, 32, 32)
    assert torch.equal(of(of.encode(clip))["label"], of(clip)["label"])


def test_a_neck_that_changes_nothing_leaves_the_scores_and_the_keys() -> None:
    plain, with_neck = model(None), model(FeaturesSpec())
    with_neck.load_state_dict(plain.state_dict())
    clip = torch.randn(1, 2, 3, 32, 32)
    assert torch.equal(plain(clip)["label"], with_neck(clip)["label"])


def test_the_keys_of_a_neck_are_its_own() -> None:
    kinds = {name.partition(".")[0] for name in model(POOL).state_dict()}
    assert kinds == {"encoder", "neck", "heads"}


@pytest.mark.parametrize(
    ("encoder", "frames", "places"),
    [
        (SMALL, 2, 4),
        (MobileNetV2Spec(0.25), 2, 4),
        (BLVNetSpec(channels=8), 2, 4),
        (TDNSpec(18, channels=8), 2, 4),
    ],
)
def test_features_are_the_mean_of_the_cells(encoder: Encoder, frames: int, places: int) -> None:
    of = model(None, encoder)
    clip = torch.randn(1, *of.spec.clip_shape(64))
    tokens = of.encoder.tokens(clip)
    assert tokens.shape == (1, frames, places, of.encoder.num_features)
    torch.testing.assert_close(tokens.mean(dim=2), of.encoder(clip))


def test_tokens_of_a_transformer_leave_its_class_token_out() -> None:
    encoder = model(None, MotionformerSpec(depth=2, width=8, num_heads=2), 4).encoder
    assert encoder.tokens(torch.randn(1, 4, 3, 32, 32)).shape == (1, 2, 4, 8)


def test_tokens_are_those_of_the_frames_that_pooling_leaves() -> None:
    spec = ModelSpec(SMALL, (TemporalPool(),), num_segments=4, neck=POOL, heads=HEADS)
    assert spec.build().eval().encode(torch.randn(1, 4, 3, 32, 32)).shape[1] == 2


def test_an_encoder_without_tokens_says_so() -> None:
    of = model(POOL, TinySpec())
    with pytest.raises(ValueError, match="TinyEncoder has no tokens"):
        of(torch.zeros(1, 2, 3, 32, 32))


def test_attentive_pooling_is_blind_to_the_order_and_not_to_a_place() -> None:
    pool = model(POOL).neck
    assert pool is not None
    x = torch.randn(2, 6, 64)
    torch.testing.assert_close(pool(x), pool(x[:, torch.randperm(6)]))
    x[:, 0] += 10
    assert not torch.allclose(pool(x), pool(x.flip(2)))
    assert pool(x).shape == (2, 1, 4)


def test_attentive_pooling_is_the_equation_of_its_docstring() -> None:
    pool = AttentivePoolSpec(8, num_heads=1).build((), 1).eval()
    x = torch.randn(1, 5, 8)
    key, value = pool.kv(pool.norm1(x)).chunk(2, dim=2)
    shares = (pool.q(pool.query) @ key.transpose(1, 2) / 8**0.5).softmax(dim=2)
    z = pool.query + shares @ value
    torch.testing.assert_close(pool(x), z + pool.mlp(pool.norm2(z)))


def test_the_cost_of_a_neck_is_counted() -> None:
    with_neck, without = (cost(model(neck).spec, 32) for neck in (POOL, None))
    assert with_neck.parameters > without.parameters
    assert with_neck.gmacs > without.gmacs


def test_a_neck_goes_to_yaml_and_back() -> None:
    spec = ModelSpec(SMALL, neck=AttentivePoolSpec(over="frames"), heads=HEADS)
    assert from_yaml(ModelSpec, to_yaml(spec)) == spec
    assert from_yaml(ModelSpec, "neck: LateAverageSpec").neck == (LateAverageSpec())


@pytest.mark.parametrize(
    ("part", "learns", "modes"),
    [
        ("all", {"encoder", "neck", "heads"}, (True, True)),
        ("neck", {"neck", "heads"}, (False, True)),
        ("heads", {"heads"}, (False, False)),
    ],
)
def test_what_learns(part: str, learns: set[str], modes: tuple[bool, bool]) -> None:
    of = model(POOL)
    set_trainable(of, part)  # type: ignore[arg-type]
    training_mode(of, part)  # type: ignore[arg-type]
    found = {name.partition(".")[0] for name, p in of.named_parameters() if p.requires_grad}
    assert found == learns
    assert of.neck is not None
    assert (of.encoder.training, of.neck.training) == modes


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_heads is 3, which does not divide the width 64"):
        model(AttentivePoolSpec(num_heads=3))
    with pytest.raises(ValueError, match=r"neck.dim is 7, the encoder gives 64 features"):
        model(FeaturesSpec(7))
    with pytest.raises(ValueError, match="takes features already, expected no neck"):
        ModelSpec(FeaturesSpec(4), neck=FeaturesSpec())
    with pytest.raises(ValueError, match="expected no LoRA and no temporal ops"):
        ModelSpec(FeaturesSpec(4), (TSM(),), lora=LoRA())
    with pytest.raises(ValueError, match=r"what is encoded is \[1, 2, 5\]"):
        model(POOL)(torch.zeros(1, 2, 5))
    with pytest.raises(ValueError, match="expected none: a stream"):
        streaming(ModelSpec(SMALL, (TSM(direction="past"),), neck=POOL, heads=HEADS).build())
