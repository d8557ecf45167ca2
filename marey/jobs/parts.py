"""A job of N rows that becomes one file, made in parts.

The parts are the rows [0, n), [n, 2n), ...: bounds that follow from the input alone, never from who
works on it. A part is done if and only if its file is there, in the folder of `HalfDone`::

    features.arrow                      the target
    .features.arrow.parts/
        5d1c0f3a9be27d44/00000.part     rows 0 to n - 1, made from this input
        5d1c0f3a9be27d44/00001.part

So whatever is killed goes on where it was, each part is made once, and any number of processes, on
any machines that see the folder, may work on one target at once: a part is locked while it is made
(the system unlocks it if its maker dies), and the process that finds all of them there joins them,
in order, into the target. The result is byte for byte that of one process.

Output that stays in many files (packs of clips, extracted frames) fits too: `make` writes those
files first, each by `replacing`, and into the part what it made (rows of the manifest, checksums);
`join` makes the manifest of these receipts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from marey.errors import MareyError, RunError, counted
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.half_done import HalfDone, input_digest
from marey.jobs.processes import Lost
from marey.jobs.shards import WHOLE, Shard
from marey.storage.atomic import Failure, manifest_error, replacing
from marey.storage.lock import Held, locked

Make: TypeAlias = Callable[[range, BinaryIO], None]
"""Writes what comes of some rows. A module's function (or `partial` of one): workers call it."""
Join: TypeAlias = Callable[[Sequence[Path]], None]
"""Writes the target, by `replacing`, from the files of all parts in order."""
Progress: TypeAlias = Callable[[int, int], None]
"""Called with the rows (done, total) of this process' share."""

ATTEMPTS = 3
"""How often a part that costs its process the life, or takes too long, is begun."""
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """Some rows of the job, and the file that holds what came of them."""

    number: int
    start: int
    stop: int
    path: Path
    failure: Failure = manifest_error
    """Makes the error where it cannot be written."""

    @property
    def rows(self) -> range:
        """The rows, 0-based."""
        return range(self.start, self.stop)


@dataclass(frozen=True)
class Parts:
    """The parts, of `size` rows, of a job of `num_rows` rows that becomes the file `target`."""

    target: Path
    num_rows: int
    size: int
    digest: str
    """Of all that the target depends on; see `input_digest`. Another input has other parts."""
    failure: Failure = manifest_error
    """Makes the error where the target or a part cannot be written."""
    overwrite: bool = True
    """As `HalfDone` has it."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}, expected at least 1 row a part")

    def __len__(self) -> int:
        return -(-self.num_rows // self.size)

    def __getitem__(self, number: int) -> Part:
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.size
        stop = min(start + self.size, self.num_rows)
        return Part(number, start, stop, self.folder / f"{number:05d}.part", self.failure)

    def __iter__(self) -> Iterator[Part]:
        return map(self.__getitem__, range(len(self)))

    @cached_property
    def half_done(self) -> HalfDone:
        """The target while it is made."""
        facts = {"input": self.digest, "rows": self.num_rows, "size": self.size}
        return HalfDone(self.target, input_digest(facts), self.failure, self.overwrite)

    @property
    def folder(self) -> Path:
        """Where the parts of this input lie."""
        return self.half_done.folder

    def missing(self, shard: Shard = WHOLE) -> list[Part]:
        """The parts of a shard that are not done; none once they were joined."""
        try:
            done = {path.name for path in self.folder.iterdir()}
        except FileNotFoundError:
            return []
        parts = map(self.__getitem__, self.numbers(shard))
        return [part for part in parts if part.path.name not in done]

    def numbers(self, shard: Shard = WHOLE) -> range:
        """The numbers of the parts of a shard."""
        return range(shard.index, len(self), shard.count)


def make_parts(
    parts: Parts,
    make: Make,
    join: Join,
    *,
    executor: Executor = PROCESSES,
    shard: Shard = WHOLE,
    timeout_seconds: float = 3600.0,
    progress: Progress | None = None,
) -> bool:
    """Make what is missing; True if the target is in place, False if parts of other shards lack.

    Without shards a target that is there is made anew; shards leave one that was made from the
    same input alone, so that one of them can be repeated at any time.

    Args:
        make: writes a part; an error of ours that it raises is raised here.
        join: writes the target, when all parts are there.
        executor: whose processes make parts.
        shard: the share of the parts to make.
        timeout_seconds: as `Executor.answers` has it, of a part.
        progress: called with the rows (done, total) of the shard, those done before among them.

    Raises:
        KeyboardInterrupt: with a note of what is kept.
        RunError: if a part has crashed or hung its process `ATTEMPTS` times, the others being
            kept; or if the target is there and may not be replaced (`Parts.overwrite`).
    """
    if not parts.half_done.begin(shard):
        return True
    lost: defaultdict[Part, list[str]] = defaultdict(list)
    count = _Count(parts, shard, progress)
    try:
        _make_missing(parts, make, executor, shard, timeout_seconds, count, lost)
    except KeyboardInterrupt as stop:
        stop.add_note(count.in_words())
        raise
    if left := parts.missing(shard):
        raise _lost_error(parts, left, lost[left[0]])
    if parts.missing():
        return False
    parts.half_done.finish(lambda: join([part.path for part in parts]), shard)
    return True


def kept_in_words(done: int, total: int, target: Path) -> str:
    """What there is of a file whose making was stopped, and what the same command does."""
    kept = f"{done:,} of {counted(total, 'clip')} of {target} are done"
    return f"{kept} and kept; the same command goes on" if done else f"{kept}: it begins anew"


def _make_missing(
    parts: Parts,
    make: Make,
    executor: Executor,
    shard: Shard,
    timeout_seconds: float,
    count: _Count,
    lost: defaultdict[Part, list[str]],
) -> None:
    """Make the parts that are not done; `lost` is told which cost their processes, and why."""
    while wanted := [part for part in count.missing() if len(lost[part]) < ATTEMPTS]:
        for part, answer in executor.answers(
            partial(_make_part, make), wanted, timeout_seconds=timeout_seconds
        ):
            if isinstance(answer, Lost):
                lost[part].append(answer.reason)
            elif isinstance(answer, Held):
                continue  # somebody else makes it; if they fail, the next round finds it free
            elif isinstance(answer, MareyError):
                raise answer
            else:
                count.add(part)
        if len(parts.missing(shard)) == len(wanted):
            time.sleep(POLL_SECONDS)


def _make_part(make: Make, part: Part) -> MareyError | None:
    """Make one part, unless another process has or does; what went wrong, if something did."""
    if not part.path.parent.is_dir():  # another process has joined all
        return None
    try:
        with locked(part.path.with_suffix(".lock"), f"makes {part.path}"):
            if not part.path.exists() and part.path.parent.is_dir():
                with replacing(part.path, part.failure) as file:
                    make(part.rows, file)
    except MareyError as error:
        return error if part.path.parent.is_dir() else None
    return None


class _Count:
    """Counts the rows of a shard that are done, and reports them to `progress`."""

    def __init__(self, parts: Parts, shard: Shard, progress: Progress | None) -> None:
        self._parts, self._shard, self._progress = parts, shard, progress
        self._total = sum(len(parts[number].rows) for number in parts.numbers(shard))
        self._done = 0

    def missing(self) -> list[Part]:
        """The parts that are not done; the others are counted."""
        missing = self._parts.missing(self._shard)
        self._report(self._total - sum(len(part.rows) for part in missing))
        return missing

    def in_words(self) -> str:
        """What is kept, for who has stopped it."""
        done = self._total - sum(len(part.rows) for part in self._parts.missing(self._shard))
        return kept_in_words(done, self._total, self._parts.target)

    def add(self, part: Part) -> None:
        """Count one more."""
        self._report(self._done + len(part.rows))

    def _report(self, done: int) -> None:
        if self._progress is not None and done > self._done:
            self._progress(done, self._total)
        self._done = done


def _lost_error(parts: Parts, left: Sequence[Part], reasons: Sequence[str]) -> RunError:
    first, why = left[0], reasons[-1] if reasons else "nobody made it"
    return RunError(
        f"{counted(len(parts), 'part')} of {parts.target}: {len(left)} not done, "
        f"tried {ATTEMPTS} times"
        f"; the first, rows {first.start + 1} to {first.stop}: {why}",
        "the others are kept: the same command goes on from them",
    )
