"""Where every answer of a conversion comes from is said, and where two differ it is asked."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from marey.convert import arp, blvnet
from marey.convert.convert import convert
from marey.convert.evidence import Evidence
from marey.convert.file_names import settings_in_name, told_by_name
from marey.convert.mmaction2 import model_in, told
from marey.convert.repository import Settings, Told
from marey.errors import CheckpointError
from marey.models import TAM, TSM, Head, ModelSpec, ResNetSpec, TemporalPool
from tests.convert import upstream

SPEC = ModelSpec(ResNetSpec(18, channels=8), (TSM(),), num_segments=4, heads=(Head("label", 4),))
CONFIG = """
lr = 0.1 * 8
model = dict(
    type='Recognizer2D',
    backbone=dict(type='ResNetTSM', depth=18, shift_div=8, num_segments=4, style='pytorch'),
    cls_head=dict(type='TSMHead', num_classes=4, consensus=dict(type='AvgConsensus')))
"""


def checkpoint(path: Path, **beside: Any) -> Path:
    weights = upstream.under(upstream.mmaction2_resnet, upstream.filled(SPEC))
    torch.save({"state_dict": weights, **beside}, path)
    return path


def test_the_configuration_of_mmengine_is_followed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "epoch_1.pth", meta={"cfg": CONFIG}, optimizer={})
    found = convert(path, tmp_path / "out")
    assert found.recipe.model == SPEC
    assert found.facts()["from its cfg"] == "num_segments=4, shift_div=8"
    assert "assumed" not in found.facts()
    found = convert(
        checkpoint(tmp_path / "bare.pth"),
        tmp_path / "two",
        settings=Settings(num_segments=4, shift_div=8),
    )
    assert found.facts()["assumed"] == "strides on the 3x3 convolutions (style='pytorch')"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'pytorch'", "'caffe'", "style='caffe': strides on the 1x1"),
        ("depth=18", "depth=34", "depth 34, the tensors 18"),
        ("classes=4", "classes=5", "classes 5, the tensors 4"),
    ],
)
def test_a_configuration_that_is_not_of_the_tensors_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "x.pth", meta={"cfg": CONFIG.replace(old, new)})
    with pytest.raises(CheckpointError, match=re.escape(message)):
        convert(path, tmp_path / "out")


@pytest.mark.parametrize("config", ["model = (", "model = open('x')", "x = 1", "(" * 5000, 7])
def test_what_is_no_configuration_tells_nothing(config: object) -> None:
    assert model_in(config) == {}
    assert told({"meta": {"cfg": config}}) == told({"meta": 3}) == Told()


def test_name_and_configuration_that_differ_are_asked_about(tmp_path: Path) -> None:
    name = "tsm_r18_1x1x8_50e_mine_rgb_x.pth"
    path = checkpoint(tmp_path / name, meta={"cfg": CONFIG})
    with pytest.raises(CheckpointError, match=r"says num_segments=8.*hint.*--set num_segments=4"):
        convert(path, tmp_path / "out")
    convert(path, tmp_path / "out", settings=Settings(num_segments=4))


def test_all_in_which_name_and_configuration_differ_is_asked_at_once() -> None:
    evidence = Evidence(
        cfg=Told({"size": 224, "stride": 8, "clips": 10}),
        name=Told({"size": 336, "stride": 16, "values": "released"}),
    )
    message = "size=336 stride=16, its configuration size=224 stride=8.*size=224 --set stride=8$"
    with pytest.raises(CheckpointError, match=message):
        evidence.check_agreement()


def test_a_configuration_may_be_a_node_of_mmengine() -> None:
    backbone = {"type": "ResNetTSM", "depth": 18, "num_segments": 4}
    node = {"model": {"backbone": backbone, "cls_head": {"num_classes": 5}}}
    as_text = f"model = {node['model']}"
    said = told({"meta": {"cfg": node}})
    assert said.settings == {"num_segments": 4, "shift_div": 8}
    assert said.by_tensors == {"depth": 18, "classes": 5}
    assert said == told({"meta": {"config": as_text}})


def test_what_a_name_says_against_the_tensors_is_said(tmp_path: Path) -> None:
    name = "tsm_r50_1x1x4_50e_sthv1_flow_x.pth"
    found = convert(checkpoint(tmp_path / name), tmp_path / "out", settings=Settings(shift_div=8))
    assert found.facts()["against its name"] == (
        "depth 50, the tensors 18; modality 'flow', the tensors 'rgb'; classes 174, the tensors 4"
    )


def test_names_of_group_contextualization_say_whether_the_groups_rotate() -> None:
    name = "TSN_M4_resnet50_somethingv1_RGB_avg_segment8_e50_ef4_drp5_npb_eflr5_loop.pth"
    said = Settings(num_segments=8, shift_div=0, loop=True, data="ssv1")
    assert settings_in_name(name) == said
    assert settings_in_name(name.replace("_loop", "")).loop is None
    whole = name.replace("_loop.pth", "_040322h10.pth")  # the time, which the script writes last
    assert settings_in_name(whole).loop is False
    assert told_by_name(name).by_tensors == {
        "depth": 50,
        "network": "ResNet",
        "modality": "rgb",
        "calibrators": "LTSG",
        "groups": 4,
        "shift": False,
        "classes": 174,
    }


def test_frames_that_cannot_be_halved_three_times_are_told_apart_from_the_published_code() -> None:
    pools = tuple(TemporalPool(stage) for stage in (1, 2, 3))
    spec = ModelSpec(ResNetSpec(50), (TAM(), *pools), num_segments=12)
    halved = Settings(num_segments=12, temporal_stride="max")
    assumed = arp.REPOSITORY.assumed
    (said,) = assumed(spec, halved, Told())
    assert said.startswith("12 frames are halved to 6, 3, 2")
    assert "tells its TAMs 6, 3, 1" in said
    assert not assumed(replace(spec, num_segments=16), halved, Told())
    assert not assumed(spec, Settings(num_segments=12, temporal_stride="none"), Told())


def test_what_is_said_goes_before_the_configuration_and_that_before_the_name() -> None:
    evidence = Evidence(
        set={"num_segments": 1},
        cfg=Told({"num_segments": 2, "shift_div": 2}),
        name=Told({"num_segments": 3, "shift_div": 3, "loop": True}),
    )
    assert evidence.settings == Settings(num_segments=1, shift_div=2, loop=True)


def test_the_whole_name_that_ibms_scripts_write_into_their_files_is_read() -> None:
    arch = "st2stv2-rgb-TAM-b3-max-resnet-50-ts-avg-f8-cosine-bs72-e50"
    said = {"num_segments": 8, "data": "ssv2", "temporal_stride": "avg", "blending": "max"}
    assert arp.REPOSITORY.told({"arch": arch, "epoch": 3}).settings == said
    said = {"num_segments": 8, "data": "ssv1"}
    arch = "st2stv1-bLVNet-TAM-50-a2-b4-f8x2-cosine-bs64-e50"
    assert blvnet.REPOSITORY.told({"arch": arch}).settings == said
    for arch in ("resnet50", 3, None):  # as others fill this entry
        assert arp.REPOSITORY.told({"arch": arch}) == Told()
