"""Which columns of a list say the split and the groups, and which say nothing that is used.

One that looks like a split or a group is used, or a person says that it does not matter: else what
it holds apart would be mixed without a word.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from marey.data.lists.listing import Listing
from marey.data.lists.wanted_columns import WantedColumns, find_name
from marey.data.manifest.column_names import of_kind
from marey.data.manifest.faults import clip_text
from marey.data.manifest.paths import VIDEO
from marey.data.own_videos.splits import SplitRule, split_name
from marey.errors import ManifestError

_ID = re.compile(r".+(?:[_ -][Ii][Dd]|[a-z]I[Dd])")
_OF_LABELS = re.compile("annotat|label|rater|batch", re.IGNORECASE)
"""Who labelled a clip, and when, says nothing of what is in it."""


class GivenColumns(NamedTuple):
    """Columns of a list by what they are for; "" where there is none."""

    split: str
    group: str
    left: tuple[str, ...]
    """Those that say nothing that is used."""
    ignored: tuple[str, ...]
    """Those that a person leaves."""
    fold: str = ""


def given_columns(listing: Listing, rule: SplitRule, wanted: WantedColumns) -> GivenColumns:
    """The columns of split, group and fold, as named, or by their names and values.

    ManifestError where a row has no split or group but others have, where two columns say it
    differently, and where one looks like a split that cannot be read.
    """
    ignored = {find_name(name, [*listing.columns]) for name in wanted.ignored}
    columns = {name: cells for name, cells in listing.columns.items() if name not in ignored}
    asked = [
        find_name(where[0], [*columns]) for where in (rule.val_where, rule.test_where) if where
    ]
    group = _named_group(listing, rule, columns)
    fold = _fold(listing, rule, columns)
    aside = {n: c for n, c in columns.items() if n not in (group, fold)}
    split = "" if asked else _split(listing, aside)
    if not group and rule.group is not None:
        group = _group(listing, columns, decides=not (asked or split))
    used = {split, group, fold, *asked, *listing.used.values(), ""}
    left = tuple(name for name in columns if name not in used)
    return GivenColumns(split, group, left, tuple(name for name in ignored if name), fold)


# --- folds ----------------------------------------------------------------------------------------


def _fold(listing: Listing, rule: SplitRule, columns: Mapping[str, Sequence[str]]) -> str:
    """The column of numbers of folds: as named, or `fold` beside a column of splits."""
    named = listing.used.get("fold", "")
    if named:
        wrong = [re.fullmatch(r"\d{0,9}", cell, re.ASCII) is None for cell in columns[named]]
        remedy = (
            "number the folds from 0, empty for clips of none, take one instead by --val-where "
            f"{shlex.quote(named)}:VALUE"
        )
        _refuse_rows(listing, named, wrong, remedy)
        if not any(columns[named]):
            raise ManifestError(f"{listing.source}: `{named}` is empty", "give every clip a fold")
    splits = any(_says_splits(cells) for cells in columns.values())
    found = named or next((name for name in of_kind("fold", [*columns]) if splits), "")
    if not found or not all(re.fullmatch(r"\d{0,9}", c, re.ASCII) for c in columns[found]):
        return ""
    if rule.folds:
        raise ManifestError(
            f"{listing.source}: `{found}` has folds, and {rule.folds} are asked for",
            f"--ignore {shlex.quote(found)} divides anew; without --folds its own stay",
        )
    return found


# --- the split ------------------------------------------------------------------------------------


def _split(listing: Listing, columns: Mapping[str, Sequence[str]]) -> str:
    named = listing.used.get("split", "")
    names = [named] if named else of_kind("split", [*columns])
    names = [name for name in names if len(set(columns[name])) > 1 or split_name(columns[name][0])]
    if not named:
        names += [name for name in columns if name not in names and _says_splits(columns[name])]
    of_words = [name for name in names if any(map(split_name, columns[name]))]
    if not names:
        return ""
    if not of_words:
        values = ", ".join(sorted(set(columns[names[0]]))[:5])
        raise ManifestError(
            f"{listing.source}: `{names[0]}` looks like a split, but {values} are not"
            " train, val and test",
            f"--columns fold={shlex.quote(names[0])} takes numbers as folds;"
            f" --val-where {shlex.quote(names[0])}:VALUE takes some for validation;"
            f" --ignore {shlex.quote(names[0])} divides anew",
        )
    first, *others = of_words
    _refuse_rows(
        listing,
        first,
        [not split_name(cell) for cell in columns[first]],
        f"write train, val or test, take some by --val-where {shlex.quote(first)}:VALUE",
    )
    for other in [*others, *(name for name in names if name not in of_words)]:
        if list(map(split_name, columns[other])) != list(map(split_name, columns[first])):
            raise _ask(listing, first, other, f"--columns {shlex.quote(f'split={first}')}")
    return first


def _says_splits(cells: Sequence[str]) -> bool:
    """Whether cells, empty ones aside, are words for splits, of which training is one."""
    splits = {split_name(cell) for cell in cells if cell}
    return "train" in splits and len(splits) > 1 and None not in splits


# --- groups ---------------------------------------------------------------------------------------


def _named_group(listing: Listing, rule: SplitRule, columns: Mapping[str, Sequence[str]]) -> str:
    """The column that a person calls the group; "" if none is named."""
    if rule.group is None:
        return ""
    wanted = listing.used.get("group", "") if rule.group == "auto" else rule.group
    name = find_name(wanted, [*columns]) if wanted else ""
    if name is None:
        shown = f"the source has {', '.join(sorted(columns)) or 'no other columns'}"
        raise ManifestError(f"{listing.source}: no column {wanted!r} to group by", shown)
    if name:
        _refuse_rows(listing, name, [not cell for cell in columns[name]], "give every clip a group")
    return name


def _group(listing: Listing, columns: Mapping[str, Sequence[str]], *, decides: bool) -> str:
    """The surest column of groups: of people, of places and times, of ids that repeat.

    decides: whether the split follows from it; only then it matters what it misses.
    """
    likely = [*of_kind("group", [*columns]), *of_kind("id", [*columns])]
    likely += [name for name in columns if _ID.fullmatch(name) and not _OF_LABELS.match(name)]
    likely += [name for name in columns if _are_files(columns[name])]
    read = {*listing.used.values(), *of_kind("label", [*columns])}
    names = [n for n in dict.fromkeys(likely) if n not in read and _repeats(columns[n])]
    if not decides:
        return next((name for name in names if all(columns[name])), "")
    if not names:
        return ""
    first, *others = names
    _refuse_rows(listing, first, [not cell for cell in columns[first]], "give every clip a group")
    for other in others:
        if not _lies_within(columns[other], columns[first]):
            raise _ask(listing, first, other, f"--group {shlex.quote(first)}")
    return first


def _are_files(cells: Sequence[str]) -> bool:
    """Whether a column names videos, which clips may be cut from, or their urls."""
    named = [cell for cell in cells if cell]
    return bool(named) and all(VIDEO.fullmatch(cell) or "://" in cell for cell in named)


def _repeats(cells: Sequence[str]) -> bool:
    """Whether a column has several values, and some of them several times."""
    values = [cell for cell in cells if cell]
    return 1 < len(set(values)) < len(values)


def _lies_within(finer: Sequence[str], coarser: Sequence[str]) -> bool:
    """Whether each value of one column is in rows of one value of the other, empty ones aside."""
    pairs = {(one, other) for one, other in zip(finer, coarser, strict=True) if one}
    return len(pairs) == len({one for one, _ in pairs})


# --- what is asked --------------------------------------------------------------------------------


def _refuse_rows(listing: Listing, name: str, wrong: Sequence[bool], remedy: str) -> None:
    """ManifestError if the column says nothing in some rows."""
    cells = listing.columns[name]
    listing.refuse(
        [row for row, is_wrong in enumerate(wrong) if is_wrong],
        lambda row: (
            f"'{name}' is {clip_text(cells[row]) if cells[row] else 'empty'}",
            f"{remedy}, or leave the column: --ignore {shlex.quote(name)}",
        ),
    )


def _ask(listing: Listing, first: str, other: str, choice: str) -> ManifestError:
    kind = "splits" if choice.startswith("--columns") else "groups that no split may divide"
    return ManifestError(
        f"{listing.source}: `{first}` and `{other}` both look like {kind}",
        f"{choice} goes by the first; --ignore {shlex.quote(other)} leaves the other",
    )
