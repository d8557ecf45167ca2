"""The clips of an index that can be used; the others are rejected with what is wrong with them."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

from marey.data.datasets.dataset import AnnotatedClip, Index
from marey.data.lists.annotations import Annotations
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.prepare.find_media import inside_root

_UNFIT = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""What a manifest cannot hold on one line of UTF-8."""


def valid_clips(index: Index, files: Annotations, root: Path) -> list[AnnotatedClip]:
    """The clips without a fault, names relative to the root; all faults go to `files.rejects`."""
    first: dict[object, SourceLine] = {}
    clips = ((clip.line, clip) for clip in index.clips)
    return list(files.faults.fitting(clips, partial(_valid, index, root, first)))


def _valid(
    index: Index, root: Path, first: dict[object, SourceLine], line: SourceLine, clip: AnnotatedClip
) -> AnnotatedClip:
    """The clip, named from the root; `first` has the lines of those that were valid before."""
    if not clip.name.strip():
        raise Misfit("no name", "give the clip's file", value=clip.name)
    if _UNFIT.search(clip.name):
        reason = "a name with control characters or not UTF-8"
        raise Misfit(reason, "rename the file", value=ascii(clip.name))
    if _UNFIT.search(clip.id):
        reason = "an id with control characters or not UTF-8"
        raise Misfit(reason, "write it plainly", value=ascii(clip.id))
    name = inside_root(root, clip.name)
    if name is None:
        raise Misfit("leads out of the root", "give paths relative to the root", value=clip.name)
    if clip.num_frames is not None and clip.num_frames < 1:
        raise Misfit("no frames", "is the video complete?", value=clip.num_frames)
    _check_span(clip, index.unit)
    for head, label in clip.labels.items():
        highest = len(index.classes[head]) - 1
        for number in (label,) if isinstance(label, int) else label:
            if not 0 <= number <= highest:
                raise Misfit(f"{head} is {number}, expected 0 to {highest}", value=number)
    earlier = first.setdefault(clip.id or (name, clip.start, clip.end), line)
    if earlier is not line:
        value = clip.id or clip.name
        raise Misfit(f"was given before, at {earlier}", "keep one row a clip", value=value)
    return clip if name == clip.name else clip._replace(name=name)


def _check_span(clip: AnnotatedClip, unit: str) -> None:
    """`Misfit` if the clip is a part that cannot be."""
    bounds = [bound for bound in (clip.start, clip.end) if bound is not None]
    shown = f"{clip.start} to {clip.end}"
    if not all(map(math.isfinite, bounds)):
        raise Misfit("a span that is not finite", value=shown)
    if min(bounds, default=0) < 0:
        raise Misfit(f"a span before 0 {unit}", "spans count from 0", value=shown)
    if clip.end is not None and clip.end <= (clip.start or 0):
        remedy = "are the columns the right way round?"
        raise Misfit("the end is not after the start", remedy, value=shown)
