"""What the lines of a list without a header say that may have no labels, by the evidence there is.

| ends in      | may be                                    | what tells                        |
|--------------|-------------------------------------------|-----------------------------------|
| words        | `path label`, `path`                      | paths that are there; class names |
| one number   | `path label`, `path num_frames`, `path`   | paths; frames of clips            |
| two          | `path num_frames label`, `path start end` | paths; frames; whether starts are |
|              |                                           | before ends; number of classes    |
| three        | `path start end label`                    | paths                             |
| four cells   | RULSTM's `uid,video,start,stop`           | ids that differ                   |
| two decimals | `path start_seconds end_seconds`          | the points                        |

All lines of a list are read alike. Where two readings stay possible a person is asked: one of them
would cut clips, or take frames for classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from marey.data.checks.probe import Probes, probe_clips
from marey.data.lists.class_files import find_class_files
from marey.data.lists.class_names import ClassNames
from marey.data.lists.headers import without_comments
from marey.data.lists.line_numbers import is_span
from marey.data.lists.listing import Listing
from marey.data.lists.plain_lists import (
    HEADER_HINT,
    IN_SECONDS,
    RULSTM,
    RULSTM_TEST,
    SAMPLE,
    UNLABELLED,
    ListFormat,
    PlainList,
    cells_of,
    given_format,
    read_plain,
    refuse_bars,
    separator_of,
    shapes_of,
    split_line,
    usual_numbers,
)
from marey.data.lists.rejects import Faults
from marey.data.lists.several_labels import several_title
from marey.data.lists.text_file import TextFile, read_text, whole
from marey.data.lists.times import seconds
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.header import NoLabels
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import VIDEO
from marey.data.manifest.spellings import Spellings
from marey.errors import ManifestError
from marey.jobs.executors import HERE
from marey.storage.url import AnyPath

T = TypeVar("T")
NUM_LOOKED_FOR = 200
"""Lines whose files are looked for."""
NUM_OPENED = 8
"""Of those, the clips whose frames are counted."""
_NEARLY_ALL, _HALF, _HARDLY_ANY = 0.9, 0.5, 0.1
_FEWEST_FRAMES = 10
"""Numbers from here on may count frames, and seldom number classes that begin so late."""
_SLACK = 1.02
"""A last frame may lie so far behind the end of a file that was encoded anew."""


def read_clip_lines(
    file: TextFile,
    *,
    root: AnyPath,
    line: str = "",
    classes: Collection[str] | None = None,
) -> tuple[PlainList, list[str]]:
    """The list in a file, with or without labels, and why it was read so.

    ManifestError if it is like no known list, or like two: that names both.

    Args:
        root: where its paths start.
        line: what a person says a line is, one of `plain_lists.TITLES`; "" if nothing.
        classes: those of a model, if there is one: labels are likely to be among them.
    """
    lines = [text.strip().rstrip(",;") for _, text in file.lines()]
    if line:
        return read_plain(file, given_format(line, lines)), []
    form, why = _Lines(file.path, lines, root, classes).form()
    return read_plain(file, form), [why] if why else []


def refuse_numbers_as_labels(listing: Listing, root: AnyPath, *, opens: bool = True) -> None:
    """NoLabels if what was read as classes are last frames of spans, or numbers of frames.

    ManifestError if they may be either: each number is at most the one after it, in nearly all
    lines; or no clip can be opened, most lines have a number of their own, none of them small, and
    no file names classes.

    opens: whether a few clips are opened to count their frames.
    """
    words = [row.labels.get("label", "") for row in listing.rows]
    lines = partial(_lines_of, listing, root, opens=opens)
    if listing.format.startswith("`path num_frames label`"):
        pairs = [(str(row.num_frames), word) for row, word in zip(listing.rows, words, strict=True)]
        if _share([is_span(*pair) for pair in pairs]) < _NEARLY_ALL:
            return
        form, why = lines().form()
    elif listing.format.startswith("`path label`") and None not in map(whole, words):
        named = bool(find_class_files(listing.source.parent, [listing.source]))
        form, why = lines().counts_or_labels([int(word) for word in words], are_named=named)
    else:
        return
    if not form.has_labels:
        title = f"path {'num_frames ' if len(form.columns) > 2 else ''}label"
        raise NoLabels(
            f"{listing.source}: lines are `{form.title}`, without labels: {why}",
            f"`marey predict` takes it; --columns '{title}' reads classes",
        )


def _lines_of(listing: Listing, root: AnyPath, *, opens: bool) -> _Lines:
    texts = [text for _, text in without_comments(read_text(listing.source, Faults())).lines()]
    return _Lines(listing.source, texts, root, None, opens)


@dataclass(frozen=True)
class _Lines:
    """The lines of a list, and what can be found out about them."""

    path: Path
    texts: Sequence[str]
    root: AnyPath
    classes: Collection[str] | None
    opens: bool = True
    """Whether files may be asked for and opened."""

    def form(self) -> tuple[ListFormat, str]:
        """What they are, and why."""
        if all(len(cells) == 1 for cells in self.rows):  # also if there are none
            refuse_bars(self.path, self.texts)
            return self.of_title(UNLABELLED[0]), ""
        if self.separator == "," and (known := self._rulstm()):
            return known, ""
        if timed := self._timed():
            return self.of_title(timed), ""
        if several := self._several():
            return ListFormat(several, self.separator, len(several.split()) - 1), ""
        forms = self._by_path()
        if len(forms) == 1:
            return forms[0], ""
        return self._by_words(*forms) if not self.usual else self._by_numbers(forms)

    # --- what the lines say themselves ----------------------------------------------------------

    @cached_property
    def separator(self) -> str:
        return separator_of(self.texts[:SAMPLE])

    @cached_property
    def rows(self) -> list[list[str]]:
        """The cells of every line."""
        return [split_line(text, self.separator) for text in self.texts]

    @cached_property
    def shapes(self) -> Counter[tuple[int, int]]:
        """How many lines have so many cells, of which so many numbers at the end."""
        return shapes_of(self.rows)

    @cached_property
    def numbers(self) -> tuple[int, bool]:
        """As `usual_numbers` has them."""
        return usual_numbers(self.shapes)

    @property
    def usual(self) -> int:
        """Numbers that end a line."""
        return self.numbers[0]

    def of_title(self, title: str) -> ListFormat:
        """A format of these lines."""
        numbers = len(title.split()) - 1 if self.usual else 0
        plain = self.numbers[1] and numbers == self.usual
        return ListFormat(title, self.separator, numbers, plain)

    def cells(self, form: ListFormat, texts: Sequence[str] | None = None) -> Iterator[list[str]]:
        """The cells of those lines (default: all) that are of a format."""
        for text in self.texts if texts is None else texts:
            cells = cells_of(text, form)
            if len(cells) == form.num_columns:
                yield cells

    def _rulstm(self) -> ListFormat | None:
        shape = self.shapes.most_common(1)[0][0]
        if shape == (7, 5):
            return RULSTM
        ids = [cells[0] for cells in self.rows if len(cells) == 4]
        videos = [cells[1] for cells in self.rows if len(cells) == 4]
        named = all(uid.startswith(video) for uid, video in zip(ids, videos, strict=True))
        differ = len(set(ids)) == len(ids) and (named or len(set(videos)) < len(videos))
        return RULSTM_TEST if shape == (4, 2) and differ else None

    def _timed(self) -> str:
        """The title of lines with times in seconds, that have a point; "" if they have none."""
        for title, number in zip(reversed(IN_SECONDS), (3, 2), strict=True):
            spans = [
                cells[-number : len(cells) - number + 2] if len(cells) > number else []
                for cells in self.rows
            ]
            times = [span for span in spans if span and None not in map(seconds, span)]
            has_points = any("." in time for span in times for time in span)
            if has_points and len(times) >= _NEARLY_ALL * len(spans):
                return title
        return ""

    def _several(self) -> str:
        """The title of lines with several labels; "" if not, or if longer paths are there."""
        rows = _spread(self.rows, NUM_LOOKED_FOR)
        found = _share([self._file(cells[0]) is not None for cells in rows])
        titles = _OF_PATHS[1 : min(self.usual, 3) + 1]
        if any(self._found(self.of_title(title)) > found for title in titles):
            return ""
        return several_title(self.path, self.rows)

    # --- which part of a line is the path -------------------------------------------------------

    def _by_path(self) -> list[ListFormat]:
        """The formats whose paths are there; of all that may be if none is."""
        most = min(self.usual or 1, 3)
        forms = {number: self.of_title(_OF_PATHS[number]) for number in range(most + 1)}
        found = {number: self._found(form) for number, form in forms.items()}
        best = max(found.values())
        if best:
            chosen = [number for number, share in found.items() if share == best]
        else:
            chosen = self._by_suffix(forms)
        number = chosen[-1]
        if not self.usual:
            return [self.of_title(("path", "path label")[each]) for each in chosen]
        spans = [is_span(*cells[1:3]) for cells in self.cells(forms[3])] if number == 3 else []
        if number == 3 and (_share(spans) < _HALF or (self.usual > 3 and not best)):
            raise ManifestError(
                f"{self.path}: {self.usual} numbers end a line, which is no known list", HEADER_HINT
            )
        return [self._with_numbered_paths(self.of_title(title)) for title in _OF_NUMBERS[number]]

    def _with_numbered_paths(self, form: ListFormat) -> ListFormat:
        """The format, whose paths may end in numbers of their own if nearly all that do are there.

        Else these are more numbers than a line may have.
        """
        paths = [cells[0] for cells in self.cells(form)]
        numbered = [path for path in paths if _ends_in_number(path, self.separator)]
        there = [self._file(path) is not None for path in _spread(numbered, NUM_LOOKED_FOR)]
        return replace(form, plain_paths=form.plain_paths and _share(there) < _NEARLY_ALL)

    def _by_suffix(self, forms: Mapping[int, ListFormat]) -> list[int]:
        """Of paths that are not there: how many cells follow what ends like a video."""
        for number, form in sorted(forms.items(), reverse=True):
            cells = list(self.cells(form))
            if cells and sum(bool(VIDEO.fullmatch(row[0])) for row in cells) > len(cells) / 2:
                return [number]
        return [max(forms)] if self.usual else [*forms]

    def _found(self, form: ListFormat) -> float:
        """The share of paths that are there."""
        texts = _spread(self.texts, NUM_LOOKED_FOR)
        found = [self._file(cells[0]) is not None for cells in self.cells(form, texts)]
        return sum(found) / len(texts)

    @cached_property
    def _files(self) -> Spellings:
        return Spellings(self.root, listed_only=not self.opens)

    def _file(self, path: str) -> str | None:
        if "://" in path:
            return None
        if self.opens:
            return self._files.find(path).path
        planned = self._files.planned(path)
        return planned.path if planned.is_there else None

    # --- what follows the path ------------------------------------------------------------------

    def _by_words(self, plain: ListFormat, labelled: ListFormat) -> tuple[ListFormat, str]:
        words = [cells[-1] for cells in self.cells(labelled)]
        names = ClassNames(sorted(self.classes or ()))
        known = sum(names.index(word) is not None for word in words) / max(1, len(words))
        if known >= _NEARLY_ALL:
            return labelled, "the last words are classes of the model"
        raise self._ask("the last word is the class", labelled, "all of the line is a path", plain)

    def _by_numbers(self, forms: Sequence[ListFormat]) -> tuple[ListFormat, str]:
        """The form of one or two numbers after the path: frames and maybe a label, or a span."""
        if any(SEPARATOR in cells[-1] for cells in self.cells(forms[0])):
            return forms[0], "lines end in several numbers joined by commas: these are classes"
        counted = self._counted(forms[0])
        exact = _share([frames == whole(cells[1]) for cells, frames in counted])
        opened = (
            f"of {len(counted)} clips that were opened"
            if counted
            else f"no clip can be opened in {self.root}"
            if self.opens
            else "no clip was opened, which tells"
        )
        if len(forms[0].columns) == 2:
            labelled, frames = forms
            if counted and exact >= _NEARLY_ALL:
                return frames, f"{opened}, {_ALL_SAME}"
            if exact < _HALF and (counted or self._files_there(labelled)):
                return labelled, f"{opened}, {exact:.0%} have as many frames as their number says"
            raise self._ask("numbers are classes", labelled, "they count frames", frames, opened)
        labelled, spans = forms
        return self._span_or_label(labelled, spans, counted, exact, opened)

    def counts_or_labels(
        self, numbers: Sequence[int], *, are_named: bool
    ) -> tuple[ListFormat, str]:
        """Whether the one number of each line is a class, as it is unless something says else."""
        labelled, frames = map(self.of_title, _OF_NUMBERS[1])
        counted = self._counted(frames)
        same = _share([count == whole(cells[1]) for cells, count in counted])
        if same >= _NEARLY_ALL and len(counted) >= min(2, len(numbers)):
            return frames, f"of {len(counted)} clips that were opened, {_ALL_SAME}"
        own = len({*numbers}) / len(numbers)
        are_few = len(numbers) < 3 or min(numbers) < _FEWEST_FRAMES or own < _HALF
        if counted or are_named or are_few:
            return labelled, ""
        why = f"of {len(numbers):,} lines {own:.0%} have a number of their own, from {min(numbers)}"
        raise self._ask("numbers are classes", labelled, "they count frames", frames, why)

    def _span_or_label(
        self,
        labelled: ListFormat,
        spans: ListFormat,
        counted: Sequence[tuple[Sequence[str], int]],
        exact: float,
        opened: str,
    ) -> tuple[ListFormat, str]:
        if counted and exact >= _NEARLY_ALL:
            return labelled, f"{opened}, all have as many frames as the first number says"
        rows = list(self.cells(spans))
        self._refuse_from_0(rows)
        ordered = _share([is_span(*cells[1:]) for cells in rows])
        classes = _share([self._is_class(cells[2]) for cells in rows])
        if ordered < _HALF or ordered < _NEARLY_ALL <= classes:
            return labelled, f"{1 - ordered:.0%} of the lines end in a smaller number"
        ends = [(int(cells[2]), count) for cells, count in counted if is_span(*cells[1:])]
        within = _share([end <= _SLACK * count + 1 for end, count in ends])
        if ends and exact <= _HARDLY_ANY and within >= _NEARLY_ALL:
            return spans, f"{opened}, all hold the last frame, and none has as many as the first"
        if not counted and classes < _HALF and ordered >= _NEARLY_ALL:
            return spans, f"the last numbers are none of the {len(self.classes or ())} classes"
        raise self._ask(
            "whole files, the last number is the class",
            labelled,
            "parts of files, from frame START to END, counted from 1",
            spans,
            f"{opened}, {exact:.0%} have as many frames as the first number says, {within:.0%} hold"
            " the last"
            if counted
            else opened,
        )

    def _refuse_from_0(self, rows: Sequence[Sequence[str]]) -> None:
        """ManifestError if parts of files begin at frame 0: no clip has so many frames."""
        first = [cells for cells in rows if cells[1] == "0" and whole(cells[2])]
        others = [cells for cells in rows if cells[1] != "0"]
        if len(first) > _HARDLY_ANY * len(rows) and all(is_span(*c[1:]) for c in others):
            raise ManifestError(
                f"{self.path}: {len(first):,} of {len(rows):,} lines begin at 0, as"
                f" {' '.join(first[0])!r}: `path start end` counts frames from 1",
                "give it the header path,start_frame,end_frame, which counts from 0, the end not"
                " included; or --columns 'path num_frames label' if these are classes",
            )

    def _is_class(self, text: str) -> bool:
        """Whether the model, if there is one, may have this class."""
        numbers = map(whole, text.split(SEPARATOR))
        return self.classes is None or all(
            number is not None and number < len(self.classes) for number in numbers
        )

    def _counted(self, form: ListFormat) -> list[tuple[Sequence[str], int]]:
        """The cells of a few lines, spread over the list, with the frames of their files."""
        found = [(cells, self._file(cells[0])) for cells in self._sampled(form)]
        there = [(cells, file) for cells, file in found if file is not None][:NUM_OPENED]
        if not there or not self.opens:
            return []
        clips = Manifest.from_columns(self.path, self.root, {"path": [f for _, f in there]})
        probed = probe_clips(clips, thorough=False, executor=HERE)
        frames = Probes(len(there), probed).file_frames
        pairs = zip(there, frames.tolist(), strict=True)
        return [(cells, count) for (cells, _), count in pairs if count > 0]

    def _files_there(self, form: ListFormat) -> bool:
        return any(self._file(cells[0]) is not None for cells in self._sampled(form))

    def _sampled(self, form: ListFormat) -> list[list[str]]:
        return list(self.cells(form, _spread(self.texts, 4 * NUM_OPENED)))

    def _ask(
        self, first: str, one: ListFormat, second: str, other: ListFormat, why: str = ""
    ) -> ManifestError:
        return ManifestError(
            f"{self.path}: a line may be `{one.title}` or `{other.title}`, as"
            f" {self.texts[0][:80]!r}" + (f"; {why}" if why else ""),
            f"--columns '{one.title}': {first}; --columns '{other.title}': {second}",
        )


_ALL_SAME = "all have as many frames as their number says"
_OF_PATHS = ("path", "path label", "path num_frames label", "path start end label")
"""A title of lines with so many cells after the path."""
_OF_NUMBERS = (
    ("path",),
    ("path label", "path num_frames"),
    ("path num_frames label", "path start end"),
    ("path start end label",),
)
"""What lines with so many numbers after the path may be."""


def _ends_in_number(path: str, separator: str) -> bool:
    cells = split_line(path, separator)
    return len(cells) > 1 and whole(cells[-1]) is not None


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, from all over."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    return [items[place] for place in places]


def _share(tests: Sequence[bool]) -> float:
    return sum(tests) / len(tests) if tests else 0.0
