"""Ensembles of rows (arXiv 2203.09694 and 2012.10071): models of 8 and of 16 segments together.

Published as "(8+16)". Each member is trained by its own row and shows a clip in the views of the
ensemble's row; `marey eval A B --row NAME` scores both and averages.

**Deviates**: TDN's script, which GC-TDN's rows use as well, adds the logits of all views with the
negative ones set to 0; here the logits are averaged as they are. Its rows of one model average
probabilities. The views of TDN's row on Kinetics are taken to be those of its members.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from marey.errors import RecipeError, did_you_mean
from marey.recipes import gc, tdn
from marey.recipes.published import THREE_FULL
from marey.recipes.recipe import Claim, Recipe, TestViews


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A row whose number is of several models together.

    Args:
        name: of the row.
        members: the rows whose models they are, with the test views of this row.
        claim: the published number.
        weights: of the members' scores; none are equal weights.
        average: what is averaged over members.
    """

    name: str
    members: tuple[Recipe, ...]
    claim: Claim
    weights: tuple[float, ...] = ()
    average: Literal["logits", "probs"] = "logits"

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.members):
            raise ValueError(f"weights are {self.weights}, expected {len(self.members)}")

    def commands(self) -> tuple[str, ...]:
        """What trains the members and evaluates them together."""
        runs = [f"runs/{member.name}" for member in self.members]
        trained = [f"marey train {member.name} --manifest FILE" for member in self.members]
        return (*trained, f"marey eval {' '.join(runs)} --row {self.name}")


def ensembles() -> dict[str, Ensemble]:
    """Name -> ensemble, of all that come with marey."""
    return {row.name: row for row in ROWS}


def find_ensemble(name: str) -> Ensemble:
    """The ensemble of that name; RecipeError suggests the nearest."""
    known = ensembles()
    if name not in known:
        near = did_you_mean(name, known, otherwise="marey recipes lists them")
        raise RecipeError(f"no ensemble '{name}'", near)
    return known[name]


_ROWS = {recipe.name: recipe for recipe in (*gc.ROWS, *tdn.ROWS)}
_README = "README of MCG-NJU/TDN"


def _segments(
    model: str, data: str, top1: float, top5: float, source: str = gc.README, *, crops: int = 0
) -> Ensemble:
    """The row (8+16) of a model, in the views of its rows, or in as many crops as `crops` says."""
    members = [_ROWS[f"{model}-{t}f-{data}"] for t in (8, 16)]
    claim = Claim(top1=top1, top5=top5, source=source)
    name = f"{model}-8+16f-{data}" + (f"-{crops}crop" if crops else "")
    return Ensemble(name=name, members=tuple(_of_logits(members, crops)), claim=claim)


def _of_logits(members: Iterable[Recipe], crops: int) -> Iterable[Recipe]:
    for member in members:
        crop = THREE_FULL if crops else member.test.crop
        yield replace(member, test=TestViews(member.test.sampling, crop))


ROWS = (
    _segments("gc-gst-r50", "ssv1", 52.5, 81.3),
    _segments("gc-tsn-r50", "ssv1", 53.7, 81.8),
    _segments("gc-tsm-r50", "ssv1", 55.0, 82.6),
    _segments("gc-tsm-r50", "ssv1", 55.3, 82.7, crops=3),
    _segments("gc-tdn-r50", "ssv1", 56.4, 84.0),
    _segments("gc-gst-r50", "ssv2", 65.0, 89.5),
    _segments("gc-tsn-r50", "ssv2", 66.3, 90.3),
    _segments("gc-tsm-r50", "ssv2", 66.7, 90.6),
    _segments("gc-tsm-r50", "ssv2", 67.5, 90.9, crops=3),
    _segments("gc-tdn-r50", "ssv2", 67.8, 91.2),
    _segments("gc-tdn-r50", "k400", 79.6, 94.1),
    _segments("tdn-r101", "ssv2", 68.2, 91.6, _README),
    _segments("tdn-r101", "ssv2", 69.6, 92.2, _README, crops=3),
    _segments("tdn-r101", "k400", 79.4, 94.4, "arXiv 2012.10071"),
)
