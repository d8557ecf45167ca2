"""Kinetics' csv files, whose clips are called `ID_START_END` by the times they had in their videos.

The columns are `youtube_id,time_start,time_end,split`, maybe with a label. The times say no part of
a file where the clips are cut already: then those names are there.
"""

from __future__ import annotations

from dataclasses import replace

from marey.data.lists.listing import Listing
from marey.data.manifest.spellings import Spellings
from marey.storage.url import AnyPath

TIMES = ("time_start", "time_end")


def by_clip_names(listing: Listing, root: AnyPath) -> Listing | None:
    """The listing by the names of clips, in `root` or folders of classes; None if none is there.

    Args:
        listing: read with `TIMES` left aside, which stand in its columns then.
    """
    starts, ends = (listing.columns.get(name, []) for name in TIMES)
    if not starts or not all(each.isdecimal() for each in (*starts, *ends)):
        return None
    triples = zip(listing.rows, starts, ends, strict=True)
    names = [f"{row.path}_{int(start):06d}_{int(end):06d}" for row, start, end in triples]
    files = Spellings(root)
    for by_class in (False, True):
        paths = [
            f"{row.labels['label']}/{name}" if by_class and "label" in row.labels else name
            for row, name in zip(listing.rows, names, strict=True)
        ]
        if any(files.find(path).path for path in paths):
            rows = [row._replace(path=path) for row, path in zip(listing.rows, paths, strict=True)]
            return replace(listing, rows=rows, format=f"{listing.format}; clips ID_START_END")
    return None
