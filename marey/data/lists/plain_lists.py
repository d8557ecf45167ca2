"""Lists without a header, as older toolboxes train from.

| line                    | who writes it                                                       |
|-------------------------|---------------------------------------------------------------------|
| `path label`            | mmaction2, UniFormer, UCF101; VideoLT, with several labels          |
| `path num_frames label` | TSN, TSM, TDN, GST, GC, UniFormer; VideoLT                          |
| `path start end label`  | IBM's action-recognition, bLVNet: frames from 1, end inclusive      |
| seven cells of a csv    | RULSTM: parts of videos, in frames of 30 a second                   |

The separator is a tab, `;`, `,` or space; a path may hold spaces, as class folders do. Several
labels of a clip are joined by commas and nothing else. Separator and columns are decided once, by
all lines of a file; a line that does not fit is a fault.

The count of `path 100 7` is kept as `num_frames`. The numbers of `path 1 100 7` are a span, frames
0 to 100 here, also where it begins at 1: that the video ends there is not said.

RULSTM (arXiv 2005.02190) rounds the times of the original annotations x 30 down, and at least to 1;
over EPIC-KITCHENS-100's validation list each lies 0 to 1 frame before its time. Here they become
seconds again, so up to 1/30 second early.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from marey.data.lists.listing import ListRow
from marey.data.lists.rejects import Faults, Misfit, SourceLine
from marey.data.lists.text_file import TextFile, whole
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.columns import Unit
from marey.data.manifest.header import NoLabels
from marey.errors import ManifestError

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", " ": "space"}
SAMPLE = 2000
"""Lines that decide on the separator."""
RULSTM_FPS = 30.0
"""Frames a second that RULSTM counts in, whatever the rate of a video."""
_NUMBERS = re.compile(rf"-?\d{{1,18}}(?:{re.escape(SEPARATOR)}-?\d{{1,18}})*", re.ASCII)
HEADER_HINT = "give the file a header that names its columns, with `path` and `label`"


@dataclass(frozen=True)
class ListFormat:
    """What the lines of a list are read as.

    >>> print(ListFormat("path num_frames label", ";", num_numbers=2))
    `path num_frames label`, semicolon-separated
    """

    title: str
    """An example of a line: the names of its columns."""
    separator: str
    num_numbers: int
    """Columns at the end that hold whole numbers; 0 where labels are words."""
    plain_paths: bool = True
    """Whether a separator and a number at the end of a path is a further label."""

    def __str__(self) -> str:
        return f"`{self.title}`, {SEPARATORS[self.separator]}-separated"

    @cached_property
    def num_columns(self) -> int:
        """Cells of a line."""
        return len(re.split("[ ,]", self.title))

    @property
    def unit(self) -> Unit:
        """That of spans."""
        return "frames" if self.title == _TITLES[3] else "seconds"


_TITLES = ("path label", "path label", "path num_frames label", "path start end label")
"""By how many numbers end a line."""
RULSTM = ListFormat("uid,video,start,stop,verb,noun,action", ",", 5)


@dataclass(frozen=True)
class PlainList:
    """A list as its rows, of which each line is one; those that do not fit are faults."""

    format: ListFormat
    lines: list[tuple[SourceLine, str]]
    faults: Faults

    def __iter__(self) -> Iterator[ListRow]:
        return self.faults.fitting(self.lines, partial(_row, form=self.format))


def read_plain(
    file: TextFile, form: ListFormat | None = None, *, separator: str | None = None
) -> PlainList:
    """The list in a file, read as `form`, or as what its lines are most like.

    ManifestError if they are like no known list.
    """
    lines = [(line, _trimmed(text)) for line, text in file.lines()]
    if form is None:
        form = list_format(file.path, [text for _, text in lines], separator)
    return PlainList(form, lines, file.faults)


def plain_rows(
    file: TextFile, form: ListFormat | None = None, *, separator: str | None = None
) -> Iterator[tuple[SourceLine, ListRow]]:
    """The rows of `read_plain`, each with its line."""
    return ((row.line, row) for row in read_plain(file, form, separator=separator))


def list_format(path: Path, lines: Sequence[str], separator: str | None = None) -> ListFormat:
    """What most lines of the file at `path` are; ManifestError if that is no known list.

    Where paths hold the separator, as they may hold spaces, they may also end in numbers of their
    own ("take 2"): then the fewest numbers count that end more than one line in a hundred.
    """
    separator = separator or separator_of(lines[:SAMPLE])
    rows = [_split(line, separator) for line in lines]
    if rows and all(len(cells) == 1 for cells in rows):
        if all("|" in line for line in lines):
            remedy = "write commas, semicolons or tabs between the columns"
            raise ManifestError(f"{path} is separated by '|', which joins classes", remedy)
        raise NoLabels(f"{path}: paths without labels", "give `path label` on every line")
    shapes = Counter((len(cells), _count_numbers(cells)) for cells in rows)
    if separator == "," and shapes.most_common(1)[0][0] == (7, 5):
        return RULSTM
    counts: Counter[int] = Counter()
    for (_, count), num_lines in shapes.items():
        counts[count] += num_lines
    usual = counts.most_common(1)[0][0] if rows else 1
    num_numbered = len(rows) - counts[0]
    num_plain = sum(n for (width, count), n in shapes.items() if 0 < count >= width - 1)
    plain_paths = usual == 0 or num_plain >= 0.9 * num_numbered
    if not plain_paths:
        usual = min(n for n in counts if n and 100 * counts[n] >= num_numbered)
    if usual > 3 or (usual == 3 and not _are_spans(rows)):
        raise ManifestError(
            f"{path}: {usual} numbers end a line, which is no known list", HEADER_HINT
        )
    return ListFormat(_TITLES[usual], separator, usual, plain_paths)


def separator_of(lines: Sequence[str]) -> str:
    """The one that nearly every line has, before a number if there is such; else most lines."""
    having: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for separator in SEPARATORS:
        rows = [cells for line in lines if len(cells := _split(line, separator)) > 1]
        having[separator] = len(rows)
        numbers[separator] = sum(_is_number(cells[-1]) for cells in rows)
    for counts, share in ((numbers, 0.9), (having, 0.9), (numbers, 0.5)):
        for separator in SEPARATORS:
            if counts[separator] >= share * len(lines) > 0:
                return separator
    return " "


def _trimmed(text: str) -> str:
    return text.strip().rstrip(",;")


def _split(text: str, separator: str, width: int = -1) -> list[str]:
    """The cells of a line, of which only the first may hold the separator if `width` is given.

    Several labels at the end are as a manifest has them: 311,969 is 311|969.
    """
    if separator == " ":  # a path may hold two in a row
        cells = text.rsplit(None, width) or [""]
    else:
        cells = [cell.strip() for cell in text.rsplit(separator, width)]
    last = cells[-1].replace(",", SEPARATOR)
    return [*cells[:-1], last] if len(cells) > 1 and _is_number(last) else cells


def _cells(text: str, form: ListFormat) -> list[str]:
    """The cells of a line; a path may hold the separator if that is a space, or numbers follow."""
    in_paths = form.separator == " " or 0 < form.num_numbers <= 3
    return _split(text, form.separator, form.num_columns - 1 if in_paths else -1)


def _row(line: SourceLine, text: str, form: ListFormat) -> ListRow:
    """What a line says; `Misfit` if it is not of the format."""
    cells = _cells(text, form)
    if len(cells) != form.num_columns or not all(cells):
        raise Misfit(f"not a `{form.title}`", "" if form.num_numbers else HEADER_HINT)
    numbers = cells[len(cells) - form.num_numbers :]
    single = numbers if form is RULSTM else numbers[:-1]  # a label may be several, or -1
    if not all(map(_is_number, numbers)) or None in map(whole, single):
        raise Misfit(f"not a `{form.title}`", "numbers are whole")
    if form is RULSTM:
        uid, video, start, stop, verb, noun, action = cells
        labels = {"verb": verb, "noun": noun, "action": action}
        seconds = int(start) / RULSTM_FPS, int(stop) / RULSTM_FPS
        return ListRow(line, video, labels, *seconds, id=uid)
    path, *others, label = cells
    if numbers and form.plain_paths and _count_numbers(_split(path, form.separator)):
        remedy = "join the labels of a clip by commas, without spaces: `path 3,17`"
        raise Misfit("several labels on a line", remedy)
    if form.unit == "frames":
        if not _is_span(*others):
            raise Misfit(f"frames {others[0]} to {others[1]}", "frames count from 1")
        return ListRow(line, path, {"label": label}, int(others[0]) - 1, int(others[1]))
    num_frames = int(others[0]) if others else None
    return ListRow(line, path, {"label": label}, num_frames=num_frames)


def _count_numbers(cells: Sequence[str]) -> int:
    """Whole numbers at the end of the cells after the first, which is the path whatever it is."""
    count = 0
    while count < len(cells) - 1 and _is_number(cells[-1 - count]):
        count += 1
    return count


def _is_number(text: str) -> bool:
    """Whether this is a whole number, or several joined as in a manifest: `311|969`."""
    return _NUMBERS.fullmatch(text) is not None


def _are_spans(rows: Sequence[Sequence[str]]) -> bool:
    """Whether most lines that end in three numbers have a first and a last frame."""
    spans = [_is_span(*cells[-3:-1]) for cells in rows if _count_numbers(cells) >= 3]
    return 2 * sum(spans) > len(spans)


def _is_span(start: str, end: str) -> bool:
    first, last = whole(start), whole(end)
    return first is not None and last is not None and 1 <= first <= last
