"""Every mark that a temporal wrapper leaves in a name counts, not the first that is found."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from marey.convert.convert import convert
from marey.convert.repository import Settings
from marey.convert.tsm import shift_of
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError
from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec, TemporalPool
from tests.convert import upstream

SAID = Settings(num_segments=4, shift_div=8)
HEADS = (Head("label", 4),)
PLAIN = ModelSpec(ResNetSpec(26, channels=16), num_segments=4, heads=HEADS)


def under_tsm_names(spec: ModelSpec, *, shifts: str, pool: bool = False) -> dict[str, Tensor]:
    """A ResNet of temporal-shift-module whose convolutions that fit `shifts` are wrapped."""

    def theirs(name: str) -> str:
        if match := re.match(r"encoder\.(layer\d\.\d+)\.block_out\.(\w+)(.*)", name):
            block, part, rest = match.groups()
            part = {"phi": "phi.0", "g": "g.0", "out": "W.0", "bn": "W.1"}.get(part, part)
            name = f"encoder.{block}.nl.{part}{rest}"
        elif attends(spec, name):
            name = re.sub(r"(layer\d\.\d+)\.", r"\1.block.", name)
        name = re.sub(rf"({shifts}\.(?:block\.)?conv1)\.", r"\1.net.", name)
        if pool:
            name = name.replace("layer2.", "layer2.net.")
        return re.sub(r"^heads\.label", "new_fc", name).replace("encoder.", "module.base_model.")

    return upstream.under(theirs, upstream.filled(spec))


def attends(spec: ModelSpec, name: str) -> bool:
    """Whether a tensor is of a block with a non-local one behind it."""
    stages = [op.stages for op in spec.temporal if isinstance(op, NonLocal)]
    match = re.match(r"encoder\.layer(\d)\.(\d+)\.", name)
    return bool(match and stages and int(match[1]) - 1 in stages[0] and int(match[2]) % 2 == 0)


@pytest.mark.parametrize(
    ("ops", "shifts"),
    [
        ((), "nowhere"),
        ((TSM(),), r"layer\d\.\d"),
        ((TSM(alternate="always"),), r"layer\d\.0"),
        ((TSM(), TemporalPool(1)), r"layer\d\.\d"),
        ((TSM(alternate="always"), NonLocal((1, 2))), r"layer\d\.0"),
    ],
    ids=["none", "all", "every second", "pooled", "beside non-local blocks"],
)
def test_the_blocks_that_are_marked_are_those_that_shift(
    ops: tuple[object, ...], shifts: str, tmp_path: Path
) -> None:
    spec = ModelSpec(PLAIN.encoder, ops, num_segments=4, heads=HEADS)  # type: ignore[arg-type]
    pool = any(isinstance(op, TemporalPool) for op in ops)
    torch.save(under_tsm_names(spec, shifts=shifts, pool=pool), tmp_path / "x.pth")
    said = SAID if ops else Settings(num_segments=4, shift_div=0)
    found = convert(tmp_path / "x.pth", tmp_path / "out", settings=said)
    assert found.recipe.model == spec
    clip = torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        expected = upstream.filled(spec)(clip)["label"]
        torch.testing.assert_close(
            load_trained(tmp_path / "out").model(clip)["label"], expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: re.sub(r"(layer[34]\.\d\.conv1)\.", r"\1.net.", n), "a shift in 4 of 8 blocks"),
        (lambda n: re.sub(r"(layer1\.1\.conv1)\.", r"\1.net.", n), r"1 of 8 blocks \(layer1\.1\)"),
        (lambda n: n.replace("layer3.", "layer3.net."), "around .*layer3, where none is known"),
        (
            lambda n: re.sub(r"(layer2)\.0\.", r"\1.net.0.", n),
            "of what lies in .*layer2, only a pa",
        ),
        (lambda n: re.sub(r"(layer1\.0)\.conv1", r"\1.net.conv1", n), "layer1.0, only a part"),
        (lambda n: n.replace("bn1.", "bn1.net."), "around .*bn1, where none is known"),
    ],
)
def test_marks_that_no_published_code_leaves_are_refused(
    change: Callable[[str], str], message: str, tmp_path: Path
) -> None:
    weights = under_tsm_names(PLAIN, shifts="nowhere")
    torch.save({change(name): w for name, w in weights.items()}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "x.pth", tmp_path / "out", settings=SAID)


@pytest.mark.parametrize("theirs", [upstream.tsm_mobilenet, upstream.mmaction2_mobilenet])
def test_a_mobilenet_shifts_in_all_its_shortcuts_or_in_none(
    theirs: Callable[[str], str], tmp_path: Path
) -> None:
    spec = ModelSpec(MobileNetV2Spec(0.35, rounding="up"), num_segments=4, heads=HEADS)
    weights = upstream.under(theirs, upstream.filled(spec))
    part = re.compile(r"((?:features\.3|layer2\.1)\.conv\.0)\.(?:net\.)?")
    names = (name.replace(".net.", ".") for name in weights)
    marked = {
        part.sub(r"\1.net.", name): w for name, w in zip(names, weights.values(), strict=True)
    }
    torch.save(marked, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"a shift in the features \[3\]"):
        convert(tmp_path / "x.pth", tmp_path / "out", settings=SAID)


def test_deep_networks_shift_in_every_second_block_of_all_stages_or_of_the_deep_one() -> None:
    depths = (3, 4, 23, 3)
    every = [(stage, i) for stage, depth in enumerate(depths, 1) for i in range(depth)]

    def op(chosen: Callable[[int, int], bool], depths: tuple[int, ...] = depths) -> TSM | None:
        names = [f"layer{s}.{i}.conv1.net.weight" for s, i in every if chosen(s, i)]
        return shift_of(names, depths)

    assert op(lambda _, i: i % 2 == 0) == TSM(alternate="network")
    assert op(lambda s, i: s != 3 or i % 2 == 0) == TSM(alternate="stage")
    assert op(lambda *_: True) == TSM(alternate="none")
    assert op(lambda *_: False) is None


def test_the_same_numbers_in_another_order_of_axes_are_another_shape(tmp_path: Path) -> None:
    weights = under_tsm_names(PLAIN, shifts="nowhere")
    name = "module.base_model.layer1.0.conv1.weight"
    weights[name] = weights[name].permute(0, 2, 1, 3).clone()  # [o 1 i 1] for [o i 1 1]
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="1 of another shape"):
        convert(
            tmp_path / "x.pth", tmp_path / "out", settings=Settings(num_segments=4, shift_div=0)
        )


def test_non_local_blocks_of_mmaction2_are_read_where_their_kind_is_said(tmp_path: Path) -> None:
    spec = ModelSpec(PLAIN.encoder, (TSM(), NonLocal()), num_segments=4, heads=HEADS)
    model = upstream.filled(spec)
    for name, value in model.state_dict().items():
        if name.endswith("block_out.out.bias"):
            value.zero_()  # theirs has none, because a norm follows
    weights = {}
    for name, weight in upstream.under(under_mmaction2_names, model).items():
        if not name.endswith("conv_out.conv.bias"):
            weights[name] = weight[..., None] if ".conv.w" in name and "_local" in name else weight
    name = "tsm_r26-nl-embedded-gaussian_8xb16-1x1x4-50e_mine-rgb.pth"
    torch.save({"state_dict": weights}, tmp_path / name)
    found = convert(tmp_path / name, tmp_path / "out")
    assert found.recipe.model == spec
    assert "use_scale=False" in found.facts()["assumed"]
    clip = torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        theirs, ours = model(clip)["label"], load_trained(tmp_path / "out").model(clip)["label"]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    (tmp_path / name).rename(tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="non_local .*--set non_local=embedded_gaussian"):
        convert(tmp_path / "x.pth", tmp_path / "two", settings=SAID)


def under_mmaction2_names(name: str) -> str:
    match = re.match(r"encoder\.(layer[23]\.0)\.(?:block_out\.(\w+)\.)?(.*)", name)
    if not match:
        return upstream.mmaction2_resnet(name)
    block, part, leaf = match.groups()
    parts = {"theta": "theta.conv", "phi": "phi.0.conv", "g": "g.0.conv"}
    parts |= {"out": "conv_out.conv", "bn": "conv_out.bn"}
    if part:
        return f"backbone.{block}.non_local_block.{parts[part]}.{leaf}"
    return upstream.mmaction2_resnet(name).replace(f"{block}.", f"{block}.block.")
