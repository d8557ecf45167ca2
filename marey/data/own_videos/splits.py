"""Which clips are for training, which for validation and test: by group, by class or by value.

Clips of one speaker, scene or source recording look alike: with some of them in training, the
others measure memory. So a group is never on two sides. Without groups every class is divided in
the same proportion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from marey.data.lists.wanted_columns import find_name
from marey.data.manifest.manifest import SPLITS
from marey.data.own_videos.dealing import deal
from marey.data.own_videos.folds import FoldFacts, deal_folds, fold_facts, fold_notes
from marey.data.own_videos.name_groups import Groups
from marey.errors import ManifestError, counted, first_few

ENOUGH, ENOUGH_OF_A_CLASS = 100, 10
"""Groups in all, and to a class on average, of which some are held out for a test."""
Where: TypeAlias = tuple[str, Collection[str]]
"""A column and the values of it that are meant."""


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How clips are divided: by the values of columns if they are given, else by group or class."""

    val: float | None = None
    """Share of the clips; default: 0.2, or the first fold."""
    test: float | None = None
    """Share of the clips; default: 0.2 where nothing else is said and there are `ENOUGH` groups."""
    folds: int = 0
    """For cross-validation, of all clips that are not to test on; 0 for none."""
    seed: int = 0
    group: str | None = "auto"
    """The column of groups. "auto" takes the surest that looks like one, or else the video that
    several clips are cut from, by their files or names; None takes none."""
    group_by: str | None = None
    """A pattern that takes the group from each path (`name_groups.groups_by_pattern`)."""
    near_duplicates: bool = True
    """Whether clips that look nearly the same are looked for, and are of one group."""
    val_where: Where | None = None
    """The clips of validation by value, whatever their group; the rest trains."""
    test_where: Where | None = None

    def __post_init__(self) -> None:
        _, val, test = self.shares()
        sum_is_right = val + test < 1 or (val, test) in ((1, 0), (0, 1))
        if not (val >= 0 and test >= 0 and sum_is_right):
            raise ManifestError(
                f"val {val:g} and test {test:g} are not shares that leave some to train",
                "give shares such as 0.2 and 0.1, or 1 and 0 for clips that no model trains on",
            )
        if self.group_by and self.group not in ("auto", None):
            raise ManifestError(
                f"groups by {self.group_by} and by the column {self.group} are asked for",
                "give --group-by or --group",
            )
        if self.folds and self.folds < 2:
            raise ManifestError(f"{self.folds} folds, expected 2 or more", "--folds 5 is usual")
        if self.folds and (self.val is not None or self.val_where):
            raise ManifestError(
                f"{self.folds} folds and a part to validate on are asked for",
                "each fold validates once: leave out --val and --val-where, or --folds",
            )
        if self.folds and test == 1:
            raise ManifestError(
                f"{self.folds} folds are asked for, and all clips to test on",
                "give a smaller --test, as 0.2, or no --folds",
            )

    def shares(self, num_groups: int = 0, num_classes: int = 1) -> tuple[float, float, float]:
        """Of the clips to train, validate and test on; those of folds are to train on.

        Test clips are held out by default where there are so many groups that both sides tell
        something; each clip counts that is of no group.
        """
        test = self.test or 0.0
        if self.is_open and num_groups >= max(ENOUGH, ENOUGH_OF_A_CLASS * num_classes):
            test = 0.2
        val = (0.0 if self.folds or test == 1 else 0.2) if self.val is None else self.val
        return 1 - val - test, val, test

    @property
    def is_open(self) -> bool:
        """Whether nothing is said of how many clips validate and test."""
        where = self.val_where or self.test_where
        return self.val is None and self.test is None and not self.folds and not where


@dataclass(frozen=True)
class Division:
    """The side of every clip, and how it came about."""

    sides: np.ndarray
    """int64 [n], positions in SPLITS."""
    groups: Sequence[str] | None
    how: str
    """What decided, in words."""
    notes: tuple[str, ...]
    shares: tuple[float, float, float] | None
    """Of the clips to train, validate and test on; None where something else decided."""
    folds: np.ndarray | None = None
    """int64 [n], -1 for clips of none."""
    fold_facts: tuple[FoldFacts, ...] = ()


def divide(
    labels: np.ndarray,
    rule: SplitRule,
    *,
    columns: Mapping[str, Sequence[str]],
    split: str = "",
    fold: str = "",
    groups: Groups | None = None,
    names: Sequence[str] = (),
) -> Division:
    """The split of clips with these class labels (int64 [n]), and their folds if asked for.

    Where nothing else says the split, the first fold is that to validate on.

    Args:
        columns: what else is known of each clip, by name.
        split: the column that says it, if there is one: in each row a word for train, val or test.
        fold: the column of numbers of folds, if there is one.
        groups: what no side may share, if there is such.
        names: of the classes; default: their numbers.
    """
    rng = np.random.default_rng(rule.seed)
    names = names or [str(number) for number in range(labels.max() + 1)]
    codes = np.arange(len(labels))
    if groups is not None:
        _, codes = np.unique(np.asarray(groups.values), return_inverse=True)
    shares = rule.shares(len(np.unique(codes)), len(np.unique(labels)))
    if rule.val_where or rule.test_where:
        sides, how = _sides_where(columns, rule, len(labels))
    elif split:
        words = [split_name(value) or "train" for value in columns[split]]
        sides = np.array([SPLITS.index(word) for word in words], np.int64)
        how = "the split of the source"
    elif fold and rule.is_open:
        sides, how = np.zeros(len(labels), np.int64), "the folds of the source"
    elif groups is not None:
        sides = deal(labels, codes, shares, rng)
        how = f"{groups.name}, so that none is on two sides"
    else:
        sides, how = split_by_class(labels, shares, rng), "class, each in the same proportion"
    decided = None if split or rule.val_where or rule.test_where else shares
    folds = _folds(labels, codes, sides, rule, columns[fold] if fold else (), rng)
    if folds is None:
        notes = tuple(_split_notes(sides, labels, groups, names))
        notes += tuple(_unused_notes(rule, split)) if decided is None else ()
        if rule.is_open and not split and not shares[2]:
            notes += (_few_note(labels, codes, groups, names),)
        return Division(sides, groups and groups.values, how, notes, decided)
    if not (split or rule.val is not None or rule.val_where):
        first = folds[folds >= 0].min()
        sides[folds == first] = SPLITS.index("val")
        how += f"; fold {first} is val"
    facts = fold_facts(folds, labels, codes, names)
    notes = (*_split_notes(sides, labels, groups, names), *fold_notes(facts))
    notes += tuple(_unused_notes(rule, split)) if decided is None else ()
    return Division(sides, groups and groups.values, how, notes, decided, folds, facts)


def _few_note(
    labels: np.ndarray, codes: np.ndarray, groups: Groups | None, names: Sequence[str]
) -> str:
    """What may be done with few clips: so many folds that each has some of every class, or a test.

    Args:
        codes: the group of each clip, int64 [n].
    """
    noun = "group" if groups else "clip"
    shown = f"{counted(len(np.unique(codes)), noun)}, too few to hold some out for a test"
    pairs = np.unique(np.stack([labels, codes]), axis=1)
    known, held = np.unique(pairs[0], return_counts=True)
    if alone := [names[label] for label in known[held < 2]]:
        return (
            f"{shown}; of {counted(len(alone), 'class')} there is one {noun} alone, to train on and"
            f" not to test on: {first_few(alone)}; give two or more of each, then folds"
            " (--folds 2) let each clip validate once"
        )
    by_test = ", --test 0.2 holds some out" if held.min() > 2 else ""
    return (
        f"{shown}, so what validates is what is reported:"
        f" --folds {min(int(held.min()), 5)} lets each clip validate once{by_test}"
    )


def _unused_notes(rule: SplitRule, split: str) -> Iterator[str]:
    """What there is to say of shares that are asked for where something else decides."""
    by_value = rule.val_where or rule.test_where
    for name, share in (("val", rule.val), ("test", rule.test)):
        if share is not None:
            reason = (
                "clips are taken by value"
                if by_value
                else f"the source has its own split; --ignore {split} divides anew, or of folders"
                " --layout with * for theirs"
            )
            yield f"--{name} {share:g} has no effect: {reason}"


def _folds(
    labels: np.ndarray,
    groups: np.ndarray,
    sides: np.ndarray,
    rule: SplitRule,
    given: Sequence[str],
    rng: np.random.Generator,
) -> np.ndarray | None:
    """The fold of every clip, int64 [n], -1 on the side of test; None if there are to be none."""
    learned = sides != SPLITS.index("test")
    if given:
        numbers = np.array([int(cell) if cell else -1 for cell in given], np.int64)
        return np.where(learned, numbers, -1)
    if not rule.folds:
        return None
    folds = np.full(len(labels), -1)
    folds[learned] = deal_folds(labels[learned], groups[learned], rule.folds, rng)
    return folds


def parse_where(text: str) -> tuple[str, frozenset[str]]:
    """Column and values of a condition as it is typed; ManifestError if it is none.

    >>> column, values = parse_where("repetition:8,9,10")
    >>> column, sorted(values)
    ('repetition', ['10', '8', '9'])
    """
    column, colon, values = text.partition(":")
    wanted = frozenset(value.strip() for value in values.split(",") if value.strip())
    if not (column.strip() and colon and wanted):
        raise ManifestError(f"{text!r} is no condition", "write column:value,value")
    return column.strip(), wanted


def split_name(text: str) -> str | None:
    """`train`, `val` or `test` for the names these go by, None for any other.

    >>> split_name("Validation"), split_name("testing"), split_name("running")
    ('val', 'test', None)
    """
    word = text.strip().lower()
    names = {
        "train": ("train", "training"),
        "val": ("val", "valid", "validate", "validation", "dev"),
        "test": ("test", "testing"),
    }
    return next((split for split, aliases in names.items() if word in aliases), None)


def split_by_class(
    labels: np.ndarray, shares: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Side int64 [n] of each row, in SPLITS: of every class the shares of val and test.

    Each side has at least one clip of a class that has enough for all, training first.
    """
    sides = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        start = 0
        for side in (1, 2):
            left = len(rows) - start - bool(shares[0])  # one stays in training
            count = min(max(round(shares[side] * len(rows)), 1), left) if shares[side] else 0
            sides[rows[start : start + count]] = side
            start += count
    return sides


def rows_where(column: str, values: Sequence[str], wanted: Collection[str]) -> np.ndarray:
    """Whether each row has one of the wanted values, bool [n]; ManifestError for one nobody has."""
    known = set(values)
    for value in sorted(wanted):
        if value not in known:
            some = ", ".join(sorted(known)[:20])
            raise ManifestError(f"no clip has {column} {value!r}", f"there are {some}")
    return np.fromiter((value in wanted for value in values), bool, len(values))


def _sides_where(
    columns: Mapping[str, Sequence[str]], rule: SplitRule, num_rows: int
) -> tuple[np.ndarray, str]:
    sides = np.zeros(num_rows, np.int64)
    rules = []
    for side, where in ((1, rule.val_where), (2, rule.test_where)):
        if where is None:
            continue
        asked, wanted = where
        column = find_name(asked, [*columns])
        if column is None:
            shown = f"the source has {', '.join(sorted(columns)) or 'no other columns'}"
            raise ManifestError(f"no column {asked!r} to split by", shown)
        mask = rows_where(column, columns[column], wanted)
        if (sides[mask] > 0).any():
            raise ManifestError(
                f"clips of {column} {', '.join(sorted(wanted))} are asked for twice",
                "give each value to --val-where or to --test-where",
            )
        sides[mask] = side
        values = sorted(wanted, key=lambda value: (len(value), value))  # 8, 9, 10
        rules.append(f"{SPLITS[side]} is {column} {', '.join(values)}")
    return sides, "; ".join(rules)


def _split_notes(
    sides: np.ndarray, labels: np.ndarray, groups: Groups | None, names: Sequence[str]
) -> Iterator[str]:
    if groups is not None:
        yield from leak_notes(sides, groups)
    if sides.max(initial=0) == 0 and len(sides) > 1:
        yield "all clips are for training, none to validate or test on"
    if len(np.unique(labels)) == len(labels) > 3:
        yield "every clip has a class of its own: are these labels?"
    if (sides != 0).all():
        yield "no clip is for training: for `marey eval RUN --manifest` of a model that is trained"
        return
    for side, verb in enumerate(("train", "validate")):
        absent = np.setdiff1d(labels, labels[sides == side])
        if len(absent) and (sides == side).any():
            named = first_few(names[label] for label in absent)
            total = len(np.unique(labels))
            yield f"no clip to {verb} on of {len(absent)} of {total} classes: {named}"


def leak_notes(sides: np.ndarray, groups: Groups) -> Iterator[str]:
    """What there is to say of groups on several sides."""
    on_side = set(zip(groups.values, sides.tolist(), strict=True))
    if len(on_side) > len({group for group, _ in on_side}):
        yield f"the same {groups.name} is on several sides: results will not tell of a new one"
