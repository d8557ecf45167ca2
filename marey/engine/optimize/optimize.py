"""`marey optimize`: every form of a trained model is tried on real clips, and the best one kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import torch

from marey.engine.environment import versions_of
from marey.engine.machine import this_machine
from marey.engine.optimize.choose import Keeps, fastest
from marey.engine.optimize.clips import ClipsToTry, WantedClips, clips_to_try
from marey.engine.optimize.measure import FEWEST_BATCHES, Opened, measured, opened
from marey.engine.runtimes.about import about_model
from marey.engine.runtimes.catalog import FORMS, PLAIN
from marey.engine.runtimes.form import Form
from marey.engine.runtimes.optimized import Optimized, Row, file_digest, write_optimized
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.trained import Trained, as_release, load_trained, refuse_occupied
from marey.errors import ManifestError, RunError, counted
from marey.jobs.parts import Progress
from marey.recipes.recipe import Recipe
from marey.recipes.testing import for_test
from marey.storage.atomic import run_error, writing
from marey.storage.temporary import temporary_folder
from marey.types import Clip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is tried, on which clips, and what must be kept.

    Args:
        clips: to try on.
        batch_size: clips at once.
        seconds: that all passes together may take, after the first few.
        keeps: "exact" for `limit` as the largest difference, "close" for the least agreement.
        limit: see above.
        most_start: seconds that a form may take until it gives its first scores.
        device: where it is to run.
        forms: that are tried and may be taken; the plain model is tried in any case, first.
    """

    clips: WantedClips = field(default_factory=WantedClips)
    batch_size: int = 1
    seconds: float = 300.0
    keeps: Keeps = "exact"
    limit: float = 1e-4
    most_start: float = 15.0
    device: str = "cpu"
    forms: Sequence[Form] = FORMS


def optimize_folder(
    source: Path,
    out: Path,
    wanted: Wanted,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Optimized:
    """Write a release of the model in the folder `source`, with its fastest form, to `out`.

    Args:
        source: of a run or of a release.
        out: a new folder.
        wanted: what is tried, and what must be kept.
        progress: called with (done, total): forms that are made, then batches of clips.
        say: called with what is being done.

    Raises:
        RunError: the model takes features, no form keeps what is asked, or `out` is not empty or
            cannot be written.
        ManifestError: there are no clips to try on.
    """
    refuse_occupied(out)
    trained = load_trained(source, wanted.device)
    recipe = for_test(trained.recipe)
    if trained.model.spec.takes_features:
        raise RunError(
            f"{source} takes features",
            f"put it behind the encoder that makes them: marey join {source} OUT, and optimize OUT",
        )
    clips = clips_to_try(trained, recipe, wanted.clips, torch.device(wanted.device))
    if len(clips.tried) < wanted.batch_size:
        raise ManifestError(
            f"{counted(len(clips.tried), 'clip')} for batches of {wanted.batch_size}",
            "give more clips (--manifest, --clips)",
        )
    tried, threads = counted(len(clips.tried), "clip"), counted(torch.get_num_threads(), "thread")
    say(f"trying on {tried}; {threads}, {wanted.device}")
    with temporary_folder("optimize") as folder:
        rows = _tried(trained, recipe, clips, wanted, folder, progress, say)
        names = {form.name: form for form in wanted.forms}
        choice = [row for row in rows if row.form in names]
        form = names[fastest(choice, wanted.keeps, wanted.limit, wanted.most_start).form]
        facts = Optimized(
            form=form.name,
            keeps=wanted.keeps,
            limit=wanted.limit,
            machine=this_machine(clips.tried.device, versions_of(("torch", *form.packages))),
            weights=weights_digest(trained.model),
            clip=tuple(clips.tried.shape[1:]),
            files={name: file_digest(folder / name) for name in form.files},
            num_clips=len(clips.tried),
            batch_size=wanted.batch_size,
            table=tuple(rows),
        )
        as_release(source, out)
        with writing(out, run_error):
            for name in form.files:
                shutil.copyfile(folder / name, out / name)
    write_optimized(facts, out)  # last: without it the folder is a release like any other
    return facts


def _tried(
    trained: Trained,
    recipe: Recipe,
    clips: ClipsToTry,
    wanted: Wanted,
    folder: Path,
    progress: Progress | None,
    say: Callable[[str], None],
) -> list[Row]:
    """A row for each form, the plain one first; what they write goes into `folder`."""
    model = trained.model.with_frames(recipe.test.sampling.frames)
    about = about_model(recipe, trained.classes)
    forms = [PLAIN, *(form for form in wanted.forms if form is not PLAIN)]
    found: list[Opened | Row] = []
    for form in forms:
        say(f"making {form.name}")
        found.append(opened(form, model, clips.fitted, folder, about))
        if progress:
            progress(len(found), len(forms))
    if isinstance(found[0], Row):
        raise RunError(f"the model gives no scores: {found[0].left_out}")
    running = [each for each in found if isinstance(each, Opened)]
    batches = _batches(clips.tried, wanted.batch_size)
    rows = measured(running, batches, seconds=wanted.seconds, progress=progress)
    by_name = {row.form: row for row in rows}
    return [each if isinstance(each, Row) else by_name[each.name] for each in found]


def _batches(clips: Clip, size: int) -> list[Clip]:
    """Whole batches of the clips, again from the first where they are too few for a median."""
    whole = torch.split(clips[: len(clips) - len(clips) % size], size)
    return list(islice(cycle(whole), max(FEWEST_BATCHES, len(whole))))
