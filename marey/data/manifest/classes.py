"""Class names beside a manifest, and the values of a label column as class indices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from marey.data.manifest.columns import as_codes
from marey.data.manifest.faults import Fault, clip_text
from marey.errors import ManifestError, counted, first_few
from marey.storage.atomic import Failure, manifest_error, write_text
from marey.storage.encodings import NotText, decode_text
from marey.storage.url import AnyPath

Heads: TypeAlias = Mapping[str, int | Sequence[str]]
"""Head -> its classes as a model has them: how many, or their names."""
MOST_UNNAMED = 100_000
"""Classes a head may have without a file that names them; above, a label is an id of something."""


def classes_file(folder: Path, head: str) -> Path:
    """Where the class names of `head` stand: labels.txt, or labels.<head>.txt."""
    return folder / ("labels.txt" if head == "label" else f"labels.{head}.txt")


def heads_beside(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of the manifest at `path` that are heads: label, and those with class names."""
    return tuple(
        name
        for name in columns
        if name == "label"
        or (re.fullmatch(r"\w+", name) and classes_file(path.parent, name).is_file())
    )


def unnamed(num_classes: int) -> tuple[str, ...]:
    """What classes are called that have no names: their numbers.

    >>> unnamed(3)
    ('0', '1', '2')
    """
    return tuple(map(str, range(num_classes)))


def read_classes(path: Path) -> tuple[str, ...]:
    """The class names in `path`, one a line; line number less one is the class index."""
    try:
        text = decode_text(path.read_bytes()).text
        names = text.encode().decode().rstrip().splitlines()
    except OSError as error:
        remedy = "it names the classes, one a line: write it, or give its path"
        raise ManifestError(f"cannot read {path}: {error.strerror}", remedy) from error
    except NotText as error:
        raise ManifestError(f"{path} is {error}", error.remedy) from error
    except UnicodeEncodeError as error:  # of a surrogate, which stands for a byte
        raise ManifestError(f"{path}: not UTF-8 text ({error})", "save it as UTF-8") from error
    seen: dict[str, int] = {}
    for line, name in enumerate(map(str.strip, names), start=1):
        if not name:
            raise ManifestError(f"{path}:{line}: no class name", "remove the blank line")
        if "\0" in name:  # a disk that lost power leaves blocks of them
            raise ManifestError(f"{path}:{line}: zero bytes are no class name", "write it again")
        if name in seen:
            raise ManifestError(
                f"{path}:{line}: {clip_text(name)} stands in line {seen[name]} too",
                "give every class a name of its own",
            )
        seen[name] = line
    if not seen:
        raise ManifestError(f"{path}: no class names", "write one a line")
    return tuple(seen)


def write_classes(
    classes: Mapping[str, Sequence[str]], folder: Path, failure: Failure = manifest_error
) -> None:
    """Write the class names of every head in `folder`: labels.txt, labels.<head>.txt."""
    for head, names in classes.items():
        for name in names:
            if not name or name != name.strip() or len(name.splitlines()) != 1:
                raise ManifestError(
                    f"class name {clip_text(name)} does not fit on a line as it is",
                    "rename the class: without line breaks, or blanks around it",
                )
        write_text(classes_file(folder, head), "".join(f"{name}\n" for name in names), failure)


SEPARATOR = "|"
"""Stands between the classes of a clip that has several: ``3|17``."""


def split_labels(value: str, names: Collection[str]) -> list[str]:
    """The labels in a cell, one unless `SEPARATOR` stands in it and not in a class's name.

    >>> split_labels("3|17", ()), split_labels("yes|no", {"yes|no"})
    (['3', '17'], ['yes|no'])
    """
    return [value] if value in names else [word.strip() for word in value.split(SEPARATOR)]


def refuse_other_classes(path: AnyPath, head: str, names: Sequence[str], num_classes: int) -> None:
    """ManifestError if the file at `path` names more or fewer classes than the model's head has."""
    if len(names) != num_classes:
        raise ManifestError(
            f"{path} has {counted(len(names), 'class')}; the model's head '{head}' "
            f"has {num_classes}",
            "train with the heads of this manifest, or correct the file",
        )


class LabelValues:
    """The distinct values of a label column, each with the index of its class, -1 for none.

    A whole number is an index, also where class names are numbers; other text is a class name.
    """

    def __init__(
        self,
        head: str,
        values: Sequence[str],
        names: Sequence[str] | None,
        num_classes: int | None,
    ) -> None:
        self.head, self.values, self.names = head, values, names
        self.numbers = [_whole(value) for value in values]
        whole = {number for number in self.numbers if number is not None}
        self.lowest, self.highest = min(whole, default=0), max(whole, default=-1)
        known = num_classes or (len(names) if names else None)
        self.from_one = known is None and whole == set(range(1, len(whole) + 1)) != set()
        self.num_classes = known or max(min(self.highest + 1, MOST_UNNAMED), 1)
        self.classes = tuple(names or unnamed(self.num_classes))
        named = {name: index for index, name in enumerate(names or ())}
        indices = (
            named.get(value.strip(), -1) if number is None else self._in_range(number)
            for value, number in zip(values, self.numbers, strict=True)
        )
        self.indices = np.fromiter(indices, np.int64, len(values))

    def message(self, code: int) -> str:
        """What is wrong with value number `code`."""
        value, number = self.values[code], self.numbers[code]
        if not value.strip():
            return f"'{self.head}' is empty"
        if number is not None:
            classes = f"{counted(self.num_classes, 'class')} (0-{self.num_classes - 1})"
            return f"'{self.head}' is {number}; this head has {classes}"
        num_names = 0 if self.names is None else len(self.names)
        names = f" or one of {counted(num_names, 'class name')}" if self.names is not None else ""
        return f"'{self.head}' is {clip_text(value)}; expected a class index{names}"

    def remedy(self, code: int) -> str:
        """What to do about value number `code`."""
        value, file = self.values[code], classes_file(Path(), self.head)
        if not value.strip():
            return "give the class or remove the row"
        if self.numbers[code] is not None:
            return self._range_remedy()
        if joined := self._joined(value):
            return f"a clip of several classes has them as {clip_text(joined)}"
        if self.names is None:
            return f"write the class names in {file} beside it, or run `marey data init`"
        near = difflib.get_close_matches(value, self.names, n=1)
        if near:
            return f"did you mean {clip_text(near[0])}?"
        return f"known: {first_few(self.names)}; {file} names those to train on"

    def _joined(self, value: str) -> str:
        """Several classes as a manifest has them, if `value` is some written otherwise; else ""."""
        parts = [part.strip() for part in re.split(r"[;,/+&]", value)]
        known = all(_whole(part) is not None or part in (self.names or ()) for part in parts)
        return SEPARATOR.join(parts) if len(parts) > 1 and known else ""

    def _in_range(self, number: int) -> int:
        return number if 0 <= number < self.num_classes else -1

    def _range_remedy(self) -> str:
        if self.lowest >= 1 and self.highest == self.num_classes:
            return "are labels 1-based?"
        if self.names is not None:
            return f"{classes_file(Path(), self.head)} names the classes"
        return "remove the row or give the head more classes"


def _whole(value: str) -> int | None:
    return int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value) else None


def read_labels(
    path: Path,
    column: pa.ChunkedArray,
    head: str,
    of_model: int | Sequence[str] | None,
    names: Sequence[str] | None,
) -> tuple[np.ndarray, tuple[str, ...], Fault]:
    """Labels int64 [n], or bool [n k] if a cell has several; class names; rows without a class.

    of_model: the classes of the model's head, if there is one: how many, which others are refused,
    or their names. names: the classes, if the file itself names them; else those of the file of
    classes beside it, or, if there is none, of the model.
    """
    file = classes_file(path.parent, head)
    if names is None and file.is_file():
        names = read_classes(file)
    if names and isinstance(of_model, int):
        refuse_other_classes(file if file.is_file() else path, head, names, of_model)
    elif not names and not isinstance(of_model, int | None):
        names = of_model
    num_classes = len(names) if names else of_model if isinstance(of_model, int) else None
    cells = as_codes(column)
    codes, texts = cells.indices.to_numpy(), cells.dictionary.to_pylist()
    known = frozenset(names or ())
    if any(SEPARATOR in text and text not in known for text in texts):
        split = [split_labels(text, known) for text in texts]
        words = list(dict.fromkeys(chain.from_iterable(split)))
        values = LabelValues(head, words, names, num_classes)
        of_text, wrong = _multi_hot(split, values)
    else:
        values = LabelValues(head, texts, names, num_classes)
        of_text = values.indices
        wrong = np.where(of_text < 0, np.arange(len(texts)), -1)
    rows = np.flatnonzero((wrong >= 0)[codes])
    fault = Fault(
        rows,
        lambda row: values.message(wrong[codes[row]]),
        lambda row: values.remedy(wrong[codes[row]]),
    )
    if values.from_one and not len(rows):
        fault = Fault(
            np.zeros(1, np.int64),
            lambda _: f"'{head}' runs from 1 to {values.highest} and is never 0",
            "are labels 1-based? subtract 1, or name all classes in "
            f"{classes_file(Path(), head)} if 0 is one of them",
        )
    return of_text[codes], values.classes, fault


def _multi_hot(
    cells: Sequence[Sequence[str]], values: LabelValues
) -> tuple[np.ndarray, np.ndarray]:
    """Which classes each cell names, bool [u k]; its word that is no class [u], -1 for none."""
    code_of = {word: code for code, word in enumerate(values.values)}
    hot = np.zeros((len(cells), len(values.classes)), dtype=bool)
    wrong = np.full(len(cells), -1)
    for row, cell in enumerate(cells):
        for word in cell:
            code = code_of[word]
            if values.indices[code] < 0:
                wrong[row] = code
            else:
                hot[row, values.indices[code]] = True
    return hot, wrong
