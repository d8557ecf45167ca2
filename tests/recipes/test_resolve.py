"""The manifests of a recipe: which are read, and what of them must be there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marey.errors import ManifestError, RecipeError
from marey.recipes.catalog import rows
from marey.recipes.recipe import DataSpec
from marey.recipes.resolve import read_data, resolve
from marey.recipes.schema import override
from tests.tiny import tiny_recipe

ROWS = "path,label,split\na.mp4,0,train\nb.mp4,1,train\nc.mp4,1,val\nd.mp4,0,test\n"


def clips(folder: Path, rows: str = ROWS) -> Path:
    for name in "abcd":
        (folder / f"{name}.mp4").touch()
    (folder / "m.csv").write_text(rows)
    return folder / "m.csv"


def test_one_manifest_serves_for_training_and_validation(tmp_path: Path) -> None:
    train, val = read_data(tiny_recipe(clips(tmp_path)))
    assert list(train.texts()) == ["a.mp4", "b.mp4"]
    assert val is not None
    assert list(val.texts()) == ["c.mp4"]
    recipe = tiny_recipe(clips(tmp_path, ROWS.replace("val", "test")))
    assert read_data(replace(recipe, data=replace(recipe.data, val="")))[1] is None
    with pytest.raises(ManifestError, match="no rows of split 'val'"):
        read_data(recipe)


def test_every_row_of_videos_takes_the_classes_of_a_manifest(tmp_path: Path) -> None:
    manifest = clips(tmp_path, ROWS.replace("c.mp4,1,val", "c.mp4,1,train"))
    train_set = read_data(replace(tiny_recipe(manifest), data=DataSpec(train=str(manifest))))[0]
    of_videos = [r for r in rows().values() if r.model.encoder.in_channels == 3]
    assert len(of_videos) > 100
    for row in of_videos:
        resolved = resolve(override(row, ["model.heads=[]"]), train_set)
        assert [(h.name, h.num_classes) for h in resolved.model.heads] == [("label", 2)], row.name


@pytest.mark.parametrize(("name", "line"), [("b", 3), ("c", 4)])
def test_a_clip_that_is_missing_is_named_before_training(
    tmp_path: Path, name: str, line: int
) -> None:
    manifest = clips(tmp_path)
    (tmp_path / "d.mp4").unlink()  # of no split that is read
    read_data(tiny_recipe(manifest))
    (tmp_path / f"{name}.mp4").unlink()
    with pytest.raises(ManifestError, match=rf"m\.csv:{line}: no file '.*{name}\.mp4'"):
        read_data(tiny_recipe(manifest))


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    """Softmax gives it 100 %, whatever a clip shows."""
    recipe = tiny_recipe(clips(tmp_path, ROWS.replace(",1,", ",0,")))
    (tmp_path / "labels.txt").write_text("fall\n")
    recipe = replace(recipe, model=replace(recipe.model, heads=()))
    train_set, _ = read_data(recipe)
    with pytest.raises(RecipeError, match="has one class only, 'fall'"):
        resolve(recipe, train_set)
