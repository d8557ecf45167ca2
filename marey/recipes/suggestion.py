"""What a suggestion rests on, and what it is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.val_views import override_with_val


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of clips and machine; 0, or nothing, stands for what is not.

    Args:
        manifests: the files, as they are given.
        class_names: head -> names of its classes.
        class_counts: head -> training clips of each.
        num_train: clips to train on.
        several: whether a clip may have several classes.
        frames: of the middle clip by length.
        seconds: it lasts.
        short_side: of the middle picture, in pixels.
        has_features: whether the clips are features in place of frames.
        memory_bytes: that this process may use.
        gpu_bytes: those of the GPU; 0 without one.
        weights: official weights on this machine, by name.
        start: a run or release to start from, if one is given.
    """

    manifests: tuple[str, ...]
    class_names: Mapping[str, tuple[str, ...]]
    class_counts: Mapping[str, tuple[int, ...]]
    num_train: int
    several: bool = False
    frames: int = 0
    seconds: float = 0.0
    short_side: int = 0
    has_features: bool = False
    memory_bytes: int = 0
    gpu_bytes: int = 0
    weights: tuple[str, ...] = ()
    start: str = ""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A recipe by the name of one and what is changed of it, and a reason for each choice.

    Args:
        base: name of a recipe, or the folder of a run or release.
        changes: ``key=value``, short names among them.
        manifests: the clips.
        reasons: what is chosen -> the choice, and why, in words.
    """

    base: str
    changes: tuple[str, ...]
    manifests: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The recipe itself, without its data."""
        return override_with_val(find(self.base), self.changes)

    def lines(self) -> list[str]:
        """What is chosen and why, a line each."""
        return [f"chosen: {self.base}", *(f"  {k:7} {v}" for k, v in self.reasons.items())]

    def command(self, *more: str) -> str:
        """The line that trains it; `more` words stand at its end."""
        given = [word for manifest in self.manifests for word in ("--manifest", manifest)]
        return shlex.join(["marey", "train", self.base, *self.changes, *given, *more])


@dataclass(frozen=True)
class Choice:
    """One choice: of what, in words why, and what of the recipe it changes."""

    what: str
    why: str
    changes: tuple[str, ...] = ()
