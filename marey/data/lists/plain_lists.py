"""Lists without a header, as older toolboxes train from.

| line                    | who writes it                                                       |
|-------------------------|---------------------------------------------------------------------|
| `path label`            | mmaction2, UniFormer, UCF101; VideoLT, with several labels          |
| `path num_frames label` | TSN, TSM, TDN, GST, GC, UniFormer; VideoLT                          |
| `path start end label`  | IBM's action-recognition, bLVNet: frames from 1, end inclusive      |
| seven cells of a csv    | RULSTM: parts of videos, in frames of 30 a second                   |
| the same without labels | those toolboxes, to test on: `marey.data.own_videos.line_readings`  |

The separator is a tab, `;`, `,` or space; a path may hold spaces, as class folders do. Several
labels of a clip are joined by commas, or are cells of their own
(`marey.data.lists.several_labels`). Separator and columns are decided once, by all lines of a file;
a line that does not fit is a fault.

The count of `path 100 7` is kept as `num_frames`. The numbers of `path 1 100 7` are a span, frames
0 to 100 here, also where it begins at 1: that the video ends there is not said.

RULSTM (arXiv 2005.02190) rounds the times of the original annotations x 30 down, and at least to 1;
over EPIC-KITCHENS-100's validation list each lies 0 to 1 frame before its time. Here they become
seconds again, so up to 1/30 second early.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from marey.data.lists.line_numbers import count_numbers, is_number, is_span
from marey.data.lists.listing import ListRow
from marey.data.lists.rejects import Faults, Misfit, SourceLine
from marey.data.lists.several_labels import SEVERAL, several_cells, several_title
from marey.data.lists.text_file import TextFile, whole
from marey.data.lists.times import seconds
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.columns import Unit
from marey.data.manifest.header import NoLabels
from marey.errors import ManifestError

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", " ": "space"}
SAMPLE = 2000
"""Lines that decide on the separator."""
RULSTM_FPS = 30.0
"""Frames a second that RULSTM counts in, whatever the rate of a video."""
_ENDS_IN_LABELS = re.compile(r"\s\d+\s+\d+(?:,\d+)+,?\s*$", re.ASCII)
"""Frames and several labels, as VideoLT has them: these commas part no columns."""
_HEADS = ("label", "verb", "noun", "action")
_WHOLE = ("num_frames", "start", "end", "stop", "verb", "noun", "action")
HEADER_HINT = "give the file a header that names its columns, with `path` and `label`"
SEVERAL_HINT = "of several labels a line: " + " or ".join(f"--columns '{t}'" for t in SEVERAL)


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
    """Columns at the end that hold numbers; 0 where labels are words."""
    plain_paths: bool = True
    """Whether a separator and a number at the end of a path is a further label."""

    def __str__(self) -> str:
        separated = f", {SEPARATORS[self.separator]}-separated" if self.num_columns > 1 else ""
        return f"`{self.title}`{separated}"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(re.split("[ ,]", self.title))

    @cached_property
    def num_columns(self) -> int:
        """Cells of a line."""
        return len(self.columns)

    @property
    def unit(self) -> Unit:
        """That of spans."""
        return "frames" if "start" in self.columns and self.columns[0] == "path" else "seconds"

    @property
    def has_labels(self) -> bool:
        """Whether lines say classes."""
        return not {"label", "labels", "verb"}.isdisjoint(self.columns)

    @property
    def has_several(self) -> bool:
        """Whether labels are cells of their own."""
        return self.title in SEVERAL


_TITLES = ("path label", "path label", "path num_frames label", "path start end label")
"""By how many numbers end a line."""
UNLABELLED = ("path", "path num_frames", "path start end")
"""What is left of these without labels, by how many numbers end a line."""
IN_SECONDS = ("path start_seconds end_seconds", "path start_seconds end_seconds label")
RULSTM = ListFormat("uid,video,start,stop,verb,noun,action", ",", 5)
RULSTM_TEST = ListFormat("uid,video,start,stop", ",", 2)
TITLES = (*_TITLES[1:], *SEVERAL, *UNLABELLED, *IN_SECONDS, RULSTM.title, RULSTM_TEST.title)
"""Of all formats."""


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
    """What most lines of the file at `path` are; ManifestError if that is no known list."""
    separator = separator or separator_of(lines[:SAMPLE])
    rows = [split_line(line, separator) for line in lines]
    if rows and all(len(cells) == 1 for cells in rows):
        refuse_bars(path, lines)
        raise NoLabels(f"{path}: paths without labels", "give `path label` on every line")
    shapes = shapes_of(rows)
    if separator == "," and shapes.most_common(1)[0][0] == (7, 5):
        return RULSTM
    if title := several_title(path, rows):
        return ListFormat(title, separator, len(title.split()) - 1)
    usual, plain_paths = usual_numbers(shapes)
    if usual > 3 or (usual == 3 and not _are_spans(rows)):
        raise ManifestError(
            f"{path}: {usual} numbers end a line, which is no known list",
            f"{HEADER_HINT}; {SEVERAL_HINT}",
        )
    return ListFormat(_TITLES[usual], separator, usual, plain_paths)


def given_format(title: str, lines: Sequence[str]) -> ListFormat:
    """The format of that title, one of `TITLES`, of lines as a person says what they are."""
    if title in (RULSTM.title, RULSTM_TEST.title):
        return RULSTM if title == RULSTM.title else RULSTM_TEST
    columns = title.split()
    separator = separator_of(lines[:SAMPLE])
    cells = [split_line(line, separator) for line in lines[:SAMPLE]]
    of_words = title == "path label" and 2 * sum(is_number(row[-1]) for row in cells) < len(cells)
    return ListFormat(title, separator, 0 if of_words else len(columns) - 1, plain_paths=False)


def cells_of_lines(lines: Sequence[str]) -> list[list[str]]:
    """The cells of all lines, separated as most of them are."""
    lines = [_trimmed(line) for line in lines]
    separator = separator_of(lines[:SAMPLE])
    return [split_line(line, separator) for line in lines]


def unquoted(cell: str) -> str:
    """A cell without the quotes that csv writers put around it.

    >>> unquoted('"my clip.mp4"'), unquoted('6" nails')
    ('my clip.mp4', '6" nails')
    """
    is_quoted = len(cell) > 2 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if is_quoted else cell


def shapes_of(rows: Iterable[Sequence[str]]) -> Counter[tuple[int, int]]:
    """How many lines have so many cells, of which so many numbers at the end."""
    return Counter((len(cells), count_numbers(cells)) for cells in rows)


def usual_numbers(shapes: Mapping[tuple[int, int], int]) -> tuple[int, bool]:
    """How many numbers end most lines, and whether one more before them is a fault.

    Where paths hold the separator, as they may hold spaces, they may also end in numbers of their
    own ("take 2"): then the fewest numbers count that end more than one line in a hundred.
    """
    counts: Counter[int] = Counter()
    for (_, count), num_lines in shapes.items():
        counts[count] += num_lines
    usual = counts.most_common(1)[0][0] if counts else 1
    num_numbered = counts.total() - counts[0]
    num_plain = sum(n for (width, count), n in shapes.items() if 0 < count >= width - 1)
    plain_paths = usual == 0 or num_plain >= 0.9 * num_numbered
    if not plain_paths:
        usual = min(n for n in counts if n and 100 * counts[n] >= num_numbered)
    return usual, plain_paths


def refuse_bars(path: Path, lines: Sequence[str]) -> None:
    """ManifestError if bars part the columns of all lines."""
    if lines and all("|" in line for line in lines):
        remedy = "write commas, semicolons or tabs between the columns"
        raise ManifestError(f"{path} is separated by '|', which joins classes", remedy)


def separator_of(lines: Sequence[str]) -> str:
    """The one that nearly every line has, before a number if there is such; else most lines."""
    if 2 * sum(_ENDS_IN_LABELS.search(line) is not None for line in lines) > len(lines):
        return " "
    having: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for separator in SEPARATORS:
        rows = [cells for line in lines if len(cells := split_line(line, separator)) > 1]
        having[separator] = len(rows)
        numbers[separator] = sum(is_number(cells[-1]) for cells in rows)
    for counts, share in ((numbers, 0.9), (having, 0.9), (numbers, 0.5)):
        for separator in SEPARATORS:
            if counts[separator] >= share * len(lines) > 0:
                return separator
    return " "


def _trimmed(text: str) -> str:
    return text.strip().rstrip(",;")


def split_line(text: str, separator: str, width: int = -1) -> list[str]:
    """The cells of a line, of which only the first may hold the separator if `width` is given.

    Several labels at the end are as a manifest has them: 311,969 is 311|969.
    """
    if separator == " ":  # a path may hold two in a row
        cells = text.rsplit(None, width) or [""]
    else:
        cells = [cell.strip() for cell in text.rsplit(separator, width)]
    if '"' in text:
        cells = list(map(unquoted, cells))
    last = cells[-1].replace(",", SEPARATOR)
    return [*cells[:-1], last] if len(cells) > 1 and is_number(last) else cells


def cells_of(text: str, form: ListFormat) -> list[str]:
    """The cells of a line; a path may hold the separator if that is a space, or numbers follow."""
    if form.num_columns == 1:
        return [unquoted(text)]
    if form.has_several:
        count = count_numbers(split_line(text, form.separator))
        return several_cells(split_line(text, form.separator, count), form.title)
    in_paths = form.separator == " " or 0 < form.num_numbers <= 3
    return split_line(text, form.separator, form.num_columns - 1 if in_paths else -1)


def _row(line: SourceLine, text: str, form: ListFormat) -> ListRow:
    """What a line says; `Misfit` if it is not of the format."""
    cells = cells_of(text, form)
    if len(cells) != form.num_columns or not all(cells):
        remedy = HEADER_HINT if form.has_labels and not form.num_numbers else ""
        raise Misfit(f"not a `{form.title}`", remedy)
    said = dict(zip(form.columns, cells, strict=True))
    if "labels" in said:
        said["label"] = said["labels"]
    labels = {head: said[head] for head in _HEADS if head in said}
    single = [said[name] for name in form.columns if name in _WHOLE]  # a label may be several
    numbered = form.num_numbers and not all(map(is_number, labels.values()))
    if numbered or None in map(whole, single):
        raise Misfit(f"not a `{form.title}`", "numbers are whole")
    if "uid" in said:
        times = int(said["start"]) / RULSTM_FPS, int(said["stop"]) / RULSTM_FPS
        return ListRow(line, said["video"], labels, *times, id=said["uid"])
    path = said["path"]
    if form.num_numbers and form.plain_paths and count_numbers(split_line(path, form.separator)):
        if not labels:
            raise Misfit(f"more numbers than of a `{form.title}`")
        remedy = "join the labels of a clip by commas, without spaces: `path 3,17`; "
        others = f"; of paths that end in numbers: --columns '{form.title}'"
        raise Misfit("several labels on a line", remedy + SEVERAL_HINT + others)
    if "start_seconds" in said:
        return ListRow(line, path, labels, *_seconds(said["start_seconds"], said["end_seconds"]))
    if form.unit == "frames":
        if not is_span(said["start"], said["end"]):
            raise Misfit(f"frames {said['start']} to {said['end']}", "frames count from 1")
        return ListRow(line, path, labels, int(said["start"]) - 1, int(said["end"]))
    return ListRow(line, path, labels, num_frames=whole(said.get("num_frames", "")))


def _seconds(start: str, end: str) -> tuple[float, float]:
    times = seconds(start), seconds(end)
    if times[0] is None or times[1] is None or times[0] >= times[1]:
        raise Misfit(
            f"seconds {start} to {end}", "write seconds with a point, the end after the start"
        )
    return times[0], times[1]


def _are_spans(rows: Sequence[Sequence[str]]) -> bool:
    """Whether most lines that end in three numbers have a first and a last frame."""
    spans = [is_span(*cells[-3:-1]) for cells in rows if count_numbers(cells) >= 3]
    return 2 * sum(spans) > len(spans)
