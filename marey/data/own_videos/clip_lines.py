"""The lines of a list without a header, and what can be found out about them and their clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from marey.data.checks.probe import Probes, probe_clips
from marey.data.lists.plain_lists import (
    SAMPLE,
    ListFormat,
    cells_of,
    separator_of,
    shapes_of,
    split_line,
    usual_numbers,
)
from marey.data.lists.text_file import whole
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.spellings import Spellings
from marey.errors import ManifestError
from marey.jobs.executors import HERE
from marey.storage.url import AnyPath

T = TypeVar("T")
NUM_LOOKED_FOR = 200
"""Lines whose files are looked for."""
NUM_OPENED = 8
"""Of those, the clips whose frames are counted."""


@dataclass(frozen=True)
class ClipLines:
    """The lines of a list, and what can be found out about them.

    Args:
        path: of the list.
        texts: its lines.
        root: where their paths start.
        classes: those of a model, if there is one.
        opens: whether files may be asked for and opened.
    """

    path: Path
    texts: Sequence[str]
    root: AnyPath
    classes: Collection[str] | None
    opens: bool = True

    @cached_property
    def separator(self) -> str:
        """What stands between the cells."""
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

    @cached_property
    def _files(self) -> Spellings:
        return Spellings(self.root, listed_only=not self.opens)

    def file(self, path: str) -> str | None:
        """The file or folder that is meant, as the root has it; None if there is none."""
        if "://" in path:
            return None
        if self.opens:
            return self._files.find(path).path
        planned = self._files.planned(path)
        return None if planned.is_planned else planned.path

    def share_found(self, form: ListFormat) -> float:
        """The share of paths that are there."""
        texts = spread(self.texts, NUM_LOOKED_FOR)
        found = [self.file(cells[0]) is not None for cells in self.cells(form, texts)]
        return sum(found) / len(texts)

    def counted(self, form: ListFormat) -> list[tuple[Sequence[str], int]]:
        """The cells of a few lines, spread over the list, with the frames of their files."""
        found = [(cells, self.file(cells[0])) for cells in self._sampled(form)]
        there = [(cells, file) for cells, file in found if file is not None][:NUM_OPENED]
        if not there or not self.opens:
            return []
        clips = Manifest.from_columns(self.path, self.root, {"path": [f for _, f in there]})
        probed = probe_clips(clips, thorough=False, executor=HERE)
        frames = Probes(len(there), probed).file_frames
        pairs = zip(there, frames.tolist(), strict=True)
        return [(cells, count) for (cells, _), count in pairs if count > 0]

    def has_files(self, form: ListFormat) -> bool:
        """Whether one of a few paths is there."""
        return any(self.file(cells[0]) is not None for cells in self._sampled(form))

    def _sampled(self, form: ListFormat) -> list[list[str]]:
        return list(self.cells(form, spread(self.texts, 4 * NUM_OPENED)))

    def is_class(self, text: str) -> bool:
        """Whether the model, if there is one, may have this class."""
        numbers = map(whole, text.split(SEPARATOR))
        return self.classes is None or all(
            number is not None and number < len(self.classes) for number in numbers
        )

    def question(
        self, first: str, one: ListFormat, second: str, other: ListFormat, why: str = ""
    ) -> ManifestError:
        """That lines may be either of two, what each means, and why nothing tells."""
        return ManifestError(
            f"{self.path}: a line may be `{one.title}` or `{other.title}`, as"
            f" {self.texts[0][:80]!r}" + (f"; {why}" if why else ""),
            f"--columns '{one.title}': {first}; --columns '{other.title}': {second}",
        )


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, from all over."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    return [items[place] for place in places]


def share(tests: Sequence[bool]) -> float:
    """The part of the tests that are true, from 0 to 1; 0 of none."""
    return sum(tests) / len(tests) if tests else 0.0
