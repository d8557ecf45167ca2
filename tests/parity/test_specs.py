"""Golden files that are not at hand: every option of the originals has a rule, under every name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from marey.convert import motionformer
from marey.convert.repository import renamed
from marey.models import (
    GST,
    TAM,
    TSM,
    BLVNetSpec,
    ECal,
    GroupContext,
    Head,
    I3DInceptionSpec,
    I3DResNetSpec,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    NonLocal,
    Orthoformer,
    ResNetSpec,
    S3DResNetSpec,
    S3DSpec,
    TemporalPool,
    Trajectory,
)
from tests.parity.golden import Golden
from tests.parity.specs import not_built_yet, spec_of


def golden(builder: str, family: str, **config: Any) -> Golden:
    values = {"builder": builder, "config": config, "input_shape": [1, 3, 8, 224, 224]}
    return Golden(Path(family) / "seen-by-nobody.json", values)


@pytest.mark.parametrize(
    ("builder", "config", "encoder", "temporal"),
    [
        ("tsm", {"div": 4}, ResNetSpec(50), (TSM(4, "residual_in", alternate="network"),)),
        (
            "tsm",
            {"n_div": 16, "shift_place": "block"},
            ResNetSpec(50),
            (TSM(16, "block_in", alternate="none"),),
        ),
        ("tsm", {"is_shift": False, "base_model": "resnet18"}, ResNetSpec(18), ()),
        ("tsm", {"arch": "mobilenetv2", "width": 1.4, "shift": False}, "mobile", ()),
        (
            "tsm",
            {"temporal_pool": True, "shift": False, "arch": "resnet101", "pretrain": "imagenet"},
            ResNetSpec(101),
            (TemporalPool(stage=1),),
        ),
        (
            "tsm",
            {"non_local": True, "shift": False, "modality": "Flow", "new_length": 3},
            ResNetSpec(50, in_channels=6),
            (NonLocal(stages=(1, 2)),),
        ),
        (
            "gc_tsn",
            {"net": "M4", "cdiv": 5, "loop": True, "num_segments": 4, "arch": "resnet101"},
            ResNetSpec(101),
            (GroupContext(cdiv=5, loop=True, variant="upstream"),),
        ),
        (
            "gc_tsm",
            {"shift": False, "div": 16, "place": "block", "net": "T13D", "cdiv": 2},
            ResNetSpec(50),
            (TSM(16, "block_out", alternate="stage"), GroupContext("T", cdiv=2)),
        ),
        ("gst", {"alpha": 8, "beta": 1, "arch": "resnet101"}, ResNetSpec(101), (GST(8, 1),)),
        ("v0", {"net": "S33D", "cdiv": 32}, ResNetSpec(50), (ECal("S", 32, "33"),)),
        (
            "v0",
            {"model": "TSM", "net": "E31D", "r": 8, "div": 4},
            ResNetSpec(50),
            (TSM(4, alternate="stage"), ECal("L", 8, "31")),
        ),
    ],
    ids=str,
)
def test_options_of_the_tsm_family(
    builder: str, config: dict[str, Any], encoder: Any, temporal: tuple[Any, ...]
) -> None:
    spec = spec_of(golden(builder, "gc", **config))
    wanted = MobileNetV2Spec(1.4, rounding="up") if encoder == "mobile" else encoder
    assert spec.encoder == wanted
    assert spec.num_segments == config.get("num_segments", 8)
    assert spec.temporal == temporal


def test_what_tdn_says_of_groups_is_not_asked() -> None:
    plain = spec_of(golden("gc_tdn", "gc", T=16, arch="resnet101"))
    assert spec_of(golden("gc_tdn", "gc", T=16, arch="resnet101", loop=True, cdiv=8)) == plain


@pytest.mark.parametrize(
    ("builder", "config", "wanted"),
    [
        (
            "bLVNet_TAM",
            {"depth": 152, "alpha": 1, "beta": 2, "groups": 8, "blending_frames": 2},
            ModelSpec(
                BLVNetSpec(152, alpha=1, beta=2, tam=TAM(2)),
                num_segments=4,
                heads=(Head("label", 1000),),
            ),
        ),
        (
            "arp.resnet",
            {
                "depth": 34,
                "groups": 32,
                "temporal_module_name": "TAM",
                "blending_frames": 4,
                "blending_method": "max",
                "no_dw_conv": True,
                "without_t_stride": True,
                "modality": "flow",
            },
            ModelSpec(
                ResNetSpec(34, in_channels=10),
                (TAM(4, "max", depthwise=False),),
                num_segments=32,
                heads=(Head("label", 1000),),
            ),
        ),
        (
            "arp.i3d_resnet",
            {"depth": 18, "groups": 16, "num_classes": 87, "pooling_method": "avg"},
            ModelSpec(
                I3DResNetSpec(18, temporal_stride=True),
                num_segments=16,
                heads=(Head("label", 87),),
            ),
        ),
        (
            "arp.s3d",
            {"groups": 8, "dw_t_conv": True, "pooling_method": "AVG", "without_t_stride": True},
            ModelSpec(
                S3DSpec(depthwise=True, reduce="mean"),
                num_segments=8,
                heads=(Head("label", 1000),),
            ),
        ),
        (
            "arp.i3d",
            {"groups": 8, "dw_t_conv": True, "pooling_method": "avg"},
            ModelSpec(
                I3DInceptionSpec(temporal_stride=True, reduce="mean"),
                num_segments=8,
                heads=(Head("label", 1000),),
            ),
        ),
        (
            "arp.s3d_resnet",
            {"depth": 50, "groups": 8, "dw_t_conv": True, "without_t_stride": True},
            ModelSpec(
                S3DResNetSpec(50, depthwise=True), num_segments=8, heads=(Head("label", 1000),)
            ),
        ),
    ],
    ids=str,
)
def test_options_of_blvnet_and_its_successor(
    builder: str, config: dict[str, Any], wanted: ModelSpec
) -> None:
    assert spec_of(golden(builder, "blvnet", **config)) == wanted


MOTIONFORMER = {"VIT.DEPTH": 1, "TRAIN.DATASET": "Kinetics", "MODEL.NUM_CLASSES": 20}


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"VIT.POS_EMBED": "joint"}, MotionformerSpec(depth=1, positions="joint")),
        ({"DATA.NUM_FRAMES": 32, "VIT.TEMPORAL_RESOLUTION": 16}, MotionformerSpec(depth=1)),
        (
            {"VIT.PATCH_SIZE_TEMP": 1, "VIT.PATCH_SIZE": 32, "VIT.HEAD_ACT": "leaky"},
            MotionformerSpec(depth=1, tubelet=1, patch=32, activation="relu"),
        ),
        (
            {"VIT.MLP_RATIO": 2, "VIT.QKV_BIAS": False, "VIT.DROP_PATH": 0.0, "TRAIN.LR": 1},
            MotionformerSpec(depth=1, mlp_ratio=2, qkv_bias=False, drop_path=0.0),
        ),
        (
            {"VIT.APPROX_ATTN_TYPE": "orthoformer", "VIT.USE_ORIGINAL_TRAJ_ATTN_CODE": False},
            MotionformerSpec(Trajectory("corrected", Orthoformer(128, start="random")), depth=1),
        ),
    ],
    ids=str,
)
def test_options_of_motionformer(config: dict[str, Any], wanted: MotionformerSpec) -> None:
    spec = spec_of(golden("motionformer", "lmr", **MOTIONFORMER | config))
    assert spec.encoder == wanted
    assert spec.num_segments == config.get("DATA.NUM_FRAMES", 8)


@pytest.mark.parametrize(
    ("file", "besides"),
    [
        (golden("tsm", "gc", arch="resnet50"), {"lr": 0.01, "epochs": 50, "npb": True, "gd": 20}),
        (golden("gc_gst", "gc", T=8), {"batch_size": 24, "lr_steps": [20, 40], "stage": "S3B"}),
        (golden("tdn", "gc", T=8), {"lr_scheduler": "step", "warmup_epoch": 0, "num_clips": 10}),
        (golden("arp.resnet", "blvnet", depth=50, groups=8), {"imagenet_pretrained": True}),
        (
            golden("bLVNet_TAM", "blvnet", depth=50, groups=16),
            {"pretrained": True, "imagenet_blnet_pretrained": True, "lr": 0.01, "num_crops": 3},
        ),
        (
            golden("motionformer", "lmr", **MOTIONFORMER),
            {"DATA.MULTI_LABEL": False, "TENSORBOARD.ENABLE": False, "DIST_BACKEND": "nccl"},
        ),
    ],
    ids=str,
)
def test_what_is_said_of_training_and_of_its_start_changes_nothing(
    file: Golden, besides: dict[str, Any]
) -> None:
    said = golden(file.builder, file.family, **file.config | besides)
    assert spec_of(said) == spec_of(file)


@pytest.mark.parametrize(
    ("file", "missing"),
    [
        (golden("tsm", "gc", arch="BNInception"), "blockres of BNInception"),
        (golden("tsm", "gc", arch="InceptionV3"), "arch InceptionV3"),
        (golden("tsm", "gc", consensus_type="identity"), "consensus_type 'identity'"),
        (golden("tsm", "gc", modality="RGBDiff"), "modality RGBDiff"),
        (golden("gst", "gc", type="R3D"), "GST-video's R3D"),
        (golden("lmr-motionformer", "lmr", **{"VIT.NUM_EXPERTS": 2}), "VIT.NUM_EXPERTS 2"),
        (golden("motionformer", "lmr", **{"VIT.VIDEO_INPUT": False}), "VIT.VIDEO_INPUT False"),
        (golden("bLVNet_TAM", "blvnet", frames_per_group=2), "frames_per_group 2"),
    ],
    ids=str,
)
def test_what_is_not_here_is_named(file: Golden, missing: str) -> None:
    assert not_built_yet(file) == missing


@pytest.mark.parametrize(
    "file",
    [
        golden("tsm", "gc", dviv=8),
        golden("arp.resnet", "blvnet", depth=50, groups=8, dviv=8),
        golden("motionformer", "lmr", **{"VIT.DVIV": 8}),
        golden("motionformer", "lmr", dviv=8),
    ],
    ids=str,
)
def test_an_option_that_nobody_knows_fails_by_its_name(file: Golden) -> None:
    with pytest.raises(AssertionError, match=r"no rule for config \['(VIT\.DVIV|dviv)'\]"):
        spec_of(file)


def test_one_option_under_two_names_has_one_value() -> None:
    assert spec_of(golden("tsm", "gc", div=4, shift_div=4)).temporal == (
        TSM(4, alternate="network"),
    )
    with pytest.raises(AssertionError, match="shift_div has two values"):
        spec_of(golden("tsm", "gc", div=4, shift_div=8))


# --- joint positions, which no file at hand has ------------------------------------------------


@torch.no_grad()
def test_joint_positions_are_added_token_by_token_under_their_names() -> None:
    """x = [CLS, frame by frame, place by place] + st_embed; the places of pictures are dropped."""
    encoder = MotionformerSpec(depth=1, width=24, num_heads=3, positions="joint", patch=112)
    spec = ModelSpec(encoder, (), num_segments=4, heads=(Head("label", 5),), dropout=0.0)
    torch.manual_seed(0)
    model = spec.build().eval().double()
    theirs = {"cls_token": torch.randn(1, 1, 24), "st_embed": torch.randn(1, 1 + 2 * 4, 24)}
    theirs |= {"pos_embed": torch.randn(1, 1 + 4, 24)}
    theirs |= {"patch_embed_3d.proj.weight": torch.randn(24, 3, 2, 112, 112)}
    theirs |= {"patch_embed_3d.proj.bias": torch.randn(24)}
    theirs = {name: weight.double() for name, weight in theirs.items()}
    parts = motionformer.parts(theirs, spec)
    own = model.state_dict() | renamed(parts, motionformer.rename, model.state_dict())
    model.load_state_dict(own)
    clip = torch.randn(2, 4, 3, 224, 224, dtype=torch.float64)
    kernel, bias = theirs["patch_embed_3d.proj.weight"], theirs["patch_embed_3d.proj.bias"]
    tokens = [theirs["cls_token"][0].expand(2, -1)]
    for f in range(2):
        for row in range(2):
            for column in range(2):
                h, w = slice(112 * row, 112 * row + 112), slice(112 * column, 112 * column + 112)
                part = clip[:, 2 * f : 2 * f + 2, :, h, w].transpose(1, 2)
                tokens.append(torch.einsum("bcthw,dcthw->bd", part, kernel) + bias)
    wanted = torch.stack(tokens, dim=1) + theirs["st_embed"]
    torch.testing.assert_close(model.encoder.embed(clip), wanted, rtol=1e-9, atol=1e-9)
