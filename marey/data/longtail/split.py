"""A long-tailed version of a manifest: training clips are taken away, all others stay.

The classes are ranked by their training clips (equal ones by number), or at random, and each keeps
as many as the profile gives its rank (`marey.data.longtail.profile`). Which ones is drawn from the
seed, class by class and always in one order: with the same seed a smaller long tail is part of a
larger one. A file of features gives a file of features. What was done stands in NAME.longtail.json
beside the new manifest.

Where clips have several classes, no class is made rare by itself: a clip that stays counts for each
of its own. So classes are filled from the rarest wanted to the most frequent. The clips of a class
are gone through in the order that the seed draws, and one stays if none of its classes would have
more than is wanted, until the class has enough. No class comes to have more, the rarest has all
that it should, and one whose clips show full classes too may be left with less: NAME.longtail.json
has both numbers. Clips without a class stay. Where every clip has one class this is the rule above;
else a smaller long tail need not be part of a larger one. (VideoLT-LT, arXiv 2304.01143, is such a
set; how it was drawn is not published, so a seed names ours.)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marey.data.features.feature_file import FeatureFile, is_arrow, open_table
from marey.data.features.marks import marked_writer
from marey.data.longtail.profile import (
    ParetoProfile,
    Wish,
    largest_that_fits,
    nearest_profile,
)
from marey.data.manifest.classes import classes_file, read_classes
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.errors import ManifestError, counted
from marey.metrics.groups import Profile, paper_groups, profile
from marey.storage.atomic import refuse_existing, replacing, write_text
from marey.storage.url import AnyPath

Counts = npt.NDArray[np.int64]
RankBy = Literal["count", "random"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LongTail:
    """The long-tailed manifest, and its training clips a class before and after, int64 [k].

    `wanted` is what the profile gives each class, which `after` is where clips have one class.
    """

    manifest: Manifest
    rows: npt.NDArray[np.int64]
    """Its rows in the manifest it was made of."""
    head: str
    pareto: ParetoProfile
    before: Counts
    wanted: Counts
    after: Counts
    several: bool
    """Whether clips have several classes."""
    seed: int
    rank_by: RankBy

    @property
    def profile(self) -> Profile:
        """H%, F% and imbalance of the training clips that are left."""
        return profile(self.after)

    def facts(self) -> dict[str, Any]:
        """All of it in plain data."""
        names = self.manifest.classes[self.head]
        groups = paper_groups(self.after)
        return {
            "source": str(self.manifest.source),
            "head": self.head,
            "seed": self.seed,
            "rank_by": self.rank_by,
            "pareto": asdict(self.pareto),
            "before": asdict(profile(self.before)),
            "after": asdict(self.profile),
            "rule": groups.rule,
            "groups": {name: classes.tolist() for name, classes in groups},
            "classes": [
                {"name": name, "before": int(before), "wanted": int(wanted), "after": int(after)}
                for name, before, wanted, after in zip(
                    names, self.before, self.wanted, self.after, strict=True
                )
            ],
            "splits": self.manifest.split_counts(),
        }


def write_long_tail(
    source: str | AnyPath,
    out: str | Path,
    wish: Wish,
    *,
    head: str | None = None,
    rank_by: RankBy = "count",
    seed: int = 0,
    overwrite: bool = False,
) -> tuple[LongTail, Path]:
    """The long tail of the manifest `source`, written to `out`, and the path of its account.

    Args:
        source: the manifest to take clips from, or its url; it stays as it is.
        out: the manifest to write; NAME.longtail.json beside it says what was done.
        wish: what the long tail is to be like.
        head: by whose classes; default: the first.
        rank_by: "count" keeps the order of classes by their clips, "random" draws one.
        seed: of the clips that stay, and of the random order.
        overwrite: whether `out`, and class names beside it, may be replaced.

    Raises:
        ManifestError: as `long_tail`, and where `out` is there already, or `source` itself.
    """
    out = Path(out)
    tail = long_tail(read_manifest(source), wish, head=head, rank_by=rank_by, seed=seed)
    _refuse_occupied(out, tail.manifest, overwrite=overwrite)
    if isinstance(source, str | Path) and out.resolve() == Path(source).resolve():
        raise ManifestError(f"{out} is the manifest itself", "give another file")
    if isinstance(tail.manifest.features, FeatureFile):
        _write_features(tail, out)
    else:
        write_manifest(tail.manifest, out)
    account = out.with_suffix(".longtail.json")
    write_text(account, json.dumps(tail.facts(), indent=1, ensure_ascii=False) + "\n")
    return tail, account


def long_tail(
    manifest: Manifest,
    wish: Wish,
    *,
    head: str | None = None,
    rank_by: RankBy = "count",
    seed: int = 0,
) -> LongTail:
    """The long tail of the split `train` (of all clips without splits) by the classes of `head`.

    The arguments are those of `write_long_tail`.

    Raises:
        ManifestError: no such head, a class with too few clips for its rank, or left with none, or
            no profile near the wish.
    """
    head = head or next(iter(manifest.labels))
    train = _training_rows(manifest, head)
    labels = manifest.labels[head][train]
    several = labels.ndim == 2
    before = (
        (labels > 0).sum(axis=0)
        if several
        else np.bincount(labels, minlength=len(manifest.classes[head]))
    )
    rng = np.random.default_rng([seed, 0])
    order = (
        np.argsort(-before, kind="stable") if rank_by == "count" else rng.permutation(len(before))
    )
    available = before[order] if rank_by == "count" else np.full_like(before, before.min())
    pareto = nearest_profile(available, wish)
    wanted = np.empty_like(before)
    wanted[order] = pareto.counts(len(order))
    _refuse_too_few(manifest, head, before, wanted, pareto, available)
    stays = _stays_of_several(labels > 0, wanted, seed) if several else _stays(labels, wanted, seed)
    kept = np.ones(len(manifest), dtype=bool)
    kept[train] = stays
    after = (labels[stays] > 0).sum(axis=0) if several else wanted
    _refuse_empty(manifest, head, after)
    rows = np.flatnonzero(kept)
    return LongTail(
        manifest=manifest.take(rows),
        rows=rows,
        head=head,
        pareto=pareto,
        before=before,
        wanted=wanted,
        after=after,
        several=several,
        seed=seed,
        rank_by=rank_by,
    )


def _stays(labels: Counts, wanted: Counts, seed: int) -> npt.NDArray[np.bool_]:
    """Which clips of classes [n] stay, `wanted` [k] of each class."""
    stays = np.zeros(len(labels), dtype=bool)
    for label, count in enumerate(wanted.tolist()):
        stays[_drawn(np.flatnonzero(labels == label), label, seed)[:count]] = True
    return stays


def _stays_of_several(
    has: npt.NDArray[np.bool_], wanted: Counts, seed: int
) -> npt.NDArray[np.bool_]:
    """Which clips of sets of classes [n k] stay, at most `wanted` [k] of each class."""
    stays: npt.NDArray[np.bool_] = has.sum(axis=1) == 0
    counts = np.zeros_like(wanted)
    for label in np.argsort(wanted, kind="stable").tolist():
        for row in _drawn(np.flatnonzero(has[:, label]), label, seed).tolist():
            if counts[label] >= wanted[label]:
                break
            own = np.flatnonzero(has[row])
            if not stays[row] and (counts[own] < wanted[own]).all():
                stays[row] = True
                counts[own] += 1
    return stays


def _drawn(rows: Counts, label: int, seed: int) -> Counts:
    """The rows of a class in the order that the seed draws."""
    return rows[np.random.default_rng([seed, 1, label]).permutation(len(rows))]


def _refuse_empty(manifest: Manifest, head: str, after: Counts) -> None:
    if not after.all():
        empty = np.flatnonzero(after == 0)
        name = manifest.classes[head][empty[0]]
        raise ManifestError(
            f"{manifest.source}: {counted(len(empty), 'class')} would have no training clip, the "
            f"first '{name}': all of theirs show classes that have enough by then",
            "ask for a larger long tail, or for another seed",
        )


def _training_rows(manifest: Manifest, head: str) -> npt.NDArray[np.int64]:
    if head not in manifest.labels:
        known = ", ".join(manifest.labels)
        raise ManifestError(f"{manifest.source} has no labels '{head}'", f"it has {known}")
    return manifest.rows_of("train")


def _refuse_too_few(
    manifest: Manifest,
    head: str,
    before: Counts,
    after: Counts,
    pareto: ParetoProfile,
    available: Counts,
) -> None:
    lacking = np.flatnonzero(after > before)
    if not len(lacking):
        return
    worst = lacking[np.argmin(before[lacking] / after[lacking])]
    name = manifest.classes[head][worst]
    if not before[worst]:
        raise ManifestError(
            f"{manifest.source}: class '{name}' has no training clips",
            "leave it out of the labels, or add clips",
        )
    fits = largest_that_fits(available, pareto.imbalance, pareto.exponent)
    raise ManifestError(
        f"{manifest.source}: class '{name}' has {counted(before[worst], 'training clip')}, its "
        f"rank needs {after[worst]}; too few of {len(lacking)} of {len(before)} classes",
        f"of this shape the largest class can have {counted(fits, 'clip')} at most",
    )


def _write_features(tail: LongTail, out: Path) -> None:
    """The rows that are left of a file of features, as they stand there."""
    if not is_arrow(out):
        raise ManifestError(f"{out} cannot hold features", f"name it {out.stem}.arrow")
    features = tail.manifest.features
    assert isinstance(features, FeatureFile)
    table = open_table(features.path)
    kept = np.zeros(len(table), dtype=bool)
    kept[tail.rows] = True
    start = 0
    with replacing(out) as file, marked_writer(file, table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch.filter(pa.array(kept[start : start + len(batch)])))
            start += len(batch)


def _refuse_occupied(out: Path, manifest: Manifest, *, overwrite: bool) -> None:
    refuse_existing(out, ManifestError, overwrite=overwrite)
    for head, names in manifest.classes.items():
        file = classes_file(out.parent, head)
        if file.exists() and read_classes(file) != names and not overwrite:
            remedy = "give a file in another folder; --overwrite, or overwrite=True, replaces it"
            raise ManifestError(f"{file} holds other class names", remedy)
