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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

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
    UNLABELLED,
    ListFormat,
    PlainList,
    given_format,
    read_plain,
    refuse_bars,
    split_line,
)
from marey.data.lists.rejects import Faults
from marey.data.lists.several_labels import several_title
from marey.data.lists.text_file import TextFile, read_text, whole
from marey.data.lists.times import seconds
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.header import NoLabels
from marey.data.manifest.paths import VIDEO
from marey.data.own_videos.clip_lines import NUM_LOOKED_FOR, ClipLines, share, spread
from marey.errors import ManifestError, counted
from marey.storage.url import AnyPath

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
    form, why = _form_of(ClipLines(file.path, lines, root, classes))
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
        if share([is_span(*pair) for pair in pairs]) < _NEARLY_ALL:
            return
        form, why = _form_of(lines())
    elif listing.format.startswith("`path label`") and None not in map(whole, words):
        named = bool(find_class_files(listing.source.parent, [listing.source]))
        form, why = _counts_or_labels(lines(), [int(word) for word in words], are_named=named)
    else:
        return
    if not form.has_labels:
        title = f"path {'num_frames ' if len(form.columns) > 2 else ''}label"
        raise NoLabels(
            f"{listing.source}: lines are `{form.title}`, without labels: {why}",
            f"`marey predict` takes it; --columns '{title}' reads classes",
        )


def _lines_of(listing: Listing, root: AnyPath, *, opens: bool) -> ClipLines:
    texts = [text for _, text in without_comments(read_text(listing.source, Faults())).lines()]
    return ClipLines(listing.source, texts, root, None, opens)


def _form_of(lines: ClipLines) -> tuple[ListFormat, str]:
    """What they are, and why."""
    if all(len(cells) == 1 for cells in lines.rows):  # also if there are none
        refuse_bars(lines.path, lines.texts)
        return lines.of_title(UNLABELLED[0]), ""
    if lines.separator == "," and (known := _rulstm(lines)):
        return known, ""
    if timed := _timed(lines):
        return lines.of_title(timed), ""
    if several := _several(lines):
        return ListFormat(several, lines.separator, len(several.split()) - 1), ""
    forms = _by_path(lines)
    if len(forms) == 1:
        return forms[0], ""
    return _by_words(lines, *forms) if not lines.usual else _by_numbers(lines, forms)


def _rulstm(lines: ClipLines) -> ListFormat | None:
    shape = lines.shapes.most_common(1)[0][0]
    if shape == (7, 5):
        return RULSTM
    ids = [cells[0] for cells in lines.rows if len(cells) == 4]
    videos = [cells[1] for cells in lines.rows if len(cells) == 4]
    named = all(uid.startswith(video) for uid, video in zip(ids, videos, strict=True))
    differ = len(set(ids)) == len(ids) and (named or len(set(videos)) < len(videos))
    return RULSTM_TEST if shape == (4, 2) and differ else None


def _timed(lines: ClipLines) -> str:
    """The title of lines with times in seconds, that have a point; "" if they have none."""
    for title, number in zip(reversed(IN_SECONDS), (3, 2), strict=True):
        spans = [
            cells[-number : len(cells) - number + 2] if len(cells) > number else []
            for cells in lines.rows
        ]
        times = [span for span in spans if span and None not in map(seconds, span)]
        has_points = any("." in time for span in times for time in span)
        if has_points and len(times) >= _NEARLY_ALL * len(spans):
            return title
    return ""


def _several(lines: ClipLines) -> str:
    """The title of lines with several labels; "" if not, or if longer paths are there."""
    rows = spread(lines.rows, NUM_LOOKED_FOR)
    found = share([lines.file(cells[0]) is not None for cells in rows])
    titles = _OF_PATHS[1 : min(lines.usual, 3) + 1]
    if any(lines.share_found(lines.of_title(title)) > found for title in titles):
        return ""
    return several_title(lines.path, lines.rows)


def _by_path(lines: ClipLines) -> list[ListFormat]:
    """The formats whose paths are there; of all that may be if none is."""
    most = min(lines.usual or 1, 3)
    forms = {number: lines.of_title(_OF_PATHS[number]) for number in range(most + 1)}
    found = {number: lines.share_found(form) for number, form in forms.items()}
    best = max(found.values())
    if best:
        chosen = [number for number, part in found.items() if part == best]
    else:
        chosen = _by_suffix(lines, forms)
    number = chosen[-1]
    if not lines.usual:
        return [lines.of_title(("path", "path label")[each]) for each in chosen]
    spans = [is_span(*cells[1:3]) for cells in lines.cells(forms[3])] if number == 3 else []
    if number == 3 and (share(spans) < _HALF or (lines.usual > 3 and not best)):
        raise ManifestError(
            f"{lines.path}: {lines.usual} numbers end a line, which is no known list", HEADER_HINT
        )
    return [_with_numbered_paths(lines, lines.of_title(title)) for title in _OF_NUMBERS[number]]


def _with_numbered_paths(lines: ClipLines, form: ListFormat) -> ListFormat:
    """The format, whose paths may end in numbers of their own if nearly all that do are there.

    Else these are more numbers than a line may have.
    """
    paths = [cells[0] for cells in lines.cells(form)]
    numbered = [path for path in paths if _ends_in_number(path, lines.separator)]
    there = [lines.file(path) is not None for path in spread(numbered, NUM_LOOKED_FOR)]
    return replace(form, plain_paths=form.plain_paths and share(there) < _NEARLY_ALL)


def _by_suffix(lines: ClipLines, forms: Mapping[int, ListFormat]) -> list[int]:
    """Of paths that are not there: how many cells follow what ends like a video."""
    for number, form in sorted(forms.items(), reverse=True):
        cells = list(lines.cells(form))
        if cells and sum(bool(VIDEO.fullmatch(row[0])) for row in cells) > len(cells) / 2:
            return [number]
    return [max(forms)] if lines.usual else [*forms]


def _by_words(lines: ClipLines, plain: ListFormat, labelled: ListFormat) -> tuple[ListFormat, str]:
    words = [cells[-1] for cells in lines.cells(labelled)]
    names = ClassNames(sorted(lines.classes or ()))
    known = sum(names.index(word) is not None for word in words) / max(1, len(words))
    if known >= _NEARLY_ALL:
        return labelled, "the last words are classes of the model"
    raise lines.question("the last word is the class", labelled, "all of the line is a path", plain)


def _by_numbers(lines: ClipLines, forms: Sequence[ListFormat]) -> tuple[ListFormat, str]:
    """The form of one or two numbers after the path: frames and maybe a label, or a span."""
    if any(SEPARATOR in cells[-1] for cells in lines.cells(forms[0])):
        return forms[0], "lines end in several numbers joined by commas: these are classes"
    decoded = lines.counted(forms[0])
    exact = share([frames == whole(cells[1]) for cells, frames in decoded])
    opened = (
        f"of {counted(len(decoded), 'clip')} opened"
        if decoded
        else f"no clip can be opened in {lines.root}"
        if lines.opens
        else "no clip was opened, which tells"
    )
    if len(forms[0].columns) == 2:
        labelled, frames = forms
        if decoded and exact >= _NEARLY_ALL:
            return frames, f"{opened}, {_ALL_SAME}"
        if exact < _HALF and (decoded or lines.has_files(labelled)):
            return labelled, f"{opened}, {exact:.0%} have as many frames as their number says"
        raise lines.question("numbers are classes", labelled, "they count frames", frames, opened)
    labelled, spans = forms
    return _span_or_label(lines, labelled, spans, decoded, exact, opened)


def _counts_or_labels(
    lines: ClipLines, numbers: Sequence[int], *, are_named: bool
) -> tuple[ListFormat, str]:
    """Whether the one number of each line is a class, as it is unless something says else."""
    labelled, frames = map(lines.of_title, _OF_NUMBERS[1])
    decoded = lines.counted(frames)
    same = share([count == whole(cells[1]) for cells, count in decoded])
    if same >= _NEARLY_ALL and len(decoded) >= min(2, len(numbers)):
        return frames, f"of {counted(len(decoded), 'clip')} opened, {_ALL_SAME}"
    own = len({*numbers}) / len(numbers)
    are_few = len(numbers) < 3 or min(numbers) < _FEWEST_FRAMES or own < _HALF
    if decoded or are_named or are_few:
        return labelled, ""
    why = f"of {len(numbers):,} lines {own:.0%} have a number of their own, from {min(numbers)}"
    raise lines.question("numbers are classes", labelled, "they count frames", frames, why)


def _span_or_label(
    lines: ClipLines,
    labelled: ListFormat,
    spans: ListFormat,
    decoded: Sequence[tuple[Sequence[str], int]],
    exact: float,
    opened: str,
) -> tuple[ListFormat, str]:
    if decoded and exact >= _NEARLY_ALL:
        return labelled, f"{opened}, all have as many frames as the first number says"
    rows = list(lines.cells(spans))
    _refuse_from_0(lines, rows)
    ordered = share([is_span(*cells[1:]) for cells in rows])
    classes = share([lines.is_class(cells[2]) for cells in rows])
    if ordered < _HALF or ordered < _NEARLY_ALL <= classes:
        return labelled, f"{1 - ordered:.0%} of the lines end in a smaller number"
    ends = [(int(cells[2]), count) for cells, count in decoded if is_span(*cells[1:])]
    within = share([end <= _SLACK * count + 1 for end, count in ends])
    if ends and exact <= _HARDLY_ANY and within >= _NEARLY_ALL:
        return spans, f"{opened}, all hold the last frame, and none has as many as the first"
    if not decoded and classes < _HALF and ordered >= _NEARLY_ALL:
        known = counted(len(lines.classes or ()), "class")
        return spans, f"the last numbers are none of the {known}"
    raise lines.question(
        "whole files, the last number is the class",
        labelled,
        "parts of files, from frame START to END, counted from 1",
        spans,
        f"{opened}, {exact:.0%} have as many frames as the first number says, {within:.0%} hold"
        " the last"
        if decoded
        else opened,
    )


def _refuse_from_0(lines: ClipLines, rows: Sequence[Sequence[str]]) -> None:
    """ManifestError if parts of files begin at frame 0: no clip has so many frames."""
    first = [cells for cells in rows if cells[1] == "0" and whole(cells[2])]
    others = [cells for cells in rows if cells[1] != "0"]
    if len(first) > _HARDLY_ANY * len(rows) and all(is_span(*c[1:]) for c in others):
        raise ManifestError(
            f"{lines.path}: {len(first):,} of {counted(len(rows), 'line')} would begin at 0, as"
            f" {' '.join(first[0])!r}: `path start end` counts frames from 1",
            "give it the header path,start_frame,end_frame, which counts from 0, the end not"
            " included; or --columns 'path num_frames label' if these are classes",
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
