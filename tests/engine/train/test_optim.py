from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from marey.engine.train.optim import build_optimizer, go_on, set_rates
from marey.models import (
    TSM,
    ECal,
    GroupContext,
    Head,
    MobileNetV2Spec,
    ModelSpec,
    NonLocal,
    ResNetSpec,
    VideoModel,
)
from marey.models.optim_groups import plain_groups, tsm_groups
from marey.models.own_groups import Group
from marey.models.sites import Block, Site, TemporalOp
from marey.recipes.optim import SGD, AdamW, Cosine, StepDecay, Warmup
from marey.recipes.recipe import Stage
from marey.recipes.schema import from_yaml, override, to_yaml
from tests.parity.golden import read
from tests.tiny import TinySpec

TWO_HEADS = (Head("verb", 3), Head("noun", 2))


def on_meta(spec: ModelSpec) -> VideoModel:
    with torch.device("meta"):
        return spec.build()


def contents(model: VideoModel, *, head_lr5: bool = True) -> dict[str, set[str]]:
    groups = tsm_groups(model, head_lr5=head_lr5)
    return {group.name: set(group.parameters) for group in groups}


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(ResNetSpec(50), (TSM(), NonLocal()), heads=TWO_HEADS),
        ModelSpec(MobileNetV2Spec(), partial_bn=True),
        ModelSpec(ResNetSpec(50), (TSM(), GroupContext())),
    ],
    ids=["r50-nl", "mobilenet-partial-bn", "gc-tsm"],
)
def test_every_trainable_parameter_is_in_one_group_of_either_policy(spec: ModelSpec) -> None:
    model = on_meta(spec)
    trainable = sorted(name for name, p in model.named_parameters() if p.requires_grad)
    fast_calibrators = tsm_groups(model, head_lr5=True, calibrator_lr=5)
    for groups in (tsm_groups(model, head_lr5=True), fast_calibrators, plain_groups(model)):
        assert sorted(name for group in groups for name in group.parameters) == trainable


def test_the_tsm_policy_sorts_by_what_a_parameter_belongs_to() -> None:
    found = contents(on_meta(ModelSpec(ResNetSpec(50), (NonLocal(),), heads=TWO_HEADS)))
    assert list(found) == [
        *("first_conv_weight", "first_conv_bias", "normal_weight", "normal_bias"),
        *("BN scale/shift", "custom_ops", "lr5_weight", "lr10_bias"),
    ]
    assert found["first_conv_weight"] == {"encoder.conv1.weight"}
    assert found["lr5_weight"] == {"heads.verb.weight", "heads.noun.weight"}
    assert found["lr10_bias"] == {"heads.verb.bias", "heads.noun.bias"}
    assert "encoder.layer2.0.block_out.theta.bias" in found["normal_bias"]
    assert "encoder.layer2.0.block_out.bn.bias" in found["BN scale/shift"]
    assert not found["first_conv_bias"] | found["custom_ops"]


@pytest.mark.parametrize("gates", ["LTSG", "G"])
def test_calibrators_learn_five_times_as_fast_with_their_norms(gates: str) -> None:
    model = on_meta(ModelSpec(ResNetSpec(50), (GroupContext(gates),)))
    groups = {g.name: g for g in tsm_groups(model, head_lr5=False, calibrator_lr=5)}
    at = "encoder.layer1.0.after_bn2"
    last = f"{at}.{len(gates) - 1}.conv.weight"
    assert last in groups["ef_lr_weight"].parameters
    assert len(groups["ef_weight"].parameters) == 16 * (len(gates) - 1)
    assert f"{at}.0.bn.bias" in groups["ef_bn"].parameters
    assert {(g.lr_mult, g.decay_mult) for n, g in groups.items() if n.startswith("ef")} == {
        (5, 1),
        (5, 0),
    }
    assert not any("after_bn2" in n for n in groups["BN scale/shift"].parameters)


def test_calibrators_of_the_earlier_generation_learn_twice_as_fast_but_for_their_norms() -> None:
    model = on_meta(ModelSpec(ResNetSpec(50), (ECal("G"),)))
    groups = {g.name: g for g in tsm_groups(model, head_lr5=False, calibrator_lr=2)}
    assert groups["ef_weight"].lr_mult == 2
    assert len(groups["ef_weight"].parameters) == 2 * 16
    assert "encoder.layer1.0.residual_out.bn2.weight" in groups["BN scale/shift"].parameters


def test_calibrators_learn_like_the_rest_unless_asked() -> None:
    found = contents(on_meta(ModelSpec(ResNetSpec(50), (GroupContext(),))))
    assert "encoder.layer1.0.after_bn2.3.conv.weight" in found["normal_weight"]
    assert "encoder.layer1.0.after_bn2.3.bn.weight" in found["BN scale/shift"]
    assert not any(name.startswith("ef") for name in found)


def test_heads_learn_like_the_rest_when_training_does_not_start_from_imagenet() -> None:
    found = contents(on_meta(ModelSpec(ResNetSpec(18))), head_lr5=False)
    assert "heads.label.weight" in found["normal_weight"]
    assert "heads.label.bias" in found["normal_bias"]
    assert not found["lr5_weight"] | found["lr10_bias"]


@pytest.mark.parametrize(("channels", "mults"), [(3, (1, 2)), (10, (5, 10))])
def test_the_first_convolution_learns_five_times_as_fast_on_flow(
    channels: int, mults: tuple[int, int]
) -> None:
    groups = tsm_groups(on_meta(ModelSpec(ResNetSpec(18, in_channels=channels))), head_lr5=True)
    assert (groups[0].lr_mult, groups[1].lr_mult) == mults


def test_frozen_parameters_are_in_no_group() -> None:
    model = on_meta(ModelSpec(ResNetSpec(18), partial_bn=True))
    assert contents(model)["BN scale/shift"] == {"encoder.bn1.weight", "encoder.bn1.bias"}
    model.encoder.requires_grad_(False)
    optimizer = build_optimizer(model, SGD())
    assert [group["name"] for group in optimizer.param_groups] == ["lr5_weight", "lr10_bias"]


@dataclass(frozen=True)
class Scaled(TemporalOp):
    """An op with a parameter that is no weight of a layer."""

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        module = nn.ParameterList([torch.ones(1)])
        return {"block_out": module} if block.ordinal == 0 else {}


def test_what_no_rule_knows_is_a_custom_op() -> None:
    found = contents(ModelSpec(ResNetSpec(18), (Scaled(),)).build())
    assert found["custom_ops"] == {"encoder.layer1.0.block_out.0"}


def test_rates_and_decay_are_multiples_of_the_recipes() -> None:
    spec = SGD(lr=0.02, weight_decay=1e-4, momentum=0.8, nesterov=True)
    optimizer = build_optimizer(on_meta(ModelSpec(ResNetSpec(18))), spec, scale=2)
    assert isinstance(optimizer, torch.optim.SGD)
    found = {g["name"]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups}
    assert found == {
        "first_conv_weight": (0.04, 1e-4),
        "normal_weight": (0.04, 1e-4),
        "BN scale/shift": (0.04, 0),
        "lr5_weight": (0.2, 1e-4),
        "lr10_bias": (0.4, 0),
    }
    assert all((g["momentum"], g["nesterov"]) == (0.8, True) for g in optimizer.param_groups)


def test_adamw_does_not_decay_norms_and_biases() -> None:
    optimizer = build_optimizer(on_meta(ModelSpec(ResNetSpec(18))), AdamW(lr=1e-3))
    assert isinstance(optimizer, torch.optim.AdamW)
    decay, no_decay = optimizer.param_groups
    assert (decay["weight_decay"], no_decay["weight_decay"]) == (0.05, 0)
    assert decay["lr"] == no_decay["lr"] == 1e-3
    assert all(p.ndim >= 2 for p in decay["params"])
    assert all(p.ndim == 1 for p in no_decay["params"])


def test_sgd_may_use_the_plain_groups_and_adamw_those_of_tsm() -> None:
    model = on_meta(ModelSpec(ResNetSpec(18)))
    plain = build_optimizer(model, SGD(groups="plain"))
    assert [group["name"] for group in plain.param_groups] == ["decay", "no_decay"]
    tsm = build_optimizer(model, AdamW(groups="tsm", head_lr5=True))
    assert "lr10_bias" in {group["name"] for group in tsm.param_groups}


def test_setting_rates_keeps_the_groups_apart_and_survives_a_checkpoint() -> None:
    model = ModelSpec(ResNetSpec(18)).build()
    optimizer = build_optimizer(model, SGD(lr=0.1))
    set_rates(optimizer, 0.1)
    resumed = build_optimizer(model, SGD(lr=0.1))
    resumed.load_state_dict(optimizer.state_dict())
    for factor in (0.5, 0.25):
        set_rates(resumed, factor)
        rates = {group["name"]: group["lr"] for group in resumed.param_groups}
        assert rates["normal_weight"] == pytest.approx(0.1 * factor)
        assert rates["lr10_bias"] == pytest.approx(1.0 * factor)


def test_the_schedules_of_tsm_are_reproduced_epoch_by_epoch(goldens_dir: Path) -> None:
    for case in read(goldens_dir / "gc/schedules.json").values["tsm"]:
        steps = StepDecay(milestones=tuple(case["steps"]))
        stage = Stage(
            epochs=case["epochs"],
            schedule=Cosine(per="epoch") if case["type"] == "cos" else steps,
        )
        for epoch, wanted in enumerate(case["lr_per_epoch"]):
            for within in (0.0, 0.5, 0.99):  # the rate holds for a whole epoch
                assert case["base"] * stage.lr_factor(epoch + within) == pytest.approx(wanted)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("kind", ["step", "cosine"])
def test_the_schedules_of_tdn_are_reproduced_step_by_step(
    goldens_dir: Path, kind: str, warmup: int
) -> None:
    cases = [
        case
        for case in read(goldens_dir / "gc/schedules.json").values["tdn"]
        if case["type"] == kind and bool(case["warmup_epoch"]) == bool(warmup)
    ]
    assert cases
    for case in cases:
        stage = Stage(
            epochs=case["epochs"],
            schedule=StepDecay(tuple(case["lr_steps"])),
            warmup=Warmup(case["warmup_epoch"], start=1 / case["warmup_multiplier"]),
        )
        if kind == "cosine":
            stage = replace(stage, schedule=Cosine(final=1e-5 / case["base"]))
        for step, wanted in enumerate(case["lr_per_iter"]):
            rate = case["base"] * stage.lr_factor(step / case["iters_per_epoch"])
            assert rate == pytest.approx(wanted), f"step {step}"


class Slow(nn.Module):
    """A module that wants a tenth of the rate, and no decay, for its scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm2d(64)

    def optim_groups(self, rates: Mapping[str, float]) -> list[Group]:
        return [Group("slow", 0.1, 0, {"scale": self.scale}), Group("none")]


@dataclass(frozen=True)
class AddSlow(TemporalOp):
    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        return {"stage_in": Slow()} if block.stage == block.index == 0 else {}


def test_a_module_says_its_own_group_which_comes_after_those_of_the_policy() -> None:
    model = on_meta(ModelSpec(ResNetSpec(18), (AddSlow(),)))
    groups = tsm_groups(model, head_lr5=True)
    assert [group.name for group in groups[8:]] == ["slow", "none"]
    assert set(groups[8].parameters) == {"encoder.layer1.0.stage_in.scale"}
    assert "encoder.layer1.0.stage_in.norm.weight" in groups[4].parameters
    *_, slow = build_optimizer(model, SGD(lr=0.1, weight_decay=0.5)).param_groups
    assert (slow["name"], slow["lr"], slow["weight_decay"]) == ("slow", pytest.approx(0.01), 0)


@dataclass(frozen=True)
class RMS:
    """An optimiser that is not marey's."""

    lr: float = 0.1
    weight_decay: float = 0.0

    def param_groups(self, model: VideoModel) -> list[Group]:
        return plain_groups(model)

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.RMSprop:
        return torch.optim.RMSprop(groups, lr=self.lr)


@dataclass(frozen=True)
class Halves:
    """A schedule that is not marey's."""

    def factor(self, epoch: float, epochs: int, warm: float) -> float:
        return 1.0 if epoch < epochs / 2 else 0.5


def test_an_optimiser_and_a_schedule_of_ones_own_stand_in_a_recipe() -> None:
    words = [f"optim={{{__name__}.RMS: {{lr: 0.2}}}}", f"schedule={__name__}.Halves", "epochs=4"]
    stage = override(Stage(), words)
    assert (stage.optim, stage.schedule) == (RMS(0.2), Halves())
    assert from_yaml(Stage, to_yaml(stage)) == stage
    assert [stage.lr_factor(epoch) for epoch in (0, 1.9, 2, 3)] == [1, 1, 0.5, 0.5]
    optimizer = build_optimizer(on_meta(ModelSpec(ResNetSpec(18))), stage.optim, scale=2)
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert [group["lr"] for group in optimizer.param_groups] == [0.4, 0.4]


@pytest.mark.parametrize("spec", [SGD(nesterov=True), AdamW()])
def test_a_fused_step_is_the_same_and_goes_on_from_a_plain_one(spec: SGD | AdamW) -> None:
    plain, fused = (ModelSpec(TinySpec(), num_segments=2, heads=TWO_HEADS).build() for _ in "12")
    fused.load_state_dict(plain.state_dict())
    optimizers = [build_optimizer(plain, spec), build_optimizer(fused, replace(spec, fused=True))]
    for step in range(3):
        for model, optimizer in zip((plain, fused), optimizers, strict=True):
            torch.manual_seed(step)
            for weight in model.parameters():
                weight.grad = torch.randn_like(weight)
            optimizer.step()
        saved = deepcopy(optimizers[0].state_dict())
        go_on(optimizers[1], saved, replace(spec, fused=True))
    assert all(group["fused"] for group in optimizers[1].param_groups)
    for one, other in zip(plain.parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(one, other)
