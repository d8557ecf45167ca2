"""LoRA: what it changes, and that what it learned is in the weights of a model to use."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from marey.longtail.decouple import set_trainable, training_mode
from marey.models import MobileNetV2Spec, ModelSpec, MotionformerSpec, ResNetSpec, VideoModel
from marey.models.lora import LoRA, is_lora, without_lora
from marey.recipes.optim import AdamW
from tests.laws.kinds import KINDS, random_clip, random_model, tiny

EVERY_CONV = LoRA(rank=2, layers=r"layer[34]\..*conv\d")
NETS = {
    "resnet": (tiny(ResNetSpec(26, channels=16)), LoRA(rank=2)),
    "basic blocks": (tiny(ResNetSpec(18, channels=16)), EVERY_CONV),
    "mobilenet": (tiny(MobileNetV2Spec(0.1)), LoRA(rank=2, alpha=3)),
    "motionformer": (KINDS["motionformer"], LoRA(rank=2)),
    "vit": (KINDS["vit-divided"], LoRA(rank=2, dropout=0.1)),
}


def with_lora(spec: ModelSpec, lora: LoRA) -> VideoModel:
    pytest.importorskip("peft", reason="an extra: marey[hf]")
    if isinstance(spec.encoder, MotionformerSpec):
        spec = replace(spec, encoder=replace(spec.encoder, drop_path=0.0))
    model = random_model(replace(spec, lora=lora)).float()
    model.add_lora()
    return model


@pytest.mark.parametrize("name", NETS)
def test_additions_alone_learn_and_are_then_in_the_weights(name: str) -> None:
    spec, lora = NETS[name]
    plain = random_model(spec).float()
    model = with_lora(spec, lora)
    clip = random_clip(spec, batch=2).float()
    with torch.no_grad():
        seen, expected = model.eval()(clip)["label"], plain(clip)["label"]  # B begins at 0
    torch.testing.assert_close(seen, expected)

    set_trainable(model, "all")
    training_mode(model, "all")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = AdamW().param_groups(model)
    optimizer = AdamW().build([{"params": list(group.parameters.values())} for group in groups])
    for _ in range(2):  # until B is not 0, no gradient comes to A
        optimizer.zero_grad()
        model(clip)["label"].square().sum().backward()
        optimizer.step()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    additions = {n for n in before if is_lora(n)}
    assert changed == additions | {"heads.label.weight", "heads.label.bias"}

    merged = without_lora(model.state_dict(), lora)
    assert merged.keys() == plain.state_dict().keys()
    plain.load_state_dict(merged)
    with torch.no_grad():
        seen = model.eval()(clip)["label"]
        torch.testing.assert_close(plain(clip)["label"], seen, rtol=1e-4, atol=1e-4)
    assert without_lora(merged, None).keys() == merged.keys()
    with pytest.raises(ValueError, match="is an addition of LoRA, and nothing says of which"):
        without_lora(model.state_dict(), None)


def test_only_additions_of_the_last_blocks_learn_where_that_is_asked() -> None:
    model = with_lora(*NETS["vit"])
    set_trainable(model, "all", 1)
    learning = {name for name, p in model.encoder.named_parameters() if p.requires_grad}
    assert learning
    assert all(name.startswith("blocks.1.") and is_lora(name) for name in learning)


def test_a_model_that_learns_by_lora_takes_other_frames() -> None:
    model = with_lora(*NETS["resnet"])
    other = model.with_frames(2)
    clip = random_clip(other.spec, batch=1).float()
    with torch.no_grad():
        other.eval()(clip)
    shared = dict(other.encoder.named_parameters())
    assert all(shared[name] is not None for name, _ in model.encoder.named_parameters())


def test_layers_that_are_not_there_are_an_error_that_names_some() -> None:
    with pytest.raises(ValueError, match=r"finds no layer 'atn' .* layers are .*conv1"):
        with_lora(NETS["resnet"][0], LoRA(layers="atn"))
    with pytest.raises(ValueError, match=r"layers is '\(', no regular expression"):
        LoRA(layers="(")


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    model = replace(NETS["vit"][0], lora=LoRA()).build()
    with pytest.raises(ValueError, match=r"LoRA needs peft.*pip install 'marey\[hf\]'"):
        model.add_lora()
