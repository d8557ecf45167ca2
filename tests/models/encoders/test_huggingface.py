"""Small random networks of transformers, as encoders: what they give is what transformers gives."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from marey.longtail.decouple import set_trainable
from marey.models import Head, ModelSpec
from marey.models.depth import depth_by_stage
from marey.models.encoders.attentive_pool import AttentivePoolSpec
from marey.models.encoders.huggingface import HuggingFaceSpec, stated_config
from marey.models.encoders.huggingface_kinds import KINDS
from marey.models.lora import LoRA, is_lora
from marey.models.profile import cost

FRAMES = 4
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
OF_32 = SMALL | {"image_size": 32}
PREDICTOR = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "videomae": OF_32 | {"num_frames": FRAMES},
    "vjepa2": SMALL | PREDICTOR | {"hidden_size": 24, "crop_size": 32, "frames_per_clip": FRAMES},
    "timesformer": OF_32 | {"num_frames": FRAMES},
    "vivit": OF_32 | {"num_frames": FRAMES, "tubelet_size": [2, 16, 16]},
    "hiera": {"embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4, "image_size": [32, 32]},
    "dinov2": SMALL | {"image_size": 28, "patch_size": 14},
    "dinov2_with_registers": SMALL | {"image_size": 28, "patch_size": 14},
    "dinov3_vit": OF_32 | {"num_register_tokens": 3},
    "clip_vision_model": OF_32 | {"patch_size": 16},
    "siglip_vision_model": OF_32 | {"patch_size": 16},
    "vit": OF_32,
}
Output = Callable[[Any, Tensor], Tensor]


def spec_of(kind: str) -> HuggingFaceSpec:
    return HuggingFaceSpec(kind, json.dumps(CONFIGS[kind]))


def by_classifier(name: str) -> Output:
    """What the network of transformers that classifies gives its last layer."""

    def pooled(theirs: Any, x: Tensor) -> Tensor:
        import transformers

        theirs.config.num_labels = 0
        network = getattr(transformers, name)(theirs.config).eval()
        (inner,) = (m for m in network.children() if type(m) is type(theirs))
        inner.load_state_dict(theirs.state_dict())
        return network(x).logits

    return pooled


POOLED: dict[str, Output] = {
    "videomae": lambda network, x: network(x).logits,
    "vjepa2": lambda network, x: network.get_vision_features(x).mean(dim=1),
    "timesformer": by_classifier("TimesformerForVideoClassification"),
    "vivit": by_classifier("VivitForVideoClassification"),
    "hiera": lambda network, x: network(x).pooler_output,
    "dinov2": by_classifier("Dinov2ForImageClassification"),
    "dinov2_with_registers": by_classifier("Dinov2WithRegistersForImageClassification"),
    "dinov3_vit": lambda network, x: network(x).pooler_output,
    "clip_vision_model": lambda network, x: network(x).pooler_output,
    "siglip_vision_model": lambda network, x: network(x).pooler_output,
    "vit": by_classifier("ViTForImageClassification"),
}
TOKENS = {  # of a clip or picture: times, places
    "videomae": (2, 4),
    "vjepa2": (2, 4),
    "timesformer": (4, 4),
    "vivit": (2, 4),
    "hiera": (4, 1),
}


def test_every_kind_has_a_specimen() -> None:
    assert CONFIGS.keys() == KINDS.keys() == POOLED.keys()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_features_and_tokens_are_those_of_transformers(kind: str) -> None:
    transformers = pytest.importorskip("transformers", reason="an extra: marey[hf]")
    spec = spec_of(kind)
    torch.manual_seed(1)
    model = ModelSpec(spec, num_segments=FRAMES, heads=(Head("label", 3),)).build().eval()
    encoder, size = model.encoder, spec.architecture.trained_size
    config = transformers.AutoConfig.for_model(kind, **CONFIGS[kind])
    kwargs = {"add_pooling_layer": False} if kind in ("vit", "vivit") else {}
    config.num_labels = 0
    theirs = getattr(transformers, KINDS[kind].network)(config, **kwargs).eval()
    own = theirs.state_dict()
    encoder.load_state_dict(encoder.from_image_model(own))  # all of ours are theirs

    clip = torch.randn(2, FRAMES, 3, size, size)
    x = clip if spec.architecture.takes_clips else clip.flatten(0, 1)
    times = 1 if spec.architecture.takes_clips else FRAMES
    expected = POOLED[kind](theirs, x).view(2, times, -1)
    assert expected.shape[2] == encoder.num_features
    torch.testing.assert_close(model.features(clip), expected)

    inner = theirs.videomae if kind == "videomae" else theirs
    hidden = inner(x).last_hidden_state
    tokens = encoder.tokens(clip)
    assert tuple(tokens.shape[:3]) == (2, *TOKENS.get(kind, (FRAMES, 4)))
    assert tokens.shape[3] == encoder.token_features
    beside = encoder.class_tokens
    assert beside == {"dinov2_with_registers": 5, "dinov3_vit": 4}.get(
        kind, int(kind not in ("videomae", "vjepa2", "hiera", "siglip_vision_model"))
    )
    places = tokens.transpose(1, 2) if kind == "timesformer" else tokens
    torch.testing.assert_close(places.reshape(len(x), -1, hidden.shape[2]), hidden[:, beside:])
    assert cost(model.spec, size).parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_other_frames_and_sizes_are_taken_with_a_word_or_refused(kind: str) -> None:
    pytest.importorskip("transformers", reason="an extra: marey[hf]")
    spec = spec_of(kind)
    model = ModelSpec(spec, num_segments=FRAMES, heads=(Head("label", 3),)).build().eval()
    size = spec.architecture.trained_size
    assert not spec.on_clips(FRAMES, size)
    if kind == "vivit":
        with pytest.raises(ValueError, match="each of their tokens has a learned place"):
            model.with_frames(8)
    else:
        assert spec.on_clips(8, size) == SAID_OF_8.get(kind, "")
        scores = model.with_frames(8)(torch.randn(1, 8, 3, size, size))
        assert scores["label"].isfinite().all()
    larger = torch.randn(1, FRAMES, 3, 2 * size, 2 * size)
    if spec.architecture.takes_clips:
        with pytest.raises(ValueError, match=f"made for {size} pixels, and takes no {2 * size}"):
            model(larger)
        return
    said = spec.on_clips(FRAMES, 2 * size)
    assert (said == "") == (kind == "dinov3_vit")
    assert not said or f"for {size} pixels are resized to {2 * size} (bicubic)" in said
    assert model(larger)["label"].isfinite().all()
    with pytest.raises(ValueError, match=f"{size + 1} pixels are not whole patches of"):
        spec.on_clips(FRAMES, size + 1)


_MADE = "is made for clips of 4 frames"
SAID_OF_8 = {
    "videomae": f"videomae {_MADE}: the places of 8 follow from the same waves",
    "vjepa2": f"vjepa2 {_MADE}: the places of 8 follow from the same rotations",
    "timesformer": f"timesformer {_MADE}: its times (time_embeddings) are resized to 8 (nearest)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_taken_for_not_stated_is_as_in_transformers(kind: str) -> None:
    transformers = pytest.importorskip("transformers", reason="an extra: marey[hf]")
    config, spec = transformers.AutoConfig.for_model(kind), HuggingFaceSpec(kind)
    frames = getattr(config, "num_frames", getattr(config, "frames_per_clip", 0))
    size = getattr(config, "image_size", getattr(config, "crop_size", 0))
    assert spec.architecture.trained_frames == frames
    assert spec.architecture.trained_size == (size[0] if isinstance(size, list | tuple) else size)
    assert spec.in_channels == 3
    if kind not in ("hiera", "vivit"):
        assert spec.architecture.patch == config.patch_size


def test_every_block_learns_by_additions_and_every_kind_has_a_neck_over_its_tokens() -> None:
    pytest.importorskip("peft", reason="an extra: marey[hf]")
    for kind in KINDS:
        spec = ModelSpec(
            spec_of(kind),
            num_segments=FRAMES,
            heads=(Head("label", 3),),
            neck=AttentivePoolSpec(num_heads=2),
            lora=LoRA(rank=1),
        )
        model, size = spec.build(), spec_of(kind).architecture.trained_size
        clip = torch.randn(1, FRAMES, 3, size, size)
        set_trainable(model, "all")
        model(clip)["label"].sum().backward()
        idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert not idle, kind  # for which DDP would wait
        model.add_lora()
        set_trainable(model, "all")
        model(clip)["label"].sum().backward()
        learning = {name: p for name, p in model.encoder.named_parameters() if p.requires_grad}
        assert all(is_lora(name) and p.grad is not None for name, p in learning.items()), kind
        layers = {name.partition(".lora_")[0] for name in learning}
        assert len(layers) >= 2 * 4, kind  # of two blocks


def test_depth_goes_from_the_embeddings_to_what_is_behind_the_blocks() -> None:
    pytest.importorskip("transformers", reason="an extra: marey[hf]")
    encoder = ModelSpec(spec_of("clip_vision_model"), num_segments=2).build().encoder
    depths = depth_by_stage(encoder)
    by_part = {
        part: {depth for name, depth in depths.items() if f"network.{part}" in name}
        for part in ("embeddings", "pre_layrnorm", "encoder.layers.1", "post_layernorm")
    }
    assert by_part == {
        "embeddings": {0},
        "pre_layrnorm": {0},
        "encoder.layers.1": {2},
        "post_layernorm": {3},
    }


def test_a_spec_holds_what_is_stated_of_the_half_that_sees() -> None:
    facts = {"model_type": "clip", "vision_config": {"hidden_size": 16, "dtype": "float16"}}
    spec = stated_config(facts)
    assert spec == HuggingFaceSpec("clip_vision_model", '{"hidden_size": 16}')
    with pytest.raises(ValueError, match="its model_type is 'bert', known here are videomae,"):
        stated_config({"model_type": "bert"})


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("bert", "{}", "kind is 'bert', expected one of videomae"),
        ("vit", "[]", r"config is '\[\]', expected a JSON object"),
        ("vit", "{", "expected a JSON object"),
        ("vit", '{"image_size": [[]]}', "config states no numbers of frames and pixels"),
        ("vit", '{"patch_size": 0}', "patch is 0, expected at least 1"),
    ],
)
def test_what_is_no_spec_is_refused(kind: str, config: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HuggingFaceSpec(kind, config)


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs transformers.*pip install 'marey\[hf\]'"):
        ModelSpec(spec_of("vit"), num_segments=2).build()
