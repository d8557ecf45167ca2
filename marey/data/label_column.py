"""A label column of a manifest file as class indices, or as several classes of every clip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from marey.data.manifest.classes import (
    SEPARATOR,
    LabelValues,
    classes_file,
    read_classes,
    split_labels,
)
from marey.data.manifest.faults import Fault
from marey.errors import ManifestError


def read_labels(
    path: Path,
    column: pa.ChunkedArray,
    head: str,
    num_classes: int | None,
    names: Sequence[str] | None,
) -> tuple[np.ndarray, tuple[str, ...], list[Fault]]:
    """Labels int64 [n], or bool [n k] if a cell has several; class names; rows without a class.

    num_classes: of the model's head, if there is one. names: the classes, if the file itself names
    them; else those of the file of classes beside it.
    """
    file = classes_file(path.parent, head)
    if names is None and file.is_file():
        names = read_classes(file)
    if names and num_classes and len(names) != num_classes:
        raise ManifestError(
            f"{file if file.is_file() else path} has {len(names)} classes; the model's head "
            f"'{head}' has {num_classes}",
            "train with the heads of this manifest, or correct the file",
        )
    cells = coded(column)
    codes, texts = cells.indices.to_numpy(), cells.dictionary.to_pylist()
    known = frozenset(names or ())
    if any(SEPARATOR in text and text not in known for text in texts):
        split = [split_labels(text, known) for text in texts]
        words = list(dict.fromkeys(chain.from_iterable(split)))
        values = LabelValues(head, words, names, num_classes)
        of_text, wrong = _multi_hot(split, values)
    else:
        values = LabelValues(head, texts, names, num_classes)
        of_text = values.indices
        wrong = np.where(of_text < 0, np.arange(len(texts)), -1)
    rows = np.flatnonzero((wrong >= 0)[codes])
    faults = [Fault(rows, lambda row: values.describe(int(wrong[codes[row]])))]
    if values.from_one and not len(rows):
        faults.append(Fault(np.zeros(1, np.int64), lambda _: values.describe_range()))
    return of_text[codes], values.classes, faults


def coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of coded text as one array."""
    return column.unify_dictionaries().combine_chunks()


def text_column(texts: Sequence[str]) -> pa.ChunkedArray:
    """A column of text, as a manifest has it."""
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _multi_hot(
    cells: Sequence[Sequence[str]], values: LabelValues
) -> tuple[np.ndarray, np.ndarray]:
    """Which classes each cell names, bool [u k]; its word that is no class [u], -1 for none."""
    place = {word: i for i, word in enumerate(values.values)}
    hot = np.zeros((len(cells), len(values.classes)), dtype=bool)
    wrong = np.full(len(cells), -1)
    for row, cell in enumerate(cells):
        for word in cell:
            index = values.indices[place[word]]
            if index < 0:
                wrong[row] = place[word]
            else:
                hot[row, index] = True
    return hot, wrong
