"""The one way batches of clips are loaded: for training, for tests and for measuring speed."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator

from torch.utils.data import DataLoader

from marey.data.loading.clips import Batch, ClipDataset, collate


def clip_batches(
    clips: ClipDataset,
    keys: Iterable[list[tuple[int, int]]] | Iterable[list[tuple[int, None]]],
    *,
    workers: int,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """The batches of `clips` that `keys` name: for each a list of (row, seed), see `ClipDataset`.

    workers: processes that load, at once from here on; 0 loads in this one. `pin_memory` is for
    batches that go to a GPU.
    """
    return iter(
        DataLoader(
            clips,
            batch_sampler=keys,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin_memory,
            worker_init_fn=_ignore_signals,
        )
    )


def _ignore_signals(_: int) -> None:
    """Let the main process decide: Ctrl-C and Slurm's SIGTERM reach loader workers too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
