"""What scores clips here: the form that a folder brings, where it holds, else the fused model.

Which of the two is said in one line.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import torch

from marey.engine.environment import versions_of
from marey.engine.machine import this_machine
from marey.engine.runtimes.catalog import find_form
from marey.engine.runtimes.form import Form, Running
from marey.engine.runtimes.optimized import FILE, Optimized, file_digest, read_optimized
from marey.engine.runtimes.scorer import Scorer
from marey.engine.weights.checkpoint import weights_digest
from marey.errors import MareyError
from marey.models.fused import fused
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Recipe
from marey.terminal import visible

log = logging.getLogger("marey")


def scorer_of(
    model: VideoModel, recipe: Recipe, *, folder: Path | None, device: torch.device
) -> Scorer:
    """What scores the test views of `recipe`: what optimized.json in `folder` says, or `fused`.

    Args:
        model: the plain one, on `device`, of any number of frames.
        recipe: how clips are shown.
        folder: where the weights of the model lie.
        device: where it runs.
    """
    shown = model.with_frames(recipe.test.sampling.frames)
    if folder is None or not (folder / FILE).is_file():
        return fused(shown)
    try:
        return _opened(model, shown, recipe, folder, device)
    except _Unfit as unfit:
        why = str(unfit)
    except MareyError as error:
        why = error.message
    log.warning("%s is not used: %s. The fused model scores", folder / FILE, why)
    return fused(shown)


def brought_by(folder: Path | None) -> str:
    """The digest of what a folder brings, for what depends on which form scored; else empty."""
    path = folder / FILE if folder else None
    return file_digest(path) if path and path.is_file() else ""


class _Unfit(Exception):
    """Why what a folder brings is not used."""


def _opened(
    model: VideoModel, shown: VideoModel, recipe: Recipe, folder: Path, device: torch.device
) -> Running:
    found = read_optimized(folder)
    assert found is not None, "asked for where there is one"
    form = _form_here(found, device)
    wanted = shown.spec.clip_shape(recipe.test.crop.size)
    if found.clip != wanted:
        raise _Unfit(f"it is for clips of {_by(found.clip)}, these are {_by(wanted)}")
    if found.weights != weights_digest(model):
        raise _Unfit("the weights beside it are others than those it was made of")
    _check_files(found, form, folder)
    running = form.open(shown, folder, device)
    _say(f"scored by {form.name}, the fastest form of this model here ({folder / FILE})")
    return running


def _form_here(found: Optimized, device: torch.device) -> Form:
    """The form, if it holds for this machine."""
    form = find_form(found.form)
    if form is None:
        raise _Unfit(f"this marey has no form '{found.form}'")
    if reason := form.missing(device):
        raise _Unfit(f"{form.name} cannot be used: {reason}")
    here = this_machine(device, versions_of(("torch", *form.packages)))
    if reason := found.machine.differs(here):
        raise _Unfit(f"it was made on another machine: {reason}")
    return form


def _check_files(found: Optimized, form: Form, folder: Path) -> None:
    """Refuse files that are not to the byte what was measured; no name is taken from the JSON."""
    for name in form.files:
        path = folder / name
        if not path.is_file():
            raise _Unfit(f"{path} is missing")
        if file_digest(path) != found.files.get(name):
            raise _Unfit(f"{path} is damaged: its checksum is not the one that was written")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _say(line: str) -> None:
    """Say what is no warning: to the log where one is kept, else on stderr."""
    if log.hasHandlers():
        log.info("%s", line)
    else:
        print(visible(line), file=sys.stderr)
