"""The command `marey eval`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli import timeline_options as timelines
from marey.cli.ensemble import evaluate_ensemble, models_and_overrides
from marey.cli.evaluate_timelines import print_timelines
from marey.cli.metric_tables import (
    print_calibration,
    print_classes,
    print_groups,
    print_metrics,
    print_subsets,
    print_tested,
    print_untested,
)
from marey.cli.shared import (
    above_zero,
    console,
    device_or_default,
    errors,
    executor_of_a_model,
    progress_bar,
)
from marey.cli.tables import AsJson, print_json
from marey.cli.weights import at_hand
from marey.errors import counted
from marey.jobs.shards import WHOLE

if TYPE_CHECKING:
    from marey.engine.inference.evaluate import Evaluation
    from marey.engine.results_file import Results


@timelines.with_rule
def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            help="folder of a run or release, a name of marey weights, or a dump of predictions"
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]... [KEY=VALUE]...",
            help="more models, for an ensemble; then what changes the test views",
        ),
    ] = None,
    manifest: Annotated[
        list[str] | None,
        typer.Option(
            help="or class folders, a list, 'clips/*/*.mp4', or several; default: that of the run;"
            " of several models one for each, or for all"
        ),
    ] = None,
    split: opt.Split = "val",
    train_manifest: Annotated[
        Path | None, typer.Option(help="counts its training clips; default: as the run counted")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="test views by name: marey recipes protocols lists them")
    ] = None,
    segments: opt.Segments = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="measure on these clips the temperature that --calibrated applies"
        ),
    ] = False,
    calibrated: opt.Calibrated = False,
    trusted: opt.Trusted = False,
    groups: Annotated[
        Literal["paper", "release", "videolt"], typer.Option(help="rule for head, tail and few")
    ] = "paper",
    epic_lists: Annotated[
        Path | None,
        typer.Option(help="folder of EPIC-KITCHENS' annotations: its tail and unseen people, too"),
    ] = None,
    reconstruction: Annotated[
        bool, typer.Option("--reconstruction", help="also: what LMR rebuilds rare classes from")
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(
            parser=above_zero,
            metavar="SECONDS",
            help="of whole videos: how right the timelines of such windows are",
        ),
    ] = None,
    stride: timelines.Stride = None,
    rule: timelines.Rule = None,
    weights_of: Annotated[
        str | None, typer.Option(metavar="W,W...", help="of several models; default: equal")
    ] = None,
    average: Annotated[
        Literal["logits", "probs"] | None,
        typer.Option(help="over several models; default: as over their views"),
    ] = None,
    row: Annotated[
        str | None, typer.Option(help="the published ensemble that the models are to be")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="folder in RUN/results; default: SPLIT, of other clips CLIPS-SPLIT"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="default: MODEL/results/NAME; holds results of the same clips alone, made anew"
        ),
    ] = None,
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    device: opt.Device = None,
    download: opt.Download = False,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
    as_json: AsJson = False,
) -> None:
    """Score every view of every clip; KEY=VALUE changes the test views (test.crop=...).

    Of several models, the weighted mean of their scores: an ensemble.
    """
    from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
    from marey.engine.inference.results_place import results_folder
    from marey.engine.inference.stored import dump_of
    from marey.engine.results_file import read_results

    others, overrides = models_and_overrides(more or [])
    manifest = manifest or []
    if manifest:  # a shell makes several words of a pattern
        manifest += [str(each) for each in others if _is_clips(each)]
        others = [each for each in others if not _is_clips(each)]
    if clips := next(filter(_is_clips, [model, *others]), None):
        raise typer.BadParameter(
            f"{clips} is clips and no model: those to test on are given by --manifest {clips}"
        )
    if window is None and (rule or stride is not None):
        raise typer.BadParameter(
            "--stride and what makes segments (--smooth, --threshold, ...) are of windows: give"
            " --window too"
        )
    model, *others = (at_hand(one, download=download) for one in (model, *others))
    is_ensemble = bool(others or weights_of or average or row)
    if not is_ensemble and (dump := dump_of(model)):
        for_models = {
            "--manifest": manifest,
            "--train-manifest": train_manifest,
            "--protocol": protocol,
            "--segments": segments,
            "--calibrate": calibrate,
            "--calibrated": calibrated,
            "--groups": groups != "paper",
            "--reconstruction": reconstruction,
            "--name": name,
            "--out": out,
            "--shard": not shard.is_whole,
            "--window": window,
        }
        given = [option for option, value in for_models.items() if value]
        if wrong := [*given, *overrides]:
            raise typer.BadParameter(
                f"{', '.join(wrong)}: {dump} has its clips and views, whose numbers are printed"
            )
        _print_dump(dump, epic_lists, as_json=as_json)
        return
    if calibrate and calibrated:
        raise typer.BadParameter(
            "--calibrate measures on these clips what --calibrated applies to others"
        )
    device = device_or_default(device)
    options = EvalOptions(
        folder=model,
        manifest=tuple(manifest) if len(manifest) > 1 else manifest[0] if manifest else None,
        split=split,
        protocol=protocol,
        segments=segments,
        overrides=tuple(overrides),
        calibrated=calibrated,
        trusted=trusted,
        workers=workers,
        batch_size=batch_size,
        device=device,
    )
    if window is not None:
        not_of_timelines = {
            "several models, --weights-of, --average and --row": is_ensemble,
            "--train-manifest": train_manifest,
            "--calibrate": calibrate,
            "--epic-lists": epic_lists,
            "--reconstruction": reconstruction,
            "--workers": workers,
            "--batch-size": batch_size,
            "--executor": executor != "local",
            "--shard": not shard.is_whole,
        }
        if wrong := [option for option, value in not_of_timelines.items() if value]:
            raise typer.BadParameter(f"{', '.join(wrong)}: not of timelines (--window)")
        place = results_folder(model, name, of_checkpoint=False) if name else None
        print_timelines(options, window, stride, rule, out=out or place, as_json=as_json)
        return
    if is_ensemble:
        if reconstruction:
            raise typer.BadParameter("--reconstruction is of one model")
        if calibrate or calibrated:
            raise typer.BadParameter(
                "--calibrate and --calibrated are of one model: a temperature suits the model that"
                " it was measured on, not the mean of several. Evaluate each with --calibrated,"
                " and give what they wrote in their place: RUN/results/NAME"
            )
        evaluate_ensemble(
            [model, *others],
            options,
            manifests=manifest,
            weights=weights_of,
            average=average,
            row=row,
            out=out,
            name=name,
            train_manifest=train_manifest,
            rule=groups,
            epic_lists=epic_lists,
            executor=executor_of_a_model(executor, address, workers, device),
            shard=shard,
            as_json=as_json,
        )
        return
    with progress_bar("evaluating") as progress:
        result, path = evaluate_folder(
            options,
            out or (results_folder(model, name, of_checkpoint=False) if name else None),
            train_manifest=train_manifest,
            rule=groups,
            epic_lists=epic_lists,
            executor=executor_of_a_model(executor, address, workers, device),
            shard=shard,
            progress=progress,
            calibrate=calibrate,
            say=lambda line: (errors if as_json else console).print(escape(line)),
        )
    if result is None:
        console.print(f"{path} is there when all shards are done")
        return
    if as_json:
        print_json(read_results(path))
    else:
        _print_result(result, read_results(path))
    if result.missing:
        errors.print(f"{_unread(len(result.missing))}; see {path}")
    (errors if as_json else console).print(f"written: {path}")
    if calibrate:
        print_calibration(model)
    if reconstruction:
        from marey.engine.inference.reconstruction import reconstruct_folder

        with progress_bar("reconstructing") as progress:
            written = reconstruct_folder(
                model,
                train_manifest=train_manifest,
                workers=workers,
                batch_size=batch_size,
                device=device,
                progress=progress,
            )
        console.print(f"written: {written}")


def _unread(number: int) -> str:
    count = "counts" if number == 1 else "count"
    return f"{counted(number, 'clip')} could not be read and {count} as wrong"


def _is_clips(word: Path) -> bool:
    """Whether a word is a video or a folder that holds clips, and no model."""
    from marey.data.manifest.paths import VIDEO
    from marey.data.own_videos.folders import clips_below

    if not word.is_dir():
        return bool(VIDEO.fullmatch(word.name))
    of_models = ("recipe.yaml", "config.json", "checkpoints", "results", "results.json")
    return not any((word / name).exists() for name in of_models) and bool(clips_below(word))


def _print_result(result: Evaluation, facts: Results) -> None:
    print_metrics(
        result.metrics, result.named_estimates, title=counted(len(result.manifest), "clip")
    )
    print_classes(result)
    print_untested(result)
    print_tested(facts)
    print_subsets(facts.subsets)
    for source, part in result.by_source.items():
        print_metrics(part.metrics, {}, title=f"{source}, {counted(len(part.manifest), 'clip')}")
    print_groups(result)


def _print_dump(path: Path, epic_lists: Path | None, *, as_json: bool) -> None:
    """Print the numbers of stored predictions; clips that could not be read count as wrong."""
    from marey.data.lists.epic_splits import read_epic_splits
    from marey.engine.inference.results import results_of_clips
    from marey.engine.inference.stored import read_stored

    stored = read_stored(path)
    read = stored.evaluation
    if epic_lists:
        read = replace(read, subsets=read_epic_splits(epic_lists).subsets(read.manifest))
    if as_json:
        print_json(results_of_clips(read))
    else:
        title = counted(len(read.manifest), "clip")
        print_metrics(read.metrics, read.named_estimates, title=title)
        print_classes(read)
        print_tested(stored.facts)
    if read.missing:
        errors.print(_unread(len(read.missing)))
