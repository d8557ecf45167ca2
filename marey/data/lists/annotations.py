"""The annotation files of a data set, by what they are for, and what is wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from marey.data.lists.rejects import Faults, R, Reject, SourceLine, T
from marey.data.lists.text_file import TextFile, read_text


class Annotations:
    """The files (role -> path) of one data set: role "train" is the list of training clips."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = dict(files)
        self.faults = Faults()
        self.notes: list[str] = []
        """What a person should know of how the files were read."""
        self.digests: dict[Path, str] = {}
        """Sha256 of every file that was read."""

    def __contains__(self, role: str) -> bool:
        return role in self.files

    def __getitem__(self, role: str) -> Path:
        return self.files[role]

    def open(self, role: str) -> TextFile:
        """All of a file; ManifestError if it cannot be read."""
        file = read_text(self.files[role], self.faults)
        self.digests[file.path] = file.digest
        return file

    def lists(self, splits: Sequence[str]) -> Iterator[tuple[str, TextFile]]:
        """The splits that have a list, each with it."""
        return ((split, self.open(split)) for split in splits if split in self)

    def clips(
        self,
        splits: Sequence[str],
        lines: Callable[[TextFile], Iterable[tuple[SourceLine, T]]],
        read: Callable[[str, SourceLine, T], R],
    ) -> list[R]:
        """What `read` makes of the lines of lists, of each its split, place and content.

        A line that it raises `Misfit` for is left out.

        Args:
            splits: whose lists are read, if they are there.
            lines: what the lines of a file are: `TextFile.lines`, `plain_rows`.
        """
        return [
            clip
            for split, file in self.lists(splits)
            for clip in self.faults.fitting(lines(file), partial(read, split))
        ]

    @property
    def rejects(self) -> list[Reject]:
        """The lines that do not fit."""
        return self.faults.rejects

    def reject(self, line: SourceLine, value: object, reason: str, remedy: str = "") -> None:
        """Leave a line out."""
        self.faults.add(line, value, reason, remedy)
