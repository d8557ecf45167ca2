"""Where results go, MODEL/results/NAME, so that those of other clips are not written over.

    the clips that the model was validated on      NAME is the split
    any others                                     NAME is what they are called, then their split

A folder belongs to a list of clips. What is tested again takes the place of what it gave before;
other clips of the same name get a number, and are refused where the folder was asked for. What a
folder holds is said by its results.json, or by another file that names clips as that does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePath
from typing import Self

from marey.data.manifest.manifest import SPLITS, Manifest
from marey.data.own_videos.patterns import is_pattern
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import Results, read_results
from marey.engine.weights.origin import origin_of
from marey.engine.weights.zoo.catalog import located
from marey.errors import RunError, counted

MOST_NAMES = 3
"""Of several lists, that their common name is made of."""
log = logging.getLogger("marey")


def clips_name(sources: Sequence[str]) -> str:
    """What clips are called: as their files without endings, or as their folders.

    What says nothing by itself, manifest.csv or val.csv, is called by the folder that it lies in.

    >>> clips_name(["new/manifest.csv"]), clips_name(["kinetics/val.csv"])
    ('new', 'kinetics-val')
    >>> clips_name(["my-clips/*/*.mp4"]), clips_name(["rgb.csv", "flow.csv"])
    ('my-clips', 'rgb+flow')
    """
    names = list(dict.fromkeys(_name(_place(each)) for each in sources))
    more = len(names) - MOST_NAMES
    return "+".join([*names[:MOST_NAMES], *([f"{more}-more"] if more > 0 else [])])


def _place(source: str) -> PurePath:
    """The whole path; of a pattern, that of the folder whose files it matches."""
    if "://" in source:
        return PurePath(source)
    path = Path(os.path.abspath(source))  # noqa: PTH100  # a link is called as it is
    while is_pattern(path):
        path = path.parent
    return path


def _name(path: PurePath) -> str:
    name = path.name if isinstance(path, Path) and path.is_dir() else path.stem
    if name == "manifest" and path.parent.name:
        return _name(path.parent)
    if name.lower() in SPLITS and path.parent.name:
        return f"{_name(path.parent)}-{name}"
    return name or "clips"


def results_name(other_clips: str, split: str) -> str:
    """The name of results: the split, or what other clips are called, with their split if any.

    >>> results_name("", "val"), results_name("new", "val"), results_name("kinetics-val", "val")
    ('val', 'new-val', 'kinetics-val')
    """
    if not other_clips or not split or other_clips.endswith(f"-{split}"):
        return other_clips or split
    return f"{other_clips}-{split}"


def results_folder(model: Path, name: str, *, of_checkpoint: bool = True) -> Path:
    """Where results of this name go; those of a single checkpoint have its name before it.

    of_checkpoint: whether `name` gets that name; not if it was asked for.
    """
    model = located(model)
    if not model.is_file():
        return model / "results" / name
    folder = origin_of(model).folder / "results"
    return folder / (f"{model.stem}-{name}" if of_checkpoint else name)


@dataclass(frozen=True, kw_only=True)
class TestedClips:
    """Which clips results are of.

    Args:
        source: the manifest.
        split: of it, if it has any.
        num_clips: how many, None if nobody knows.
        digest: of paths, labels and classes; empty if nobody knows.
        root: where the paths start; empty where nobody knows, or in several places.
    """

    source: str
    split: str
    num_clips: int | None = None
    digest: str = ""
    root: str = ""

    @classmethod
    def of(cls, clips: Manifest, split: str) -> Self:
        """Those of a split of a manifest, which `clips` are."""
        return cls(
            source=str(clips.source),
            split=split,
            num_clips=len(clips),
            digest=clips.digest(),
            root="" if clips.roots.codes is not None else str(clips.root),
        )

    @classmethod
    def said_by(cls, facts: Results) -> Self:
        """Those that results.json names."""
        return cls(
            source=facts.manifest or "",
            split=facts.split,
            num_clips=facts.num_clips,
            digest=facts.data_hash or "",
            root=facts.root or "",
        )

    def are(self, other: TestedClips) -> bool:
        """Whether both are the same clips."""
        roots = {_real(each.root) for each in (self, other) if each.root}
        return self.digest == other.digest and len(roots) < 2

    def are_of_the_list_of(self, other: TestedClips) -> bool:
        """Whether both are of one list, whatever stood in it then."""
        return (_real(self.source), self.split) == (_real(other.source), other.split)

    def __str__(self) -> str:
        number = "clips" if self.num_clips is None else counted(self.num_clips, "clip")
        split = f", split {self.split}" if self.split else ""
        return f"{number} of {self.source or 'an unknown list'}{split}"


def _real(place: str) -> str:
    return place if "://" in place else os.path.realpath(place)


def others_in(folder: Path, clips: TestedClips, file: str = RESULTS) -> TestedClips | None:
    """The clips whose results lie in a folder; None if it has none to read, or they are these."""
    try:
        held = TestedClips.said_by(read_results(folder / file))
    except RunError:
        return None
    return None if held.are(clips) else held


def refuse_others(folder: Path, clips: TestedClips, file: str = RESULTS) -> None:
    """RunError if a folder holds results of another list of clips."""
    held = others_in(folder, clips, file)
    if held and not held.are_of_the_list_of(clips):
        raise RunError(
            f"{folder} holds the results of {held}: those of {clips} would be written over them",
            "give the results another name or folder, or delete that one",
        )


def say_what_is_replaced(folder: Path, clips: TestedClips, file: str = RESULTS) -> None:
    """A warning if results of other clips are about to be replaced."""
    if held := others_in(folder, clips, file):
        log.warning("%s held the results of %s: they are replaced", folder, held)


def free_folder(folder: Path, clips: TestedClips, file: str = RESULTS) -> Path:
    """The folder, or the first with a number behind its name, that no other list's results are in.

    Those of the same list, if there are any, whatever stood in it then.
    """
    numbered = (folder.with_name(f"{folder.name}-{i}") for i in count(2))
    return next(each for each in chain([folder], numbered) if _is_free(each, clips, file))


def _is_free(folder: Path, clips: TestedClips, file: str) -> bool:
    held = others_in(folder, clips, file)
    return held is None or held.are_of_the_list_of(clips)
