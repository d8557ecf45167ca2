"""Where every answer of a conversion comes from: --set, the file's configuration, its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from marey.convert.repository import Settings, Told
from marey.errors import CheckpointError, counted
from marey.modality import modality_for
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.bninception import BNInceptionSpec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.ecal import ECal
from marey.models.temporal.group_context import GroupContext
from marey.models.temporal.gst import GST
from marey.models.temporal.tam import TAM
from marey.models.video_model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was said of a checkpoint, by source; `set` goes before `cfg`, `cfg` before `name`."""

    set: Mapping[str, Any] = field(default_factory=dict)
    cfg: Told = field(default_factory=Told)
    name: Told = field(default_factory=Told)
    name_read: str = ""
    """Whose name that is: the file's, or its folder's."""

    @property
    def settings(self) -> Settings:
        """All of it, as one."""
        return Settings(**{**self.name.settings, **self.cfg.settings, **self.set})

    def of_cfg(self, used: Collection[str]) -> dict[str, Any]:
        """What of the settings in use the configuration says, and nothing better."""
        return _in_use(self.cfg.settings, used, better=self.set)

    def of_name(self, used: Collection[str]) -> dict[str, Any]:
        """What of the settings in use the name says, and nothing better."""
        return _in_use(self.name.settings, used, better={*self.set, *self.cfg.settings})

    def usual(self, used: Collection[str]) -> tuple[str, ...]:
        """What of the settings in use follows by what is usual, from nothing better, and why."""
        said = ((self.of_cfg(used), self.cfg.usual), (self.of_name(used), self.name.usual))
        return tuple(
            f"{key}={value}: {why[key]}"
            for values, why in said
            for key, value in values.items()
            if key in why
        )

    def check_agreement(self) -> None:
        """CheckpointError where name and cfg differ, and nobody says which is right."""
        said, cfg = self.name.settings, self.cfg.settings
        open_ = {*said, *cfg} - {*self.set, *self.name.usual}
        differing = [key for key in said if key in open_ and cfg.get(key, said[key]) != said[key]]
        if differing:
            named = " ".join(f"{key}={said[key]}" for key in differing)
            configured = [f"{key}={cfg[key]}" for key in differing]
            raise CheckpointError(
                f"its name says {named}, its configuration {' '.join(configured)}",
                "say which is right: " + " ".join(f"--set {answer}" for answer in configured),
            )

    def doubts(self, found: Mapping[str, Any]) -> dict[str, str]:
        """What the name says otherwise than `found` of the temporal ops, which decide scores.

        A name that is wrong in this is of another model, and what only it says is not to be
        trusted: it is left out (`without_name`). An op that it does not name, and the tensors
        have, may have been left out of it.
        """
        said = self.name.by_tensors
        differing = {key for key in _OPS if key in said and said[key] != found.get(key, said[key])}
        differing |= {key for key in _ADDED if said.get(key) and not found.get(key, True)}
        return {
            key: _WORDS.get((key, said[key]), f"{key} {said[key]!r}, the tensors {found[key]!r}")
            for key in sorted(differing)
        }

    def without_name(self) -> Evidence:
        """The same, but for what the name alone says."""
        return replace(self, name=Told())

    def against_tensors(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        """What the name says that the tensors tell otherwise; CheckpointError if the cfg does.

        A file may be renamed, so its name is only a hint.
        """
        if differing := _differing(self.cfg.by_tensors, found):
            raise CheckpointError(
                f"its configuration and its tensors differ: {'; '.join(differing)}",
                "it is a configuration of another model: save the state dict alone, and say what "
                "it does not tell by --set",
            )
        return _differing(self.name.by_tensors, found)


_OPS = ("shift", "place", "calibrators", "groups", "split", "branches", "taps")
_ADDED = ("non_local", "temporal_pool")
_WORDS = {
    ("shift", True): "a shift (shiftN), no name of a tensor marks one (.net)",
    ("shift", False): "no shift, so a TSN; names of the tensors mark one (.net)",
    ("non_local", True): "non-local blocks (nl), of which it has no tensors",
    ("temporal_pool", True): "a temporal pool (tpool), no name of a tensor marks one (layer2.net)",
}


def _in_use(
    said: Mapping[str, Any], used: Collection[str], better: Collection[str]
) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key in used and key not in better}


def measured(spec: ModelSpec) -> dict[str, Any]:
    """What tensors tell of a model that names and configurations speak of, too."""
    encoder = spec.encoder
    facts: dict[str, Any] = {
        name: getattr(encoder, name) for name in ("depth", "width") if hasattr(encoder, name)
    }
    if isinstance(encoder, MotionformerSpec):
        facts |= _of_motionformer(encoder, spec)
    other = counted(encoder.in_channels, "channel")
    modality = modality_for(encoder.in_channels) or other
    if isinstance(encoder, BLVNetSpec):
        facts["branches"] = f"alpha {encoder.alpha}, beta {encoder.beta}"
    elif named := [name for kind, name in _NETWORKS.items() if isinstance(encoder, kind)]:
        facts["network"] = named[0]
    facts |= {"calibrators": ""} | {k: v for op in spec.temporal for k, v in _of_op(op).items()}
    return facts | {"modality": modality, "classes": spec.heads[0].num_classes}


_NETWORKS = {
    ResNetSpec: "ResNet",
    MobileNetV2Spec: "MobileNetV2",
    BNInceptionSpec: "BNInception",
}


def _of_motionformer(encoder: MotionformerSpec, spec: ModelSpec) -> dict[str, Any]:
    names = ("tubelet", "patch", "positions", "mlp_ratio", "qkv_bias", "pre_logits")
    return {name: getattr(encoder, name) for name in names} | {
        "attention": type(encoder.attention).__name__.lower(),
        "frames": spec.frames,
        "times": spec.frames // encoder.tubelet,
        "classifies": "one label" if spec.heads[0].name == "label" else "verbs and nouns",
    }


def _of_op(op: TemporalOp) -> dict[str, Any]:
    match op:
        case GroupContext():
            return {"calibrators": op.gates, "groups": op.cdiv}
        case ECal():
            return {"calibrators": op.gate, "groups": op.reduction}
        case GST():
            return {"split": f"alpha {op.alpha}, beta {op.beta}"}
        case TAM():
            return {"taps": op.taps}
    return {}


def _differing(said: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{key} {value!r}, the tensors {found[key]!r}"
        for key, value in said.items()
        if key in found and value != found[key]
    )


def others(name: str, value: Any) -> list[Any]:
    """Other values of a setting than `value`, to see whether it decides anything; None is unsaid.

    >>> others("shift_div", 8), others("place", "block")
    ([None, 16], [None, 'blockres'])
    """
    if isinstance(value, bool):
        return [None, not value]
    if isinstance(value, int | float):
        return [None, 2 * value or 8]
    if isinstance(value, tuple | list):
        return [None, tuple(2 * number + 1 for number in value)]
    hint = get_type_hints(Settings)[name]
    choices = [c for arg in get_args(hint) if get_origin(arg) is Literal for c in get_args(arg)]
    return [None, *(choice for choice in choices if choice != value)]


def with_value(settings: Settings, name: str, value: Any) -> Settings:
    """The settings with another value of one of them."""
    values = {of.name: getattr(settings, of.name) for of in fields(settings)}
    return Settings(**{**values, name: value})
