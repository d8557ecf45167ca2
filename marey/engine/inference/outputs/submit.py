"""Predictions that lie in a file, written as another without the model that made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from marey.data.lists.listing import video_name
from marey.data.own_videos.unlabelled import Clips
from marey.engine.inference.outputs.forms import (
    OutputOptions,
    check_classes,
    refuse_own_input,
    write_output,
)
from marey.engine.inference.outputs.scored_clips import ScoredClips, joined, read_scored_clips
from marey.engine.inference.stored import dump_of
from marey.errors import RunError, counted
from marey.storage.atomic import refuse_existing


def submit_predictions(
    predictions: Path,
    out: Path,
    output: OutputOptions,
    *,
    listed: Clips | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the predictions of a file, or of the folder of an evaluation, as the file `out`.

    Args:
        listed: all clips that there must be; those that lack are missing, others are refused.
        overwrite: whether a file `out` may be replaced.
        say: called with what there is to say.

    Raises:
        RunError: there are no predictions, they are of other clips, `out` is there already, or as
            `write_output` has it.
    """
    path = dump_of(predictions)
    if path is None:
        raise RunError(
            f"{predictions} holds no predictions",
            "give the NAME.parquet of marey predict, or RUN/results/NAME of marey eval",
        )
    if output.form == "parquet":
        raise RunError(f"{path} is a Parquet file already", "give --format, or --out NAME.csv")
    refuse_own_input(out, path, *([str(listed.manifest.source)] if listed else []))
    refuse_existing(out, overwrite=overwrite)
    clips = read_scored_clips(path)
    check_classes(output, clips.said.classes, clips.said.several)
    if listed is not None:
        clips = _of_list(clips, listed)
    write_output(output, [clips], out, say)


def _of_list(clips: ScoredClips, listed: Clips) -> ScoredClips:
    """The clips, and after them those of the list that lack, as missing. RunError for others."""
    manifest = listed.manifest
    paths = [str(manifest.path(row)) for row in range(len(manifest))]
    ids = manifest.ids.to_pylist() if manifest.ids is not None else [""] * len(paths)
    names = [name or video_name(path) for name, path in zip(ids, paths, strict=True)]
    places = {name: place for place, name in enumerate(clips.names)}
    if others := places.keys() - set(names):
        raise RunError(
            f"{clips.source}: {counted(len(others), 'clip')} not in {manifest.source},"
            f" as {min(others)!r}",
            "is it the list that was predicted for?",
        )
    lacking = [row for row, name in enumerate(names) if name not in places]
    lost = replace(
        clips,
        rows=lacking,
        paths=[paths[row] for row in lacking],
        clip_ids=[names[row] for row in lacking],
        spans=[(None, None)] * len(lacking),
        scores={
            head: np.full((len(lacking), of.shape[1]), np.nan) for head, of in clips.scores.items()
        },
        errors=["it is in the list, and no prediction is of it"] * len(lacking),
        labels={head: [None] * len(lacking) for head in clips.labels},
    )
    return joined([clips, lost]) if lacking else clips
