"""A trained model of the hub of Hugging Face by its name, or of a folder: `from_pretrained`."""

from __future__ import annotations

import logging
from pathlib import Path

from marey.engine.inference.predict import Predictor, load
from marey.engine.weights.hub_release import HUB, fetch_release, is_in_cache
from marey.errors import CheckpointError
from marey.recipes.huggingface import cached, is_hub_name

log = logging.getLogger("marey")


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    download: bool = False,
    device: str = "cpu",
    segments: int | None = None,
    calibrated: bool = False,
) -> Predictor:
    """A `Predictor` from a folder, or from a model of the hub of Hugging Face.

    Args:
        name: a folder, or ORG/NAME; ``hub:ORG/NAME`` is never a folder.
        revision: of the hub, a branch, a tag or a commit; by default its main branch.
        download: whether a model of the hub that is not on this machine is fetched.
        device, segments, calibrated: as `load` takes them.

    Raises:
        CheckpointError: it is not on this machine, is a folder as well as a model of the hub, or
            as `load` and `marey.engine.weights.hub_release.fetch_release`.
        RecipeError: as `load`.
        ValueError: a revision of a folder.
    """
    source = str(name)
    if Path(name).exists():
        if in_cache := cached(source):
            raise CheckpointError(
                f"{name} is a folder here, and in the cache of the hub ({in_cache})",
                f"./{name} is the folder, {HUB}{name} the other",
            )
        if revision is not None:
            raise ValueError(f"revision is '{revision}', but {name} is a folder, which has none")
    else:
        if not is_hub_name(source.removeprefix(HUB).partition("@")[0]):
            raise CheckpointError(
                f"'{name}' is no folder here, and names no model of the hub",
                "give the folder of a run or release, or ORG/NAME",
            )
        at = f"@{revision}" if revision else ""
        source = f"{HUB}{source.removeprefix(HUB)}{at}"
        if download and not is_in_cache(source):
            fetch_release(source, say=log.warning)
    return load(source, device, segments=segments, calibrated=calibrated)
