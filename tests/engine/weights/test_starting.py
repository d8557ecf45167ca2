"""A run that starts from the weights of another says in what the two differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.engine.inference.extract import source_model
from marey.engine.train.loop import train
from marey.engine.weights.starting import initialize
from marey.engine.weights.trained import export_release, write_release
from marey.errors import CheckpointError, ManifestError, RecipeError
from marey.models import TSM, Head, ModelSpec, ResNetSpec
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override, to_yaml
from tests.tiny import CLASSES, tiny_recipe, write_set

NAMES = {"label": ("left", "right", "up")}
SPEC = ModelSpec(ResNetSpec(18, channels=8), (TSM(),), heads=(Head("label", 3),))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    recipe = Recipe(name="one", model=SPEC)
    folder = tmp_path_factory.mktemp("release") / "one"
    return write_release(folder, recipe, SPEC.build().state_dict(), NAMES, "card")


def said(spec: ModelSpec, path: Path, **changes: object) -> str:
    recipe = replace(Recipe(name="two", model=spec), **changes)  # type: ignore[arg-type]
    return initialize(spec.build(), path, recipe, NAMES)


def test_the_same_model_says_nothing_of_differences(release: Path) -> None:
    assert said(SPEC, release) == f"weights from {release}"
    file = release / "model.safetensors"
    assert said(SPEC, file) == f"weights from {file}"


@pytest.mark.parametrize(
    ("ops", "difference"),
    [
        ((TSM(4),), "model.temporal.0.TSM.shift_div is 4 here, 8 there"),
        ((TSM(direction="past"),), "model.temporal.0.TSM.direction is past here, both there"),
        ((), "model.temporal.0.TSM.shift_div is not set here, 8 there"),
    ],
)
def test_each_difference_between_the_models_is_said(
    ops: tuple[TSM, ...], difference: str, release: Path
) -> None:
    for path in (release, release / "model.safetensors"):
        assert difference in said(replace(SPEC, temporal=ops), path)


def test_frames_and_colours_of_another_kind_are_said(release: Path) -> None:
    augment = replace(Recipe(name="", model=SPEC).augment, channel_order="bgr")
    assert "augment.channel_order is bgr here, rgb there" in said(SPEC, release, augment=augment)


def test_a_head_of_as_many_other_classes_is_new(release: Path) -> None:
    model = SPEC.build()
    fresh = model.get_parameter("heads.label.weight").clone()
    words = initialize(model, release, None, {"label": ("left", "up", "right")})
    assert words.endswith("head 'label' is new: its class 'up' is 'right' there")
    assert "without heads.label.weight, heads.label.bias" in words
    assert torch.equal(model.get_parameter("heads.label.weight"), fresh)
    for unnamed in (("0", "1", "2"), NAMES["label"]):
        assert initialize(model, release, None, {"label": unnamed}) == f"weights from {release}"
    assert not torch.equal(model.get_parameter("heads.label.weight"), fresh)


def test_features_are_not_made_by_a_model_that_differs(release: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "other.yaml"
    recipe.write_text(to_yaml(Recipe(name="other", model=replace(SPEC, temporal=(TSM(4),)))))
    with pytest.raises(RecipeError, match=r"another model: .*shift_div is 4 here, 8 there"):
        source_model(str(recipe), str(release), (), "cpu")


def test_a_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither a run nor a release"):
        initialize(SPEC.build(), tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    manifest = write_set(folder / "set", per_class=4, val_per_class=1)
    return train(tiny_recipe(manifest, epochs=0), folder / "one", device="cpu", quiet=True)


def fewer_classes(run: Path, folder: Path) -> Path:
    """The clips of `run` that are of the first three classes."""
    lines = (run.parent / "set" / "manifest.csv").read_text().splitlines()
    few = [line for line in lines if f",{len(CLASSES) - 1}," not in line]
    folder.mkdir()
    for path in (run.parent / "set").glob("*.mp4"):
        (folder / path.name).symlink_to(path)
    (folder / "labels.txt").write_text("\n".join(CLASSES[:-1]))
    (folder / "manifest.csv").write_text("\n".join(few))
    return folder / "manifest.csv"


def test_a_release_is_a_recipe_that_starts_from_itself(run: Path, tmp_path: Path) -> None:
    release = export_release(run, tmp_path / "release")
    recipe = find(str(release))
    assert recipe.model.heads == ()
    assert recipe.data.train == ""
    assert recipe.weights == str(release)
    manifest = fewer_classes(run, tmp_path / "set")
    second = train(recipe.with_data(str(manifest)), tmp_path / "two", device="cpu", quiet=True)
    old, new = (torch.load(folder / "checkpoints" / "last.pt")["model"] for folder in (run, second))
    assert new["heads.label.weight"].shape[0] == 3
    assert all(torch.equal(new[n], w) for n, w in old.items() if n.startswith("encoder."))
    assert "without heads.label.weight" in (second / "train.log").read_text()


def test_weights_may_be_the_folder_of_a_run(run: Path, tmp_path: Path) -> None:
    again = replace(find(str(run)), weights=str(run), name="again")
    train(again, tmp_path / "two", device="cpu", quiet=True)
    log = (tmp_path / "two" / "train.log").read_text()
    assert f"weights from {run}\n" in log


def test_heads_that_do_not_fit_a_manifest_have_a_remedy_that_works(
    run: Path, tmp_path: Path
) -> None:
    recipe = find(str(run)).with_data(str(fewer_classes(run, tmp_path / "set")))
    message = r"has 3 classes.*\('label' with 3 classes\) say model\.heads=\[\]: new heads"
    with pytest.raises(ManifestError, match=message):
        train(recipe, tmp_path / "two", device="cpu", quiet=True)
    of_two = replace(recipe, model=replace(recipe.model, heads=(Head("verb"), Head("noun"))))
    with pytest.raises(ManifestError, match=r"no column 'verb'.*say model\.heads=\[\]"):
        train(of_two, tmp_path / "two", device="cpu", quiet=True)
    train(override(of_two, ["model.heads=[]"]), tmp_path / "two", device="cpu", quiet=True)
