"""BigLittleNet: bLResNet and bLResNeXt, picture networks; as TSN of one frame.

layer1.big.0.*  .little.0.*  .little_e.0  .fusion.0.*     as here
fc                                                        the classifier
"""

from __future__ import annotations

import re

from marey.convert.repository import Repository, Settings, Shapes
from marey.convert.shapes import heads_of
from marey.convert.tsm import encoder_or_head
from marey.errors import CheckpointError
from marey.models.encoders.blresnet import DEPTHS, BLResNetSpec
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    return encoder_or_head(name)


def image_net_of(ours: Shapes) -> BLResNetSpec:
    """The net that has these blocks and widths, and the usual `beta` where several have."""
    big, little = _num_blocks(ours, "big"), _num_blocks(ours, "little")
    depth = next((d for d, n in DEPTHS.items() if tuple(m - 1 for m in n[:3]) == big), None)
    if depth is None:
        raise CheckpointError(f"its big branches have {big} blocks, which no bLResNet of ours has")
    alpha = 64 // ours["encoder.l_conv0.weight"][0]
    conv2 = ours["encoder.layer4.0.conv2.weight"]
    groups, width = conv2[0] // conv2[1], conv2[1] // 8
    for beta in (4, 2, 1, *range(3, 16)):
        spec = BLResNetSpec(
            depth,
            alpha=alpha,
            beta=beta,
            groups=groups,
            width_per_group=width,
            in_channels=ours["encoder.conv1.weight"][1],
        )
        rows = [row for row in spec.rows() if row.name == "little"]
        if tuple(row.num_blocks for row in rows) == little:
            return spec
    raise CheckpointError(f"its little branches have {little} blocks, which fits no beta")


def _num_blocks(ours: Shapes, branch: str) -> tuple[int, ...]:
    named = rf"encoder\.layer(\d)\.{branch}\.(\d+)\.conv1\.weight"
    stages = [match[1] for name in ours if (match := re.fullmatch(named, name))]
    return tuple(map(stages.count, "123"))


def _recognises(shapes: Shapes) -> bool:
    return "layer1.big.0.conv1.weight" in shapes and "layer1.tam.curr.weight" not in shapes


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    if any(".se_module." in name for name in shapes):
        raise CheckpointError("it is a bLSEResNeXt, an encoder that is not built here")
    return ModelSpec(
        image_net_of(ours), num_segments=settings.num_segments or 1, heads=heads_of(ours)
    )


REPOSITORY = Repository(name="biglittle", recognises=_recognises, rename=rename, spec=_spec)
"""IBM's BigLittleNet."""
