"""One batch read, by a loader worker or in the process that wants it; outages are outlasted.

A clip that cannot be read leaves the batch by name. Where it was not the clip's fault but that of
what holds it (`StorageError`) the clip is asked for again and again, until storage that is away has
come back: so a share that drops for a minute costs a minute and no clip.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from marey.data.loading.clips import NO_SEED, Batch, ClipDataset, Sample, collate
from marey.errors import RunError
from marey.storage.faults import holds_anything

OUTAGE_SECONDS = 120.0
"""How long storage may be away before what reads from it ends, in an error."""
POLL_SECONDS = 1.0
GO_ON = "the same command goes on where it was, of a training with --resume"

Key: TypeAlias = tuple[int, int | None]
"""The row and the seed of a clip, see `ClipDataset`."""
Say: TypeAlias = Callable[[str], None]
"""Told what a person should know."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A batch to read."""

    number: int
    keys: Sequence[Key]
    lost: Mapping[int, str] = field(default_factory=dict)
    """Rows that are not to be read, as they cost a process, and why."""
    witness: Key | None = None
    """A clip that could be read before: if it can be no more, storage is away."""


def read_batch(
    clips: ClipDataset,
    task: Task,
    *,
    announce: Callable[[int | None], None] = lambda _: None,
    say: Say,
) -> Batch:
    """The batch that `task` names.

    Args:
        announce: told the row that is about to be read, and None when it was.
        say: told that storage is away.

    Raises:
        RunError: storage was away for `OUTAGE_SECONDS`.
    """

    def read(key: Key) -> Sample:
        if key[0] in task.lost:
            return clips.lost(key[0], task.lost[key[0]])
        announce(key[0])
        try:
            return clips[key]
        finally:
            announce(None)

    if task.lost and task.witness:  # the clips at fault, or what holds them? it hangs in the latter
        read(task.witness)
    samples, since = [read(key) for key in task.keys], None
    while away := [sample for sample in samples if sample.away]:
        witness = next((_key(each) for each in samples if each.clip is not None), task.witness)
        is_up = not read(witness).away if witness else _is_there(clips, away[0].row)
        if not is_up:
            since = since or time.monotonic()
            _outlast(away[0].error, since, say)
        pairs = zip(task.keys, samples, strict=True)
        samples = [read(key) if sample.away else sample for key, sample in pairs]
        if is_up:  # only these clips of it are away, as under a folder that is misspelt
            break
    return collate(samples)


def _outlast(reason: str | None, since: float, say: Say) -> None:
    """Wait a little for storage that is away `since` then; RunError if that is too long."""
    if time.monotonic() - since > OUTAGE_SECONDS:
        raise RunError(
            f"clips are out of reach, after {OUTAGE_SECONDS:g} s: {reason}",
            f"once they are back, {GO_ON}",
        )
    say(f"clips are out of reach, trying for up to {OUTAGE_SECONDS:g} s: {reason}")
    time.sleep(POLL_SECONDS)


def _is_there(clips: ClipDataset, row: int) -> bool:
    """Whether the root of a clip holds anything: where nothing is mounted it does not."""
    root = clips.manifest.roots.of(row)
    return isinstance(root, Path) and holds_anything(root)


def _key(sample: Sample) -> Key:
    return sample.row, None if sample.seed == NO_SEED else sample.seed


def witness_of(batch: Batch) -> Key | None:
    """A clip that could be read, if the batch has one."""
    if not len(batch.rows):
        return None
    row, seed = int(batch.rows[-1]), int(batch.seeds[-1])
    return row, None if seed == NO_SEED else seed
