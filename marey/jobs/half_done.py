"""Where the result of long work lies while it is not finished, and how it is put in place.

    features.arrow                 the result
    .features.arrow.parts/
        5d1c0f3a9be27d44/          what is done of it, from an input of this digest
        made                       the digest that the result was made from (by shards only)

Another input has a folder of another name, so what was made of a list that has changed since is
never taken. All is removed when the result is in place; of shards the note `made` stays, so that
one of them can be repeated without making the result anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from marey.errors import RunError
from marey.jobs.shards import Shard
from marey.storage.atomic import Failure, manifest_error, refuse_existing, write_text, writing
from marey.storage.lock import locked


def input_digest(facts: Mapping[str, object]) -> str:
    """Sha256 of what a result depends on: values of JSON, by name.

    Its rows (`Manifest.digest`), where they lie, every option that changes a byte, and the weights
    of a model (`weights_digest`); not the number of workers, nor anything else about the machine.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def is_in_work(target: Path) -> bool:
    """Whether something is done of the file `target`, of whatever input, and it is not in place."""
    home = HalfDone(target, "").home
    return home.is_dir() and any(path.is_dir() for path in home.iterdir())


@dataclass(frozen=True)
class HalfDone:
    """What is done of the file `target`."""

    target: Path
    digest: str
    """Of all that the target depends on; see `input_digest`."""
    failure: Failure = manifest_error
    """Makes the error where it cannot be written."""
    overwrite: bool = True
    """Whether a target that is there, of whatever input, may be replaced."""

    @property
    def home(self) -> Path:
        """The folder of everything that is kept beside the target while it is made."""
        return self.target.with_name(f".{self.target.name}.parts")

    @property
    def folder(self) -> Path:
        """Where what was made of this input lies."""
        return self.home / self.digest[:16]

    def begin(self, shard: Shard) -> bool:
        """Make the folder; False if there is nothing to do, as shards made the target before.

        Without shards a target that is there is made anew. RunError if it may not be replaced; to
        go on with what was begun is to ask nothing new.
        """
        if not shard.is_whole and self._is_made():
            return False
        if not self.folder.is_dir():
            refuse_existing(self.target, overwrite=self.overwrite)
        with writing(self.target, self.failure):
            self.folder.mkdir(parents=True, exist_ok=True)
        return True

    def finish(self, write_target: Callable[[], None], shard: Shard) -> None:
        """Put the target in place, once all of it is done, unless another process has.

        One process at a time does so. The folder goes when the target is there: where it is gone,
        the target was made.
        """
        try:
            if self.folder.is_dir():
                with locked(self.home / "lock", f"joins {self.target}", wait_seconds=-1):
                    if self.folder.is_dir():
                        write_target()
                        self._clear(keep_note=not shard.is_whole)
        except RunError:  # nothing is left to lock where another process has cleared it
            if self.folder.is_dir():
                raise
        if not self.target.exists():
            raise RunError(f"{self.folder} was removed while it was worked in", "start again")

    def _is_made(self) -> bool:
        """Whether the target is there and was made, by shards, from this input."""
        note = self.home / "made"
        name = note.read_bytes() if note.is_file() else b""
        return self.target.exists() and name == self.folder.name.encode()

    def _clear(self, *, keep_note: bool) -> None:
        if keep_note:
            write_text(self.home / "made", self.folder.name, self.failure)
        # renamed first: who looks while it is removed sees no folder, not one that lacks parts
        gone = self.home / f"{self.folder.name}.joined"
        shutil.rmtree(gone, ignore_errors=True)
        self.folder.rename(gone)
        for folder in [path for path in self.home.iterdir() if path.is_dir()]:
            shutil.rmtree(folder, ignore_errors=True)  # also what is left of an earlier input
        if not keep_note:
            shutil.rmtree(self.home, ignore_errors=True)
