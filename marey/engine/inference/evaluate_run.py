"""Evaluating what lies in a folder: a run or a release, on its own manifest or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

import torch

from marey.data.manifest.join import read_manifests
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.results import write_results
from marey.engine.inference.scored_parts import Tested
from marey.engine.weights.class_counts import Counts
from marey.engine.weights.trained import Trained, load_trained
from marey.errors import ManifestError, RecipeError, RunError
from marey.jobs.executors import HERE, Executor, Here
from marey.jobs.parts import WHOLE, Progress, Shard, make_parts
from marey.metrics.groups import RuleName
from marey.recipes.protocols import protocol as named
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override
from marey.storage.atomic import make_folder, run_error

PART_SECONDS = 4 * 3600.0
"""Longer than any part takes; then it is taken for hanging."""


def evaluate_folder(
    folder: Path,
    *,
    out: Path,
    manifest: str | Path | None = None,
    split: str = "val",
    train_manifest: Path | None = None,
    rule: RuleName = "paper",
    protocol: str | None = None,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, Path]:
    """The evaluation of the model in `folder`, and the results.json it was written to.

    Which classes are head, tail and few-shot follows by `rule` from the training clips that the
    folder has counted, or from those of split train of `train_manifest`.

    It is tested by its own views or those of `protocol` (`marey.recipes.protocols`), as changed by
    `overrides`; those may change how it is tested, not what was trained: `RecipeError` otherwise.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    test = EvalOptions(
        folder, manifest, split, protocol, tuple(overrides), workers, batch_size, device
    )
    result, path = evaluate_test(
        test, out, train_manifest=train_manifest, rule=rule, progress=progress
    )
    if result is None:  # without shards there are no others to wait for
        raise RunError(f"another process wrote {path} meanwhile", "give another folder, or read it")
    return result, path


@dataclass(frozen=True)
class EvalOptions:
    """What is tested and how, in words that mean the same on every machine; as above."""

    folder: Path
    manifest: str | Path | None
    split: str
    protocol: str | None
    overrides: tuple[str, ...]
    workers: int | None
    batch_size: int | None
    device: str


def evaluate_test(
    test: EvalOptions,
    out: Path,
    *,
    train_manifest: Path | None = None,
    rule: RuleName = "paper",
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
) -> tuple[Evaluation | None, Path]:
    """As `evaluate_folder`, where and by how many one likes.

    None if other shards have clips to score yet, or have written the results.
    """
    local = isinstance(executor, Here)
    tested = _tested(test if local else replace(test, device="cpu"))
    make_folder(out, run_error)
    root = tested.recipe.data.root or None
    counts = TrainingCounts(_class_counts(tested.trained, train_manifest, root), rule)
    parts = tested.parts(out / "results.json", rule=rule, train_manifest=str(train_manifest))
    results: list[Evaluation] = []

    def join(paths: Sequence[Path]) -> None:
        result = tested.evaluation(paths, counts)
        write_results(result, out, tested.trained.model, tested.recipe)
        results.append(result)

    make_parts(
        parts,
        partial(tested.write, progress=progress)
        if local
        else partial(_write, test, tested.recipe, tested.manifest.digest()),
        join,
        executor=executor,
        shard=shard,
        timeout_seconds=PART_SECONDS,
        progress=None if local else progress,  # locally each batch tells it
    )
    return (results[0] if results else None), parts.target


def _tested(test: EvalOptions) -> Tested:
    trained = load_trained(test.folder, test.device)
    views = named(test.protocol).applied(trained.recipe) if test.protocol else trained.recipe
    recipe = override(views, test.overrides)
    if recipe.model != trained.recipe.model:
        changes = ", ".join(test.overrides)
        raise RecipeError(f"{changes} changes the model, which is trained already")
    heads = {head.name: head.num_classes for head in recipe.model.heads}
    lists = (test.manifest,) if test.manifest else recipe.data.val_lists
    found = read_manifests(lists, split=test.split, heads=heads, at=recipe.data.location)
    return Tested(
        trained,
        recipe,
        with_class_names(found, trained),
        workers=recipe.data.workers if test.workers is None else test.workers,
        batch_size=test.batch_size or recipe.batch_size,
        device=test.device,
    )


def _write(test: EvalOptions, _: Recipe, digest: str, rows: range, file: BinaryIO) -> None:
    """The recipe comes along for its classes: unpickling it has imported the user's own."""
    tested = _kept(test)
    if tested.manifest.digest() != digest:
        raise ManifestError(f"{tested.manifest.source} changed meanwhile", "start again")
    tested.write(rows, file)


_kept = lru_cache(maxsize=1)(_tested)
"""The model is loaded once in a process that works for another."""


def _class_counts(
    trained: Trained, train_manifest: Path | None, root: str | None
) -> Mapping[str, Counts]:
    if train_manifest is None:
        return trained.class_counts
    heads = {head: len(names) for head, names in trained.classes.items()}
    found = read_manifest(train_manifest, split="train", heads=heads, at=Location(root))
    named = with_class_names(found, trained)
    return {head: named.class_counts(head) for head in heads}


def with_class_names(manifest: Manifest, trained: Trained) -> Manifest:
    """The manifest with the model's class names; ManifestError if both have names and they differ.

    The same classes in another order would give every clip a wrong label without a word.
    """
    for head, names in trained.classes.items():
        theirs = manifest.classes.get(head, names)
        unnamed = tuple(map(str, range(len(names))))
        if theirs != names and unnamed not in (names, theirs):
            first = next(i for i, name in enumerate(names) if theirs[i] != name)
            raise ManifestError(
                f"{manifest.source}: class {first} of '{head}' is '{theirs[first]}', "
                f"the model's is '{names[first]}'",
                "evaluate on a manifest with the class names the model was trained on",
            )
    return replace(manifest, classes=manifest.classes | trained.classes)
