"""The command `marey predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli import timeline_options as timelines
from marey.cli.shared import (
    above_zero,
    console,
    device_or_default,
    errors,
    executor_of_a_model,
    progress_bar,
    refused_values,
)
from marey.cli.weights import at_hand
from marey.errors import counted
from marey.jobs.shards import WHOLE
from marey.terminal import Terminal, visible_json

if TYPE_CHECKING:
    from marey.engine.inference.predict import Answer, Predictor
    from marey.engine.runtimes.graph_files import Runtime


@timelines.with_rule
def predict(
    model: opt.Model,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO...",
            help="files, 'clips/*.mp4', a folder of frames or of videos; with --out also a list",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="labels to show")] = 5,
    window: Annotated[
        float | None,
        typer.Option(
            parser=above_zero,
            metavar="SECONDS",
            help="a timeline; with --json alone every window, and its score of each class",
        ),
    ] = None,
    stride: timelines.Stride = None,
    rule: timelines.Rule = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="NAME.parquet, .csv or .jsonl: a row for each of many clips"),
    ] = None,
    overwrite: opt.Overwrite = False,
    form: opt.Form = None,
    all_scores: opt.AllScores = False,
    allow_missing: opt.AllowMissing = False,
    sls: opt.Sls = None,
    segments: opt.Segments = None,
    calibrated: opt.Calibrated = False,
    runtime: opt.GraphRuntime = None,
    trusted: opt.Trusted = False,
    split: Annotated[str | None, typer.Option(help="rows of a manifest; default: all")] = None,
    root: opt.Root = None,
    columns: opt.Columns = None,
    ignore: opt.Ignore = None,
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    device: opt.Device = None,
    download: opt.Download = False,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Say what happens in a video, or when; with --out, in all clips of a manifest or list."""
    many = {
        "--overwrite": overwrite or None,
        "--format": form,
        "--all-scores": all_scores or None,
        "--allow-missing": allow_missing or None,
        "--sls": sls,
        "--split": split,
        "--root": root,
        "--columns": columns,
        "--ignore": ignore,
        "--workers": workers,
        "--batch-size": batch_size,
        "--executor": None if executor == "local" else executor,
        "--address": address,
        "--shard": None if shard is WHOLE else shard,
    }
    one = {"--window": window, "--stride": stride, "--json": as_json or None}
    from marey.data.own_videos.patterns import matching
    from marey.timelines.segments import SegmentRule

    if window is None:
        of_windows = {"--stride": stride, "what makes segments (--smooth, --threshold, ...)": rule}
        _refuse(of_windows, "is of windows: give --window too")
    device = device_or_default(device)
    files = [file for each in source for file in matching(each)]
    model = at_hand(model, download=download)
    if out is None:
        _refuse(many, "is for many clips: it needs --out NAME.parquet")
        predictor = _loaded(
            model,
            files,
            device,
            segments=segments,
            calibrated=calibrated,
            runtime=runtime,
            trusted=trusted,
        )
        if window is not None:
            timelines.say_unseen(window, stride)
        every_window = window is not None and as_json and rule is None
        if window is not None and not every_window:
            rule = rule or SegmentRule()
            with refused_values():
                rule.check_classes(predictor.trained.classes)
        with progress_bar("predicting") as progress:
            answers = predictor.predict(
                files[0] if len(files) == 1 else files,
                top=top,
                window_seconds=window,
                stride_seconds=stride,
                all_scores=every_window,
                rule=rule,
                progress=progress,
            )
        by_file = answers if isinstance(answers, dict) else {files[0]: answers}
        _print(by_file, as_json=as_json)
        if any("error" in answer for of in by_file.values() for answer in of):
            raise typer.Exit(1)
        return
    _refuse(one, "is for what is shown here: leave out --out")

    from marey.engine.inference.outputs.forms import TABLES, OutputOptions, form_of
    from marey.engine.inference.predict_many import PredictOptions, predict_clips

    output = OutputOptions(
        form=form_of(out, form),
        top=top,
        all_scores=all_scores,
        allow_missing=allow_missing,
        sls=sls,
    )
    with progress_bar("predicting") as progress:
        made = predict_clips(
            PredictOptions(
                model=model,
                source=files[0] if len(files) == 1 else tuple(files),
                top=top,
                segments=segments,
                calibrated=calibrated,
                runtime=runtime,
                trusted=trusted,
                split=split,
                root=root,
                columns=columns,
                ignore=ignore,
                workers=workers,
                batch_size=batch_size,
                device=device,
            ),
            out,
            executor=executor_of_a_model(executor, address, workers, device),
            shard=shard,
            progress=progress,
            output=output,
            overwrite=overwrite,
            say=lambda line: console.print(escape(line)),
        )
    if made is None:
        console.print(f"{out} is there when all shards are done")
        return
    if made.num_missing and output.form in TABLES:
        errors.print(
            f"{made.num_missing:,} of {counted(made.num_clips, 'clip')} could not be read; "
            "the column 'error' says why"
        )
    console.print(f"written: {out}")


def _loaded(
    model: Path,
    videos: list[str],
    device: str,
    *,
    segments: int | None,
    calibrated: bool,
    runtime: Runtime | None,
    trusted: bool,
) -> Predictor:
    from marey.data.own_videos.unlabelled import lists_clips
    from marey.engine.inference.predict import load
    from marey.errors import ManifestError
    from marey.recipes.testing import segments_in_words

    if lists := [video for video in videos if lists_clips(video)]:
        raise ManifestError(f"{lists[0]} is a list of clips", "give --out NAME.parquet too")
    predictor = load(
        model,
        device,
        segments=segments,
        calibrated=calibrated,
        runtime=runtime,
        trusted=trusted,
    )
    if words := segments_in_words(predictor.trained.recipe):
        errors.print(words)
    if predictor.calibration:
        errors.print(f"calibrated: {predictor.calibration.in_words()}")
    return predictor


def _print(by_file: Mapping[str, list[Answer]], *, as_json: bool) -> None:
    import json

    if as_json:
        print(visible_json(json.dumps(by_file, indent=1, ensure_ascii=False)))
        return
    answer_to = Terminal()  # the console may be quiet, and answers are what was asked for
    for file, answers in by_file.items():
        answer_to.print(escape(file))
        for answer in answers:
            answer_to.print("  " + escape(_answer(answer)))


def _refuse(options: Mapping[str, object], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"{name} {why}")


def _answer(answer: Mapping[str, object]) -> str:
    if "error" in answer:
        return f"error: {answer['error']}"
    words = [f"{answer['score']:6.1%}  {answer['label']}"]
    if "start" in answer:
        words.insert(0, f"{answer['start']:8.2f} - {answer['end']:8.2f} s ")
    return " ".join([*words, f"({answer['head']})"] if "head" in answer else words)
