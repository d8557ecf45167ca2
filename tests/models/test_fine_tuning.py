"""How much of an encoder learns: its last blocks, by depth, and with less memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from marey.longtail.decouple import set_trainable, training_mode
from marey.models import MobileNetV2Spec, ModelSpec, MotionformerSpec, ResNetSpec, VideoModel
from marey.models.checkpointing import checkpointed
from marey.models.depth import blocks, depth_by_stage, num_stages
from marey.recipes.optim import SGD, AdamW
from tests.laws.kinds import KINDS, random_clip, random_model, tiny
from tests.tiny import TinySpec

NETS = {
    "resnet": tiny(ResNetSpec(26, channels=16)),
    "mobilenet": tiny(MobileNetV2Spec(0.1)),
    "vit": KINDS["vit-divided"],
}


@pytest.mark.parametrize(("name", "stages", "number"), [("resnet", 4, 8), ("mobilenet", 7, 17)])
def test_a_stage_is_one_of_the_paper_and_a_block_a_residual_one(
    name: str, stages: int, number: int
) -> None:
    encoder = NETS[name].build().encoder
    assert (num_stages(encoder), len(blocks(encoder))) == (stages, number)
    depths = depth_by_stage(encoder)
    assert list(depths.values()) == sorted(depths.values())
    assert set(depths.values()) == set(range(stages + 1 + (name == "mobilenet")))


def test_every_kind_says_which_blocks_it_has() -> None:
    for name in ("tsn-blresnet", "tdn", "i3d-nl", "blvnet-tam", "gc-mobilenet", "motionformer"):
        encoder = KINDS[name].build().encoder
        inside = {p for block in blocks(encoder) for p in block.parameters()}
        assert len(inside) > len(list(encoder.parameters())) / 2, name


def _step(model: VideoModel, optim: SGD | AdamW, last_blocks: int | None) -> set[str]:
    """The names of what a step of training changes: weights and statistics."""
    set_trainable(model, "all", last_blocks)
    training_mode(model, "all", last_blocks)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = optim.param_groups(model)
    rows = [{"params": list(g.parameters.values()), "lr": 0.1 * g.lr_mult} for g in groups]
    optimizer = optim.build([row for row in rows if row["params"]])
    scores = model(random_clip(model.spec, batch=2).to(torch.float32))
    scores["label"].square().sum().backward()
    optimizer.step()
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("name", NETS)
def test_the_last_blocks_and_what_is_behind_them_learn(name: str) -> None:
    torch.manual_seed(0)
    model = random_model(NETS[name]).float()
    last, before = blocks(model.encoder)[-1], blocks(model.encoder)[-2]
    names = {module: path for path, module in model.named_modules()}
    changed = _step(model, SGD(groups="one", weight_decay=0), 1)
    assert any(each.startswith(f"{names[last]}.") for each in changed)
    assert {"heads.label.weight", "heads.label.bias"} <= changed
    order = [name for name, _ in model.named_parameters()]
    first = min(order.index(each) for each in changed if each in order)
    assert order[first].startswith(f"{names[last]}.")
    assert not before.training
    assert last.training
    set_trainable(model, "all")
    assert all(p.requires_grad for p in model.heads.parameters())
    assert next(before.parameters()).requires_grad


def test_more_blocks_than_there_are_is_an_error_that_says_how_many() -> None:
    model = NETS["vit"].build()
    with pytest.raises(ValueError, match="last_blocks is 3, the encoder has 2 blocks"):
        set_trainable(model, "all", 3)


def test_an_encoder_without_known_blocks_says_so() -> None:
    model = ModelSpec(TinySpec(), num_segments=2).build()
    with pytest.raises(ValueError, match=r"TinyEncoder does not say which blocks.*blocks_by_stage"):
        SGD(layer_decay=0.5).param_groups(model)


def test_rates_fall_by_the_stage_and_groups_keep_what_they_are_for() -> None:
    model = NETS["mobilenet"].build()
    plain = {n: g for g in SGD().param_groups(model) for n in g.parameters}
    decayed = {n: g for g in SGD(layer_decay=0.5).param_groups(model) for n in g.parameters}
    assert plain.keys() == decayed.keys()
    rates = {n: decayed[n].lr_mult / plain[n].lr_mult for n in plain}
    assert rates["encoder.features.0.0.weight"] == 0.5**8
    assert rates["encoder.features.1.conv.0.0.weight"] == 0.5**7
    assert rates["encoder.features.18.0.weight"] == rates["heads.label.weight"] == 1
    assert all(decayed[n].decay_mult == plain[n].decay_mult for n in plain)
    vit = AdamW(layer_decay=0.75).param_groups(KINDS["vit-divided"].build())
    by_name = {n: g.lr_mult for g in vit for n in g.parameters}
    assert by_name["encoder.cls_token"] == 0.75**3
    assert by_name["encoder.blocks.1.mlp.fc1.weight"] == 0.75
    assert by_name["encoder.norm.weight"] == 1


@pytest.mark.parametrize("name", NETS)
def test_checkpointing_changes_no_bit(name: str) -> None:
    spec = NETS[name]
    if isinstance(spec.encoder, MotionformerSpec):
        assert spec.encoder.drop_path > 0
    one, other = random_model(spec).float().train(), random_model(spec).float().train()
    clip = random_clip(spec, batch=2).float()
    for model in (one, other):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1  # by which a batch that is counted twice is told
        torch.manual_seed(3)
        if model is other:
            with checkpointed(model.encoder):
                model(clip)["label"].square().sum().backward()
        else:
            model(clip)["label"].square().sum().backward()
    for (name_, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name_
        assert p.grad is None or torch.equal(p.grad, q.grad), name_
    for (name_, a), b in zip(one.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(a, b), name_
    assert all("forward" not in vars(module) for module in other.modules())


def test_checkpointing_keeps_less() -> None:
    model = NETS["vit"].build()
    clip = random_clip(model.spec, batch=2).float()

    def kept() -> int:
        sizes: dict[int, int] = {}

        def pack(x: torch.Tensor) -> torch.Tensor:
            if not isinstance(x, nn.Parameter):
                sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(clip)
        return sum(sizes.values())

    whole = kept()
    with checkpointed(model.encoder):
        assert kept() < whole / 2
