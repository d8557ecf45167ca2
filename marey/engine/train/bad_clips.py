"""Clips that could not be read in training, counted against a budget."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from marey.data.manifest.manifest import Manifest
from marey.engine.results_file import MissingClip
from marey.engine.train.distributed import World
from marey.engine.train.run_folder import training_error
from marey.errors import RunError, counted
from marey.storage.atomic import writing
from marey.storage.text_files import as_value, read_text, reading

FILE = "bad_clips.csv"
KILLED = "a worker was killed while it read it"


def read_bad_clips(folder: Path) -> list[MissingClip]:
    """The clips that are listed in the folder of a run; none without a list."""
    path = folder / FILE
    with reading(path):
        rows = [*csv.DictReader(io.StringIO(read_text(path), newline=""))]
    # a line that a kill cut short lacks cells
    facts = [{name: text for name, text in row.items() if name and text} for row in rows]
    return as_value(list[MissingClip], facts, path)


class BadClips:
    """The clips that could not be read in training: listed in bad_clips.csv, up to a budget.

    What was listed before this run was resumed is tried again, and counts only if it fails again:
    it may have been mended, or memory was short for another reason.
    """

    def __init__(self, folder: Path, train_set: Manifest, budget: float) -> None:
        self.path, self.train_set = folder / FILE, train_set
        self.allowed = math.ceil(budget * len(train_set))
        self.rows: set[int] = set()
        listed = {clip.row: clip.reason for clip in read_bad_clips(folder) if clip.row is not None}
        self.listed = set(listed)
        self.suspects = {row for row, reason in listed.items() if reason == KILLED}
        self.is_cut = not read_text(self.path).endswith("\n")

    def add(self, row: int, reason: str) -> None:
        """Note a clip once; RunError past the budget."""
        if row in self.rows:
            return
        self.rows.add(row)
        self._list(row, reason)
        self._check(len(self.rows))

    def suspect(self, row: int) -> None:
        """List a clip on which a worker was killed: if one is again, it is the clip."""
        self._list(row, KILLED)

    def check_all(self, world: World) -> None:
        """The budget over all processes, each of which has met some."""
        self._check(len(set().union(*world.gather(self.rows))))

    def _list(self, row: int, reason: str) -> None:
        if row in self.listed:
            return
        self.listed.add(row)
        with (
            writing(self.path, training_error),
            self.path.open("a", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(["row", "path", "reason"])
            elif self.is_cut:  # by a kill: nothing must be glued to that line
                file.write("\n")
            writer.writerow([row, self.train_set.path(row), reason])
        self.is_cut = False

    def _check(self, count: int) -> None:
        if count > self.allowed:
            raise RunError(
                f"{counted(count, 'training clip')} could not be read, more than the "
                f"{self.allowed} that data.bad_clip_budget allows; see {self.path}",
                "mend or remove them (marey data check lists all), or raise the budget",
            )
