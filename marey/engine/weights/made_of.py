"""What made the features that a trained model takes, as its run or release says it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marey.data.features.feature_file import About, features_of, is_arrow, open_table
from marey.errors import CheckpointError, ManifestError
from marey.recipes.recipe import Recipe
from marey.recipes.release import CONFIG, FEATURES
from marey.storage.text_files import as_value, read_json


def made_of(folder: Path, recipe: Recipe, facts: Mapping[str, Any]) -> About:
    """What made the features of the model in `folder`; empty of one of videos, and if unknown.

    Args:
        folder: of a run or release.
        recipe: of its model.
        facts: what the checkpoint of a run says beside its tensors.
    """
    if not recipe.model.takes_features:
        return {}
    path, said = folder / CONFIG, _said(facts)
    if path.is_file():
        said = read_json(path, CheckpointError, "get the release again").get(FEATURES, {})
    return as_value(dict[str, Any], said, path, CheckpointError, "get the release again")


def in_training_file(recipe: Recipe) -> About:
    """What the file that a model was trained on says of its making; empty where it is gone.

    Runs of an earlier marey say no more.
    """
    file = Path(recipe.data.train)
    if not is_arrow(file) or not file.is_file():
        return {}
    try:
        features = features_of(file, open_table(file))
    except ManifestError:
        return {}
    return dict(features.about) | {"dtype": str(features.dtype)} if features else {}


def _said(facts: Mapping[str, Any]) -> Any:
    """What a checkpoint says of the features of its training clips."""
    found: Any = facts
    for key in ("data", "train", "features"):
        found = found.get(key) if isinstance(found, dict) else None
    return found or {}
