"""The folder of a run: what stands in it before the first step, and the clips it could not read.

RUN/recipe.yaml  env.json  labels.txt  class_counts.json  bad_clips.csv
RUN/log.jsonl  metrics.csv  train.log
RUN/checkpoints/last.pt  best.pt      RUN/results/NAME/predictions.parquet  results.json
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from marey.data.loading.mixing import Mixed
from marey.data.loading.samplers import column_of
from marey.data.manifest.classes import write_classes
from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import environment
from marey.engine.train.distributed import World
from marey.engine.train.run_log import run_errors
from marey.engine.weights.class_counts import write_class_counts
from marey.errors import RecipeError, RunError, did_you_mean
from marey.models.encoders.features import FeatureEncoder
from marey.models.video_model import Head
from marey.recipes.compatible import check_clips, check_objectives, check_same_features
from marey.recipes.recipe import DataSpec, Recipe
from marey.recipes.schema import from_yaml, to_yaml
from marey.video.augment import flip_pairs


def open_run(folder: Path, recipe: Recipe, train_set: Manifest, *, resume: bool) -> None:
    """Make the folder of a run, or see that it is the one to resume; never overwrites a run."""
    if last_checkpoint(folder) and not resume:
        raise RunError(
            f"{folder} already holds a run", "go on with --resume, or give another --work-dir"
        )
    with run_errors(folder):
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        (folder / "env.json").write_text(json.dumps(environment(), indent=1), encoding="utf-8")
    write_classes(train_set.classes, folder)
    write_class_counts({head: train_set.class_counts(head) for head in train_set.labels}, folder)


def read_run_recipe(folder: Path) -> Recipe:
    """The resolved recipe of the run in `folder`."""
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise RunError(
            f"{folder} is not the folder of a run: it has no recipe.yaml", "give --work-dir"
        )
    return from_yaml(Recipe, path.read_text(encoding="utf-8"), source=str(path))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of the run in `folder`; None if it never began."""
    path = folder / "checkpoints" / "last.pt"
    return path if path.is_file() else None


def read_data(recipe: Recipe) -> tuple[Manifest, Manifest | None]:
    """The training and validation manifests, checked wholly; no validation if there is none."""
    data = recipe.data
    if not data.train:
        raise RecipeError("data.train names no manifest", "give --manifest FILE")
    heads = {head.name: head.num_classes for head in recipe.model.heads} or None
    several = [head.name for head in recipe.model.heads if head.several]
    train_set = read_lists(data, data.train_lists, split="train", heads=heads)
    train_set = train_set.with_several(several)
    _check_roots(data, train_set)
    if not data.val:
        whole = read_lists(data, data.train_lists, heads=heads, check_files=False)
        if "val" not in whole.split_counts():
            return train_set, None
    val_set = read_lists(data, data.val_lists, split="val", heads=heads)
    several = [head for head in train_set.labels if train_set.has_several(head)]
    check_same_features(train_set, val_set)
    return train_set, val_set.with_several(several)


def _check_roots(data: DataSpec, train_set: Manifest) -> None:
    known = [] if train_set.sources is None else train_set.sources.dictionary.to_pylist()
    for name, _ in data.roots:
        if name not in known:
            raise RecipeError(f"data.roots names '{name}', a source that no clip has",
                              did_you_mean(name, known))  # fmt: skip


def read_lists(
    data: DataSpec,
    paths: Sequence[str | Path],
    *,
    split: str | None = None,
    heads: Mapping[str, int] | None = None,
    check_files: bool | None = None,
) -> Manifest:
    """The clips of manifests, below the roots that a recipe names."""
    return read_manifests(
        paths,
        split=split,
        root=data.root or None,
        roots=dict(data.roots),
        urls=data.urls,
        heads=heads,
        check_files=check_files,
    )


def resolve(recipe: Recipe, train_set: Manifest) -> Recipe:
    """The recipe with what only the data can say filled in.

    That is: heads, the width of features, pairs of mirrored classes. ManifestError if the clips are
    not what the model takes, RecipeError if a stage balances a head that they lack or minimises
    what their labels do not allow.
    """
    for stage in recipe.stages:
        column_of(stage.sampler, train_set.labels)
        if isinstance(stage.sampler, Mixed):
            stage.sampler.codes(train_set.sources)
    model = recipe.model
    heads = model.heads or tuple(Head(name, len(k)) for name, k in train_set.classes.items())
    heads = tuple(
        replace(head, several=head.several or train_set.has_several(head.name)) for head in heads
    )
    encoder = model.encoder
    if isinstance(encoder, FeatureEncoder) and encoder.dim is None and train_set.features:
        encoder = replace(encoder, dim=train_set.features.dim)
    recipe = replace(recipe, model=replace(model, heads=heads, encoder=encoder))
    check_clips(recipe.model, train_set)
    check_objectives(recipe, train_set)
    plan = recipe.augment
    if plan.flip == "swap" and plan.flip_pairs is None:
        pairs = flip_pairs(train_set.classes[plan.flip_head])
        recipe = replace(recipe, augment=replace(plan, flip_pairs=pairs))
    return recipe


class BadClips:
    """The clips that could not be read in training: listed in bad_clips.csv, up to a budget."""

    def __init__(self, folder: Path, train_set: Manifest, budget: float) -> None:
        self.path, self.train_set = folder / "bad_clips.csv", train_set
        self.allowed = math.ceil(budget * len(train_set))
        self.rows: set[int] = set()
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = {int(line["row"]) for line in csv.DictReader(file)}

    def add(self, row: int, reason: str) -> None:
        """Note a clip once; RunError past the budget."""
        if row in self.rows:
            return
        self.rows.add(row)
        with run_errors(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(["row", "path", "reason"])
            writer.writerow([row, self.train_set.path(row), reason])
        self._check(len(self.rows))

    def check_all(self, world: World) -> None:
        """The budget over all processes, each of which has met other clips."""
        self._check(int(world.sum(len(self.rows))))

    def _check(self, count: int) -> None:
        if count > self.allowed:
            raise RunError(
                f"{count} training clips could not be read, more than the {self.allowed} that "
                f"data.bad_clip_budget allows; they are listed in {self.path}",
                "mend or remove them (marey data check lists all), or raise the budget",
            )
