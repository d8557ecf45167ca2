from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from marey.models import TSM, GroupContext, ResNetSpec
from marey.models.fused import chained, form_of, fused, fuses
from marey.models.fused.convolution import Convolution
from tests.models.fused.lively import EXACT, clips, difference, lively

THIN = ResNetSpec(26, channels=16)


def test_the_given_model_is_not_changed() -> None:
    model = lively(THIN, (TSM(),)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    shown = str(model)
    fused(model)(clips(model))
    assert str(model) == shown
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_form_is_in_evaluation_mode_and_cannot_be_trained() -> None:
    form = fused(lively(THIN).train())
    assert not any(module.training for module in form.modules())
    assert not any(weight.requires_grad for weight in form.parameters())


def test_a_form_shares_no_weight_with_its_model() -> None:
    model = lively(THIN, (TSM(),))
    form, clip = fused(model), clips(model)
    before = form(clip)["label"]
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert torch.equal(form(clip)["label"], before)


def test_a_form_is_called_as_its_model_is() -> None:
    model = lively(THIN, (TSM(),))
    form, clip = fused(model), clips(model)
    assert form.spec == model.spec
    for call in ("encode", "features"):
        assert difference(getattr(model, call)(clip), getattr(form, call)(clip)) < EXACT
    tokens = model.encode(clip, over="tokens")
    assert difference(tokens, form.encode(clip, over="tokens")) < EXACT
    features = model.features(clip)
    assert difference(model(features)["label"], form.classify(features)["label"]) < EXACT


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("frames", [2, 5])
def test_a_form_takes_any_batch_and_the_frames_that_were_chosen_before(
    batch: int, frames: int
) -> None:
    model = lively(THIN, (TSM(),)).with_frames(frames)
    clip = clips(model, batch=batch)
    assert difference(model(clip)["label"], fused(model)(clip)["label"]) < EXACT


def test_no_norm_is_left_in_a_resnet() -> None:
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused(lively(THIN)).modules())


def test_a_form_of_a_form_is_the_same_after_it_was_used_too() -> None:
    model = lively(THIN, (TSM(),))
    form, clip = fused(model), clips(model)
    assert torch.equal(form(clip)["label"], fused(form)(clip)["label"])


def test_a_form_that_was_used_can_change_its_dtype() -> None:
    model = lively(THIN, (TSM(),))
    form, clip = fused(model), clips(model)
    form(clip)
    doubled = form.double()(clip.double())["label"]
    assert difference(model.double()(clip.double())["label"], doubled) < EXACT


def test_a_form_is_exported_in_ordinary_operators() -> None:
    model = lively(THIN, (TSM(), GroupContext()))
    form, clip = fused(model), clips(model)
    graph = torch.export.export(form, (clip,))
    assert not any("mkldnn" in str(node.target) for node in graph.graph.nodes)
    assert difference(model(clip)["label"], graph.module()(clip)["label"]) < EXACT


@pytest.mark.parametrize("stage", ["layer1", "layer2"])
def test_what_a_stage_is_given_is_not_written_over(stage: str) -> None:
    network = fused(lively(ResNetSpec(18, channels=16))).encoder
    x = torch.randn(2, 16, 6, 6).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    network.get_submodule(stage)(x)
    assert torch.equal(x, before)


class Doubled(nn.Conv2d):
    """A convolution with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Renamed(nn.Conv2d):
    """A convolution as any other."""


def test_a_rule_holds_for_classes_that_compute_the_same_only() -> None:
    assert isinstance(form_of(Renamed(3, 4, 1)), Convolution)
    doubled = Doubled(3, 4, 1)
    assert form_of(doubled) is doubled
    assert len(chained([doubled, nn.BatchNorm2d(4)])) == 2


def test_a_module_that_was_changed_from_outside_is_left_alone() -> None:
    seen: list[Tensor] = []
    block = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()).eval()
    block[1].register_forward_hook(lambda *args: seen.append(args[-1]))
    form = form_of(block)
    form(torch.randn(1, 3, 2, 2))
    assert len(seen) == 1


def test_a_norm_is_folded_only_into_what_runs_right_before_it() -> None:
    convolution, norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
    assert len(chained([convolution, norm, nn.ReLU()])) == 1
    assert len(chained([convolution, nn.ReLU(), norm])) == 2
    assert len(chained([convolution, nn.Sequential(nn.Identity(), norm), nn.ReLU6()])) == 1


def test_norms_without_statistics_or_weights() -> None:
    x = torch.randn(2, 3, 5, 5)
    for options, steps in (({"affine": False}, 1), ({"track_running_stats": False}, 2)):
        layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, **options)).eval()
        form = chained(layers)
        assert len(form) == steps
        torch.testing.assert_close(nn.Sequential(*form)(x), layers(x))


def test_a_rule_of_ones_own() -> None:
    class Slow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return sum(x for _ in range(4))

    class Fast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 4 * x

    fuses(Slow)(lambda _: Fast())
    x = torch.randn(2, 3)
    model = nn.ModuleDict({"slow": nn.Sequential(Slow())})
    form = fused(model)["slow"]
    assert isinstance(form[0], Fast)
    torch.testing.assert_close(form(x), model["slow"](x))
