"""Every kind of recipe is trained, evaluated, exported and predicts, each in a process of its own.

What a command does not import itself, the next one must find by its name in recipe.yaml: a process
that has run one command cannot show that for another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marey.models.encoders.motionformer import MotionformerSpec
from marey.recipes.catalog import rows
from marey.recipes.optim import Warmup
from marey.recipes.recipe import DataSpec, Recipe
from marey.recipes.schema import to_yaml
from tests.fresh import printed
from tests.tiny import CLASSES, write_clip

FEATURES = 24
"""Numbers a frame in the features that recipes of features are trained on."""


def kind(recipe: Recipe) -> frozenset[str]:
    """The names of the classes that a recipe is made of."""
    return frozenset(re.findall(r"\b[A-Z]\w+(?=:|$)", to_yaml(replace(recipe, claim=None)), re.M))


KINDS = {
    kind(recipe): name
    for name, recipe in reversed(rows().items())
    if recipe.model.takes_features or recipe.model.encoder.in_channels == 3  # no flow
}


def small(recipe: Recipe, folder: Path) -> Recipe:
    """The same classes with few numbers in them, trained for a step or two a stage."""
    encoder: Any = recipe.model.encoder
    if isinstance(encoder, MotionformerSpec):
        encoder = replace(encoder, depth=1, width=64, num_heads=4)
    elif recipe.model.takes_features:
        encoder = replace(encoder, dim=FEATURES)
    elif hasattr(encoder, "channels"):
        encoder = replace(encoder, channels=8)
    crops: list[Any] = [recipe.train.crop, recipe.test.crop]
    sizes = {"size": 32, "resize": 36, "sides": (36, 44)}
    stretched = {"size": 32, "resize": (36, 40)}
    crops = [
        replace(crop, **{k: v for k, v in given.items() if hasattr(crop, k)})
        for crop in crops
        for given in [stretched if isinstance(getattr(crop, "resize", 0), tuple) else sizes]
    ]
    if crops[1].__class__.__name__ in ("ThreeCrop", "UniformCrop"):  # of the whole short side
        crops[1] = replace(crops[1], resize=32)
    if recipe.model.takes_features:
        crops = [recipe.train.crop, recipe.test.crop]
    # What a clip may have several of is told by the recipe; all else comes with the clips.
    heads = tuple(replace(head, num_classes=2) for head in recipe.model.heads if head.several)
    return replace(
        recipe,
        model=replace(recipe.model, encoder=encoder, heads=heads),
        train=replace(recipe.train, crop=crops[0]),
        test=replace(recipe.test, crop=crops[1]),
        data=DataSpec(train=str(folder / f"{clips_of(recipe)}.csv"), workers=0),
        stages=tuple(replace(stage, epochs=1, warmup=Warmup()) for stage in recipe.stages),
        batch_size=4,
        accumulate=1,
        amp=False,
        weights="",
        claim=None,
    )


def clips_of(recipe: Recipe) -> str:
    return "features" if recipe.model.takes_features else "videos"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos and files of features of two classes, with a manifest each."""
    folder = tmp_path_factory.mktemp("every")
    rng = np.random.default_rng(0)
    for clips, ending in (("videos", "mp4"), ("features", "npy")):
        lines = ["path,label,split"]
        for number, (label, split) in enumerate(_rows()):
            path = folder / f"{number}.{ending}"
            if ending == "mp4":
                write_clip(path, label, seed=number)
            else:
                np.save(path, rng.normal(label, 1, (6, FEATURES)).astype(np.float32))
            lines.append(f"{path.name},{label},{split}")
        (folder / f"{clips}.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.txt").write_text("\n".join(CLASSES[:2]) + "\n")
    return folder


def _rows() -> Iterator[tuple[int, str]]:
    """Classes of 6 and 2 clips to train on, and one of each to test."""
    for label, number in ((0, 6), (1, 2)):
        yield from [(label, "train")] * number
        yield label, "val"


def walk(name: str, folder: Path, tmp_path: Path, *, only: tuple[str, ...] = ()) -> None:
    recipe = small(rows()[name], folder)
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    run, clip = tmp_path / "run", folder / ("0.npy" if recipe.model.takes_features else "0.mp4")
    commands = (
        f"train {tmp_path / 'recipe.yaml'} --work-dir {run} -q",
        f"eval {run} -j 0",
        f"predict {run} {clip}",
        f"export {run} {tmp_path / 'release'}",
        f"predict {tmp_path / 'release'} {clip}",
        f"eval {tmp_path / 'release'} -j 0 --manifest {folder / clips_of(recipe)}.csv "
        f"--out {tmp_path / 'results'}",
    )
    for line in commands:
        if not only or line.startswith(only):
            printed("-m", "marey", *line.split())


def test_a_recipe_of_many_names_goes_all_the_way(folder: Path, tmp_path: Path) -> None:
    only = ("train", "export", f"predict {tmp_path / 'release'}")  # the rest is long
    walk("lmr-motionformer-ssv2-lt", folder, tmp_path, only=only)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS.values())
def test_every_kind_of_recipe_goes_all_the_way(name: str, folder: Path, tmp_path: Path) -> None:
    walk(name, folder, tmp_path)
