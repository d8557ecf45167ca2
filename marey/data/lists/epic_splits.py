"""The parts of EPIC-KITCHENS-100 that its challenge reports apart: tail classes, unseen people.

    EPIC_100_tail_verbs.csv  EPIC_100_tail_nouns.csv        classes of few training clips
    EPIC_100_unseen_participant_ids_validation.csv (_test)  people who are not in the training set
    EPIC_100_verb_classes.csv  EPIC_100_noun_classes.csv    what the classes are called

An action is of the tail if its verb or its noun is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.manifest.classes import unnamed
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError, counted
from marey.metrics.catalog import Subsets
from marey.storage.text_files import read_csv

HEADS = ("verb", "noun")
_HINT = "they are in epic-kitchens-100-annotations"
_VIDEO = re.compile(r"(?<![A-Za-z0-9])(P\d\d)(?:_\d{2,3})?(?:_\d+)?(?![A-Za-z0-9])", re.ASCII)


@dataclass(frozen=True)
class EpicSplits:
    """Tail classes by head, numbers and, if they are known, names; and unseen people."""

    tail: dict[str, frozenset[int]]
    names: dict[str, tuple[str, ...]]
    """Head -> all its classes; without a head whose names are not known."""
    unseen: frozenset[str]

    def subsets(self, clips: Manifest) -> Subsets:
        """Tail and unseen -> verb, noun and action -> which clips are of it, bool [n].

        ManifestError if the clips are not EPIC's: their heads, their classes, or a clip that does
        not say who filmed it.
        """
        tail = {head: self._tail(clips, head) for head in HEADS}
        people = _participants(clips)
        unseen = np.array([person in self.unseen for person in people], bool)
        return {
            "tail": tail | {"action": tail["verb"] | tail["noun"]},
            "unseen": dict.fromkeys((*HEADS, "action"), unseen),
        }

    def _tail(self, clips: Manifest, head: str) -> np.ndarray:
        if head not in clips.labels or clips.has_several(head):
            raise ManifestError(
                f"{clips.source} has no column '{head}' of one class a clip",
                "the lists of EPIC-KITCHENS are of clips with a verb and a noun",
            )
        classes = clips.classes[head]
        own, numbers = self.names.get(head), unnamed(len(classes))
        if max(self.tail[head], default=0) >= len(classes) or (own and len(own) != len(classes)):
            raise ManifestError(
                f"{clips.source} has {counted(len(classes), 'class')} of '{head}', "
                f"the tail of EPIC-KITCHENS has class {max(self.tail[head])}",
                "the lists are of all its classes",
            )
        if own and classes not in (own, numbers):
            if {*own} != {*classes}:
                other = next(name for name in classes if name not in own)
                raise ManifestError(
                    f"{clips.source} has a class '{other}' of '{head}', EPIC-KITCHENS has none",
                    "the lists are of its classes",
                )
            numbers_of = [classes.index(own[number]) for number in self.tail[head]]
        else:
            numbers_of = [*self.tail[head]]
        return np.isin(clips.labels[head], numbers_of)


def read_epic_splits(folder: Path) -> EpicSplits:
    """The lists in a folder of annotations; ManifestError names a file that lacks or is no list."""
    tail = {
        head: frozenset(_numbers(folder / f"EPIC_100_tail_{head}s.csv", head)) for head in HEADS
    }
    names = {
        head: tuple(key for _, key, *_ in _rows(path, ("id", "key", "instances", "category")))
        for head in HEADS
        if (path := folder / f"EPIC_100_{head}_classes.csv").is_file()
    }
    people = sorted(folder.glob("EPIC_100_unseen_participant_ids*.csv"))
    if not people:
        file = folder / "EPIC_100_unseen_participant_ids_validation.csv"
        raise ManifestError(f"there is no {file}", _HINT)
    unseen = frozenset(name for path in people for (name,) in _rows(path, ("participant_id",)))
    return EpicSplits(tail, names, unseen)


def _numbers(path: Path, column: str) -> list[int]:
    cells = [cell for (cell,) in _rows(path, (column,))]
    for line, cell in enumerate(cells, start=2):
        if not cell.isdecimal():
            raise ManifestError(f"{path}:{line}: {cell!r}, expected the number of a class", _HINT)
    return [int(cell) for cell in cells]


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    if not path.is_file():
        raise ManifestError(f"there is no {path}", _HINT)
    return read_csv(path, columns, ManifestError, _HINT)


def _participants(clips: Manifest) -> list[str]:
    """Who filmed each clip, by its id (P01_11_0), its group or its path, the surest first."""
    groups = clips.groups.to_pylist() if clips.groups is not None else [None] * len(clips)
    ids = clips.ids.to_pylist() if clips.ids is not None else [None] * len(clips)
    people = []
    for row, texts in enumerate(zip(ids, groups, strict=True)):
        names = (_VIDEO.findall(text or "") for text in (*texts, str(clips.path(row))))
        found = next(filter(None, names), None)
        if found is None:
            raise ManifestError(
                f"{clips.source}: {clips.path(row)} does not say who filmed it",
                "give the clips ids like P01_11_0, or paths with the video's name, P01_11",
            )
        people.append(found[-1])
    return people
