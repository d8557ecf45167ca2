"""Choosing a recipe where none is named: what is known of the clips, the machine and the weights.

`marey.recipes.suggest` decides; here is what it decides by.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from marey.data.checks.stats import Stats, stats
from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import usable_device
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.origin import origin_of
from marey.engine.weights.published import local_file
from marey.errors import CheckpointError, RecipeError
from marey.jobs.memory import memory_bytes
from marey.jobs.parts import Progress
from marey.recipes.catalog import find
from marey.recipes.schema import override
from marey.recipes.suggest import FROM_NOTHING, START_WEIGHTS, suggest
from marey.recipes.suggestion import Facts, Suggestion
from marey.recipes.yaml_text import parse_change

log = logging.getLogger("marey")

SAMPLE = 24
"""Clips that are opened to see how long and how large they are."""


def choose(
    manifests: Sequence[str],
    *,
    device: str | None = None,
    weights: str | None = None,
    given: Sequence[str] = (),
    from_scratch: bool = False,
    progress: Progress | None = None,
) -> Suggestion:
    """The recipe that suits the clips of these manifests on this machine; trains nothing.

    Args:
        manifests: files or urls, joined as `marey train` joins them.
        device: on which it is to be trained.
        weights: a run or release to start from; by default official weights that lie here.
        given: ``key=value`` that is decided already, where the clips lie (data.root) as well.
        from_scratch: start from nothing.
        progress: called with opened clips (done, total).

    Raises:
        ManifestError: the manifests cannot be read.
        RecipeError: there is nothing to start from, `weights` does not say of which model it is, or
            two things to start from are given.
    """
    given, weights, from_scratch = _with_start(given, weights, from_scratch=from_scratch)
    start = "" if weights in (None, "imagenet") else _model_of(Path(str(weights)))
    places = [change for change in given if change.startswith("data.")]
    data = override(find(FROM_NOTHING), places).data
    clips = read_manifests(tuple(manifests), at=data.location)
    facts = facts_of(clips, usable_device(device), progress=progress)
    facts = replace(facts, manifests=tuple(manifests), start=start)
    return suggest(facts, given, from_scratch=from_scratch)


def _with_start(
    given: Sequence[str], weights: str | None, *, from_scratch: bool
) -> tuple[list[str], str | None, bool]:
    """What is given with ``weights=...`` among it as the options that mean the same."""
    starts = [change for change in given if change.partition("=")[0] == "weights"]
    for change in starts:
        value = parse_change(change.partition("=")[2], "weights")
        said = "" if value is None else str(value)
        before = "" if from_scratch else weights
        if before not in (None, said):
            other = "from scratch" if from_scratch else f"weights {weights}"
            raise RecipeError(f"{change} and {other} are both given", "leave out one of the two")
        weights, from_scratch = (said, False) if said else (None, True)
    return [change for change in given if change not in starts], weights, from_scratch


def facts_of(clips: Manifest, device: torch.device, *, progress: Progress | None = None) -> Facts:
    """What is known of the clips, of which `SAMPLE` are opened, and of this machine."""
    train_set = clips.select("train")
    found = stats(train_set, sample=SAMPLE, progress=progress)
    if found.num_unreadable:
        log.warning(
            "%d of %d clips opened to see how they are cannot be read; marey data check lists them",
            found.num_unreadable,
            found.num_opened,
        )
    if found.num_unmeasured:
        log.warning(
            "%d of %d clips opened to see how they are were not measured in time, and have no say;"
            " marey data check --timeout SECONDS has more",
            found.num_unmeasured,
            found.num_opened,
        )
    frames, fps = found.frames.get(0.5, 0), _middle(found.fps)
    on_gpu = device.type == "cuda"
    return Facts(
        manifests=(str(clips.source),),
        class_names=dict(train_set.classes),
        class_counts={
            head: tuple(train_set.class_counts(head).tolist()) for head in train_set.labels
        },
        num_train=len(train_set),
        several=any(train_set.has_several(head) for head in train_set.labels),
        frames=frames,
        seconds=frames / fps if fps else 0.0,
        short_side=_short_side(found),
        has_features=train_set.features is not None,
        memory_bytes=memory_bytes(),
        gpu_bytes=torch.cuda.get_device_properties(device).total_memory if on_gpu else 0,
        weights=tuple(name for name in START_WEIGHTS if _is_here(name)),
    )


def _is_here(name: str) -> bool:
    """Whether official weights lie on this machine; damaged ones do not, and it is said."""
    try:
        return local_file(OFFICIAL[name]) is not None
    except CheckpointError as error:
        log.warning("%s", error.message)
        return False


def _model_of(path: Path) -> str:
    """The folder of the run or release that weights lie in; RecipeError if they lie in none."""
    origin = origin_of(path)
    if origin.recipe is None:
        raise RecipeError(
            f"{path} is a file of weights, which does not say of which model",
            "name the recipe as well, or give the folder of a run or release",
        )
    return str(origin.folder)


def _short_side(found: Stats) -> int:
    """Of the middle picture of those opened."""
    return round(_middle([(min(size), count) for size, count in found.sizes]))


def _middle(counted: Iterable[tuple[float, int]]) -> float:
    """The median of numbers and how often each came; 0 of none."""
    pairs = list(counted)
    if not pairs:
        return 0.0
    values, counts = np.array(pairs).T
    return float(np.median(np.repeat(values, counts.astype(int))))
