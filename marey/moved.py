"""Modules by the names they had before the house was laid out anew.

A script that imports one of them goes on to work, with a warning that names the new place. Only
whole modules are here; CHANGELOG.md says what else has other names.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "marey.data.check": "marey.data.checks.check",
    "marey.data.clips": "marey.data.loading.clips",
    "marey.data.engines": "marey.jobs.executors",
    "marey.data.mixing": "marey.data.loading.mixing",
    "marey.data.pack_forms": "marey.data.packs.forms",
    "marey.data.packing": "marey.data.packs.pack_clips",
    "marey.data.samplers": "marey.data.loading.samplers",
    "marey.engine.evaluate_folder": "marey.engine.inference.evaluate_run",
    "marey.engine.release": "marey.engine.weights.trained",
    "marey.models.features": "marey.models.encoders.features",
    "marey.models.resnet": "marey.models.encoders.resnet",
    "marey.video.frames": "marey.video.reading.pixels",
    "marey.video.reader": "marey.video.reading.reader",
}


class EarlierNames(MetaPathFinder, Loader):
    """Finds the modules of `MOVED`, after Python has found no file of their names."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Itself as the loader of an earlier name; None for all others."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today in the place of the empty one that Python made."""
        name = module.__name__
        warnings.warn(f"{name} is {MOVED[name]} now", DeprecationWarning, stacklevel=2)
        sys.modules[name] = import_module(MOVED[name])


def keep_earlier_names() -> None:
    """Let them be imported; once is enough."""
    if not any(isinstance(finder, EarlierNames) for finder in sys.meta_path):
        sys.meta_path.append(EarlierNames())
