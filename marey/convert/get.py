"""Published weights fetched by name, and made into what marey takes.

torchvision's, timm's     a file in the cache, to start from
a published checkpoint    a file in the cache -> `convert` -> a release there, to predict with
hf:ORG/NAME               a folder in the cache of the hub
hub:ORG/NAME              the same, of which what makes a release is copied into the cache
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from marey.convert.convert import convert
from marey.convert.converted import Converted
from marey.convert.repository import Settings
from marey.engine.weights.hub import fetch_network
from marey.engine.weights.hub_release import HUB, fetch_release
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.origin import Origin
from marey.engine.weights.published import PublishedFile, cache_folder, fetch, local_file
from marey.engine.weights.starting import differences
from marey.engine.weights.zoo.catalog import is_here, published, release_folder
from marey.errors import CheckpointError
from marey.models.encoders.motionformer import MotionformerSpec
from marey.recipes.catalog import rows
from marey.recipes.huggingface import PREFIX
from marey.recipes.schema import override
from marey.storage.atomic import placing, run_error
from marey.storage.download import Progress

log = logging.getLogger("marey")

Say = Callable[[str], None]
"""Called with a line for people."""


def get(
    name: str,
    *,
    say: Say,
    file: Path | None = None,
    settings: Settings | None = None,
    labels: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch what `name` means, unless it is here, and convert it; the file or folder in the cache.

    Args:
        name: that of a recipe or of a checkpoint in `marey weights`, hf:ORG/NAME of a network, or
            hub:ORG/NAME of a model of marey.
        say: told what is fetched and how much of it, before it is.
        file: the file of a published checkpoint, got by hand; nothing is fetched.
        settings: what neither the file nor the table tells of a checkpoint, see `convert`.
        labels: a file of its class names, one a line.
        progress: called with bytes (done, total).

    Raises:
        CheckpointError: there is nothing of this name, it cannot be fetched, or is not what it
            should be. A file that was fetched stays, and is not fetched again.
    """
    of_a_checkpoint = {"--file": file, "--set": settings, "--labels": labels}
    given = [option for option, value in of_a_checkpoint.items() if value is not None]
    if name.startswith(PREFIX):
        _refuse(given, name)
        return fetch_network(name.removeprefix(PREFIX), say=say)
    if name.startswith(HUB):
        _refuse(given, name)
        return fetch_release(name, say=say)
    found = published(name)
    if found.name in OFFICIAL:
        _refuse(given, name)
        if (here := local_file(found)) is not None:
            return here
        return _fetched(found, say, progress) if found.url else fetch(found)  # which says how
    release = release_folder(name)
    if is_here(name):
        if given:
            raise CheckpointError(f"{name} is here already: {release}", "delete that folder first")
        return release
    path = file or local_file(found)
    if path is None and not found.url:
        raise CheckpointError(
            f"{name} is not to be had by a plain download",
            f"get it by hand ({found.page}), then marey weights get {name} --file FILE",
        )
    path = path or _fetched(found, say, progress)
    _convert(found, path, release, settings or Settings(), labels, say)
    return release


def _refuse(options: list[str], name: str) -> None:
    if options:
        raise CheckpointError(f"{name} has no use for {', '.join(options)}", "leave it out")


def _fetched(found: PublishedFile, say: Say, progress: Progress | None) -> Path:
    say(f"fetching {found.about} into {cache_folder()}")
    is_said = found.mebibytes is not None

    def on(done: int, total: int) -> None:
        nonlocal is_said
        if not is_said:
            is_said = True
            say(f"the server says: {total / 2**20:.0f} MiB" if total else "of a size nobody states")
        if progress:
            progress(done, total)

    return fetch(found, progress=on)


def _convert(
    found: PublishedFile,
    path: Path,
    release: Path,
    settings: Settings,
    labels: Path | None,
    say: Say,
) -> None:
    """Make the release; a draft of it has the name of the release, which goes into its recipe."""
    said = replace(override(Settings(), list(found.settings)), **settings.given())
    draft = release.parent / ".draft" / release.name
    with placing(draft, release, run_error):
        if labels or not found.labels:
            made = convert(path, draft, settings=said, labels=labels)
        else:
            with as_file(files("marey.engine.weights.zoo") / f"{found.labels}.txt") as names:
                made = convert(path, draft, settings=said, labels=names)
        _check_row(made, found.name, path)
    for fact, words in made.facts().items():
        say(f"{fact:15} {words}")


def _check_row(made: Converted, name: str, path: Path) -> None:
    """Refuse the checkpoint of another model than that of the recipe; say what else differs."""
    row = rows().get(name)
    if row is None:
        return
    parts = ["num_segments", "heads", "temporal"]
    if not isinstance(row.model.encoder, MotionformerSpec):  # its file says what it was trained as
        parts.append("encoder")
    for part in parts:
        ours, theirs = (getattr(recipe.model, part) for recipe in (made.recipe, row))
        if ours != theirs:
            raise CheckpointError(
                f"{path} is not the checkpoint of {name}: its {part} is {ours}, not {theirs}",
                "marey convert reads any checkpoint",
            )
    for difference in differences(made.recipe, Origin(file=path, recipe=row)):
        log.warning("%s beside the recipe %s: %s", path.name, name, difference)
