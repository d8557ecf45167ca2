"""A long-tailed version of a manifest: training clips are taken away, all others stay.

The classes are ranked by their training clips (equal ones by number), or at random, and each keeps
as many as the profile gives its rank (`marey.data.longtail.profile`). Which ones is drawn from the
seed, class by class and always in one order: with the same seed a smaller long tail is part of a
larger one. A file of features gives a file of features. What was done stands in NAME.longtail.json
beside the new manifest.
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
from marey.storage.atomic import replacing, write_text
from marey.storage.url import AnyPath

Counts = npt.NDArray[np.int64]
RankBy = Literal["count", "random"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LongTail:
    """The long-tailed manifest, and its training clips a class before and after, int64 [k]."""

    manifest: Manifest
    rows: npt.NDArray[np.int64]
    """Its rows in the manifest it was made of."""
    head: str
    pareto: ParetoProfile
    before: Counts
    after: Counts
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
                {"name": name, "before": int(before), "after": int(after)}
                for name, before, after in zip(names, self.before, self.after, strict=True)
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
        ManifestError: no such head, clips of several classes, a class with too few clips for its
            rank, or no profile near the wish.
    """
    head = head or next(iter(manifest.labels))
    train = _training_rows(manifest, head)
    labels = manifest.labels[head]
    before = np.bincount(labels[train], minlength=len(manifest.classes[head]))
    rng = np.random.default_rng([seed, 0])
    order = (
        np.argsort(-before, kind="stable") if rank_by == "count" else rng.permutation(len(before))
    )
    available = before[order] if rank_by == "count" else np.full_like(before, before.min())
    pareto = nearest_profile(available, wish)
    after = np.empty_like(before)
    after[order] = pareto.counts(len(order))
    _refuse_too_few(manifest, head, before, after, pareto, available)
    kept = np.ones(len(manifest), dtype=bool)
    for label, count in enumerate(after.tolist()):
        rows = train[labels[train] == label]
        drawn = np.random.default_rng([seed, 1, label]).permutation(len(rows))
        kept[rows[drawn[count:]]] = False
    rows = np.flatnonzero(kept)
    return LongTail(
        manifest=manifest.take(rows),
        rows=rows,
        head=head,
        pareto=pareto,
        before=before,
        after=after,
        seed=seed,
        rank_by=rank_by,
    )


def _training_rows(manifest: Manifest, head: str) -> npt.NDArray[np.int64]:
    if head not in manifest.labels:
        known = ", ".join(manifest.labels)
        raise ManifestError(f"{manifest.source} has no labels '{head}'", f"it has {known}")
    if manifest.labels[head].ndim == 2:
        raise ManifestError(
            f"{manifest.source}: clips have several classes of '{head}', so that none can be "
            "made rare by itself",
            "make a long tail of a manifest with one class a clip",
        )
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
    if out.exists() and not overwrite:
        remedy = "give another file; --overwrite, or overwrite=True, replaces it"
        raise ManifestError(f"{out} is there already", remedy)
    for head, names in manifest.classes.items():
        file = classes_file(out.parent, head)
        if file.exists() and read_classes(file) != names and not overwrite:
            remedy = "give a file in another folder; --overwrite, or overwrite=True, replaces it"
            raise ManifestError(f"{file} holds other class names", remedy)
