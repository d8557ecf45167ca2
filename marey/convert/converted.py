"""What a conversion found, for people: printed, and kept in the release it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marey.errors import counted, first_few
from marey.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was found in a checkpoint, and the release that came of it."""

    repository: str
    recipe: Recipe
    num_tensors: int
    inside: tuple[str, ...] = ()
    """The entries of the file, one in the other, in which the state dict lay."""
    dropped: tuple[str, ...] = ()
    from_set: Mapping[str, Any] = field(default_factory=dict)
    from_cfg: Mapping[str, Any] = field(default_factory=dict)
    from_name: Mapping[str, Any] = field(default_factory=dict)
    differing: tuple[str, ...] = ()
    """What its name says that its tensors tell otherwise."""
    assumed: tuple[str, ...] = ()
    """What nothing tells, and has one usual answer."""
    views: str = ""
    """The test views of the recipe, and why these."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else a person should know, by what it is of."""
    name_read: str = ""
    """Whose name was read: the file's, or its folder's."""
    absent_counters: int = 0
    """Batch counters that files of before 2018 lack; nothing but momentum=None reads them."""
    not_read: tuple[str, ...] = ()
    """What stands beside the state dict: the optimiser, or averaged weights."""

    def facts(self) -> dict[str, str]:
        """What was found and by what, as a person reads it."""
        spec = self.recipe.model
        temporal = ", ".join(map(str, spec.temporal)) or "no temporal op"
        heads = ", ".join(counted(head.num_classes, "class") for head in spec.heads)
        num_dropped = len(self.dropped)
        facts = {
            "repository": self.repository,
            "model": f"{spec.encoder}, {temporal}",
            "input": f"{counted(spec.num_segments, 'segment')}, {counted(spec.frames, 'frame')}",
            "output": heads,
            "tensors": f"{self.num_tensors}, all used"
            + (f" but {num_dropped}" if num_dropped else "")
            + (f", in '{'.'.join(self.inside)}'" if self.inside else ""),
            "dropped": first_few(self.dropped) if num_dropped else "",
            "from --set": _pairs(self.from_set),
            "from its cfg": _pairs(self.from_cfg),
            "name": self.name_read if self.from_name or self.differing else "",
            "from its name": _pairs(self.from_name),
            "against its name": "; ".join(self.differing),
            "assumed": "; ".join(self.assumed),
            "test views": self.views,
            **self.notes,
            "absent": f"{self.absent_counters} batch counters" if self.absent_counters else "",
            "not read": ", ".join(self.not_read),
        }
        return {name: fact for name, fact in facts.items() if fact}

    def card(self, source: str) -> str:
        """The README of the release, made of the file called `source`."""
        facts = "\n".join(f"- {name}: {fact}" for name, fact in self.facts().items())
        return f"""# {self.recipe.name}

Converted by marey from `{source}`. `marey.load("this folder").predict("clip.mp4")`.

{facts}

What is not named is read from the tensors. How it was trained is not in the file.
"""


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
