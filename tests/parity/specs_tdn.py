"""The constructor arguments of TDN and GC-TDN."""

from __future__ import annotations

import re

from marey.convert.tdn import GC_SITES
from marey.models import GroupContext, Head, LongTermDifference, ModelSpec, TDNSpec
from tests.parity.golden import Golden

# GC-TDN always has four groups that never rotate, whatever options say.
KNOWN = {"T", "num_class", "arch", "modality", "dropout", "partial_bn", "fc_lr5"}


def spec(golden: Golden) -> ModelSpec:
    """Our spec of a TDN or GC-TDN."""
    config = golden.config
    unknown = set(config) - KNOWN
    assert not unknown, f"{golden.path.name}: no rule for config {sorted(unknown)}"
    assert config.get("modality", "RGB") == "RGB", "TDN takes RGB only"
    match = re.fullmatch(r"resnet(\d+)", config.get("arch", "resnet50"))
    assert match, f"no rule for arch '{config['arch']}'"
    calibrators = (GroupContext(site=GC_SITES),) if golden.builder == "gc_tdn" else ()
    return ModelSpec(
        encoder=TDNSpec(int(match[1])),
        temporal=(LongTermDifference(), *calibrators),
        num_segments=config.get("T", 8),
        heads=(Head("label", config.get("num_class", 174)),),
        dropout=config.get("dropout", 0.5),
        partial_bn=config.get("partial_bn", False),
    )
