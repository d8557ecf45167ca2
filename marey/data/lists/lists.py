"""Lists of clips as data sets and older toolboxes write them, told apart by what they hold.

| line                    | who writes it                                                       |
|-------------------------|---------------------------------------------------------------------|
| a header, then columns  | csv with a path and a label by any usual name; EPIC-KITCHENS        |
| `path label`            | UCF101, HMDB51, Kinetics, Jester (`id;class name`), mmaction2        |
| `dir num_frames label`  | TSN, TSM, TDN, GST and GC                                            |
| `path start end label`  | IBM's action-recognition and bLVNet: frames from 1, end inclusive    |
| `path label,label`      | VideoLT, also with num_frames before the labels                      |
| json of id and template | Something-Something                                                  |
| seven fields of a csv   | RULSTM: uid, video, start, stop, verb, noun, action; 30 frames a s   |

The separator is a tab, `;`, `,` or space. Several labels are read where commas join them and
nothing else; lists with more numbers on some lines than on others are recognised and refused.
Nothing is guessed for a line that does not fit: it is an error with its number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from marey.data.lists.epic import is_video
from marey.data.lists.listing import Listing
from marey.data.lists.tables import SEPARATORS, found_text, is_header, read_json, read_table
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.faults import NUM_SHOWN, Said, clip_text, fault_error
from marey.errors import ManifestError


def read_listing(path: Path) -> Listing:
    """The rows of a list in any of the formats above, and what it was read as.

    ManifestError names the first five lines that do not fit, or says what was expected.
    """
    text = _read_text(path)
    if path.suffix.lower() == ".json":
        return read_json(path, text)
    rows = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not rows:
        raise ManifestError(f"{path}: the list is empty", "give one clip a line")
    for separator in SEPARATORS:
        if is_header(rows[0][1].split(separator)):
            return read_table(path, text, separator)
    return _read_plain(path, rows)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ManifestError(
            f"{path}:{line}: bytes that are not UTF-8", "save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


RULSTM_FPS = 30.0
"""Frames a second that RULSTM counts in, whatever the rate of a video."""
SAMPLE = 2000
"""Lines that decide on the separator."""
FORMATS = ("path label", "path label", "dir num_frames label", "path start end label")
"""By how many numbers end a line."""


def _read_plain(path: Path, rows: list[tuple[int, str]]) -> Listing:
    separator = _separator([line for _, line in rows[:SAMPLE]])
    if separator == "," and all(_is_rulstm(text) for _, text in rows[:5]):
        return _read_rulstm(path, rows)
    lines = [line for line, _ in rows]
    split = [_joined(_fields(text, separator)) for _, text in rows]
    num_numbers = _num_numbers(path, lines, split)
    width = max(num_numbers, 1)  # fields after the path
    if separator == " ":  # a path may hold spaces, also two in a row
        split = [_joined(text.strip().rstrip(",;").rsplit(None, width) or [""]) for _, text in rows]
    wrong = [
        Said(
            f"{path}:{line}",
            f"not a `{FORMATS[num_numbers]}`: {clip_text(separator.join(fields))}",
            "",
        )
        for line, fields in zip(lines, split, strict=True)
        if len(fields) != width + 1
        or not all(fields)
        or not all(map(_is_whole, fields[width + 1 - num_numbers :]))
    ]
    if wrong:
        hint = "give the file a header with `path` and `label`" if len(wrong) == len(rows) else ""
        said = [fault._replace(hint=hint) for fault in wrong[:NUM_SHOWN]]
        raise fault_error(said, len(wrong))
    columns = list(zip(*split, strict=True))
    return Listing(
        path,
        found_text(f"`{FORMATS[num_numbers]}`", separator, len(lines)),
        list(columns[0]),
        {"label": list(columns[-1])},
        lines,
        _frame_bounds(columns) if num_numbers == 3 else None,
        "frames" if num_numbers == 3 else "seconds",
    )


def _is_rulstm(line: str) -> bool:
    fields = _fields(line, ",")
    return len(fields) == 7 and _count_numbers(fields) == 5


def _read_rulstm(path: Path, rows: list[tuple[int, str]]) -> Listing:
    """Parts of videos in seconds: verbs and nouns of EPIC-KITCHENS, the action of EGTEA Gaze+."""
    wrong = [(line, text) for line, text in rows if not _is_rulstm(text)]
    if wrong:
        said = [
            Said(
                f"{path}:{line}",
                f"not a `uid,video,start,stop,verb,noun,action`: {clip_text(text)}",
                "",
            )
            for line, text in wrong[:NUM_SHOWN]
        ]
        raise fault_error(said, len(wrong))
    columns = list(map(list, zip(*(_fields(text, ",") for _, text in rows), strict=True)))
    ids, videos, starts, ends, verbs, nouns, actions = columns
    of_epic = all(map(is_video, videos))
    return Listing(
        path,
        found_text("RULSTM's `uid,video,start,stop,verb,noun,action`", ",", len(rows)),
        videos,
        {"verb": verbs, "noun": nouns} if of_epic else {"label": actions},
        [line for line, _ in rows],
        ([int(n) / RULSTM_FPS for n in starts], [int(n) / RULSTM_FPS for n in ends]),
        "seconds",
        {"narration_id": ids},
    )


def _separator(lines: list[str]) -> str:
    """The one nearly every line has, if there is such a one with a number after its last."""
    having: list[str] = []
    for separator in SEPARATORS:
        fields = [_fields(line, separator) for line in lines]
        if sum(len(row) > 1 for row in fields) >= 0.9 * len(lines):
            having.append(separator)
            if sum(_is_whole(row[-1]) for row in fields) >= 0.9 * len(lines):
                return separator
    return having[0] if having else " "


def _fields(line: str, separator: str) -> list[str]:
    line = line.strip().rstrip(",;")
    if separator == " ":
        return line.split() or [""]
    return [field.strip() for field in line.split(separator)]


def _num_numbers(path: Path, lines: list[int], rows: list[list[str]]) -> int:
    """How many numbers end a line: 0 or 1 label, 2 with num_frames, 3 with start and end.

    A path may end in numbers of its own ("take 2"), so the fewest count. But lines that differ in
    how many numbers follow a path of one word are lists of labels.
    """
    if all(len(fields) == 1 for fields in rows):
        raise ManifestError(f"{path}: paths without labels", "give `path label` on every line")
    counts = [_count_numbers(fields) for fields in rows]
    usual = Counter(counts).most_common(1)[0][0]
    one_word = all(len(fields) <= count + 1 for fields, count in zip(rows, counts, strict=True))
    if one_word and len(set(counts) - {0}) > 1:
        longest = counts.index(max(counts))
        raise ManifestError(
            f"{path}:{lines[longest]}: several labels on a line: "
            f"{clip_text(' '.join(rows[longest]))}",
            "join the labels of a clip by commas, without spaces: `path 3,17`",
        )
    if usual > 3 or (usual == 3 and not _are_spans(rows)):
        raise ManifestError(
            f"{path}: {usual} numbers end a line, which is no known list",
            "give the file a header that names its columns, with `path` and `label`",
        )
    return usual if one_word else min(counts)


def _count_numbers(fields: list[str]) -> int:
    """Whole numbers at the end of the fields after the first, which is the path whatever it is."""
    count = 0
    while count < len(fields) - 1 and _is_whole(fields[-1 - count]):
        count += 1
    return count


def _are_spans(rows: list[list[str]]) -> bool:
    return all(1 <= int(f[-3]) <= int(f[-2]) for f in rows if _count_numbers(f) == 3)


def _frame_bounds(columns: Sequence[Sequence[str]]) -> tuple[list[float], list[float]]:
    """From 1 and inclusive to from 0 and exclusive."""
    return [int(text) - 1.0 for text in columns[1]], [float(text) for text in columns[2]]


def _is_whole(text: str) -> bool:
    """Whether this is a whole number, or several joined as in a manifest: `311|969`."""
    return text.isascii() and all(n.removeprefix("-").isdigit() for n in text.split(SEPARATOR))


def _joined(fields: list[str]) -> list[str]:
    """The fields, with several labels at the end as a manifest has them: 311,969 as 311|969."""
    last = fields[-1].replace(",", SEPARATOR)
    return [*fields[:-1], last] if len(fields) > 1 and _is_whole(last) else fields
