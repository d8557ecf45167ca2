"""What a frozen encoder gives of each clip, made once and kept for every run that asks again.

    $MAREY_CACHE (or ~/.cache/marey)/features/
        3fa95d0c81e2b764/           an encoder with its weights, and the views it was shown
            about.json              which
            9c1d....arrow           clips of one pass, each under the digest of where it lies

A clip is known by its path, its span, and the size and times of its file or of the frames in its
folder: in another manifest, split or fold it is the same clip, and a file that changes is another
one. So ten heads, ten folds or ten methods for the long tail cost one pass of the encoder. The
clips that lack are made in parts (`marey.jobs.parts`): what is killed goes on where it was, and
processes that lack the same clips share the work. A clip that could not be read is tried again
every time. The folder may be removed at any time; what is not there, or damaged, is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from marey.data.features.feature_file import (
    FeatureFile,
    features_of,
    join_features,
    joined,
    open_table,
)
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.extractor import Extractor
from marey.engine.inference.jobs import PART_ROWS, PART_SECONDS
from marey.engine.timing import on_gpu
from marey.engine.weights.checkpoint import weights_digest
from marey.errors import DecodeError, ManifestError, RunError
from marey.jobs.executors import HERE
from marey.jobs.half_done import input_digest
from marey.jobs.parts import Parts, Progress, make_parts
from marey.jobs.shards import WHOLE, Shard
from marey.models.video_model import VideoModel
from marey.recipes.frozen import about_encoder
from marey.recipes.recipe import Recipe
from marey.storage.atomic import make_folder, run_error, write_text
from marey.storage.cache import cache_home
from marey.storage.url import AnyPath

KEY = "key"
"""The column of the digests of clips."""
ABOUT = "about.json"
"""The file that says whose features a folder holds."""
PARTS, FEW = 256, 4
"""Parts of a pass, at least, unless they would be of fewer clips than `FEW`: what is stopped loses
little, and each process has a share of a small set as well. To begin a part costs a tenth of what
one clip does."""


def features_folder() -> Path:
    """Where what encoders gave is kept."""
    return cache_home() / "features"


@dataclass(frozen=True, eq=False, kw_only=True)
class KeptFeatures:
    """What is kept of clips as `recipe.test` shows them to the encoder of `model`.

    `model` is in evaluation mode, on `device`, and takes the frames of these views.
    """

    model: VideoModel
    recipe: Recipe
    device: torch.device | str = "cpu"

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What decides the features."""
        per = "token" if self.model.spec.over == "tokens" else "frame"
        return about_encoder(self.recipe, self.model.spec, per) | {
            "model": self.recipe.name,
            "weights": weights_digest(self.model.encoder),
        }

    @cached_property
    def folder(self) -> Path:
        """Where they are kept."""
        facts = dict(self.about) | {
            "amp": self.recipe.in_bfloat16,
            "backend": self.recipe.data.backend,
        }
        facts |= {"model": "", "views": facts["views"] | {"average": ""}}  # which change nothing
        return features_folder() / input_digest(facts)[:16]

    def missing(self, manifest: Manifest) -> np.ndarray:
        """The rows int64 [m] of which nothing is kept, or only why they could not be read."""
        kept = self._kept()
        keys = _keys(manifest)
        return np.array([i for i, key in enumerate(keys) if not kept.has(key)], dtype=np.int64)

    def num_begun(self, manifest: Manifest) -> int:
        """How many of these clips, all of them missing, a `make` of them that was stopped has left.

        The next one goes on from there.
        """
        job = self._job(manifest)
        return sum(len(part.rows) for part in job.parts(job.out) if part.path.is_file())

    def make(
        self,
        manifest: Manifest,
        *,
        shard: Shard = WHOLE,
        progress: Progress | None = None,
        failed: Callable[[int, str], None] | None = None,
    ) -> None:
        """Make the share `shard` of the features of these clips, and keep them.

        With several shards they are there once the last one is done. `failed` is told the row of
        each clip that cannot be read, and why. RunError if the folder cannot be written, or a
        feature is not finite.
        """
        make_folder(self.folder, _not_kept)
        write_text(self.folder / ABOUT, json.dumps(self.about, indent=1), _not_kept)
        job = self._job(manifest)
        make_parts(
            job.parts(job.out),
            lambda rows, file: job.write(rows, file, progress=progress, failed=failed),
            job.join,
            executor=HERE,
            shard=shard,
            timeout_seconds=PART_SECONDS,
        )

    def of(self, manifest: Manifest) -> Manifest:
        """The clips of `manifest` with what is kept of them in place of their frames."""
        kept = self._kept()
        assert kept.file is not None, "features are made before they are asked for"
        rows = np.array([kept.row(key) for key in _keys(manifest)], dtype=np.int64)
        return replace(manifest, features=kept.file.take(rows))

    def _job(self, manifest: Manifest) -> _Keeper:
        keys = _keys(manifest)
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        return _Keeper(
            model=self.model,
            recipe=self.recipe,
            manifest=manifest,
            keys=keys,
            facts_of=self.about,
            out=self.folder / f"{name}.arrow",
            per=self.about["per"],
            dtype="float16" if self.about["per"] == "token" else "float32",
            device=self.device,
        )

    def _kept(self) -> _Kept:
        return _Kept.in_folder(self.folder)


@dataclass(frozen=True, eq=False)
class _Kept:
    """All that is kept in a folder; a clip may be there several times, read or not, or damaged."""

    file: FeatureFile | None
    rows: Mapping[str, Sequence[int]]

    @classmethod
    def in_folder(cls, folder: Path) -> _Kept:
        """What is in its files, but for those that are damaged as a whole."""
        files: list[FeatureFile] = []
        rows: dict[str, list[int]] = {}
        for path in sorted(folder.glob("*.arrow")):
            try:
                table = open_table(path)
                features = features_of(path, table)
            except ManifestError:
                continue
            if features is None or KEY not in table.column_names:
                continue
            first = sum(len(file.lengths) for file in files)
            for row, key in enumerate(table[KEY].to_pylist(), first):
                rows.setdefault(key, []).append(row)
            files.append(features)
        return cls(joined(files) if files else None, rows)

    def has(self, key: str) -> bool:
        """Whether the features of a clip are there, and are what was written."""
        return any(map(self._is_whole, self.rows.get(key, ())))

    def row(self, key: str) -> int:
        """Where a clip is: its features, or else why there are none."""
        assert self.file is not None
        rows = self.rows[key]
        unread = [row for row in rows if not self.file.lengths[row]]
        return next(chain(filter(self._is_whole, rows), unread, rows))

    def _is_whole(self, row: int) -> bool:
        assert self.file is not None
        if not self.file.lengths[row]:
            return False
        try:
            self.file.read(row, np.zeros(0, np.int64))  # compares the checksum of all of them
        except DecodeError:
            return False
        return True


@dataclass(frozen=True, eq=False, kw_only=True)
class _Keeper(Extractor):
    """Features under the digests of their clips."""

    keys: Sequence[str]
    facts_of: Mapping[str, Any]

    def about(self) -> dict[str, Any]:
        return dict(self.facts_of)

    @cached_property
    def table(self) -> pa.Table:
        """Path and digest of each clip."""
        paths = [str(self.manifest.path(row)) for row in range(len(self.manifest))]
        return pa.table({"path": pa.array(paths), KEY: pa.array(self.keys, pa.string())})

    def parts(self, target: Path, **more: str) -> Parts:
        size = max(FEW, min(PART_ROWS, len(self.manifest) // PARTS))
        if on_gpu(torch.device(self.device)):  # which is fast in whole batches alone
            size = -(-size // self.clips_at_once) * self.clips_at_once
        digest = input_digest({"parts": self.digest, **more})
        return Parts(target, len(self.manifest), size, digest, _not_kept)

    def join(self, paths: Sequence[Path]) -> None:
        """Write the file from its parts, also where no clip could be read."""
        join_features(paths, self.out, _not_kept)


def _keys(manifest: Manifest) -> list[str]:
    """What tells each clip from all others, wherever it is listed."""
    return [_key(manifest, row) for row in range(len(manifest))]


def _key(manifest: Manifest, row: int) -> str:
    clip = manifest.clip(row)
    facts = {
        "path": str(clip.path if not isinstance(clip.path, Path) else clip.path.absolute()),
        "span": str(clip.span),
        "num_frames": clip.num_frames,
        "fps": clip.fps,
        "file": _state(clip.path),
    }
    return input_digest(facts)


def _state(path: AnyPath) -> Sequence[object]:
    """Size and times of the file, or of the pack that it lies in; nothing is known of a url's.

    Of a folder those of every frame: to write over one leaves the folder's own as they are. The
    time of change tells a file from another of its size that is put in its place with its date.
    """
    if not isinstance(path, Path):
        return []
    for each in (path, *path.parents):
        try:
            if each == path and each.is_dir():
                with os.scandir(each) as found:
                    return sorted((entry.name, *_facts(entry.stat())) for entry in found)
            return _facts(each.stat())
        except OSError:  # inside a pack there are no files
            continue
    return []


def _facts(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _not_kept(path: Path, reason: str) -> RunError:
    """What encoders gave cannot be kept."""
    return run_error(path, reason, "free some space, or name another folder by MAREY_CACHE")
