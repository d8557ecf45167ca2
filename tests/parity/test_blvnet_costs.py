"""Parameters and multiply-accumulates of the originals at 224 x 224, row by row."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from marey.convert.arp import pooling
from marey.models import (
    TAM,
    BLResNetSpec,
    BLVNetSpec,
    GoogLeNetSpec,
    Head,
    I3DInceptionSpec,
    I3DResNetSpec,
    ModelSpec,
    ResNetSpec,
    S3DResNetSpec,
    S3DSpec,
)
from marey.models.profile import gmacs, num_parameters
from marey.models.shapes import shapes_only
from tests.conftest import goldens
from tests.parity.golden import read

TABLES = [goldens() / f"blvnet/to_beat_{name}.json" for name in ("arp", "bln", "blvnet")]
ROWS = [row for path in TABLES if path.is_file() for row in read(path).values["rows"]]
HEADS = (Head("label", 174),)

STAGE_INPUTS = (64 * 56 * 56, 256 * 28 * 28, 512 * 14 * 14)
"""Numbers in the maps that enter stages 1 to 3 of a bLVNet."""


@pytest.mark.skipif(not ROWS, reason=f"no {TABLES}; set MAREY_GOLDENS")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_costs_are_the_originals_but_for_what_pairs_save(row: dict[str, Any]) -> None:
    spec = spec_of(row["model"])
    with shapes_only():
        model = spec.build()
    assert spec.frames == row["frames"]
    assert num_parameters(model) == row["params"]
    ours, theirs = gmacs(model), row["flops_2mac"] / 2e9
    assert ours == pytest.approx(theirs - saved(spec), rel=1e-9)
    assert ours == pytest.approx(theirs, rel=0.005)


def spec_of(name: str) -> ModelSpec:
    if match := re.match(r"bLVNet(-TAM)?-(\d+)-a(\d)-b(\d)-f(\d+)x2", name):
        depth, alpha, beta, pairs = map(int, match.groups()[1:])
        tam = TAM() if match[1] else None
        return ModelSpec(
            BLVNetSpec(depth, alpha=alpha, beta=beta, tam=tam), (), num_segments=pairs, heads=HEADS
        )
    if match := re.match(r"bLResNet-(\d+)-a(\d)-b(\d) \((\d+) image", name):
        depth, alpha, beta, frames = map(int, match.groups())
        return ModelSpec(
            BLResNetSpec(depth, alpha=alpha, beta=beta),
            (),
            num_segments=frames,
            heads=(Head("label", 1000),),
        )
    if match := re.fullmatch(r"(TSN|TAM)-Inception-v1 f(\d+)", name):
        ops = (TAM(place="block_out"),) if match[1] == "TAM" else ()
        return ModelSpec(GoogLeNetSpec(), ops, num_segments=int(match[2]), heads=HEADS)
    if match := re.fullmatch(
        r"(S3D|I3D \(Inception-v1\)|S3D-ResNet-50 .*?)( with .*)? f(\d+)", name
    ):
        networks = {"S3D": S3DSpec(), "I3D": I3DInceptionSpec(), "S3D-ResNet-50": S3DResNetSpec(50)}
        encoder = replace(networks[match[1].split()[0]], temporal_stride=bool(match[2]))
        return ModelSpec(encoder, num_segments=int(match[3]), heads=HEADS)
    match = re.fullmatch(r"(TSN|TAM|I3D)-ResNet-(\d+)( with t-stride)? f(\d+)", name)
    assert match, f"no rule for '{name}'"
    depth, frames, strides = int(match[2]), int(match[4]), bool(match[3])
    if match[1] == "I3D":
        return ModelSpec(
            I3DResNetSpec(depth, temporal_stride=strides), (), num_segments=frames, heads=HEADS
        )
    tam = (TAM(),) if match[1] == "TAM" else ()
    return ModelSpec(
        ResNetSpec(depth),
        (*tam, *pooling("max" if strides else "none")),
        num_segments=frames,
        heads=HEADS,
    )


def saved(spec: ModelSpec) -> float:
    """Of three taps on each of two frames that share a map, two are left on each."""
    if not isinstance(spec.encoder, BLVNetSpec) or not spec.encoder.tam:
        return 0.0
    return 2 * spec.num_segments * sum(STAGE_INPUTS) / 1e9
