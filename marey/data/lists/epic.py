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

from marey.data.lists.listing import Listing
from marey.data.manifest.faults import clip_text
from marey.data.manifest.paths import Folders

LAYOUTS = ("{0}/{1}", "{0}/rgb_frames/{1}")
"""Where the frames of a video lie below the root, by participant and video: the first that does."""
_VIDEO = re.compile(r"(P\d\d)_(\d{2,3})", re.ASCII)


def is_video(name: str) -> bool:
    """Whether this is the name of a video of EPIC-KITCHENS: P01_01, P01_101."""
    return _VIDEO.fullmatch(name) is not None


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
    paths = _folders(listing.paths, root)
    if not paths:
        return listing
    listing.refuse(
        [row for row, video in enumerate(listing.paths) if not _VIDEO.fullmatch(video)],
        lambda row: (
            f"video_id is {clip_text(listing.paths[row])}",
            "expected a name like P01_01 or P01_101",
        ),
    )
    assert listing.bounds is not None
    rates = [frames_a_second(video) for video in listing.paths]
    starts, ends = (_rounded(bounds, rates) for bounds in listing.bounds)
    listing.refuse(
        [row for row, (start, end) in enumerate(zip(starts, ends, strict=True)) if end <= start],
        lambda row: (f"no frame from frame {starts[row]:g} up to {ends[row]:g}", ""),
    )
    return replace(
        listing,
        found=f"{listing.found}; frames at {' and '.join(map(str, sorted(set(rates))))} a second",
        paths=[paths[video] for video in listing.paths],
        bounds=(starts, ends),
        unit="frames",
        rates=[float(rate) for rate in rates],
    )


def _is_epic(listing: Listing) -> bool:
    timed = listing.bounds is not None and listing.unit == "seconds"
    return timed and {"verb", "noun"} == listing.labels.keys() and "narration_id" in listing.columns


def _folders(videos: Sequence[str], root: Path) -> dict[str, str]:
    """Video -> folder of its frames; where there is none, that of the usual layout. May be empty.

    Nothing is found where no video has one.
    """
    there = Folders(root)
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for video in dict.fromkeys(videos):
        places = [layout.format(video.partition("_")[0], video) for layout in LAYOUTS]
        place = next(filter(there.has, places), None)
        (missing if place is None else found)[video] = place or places[0]
    return found | missing if found else {}


def _rounded(seconds: Sequence[float], rates: Sequence[int]) -> list[float]:
    """Whole frames, the even one of two that are equally near, as published; NaN stays."""
    return [
        second if second != second else float(round(second * rate))
        for second, rate in zip(seconds, rates, strict=True)
    ]
