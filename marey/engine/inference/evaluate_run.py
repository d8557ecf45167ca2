"""Evaluating what lies in a folder: a run or a release, on its own manifest or another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from marey.data.lists.epic_splits import read_epic_splits
from marey.data.manifest.join import read_manifests
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.labelled import is_labelled_source, read_labelled
from marey.engine.environment import usable_device
from marey.engine.inference.calibrate import (
    calibrated_arrays,
    changes,
    measured,
    refuse_clips_that_measured,
    refuse_training_clips,
)
from marey.engine.inference.class_names import with_class_names
from marey.engine.inference.clip_roles import places_of, role_of
from marey.engine.inference.encoded import KeptFeatures
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.jobs import ClipJob, Options, load_for, run
from marey.engine.inference.kept_scores import is_kept, score_kept
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.results import results_of, write_results
from marey.engine.inference.results_place import (
    TestedClips,
    clips_name,
    free_folder,
    refuse_others,
    results_folder,
    results_name,
    say_what_is_replaced,
)
from marey.engine.inference.scoring import ScoreArrays, check_heads
from marey.engine.results_file import Results, Role, read_results
from marey.engine.runtimes.form import form_name
from marey.engine.runtimes.usable import Usable, open_model
from marey.engine.weights.calibration import Calibration, plain_views
from marey.engine.weights.class_counts import Counts
from marey.engine.weights.clip_facts import clip_facts
from marey.engine.weights.trained import Trained, keep_calibration
from marey.errors import ManifestError, MareyError, RunError, counted
from marey.jobs.executors import HERE, Executor
from marey.jobs.parts import Parts, Progress
from marey.jobs.shards import WHOLE, Shard
from marey.jobs.tables import read_tables, write_table
from marey.metrics.groups import RuleName
from marey.recipes.recipe import DataSpec, Recipe, TestViews
from marey.recipes.resolve import dealt
from marey.recipes.testing import for_test
from marey.storage.atomic import make_folder, run_error, write_text
from marey.storage.lock import locked_if_possible
from marey.storage.text_files import read_text
from marey.storage.url import any_path

MISSING = "missing"
"""The column of a part that says why a clip could not be read."""


log = logging.getLogger("marey")


@dataclass(frozen=True, eq=False)
class TestClips:
    """The clips that a model is to be tested on, and how they were read."""

    clips: Manifest
    """With the classes as their manifest has them."""
    split: str
    """Of the manifest; empty if it has none."""
    name: str
    """What they are called; empty of those that the model was validated on."""
    whole: Manifest
    """With the rows of the other splits."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options["ScoringJob"]):
    """What is tested and how.

    Args:
        folder: of a run or of a release.
        manifest: the clips: a manifest, class folders, a list, or files in class folders, several
            or by a pattern, also several manifests; by default those the model was validated on.
            Classes are matched by name.
        split: rows to take, if the manifest has a column of splits.
        protocol: test views by name (`marey.recipes.protocols`); by default the model's own.
        segments: of a clip; by default as many as these views have.
        overrides: ``key=value`` that change how it is tested.
        views: test views in place of the model's own.
        calibrated: whether logits are divided by the temperatures of the folder's calibration.json.
        trusted: whether who made the model may run code here (`open_model`).
    """

    folder: Path
    manifest: str | Path | tuple[str, ...] | None = None
    split: str = "val"
    protocol: str | None = None
    segments: int | None = None
    overrides: tuple[str, ...] = ()
    views: TestViews | None = None
    calibrated: bool = False
    trusted: bool = False

    def tested(self, trained: Recipe) -> Recipe:
        """The recipe of the trained model, with the views that it is tested in."""
        recipe = replace(trained, test=self.views) if self.views else trained
        return for_test(
            recipe, protocol=self.protocol, segments=self.segments, overrides=self.overrides
        )

    @property
    def _lists(self) -> tuple[str, ...]:
        """The manifests that are given."""
        given = () if self.manifest is None else self.manifest
        return given if isinstance(given, tuple) else (str(given),)

    def load(self, device: str) -> ScoringJob:
        """The model and the clips; ManifestError unless their classes are the model's."""
        model, test = self.opened(device)
        trained = model.trained
        recipe = self.tested(trained.recipe)
        model = model.tested_by(recipe)
        for note in test.notes:
            log.warning("%s: %s", test.clips.source, note)
        manifest = with_class_names(test.clips, trained)
        check_heads(trained.model, manifest)
        calibration = None
        if self.calibrated:
            calibration = model.calibration()
            refuse_clips_that_measured(manifest, calibration, self._data(recipe))
        return ScoringJob(
            trained=trained,
            exported=model.exported,
            calibration=calibration,
            model=trained.model,
            recipe=recipe,
            manifest=manifest,
            workers=self.workers,
            batch_size=self.batch_size,
            device=device,
            folder=trained.folder,
            split=test.split,
            other_clips=test.name,
        )

    def opened(self, device: str) -> tuple[Usable, TestClips]:
        """The model as it takes the clips, and these; ManifestError if they cannot be read."""
        model = open_model(self.folder, device, trusted=self.trusted)
        test = self.test_clips(model.trained)
        return model.for_clips(test.clips), test

    def test_clips(self, trained: Trained) -> TestClips:
        """The clips to test this model on; ManifestError if they cannot be read."""
        data, notes = self._data(self.tested(trained.recipe)), tuple[str, ...]()
        if self.manifest is not None and is_labelled_source(self.manifest):
            whole, notes = read_labelled(self.manifest)
        else:
            lists = self._lists or _own_lists(data, self.folder)
            whole = dealt(read_manifests(lists, heads=trained.classes, at=data.location), data)
        clips = whole.select(self.split)
        name = "" if self._are_own(clips, data, trained) else self._clips_name(data)
        return TestClips(clips, "" if whole.splits is None else self.split, name, whole, notes)

    def _data(self, recipe: Recipe) -> DataSpec:
        """Where the clips are, as far as the recipe says it; a fold is one of its own manifest."""
        return recipe.data if self.manifest is None else replace(recipe.data, fold=None)

    def _are_own(self, clips: Manifest, data: DataSpec, trained: Trained) -> bool:
        """Whether these are the clips of the split that the model itself was validated on.

        Those of its manifests or, where these are gone, those that chose its weights.
        """
        own = trained.recipe.data
        if self.manifest is None and (data.val_lists, data.fold) == (own.val_lists, own.fold):
            return True
        try:
            listed = read_manifests(own.val_lists, heads=trained.classes, at=own.location)
            known = dealt(listed, own).select(self.split)
        except MareyError:
            return trained.chosen.role_of(clip_facts(clips).clips) == "choice"
        return clips.digest() == known.digest() and places_of(clips) == places_of(known)

    def _clips_name(self, data: DataSpec) -> str:
        """What the clips are called that are not the model's own."""
        lists = self._lists or data.val_lists
        if self.manifest is not None and len(lists) > 1 and is_labelled_source(lists):
            lists = (os.path.commonpath([os.path.abspath(each) for each in lists]),)  # noqa: PTH100
        fold = "" if data.fold is None else f"-fold-{data.fold}"
        return clips_name(lists) + fold


def _own_lists(data: DataSpec, folder: Path) -> tuple[str, ...]:
    """The manifests that a run was validated on; ManifestError if one is not there any more.

    Models that are given away do not say where their clips lie.
    """
    if not any(data.val_lists):
        raise ManifestError(
            f"{folder} does not say which clips it was validated on", "name some: --manifest FILE"
        )
    for each in data.val_lists:
        path = any_path(each)
        if isinstance(path, Path) and not path.exists():
            raise ManifestError(
                f"{each}, whose clips {folder} was validated on, is not there",
                "give a manifest that says where they are, of the videos or of features of them",
            )
    return data.val_lists


def evaluate_folder(
    options: EvalOptions,
    out: Path | None = None,
    *,
    train_manifest: Path | None = None,
    rule: RuleName = "paper",
    epic_lists: Path | None = None,
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
    keep: bool = False,
    calibrate: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Evaluation | None, Path]:
    """The evaluation of the model in a folder, and the results.json it was written to.

    None if they were kept; or, with a `shard`, if others have clips to score yet or have written
    the results.

    Args:
        options: what is tested and how.
        out: folder for results.json and predictions.parquet; by default results/NAME of the model,
            where NAME is the split or, of clips that are not its own, what they are called
            (`marey.engine.inference.results_place`).
        train_manifest: its split train is counted to tell head, tail and few-shot classes; by
            default as the folder has counted its own training clips.
        rule: by which these are told.
        epic_lists: the folder of EPIC-KITCHENS' annotations, for the numbers of its tail classes
            and unseen people.
        executor: whose processes score.
        shard: the share of the clips to score.
        progress: called with clips (done, total).
        keep: whether results that an earlier call with `keep` made of the same, without a missing
            clip, are left as they are.
        calibrate: whether the temperatures that suit these clips best are written into the folder
            of the model, for others of `options.calibrated`.
        say: called with how many clips the encoder has seen before, if it has any.

    Raises:
        RecipeError: if overrides would change what was trained.
        ManifestError: if the clips or their classes are not what the model knows.
        RunError: if `out` cannot be written, holds the results of another list of clips, or
            another process writes there.
    """
    job = load_for(options, executor)
    out = _place(out, options, job)
    if calibrate and job.exported is not None:
        raise RunError(
            f"{options.folder} is an export: temperatures belong to the run that it was made of",
            "marey eval RUN --calibrate, and export it again",
        )
    if calibrate:
        refuse_training_clips(job.manifest, *job.role)
    counts = TrainingCounts(_class_counts(job, train_manifest), rule)
    subsets = read_epic_splits(epic_lists).subsets(job.manifest) if epic_lists else {}
    if num_kept := job.num_kept:
        said = f"{num_kept:,} of {counted(len(job.manifest), 'clip')} encoded before"
        say(f"{said}; what is kept in {job.kept.folder} is used")
    parts = job.parts(
        out / "results.json",
        rule=rule,
        train_manifest=str(train_manifest),
        epic_lists=str(epic_lists),
        **({"calibrated": job.calibration.in_words()} if job.calibration else {}),
    )
    results: list[Evaluation] = []
    if keep and _is_kept(out, parts):
        return None, parts.target

    def join(paths: Sequence[Path]) -> None:
        result = replace(job.evaluation(paths, counts), subsets=subsets)
        calibration = job.calibrating(result) if calibrate else None
        write_results(result, out, job.results(result))
        if calibration:
            keep_calibration(calibration, job.trained)
        results.append(result)

    make_folder(out, partial(run_error, hint="free some space, or give another folder"))
    with ExitStack() as stack:
        if shard.is_whole:  # shares of one evaluation work side by side, two evaluations do not
            stack.enter_context(locked_if_possible(out / ".lock", f"evaluates into {out}"))
        run(job, options, parts, join, executor=executor, shard=shard, progress=progress)
    if shard.is_whole and not results:  # there are no others to wait for
        path, remedy = parts.target, "give another folder, or read it"
        raise RunError(f"another process wrote {path} meanwhile", remedy)
    if keep and results:
        write_text(out / _KEPT, parts.digest, run_error)
    return (results[0] if results else None), parts.target


def _place(asked: Path | None, options: EvalOptions, job: ScoringJob) -> Path:
    """The folder for the results of a job; it is said if those of other clips are replaced."""
    clips = TestedClips.of(job.manifest, job.split)
    if asked:
        refuse_others(asked, clips)
    name = results_name(job.other_clips, job.split) or options.split
    folder = asked or results_folder(options.folder, name)
    if job.other_clips and not asked:
        folder = free_folder(folder, clips)
    say_what_is_replaced(folder, clips)
    return folder


def evaluate_model(
    model: str | Path,
    manifest: str | Path | Sequence[str | Path] | None = None,
    *,
    split: str = "val",
    protocol: str | None = None,
    segments: int | None = None,
    changes: Sequence[str] = (),
    calibrate: bool = False,
    calibrated: bool = False,
    out: str | Path | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
) -> Evaluation:
    """The evaluation of a trained model, as `marey eval` makes and writes it; `marey.evaluate`.

    >>> found = marey.evaluate("runs/tsm-r18", "new/manifest.csv")  # doctest: +SKIP
    >>> found.metrics["acc/top1"]                                   # doctest: +SKIP
    75.0

    Args:
        model: folder of a run or release, or one checkpoint of a run.
        manifest: the clips: a manifest, class folders, a list, a pattern of files, or several of
            one kind; by default those that the model was validated on.
        split: rows to take, if the manifest has a column of splits.
        protocol: test views by name (`marey.recipes.protocols`); by default the model's own.
        segments: of a clip; by default as many as these views have.
        changes: ``key=value`` that change how it is tested.
        calibrate: write the temperatures that suit these clips best into the model's folder.
        calibrated: divide logits by those that were measured on other clips.
        out: folder for results.json and predictions.parquet; by default results/SPLIT of the model,
            and results/NAME-SPLIT of clips that are not its own, NAME being that of their list.
        workers, batch_size: how clips are read.
        device: "cpu", "cuda" ...; by default the GPU if there is one.

    Raises:
        MareyError: as `evaluate_folder`.
        ValueError: `calibrate` and `calibrated` at once, or numbers that cannot be.
    """
    if calibrate and calibrated:
        raise ValueError(
            "calibrate measures on these clips what calibrated applies to others, expected one of "
            "them"
        )
    model = Path(model)
    if manifest is not None and not isinstance(manifest, str | Path):
        several = tuple(map(str, manifest))
        manifest = several if len(several) > 1 else several[0]
    options = EvalOptions(
        folder=model,
        manifest=manifest,
        split=split,
        protocol=protocol,
        segments=segments,
        overrides=tuple(changes),
        calibrated=calibrated,
        workers=workers,
        batch_size=batch_size,
        device=str(usable_device(device)),
    )
    found, _ = evaluate_folder(options, Path(out) if out else None, calibrate=calibrate)
    assert found is not None, "all clips are this call's"
    return found


_KEPT = ".made-of"
"""The digest of what the results beside it were made of."""


def _is_kept(out: Path, parts: Parts) -> bool:
    """Whether the results in `out` are there, wanted, and lack no clip."""
    if not parts.target.is_file() or read_text(out / _KEPT) != parts.digest:
        return False
    return not read_results(parts.target).num_missing


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoringJob(ClipJob):
    """The scores of clips that have labels."""

    trained: Trained
    split: str = ""
    """Of the manifest, if it has any."""
    calibration: Calibration | None = None
    """Whose temperatures the logits are divided by."""
    other_clips: str = ""
    """What the clips are called, if the model was not validated on them."""

    @cached_property
    def role(self) -> tuple[Role, int]:
        """What the clips were to the weights, and how many of them."""
        return role_of(self.manifest, self.trained.chosen, self.trained.recipe.data)

    @cached_property
    def kept(self) -> KeptFeatures:
        """What the encoder gave of clips in these views before."""
        model = self.model.with_frames(self.recipe.test.sampling.frames)
        return KeptFeatures(model=model, recipe=self.recipe, device=self.device)

    @property
    def num_kept(self) -> int:
        """Clips of which features are kept; none where a file scores, which takes no features."""
        return 0 if self.exported else int(is_kept(self.kept, self.manifest).sum())

    def scores(
        self, rows: range, *, progress: Progress | None = None
    ) -> tuple[ScoreArrays, dict[int, str]]:
        """As of any job; features that are kept go straight to the heads."""
        if self.exported is not None:
            return super().scores(rows, progress=progress)
        return score_kept(
            self.kept,
            self.clips(rows),
            workers=self.workers,
            batch_size=self.batch_size,
            progress=progress and (lambda done, _: progress(rows.start + done, len(self.manifest))),
        )

    def facts(self) -> Mapping[str, object]:
        """The clips and the weights."""
        return {"manifest": self.manifest.digest(), "weights": self.weights}

    def write(self, rows: range, file: BinaryIO, *, progress: Progress | None = None) -> None:
        """Write the scores of these clips as an Arrow file, a column a head."""
        scores, missing = self.scores(rows, progress=progress)
        columns: dict[str, pa.Array] = {
            f"scores.{head}": pa.FixedSizeListArray.from_arrays(
                pa.array(values.ravel()), values.shape[1]
            )
            for head, values in scores.items()
        }
        reasons = [missing.get(row) for row in range(len(rows))]
        write_table(pa.table(columns | {MISSING: pa.array(reasons, pa.large_string())}), file)

    def results(self, evaluation: Evaluation) -> Results:
        """What results.json says of the `evaluation` of these clips."""
        role, shared = self.role
        return replace(
            results_of(evaluation, self.model, self.recipe),
            chosen=self.trained.chosen,
            scored_by=form_name(self.scorer),
            calibration=changes(evaluation, self.calibration) if self.calibration else {},
            split=self.split,
            other_clips=self.other_clips,
            role=role,
            role_clips=shared,
        )

    def evaluation(self, paths: Sequence[Path], trained_on: TrainingCounts) -> Evaluation:
        """The evaluation whose parts lie at `paths`."""
        table = pa.concat_tables(read_tables(paths))
        scores: ScoreArrays = {
            head.name: _matrix(table[f"scores.{head.name}"]) for head in self.model.spec.heads
        }
        reasons = enumerate(table[MISSING].to_pylist())
        missing = {row: reason for row, reason in reasons if reason is not None}
        average = self.recipe.test.average
        scores = calibrated_arrays(scores, self.calibration, average)
        several = self.model.spec.several
        return Evaluation(self.manifest, scores, missing, average, trained_on, several=several)

    def calibrating(self, evaluation: Evaluation) -> Calibration:
        """The temperatures that suit these clips best."""
        return Calibration(
            temperatures=measured(evaluation),
            manifest=str(self.manifest.source),
            split=self.split,
            other_clips=self.other_clips,
            num_clips=len(evaluation.readable_rows),
            clips=clip_facts(self.manifest).clips,
            role=self.role[0],
            weights=self.weights,
            views=plain_views(self.recipe.test),
        )


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Scores float32 [n k] of a column of lists."""
    flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate(flat).reshape(len(column), -1)


def _class_counts(job: ScoringJob, train_manifest: Path | None) -> Mapping[str, Counts]:
    """Training clips of every class of every head, int64 [k]."""
    trained = job.trained
    if train_manifest is None:
        return trained.class_counts
    at = Location(job.recipe.data.root or None)
    clips = read_manifest(train_manifest, split="train", heads=trained.classes, at=at)
    manifest = with_class_names(clips, trained)
    return {head: manifest.class_counts(head) for head in trained.classes}
