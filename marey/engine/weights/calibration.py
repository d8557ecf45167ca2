"""calibration.json: by what a model's logits are divided where somebody asks for it.

    RUN/calibration.json     written by `marey eval RUN --calibrate`, of a run or of a release

A temperature a head (`marey.metrics.calibration`), of one set of weights and one way of testing. It
is applied by `--calibrated` and `calibrated=True` alone, never by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marey.engine.results_file import Role
from marey.errors import CheckpointError, RecipeError, counted
from marey.recipes.recipe import TestViews
from marey.recipes.schema import to_plain
from marey.storage.text_files import as_value, read_json, write_json
from marey.types import check_numbers

FILE = "calibration.json"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The temperature of each head, and what it was measured on.

    Args:
        temperatures: head -> T, above 0.
        manifest: of the clips, as it was given.
        split: of the manifest, if it has any.
        other_clips: what they are called, if the model was not validated on them.
        num_clips: that could be read.
        clips: the digest of all of them (`marey.engine.weights.clip_facts`).
        role: what they were to the weights.
        weights: the digest of the weights.
        views: the test views.
    """

    temperatures: dict[str, float]
    manifest: str = ""
    split: str = ""
    other_clips: str = ""
    num_clips: int = 0
    clips: str = ""
    role: Role = ""
    weights: str = ""
    views: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        of_heads = {f"temperature of '{head}'": value for head, value in self.temperatures.items()}
        check_numbers(above=0, **of_heads)

    @property
    def measured_on(self) -> str:
        """The clips, in words."""
        split = f"split {self.split}" if self.split else ""
        where = ", ".join(filter(None, [self.other_clips, split]))
        chose = ", which chose the weights too" if self.role == "choice" else ""
        return f"{counted(self.num_clips, 'clip')}{f' of {where}' if where else ''}{chose}"

    def in_words(self) -> str:
        """What the temperatures are and of what, without a full stop.

        >>> Calibration(temperatures={"label": 1.5}, split="val", num_clips=24).in_words()
        'temperature 1.50, measured on 24 clips of split val'
        """
        values = [(f" of '{head}'", value) for head, value in self.temperatures.items()]
        if len(values) == 1:
            values = [("", values[0][1])]
        temperatures = " and ".join(f"{value:.2f}{of}" for of, value in values)
        return f"temperature {temperatures}, measured on {self.measured_on}"


def plain_views(views: TestViews) -> dict[str, Any]:
    """The test views as a file has them."""
    plain: dict[str, Any] = json.loads(json.dumps(to_plain(views)))
    return plain


def write_calibration(calibration: Calibration, folder: Path) -> Path:
    """Write the file into the folder of a run or release; returns where it is."""
    write_json(folder / FILE, calibration)
    return folder / FILE


def calibration_in(folder: Path) -> Calibration:
    """The calibration in a folder, of whatever weights; CheckpointError if there is none."""
    hint = _measure(folder)
    if not (folder / FILE).is_file():
        raise CheckpointError(f"{folder} was never calibrated: it has no {FILE}", hint)
    facts = read_json(folder / FILE, CheckpointError, hint)
    return as_value(Calibration, facts, folder / FILE, CheckpointError, hint)


def check_calibration(
    found: Calibration, folder: Path, weights: str, views: TestViews, heads: Iterable[str]
) -> None:
    """That the calibration in `folder` is of these weights, heads and test views.

    Raises:
        CheckpointError: it is of other weights.
        RecipeError: it is of other test views.
    """
    if found.weights != weights or not {*heads} <= found.temperatures.keys():
        hint = _measure(folder)
        raise CheckpointError(f"{folder / FILE} is of other weights of this model", hint)
    wanted = plain_views(views)
    if others := [name for name in wanted if found.views.get(name) != wanted[name]]:
        names = " and ".join(f"test.{name}" for name in others)
        raise RecipeError(
            f"{folder / FILE} was measured in other views: {names} was not what it is here",
            "test in the views that it was measured in, or measure it in these",
        )


def _measure(folder: Path) -> str:
    return f"measure it: marey eval {folder} --calibrate, on clips that are not reported"
