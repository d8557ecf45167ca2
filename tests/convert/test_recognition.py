"""Every state dict of the originals in the goldens is of one repository, and gives its model."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.convert.fitting import fitted, spec_of
from marey.convert.release_recipe import sampling_of
from marey.convert.repositories import REPOSITORIES, recognised
from marey.convert.repository import Repository, Settings, Shapes
from marey.errors import CheckpointError
from marey.models import MobileNetV2Spec
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.tdn import TDNSpec
from marey.models.video_model import ModelSpec
from tests.conftest import goldens
from tests.convert import upstream
from tests.parity.golden import Golden, read
from tests.parity.specs import not_built_yet
from tests.parity.specs import spec_of as spec_of_golden

FOLDERS = ("gc", "blvnet")
MODELS = [
    golden
    for folder in FOLDERS
    for path in sorted((goldens() / folder).glob("*.json"))
    if (golden := read(path)).is_model
]


def each_model() -> pytest.MarkDecorator:
    if not MODELS:
        absent = pytest.mark.skip(reason=f"no goldens at {goldens()}; set MAREY_GOLDENS")
        return pytest.mark.parametrize("golden", [pytest.param(None, marks=absent)])
    return pytest.mark.parametrize("golden", MODELS, ids=lambda g: g.path.stem)


def shapes_of(golden: Golden) -> Shapes:
    return {name: tuple(shape) for name, shape, *_ in golden.values["state_dict"]}


def said_of(golden: Golden, spec: ModelSpec) -> Settings:
    """What a person would say who knows how the file was made."""
    config = golden.config
    is_shifted = any(type(op).__name__ == "TSM" for op in spec.temporal)
    return Settings(
        num_segments=spec.num_segments,
        shift_div=config.get("shift_div", 8) if is_shifted else 0,
        place="block" if config.get("place") == "block" else "blockres",
        loop=any(getattr(op, "loop", False) for op in spec.temporal),
        temporal_stride=(
            config["pooling_method"] if config.get("without_t_stride") is False else "none"
        ),
        blending=config.get("blending_method", "sum"),
    )


@each_model()
def test_its_tensors_give_repository_and_model(golden: Golden) -> None:
    if name := not_built_yet(golden):
        pytest.xfail(f"not built yet: {name}")
    wanted = spec_of_golden(golden)
    shapes = shapes_of(golden)
    repository = recognised(shapes, golden.path)
    spec = spec_of(repository, shapes, said_of(golden, wanted), golden.path)
    assert comparable(spec) == comparable(wanted)
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    fitted(weights, repository, spec, golden.path)  # strictly: nothing left over, nothing missing


def test_frames_of_a_pair_are_spread_and_those_of_a_segment_follow_each_other() -> None:
    pairs = sampling_of(ModelSpec(BLVNetSpec(50), num_segments=8))
    assert pairs.indices(160).tolist() == [list(range(5, 160, 10))]
    fives = sampling_of(ModelSpec(TDNSpec(50), num_segments=4))
    assert fives.indices(100)[0, :5].tolist() == list(range(12, 17))


def comparable(spec: ModelSpec) -> object:
    """What the tensors decide: not dropout, nor how weights start or widths of 1 are rounded."""
    encoder = spec.encoder
    if getattr(encoder, "width", None) == 1.0:
        encoder = replace(encoder, rounding="up")  # type: ignore[type-var, call-arg]
    parts = (str(encoder), *sorted(map(str, spec.temporal)))
    return [re.sub(r"init='\w+'", "", part) for part in parts], spec.num_segments, spec.heads


WORDS = st.text(max_size=20).filter(lambda text: "." not in text)
"""No path to a tensor; hypothesis also tries strings that it finds in our own source."""


@settings(deadline=None)
@given(st.dictionaries(WORDS, st.lists(st.integers(0, 9), max_size=5).map(tuple)))
def test_names_that_are_no_paths_are_refused(shapes: Shapes) -> None:
    for repository in REPOSITORIES:
        assert not repository.recognises(shapes)
    with pytest.raises(CheckpointError):
        recognised(shapes, Path("x.pth"))


NAMED = {golden.path.stem: shapes_of(golden) for golden in MODELS} or {
    "mobilenet": {
        upstream.tsm_mobilenet(name).removeprefix("module."): tuple(weight.shape)
        for name, weight in ModelSpec(MobileNetV2Spec()).build().state_dict().items()
    }
}
TELLING = re.compile(r"conv1|layer1\.0|l_conv0|features\.[0-2]\.|layer4\.0|fc\.|classifier")
"""Names of tensors that a spec is read from."""
SAID = Settings(num_segments=8, shift_div=8, place="blockres", loop=False, temporal_stride="none")


@settings(max_examples=50)
@given(st.sampled_from(sorted(NAMED)), st.sampled_from(REPOSITORIES), st.data())
def test_a_state_dict_with_odd_shapes_is_read_or_refused_but_never_crashes(
    name: str, repository: Repository, data: st.DataObject
) -> None:
    shapes = dict(NAMED[name])
    tensors = st.sampled_from([name for name in shapes if TELLING.search(name)])
    for changed in data.draw(st.lists(tensors, max_size=3, unique=True)):
        shapes[changed] = tuple(data.draw(st.lists(st.integers(0, 9), max_size=5)))
    for left_out in data.draw(st.lists(tensors, max_size=3, unique=True)):
        del shapes[left_out]
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    with suppress(CheckpointError):
        spec = spec_of(repository, shapes, SAID, Path("x.pth"))
        fitted(weights, repository, spec, Path("x.pth"))
