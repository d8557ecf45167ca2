"""Action recognition from frames to the long tail.

>>> import marey
>>> run = marey.train(manifest="manifest.csv")     # doctest: +SKIP
>>> model = marey.load(run)                        # doctest: +SKIP
>>> model.predict("clip.mp4")                      # doctest: +SKIP
[{'label': 'waving', 'score': 0.97}, ...]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from marey.moved import keep_earlier_names
from marey.version import __version__ as __version__

if TYPE_CHECKING:
    from marey.data.manifest.location import Location
    from marey.data.manifest.read import read_manifest, require_files
    from marey.engine.inference.evaluate_run import evaluate_model as evaluate
    from marey.engine.inference.evaluate_timelines import (
        evaluate_timelines_of as evaluate_timelines,
    )
    from marey.engine.inference.predict import load
    from marey.engine.inference.pretrained import from_pretrained
    from marey.engine.train.begin import train
    from marey.recipes.catalog import find as recipe
    from marey.video.reading.reader import open_video

__all__ = [
    "Location",
    "evaluate",
    "evaluate_timelines",
    "from_pretrained",
    "load",
    "open_video",
    "read_manifest",
    "recipe",
    "require_files",
    "train",
]

_WHERE = {
    "Location": ("marey.data.manifest.location", "Location"),
    "evaluate": ("marey.engine.inference.evaluate_run", "evaluate_model"),
    "evaluate_timelines": ("marey.engine.inference.evaluate_timelines", "evaluate_timelines_of"),
    "from_pretrained": ("marey.engine.inference.pretrained", "from_pretrained"),
    "load": ("marey.engine.inference.predict", "load"),
    "open_video": ("marey.video.reading.reader", "open_video"),
    "read_manifest": ("marey.data.manifest.read", "read_manifest"),
    "require_files": ("marey.data.manifest.read", "require_files"),
    "recipe": ("marey.recipes.catalog", "find"),
    "train": ("marey.engine.train.begin", "train"),
}


keep_earlier_names()


def __getattr__(name: str) -> object:
    """A public name, imported when it is first used: torch takes seconds to load."""
    if name not in _WHERE:
        raise AttributeError(f"module 'marey' has no attribute '{name}'")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """The public names, those that were not used yet as well."""
    return sorted([*__all__, "__version__"])
