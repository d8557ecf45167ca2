"""Which clips a run learns from, in a few words that its checkpoints keep.

The weights of a head are a row a class, and an epoch is a function of the rows of the manifest: a
run goes on with the same classes, labels and clips in the same order, or not at all. The clips may
lie elsewhere: what counts is their paths below the folder that holds them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.classes import unnamed
from marey.data.manifest.duplicates import text_buffers
from marey.data.manifest.manifest import Manifest
from marey.errors import counted


@dataclass(frozen=True)
class ClipFacts:
    """The clips of one split.

    Args:
        num_clips: how many there are.
        classes: head -> class names.
        labels: the digest of all labels, in order.
        clips: that of paths, spans and sources, in order.
        features: what made the features that stand in for the videos, as their file says it, and
            the `dtype` of their numbers; empty of videos, and where the file does not say.
    """

    num_clips: int
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: str = ""
    clips: str = ""
    features: Mapping[str, Any] = field(default_factory=dict)


def clip_facts(manifest: Manifest) -> ClipFacts:
    """The facts of all clips of `manifest`."""
    labels, clips = hashlib.sha256(), hashlib.sha256()
    for head in sorted(manifest.labels):
        labels.update(f"{head};".encode())
        labels.update(np.ascontiguousarray(manifest.labels[head]).data)
    for column in (_below_common_folder(manifest.paths), _text(manifest.sources)):
        buffers = [] if column is None else [text_buffers(chunk) for chunk in column.chunks]
        for offsets, _ in buffers:  # lengths first: how a column is cut into chunks is no fact
            clips.update(np.diff(offsets).data)
        for _, text in buffers:
            clips.update(np.ascontiguousarray(text).data)
        clips.update(b";")
    for bounds in (manifest.starts, manifest.ends):
        if bounds is not None and not np.isnan(bounds).all():
            clips.update(manifest.unit.encode())
            clips.update(np.where(np.isnan(bounds), -1.0, bounds).data)
        clips.update(b";")
    return ClipFacts(
        len(manifest),
        dict(manifest.classes),
        labels.hexdigest(),
        clips.hexdigest(),
        _features(manifest),
    )


def _features(manifest: Manifest) -> dict[str, Any]:
    of = manifest.features
    return dict(of.about) | {"dtype": str(of.dtype)} if of is not None and of.about else {}


def what_changed(before: ClipFacts, now: ClipFacts) -> str:
    """What differs, as the middle of a sentence; empty if nothing does."""
    if not before.num_clips or not now.num_clips:
        return _counts(before, now)
    if set(before.classes) != set(now.classes):
        return f"the heads were {', '.join(before.classes)} and are {', '.join(now.classes)}"
    for head, names in before.classes.items():
        if other := other_classes(head, names, now.classes[head]):
            return other
    if before.num_clips != now.num_clips:
        return _counts(before, now)
    if before.labels != now.labels:
        return "the labels are others, or in another order"
    if before.clips != now.clips:
        return "the clips are others, or in another order"
    return ""


def _counts(before: ClipFacts, now: ClipFacts) -> str:
    same = before.num_clips == now.num_clips
    were = counted(before.num_clips, "clip")
    return "" if same else f"there were {were} and are {now.num_clips:,}"


def other_classes(head: str, before: tuple[str, ...], now: tuple[str, ...]) -> str:
    """How the class names of a head differ; classes that were mere numbers may get names."""
    numbers = unnamed(len(before))
    if len(before) != len(now):
        return f"'{head}' had {counted(len(before), 'class')} and has {len(now)}"
    if before == now or numbers in (before, now):
        return ""
    first = next(i for i, name in enumerate(before) if name != now[i])
    return f"class {first} of '{head}' was '{before[first]}' and is '{now[first]}'"


def _below_common_folder(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """The paths from the folder on that holds all of them."""
    ends = pc.min_max(paths)
    low, high = ends["min"].as_py() or "", ends["max"].as_py() or ""
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), None)
    common = low[:same] if same is not None else low
    folder = common[: common.rfind("/") + 1]
    return pc.utf8_slice_codeunits(paths, len(folder)) if folder else paths


def _text(codes: pa.DictionaryArray | None) -> pa.ChunkedArray | None:
    return None if codes is None else pa.chunked_array([codes.cast(pa.large_string())])
