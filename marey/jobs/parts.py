"""A long job cut into parts, so that it can be interrupted, repeated and shared out.

A job of N rows becomes one file, its target. Its parts are the rows [0, n), [n, 2n), ...: bounds
that follow from the input alone, never from who works on it. A part is done if and only if its file
is there; the file gets its name when it is whole, in a folder named for the digest of the input::

    features.arrow                      the target
    .features.arrow.parts/
        5d1c0f3a9be27d44/00000.part     rows 0 to n - 1, made from this input
        5d1c0f3a9be27d44/00001.part
        made                            the digest the target was made from (by shards only)

So whatever is killed goes on where it was, each part is made once, and any number of processes, on
any machines that see the folder, may work on one target at once: a part is locked while it is made
(the system unlocks it if its maker dies), and the process that finds all of them there joins them,
in order, into the target. The parts go only when the target is in place. The result is byte for
byte that of one process.

Output that stays in many files (packs of clips, extracted frames) fits too: `make` writes those
files first, each by `replacing`, and into the part what it made (rows of the manifest, checksums);
`join` makes the manifest of these receipts.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from marey.errors import MareyError, RunError
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.processes import Lost
from marey.storage.atomic import Failure, manifest_error, replacing, write_text, writing
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
class Shard:
    """Share `index` (from 0) of `count`: the parts k with k % count == index."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"shard is {self.index}/{self.count}, expected i/n with i from 0 to n - 1"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that ``i/n`` names.

        >>> Shard.parse("3/8")
        Shard(index=3, count=8)
        """
        index, slash, count = text.partition("/")
        if not (slash and index.strip().isdecimal() and count.strip().isdecimal()):
            raise ValueError(f"shard is '{text}', expected i/n with i from 0 to n - 1")
        return cls(int(index), int(count))


WHOLE = Shard()
"""All parts."""


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

    @property
    def home(self) -> Path:
        """The folder of everything that is kept beside the target while it is made."""
        return self.target.with_name(f".{self.target.name}.parts")

    @property
    def folder(self) -> Path:
        """Where the parts of this input lie."""
        name = input_digest({"input": self.digest, "rows": self.num_rows, "size": self.size})
        return self.home / name[:16]

    @property
    def made(self) -> bool:
        """Whether the target is there and was made, by shards, from this input."""
        note = self.home / "made"
        return self.target.exists() and note.is_file() and note.read_text() == self.folder.name

    def missing(self, shard: Shard = WHOLE) -> list[Part]:
        """The parts of a shard that are not done; none once they were joined."""
        try:
            there = {path.name for path in self.folder.iterdir()}
        except FileNotFoundError:
            return []
        parts = map(self.__getitem__, self.numbers(shard))
        return [part for part in parts if part.path.name not in there]

    def numbers(self, shard: Shard = WHOLE) -> range:
        """The numbers of the parts of a shard."""
        return range(shard.index, len(self), shard.count)


def input_digest(facts: Mapping[str, object]) -> str:
    """Sha256 of what a result depends on: values of JSON, by name.

    Its rows (`Manifest.digest`), where they lie, every option that changes a byte, and the weights
    of a model (`weights_digest`); not the number of workers, nor anything else about the machine.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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
    """Make what is missing of a shard; True if the target is in place, False if others' parts lack.

    Without shards a target that is there is made anew; shards leave one that was made from the
    same input alone, so that one of them can be repeated at any time.

    An error of ours that `make` raises is raised here; a part that crashes or hangs is begun again,
    `ATTEMPTS` times in all, then RunError says which. Parts that are done are kept in any case.
    """
    if not begin_parts(parts, shard):
        return True
    lost: dict[Part, str] = {}
    tries: Counter[Part] = Counter()
    count = _Count(parts, shard, progress)
    while wanted := [part for part in count.missing() if tries[part] < ATTEMPTS]:
        before = len(wanted)
        for part, answer in executor.answers(
            partial(_make_part, make), wanted, timeout_seconds=timeout_seconds
        ):
            if isinstance(answer, Lost):
                tries[part] += 1
                lost[part] = answer.reason
            elif isinstance(answer, Held):
                continue  # somebody else makes it; if they fail, the next round finds it free
            elif isinstance(answer, MareyError):
                raise answer
            else:
                count.add(part)
        if len(parts.missing(shard)) == before:
            time.sleep(POLL_SECONDS)
    if left := parts.missing(shard):
        raise _lost_error(parts, left, lost)
    return finish_parts(parts, join, shard)


def begin_parts(parts: Parts, shard: Shard) -> bool:
    """Make the folder of the parts; False if a shard finds the target made already."""
    if shard.count > 1 and parts.made:
        return False
    with writing(parts.target, parts.failure):
        parts.folder.mkdir(parents=True, exist_ok=True)
    return True


def finish_parts(parts: Parts, join: Join, shard: Shard) -> bool:
    """Join the parts if all are there; True if the target is in place.

    The folder of the parts goes when the target is there, so one that is gone was joined.
    """
    if parts.missing():
        return False
    try:
        if parts.folder.is_dir():
            with locked(parts.home / "lock", f"joins {parts.target}", wait_seconds=-1):
                if parts.folder.is_dir():
                    _join(parts, join, keep_home=shard.count > 1)
    except RunError:  # there is nothing to lock any more where another process has joined all
        if parts.folder.is_dir():
            raise
    if not parts.target.exists():
        raise RunError(f"{parts.folder} was removed while it was worked in", "start again")
    return True


def _join(parts: Parts, join: Join, *, keep_home: bool) -> None:
    join([part.path for part in parts])
    if keep_home:
        write_text(parts.home / "made", parts.folder.name, parts.failure)
    gone = parts.home / f"{parts.folder.name}.joined"  # at once: half a folder has parts to make
    shutil.rmtree(gone, ignore_errors=True)
    parts.folder.rename(gone)
    for folder in [path for path in parts.home.iterdir() if path.is_dir()]:
        shutil.rmtree(folder, ignore_errors=True)  # also the parts of an earlier input
    if not keep_home:
        shutil.rmtree(parts.home, ignore_errors=True)


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
    """Rows of a shard that are done, told to `progress`."""

    def __init__(self, parts: Parts, shard: Shard, progress: Progress | None) -> None:
        self._parts, self._shard, self._tell = parts, shard, progress
        self._total = sum(len(parts[number].rows) for number in parts.numbers(shard))
        self._done = 0

    def missing(self) -> list[Part]:
        """The parts that are not done; the others are counted."""
        missing = self._parts.missing(self._shard)
        self._say(self._total - sum(len(part.rows) for part in missing))
        return missing

    def add(self, part: Part) -> None:
        """Count one more."""
        self._say(self._done + len(part.rows))

    def _say(self, done: int) -> None:
        if self._tell is not None and done > self._done:
            self._tell(done, self._total)
        self._done = done


def _lost_error(parts: Parts, left: Sequence[Part], lost: Mapping[Part, str]) -> RunError:
    first = left[0]
    return RunError(
        f"{len(left)} of {len(parts)} parts of {parts.target} are not done, tried {ATTEMPTS} times"
        f"; the first, rows {first.start + 1} to {first.stop}: {lost.get(first, 'nobody made it')}",
        "the others are kept: the same command goes on from them",
    )
