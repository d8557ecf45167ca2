"""The constructor arguments of TDN and GC-TDN."""

from __future__ import annotations

import re

from marey.convert.tdn import GC_SITES
from marey.models import GroupContext, Head, LongTermDifference, ModelSpec, TDNSpec
from tests.parity.golden import Golden
from tests.parity.options import NotBuiltYet, options


def spec(golden: Golden) -> ModelSpec:
    """Our spec of a TDN, or of a GC-TDN: four groups that never rotate, whatever options say."""
    config = options(golden.config)
    match = re.fullmatch(r"resnet(\d+)", config.get("arch", "resnet50"))
    if not match or config.get("modality", "RGB").lower() != "rgb":
        raise NotBuiltYet(f"TDN on {config.get('arch')}, {config.get('modality')}")
    calibrators = (GroupContext(site=GC_SITES),) if golden.builder == "gc_tdn" else ()
    return ModelSpec(
        encoder=TDNSpec(int(match[1])),
        temporal=(LongTermDifference(), *calibrators),
        num_segments=config.get("T", 8),
        heads=(Head("label", config.get("num_class", 174)),),
        dropout=config.get("dropout", 0.5),
        partial_bn=config.get("partial_bn", False),
    )
