"""Where every answer of a conversion comes from: --set, the file's configuration, its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from marey.convert.repository import Settings, Told
from marey.errors import CheckpointError
from marey.models.video_model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was said of a checkpoint, by source; `set` goes before `cfg`, `cfg` before `name`."""

    set: Mapping[str, Any] = field(default_factory=dict)
    cfg: Told = field(default_factory=Told)
    name: Told = field(default_factory=Told)

    @property
    def settings(self) -> Settings:
        """All of it, as one."""
        return Settings(**{**self.name.settings, **self.cfg.settings, **self.set})

    def check_agreement(self) -> None:
        """CheckpointError where name and cfg differ, and nobody says which is right."""
        for key, value in self.name.settings.items():
            other = self.cfg.settings.get(key, value)
            if other != value and key not in self.set:
                raise CheckpointError(
                    f"its name says {key}={value}, its configuration {key}={other}",
                    f"say which is right: --set {key}={other}",
                )

    def against_tensors(self, spec: ModelSpec) -> tuple[str, ...]:
        """What the name says that the tensors tell otherwise; CheckpointError if the cfg does.

        A file may be renamed, so its name is only a hint.
        """
        found = measured(spec)
        if differing := _differing(self.cfg.by_tensors, found):
            raise CheckpointError(
                f"its configuration and its tensors differ: {'; '.join(differing)}",
                "it is a configuration of another model: save the state dict alone, and say what "
                "it does not tell by --set",
            )
        return _differing(self.name.by_tensors, found)


def measured(spec: ModelSpec) -> dict[str, Any]:
    """What tensors tell of a model that names and configurations speak of, too."""
    encoder = spec.encoder
    facts: dict[str, Any] = {
        name: getattr(encoder, name)
        for name in ("depth", "width", "tubelet", "patch", "positions", "mlp_ratio", "qkv_bias")
        if hasattr(encoder, name)
    }
    if hasattr(encoder, "attention"):
        facts |= {"attention": type(encoder.attention).__name__.lower(), "frames": spec.frames}
    modality = {3: "rgb", 10: "flow"}.get(encoder.in_channels, f"{encoder.in_channels} channels")
    return facts | {"modality": modality, "classes": spec.heads[0].num_classes}


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
    if isinstance(value, int):
        return [None, 2 * value or 8]
    hint = get_type_hints(Settings)[name]
    choices = [c for arg in get_args(hint) if get_origin(arg) is Literal for c in get_args(arg)]
    return [None, *(choice for choice in choices if choice != value)]


def with_value(settings: Settings, name: str, value: Any) -> Settings:
    """The settings with another value of one of them."""
    values = {of.name: getattr(settings, of.name) for of in fields(settings)}
    return Settings(**{**values, name: value})
