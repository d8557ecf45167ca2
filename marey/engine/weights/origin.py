"""Where weights come from: a run, a release, or a file, which may lie in one of them.

A folder says which model its weights are of, and what its classes are called; a bare file does not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from torch import Tensor

from marey.data.features.feature_file import About
from marey.data.manifest.classes import classes_file, read_classes
from marey.engine.results_file import Chosen
from marey.engine.weights.checkpoint import (
    has_trained,
    last_checkpoint,
    load_weights,
    plain_entries,
    read_facts,
    trained_classes,
)
from marey.engine.weights.chosen import as_it_chose, chosen_in, read_chosen, validated
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.made_of import made_of
from marey.engine.weights.zoo.catalog import CHECKPOINTS, located
from marey.errors import CheckpointError, RunError, counted, did_you_mean, first_few
from marey.models.lora import without_lora
from marey.recipes.huggingface import is_hugging_face
from marey.recipes.recipe import Recipe
from marey.recipes.release import CONFIG, WEIGHTS, read_config
from marey.recipes.schema import from_yaml

log = logging.getLogger("marey")

EXPORTED = (".onnx", ".xml", ".pt2")
"""How files of `marey export` end that other runtimes open; marey takes no weights from them."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A file of weights, the recipe of its model if that is known, and its class names by head.

    `chosen` says which weights of a run they are, and by what; `features`, of a model of features,
    what made these, if that is known.
    """

    file: Path
    recipe: Recipe | None = None
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: Chosen = field(default_factory=Chosen)
    features: About = field(default_factory=dict)

    def weights(self) -> dict[str, Tensor]:
        """Name -> tensor of a model to use: what LoRA learned is in the weights of the layers."""
        found = load_weights(self.file)
        try:
            return without_lora(found, self.recipe.model.lora if self.recipe else None)
        except ValueError as error:
            raise CheckpointError(
                f"{self.file}: {error}", "give the folder of its run, or its release"
            ) from error

    @property
    def folder(self) -> Path:
        """The run or release that the file lies in."""
        parent = self.file.parent
        return parent.parent if parent.name == "checkpoints" else parent


def origin_of(path: Path) -> Origin:
    """What `path` means: of a run the checkpoint of the epoch that was chosen, else the last.

    It may be the name of a published checkpoint whose release is in the cache.

    Raises:
        CheckpointError: a folder is neither a run nor a release, or has no checkpoint; or what is
            published is not on this machine.
    """
    path = located(path)
    if is_hugging_face(path):
        return Origin(file=path)
    if path.is_dir():
        file = _weights_in(path)
        bare = file.parent == path and not (path / CONFIG).is_file()
        return Origin(file=file) if bare else _of_folder(path, file)
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        return _of_folder(path.parent, path)
    if path.parent.name == "checkpoints" and (path.parent.parent / "recipe.yaml").is_file():
        return _of_folder(path.parent.parent, path)
    return Origin(file=path)


def read_run_recipe(folder: Path) -> Recipe:
    """The resolved recipe of the run in `folder`.

    Where recipe.yaml is lost, empty or cut off it is that of last.pt, and it is said on stderr.

    Raises:
        RunError: there is neither.
        RecipeError: recipe.yaml, which somebody has edited, cannot be understood.
    """
    path, last, saved = folder / "recipe.yaml", last_checkpoint(folder), ""
    data = path.read_bytes() if path.is_file() else b""
    fault = _damage(data) if path.is_file() else "is missing"
    validates = True
    if last and (fault or _missing(data, [field.name for field in fields(Recipe)])):
        facts = read_facts(last)
        saved, validates = str(facts.get("recipe", "")), validated(facts)
        if not fault and (missing := _missing(data, _keys(saved))):  # not just of an older marey
            fault = f"is cut off: it lacks {', '.join(missing)}"
    text = saved if fault else data.decode()
    if fault and saved:
        log.warning("%s %s: the recipe in %s is used", path, fault, last)
    if text:
        recipe = from_yaml(Recipe, text, source=str(path))
        return as_it_chose(recipe, text, validates=validates)
    if path.is_file():
        raise RunError(f"{path} {fault}, and no checkpoint has the recipe", "begin the run again")
    raise RunError(
        f"{folder} is not the folder of a run: it has no recipe.yaml",
        "give that of a run (--work-dir)",
    )


def _damage(data: bytes) -> str:
    """What a full disk or a power cut did to a text; empty if nothing."""
    if not data.strip():
        return "is empty"
    if b"\0" in data:
        return "holds NUL bytes"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return ""


def _missing(data: bytes, keys: Sequence[str]) -> list[str]:
    """The keys that YAML written by marey does not have."""
    there = _keys(data.decode())
    return [key for key in keys if key not in there]


def _keys(text: str) -> list[str]:
    """The outermost keys of YAML written by marey."""
    return re.findall(r"^(\w+):", text, re.MULTILINE)


def _of_folder(folder: Path, file: Path) -> Origin:
    is_release = (folder / CONFIG).is_file()
    recipe = read_config(folder) if is_release else read_run_recipe(folder)
    facts = {} if is_release else plain_entries(file)
    return Origin(
        file=file,
        recipe=recipe,
        classes=_classes(folder, recipe, trained_classes(facts)),
        chosen=read_chosen(folder) if is_release else chosen_in(file, facts, recipe),
        features=made_of(folder, recipe, facts),
    )


def no_model(path: Path) -> CheckpointError:
    """The error of what was given for a model and is none: what it is instead, and what is near."""
    wanted = "give the folder of a run or release, a name of marey weights list, or hub:ORG/NAME"
    if not path.exists():
        near = [str(path.parent / each.name) for each in _models_in(path.parent)]
        return CheckpointError(
            f"{path} does not exist, nor are weights published by that name",
            did_you_mean(str(path), [*near, *CHECKPOINTS, *OFFICIAL], otherwise=wanted),
        )
    if models := _models_in(path):
        return CheckpointError(
            f"{path} holds {counted(len(models), 'model')} and is none itself",
            f"give {'it' if len(models) == 1 else 'one of them'}: {first_few(models)}",
        )
    if exported := _exported_in(path):
        return CheckpointError(
            f"{exported} is a file for another runtime, and neither a run nor a release",
            "give the run that it was made of, which has the weights",
        )
    empty = "an empty folder, " if path.is_dir() and not any(path.iterdir()) else ""
    return CheckpointError(
        f"{path} is {empty}neither a run nor a release",
        "give a folder with recipe.yaml and checkpoints/, or with config.json",
    )


def _models_in(folder: Path) -> list[Path]:
    """The folders in `folder` that look like runs or releases."""
    if not folder.is_dir():
        return []
    marks = ("recipe.yaml", CONFIG)
    return sorted({file.parent for mark in marks for file in folder.glob(f"*/{mark}")})


def _exported_in(path: Path) -> Path | None:
    """The file of an export that `path` is or holds; None if there is none."""
    files = [path] if path.is_file() else [path / f"model{suffix}" for suffix in EXPORTED]
    return next((file for file in files if file.suffix in EXPORTED and file.is_file()), None)


def _weights_in(folder: Path) -> Path:
    if (folder / CONFIG).is_file() or (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    if not (folder / "recipe.yaml").is_file() and not last_checkpoint(folder):
        raise no_model(folder)
    best, last = folder / "checkpoints" / "best.pt", folder / "checkpoints" / "last.pt"
    if best.is_file() or (last.is_file() and has_trained(last)):
        return best if best.is_file() else last
    if several := sorted(path.parent.name for path in folder.glob("*-*/recipe.yaml")):
        raise CheckpointError(
            f"{folder} holds {len(several)} runs and is none itself",
            f"give one of them: {folder / several[0]}",
        )
    raise CheckpointError(
        f"{folder} holds no trained model: no step of its run is saved",
        f"wait until it is, or go on with it: marey train --resume --work-dir {folder}",
    )


def _classes(
    folder: Path, recipe: Recipe, known: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The class names of each head; `known` are those of the checkpoint, as far as it has them.

    Names may be changed in the file, not their order: the weights of a class are a row each.
    """
    classes = {}
    for head in recipe.model.heads:
        path, names = classes_file(folder, head.name), known.get(head.name, ())
        if names and (not path.is_file() or not path.read_bytes().strip(b"\0 \n")):
            log.warning("%s is missing or empty: the names in the checkpoint are used", path)
            classes[head.name] = names
            continue
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing: the names of head '{head.name}'",
                "copy it again, or write a name of a class in each line, in the order of training",
            )
        classes[head.name] = tuple(read_classes(path))
        if len(classes[head.name]) != head.num_classes:
            raise CheckpointError(
                f"{path} has {counted(len(classes[head.name]), 'name')}, head '{head.name}' has "
                f"{counted(head.num_classes, 'class')}",
                "copy it again: it has a name of a class in each line, in the order of training",
            )
        for i, (ours, theirs) in enumerate(zip(classes[head.name], names, strict=False)):
            if ours != theirs and ours in names:
                raise CheckpointError(
                    f"{path}:{i + 1}: class {i} is '{ours}', the weights have it as '{theirs}'",
                    "put the lines back in order; without the file the checkpoint's names are used",
                )
    return classes
