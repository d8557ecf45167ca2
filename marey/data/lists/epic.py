"""EPIC-KITCHENS-100 in the folders of frames it is handed out as (arXiv 2006.13256).

Its csv files give segments in seconds of a video. Frames were extracted at 60 a second from videos
of EPIC-KITCHENS-55 (``P01_01``) and at 50 from those that came later (``P01_101``), whatever the
rate of the video itself, so a segment begins with frame round(seconds * rate), counted from 0.
The start_frame of the csv differs from that by one frame in four of ten segments.

**Deviates**: Motionformer and lmr-release divide the digits after the point by 100, however many
there are, and so read 2.629 seconds as 8.29; the times of the csv files have two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from marey.data.lists.listing import Listing
from marey.data.lists.manifest_of import spans_of
from marey.data.lists.times import frames_of
from marey.data.manifest.faults import clip_text
from marey.data.manifest.paths import Folders

LAYOUTS = ("{0}/{1}", "{0}/rgb_frames/{1}")
"""Where the frames of a video lie below the root, by participant and video: the first that does."""
_VIDEO = re.compile(r"(P\d\d)_(\d{2,3})", re.ASCII)


def participant(video: str) -> str | None:
    """Who filmed a video, by its name; None if it is no name of a video of EPIC-KITCHENS.

    >>> participant("P01_101"), participant("kitchen")
    ('P01', None)
    """
    match = _VIDEO.fullmatch(video)
    return match[1] if match else None


def frames_a_second(video: str) -> int:
    """The rate at which the frames of a video were extracted, by its name.

    >>> frames_a_second("P01_01"), frames_a_second("P01_101")
    (60, 50)
    """
    match = _VIDEO.fullmatch(video)
    if match is None:
        raise ValueError(f"video is {video!r}, expected a name like P01_01 or P01_101")
    return 50 if len(match[2]) == 3 else 60


def in_frames(listing: Listing, root: Path) -> Listing:
    """EPIC-KITCHENS' listing by frames of the folders in `root`; any other listing as it is.

    So is one of which no video has a folder there: its videos are files, whose spans are seconds.
    ManifestError names videos that are called otherwise, and segments without a frame.
    """
    if not _is_epic(listing):
        return listing
    videos = [row.path for row in listing.rows]
    folders = _folders(videos, root)
    if not folders:
        return listing
    listing.refuse(
        [n for n, video in enumerate(videos) if participant(video) is None],
        lambda n: (f"video_id is {clip_text(videos[n])}", "expected a name like P01_01 or P01_101"),
    )
    rates = [float(frames_a_second(video)) for video in videos]
    times = spans_of((row.start, row.end) for row in listing.rows)
    spans = frames_of(times, np.array(rates)[:, None]).tolist()
    listing.refuse(
        [n for n, (start, end) in enumerate(spans) if end <= start],
        lambda n: (f"no frame from frame {spans[n][0]:g} up to {spans[n][1]:g}", ""),
    )
    rows = [
        row._replace(path=folders[row.path], rate=rate, start=start, end=end)
        for row, rate, (start, end) in zip(listing.rows, rates, spans, strict=True)
    ]
    shown = " and ".join(f"{rate:g}" for rate in sorted(set(rates)))
    form = f"{listing.format}; frames at {shown} a second"
    return replace(listing, format=form, rows=rows, unit="frames")


def _is_epic(listing: Listing) -> bool:
    timed = listing.has_spans and listing.unit == "seconds"
    heads = {*listing.heads}
    of_epic = heads == {"verb", "noun"} or (
        not heads and all(participant(row.path) for row in listing.rows)  # the test list
    )
    return timed and of_epic and any(row.id for row in listing.rows)


def _folders(videos: Sequence[str], root: Path) -> dict[str, str]:
    """Video -> folder of its frames; where there is none, that of the usual layout.

    Nothing if no video has one.
    """
    folders = Folders(root)
    layouts = {
        video: [layout.format(video.partition("_")[0], video) for layout in LAYOUTS]
        for video in dict.fromkeys(videos)
    }
    first = {video: next(filter(folders.has, paths), None) for video, paths in layouts.items()}
    if not any(first.values()):
        return {}
    return {video: folder or layouts[video][0] for video, folder in first.items()}
