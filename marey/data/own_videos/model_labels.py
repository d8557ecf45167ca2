"""The labels of a list as classes of a model that looks at its clips.

A list to predict may have labels: then they are kept beside the scores, so that metrics can follow.
Labels that are no classes of the model are left, which is said; they never stop a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marey.data.lists.class_names import ClassNames, are_numbers
from marey.data.lists.listing import Listing
from marey.data.lists.lists import of_sides
from marey.data.manifest.faults import clip_text
from marey.data.own_videos.labels import class_files, read_labels
from marey.errors import ManifestError, counted, first_few


def labels_of_model(
    listing: Listing, classes: Mapping[str, Sequence[str]]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Head -> indices of the model's classes, int64 [n] or bool [n k], and what there is to say.

    Args:
        classes: head -> the class names of the model.
    """
    heads = [head for head in listing.heads if head in classes]
    if not heads or _are_none(listing):
        return {}, ["labels are left: all are empty or -1"] if heads else []
    if of_sides(listing):
        return {}, ["labels are left: in a list of HMDB51 they are sides, no classes"]
    try:
        labels, names = read_labels(listing, files := class_files(listing, None), [])
        named = {*files} if files or not listing.class_names else {*heads}
        places = {h: _places(h, names[h], classes[h], is_named=h in named) for h in heads}
    except ManifestError as error:
        return {}, [f"labels are left: {error.message.splitlines()[0]}"]
    kept = {head: _as_classes(labels[head], places[head], len(classes[head])) for head in heads}
    notes = [f"class names from {file}" for file in files.values()]
    for head in heads:
        if head not in named and are_numbers(names[head]):
            notes.append(f"labels of '{head}' are numbers: 0 is taken for {classes[head][0]!r}")
    return kept, [*notes, *_all_zero(listing, {head: classes[head] for head in heads})]


def _all_zero(listing: Listing, classes: Mapping[str, Sequence[str]]) -> list[str]:
    """What there is to say where all labels are 0, as in lists to test on that have none."""
    return [
        f"all {len(listing):,} labels of '{head}' are 0, {names[0]!r}, and are kept as the"
        " truth; if they stand for no label, what is evaluated of these predictions means nothing"
        for head, names in classes.items()
        if len(listing) > 1 and {row.labels[head].strip() for row in listing.rows} == {"0"}
    ]


def _are_none(listing: Listing) -> bool:
    return all(text.strip() in ("", "-1") for row in listing.rows for text in row.labels.values())


def _places(
    head: str, names: Sequence[str], classes: Sequence[str], *, is_named: bool
) -> np.ndarray:
    """The model's class of each class of the list, int64 [k]; ManifestError if one is none."""
    if not is_named and are_numbers(names):
        places = [int(name) if int(name) < len(classes) else None for name in names]
    else:
        places = list(map(ClassNames(classes).index, names))
    if None in places:
        name = names[places.index(None)]
        raise ManifestError(
            f"{clip_text(name)} is none of the {counted(len(classes), 'class')} of '{head}'",
            f"the model knows {first_few(classes)}; spell labels so, or give the list without them",
        )
    return np.array(places, np.int64)


def _as_classes(labels: object, places: np.ndarray, num_classes: int) -> np.ndarray:
    values = np.asarray(labels)
    if values.ndim == 1:
        return np.asarray(places[values])
    hot = np.zeros((len(values), num_classes), bool)
    hot[:, places] = values
    return hot
