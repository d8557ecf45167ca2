"""Folds for cross-validation: every clip validates once what is trained on the clips of the others.

The honest way with few clips, where a split for validation alone is too small to tell two models
apart. A group is in one fold only, and every fold has about its share of every class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from marey.data.own_videos.dealing import deal
from marey.errors import ManifestError, counted, first_few

MOST_SHOWN = 6
"""Classes whose clips are counted one by one in a line."""


@dataclass(frozen=True)
class FoldFacts:
    """What one fold got."""

    fold: int
    groups: int
    classes: dict[str, int]
    """Class -> clips; those of which it has none are there, too."""

    @property
    def line(self) -> str:
        """In words."""
        counts = self.classes.values()
        least, most = min(counts), max(counts)
        shown = f"{least:,} of each class" if least == most else f"{least:,} to {most:,} of a class"
        if len(self.classes) <= MOST_SHOWN:
            shown = ", ".join(f"{name} {count:,}" for name, count in self.classes.items())
        clips, groups = counted(sum(counts), "clip"), counted(self.groups, "group")
        return f"fold {self.fold}: {clips} of {groups}: {shown}"


def deal_folds(
    labels: np.ndarray, groups: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Fold int64 [n] of clips with these labels and groups (int64 [n]), each group in one.

    ManifestError if there are fewer groups than folds.
    """
    there = len(np.unique(groups))
    if number > there:
        fewer = f"--folds {there} has one of each" if there > 1 else f"give {number} groups or more"
        raise ManifestError(
            f"{number} folds of {counted(there, 'group')} of clips, expected a group or more for"
            " each",
            fewer + ("; --group none divides groups" if there < len(groups) else ""),
        )
    _, codes = np.unique(groups, return_inverse=True)
    return deal(labels, codes, np.full(number, 1 / number), rng)


def fold_facts(
    folds: np.ndarray, labels: np.ndarray, groups: np.ndarray, names: Sequence[str]
) -> tuple[FoldFacts, ...]:
    """What each fold (int64 [n], -1 for none) got of the clips with these labels and groups."""
    return tuple(
        FoldFacts(
            int(fold),
            len(np.unique(groups[folds == fold])),
            {names[label]: int((labels[folds == fold] == label).sum()) for label in known},
        )
        for known in [np.unique(labels[folds >= 0])]
        for fold in np.unique(folds[folds >= 0])
    )


def fold_notes(facts: Sequence[FoldFacts]) -> Iterator[str]:
    """What there is to say of classes that are not in every fold."""
    held = {name: sum(fold.classes[name] > 0 for fold in facts) for name in facts[0].classes}
    alone = [name for name, number in held.items() if number == 1]
    rare = [name for name, number in held.items() if 1 < number < len(facts)]
    if alone:
        yield (
            f"{counted(len(alone), 'class')} in one fold alone, with nothing to train on:"
            f" {first_few(alone)}; give more clips or groups of each"
        )
    if rare:
        most = min(held[name] for name in rare)
        yield (
            f"{counted(len(rare), 'class')} in fewer than {len(facts)} folds: {first_few(rare)};"
            f" with --folds {most} or more clips each would be in all"
        )
