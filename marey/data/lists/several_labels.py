"""Lists without a header whose lines end in several labels, a cell each.

| line                        | who reads it                          |
|-----------------------------|---------------------------------------|
| `path 3 17`                 | mmaction2, of videos                  |
| `path num_frames 3 17`      | mmaction2, of frames                  |
| `path start end 3 17`       | bLVNet-TAM                            |

That labels are several is told by lines of different lengths. How many numbers stand before them is
told by the shortest lines, which have one label, and by the numbers: parts of files all begin at
frame 1; labels ascend and counts before them do not, or are labels of the line as well. Else each
clip might have one label more, and a person is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from marey.data.lists.line_numbers import count_numbers, is_span
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError

SEVERAL = ("path labels", "path num_frames labels", "path start end labels")
"""Titles of these lists, by how many numbers end the shortest lines, from one."""
_ENDS_IN_NUMBER = re.compile(r"\s-?\d+$", re.ASCII)
_SHARE = 0.1
"""Of lines that are longer, and of the shortest: fewer may be damaged."""
_MANY_LENGTHS = 4
"""Lines of so many lengths are not damaged."""


def several_title(path: Path, rows: Sequence[Sequence[str]]) -> str:
    """Which of `SEVERAL` lines are, given as their cells; "" if not clearly several labels.

    ManifestError, with both readings, if it is not told which number is the first label.
    """
    plain = _plain_rows(rows)
    fewest = _fewest_numbers(plain) if len(plain) >= (1 - _SHARE) * len(rows) else 0
    if not 1 <= fewest <= len(SEVERAL):
        return ""
    numbers = [[int(cell) for cell in row[1:]] for row in plain]
    if any(_repeats(line[fewest - 1 :]) for line in numbers):
        return ""
    if fewest == 1 or _TELLS[fewest](numbers):
        return SEVERAL[fewest - 1]
    other, title = SEVERAL[fewest - 2 : fewest]
    shown = " ".join(next(row for row in plain if len(row) > fewest + 1))
    raise ManifestError(
        f"{path}: lines have several labels, and may be `{title}` or `{other}`, as {shown!r}",
        f"--columns '{title}': the shortest lines have one label; --columns '{other}': all lines"
        " have one more",
    )


def fits(title: str, rows: Sequence[Sequence[str]]) -> bool:
    """Whether all lines may be of a title, one of `SEVERAL`."""
    fewest = len(title.split()) - 1
    return all(count_numbers(row) >= fewest for row in rows)


def several_cells(cells: Sequence[str], title: str) -> list[str]:
    """The cells of a line with its labels as one, joined as in a manifest."""
    first = len(title.split()) - 1
    return [*cells[:first], SEPARATOR.join(cells[first:])] if len(cells) > first else [*cells]


def _plain_rows(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Those that are a path and numbers; none if a path may end in a number of its own.

    `take 2 12` beside `a.mp4 12` may be a folder `take 2`.
    """
    plain = [row for row in rows if len(row) > 1 and count_numbers(row) == len(row) - 1]
    is_joined = any(SEPARATOR in cell for row in plain for cell in row[1:])
    are_videos = {bool(VIDEO.fullmatch(row[0])) for row in plain}
    numbered = len(are_videos) > 1 or any(_ENDS_IN_NUMBER.search(row[0]) for row in plain)
    return [] if is_joined or numbered else plain


def _fewest_numbers(plain: Sequence[Sequence[str]]) -> int:
    """Those that end the shortest lines; 0 if lines are alike, or the odd ones may be damaged."""
    lengths = Counter(len(row) - 1 for row in plain)
    if len(lengths) < 2:
        return 0
    fewest = min(lengths)
    if fewest < 3 and len({row[0] for row in plain}) < len(plain):
        return 0  # `take 1 3` and `take 2 3` may be clips called `take 1` and `take 2`
    share = lengths[fewest] / len(plain)
    return fewest if len(lengths) >= _MANY_LENGTHS or _SHARE <= share <= 1 - _SHARE else 0


def _repeats(labels: Sequence[int]) -> bool:
    """Whether a label is there twice, which a clip has once."""
    return len(set(labels)) < len(labels)


def _are_counted(numbers: Sequence[Sequence[int]]) -> bool:
    """Whether first numbers count frames: one is a label of its line, or labels alone ascend."""
    if any(map(_repeats, numbers)):
        return True
    ascend = all(a < b for line in numbers for a, b in pairwise(line[1:]))
    return ascend and any(line[0] > line[1] for line in numbers)


def _are_parts(numbers: Sequence[Sequence[int]]) -> bool:
    """Whether the first two numbers are frames of whole files: all begin at 1."""
    return all(line[0] == 1 and is_span(str(line[0]), str(line[1])) for line in numbers)


_TELLS = {2: _are_counted, 3: _are_parts}
"""What tells that the shortest lines, of so many numbers, have one label."""
