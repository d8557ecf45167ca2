from __future__ import annotations

from pathlib import Path

import pytest
import torch

from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec
from marey.models.profile import gmacs, num_parameters
from tests.parity.golden import Golden, read
from tests.parity.specs import not_built_yet, spec_of

HEADS = (Head("label", 174),)


# Measured on the original code at 224 x 224 with 174 classes.
@pytest.mark.parametrize(
    ("spec", "millions", "billions"),
    [
        (ModelSpec(ResNetSpec(50), heads=HEADS), 23.86, 32.70),
        (ModelSpec(ResNetSpec(50), (TSM(),), 16, HEADS), 23.86, 65.40),
        (ModelSpec(ResNetSpec(50), (TSM(), NonLocal()), heads=HEADS), 31.22, 61.10),
        (ModelSpec(MobileNetV2Spec(), (TSM(),), heads=HEADS), 2.45, 2.40),
    ],
    ids=["tsn-r50", "tsm-r50-16f", "tsm-r50-nl", "tsm-mobilenetv2"],
)
def test_parameters_and_gmacs_are_the_published_models(
    spec: ModelSpec, millions: float, billions: float
) -> None:
    with torch.device("meta"):
        model = spec.build()
    assert num_parameters(model) / 1e6 == pytest.approx(millions, abs=0.006)
    assert gmacs(model, 224) == pytest.approx(billions, abs=0.006)


def test_every_row_of_the_originals_costs_is_ours(goldens_dir: Path) -> None:
    for row in read(goldens_dir / "gc/perf.json").values["rows"]:
        golden = Golden(goldens_dir / "gc/perf.json", row)
        if not_built_yet(golden) or golden.builder == "online":
            continue
        with torch.device("meta"):
            model = spec_of(golden).build()
        assert num_parameters(model) / 1e6 == pytest.approx(row["params_M"], abs=1e-4), row["model"]
        assert gmacs(model, row["input"][-1]) == pytest.approx(row["gmacs"], abs=1e-3), row["model"]
