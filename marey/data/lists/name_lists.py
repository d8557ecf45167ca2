"""Class names and clips as plain lists give them: a name a line, a path and a label a line."""

from __future__ import annotations

import os
import re

from marey.data.lists.annotation_files import Annotations, whole
from marey.data.lists.class_names import ClassNames, expect_count
from marey.data.lists.frame_lists import ListRow
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError

_FIRST = re.compile(r"(\d+)[\s,]+(.+)", re.ASCII)
_LAST = re.compile(r"(.+?)[\s,]+(\d+)", re.ASCII)


def numbered_names(files: Annotations, role: str, *expected: int) -> list[str]:
    """The names of a file by their numbers, from 0 or 1, which stand before or after every name.

    Where not all lines have one, the order of the lines counts. ManifestError unless there are as
    many as expected, with each number once.
    """
    lines = [line for _, line in files.lines(role)]
    names = lines
    for pattern, (number, name) in ((_FIRST, (1, 2)), (_LAST, (2, 1))):
        found = [match for line in lines if (match := pattern.fullmatch(line))]
        if lines and len(found) == len(lines):
            pairs = sorted((whole(match[number]) or 0, match[name]) for match in found)
            first = pairs[0][0]
            if [number for number, _ in pairs] != list(range(first, first + len(pairs))):
                raise ManifestError(f"{files[role]}: a number is missing or there twice")
            names = [name for _, name in pairs]
            break
    expect_count(files[role], names, *expected)
    return names


def agrees(files: Annotations, row: ListRow, names: ClassNames, said: str) -> bool:
    """Whether a label is a class, and the one that its path is `said` to be of, if that is one.

    Else the row is rejected: its list counts from 1, or counts another file of classes.
    """
    of_path = names.index(said)
    if row.label >= len(names):
        files.reject(row.place, row.label, f"labels are 0 to {len(names) - 1}")
    elif of_path is not None and of_path != row.label:
        reason = f"label {row.label} is {names.names[row.label]}, its path says {said}"
        files.reject(row.place, row.path, reason, "do the labels count these classes, from 0?")
    else:
        return True
    return False


def video_name(path: str) -> str:
    """The last part of a path, without the suffix of a video.

    >>> video_name("Archery/v_Archery_g01_c01.avi"), video_name("hug/a_v1.2_np1")
    ('v_Archery_g01_c01', 'a_v1.2_np1')
    """
    return without_suffix(path.replace("\\", "/").rstrip("/").rpartition("/")[2])


def without_suffix(path: str) -> str:
    """A path without the suffix of a video; a dot in another place stays."""
    return os.path.splitext(path)[0] if VIDEO.fullmatch(path) else path  # noqa: PTH122
