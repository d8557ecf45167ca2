from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from marey.errors import CheckpointError
from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec, VideoModel
from marey.models.imagenet import adapt_torchvision

SMALL = ModelSpec(ResNetSpec(18), num_segments=2, heads=(Head("verb", 5), Head("noun", 3)))


def norms(model: VideoModel) -> list[nn.BatchNorm2d]:
    return [m for m in model.encoder.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.fixture
def model() -> VideoModel:
    torch.manual_seed(0)
    return SMALL.build()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 4, 3, 32, 32), r"clip is \[1, 4, 3, 32, 32\], expected \[batch, 2 frames, 3 channels"),
        ((1, 2, 10, 32, 32), r"clip is \[1, 2, 10, 32, 32\], expected \[batch, 2 frames, 3 chan"),
        ((2, 3, 32, 32), r"clip is \[2, 3, 32, 32\], expected \[batch, 2 frames"),
    ],
)
def test_a_clip_of_another_shape_is_an_error_that_names_both(
    model: VideoModel, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(shape))


def test_scores_are_the_mean_of_the_frames_logits(model: VideoModel) -> None:
    clip = torch.randn(3, 2, 3, 32, 32)
    model.eval()
    features = model.features(clip)
    scores = model(clip)
    assert {name: s.shape for name, s in scores.items()} == {"verb": (3, 5), "noun": (3, 3)}
    weight = model.get_parameter("heads.noun.weight")
    torch.testing.assert_close(scores["noun"], (features @ weight.T).mean(dim=1))


def test_heads_start_small_and_start_again_when_reset() -> None:
    model = ModelSpec(ResNetSpec(18), heads=(Head("label", 400),)).build()
    weight = model.get_parameter("heads.label.weight")
    first = weight.detach().clone()
    assert weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert not model.get_parameter("heads.label.bias").any()
    model.reset_heads()
    assert not torch.equal(first, weight)


def test_dropout_works_in_training_only(model: VideoModel) -> None:
    x = torch.ones(1, 2, 512)
    assert torch.equal(model.eval().classify(x)["verb"], model.classify(x)["verb"])
    model.train()
    assert not torch.equal(model.classify(x)["verb"], model.classify(x)["verb"])


def test_the_state_dict_has_torchvisions_names_behind_encoder_and_heads(model: VideoModel) -> None:
    keys = list(model.state_dict())
    assert keys[0] == "encoder.conv1.weight"
    assert "encoder.layer2.0.downsample.0.weight" in keys
    assert keys[-4:] == [
        *("heads.verb.weight", "heads.verb.bias"),
        *("heads.noun.weight", "heads.noun.bias"),
    ]


def test_partial_batch_norm_keeps_all_norms_but_the_first_from_learning() -> None:
    model = ModelSpec(ResNetSpec(18), num_segments=2, partial_bn=True).build().train()
    first, *later = norms(model)
    before = [copy.deepcopy(norm.state_dict()) for norm in (first, *later)]
    model(torch.randn(2, 2, 3, 32, 32))["label"].sum().backward()
    assert first.training
    assert first.weight.grad is not None
    assert not torch.equal(first.running_mean, before[0]["running_mean"])  # type: ignore[arg-type]
    for norm, old in zip(later, before[1:], strict=True):
        assert norm.weight.grad is None
        assert all(torch.equal(value, old[name]) for name, value in norm.state_dict().items())


def test_train_and_eval_respect_partial_batch_norm_and_turning_it_off_restores() -> None:
    model = ModelSpec(ResNetSpec(18), partial_bn=True).build()
    for mode in (model.eval(), model.train(), model.train()):
        assert not any(norm.training for norm in norms(mode)[1:])
    model.set_partial_bn(False)
    assert all(norm.training and norm.weight.requires_grad for norm in norms(model))
    model.set_partial_bn(True)
    assert not any(norm.training or norm.bias.requires_grad for norm in norms(model)[1:])


def test_partial_batch_norm_leaves_the_norms_of_temporal_ops_alone() -> None:
    spec = ModelSpec(ResNetSpec(50), (NonLocal(),), partial_bn=True)
    with torch.device("meta"):
        model = spec.build()
    added = model.get_submodule("encoder.layer2.0.block_out.bn")
    assert isinstance(added, nn.BatchNorm2d)
    assert added.training
    assert added.weight.requires_grad


def test_a_model_can_be_copied_and_built_again_from_its_spec(model: VideoModel) -> None:
    twin = copy.deepcopy(model)
    again = model.spec.build()
    again.load_state_dict(twin.state_dict())
    assert again.frames == twin.frames == 2
    assert hash(model.spec) == hash(copy.deepcopy(model.spec))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_segments": 0}, "num_segments is 0, expected at least 1"),
        ({"dropout": 1.0}, r"dropout is 1.0, expected 0 <= dropout < 1"),
        ({"heads": (Head("a", 2), Head("a", 3))}, "heads are named a, a, expected different"),
    ],
)
def test_an_impossible_spec_is_an_error(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSpec(**arguments)  # type: ignore[arg-type]


def test_a_spec_without_heads_can_exist_but_not_be_built() -> None:
    with pytest.raises(ValueError, match="needs at least one head"):
        ModelSpec(heads=()).build()


@pytest.mark.parametrize("name", ["keys", "a.b", "", "2d"])
def test_a_head_name_that_cannot_be_a_module_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"head name is '{name}', expected a plain word"):
        Head(name, 2)


def test_a_head_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_classes of head 'verb' is 0, expected at least 1"):
        Head("verb", 0)


def torchvision_weights(depth: int = 18) -> dict[str, Tensor]:
    weights = ResNetSpec(depth).build((), 1).state_dict()
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    return weights | classifier


def test_torchvision_weights_start_the_encoder_and_leave_ops_and_heads_alone() -> None:
    weights = torchvision_weights()
    model = ModelSpec(ResNetSpec(18), (TSM(), NonLocal()), num_segments=2).build()
    before = model.state_dict()["encoder.layer2.0.block_out.theta.weight"].clone()
    model.load_encoder(weights)
    state = model.state_dict()
    assert torch.equal(state["encoder.layer4.1.conv2.weight"], weights["layer4.1.conv2.weight"])
    assert torch.equal(state["encoder.layer2.0.block_out.theta.weight"], before)


def test_files_from_before_batch_counters_load() -> None:
    weights = torchvision_weights()
    old = {key: w for key, w in weights.items() if not key.endswith("num_batches_tracked")}
    ModelSpec(ResNetSpec(18)).build().load_encoder(old)


def test_a_flow_encoder_starts_from_the_mean_over_rgb() -> None:
    weights = torchvision_weights()
    encoder = ResNetSpec(18, in_channels=10).build((), 1)
    first = adapt_torchvision(weights, encoder)["conv1.weight"]
    assert first.shape == (64, 10, 7, 7)
    for channel in range(10):
        torch.testing.assert_close(first[:, channel], weights["conv1.weight"].mean(dim=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"extra.weight": torch.zeros(1)}, r"1 unmatched: extra\.weight"),
        (lambda w: {k: v for k, v in w.items() if k != "bn1.bias"}, r"1 missing: bn1\.bias"),
        (
            lambda w: w | {"bn1.bias": torch.zeros(3)},
            r"1 of another shape: bn1\.bias \(3,\) for \(64,\)",
        ),
        (lambda _: torchvision_weights(34), "unmatched: layer1.2.conv1.weight, .*, "),
        (lambda _: MobileNetV2Spec().build((), 1).state_dict(), "missing: conv1.weight, bn1"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_lists_the_keys(change, message) -> None:
    model = ModelSpec(ResNetSpec(18)).build()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match=message):
        model.load_encoder(change(torchvision_weights()))
    assert all(torch.equal(w, before[key]) for key, w in model.state_dict().items())
