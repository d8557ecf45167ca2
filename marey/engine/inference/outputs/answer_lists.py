"""Answers a line, separated by semicolons: what TwentyBN's challenges took, and TSM's and IBM's
tests write.

| form       | line                        | of                                                    |
|------------|-----------------------------|-------------------------------------------------------|
| `ssv1`     | `id;class name`             | Something-Something V1                                |
| `jester`   | `id;class name`             | Jester                                                |
| `ssv2`     | `id;n;n;n;n;n`              | Something-Something V2: numbers of the five best      |
| `tsm`      | `path;class name`           | `test_models.py --csv_file` of TSM, but for SSv2      |
| `tsm-top5` | `path;n;n;n;n;n`            | the same for SSv2; also bLVNet's and IBM's `test.py`  |

There is no header. Class numbers of Something-Something V2 are those of its file of labels, which
counts the names in alphabetical order, whatever the order of the model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from marey.data.lists.class_names import are_numbers, unbracketed
from marey.engine.inference.outputs.scored_clips import ScoredClips

NUM_ANSWERS = 5


def write_names(file: BinaryIO, names: Sequence[str], clips: ScoredClips) -> None:
    """Write the best class of each clip by its name; `names` [n] is what clips are called."""
    classes = next(iter(clips.said.classes.values()))
    _write(file, ([name, classes[best]] for name, (best, *_) in _best(names, clips)))


def write_numbers(file: BinaryIO, names: Sequence[str], clips: ScoredClips) -> None:
    """Write the five best classes of each clip by their numbers in the order of the model."""
    _write(file, ([name, *map(str, best)] for name, best in _best(names, clips)))


def write_official_numbers(file: BinaryIO, names: Sequence[str], clips: ScoredClips) -> None:
    """The same by their numbers in alphabetical order, if classes have names."""
    numbers = _alphabetical(next(iter(clips.said.classes.values())))
    _write(file, ([name, *(str(numbers[n]) for n in best)] for name, best in _best(names, clips)))


def _alphabetical(classes: Sequence[str]) -> list[int]:
    """The number of each class, by rising names; its own where names are numbers.

    >>> _alphabetical(["b", "a", "c"])
    [1, 0, 2]
    """
    if are_numbers(classes):
        return [int(name) for name in classes]
    rising = sorted(map(unbracketed, classes))
    return [rising.index(unbracketed(name)) for name in classes]


def _best(names: Sequence[str], clips: ScoredClips) -> Iterator[tuple[str, list[int]]]:
    """Each clip with its best classes; of equal ones the first."""
    scores = next(iter(clips.scores.values()))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :NUM_ANSWERS]
    return zip(names, best.tolist(), strict=True)


def _write(file: BinaryIO, lines: Iterator[list[str]]) -> None:
    for cells in lines:
        file.write(f"{';'.join(cells)}\n".encode("utf-8", "surrogateescape"))
