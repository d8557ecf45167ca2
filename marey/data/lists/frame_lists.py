"""Frame lists of PySlowFast and Motionformer: a line for every frame of every video.

    original_vido_id video_id frame_id path labels
    74225 0 0 74225/000001.jpg ""
    74225 0 1 74225/000002.jpg ""

The first name is spelled so where it is read. Labels are in quotes and joined by commas; empty in
the lists of Something-Something, whose labels are in its json files. Charades labels every frame:
those of a clip are the labels of all its frames, as its loader has them for validation.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import SourceLine
from marey.data.lists.text_file import TextFile, whole
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.header import NoLabels
from marey.errors import ManifestError, counted

_HEADER = re.compile(r"\s*original_vide?o_id\s+video_id\s+frame_id\s+path\s+labels\s*\n")
_COLUMNS = "original_vido_id video_id frame_id path labels"


@dataclass
class ListedVideo:
    """A video of a frame list."""

    line: SourceLine
    """Of its first frame."""
    folder: str
    """Of its frames."""
    num_frames: int = 0
    labels: set[int] = field(default_factory=set)
    """Of any frame."""


def is_frame_list(file: TextFile) -> bool:
    """Whether a file begins as a frame list does."""
    return _HEADER.match(file.text) is not None


def listed_videos(file: TextFile) -> dict[str, ListedVideo]:
    """Id of a video -> its folder, frames and labels; lines that do not fit are faults."""
    videos: dict[str, ListedVideo] = {}
    for line, cells in _frames(file):
        name, _, _, path, words = cells
        folder = path.rpartition("/")[0]
        video = videos.setdefault(name, ListedVideo(line, folder))
        labels = [whole(word) for word in words.replace('"', "").split(",") if word]
        if video.folder != folder:
            reason = f"a frame of {name} in another folder than {video.folder!r}"
            file.faults.add(line, path, reason, "frames of a video lie in one folder")
        elif None in labels:
            file.faults.add(line, words, "labels are whole numbers, joined by commas")
        else:
            video.num_frames += 1
            video.labels.update(label for label in labels if label is not None)
    return videos


def read_frame_list(file: TextFile) -> Listing:
    """The videos of a frame list as clips, each the folder of its frames."""
    videos = listed_videos(file)
    file.faults.settle()
    if not videos:
        raise ManifestError(f"{file.path}: the list is empty", "give a line for every frame")
    if not any(video.labels for video in videos.values()):
        raise NoLabels(
            f"{file.path}: a frame list without labels",
            "those of Something-Something are in its json: `marey data prepare ssv2`",
        )
    rows = [
        ListRow(
            video.line,
            video.folder,
            {"label": SEPARATOR.join(map(str, sorted(video.labels)))},
            num_frames=video.num_frames,
        )
        for video in videos.values()
    ]
    return Listing(
        source=file.path,
        format=f"a frame list, `{_COLUMNS}`, {counted(len(rows), 'video')}",
        rows=rows,
    )


def _frames(file: TextFile) -> Iterator[tuple[SourceLine, list[str]]]:
    """The cells of every line; one at a time, as there may be twenty million."""
    for number, text in enumerate(io.StringIO(file.text), start=1):
        cells = text.split()
        if number == 1 or not cells:
            continue
        line = SourceLine(file.path, number)
        if len(cells) != 5:
            reason = f"{counted(len(cells), 'cell')}, a frame list has {_COLUMNS}"
            file.faults.add(line, text.strip(), reason, "paths hold no spaces")
        elif re.search("[\udc80-\udcff]", text):
            file.faults.add(line, ascii(text.strip()), "bytes that are not UTF-8", "save as UTF-8")
        else:
            yield line, cells
