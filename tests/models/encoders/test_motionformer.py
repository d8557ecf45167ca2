"""Motionformer: its short cuts against the plain formula, its approximations, its start."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from marey.errors import CheckpointError
from marey.models import (
    TSM,
    Divided,
    Head,
    Joint,
    ModelSpec,
    MotionformerSpec,
    Nystrom,
    Orthoformer,
    Performer,
    ResNetSpec,
    Trajectory,
    VideoModel,
)
from marey.models.encoders.attention import (
    Attention,
    ClsAttention,
    JointAttention,
    TrajectoryAttention,
)
from marey.models.encoders.frame_attention import (
    ExactAttention,
    FrameAttention,
    orthogonal_features,
)
from marey.models.encoders.vit import Block, DropPath, resized

FRAMES, PLACES, HEADS, WIDTH = 3, 5, 2, 8
TOKENS = 1 + FRAMES * PLACES
SMALL = MotionformerSpec(depth=3, width=16, num_heads=2)


def model_of(encoder: MotionformerSpec, frames: int = 4) -> VideoModel:
    return ModelSpec(
        encoder, (), num_segments=frames, heads=(Head("label", 5),), dropout=0.0
    ).build()


def filled(module: nn.Module) -> nn.Module:
    """In float64, with weights of which each matters."""
    torch.manual_seed(0)
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


# --- the plain formula -----------------------------------------------------------------------


def by_the_formula(module: TrajectoryAttention, x: Tensor) -> Tensor:
    """Tokens of one clip [n d] -> [n d], token by token and frame by frame."""
    d = WIDTH // HEADS
    out = torch.zeros_like(x)
    q, k, v = (x @ module.qkv.weight.T + module.qkv.bias).chunk(3, dim=1)
    for h in range(HEADS):
        at = slice(h * d, (h + 1) * d)
        out[0, at] = (q[0, at] @ k[:, at].T / d**0.5).softmax(-1) @ v[:, at]
    for s in range(1, TOKENS):
        z = torch.zeros(FRAMES, WIDTH, dtype=x.dtype)
        for f in range(FRAMES):
            frame = slice(1 + f * PLACES, 1 + (f + 1) * PLACES)
            for h in range(HEADS):
                at = slice(h * d, (h + 1) * d)
                z[f, at] = (q[s, at] @ k[frame, at].T / d**0.5).softmax(-1) @ v[frame, at]
        q2 = module.proj_q(z[(s - 1) // PLACES])
        k2 = module.proj_k(z) + 7.0  # any bias: it cancels
        v2 = z if module.proj_v is None else module.proj_v(z)
        for h in range(HEADS):
            at = slice(h * d, (h + 1) * d)
            out[s, at] = (q2[at] @ k2[:, at].T / d**0.5).softmax(-1) @ v2[:, at]
    result: Tensor = module.proj(out)
    return result


@pytest.mark.parametrize("values", ["released", "corrected"])
@torch.no_grad()
def test_trajectories_with_short_cuts_are_the_plain_formula(values: str) -> None:
    spec = Trajectory(values)  # type: ignore[arg-type]
    (module,) = spec.branches(WIDTH, HEADS, FRAMES)
    assert isinstance(filled(module), TrajectoryAttention)
    x = torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    for clip, out in zip(x, module(x), strict=True):
        torch.testing.assert_close(out, by_the_formula(module, clip), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("attention", [Trajectory(), Trajectory("corrected"), Joint(), Divided()])
@torch.no_grad()
def test_a_last_block_gives_the_cls_of_a_whole_block(attention: Attention) -> None:
    whole = filled(Block(attention, WIDTH, HEADS, FRAMES))
    last = Block(attention, WIDTH, HEADS, FRAMES, is_last=True).double()
    own = last.state_dict()
    last.load_state_dict({name: w for name, w in whole.state_dict().items() if name in own})
    x = torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(last(x), whole(x)[:, :1], rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_cls_attention_is_the_first_row_of_joint_attention() -> None:
    joint, cls = filled(JointAttention(WIDTH, HEADS)), ClsAttention(WIDTH, HEADS).double()
    cls.load_state_dict(joint.state_dict())
    x = torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(cls(x), joint(x)[:, :1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("attention", [Trajectory(), Trajectory("corrected"), Joint(), Divided()])
def test_every_weight_learns(attention: Attention) -> None:
    model = model_of(replace(SMALL, attention=attention))
    model(torch.randn(2, 4, 3, 32, 32))["label"].square().sum().backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


# --- approximations --------------------------------------------------------------------------


def queries_keys_values(tokens: int = 12) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(2, HEADS, tokens, 4, dtype=torch.float64) for _ in range(3))


def error_of(approximation: FrameAttention, *qkv: Tensor) -> float:
    exact = ExactAttention()(*qkv, FRAMES)
    found = approximation.build(qkv[0].shape[-1]).double()(*qkv, FRAMES)
    assert found.shape == exact.shape == (2, FRAMES, HEADS, qkv[0].shape[2], 4)
    return (found - exact).abs().max().item()


def test_nystrom_with_every_token_as_landmark_is_exact() -> None:
    assert error_of(Nystrom(12, iterations=30), *queries_keys_values()) < 1e-9


def test_orthoformer_is_exact_where_queries_are_copies_of_its_landmarks() -> None:
    _, k, v = queries_keys_values()
    q = 40 * torch.eye(4, dtype=torch.float64).repeat(3, 1).expand(2, HEADS, 12, 4)
    assert error_of(Orthoformer(4), q, k / 10, v) < 1e-9


def test_performer_converges_to_exact_attention() -> None:
    q, k, v = queries_keys_values()
    few, more, many = (error_of(Performer(m), q / 2, k / 2, v) for m in (64, 2048, 65536))
    assert many < more / 3 < few / 9
    assert many < 0.02


def test_more_landmarks_than_tokens_are_as_many_as_tokens() -> None:
    qkv = queries_keys_values()
    for spec in (Orthoformer, Nystrom):
        assert error_of(spec(99), *qkv) == error_of(spec(12), *qkv)


def test_random_features_are_orthogonal_and_come_from_their_seed_alone() -> None:
    features = orthogonal_features(6, 4, seed=1)
    products = features[:4] @ features[:4].T
    assert (products - products.diag().diag()).abs().max() < 1e-5
    torch.manual_seed(3)
    assert torch.equal(orthogonal_features(6, 4, seed=1), features)
    assert not torch.equal(orthogonal_features(6, 4, seed=2), features)


@torch.no_grad()
def test_orthoformer_gives_the_same_scores_twice_unless_its_start_is_random() -> None:
    clip = torch.randn(2, 4, 3, 64, 64)
    for start, same in (("first", True), ("random", False)):
        frames = Orthoformer(3, start)  # type: ignore[arg-type]
        model = model_of(replace(SMALL, attention=Trajectory(frames=frames))).eval()
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                nn.init.normal_(parameter, std=0.3)
        assert torch.equal(model(clip)["label"], model(clip)["label"]) is same


# --- the whole -------------------------------------------------------------------------------


@torch.no_grad()
def test_features_are_one_vector_a_clip_of_any_size_that_16_divides() -> None:
    model = model_of(SMALL)
    assert model.features(torch.randn(2, 4, 3, 32, 48)).shape == (2, 1, 16)
    with pytest.raises(ValueError, match="frames are 40 x 32 pixels, expected multiples of 16"):
        model.features(torch.randn(2, 4, 3, 40, 32))


def test_the_final_norm_is_that_behind_the_last_block() -> None:
    encoder = model_of(SMALL).encoder
    assert encoder.final_norm is encoder.norm
    assert ModelSpec(ResNetSpec(18, channels=16)).build().encoder.final_norm is None


def test_a_grid_of_the_learned_size_stays_as_it_is() -> None:
    places = torch.randn(1, 196, 8)
    assert resized(places, 14, 14) is places
    assert resized(places, 21, 7).shape == (1, 147, 8)


def test_branches_are_left_out_more_often_the_deeper_they_are_and_never_in_evaluation() -> None:
    model = model_of(replace(SMALL, drop_path=0.2))
    rates = [m.rate for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2])
    drop = DropPath(0.25)
    x = torch.ones(4000, 2, 3)
    torch.manual_seed(0)
    kept = drop(x)
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert kept.mean().item() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(kept.amin((1, 2)), kept.amax((1, 2)))  # a clip's branch as a whole
    assert drop.eval()(x) is x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "depth is 0, expected at least 1"),
        ({"width": 770}, r"width is 770, expected a multiple of 12 \(num_heads\)"),
        ({"drop_path": 1.0}, "drop_path is 1.0, expected 0 <= drop_path < 1"),
        ({"tubelet": 0}, "tubelet is 0, expected at least 1"),
    ],
)
def test_an_impossible_spec_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MotionformerSpec(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (Orthoformer, "landmarks"),
        (Nystrom, "landmarks"),
        (Nystrom, "iterations"),
        (Performer, "features"),
    ],
)
def test_an_approximation_by_nothing_is_refused(spec: type, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0, expected at least 1"):
        spec(**{name: 0})


def test_temporal_ops_and_an_odd_number_of_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("temporal is TSM(") + ".*expected none"):
        ModelSpec(SMALL, (TSM(),), num_segments=4).build()
    with pytest.raises(ValueError, match=r"num_segments is 5, expected a multiple of 2 \(tubelet"):
        ModelSpec(SMALL, (), num_segments=5).build()


# --- the start from ImageNet -----------------------------------------------------------------


def vit(width: int = 16, depth: int = 3) -> dict[str, Tensor]:
    """A state dict with the names of timm's ViT."""
    torch.manual_seed(0)
    layers = {
        "norm1": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "norm2": (width,),
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 197, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (1000, width),
        "head.bias": (1000,),
    }
    for block in range(depth):
        for name, shape in layers.items():
            shapes[f"blocks.{block}.{name}.weight"] = shape
            shapes[f"blocks.{block}.{name}.bias"] = shape[:1]
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("attention", [Trajectory("corrected"), Divided(), Joint()])
@torch.no_grad()
def test_a_vit_fills_what_it_has_and_its_patches_look_at_the_second_frame(
    attention: Attention,
) -> None:
    model, weights = model_of(replace(SMALL, attention=attention)), vit()
    fresh = {name: w.clone() for name, w in model.encoder.state_dict().items()}
    model.load_encoder(weights)
    own = model.encoder.state_dict()
    for name, weight in own.items():
        if name in weights:
            assert torch.equal(weight, weights[name]), name
        elif not name.startswith("patch_embed."):
            assert torch.equal(weight, fresh[name]), name
            assert re.search(r"proj_[qkv]|timeattn|norm3|temp_embed|pre_logits", name)
    clip = torch.randn(1, 4, 3, 32, 32)
    first_changed, second_changed = clip.clone(), clip.clone()
    first_changed[:, 0] += 1
    second_changed[:, 1] += 1
    tokens = model.encoder.embed(clip)
    assert torch.equal(model.encoder.embed(first_changed), tokens)
    assert not torch.equal(model.encoder.embed(second_changed), tokens)
    picture = nn.functional.conv2d(
        clip[:, 1], weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=16
    )
    places = resized(weights["pos_embed"][:, 1:], 2, 2)
    wanted = picture.flatten(2).transpose(1, 2) + places
    torch.testing.assert_close(tokens[:, 1:5], wanted, rtol=1e-4, atol=1e-4)


def test_a_vit_of_another_depth_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"missing: blocks\.2\."):
        model_of(SMALL).load_encoder(vit(depth=2))


def test_a_vit_starts_a_model_of_other_channels_by_the_mean_over_rgb() -> None:
    model, weights = model_of(replace(SMALL, in_channels=2)), vit()
    model.load_encoder(weights)
    mean = weights["patch_embed.proj.weight"].mean(1)
    for channel in range(2):
        torch.testing.assert_close(model.encoder.patch_embed.weight[:, channel, 1], mean)


@pytest.mark.parametrize("attention", [Trajectory(), Trajectory("corrected"), Joint(), Divided()])
def test_every_weight_learns_without_biases_and_with_positions_of_its_own(
    attention: Attention,
) -> None:
    spec = replace(SMALL, attention=attention, qkv_bias=False, mlp_ratio=1.5, patch=112)
    model = model_of(replace(spec, positions="joint"))
    model(torch.randn(2, 4, 3, 224, 224))["label"].square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]
    assert not [name for name in model.state_dict() if name.endswith("qkv.bias")]
    assert model.encoder.get_parameter("blocks.0.mlp.fc1.weight").shape == (24, 16)


def test_joint_positions_fit_one_size_and_start_from_those_of_pictures() -> None:
    model = model_of(replace(SMALL, positions="joint", patch=112))
    with pytest.raises(ValueError, match="have 1 x 2 patches, expected 2 x 2: joint positions"):
        model(torch.randn(1, 4, 3, 112, 224))
    spec = replace(SMALL, positions="joint", patch=112)
    assert spec.on_clips(4, 224) == ""
    with pytest.raises(ValueError, match=r"have 336 pixels, expected 224.*positions=separate"):
        spec.on_clips(4, 336)
    picture = {"pos_embed": torch.randn(1, 5, 16)}
    start = model.encoder.from_image_model(picture)["st_embed"]
    assert start.shape == (1, 9, 16)
    assert torch.equal(start[:, 5:], picture["pos_embed"][:, 1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 225}, "patch is 225, expected at most 224"),
        ({"mlp_ratio": 0}, "mlp_ratio is 0"),
    ],
)
def test_layers_of_no_size_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MotionformerSpec(**options)  # type: ignore[arg-type]
