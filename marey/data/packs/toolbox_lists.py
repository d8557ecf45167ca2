"""Which clips a packing has, as the lists of other toolboxes name them, and those lists written.

What a toolbox cannot read is known before the first frame is extracted: `refuse_unlistable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.packs.clip_names import clip_names
from marey.data.packs.listed_clips import ListedClip, ListedClips
from marey.data.packs.toolboxes import TOOLBOXES, ToolboxLists
from marey.errors import ManifestError, did_you_mean
from marey.storage.atomic import replacing


@dataclass(frozen=True, kw_only=True)
class ListWish:
    """The lists that are wanted; ManifestError if a toolbox is unknown."""

    toolboxes: Sequence[str] = ()
    """Of `TOOLBOXES`."""
    head: str | None = None
    """Whose labels lists have; default: the only one."""
    template: str = ""
    """How frames are named, from 1; empty for mp4 files."""

    def __post_init__(self) -> None:
        for name in self.toolboxes:
            if name not in TOOLBOXES:
                raise ManifestError(
                    f"lists for {name!r} are not known", did_you_mean(name, [*TOOLBOXES])
                )

    def lists(self, clips: ListedClips) -> dict[str, ToolboxLists]:
        """Toolbox -> its lists; ManifestError with a remedy if it cannot read some."""
        return {name: TOOLBOXES[name](clips) for name in self.toolboxes}


def refuse_unlistable(manifest: Manifest, out: Path, wish: ListWish, *, spaces: bool) -> None:
    """ManifestError if one of the toolboxes cannot read lists of the clips, once they are in `out`.

    spaces: whether names keep theirs.
    """
    if not wish.toolboxes:
        return
    names = clip_names(manifest, suffixes=False, spaces=spaces)
    called = [names.name(manifest.clip(n), manifest.roots.of(n)) for n in range(len(manifest))]
    paths = [f"frames/{name}" if wish.template else f"clips/{name}.mp4" for name in called]
    wish.lists(_listed(manifest, paths, [1] * len(paths), out, wish))


def write_toolbox_lists(packed: Path, wish: ListWish, *, labelled: bool) -> dict[str, ToolboxLists]:
    """The lists of what a packing holds, written beside its manifest, by toolbox.

    labelled: whether its clips have labels.
    """
    if not wish.toolboxes:
        return {}
    manifest, folder = read_manifest(packed, heads=None if labelled else {}), packed.parent
    assert manifest.frame_counts is not None
    counts = manifest.frame_counts.tolist()
    made = wish.lists(_listed(manifest, [*manifest.texts()], counts, folder, wish))
    for lists in made.values():
        for name, lines in lists.files.items():
            with replacing(folder / name) as file:
                file.writelines(f"{line}\n".encode() for line in lines)
    return made


def _listed(
    manifest: Manifest, paths: list[str], counts: list[int], folder: Path, wish: ListWish
) -> ListedClips:
    """The clips by split; paths and frame counts are given by row."""
    if manifest.splits is None:
        raise ManifestError(
            f"{manifest.source} has no column `split`, by which lists are named",
            "give it one, with train, val or test in every row",
        )
    head = _head(manifest, wish.head)
    learned = {"train", "val"} & {*manifest.split_counts()}
    if head is None and learned:
        raise ManifestError(
            f"{manifest.source} has no labels, and clips of split {sorted(learned)[-1]}",
            "lists to train with need labels; without, clips are of split test",
        )
    labels = [()] * len(paths) if head is None else _labels(manifest, head)
    clips = [
        ListedClip(path=path, num_frames=count, labels=label)
        for path, count, label in zip(paths, counts, labels, strict=True)
    ]
    return ListedClips(
        folder=folder.absolute(),
        splits={s: [clips[row] for row in manifest.rows_of(s)] for s in manifest.split_counts()},
        classes=() if head is None else manifest.classes[head],
        template=wish.template,
    )


def _head(manifest: Manifest, head: str | None) -> str | None:
    """The head whose labels are listed; None if there are no labels."""
    heads = [*manifest.classes]
    if head is not None and head not in heads:
        raise ManifestError(
            f"{manifest.source} has no head {head!r}", f"it has {', '.join(heads) or 'no labels'}"
        )
    if head is None and len(heads) > 1:
        raise ManifestError(
            f"{manifest.source} has the heads {', '.join(heads)}; lists have labels of one",
            f"say which: --head {heads[0]}",
        )
    return head or next(iter(heads), None)


def _labels(manifest: Manifest, head: str) -> list[tuple[int, ...]]:
    labels = manifest.labels[head]
    if manifest.has_several(head):
        return [tuple(np.flatnonzero(row).tolist()) for row in labels]
    return [(label,) for label in labels.tolist()]
