"""`marey eval` of several models: what its words mean, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from rich.markup import escape

from marey.cli.metric_tables import print_groups, print_metrics, print_subsets, print_tested
from marey.cli.shared import console, errors, progress_bar, refused_values
from marey.cli.tables import print_json, print_table
from marey.errors import counted

if TYPE_CHECKING:
    from marey.engine.inference.ensemble import Combined
    from marey.engine.inference.ensemble_run import Source
    from marey.engine.inference.evaluate_run import EvalOptions
    from marey.engine.results_file import Results
    from marey.jobs.executors import Executor
    from marey.jobs.shards import Shard
    from marey.metrics.groups import RuleName
    from marey.recipes.ensembles import Ensemble


def models_and_overrides(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The models and the KEY=VALUE among the words; RunError for one that is neither."""
    from marey.engine.weights.zoo.catalog import is_published
    from marey.errors import RunError

    models, overrides = list[Path](), list[str]()
    for word in words:
        if Path(word).exists() or is_published(Path(word)):
            models.append(Path(word))
        elif "=" in word:
            overrides.append(word)
        else:
            raise RunError(
                f"'{word}' is neither a model, of which there is no file or folder, nor KEY=VALUE",
                "give folders of runs or releases, checkpoints or predictions.parquet, then what "
                "changes the test views, such as test.crop=ThreeCrop",
            )
    return models, overrides


def evaluate_ensemble(
    models: Sequence[Path],
    options: EvalOptions,
    *,
    manifests: Sequence[str],
    weights: str | None,
    average: Literal["logits", "probs"] | None,
    row: str | None,
    out: Path | None,
    name: str | None,
    train_manifest: Path | None,
    rule: RuleName,
    epic_lists: Path | None,
    executor: Executor,
    shard: Shard,
    as_json: bool = False,
) -> None:
    """Evaluate the models together, and print each and the ensemble.

    options: of each model, but for its folder and manifest.
    """
    from marey.engine.inference.ensemble_run import (
        EnsembleOptions,
        evaluate_together,
    )
    from marey.engine.results_file import read_results
    from marey.recipes.ensembles import find_ensemble

    if len(models) < 2:
        raise typer.BadParameter(
            "--weights-of, --average and --row are of several models: give two"
        )
    published = find_ensemble(row) if row else None
    with refused_values():
        if published:
            _refuse_options_of_a_row(options, weights, average)
        together = EnsembleOptions(
            members=tuple(_members(models, options, manifests)),
            weights=_weights(weights),
            average=average,
            row=published,
        )
        with progress_bar("evaluating") as progress:
            combined, path = evaluate_together(
                together,
                out,
                name=name,
                train_manifest=train_manifest,
                rule=rule,
                epic_lists=epic_lists,
                executor=executor,
                shard=shard,
                progress=progress,
            )
    if combined is None:
        console.print(f"{path} is there when all shards are done")
        return
    if as_json:
        print_json(read_results(path))
    else:
        _print_ensemble(combined, read_results(path))
    if published and not as_json:
        _print_claim(published, read_results(path))
    (errors if as_json else console).print(f"written: {path}")


def _members(
    models: Sequence[Path], options: EvalOptions, manifests: Sequence[str]
) -> list[Source]:
    """What is evaluated and what is read; ValueError for manifests that are not one for each."""
    from marey.engine.inference.stored import dump_of

    dumps = [dump_of(model) for model in models]
    to_score = dumps.count(None)
    if len(manifests) > 1 and len(manifests) != to_score:
        raise ValueError(
            f"{len(manifests)} manifests for {counted(to_score, 'model')} to evaluate, expected "
            "one, or one for each; predictions have their clips"
        )
    changes = options.overrides or options.protocol or options.segments
    if not to_score and (manifests or changes):
        raise ValueError("predictions have their clips and views: give models to change them")
    lists = iter(manifests if len(manifests) > 1 else [*manifests] * to_score)
    return [
        dump or replace(options, folder=model, manifest=next(lists, None))
        for model, dump in zip(models, dumps, strict=True)
    ]


def _weights(text: str | None) -> tuple[float, ...]:
    """The numbers of ``1,1.5``."""
    try:
        return tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"weights are '{text}', expected numbers like 1,1.5") from None


def _refuse_options_of_a_row(
    options: EvalOptions, weights: str | None, average: str | None
) -> None:
    views = [text for text in options.overrides if text.startswith(("test.", "model."))]
    given = {
        "--weights-of": weights,
        "--average": average,
        "--protocol": options.protocol,
        "--segments": options.segments,
    }
    if wrong := [*(name for name, value in given.items() if value), *views]:
        raise ValueError(f"{', '.join(wrong)}: --row has its own views and weights")


def _print_ensemble(combined: Combined, results: Results) -> None:
    from marey.engine.report.pages import Table
    from marey.engine.report.summary import views_cell
    from marey.engine.results_file import Results as Facts
    from marey.metrics.catalog import headlines

    shown = headlines(results.metrics)
    header = (
        "model",
        "weight",
        "average",
        "views",
        *(n.heading for n in shown.values()),
        "missing",
    )
    rows = []
    for member in results.members:
        numbers = [
            named.metric.number(member.metrics.get(key, float("nan")), digits=2)
            for key, named in shown.items()
        ]
        cell = views_cell(Facts(views=member.views))
        about = f"{member.weight:g}", member.average, cell
        rows.append([member.name, *about, *numbers, str(member.num_missing)])
    numbers = [n.metric.number(results.metric(key), digits=2) for key, n in shown.items()]
    about = f"{sum(each.weight for each in results.members):g}", results.average, ""
    rows.append(["ensemble", *about, *numbers, str(results.num_missing)])
    print_table(Table(header, rows, {1, *range(4, len(header))}))
    for member in results.members:
        if member.other_segments:
            console.print(escape(f"{member.name}: {member.other_segments}"))
    console.print(escape(f"clips are matched by {combined.matched_by}"))
    print_metrics(
        results.metrics,
        combined.result.named_estimates,
        title=counted(results.num_clips or 0, "clip"),
    )
    print_tested(results)
    print_subsets(results.subsets)
    for source, part in combined.result.by_source.items():
        print_metrics(part.metrics, {}, title=f"{source}, {counted(len(part.manifest), 'clip')}")
    print_groups(combined.result)
    _print_missing(combined)


def _print_missing(combined: Combined) -> None:
    """Say how many clips each model lacks, and the first of them."""
    from marey.errors import first_few

    for member in combined.members:
        if rows := sorted(member.evaluation.missing):
            paths = first_few(str(member.evaluation.manifest.path(row)) for row in rows[:6])
            errors.print(escape(f"{member.name} lacks {counted(len(rows), 'clip')}: {paths}"))
    if missing := combined.result.missing:
        errors.print(f"taken as wrong: {counted(len(missing), 'clip')} that one of them lacks")


def _print_claim(row: Ensemble, results: Results) -> None:
    from marey.metrics.catalog import find_metric

    for key, claimed in (("acc/top1", row.claim.top1), ("acc/top5", row.claim.top5)):
        named, measured = find_metric(key), results.metric(key)
        if named and claimed is not None:
            title = f"{row.name}: {named.metric.title}"
            numbers = f"measured {named.metric.number(measured, digits=2)}"
            console.print(
                f"{title} claimed {claimed}, {numbers}, difference {measured - claimed:+.2f}"
            )
