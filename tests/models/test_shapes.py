"""Models without numbers have the shapes of those with them, and torch's compiler is not loaded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from marey.models.encoders.resnet import ResNetSpec
from marey.models.shapes import nothing_drawn, shapes_only
from marey.models.temporal.group_context import GroupContext
from marey.models.video_model import Head, ModelSpec
from tests import fresh

SPEC = ModelSpec(ResNetSpec(50, channels=16), (GroupContext(),), heads=(Head("label", 5),))


def test_what_is_built_without_numbers_has_the_shapes_of_the_model() -> None:
    with shapes_only():
        shapes = SPEC.build().state_dict()
    assert all(weight.is_meta for weight in shapes.values())
    built = SPEC.build().state_dict()
    assert {k: (w.shape, w.dtype) for k, w in shapes.items()} == {
        k: (w.shape, w.dtype) for k, w in built.items()
    }
    assert built["encoder.conv1.weight"].std() > 0


def test_the_compiler_is_not_loaded_to_draw_what_is_not_kept() -> None:
    code = (
        "import sys; sys.modules['torch._dynamo'] = None  # of the server of forks\n"
        "from tests.models.test_shapes import SPEC, shapes_only\n"
        "with shapes_only(): SPEC.build()"
    )
    fresh.printed("-c", code)


@pytest.mark.parametrize("held", [float("nan"), 1e30])
def test_bounded_numbers_that_are_not_drawn_end_whatever_memory_holds(held: float) -> None:
    weight = torch.full((4,), held)
    with nothing_drawn():
        nn.init.trunc_normal_(weight, std=0.02)
    assert not weight.abs().gt(2).any()
