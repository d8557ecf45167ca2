"""Labels as lists write them, names or numbers from 0, from 1 or with gaps, as class indices."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from marey.data.manifest.classes import MOST_UNNAMED
from marey.data.manifest.faults import clip_text
from marey.errors import counted

_TENTHS = re.compile(r"\.0+$")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class Numbered:
    """The classes of a label column and the index of each row's."""

    indices: np.ndarray
    """int64 [n], -1 for a row whose label is no class."""
    classes: tuple[str, ...]
    note: str
    """How the numbers were read, if that was not as they stand."""
    describe: Callable[[str], tuple[str, str]]
    """What is wrong with a label that is no class, and the remedy."""


def number_classes(
    head: str, values: Sequence[str], class_ids: Mapping[int, str] | None
) -> Numbered:
    """The classes of a label column, in the order of `class_ids` (id -> name) if a file has them.

    Numbers are ids of classes. Where 0 is one of them they are indices as they stand; else they
    are numbered anew from 0 in their order, and named by their old number or by the file.
    """
    distinct = sorted(set(values))
    whole = [_TENTHS.sub("", value) for value in distinct]
    if whole != distinct and all(map(_WHOLE.fullmatch, whole)):  # as tables write numbers
        exact = dict(zip(distinct, whole, strict=True))
        numbered = number_classes(head, [exact[value] for value in values], class_ids)
        said = f"labels like {next(v for v in distinct if v != exact[v])} are whole numbers"
        return replace(numbered, note="; ".join(filter(None, (said, numbered.note))))
    if all(value.removeprefix("-").isdecimal() and value.isascii() for value in distinct):
        return _number_ids(head, values, {value: int(value) for value in distinct}, class_ids)
    names = list(class_ids.values()) if class_ids else distinct
    indices = {name: index for index, name in enumerate(names) if name}

    def describe(value: str) -> tuple[str, str]:
        if not value:
            return f"'{head}' is empty", "give the class or remove the row"
        known = counted(len(names), "class name")
        return f"'{head}' is {clip_text(value)}, which is none of {known}", ""

    return Numbered(_look_up(values, indices), tuple(names), "", describe)


def _number_ids(
    head: str, values: Sequence[str], ids: Mapping[str, int], class_ids: Mapping[int, str] | None
) -> Numbered:
    present = sorted({number for number in ids.values() if number >= 0}) or [0]
    named = dict(class_ids or {})
    note = ""
    if named and present[0] >= 1 and list(named) == [n - 1 for n in range(1, present[-1] + 1)]:
        named = {number + 1: name for number, name in named.items()}
        note = f"labels run from 1 to {present[-1]}: one was subtracted"
    elif not named and present[0] == 0 and present[-1] < MOST_UNNAMED:
        named = {number: str(number) for number in range(present[-1] + 1)}
    elif not named:
        named = {number: str(number) for number in present}
    order = {number: index for index, number in enumerate(named)}
    if not note and any(number != index for number, index in order.items()):
        note = f"class ids {min(order)} to {max(order)} are numbered 0 to {len(order) - 1} here"
    indices = {value: order[number] for value, number in ids.items() if number in order}

    def describe(value: str) -> tuple[str, str]:
        if not class_ids:
            return f"'{head}' is {value}; labels count from 0", "remove clips without a label"
        known = f"{counted(len(class_ids), 'class')} ({min(class_ids)}-{max(class_ids)})"
        return f"'{head}' is {value}; the file of class names has {known}", "is it the right file?"

    return Numbered(_look_up(values, indices), tuple(named.values()), note, describe)


def _look_up(values: Sequence[str], indices: Mapping[str, int]) -> np.ndarray:
    return np.fromiter((indices.get(value, -1) for value in values), np.int64, len(values))
