"""How right the timelines of a model are, on videos in which people marked what happens.

Whole videos are cut into windows, scored and made into segments, as `Predictor.timeline` does, and
held to the rows of the manifest (`annotated`): mAP over tIoU of 0.1 to 0.7, and accuracy at every
moment (of several labels at a time mAP), where what no row marks is background. A video that cannot
be read counts: nothing that is marked in it is found.

Of the folder of a cross-validation each fold's run is tested on the videos of its own fold, and the
numbers are of all videos together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from marey.data.manifest.join import join
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import usable_device
from marey.engine.inference.annotated import AnnotatedVideo, annotated_videos, file_of
from marey.engine.inference.evaluate_run import EvalOptions, ScoringJob, TestClips
from marey.engine.inference.predict import Predictor
from marey.engine.inference.results_place import (
    TestedClips,
    free_folder,
    refuse_others,
    results_folder,
    results_name,
    say_what_is_replaced,
)
from marey.engine.inference.seen_videos import SeenVideo, TimelineOptions, look
from marey.engine.inference.timelines_file import (
    FILE,
    ClassTimeline,
    HeadTimeline,
    TimelineResults,
    VideoTimeline,
)
from marey.engine.results_file import Results
from marey.errors import ManifestError, RunError, counted, first_few
from marey.jobs.parts import Progress
from marey.metrics.intervals import Estimate
from marey.storage.atomic import make_folder, run_error
from marey.timelines.accuracy import accuracy_estimates, precision_estimate
from marey.timelines.detection import Matches, detection_estimates, match_segments
from marey.timelines.segments import SegmentRule

_FOLD = re.compile(r"fold-(\d+)$")


def evaluate_timelines(
    tested: EvalOptions,
    how: TimelineOptions,
    out: Path | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[TimelineResults, Path]:
    """The numbers of a model's timelines, and the timelines.json that they were written to.

    Args:
        tested: the model, or a folder with a run for each fold, and the clips.
        how: what timelines are made of its scores.
        out: folder for timelines.json; by default results/NAME-timelines of the model, where NAME
            is as in `marey.engine.inference.results_place`.
        progress: called with videos (done, total).

    Raises:
        ManifestError: the clips or their classes are not what a model knows, or folds or splits
            share videos.
        RunError: `out` has the results of other videos, or no video could be read.
        ValueError: the rule names a class that the model has not.
    """
    each_tested = [replace(tested, folder=run) for run in _runs(tested.folder)]
    jobs = [each.load(tested.device) for each in each_tested]
    for job in jobs:
        how.rule.check_classes(job.trained.classes)
        if job.manifest.features is not None:
            raise ManifestError(
                f"{job.manifest.source} lists features, which have no seconds",
                "give the manifest of the videos: --manifest FILE",
            )
    videos = [annotated_videos(job.manifest) for job in jobs]
    _refuse_shared(videos)
    for each, job, of_job in zip(each_tested, jobs, videos, strict=True):
        _refuse_divided(each.test_clips(job.trained), of_job)
    clips = _all_clips([job.manifest for job in jobs])
    place = _place(out, tested, jobs[0], clips)
    total, seen = sum(map(len, videos)), list[SeenVideo]()
    for job, of_job in zip(jobs, videos, strict=True):
        predictor = Predictor(
            replace(job.trained, recipe=job.recipe),
            torch.device(job.device),
            job.calibration,
            job.exported,
        )
        for video in of_job:
            seen.append(look(predictor, video, how))
            if progress:
                progress(len(seen), total)
    _refuse_nothing(seen)
    results = _results(jobs, tested, how, clips, seen)
    make_folder(place, partial(run_error, hint="free some space, or give another folder"))
    return results, results.write(place)


def evaluate_timelines_of(
    model: str | Path,
    manifest: str | Path | None = None,
    *,
    window_seconds: float,
    stride_seconds: float | None = None,
    rule: SegmentRule | None = None,
    split: str = "val",
    segments: int | None = None,
    calibrated: bool = False,
    out: str | Path | None = None,
    device: str | None = None,
) -> TimelineResults:
    """How right a model's timelines are, as `marey eval --window`; `marey.evaluate_timelines`.

    >>> found = marey.evaluate_timelines("runs/falls", window_seconds=2.0)  # doctest: +SKIP
    >>> found.heads["label"].estimates["map@0.5"].value                     # doctest: +SKIP
    11.7

    Args:
        model: folder of a run or release, or one with a run for each fold.
        manifest: rows of one path are what is marked in it; by default that of the model.
        window_seconds: the length of a window.
        stride_seconds: how often one begins; by default every half window.
        rule: when moments are a segment; rows of its background mark nothing.
        split: rows to take, if the manifest has a column of splits.
        segments: of a window, as the model counts its frames; by default as its test views have.
        calibrated: whether probabilities are those of `marey eval --calibrate`.
        out: folder for timelines.json; by default results/NAME-timelines of the model.
        device: "cpu", "cuda" ...; by default the GPU if there is one.

    Raises:
        MareyError, ValueError: as `evaluate_timelines`.
    """
    tested = EvalOptions(
        folder=Path(model),
        manifest=manifest,
        split=split,
        segments=segments,
        calibrated=calibrated,
        device=str(usable_device(device)),
    )
    how = TimelineOptions(
        window_seconds=window_seconds,
        stride_seconds=stride_seconds,
        rule=rule or SegmentRule(),
    )
    return evaluate_timelines(tested, how, Path(out) if out else None)[0]


def _runs(folder: Path) -> list[Path]:
    """The folder of a model; of a cross-validation the runs of its folds, by their numbers."""
    folds = {
        int(match[1]): path for path in folder.glob("fold-*") if (match := _FOLD.search(str(path)))
    }
    if not folds or (folder / "checkpoints").exists():
        return [folder]
    return [folds[number] for number in sorted(folds)]


def _results(
    jobs: Sequence[ScoringJob],
    options: EvalOptions,
    how: TimelineOptions,
    clips: Manifest,
    seen: Sequence[SeenVideo],
) -> TimelineResults:
    facts = [
        Results(
            num_clips=len(job.manifest),
            chosen=job.trained.chosen,
            role=job.role[0],
            role_clips=job.role[1],
        )
        for job in jobs
    ]
    tested, classes = TestedClips.of(clips, jobs[0].split), jobs[0].trained.classes
    several = jobs[0].recipe.model.several
    return TimelineResults(
        models=[str(folder) for folder in _runs(options.folder)],
        manifest=tested.source,
        root=tested.root,
        split=tested.split,
        data_hash=tested.digest,
        num_clips=len(clips),
        window_seconds=how.window_seconds,
        stride_seconds=how.stride,
        rule=how.rule,
        heads={head: _head(head, names, head in several, seen) for head, names in classes.items()},
        videos=[_video(of, classes) for of in seen],
        bad_spans=[line for of in seen for line in of.bad],
        weights="; ".join(dict.fromkeys(of.chosen.in_words() for of in facts if of.chosen.how)),
        caution="; ".join(dict.fromkeys(of.caution for of in facts if of.caution)),
    )


def _head(
    head: str, names: Sequence[str], several: bool, seen: Sequence[SeenVideo]
) -> HeadTimeline:
    marked = [of.marked[head] for of in seen]
    matches = match_segments(marked, [of.spans(head, names) for of in seen], len(names))
    moments = [of.moments[head] for of in seen if not of.error]
    at_moments = (
        {"moments/map": precision_estimate(moments)}
        if several
        else {f"moments/{key}": of for key, of in accuracy_estimates(moments).items()}
    )
    estimates: dict[str, Estimate] = detection_estimates(matches) | at_moments
    return HeadTimeline(estimates=estimates, classes=_classes(matches, names))


def _classes(matches: Matches, names: Sequence[str]) -> dict[str, ClassTimeline]:
    """Those that are marked or found."""
    marked = matches.num_marked.sum(axis=0)
    found = np.bincount(matches.classes, minlength=len(names))
    precision = 100 * matches.precision()
    return {
        name: ClassTimeline(
            num_marked=int(marked[c]),
            num_found=int(found[c]),
            precision={
                f"{bound:g}": float(precision[b, c]) for b, bound in enumerate(matches.bounds)
            },
        )
        for c, name in enumerate(names)
        if marked[c] or found[c]
    }


def _video(seen: SeenVideo, classes: dict[str, tuple[str, ...]]) -> VideoTimeline:
    if seen.error:
        return VideoTimeline(path=seen.path, error=seen.error)
    several = len(classes) > 1
    return VideoTimeline(
        path=seen.path,
        seconds=seen.seconds,
        marked=[
            {"start": start, "end": end}
            | ({"head": head} if several else {})
            | {"label": classes[head][number]}
            for head, of in seen.marked.items()
            for start, end, number in of.rows()
        ],
        found=[
            replace(segment, head=head if several else "").to_json()
            for head, of in seen.found.items()
            for segment in of
        ],
    )


def _all_clips(parts: Sequence[Manifest]) -> Manifest:
    """The clips of all models as one manifest; those of the first if there is one."""
    if len(parts) == 1:
        return parts[0]
    of_one_list = len({part.source for part in parts}) == 1
    joined = join(parts)
    return replace(joined, source=parts[0].source) if of_one_list else joined


def _refuse_nothing(seen: Sequence[SeenVideo]) -> None:
    """RunError if no video could be read: it is more likely that the words are wrong."""
    if seen and all(of.error for of in seen):
        reasons = first_few((of.error for of in seen), 3)
        raise RunError(f"none of {counted(len(seen), 'video')} could be read: {reasons}")


def _refuse_shared(videos: Sequence[Sequence[AnnotatedVideo]]) -> None:
    """ManifestError if two models are tested on one video."""
    first: dict[str, int] = {}
    for number, of_job in enumerate(videos):
        for video in of_job:
            if first.setdefault(video.file, number) != number:
                raise ManifestError(
                    f"{video.path} is tested by two models",
                    "folds are each tested on their own videos: leave out --manifest, and keep the "
                    "rows of a video in one fold, as marey data init --folds does",
                )


def _refuse_divided(test: TestClips, videos: Sequence[AnnotatedVideo]) -> None:
    """ManifestError if a video has rows of other splits: those would count as background."""
    whole = test.whole
    if whole.splits is None:
        return
    rows = np.setdiff1d(np.arange(len(whole)), whole.rows_of(test.split))
    others = {file_of(path) for path in {whole.path(row) for row in rows.tolist()}}
    if divided := [str(video.path) for video in videos if video.file in others]:
        raise ManifestError(
            f"{whole.source}: {counted(len(divided), 'video')} of split {test.split} with"
            f" rows of other splits, which would count as background: {first_few(divided, 3)}",
            "keep the rows of a video in one split, as marey data init does",
        )


def _place(out: Path | None, tested: EvalOptions, job: ScoringJob, clips: Manifest) -> Path:
    these = TestedClips.of(clips, job.split)
    if out:
        refuse_others(out, these, FILE)
        return out
    name = results_name(job.other_clips, job.split) or tested.split
    folder = results_folder(tested.folder, f"{name}-timelines")
    if job.other_clips:
        folder = free_folder(folder, these, FILE)
    say_what_is_replaced(folder, these, FILE)
    return folder
