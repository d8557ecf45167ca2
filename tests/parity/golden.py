"""Golden files: what a model of the original code computed, without its weights.

`golden_rule.py` beside the files fills every tensor of the upstream state dict from its *name*.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Golden:
    """One file. `values` is its content; models are filed by the folder of their family."""

    path: Path
    values: dict[str, Any]

    @property
    def family(self) -> str:
        return self.path.parent.name

    @property
    def is_model(self) -> bool:
        return "state_dict" in self.values and "input_shape" in self.values

    @property
    def is_training(self) -> bool:
        return self.values.get("mode") == "train"

    @property
    def model(self) -> str:
        return str(self.values["model"])

    @property
    def builder(self) -> str:
        """Who built it upstream; gc files that do not say begin their model's name with it."""
        if self.values.get("builder"):
            return str(self.values["builder"])
        if self.family != "gc":
            return self.model
        return next(b for prefix, b in _BUILDERS.items() if self.model.startswith(prefix))

    @property
    def config(self) -> dict[str, Any]:
        return {key: value for key, value in self.values["config"].items() if key != "note"}

    @property
    def names(self) -> list[str]:
        """Of the upstream state dict."""
        return [name for name, *_ in self.values["state_dict"]]

    def weights(self) -> dict[str, Tensor]:
        """The upstream state dict."""
        rule, names = golden_rule(self.path.parent), self.values["state_dict"]
        if hasattr(rule, "golden_state"):
            filled = rule.golden_state(names, self.values.get("weight_gain", 1.0))
        elif hasattr(rule, "state_dict"):
            filled = rule.state_dict(names)
        else:
            filled = rule.fill(names)
        return {name: torch.from_numpy(array) for name, array in filled.items()}

    def input(self, block: int = 1) -> Tensor:
        """What went in, in the upstream layout; of squares of `block` pixels, if that is more."""
        rule, shape = golden_rule(self.path.parent), self.values["input_shape"]
        seed = self.values.get("input_seed", 0)
        if hasattr(rule, "golden_input"):
            blocks = (block,) if block > 1 else ()
            return torch.from_numpy(rule.golden_input(shape, seed, *blocks))
        return torch.from_numpy(rule.make_input(shape, seed))


# The longest prefix first, where one begins with another.
_BUILDERS = {
    "gcrepo_": "v0",
    "ecalv0_": "v0",
    "ecal_": "gc_tsn",
    "gc_tsn": "gc_tsn",
    "gc_tsm": "gc_tsm",
    "gc_gst": "gc_gst",
    "gc_tdn": "gc_tdn",
    "gst": "gst",
    "tdn": "tdn",
    "tsm": "tsm",
    "tsn": "tsm",
    "online": "online",
    "": "?",
}


def read(path: Path) -> Golden:
    """The file; tables that are lists are kept under the name "rows"."""
    values = json.loads(path.read_text())
    return Golden(path, values if isinstance(values, dict) else {"rows": values})


@cache
def golden_rule(folder: Path) -> ModuleType:
    """`golden_rule.py` of a folder, which is no package."""
    spec = importlib.util.spec_from_file_location(
        f"golden_rule_{folder.name}", folder / "golden_rule.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
