"""Models that people share on the hub of Hugging Face: ``hub:ORG/NAME`` or ``hub:ORG/NAME@REV``.

    the hub -> its cache on this machine -> MAREY_WEIGHTS/releases/hub/ORG--NAME/COMMIT

Nothing is fetched but by `fetch_release`, which only what names the model and asks for it calls
(`--download`, `marey weights get`). What lies in the cache of the hub, however it came there, is
copied from it once: the files that a release is made of and no others, so that neither code nor
pickled weights nor compiled forms of a model come along. The copy is a release like any other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from marey.engine.weights.calibration import FILE as TEMPERATURES
from marey.engine.weights.class_counts import FILE as COUNTS
from marey.engine.weights.hub import HubName, fetch_files
from marey.engine.weights.published import cache_folder
from marey.errors import CheckpointError
from marey.recipes.huggingface import is_hub_name, is_hugging_face
from marey.recipes.release import CARD, CONFIG, WEIGHTS
from marey.storage.atomic import placing, run_error
from marey.storage.text_files import read_json

HUB = "hub:"
FILES = (CONFIG, WEIGHTS, "labels.txt", "labels.*.txt", COUNTS, TEMPERATURES, CARD)
"""Names and patterns of what a release is made of."""
MOST_TEXT = 64 << 20
"""Bytes of each of them but the weights."""


def is_of_hub(path: str | Path) -> bool:
    """Whether this names a model of the hub, and no folder here."""
    return str(path).startswith(HUB) and not Path(path).exists()


def hub_name(text: str) -> HubName:
    """What ``hub:ORG/NAME@REV`` means; CheckpointError for anything else."""
    name, at, revision = text.removeprefix(HUB).partition("@")
    if not text.startswith(HUB) or not is_hub_name(name) or (at and not revision):
        raise CheckpointError(
            f"'{text}' names no model of the hub", f"expected {HUB}ORG/NAME or {HUB}ORG/NAME@REV"
        )
    return HubName(HUB, name, revision or None)


def is_in_cache(text: str) -> bool:
    """Whether the hub's cache has the weights of ``hub:ORG/NAME@REV``; errors as `release_of`."""
    snapshot = _snapshot(hub_name(text))
    return snapshot is not None and (snapshot / WEIGHTS).is_file()


def release_of(text: str) -> Path:
    """The release of ``hub:ORG/NAME@REV``, of what the hub's cache has of it.

    Raises:
        CheckpointError: nothing of it is there, and how to fetch it; what is there is no release of
            marey, or not whole; or the hub's library is not installed, by which its cache is read.
    """
    of = hub_name(text)
    snapshot = _snapshot(of)
    if snapshot is None:
        raise CheckpointError(
            f"{text} is not on this machine",
            f"marey weights get {text} fetches it, as do --download and, in Python, download=True",
        )
    release = _folders() / of.name.replace("/", "--") / snapshot.name
    if not (release / WEIGHTS).is_file():
        _check(snapshot, of)
        draft = release.with_name(f".{release.name}-{os.getpid()}")
        with placing(draft, release, run_error):
            draft.mkdir()
            for file in _files(snapshot):
                shutil.copyfile(file, draft / file.name)
    return release


def fetch_release(text: str, *, say: Callable[[str], None]) -> Path:
    """The release of ``hub:ORG/NAME@REV``, fetched: of a branch, what it is now.

    Raises:
        CheckpointError: as `fetch_network`, and as `release_of`.
    """
    fetch_files(hub_name(text), FILES, extra="deploy", say=say)
    return release_of(text)


def hub_releases() -> list[Path]:
    """All that were copied."""
    return sorted(_folders().glob("*--*/*"))


def _folders() -> Path:
    return cache_folder() / "releases" / "hub"


def _snapshot(of: HubName) -> Path | None:
    """The folder of a commit in the hub's cache."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError as error:
        raise CheckpointError(
            f"{of} is looked up by huggingface_hub, which is not installed",
            "pip install 'marey[deploy]', or give the folder of a release",
        ) from error
    try:
        path = try_to_load_from_cache(of.name, CONFIG, revision=of.revision)
    except ValueError as error:
        raise CheckpointError(f"'{of}' names no model of the hub: {error}") from error
    return Path(path).parent if isinstance(path, str) else None


def _check(snapshot: Path, of: HubName) -> None:
    """CheckpointError unless a release of marey lies there, whole."""
    again = f"marey weights get {of}"
    if is_hugging_face(snapshot):
        raise CheckpointError(
            f"{of} is a network of transformers, no model of marey", f"as an encoder: hf:{of.name}"
        )
    if not read_json(snapshot / CONFIG, CheckpointError, again).keys() >= {"name", "model"}:
        raise CheckpointError(f"{of} is no model of marey: its {CONFIG} holds no recipe")
    if not (snapshot / WEIGHTS).is_file():
        raise CheckpointError(f"{of} is not whole in the cache of the hub: no {WEIGHTS}", again)
    for file in _files(snapshot):
        if file.name != WEIGHTS and (size := file.stat().st_size) > MOST_TEXT:
            raise CheckpointError(
                f"{of}: {file.name} has {size:,} bytes, expected at most {MOST_TEXT:,}"
            )


def _files(snapshot: Path) -> list[Path]:
    """What a release is made of, among what lies in a folder; the weights last."""
    found = [
        path
        for path in sorted(snapshot.iterdir())
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in FILES)
    ]
    return sorted(found, key=lambda path: path.name == WEIGHTS)
