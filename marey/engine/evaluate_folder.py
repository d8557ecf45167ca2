"""Evaluating what lies in a folder: a run or a release, on its own manifest or another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from marey.data.manifest import Manifest, read_manifest
from marey.engine.class_counts import Counts
from marey.engine.evaluate import Evaluation, evaluate, write_results
from marey.engine.measures import TrainingCounts
from marey.engine.release import Trained, load_trained
from marey.errors import ManifestError, RecipeError
from marey.metrics.groups import RuleName
from marey.recipes.protocols import protocol as named
from marey.recipes.schema import override


def evaluate_folder(
    folder: Path,
    *,
    out: Path,
    manifest: Path | None = None,
    split: str = "val",
    train_manifest: Path | None = None,
    rule: RuleName = "paper",
    protocol: str | None = None,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, Path]:
    """The evaluation of the model in `folder`, and the results.json it was written to.

    Which classes are head, tail and few-shot follows by `rule` from the training clips that the
    folder has counted, or from those of split train of `train_manifest`.

    It is tested by its own views or those of `protocol` (`marey.recipes.protocols`), as changed by
    `overrides`; those may change how it is tested, not what was trained: `RecipeError` otherwise.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    trained = load_trained(folder, device)
    tested = named(protocol).applied(trained.recipe) if protocol else trained.recipe
    recipe = override(tested, overrides)
    if recipe.model != trained.recipe.model:
        raise RecipeError(f"{', '.join(overrides)} changes the model, which is trained already")
    source = manifest or recipe.data.val or recipe.data.train
    heads = {head.name: head.num_classes for head in recipe.model.heads}
    root = recipe.data.root or None
    found = read_manifest(source, split=split, root=root, heads=heads, check_files=False)
    result = evaluate(
        trained.model,
        with_class_names(found, trained),
        recipe.test,
        augment=recipe.augment,
        batch_size=batch_size or recipe.batch_size,
        workers=recipe.data.workers if workers is None else workers,
        backend=recipe.data.backend,
        device=device,
        amp=recipe.amp,
        trained_on=TrainingCounts(_class_counts(trained, train_manifest, root), rule),
        progress=progress,
    )
    return result, write_results(result, out, trained.model, recipe)


def _class_counts(
    trained: Trained, train_manifest: Path | None, root: str | None
) -> Mapping[str, Counts]:
    if train_manifest is None:
        return trained.class_counts
    heads = {head: len(names) for head, names in trained.classes.items()}
    found = read_manifest(train_manifest, split="train", root=root, heads=heads, check_files=False)
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
