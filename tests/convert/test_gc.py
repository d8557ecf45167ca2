"""What the tensors of Group-Contextualization and GST-video tell, and what must be said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.convert import gc
from marey.convert.repositories import recognised
from marey.convert.repository import Settings, Shapes
from marey.errors import CheckpointError
from marey.models import GroupContext, ModelSpec, ResNetSpec
from tests.parity.golden import Golden, read
from tests.parity.specs import spec_of

BUILDERS = ("gc_tsn", "gc_tsm", "gc_gst", "gst", "v0")


def shapes_of(golden: Golden) -> Shapes:
    return {name: tuple(shape) for name, shape in golden.values["state_dict"]}


def told_of(golden: Golden) -> Settings:
    """What a person would say of this model."""
    shifts = golden.builder == "gc_tsm" or golden.config.get("base") == "TSM"
    place = golden.config.get("place", "blockres")
    return Settings(
        num_segments=golden.config.get("T", 8),
        shift_div=golden.config.get("shift_div", 8) if shifts else 0,
        place=place,
        loop=golden.config.get("loop", golden.builder == "gc_gst"),
    )


def test_each_stored_model_is_recognised_and_its_spec_read_from_shapes(goldens_dir: Path) -> None:
    models = [read(path) for path in sorted((goldens_dir / "gc").glob("*.json"))]
    models = [g for g in models if g.is_model and g.builder in BUILDERS and g.config.get("net", 1)]
    assert models
    for golden in models:
        path = golden.path
        found = recognised(shapes_of(golden), path).model_of(shapes_of(golden), told_of(golden))
        dropout = 0.5 if golden.config.get("dropout", 0.5) else 0.0
        assert found == replace(spec_of(golden), dropout=dropout), path.name


@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("gc_tsn_r50_8f", ("num_segments", "shift_div", "loop")),
        ("gc_gst_r50_8f", ("num_segments", "loop")),
        ("gst_r50_8f_a4b2", ("num_segments",)),
        ("ecalv0_L_tsn_r50_8f_r16", ("num_segments", "shift_div")),
    ],
)
def test_what_shapes_do_not_tell_is_asked_for(
    goldens_dir: Path, name: str, questions: tuple[str, ...]
) -> None:
    golden = read(goldens_dir / f"gc/{name}.json")
    shapes = shapes_of(golden)
    with pytest.raises(CheckpointError) as caught:
        recognised(shapes, golden.path).model_of(shapes, Settings())
    for question in ("num_segments", "shift_div", "loop"):
        assert (f"{question}=" in str(caught.value.hint)) is (question in questions)
    usual = "loop=true" if name == "gc_gst_r50_8f" else "loop=false"  # as their scripts have it
    assert (usual in str(caught.value.hint)) is ("loop" in questions)


@pytest.mark.parametrize("cdiv", [4, 5, 8, 11, 12, 16])
def test_the_number_of_groups_is_read_and_upstreams_fault_kept_where_it_shows(cdiv: int) -> None:
    with torch.device("meta"):
        model = ModelSpec(ResNetSpec(50), (GroupContext(cdiv=cdiv),)).build()
    shapes = {ours: tuple(weight.shape) for ours, weight in model.state_dict().items()}
    assert gc.groups_of(shapes, "after_bn2") == ("LTSG", cdiv)
    assert gc.variant_of(cdiv) == ("upstream" if cdiv in (5, 11, 12) else "repaired")
