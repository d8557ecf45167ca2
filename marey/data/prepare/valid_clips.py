"""The clips of an index that can be used; the others are rejected with what is wrong with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from marey.data.datasets.dataset import AnnotatedClip, Index
from marey.data.lists.annotations import Annotations
from marey.data.lists.rejects import SourceLine
from marey.data.prepare.find_media import inside_root

_UNFIT = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""What a manifest cannot hold on one line of UTF-8."""


def valid_clips(index: Index, files: Annotations, root: Path) -> list[AnnotatedClip]:
    """The clips without a fault, names relative to the root; all faults go to `files.rejects`."""
    sizes = {head: len(names) for head, names in index.classes.items()}
    first: dict[object, SourceLine] = {}
    valid: list[AnnotatedClip] = []
    for clip in index.clips:
        name = inside_root(root, clip.name)
        for value, reason, remedy in _faults(clip, name, sizes, index.unit):
            files.reject(clip.line, value, reason, remedy)
            break
        else:
            key = clip.id or (name, clip.start, clip.end)
            earlier = first.setdefault(key, clip.line)
            if earlier is clip.line:
                valid.append(clip if name == clip.name else clip._replace(name=name or ""))
            else:
                reason = f"was given before, at {earlier}"
                files.reject(clip.line, clip.id or clip.name, reason, "keep one row a clip")
    return valid


def _faults(
    clip: AnnotatedClip, name: str | None, sizes: dict[str, int], unit: str
) -> Iterator[tuple[object, str, str]]:
    """What is wrong with a clip: value, reason, remedy."""
    if not clip.name.strip():
        yield clip.name, "no name", "give the clip's file"
    if _UNFIT.search(clip.name):
        yield ascii(clip.name), "a name with control characters or not UTF-8", "rename the file"
    if _UNFIT.search(clip.id):
        yield ascii(clip.id), "an id with control characters or not UTF-8", "write it plainly"
    if name is None:
        yield clip.name, "leads out of the root", "give paths relative to the root"
    if clip.num_frames is not None and clip.num_frames < 1:
        yield clip.num_frames, "no frames", "is the video complete?"
    yield from _span_faults(clip, unit)
    for head, label in clip.labels.items():
        for number in (label,) if isinstance(label, int) else label:
            if not 0 <= number < sizes[head]:
                yield number, f"{head} is {number}, expected 0 to {sizes[head] - 1}", ""


def _span_faults(clip: AnnotatedClip, unit: str) -> Iterator[tuple[object, str, str]]:
    if clip.start is clip.end is None:
        return
    shown = f"{clip.start} to {clip.end}"
    bounds = [bound for bound in (clip.start, clip.end) if bound is not None]
    if not all(map(math.isfinite, bounds)):
        yield shown, "a span that is not finite", ""
    if min(bounds) < 0:
        yield shown, f"a span before 0 {unit}", "spans count from 0"
    if clip.end is not None and clip.end <= (clip.start or 0):
        yield shown, "the end is not after the start", "are the columns the right way round?"
