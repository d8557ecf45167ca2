"""bLVNet-TAM: a bLResNet (see `biglittle`) whose branches see different frames.

baseline_model.layer1.big.0.*               as here, without the prefix
tam.*  layer1.tam.*                         before the stem's fork and before stages 1 to 3
layer4.0.tam.*  layer4.1.tam.*              in stage 4: before the whole block, in later ones its
                                            residual path only
tam.prev.weight | blending_layers.0.weight  three taps have names, other numbers are counted
new_fc | baseline_model.fc                  the classifier, by whether there is dropout
"""

from __future__ import annotations

import re

from marey.convert.biglittle import image_net_of
from marey.convert.naming import told_by_arch
from marey.convert.repository import Repository, Settings, Shapes, by_rules
from marey.convert.shapes import dropout_of, model_of
from marey.convert.tsm import encoder_or_head
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.temporal.tam import TAM
from marey.models.video_model import ModelSpec

_RULES = {
    r"^(layer[123]\.)?tam": r"\1stage_in",
    r"layer4\.0\.tam": "layer4.0.block_in",
    "tam": "residual_in",
}
_TAPS = {"prev": 0, "curr": 1, "next": 2}


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    name = by_rules(name.removeprefix("baseline_model."), _RULES)
    return encoder_or_head(with_counted_taps(name))


def with_counted_taps(name: str) -> str:
    """A TAM's tensor with its tap counted from the earliest frame: ``taps.0``."""
    tap = r"(?:(prev|curr|next)(?:_se\.fc1)?|blending_layers\.(\d+)(?:\.fc1)?)\.weight$"
    return re.sub(rf"(?<![^.]){tap}", lambda m: f"taps.{m[2] or _TAPS[m[1]]}", name)


def num_taps(ours: Shapes) -> int:
    """Taps of every TAM: 0 if there is none."""
    return len({match[1] for name in ours if (match := re.search(r"\.taps\.(\d+)$", name))})


def _recognises(shapes: Shapes) -> bool:
    own = any(name.startswith("baseline_model.layer1.big.") for name in shapes)
    return own or "layer1.tam.curr.weight" in shapes


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    settings.need("num_segments")
    net, taps = image_net_of(ours), num_taps(ours)
    tam = TAM(taps, init="reference") if taps else None
    encoder = BLVNetSpec(
        net.depth, alpha=net.alpha, beta=net.beta, in_channels=net.in_channels, tam=tam
    )
    return model_of(encoder, (), ours, settings, dropout_of(shapes))


REPOSITORY = Repository(
    name="blvnet", recognises=_recognises, rename=rename, spec=_spec, told=told_by_arch
)
"""IBM's bLVNet-TAM; a segment is a pair of frames."""
