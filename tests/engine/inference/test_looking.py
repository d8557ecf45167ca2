"""Where a model looks: at what was put there for it to see, by the plain definition."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.engine.inference.looking import heat_of, look, look_at
from marey.engine.inference.predict import Predictor
from marey.engine.weights.trained import Trained
from marey.errors import RunError
from marey.models.encoders.attentive_pool import AttentivePoolSpec
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.features import FeaturesSpec
from marey.models.encoders.huggingface import HuggingFaceSpec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.encoders.rgb_difference import RGBDifferenceSpec
from marey.models.temporal.tsm import TSM
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.video.reading.reader import open_video
from tests.colours import Colours, colours
from tests.models.encoders.test_huggingface import CONFIGS
from tests.tiny import TinySpec, tiny_recipe, write_clip

HEADS = (Head("label", 3),)
SMALL = ResNetSpec(18, channels=8)


def built(spec: ModelSpec, seed: int = 0) -> VideoModel:
    torch.manual_seed(seed)
    model = spec.build().eval()
    for module in model.modules():  # else maps of fresh batch norms are near to nothing
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model


def test_heat_is_where_the_evidence_is():
    clip = torch.zeros(1, 2, 3, 16, 16)
    clip[0, 1, 0, 4:8, 8:12] = 2.0  # red, in the second frame
    clip[0, 0, 1] = 1.0  # green, all over the first
    heat, label, way = heat_of(colours(), clip, head="label")
    assert (label, way) == (1, "gradients")
    assert heat[0].min() == 1
    assert heat[1].max() == 0
    heat, label, _ = heat_of(colours(), clip, head="label", label=0)
    assert label == 0
    assert heat[0].max() == 0
    assert np.unravel_index(int(heat[1].argmax()), (16, 16)) in {(5, 9), (5, 10), (6, 9), (6, 10)}
    far = torch.ones(16, 16, dtype=torch.bool)
    far[2:10, 6:14] = False  # half a square around is between two cells
    assert heat[1][far].max() == 0


def test_nothing_speaks_for_a_class_without_evidence():
    heat, _, _ = heat_of(colours(), torch.zeros(1, 2, 3, 8, 8), head="label", label=2)
    assert heat.shape == (2, 8, 8)
    assert heat.max() == 0


def by_hand(model: VideoModel, maps: Tensor, head: str, label: int, size: int) -> Tensor:
    """Grad-CAM as the paper writes it, of the last maps [t c h w] of one clip."""
    maps = maps.detach().requires_grad_()
    features = maps.mean(dim=(2, 3))[None]
    model.classify(features)[head][0, label].backward()
    alpha = [float(maps.grad[:, k].mean()) for k in range(maps.shape[1])]
    heat = torch.stack([sum(a * frame[k] for k, a in enumerate(alpha)) for frame in maps.detach()])
    heat = F.interpolate(heat.relu()[None], (size, size), mode="bilinear")[0]
    model.zero_grad()
    return heat


@pytest.mark.parametrize("label", [0, 2])
def test_it_is_the_plain_definition(label):
    model = built(ModelSpec(SMALL, (TSM(),), num_segments=4, heads=HEADS))
    clip = torch.randn(1, 4, 3, 64, 64)
    plain = by_hand(model, model.encoder.maps(clip), "label", label, 64)
    heat, _, _ = heat_of(model, clip, head="label", label=label)
    top = F.interpolate(plain[None], (64, 64))[0].max()
    assert heat.max() > 0.5
    assert torch.allclose(heat * top / heat.max(), plain, atol=1e-5 * float(top))


@pytest.mark.parametrize(
    ("spec", "num_frames"),
    [
        (ModelSpec(SMALL, num_segments=3, heads=HEADS), 3),
        (ModelSpec(MobileNetV2Spec(width=0.25), (TSM(),), num_segments=3, heads=HEADS), 3),
        (ModelSpec(BLVNetSpec(channels=8), num_segments=2, heads=HEADS), 4),
        (ModelSpec(RGBDifferenceSpec(SMALL), num_segments=3, heads=HEADS), 3),
        (
            ModelSpec(
                SMALL, num_segments=3, heads=HEADS, neck=AttentivePoolSpec(num_heads=2, width=8)
            ),
            3,
        ),
        (
            ModelSpec(
                MotionformerSpec(depth=2, width=32, num_heads=2, patch=32),
                num_segments=4,
                heads=HEADS,
            ),
            4,
        ),
    ],
    ids=["resnet", "mobilenet", "blvnet", "rgb-difference", "over-tokens", "motionformer"],
)
def test_the_model_stays_as_it_is(spec: ModelSpec, num_frames: int):
    model = built(spec)
    clip, before = torch.randn(1, num_frames, 3, 64, 64), {}
    for parameter in model.parameters():
        parameter.requires_grad_(False)  # as of a frozen encoder
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        scores = model(clip)["label"]
        heat, label, way = heat_of(model, clip.clone(), head="label")
        again = model(clip)["label"]
    assert heat.shape == (num_frames, 64, 64)
    assert (heat >= 0).all()
    assert (heat <= 1).all()
    assert heat.max() > 0
    assert not heat.requires_grad
    assert label == int(scores.argmax())
    assert way == ("attention" if isinstance(spec.encoder, MotionformerSpec) else "gradients")
    assert torch.equal(scores, again)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())


TRANSFORMERS = sorted(CONFIGS.keys() - {"hiera"})


def of_transformers(kind: str) -> VideoModel:
    pytest.importorskip("transformers")
    spec = HuggingFaceSpec(kind, json.dumps(CONFIGS[kind]))
    return built(ModelSpec(spec, num_segments=4, heads=HEADS))


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_transformers_are_looked_into_before_their_last_block(kind: str):
    model, size = of_transformers(kind), 28 if kind.startswith("dinov2") else 32
    clip = torch.randn(1, 4, 3, size, size)
    scores = model(clip)["label"]
    heats = torch.stack([heat_of(model, clip, head="label", label=k)[0] for k in range(3)])
    assert heats.shape == (3, 4, size, size)
    assert heats.max() > 0.5
    assert torch.equal(model(clip)["label"], scores)
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())


def test_of_a_transformer_it_is_the_plain_definition():
    """Of what the last but one block gives, which is what the last one meets."""
    model, clip = of_transformers("vit"), torch.randn(1, 4, 3, 32, 32)
    kept: list[Tensor] = []
    hook = model.encoder.blocks_by_stage()[-2][-1].register_forward_hook(
        lambda module, given, out: kept.append(out[0] if isinstance(out, tuple) else out)
    )
    score = model(clip)["label"][0, 1]
    hook.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    places, slope = kept[0][:, 1:].detach(), slope[:, 1:]  # [t 4 d], the class token left out
    plain = (places * slope.mean(dim=(0, 1))).sum(dim=2).relu().view(1, 4, 2, 2)
    large = F.interpolate(plain / plain.max(), (32, 32), mode="bilinear")[0]
    heat, _, _ = heat_of(model, clip, head="label", label=1)
    assert torch.allclose(heat, large, atol=1e-5)


def test_places_of_tokens_are_found_in_their_order():
    """TimeSformer has its tokens place by place, ViViT and VideoMAE time by time."""
    for kind, order in (("timesformer", "place"), ("videomae", "time")):
        encoder = of_transformers(kind).encoder
        times, extra = 4 // encoder.tubelet, encoder.class_tokens
        marks = torch.arange(times * 4.0)
        tokens = torch.cat([torch.full((extra,), -1.0), marks])[None, :, None]
        places = encoder.places(tokens)[0, :, :, 0]
        assert torch.equal(
            places, marks.view(4, times).T if order == "place" else marks.view(times, 4)
        )


def test_the_look_of_a_class_token_is_its_attention():
    """Keys that are all alike share the look evenly; one that fits has it all."""
    spec = MotionformerSpec(depth=1, width=8, num_heads=2, patch=32, tubelet=1)
    model = built(ModelSpec(spec, num_segments=2, heads=HEADS))
    attention = model.encoder.blocks[-1].attn
    with torch.no_grad():
        attention.qkv.weight[8:16] = 0  # keys
    heat, _, _ = heat_of(model, torch.randn(1, 2, 3, 64, 64), head="label")
    assert torch.allclose(heat, torch.ones(2, 64, 64))


def test_what_cannot_be_shown_is_refused():
    clip = torch.zeros(1, 2, 3, 32, 32)
    model = ModelSpec(TinySpec(), num_segments=2, heads=HEADS).build().eval()
    with pytest.raises(RunError, match="TinyEncoder: it is no EncoderModule"):
        heat_of(model, clip, head="label")
    with pytest.raises(ValueError, match="training mode"):
        heat_of(model.train(), clip, head="label")


class Flattened(Colours):
    """Its features are no mean of its tokens."""

    def tokens(self, clip: Tensor) -> Tensor:
        return 2 * super().tokens(clip)


def test_maps_that_are_not_the_tokens_are_refused():
    model = colours()
    model.encoder = Flattened(2)
    with pytest.raises(RunError, match="not pooled from its last maps"):
        heat_of(model, torch.ones(1, 2, 3, 8, 8), head="label")


def predictor(tmp_path: Path) -> Predictor:
    recipe = tiny_recipe(tmp_path / "manifest.csv")
    model = built(replace(recipe.model, encoder=SMALL, heads=(Head("label", 4),)))
    recipe = replace(recipe, model=model.spec)
    classes = {"label": ("dark", "red", "green", "blue")}
    return Predictor(Trained(recipe, model, classes), torch.device("cpu"))


def test_a_video_is_looked_at_as_it_is_tested(tmp_path: Path):
    write_clip(tmp_path / "a.mp4", 1, num_frames=9)
    model = predictor(tmp_path)
    with open_video(tmp_path / "a.mp4") as video:
        seen = look(model, video)
        other = look(model, video, label="blue")
        frames = video.read(model.trained.recipe.test.sampling.indices(9)[0])
        view = model.trained.recipe.test.crop(frames)[0]
        assert (seen.frames == view.permute(0, 2, 3, 1).numpy()).all()
        with pytest.raises(ValueError, match="'pink', which is no class of the head 'label'"):
            look(model, video, label="pink")
        with pytest.raises(ValueError, match="head is 'verb', expected one of label"):
            look(model, video, head="verb")
    assert seen.frames.shape == (2, 32, 32, 3)
    assert seen.heat.shape == (2, 32, 32)
    assert seen.label == model.predict(tmp_path / "a.mp4", top=1)[0]["label"]
    assert other.label == "blue"


def test_features_have_no_places(tmp_path: Path):
    whole = predictor(tmp_path)
    model = ModelSpec(FeaturesSpec(8), num_segments=2, heads=(Head("label", 4),)).build().eval()
    features = replace(whole, trained=replace(whole.trained, model=model))
    with pytest.raises(RunError, match="features, which have no places"):
        look_at(features, torch.zeros(2, 3, 32, 32, dtype=torch.uint8))


def test_an_export_is_closed(tmp_path: Path):
    whole = predictor(tmp_path)
    without = replace(whole, trained=replace(whole.trained, model=whole.trained.model.to("meta")))
    with pytest.raises(RunError, match="an export without weights of torch"):
        look_at(without, torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
