"""Which clips `marey features` sees: labels are kept, and none are needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.data.manifest.location import BESIDE
from marey.data.manifest.read import read_manifest
from marey.engine.inference.extract import FeatureOptions, clips_to_see, extract_features
from marey.engine.weights.trained import write_release
from marey.errors import ManifestError
from marey.models.video_model import Head
from tests.tiny import CLASSES, tiny_recipe, write_set


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recipe = tiny_recipe(write_set(folder / "clips", per_class=1, val_per_class=0))
    recipe = replace(recipe, model=replace(recipe.model, heads=(Head("label", 4),)))
    torch.manual_seed(0)
    weights = recipe.model.build().state_dict()
    return write_release(folder / "release", recipe, weights, {"label": CLASSES}, "a card")


def listed(folder: Path, model: Path, *rows: str) -> Path:
    names = [str(model.parent / "clips" / f"{name}_0.mp4") for name in ("red", "blue")]
    head, *cells = rows
    lines = [f"{name},{cell}" if cell else name for name, cell in zip(names, cells, strict=True)]
    (folder / "m.csv").write_text("\n".join([head, *lines]) + "\n")
    return folder / "m.csv"


def test_clips_without_labels_have_features_and_it_is_said(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = listed(tmp_path, model, "path", "", "")
    out = tmp_path / "f.arrow"
    made = extract_features(
        FeatureOptions(source=str(model), manifest=manifest, out=out, workers=0, device="cpu")
    )
    assert made
    assert made.num_clips == 2
    assert "m.csv has no labels" in caplog.text
    assert not read_manifest(out, heads={}).labels


def test_words_without_a_list_of_names_are_classes_of_the_model(
    model: Path, tmp_path: Path
) -> None:
    manifest = listed(tmp_path, model, "path,label", "red", "blue")
    clips = clips_to_see(manifest, BESIDE, str(model))
    assert clips.classes["label"] == CLASSES
    assert clips.labels["label"].tolist() == [1, 3]


def test_numbers_are_classes_without_names(model: Path, tmp_path: Path) -> None:
    manifest = listed(tmp_path, model, "path,label", "0", "2")
    assert clips_to_see(manifest, BESIDE, str(model)).labels["label"].tolist() == [0, 2]


def test_words_that_nobody_knows_are_refused(model: Path, tmp_path: Path) -> None:
    manifest = listed(tmp_path, model, "path,label", "red", "pink")
    with pytest.raises(
        ManifestError, match=r"(?s)'label' is 'red'.*write the class names in labels"
    ):
        clips_to_see(manifest, BESIDE, str(model))
