"""Published checkpoints by name, and where on this machine the releases made of them lie."""

from __future__ import annotations

from pathlib import Path

from marey.engine.weights.hub_release import is_of_hub, release_of
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.published import PublishedFile, cache_folder, find
from marey.engine.weights.zoo import gc, mmaction2, motionformer, tdn, torchvision_video, tsm
from marey.errors import CheckpointError, did_you_mean
from marey.recipes.release import CONFIG

CODE_BASES = {
    "temporal-shift-module": tsm.FILES,
    "Group-Contextualization": gc.FILES,
    "TDN": tdn.FILES,
    "Motionformer": motionformer.FILES,
    "mmaction2": mmaction2.FILES,
    "torchvision": torchvision_video.FILES,
}
"""Whose they are -> their checkpoints."""
CHECKPOINTS = {file.name: file for files in CODE_BASES.values() for file in files}
ALSO = {name: file for file in CHECKPOINTS.values() for name in file.also}
"""Recipes that differ from that of a checkpoint in the test views alone."""


def published(name: str) -> PublishedFile:
    """The checkpoint or the official weights of this name; CheckpointError suggests the nearest."""
    if name in ALSO:
        raise CheckpointError(
            f"{name} is of the file of {ALSO[name].name}, and differs in its test views",
            f"get {ALSO[name].name}, and marey eval {ALSO[name].name} --protocol NAME "
            f"(marey recipes show {name})",
        )
    known = CHECKPOINTS | OFFICIAL
    if name not in known:
        raise CheckpointError(
            f"there are no published weights '{name}'",
            did_you_mean(name, known, otherwise="marey weights lists them"),
        )
    return known[name]


def release_folder(name: str) -> Path:
    """Where the release of the published checkpoint lies, or is to lie."""
    return cache_folder() / "releases" / name


def is_here(name: str) -> bool:
    """Whether the release of the published checkpoint is on this machine."""
    return (release_folder(name) / CONFIG).is_file()


def is_published(path: Path) -> bool:
    """Whether `path` is nothing on the disk, but the name of published weights."""
    name = str(path)
    return name in CHECKPOINTS | ALSO | OFFICIAL and not path.exists()


def located(path: Path) -> Path:
    """`path`, or what it means if it is the name of published weights: a release, or a file.

    Raises:
        CheckpointError: they are published, or on the hub, but not on this machine.
    """
    if is_of_hub(path):
        return release_of(str(path))
    if not is_published(path):
        return path
    file = published(str(path))
    if file.name in OFFICIAL:
        return find(file)
    if not is_here(file.name):
        raise CheckpointError(
            f"the weights of {file.name} are published, but not on this machine",
            f"marey weights get {file.name} ({file.size})"
            if file.url
            else f"by hand: {file.page}; then marey weights get {file.name} --file FILE",
        )
    return release_folder(file.name)
