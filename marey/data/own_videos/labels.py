"""The labels of a list as indices of classes, by the class names that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from marey.data.lists.class_files import find_class_files, find_head_files, read_class_ids
from marey.data.lists.listing import Listing
from marey.data.lists.manifest_of import label_column
from marey.data.lists.numbering import number_classes
from marey.data.manifest.classes import split_labels
from marey.data.manifest.columns import Values
from marey.data.own_videos.class_doubts import doubts_of_classes, refuse_blanks
from marey.errors import ManifestError


def class_files(listing: Listing, names: str | Path | None) -> dict[str, Path]:
    """Head -> its file of class names, if there is one: as given, or beside the lists."""
    head, *others = listing.heads
    if names:
        return {head: Path(names)}
    lists = [path for path in {row.line.path for row in listing.rows} if path.is_file()]
    if not lists:  # class folders, which have names
        return {}
    folder = lists[0].parent
    if others:
        return find_head_files(folder, listing.heads)
    found = find_class_files(folder, lists)
    if len(found) > 1 and all(row.labels[head].strip().isdecimal() for row in listing.rows):
        shown = ", ".join(path.name for path in found)
        raise ManifestError(
            f"{folder}: labels are numbers, and several files may name their classes: {shown}",
            "give one of them: --names FILE",
        )
    return {head: found[0]} if len(found) == 1 else {}


def read_labels(
    listing: Listing, files: Mapping[str, Path], notes: list[str]
) -> tuple[dict[str, Values | None], dict[str, tuple[str, ...]]]:
    """The labels and the class names of every head; how they were read is added to `notes`."""
    labels: dict[str, Values | None] = {}
    classes: dict[str, tuple[str, ...]] = {}
    notes += [f"class names from {file}" for file in files.values()]
    for head in listing.heads:
        class_ids = read_class_ids(files[head]) if head in files else listing.class_names or None
        known = frozenset((class_ids or {}).values())
        cells = [split_labels(row.labels[head].strip(), known) for row in listing.rows]
        words = [(row, word) for row, cell in enumerate(cells) for word in cell]
        refuse_blanks(listing, head, words)
        numbered = number_classes(head, [word for _, word in words], class_ids)
        wrong = dict(words[place] for place in np.flatnonzero(numbered.indices < 0)[::-1])
        listing.refuse(sorted(wrong), lambda row: numbered.describe(wrong[row]))  # noqa: B023
        indices = iter(numbered.indices.tolist())
        several = len(words) > len(cells)
        labels[head] = label_column(
            [tuple(islice(indices, len(cell))) for cell in cells] if several else list(indices),
            len(numbered.classes),
        )
        classes[head] = numbered.classes
        notes += [numbered.note] if numbered.note else []
        notes += doubts_of_classes(
            listing, head, numbered.classes, len(set(numbered.indices.tolist()))
        )
    return labels, classes
