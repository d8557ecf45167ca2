"""The classes of a manifest as those of a trained model: matched by their names."""

from __future__ import annotations

import logging

import numpy as np

from marey.data.lists.class_names import ClassNames
from marey.data.manifest.classes import refuse_other_classes, unnamed
from marey.data.manifest.manifest import Manifest
from marey.engine.weights.trained import Trained
from marey.errors import ManifestError, counted, did_you_mean, first_few

log = logging.getLogger("marey")
NUM_SHOWN = 8
"""Classes of a mapping that are spelled out."""


def with_class_names(manifest: Manifest, trained: Trained) -> Manifest:
    """The manifest with the model's classes, its own matched to them by name; it is said how.

    So it may have some of the classes, or all in another order. Where only one of the two has
    names, that they are in one order is taken on trust, and said. Labels are those of several
    classes a clip where the model's are.

    Raises:
        ManifestError: clips are of a class that the model has not, or, without names, there are
            more or fewer classes.
    """
    for head, names in trained.classes.items():
        if head not in manifest.classes or manifest.classes[head] == names:
            continue
        theirs = manifest.classes[head]
        if theirs == unnamed(len(theirs)) or names == unnamed(len(names)):
            manifest = _on_trust(manifest, head, names)
        else:
            manifest = _by_name(manifest, head, names)
    # what a score means is the model's to say, also where no clip happens to have two classes
    return manifest.with_several(h.name for h in trained.recipe.model.heads if h.several)


def _on_trust(manifest: Manifest, head: str, names: tuple[str, ...]) -> Manifest:
    theirs, of_model = manifest.classes[head], names == unnamed(len(names))
    refuse_other_classes(manifest.source, head, theirs, len(names))
    chosen = theirs if of_model else names
    log.warning(
        "the classes of '%s' have only numbers in %s: class 0 is taken for '%s', and so on",
        head,
        "the model" if of_model else manifest.source,
        chosen[0],
    )
    return manifest.with_classes({head: chosen})


def _by_name(manifest: Manifest, head: str, names: tuple[str, ...]) -> Manifest:
    theirs, known = manifest.classes[head], ClassNames(names)
    places = np.array([-1 if (at := known.index(name)) is None else at for name in theirs])
    absent = np.flatnonzero((places < 0) & (manifest.class_counts(head) > 0))
    if len(absent):
        unknown = [theirs[number] for number in absent]
        raise ManifestError(
            f"{manifest.source}: {len(unknown)} of {counted(len(theirs), 'class')} of '{head}'"
            f" are none of the model's {len(names)}: {first_few(unknown)}",
            did_you_mean(unknown[0], names, otherwise=f"it has {first_few(names, 20)}"),
        )
    labels = manifest.labels[head]
    if manifest.has_several(head):
        known_places = np.flatnonzero(places >= 0)
        mapped = np.zeros((len(manifest), len(names)), bool)
        mapped[:, places[known_places]] = labels[:, known_places]
    else:
        mapped = places[labels]
    used = {names[place]: name for place, name in zip(places, theirs, strict=True) if place >= 0}
    moved = [f"{n} is {places[n]} {names[places[n]]!r}" for n in np.flatnonzero(places >= 0)]
    log.warning(
        "%s has %d of the model's %s of '%s', matched by name: class %s",
        manifest.source,
        len(used),
        counted(len(names), "class"),
        head,
        first_few(moved, NUM_SHOWN),
    )
    return manifest.with_columns({head: mapped}, {head: names})
