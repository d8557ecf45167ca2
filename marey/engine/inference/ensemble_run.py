"""Evaluating several models together: those in folders are evaluated first, dumps are read.

    OUT/members/1-NAME/     the evaluation of a model, as it is written alone
    OUT/                    results.json and predictions.parquet of the ensemble

By default OUT is runs/A+B/results/NAME, where NAME is that of the results of each model.

Each model is tested by its own recipe. What can be refused is refused before a clip is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TypeAlias, TypeVar

from marey.data.lists.epic_splits import read_epic_splits
from marey.data.manifest.location import Location
from marey.data.manifest.read import read_manifest
from marey.engine.inference.ensemble import (
    Combined,
    check_average,
    checked_weights,
    combine,
    common_average,
)
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.members import Member, check_classes
from marey.engine.inference.probabilities import Average
from marey.engine.inference.results import results_of_clips, rounded, view_counts, write_results
from marey.engine.inference.results_place import (
    TestedClips,
    free_folder,
    refuse_others,
    results_name,
    say_what_is_replaced,
)
from marey.engine.inference.stored import DUMP, Stored, read_stored
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import (
    MemberResult,
    Results,
    ViewCounts,
    frames_in_words,
    read_results,
)
from marey.errors import RecipeError, counted
from marey.jobs.executors import HERE, Executor
from marey.jobs.half_done import is_in_work
from marey.jobs.parts import Progress
from marey.jobs.shards import WHOLE, Shard
from marey.metrics.catalog import Subsets
from marey.metrics.groups import RuleName
from marey.recipes.describe import model_in_words
from marey.recipes.ensembles import Ensemble
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe
from marey.recipes.testing import segments_in_words
from marey.storage.atomic import make_folder, run_error
from marey.storage.lock import locked_if_possible

T = TypeVar("T")
N = TypeVar("N", int, float)
Source: TypeAlias = EvalOptions | Path
"""What a member is: a model to evaluate, or the predictions of one."""


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """What is evaluated together.

    Args:
        members: two or more.
        weights: of their scores; none are equal weights, or those of `row`.
        average: what is averaged over members; by default as their views are, or as `row` says.
        row: the published ensemble that this is to be.
    """

    members: tuple[Source, ...]
    weights: tuple[float, ...] = ()
    average: Average | None = None
    row: Ensemble | None = None

    @property
    def paths(self) -> list[Path]:
        """Where the members lie."""
        return [m.folder if isinstance(m, EvalOptions) else m for m in self.members]

    def __post_init__(self) -> None:
        if self.row and (self.weights or self.average):
            raise ValueError(f"{self.row.name} says itself how its members are averaged")


def evaluate_together(
    options: EnsembleOptions,
    out: Path | None = None,
    *,
    name: str | None = None,
    train_manifest: Path | None = None,
    rule: RuleName = "paper",
    epic_lists: Path | None = None,
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
) -> tuple[Combined | None, Path]:
    """The ensemble, and the results.json it was written to; None while other shards have clips.

    Args:
        options: the members, and how they are averaged.
        out: folder for results.json and predictions.parquet, and for those of models; by default
            runs/A+B/results/NAME below the working directory, A+B with a number where it is that of
            other models.
        name: NAME; by default what the results of each model are called.
        train_manifest, rule, epic_lists, executor, shard, progress: as of `evaluate_folder`.

    Raises:
        ValueError: weights that cannot be.
        RecipeError: the members are not those of the row.
        RunError: members that do not go together; or `out` cannot be written, or holds the results
            of another list of clips.
    """
    plans = _plans(options)
    row, weights = options.row, checked_weights(options.weights, len(plans))
    if row:
        plans = of_row(plans, row)
        weights = row.weights or weights
    check_classes({plan.name: plan.classes for plan in plans})
    averages = {plan.name: plan.average for plan in plans}
    average = row.average if row else options.average or common_average(averages)
    check_average(averages, average)
    splits = read_epic_splits(epic_lists) if epic_lists else None
    out = _place(out, name, options, plans)
    make_folder(out, run_error)
    with ExitStack() as stack:
        if shard.is_whole:
            stack.enter_context(locked_if_possible(out / ".lock", f"evaluates into {out}"))
        folders = [out / "members" / f"{i}-{p.folder_name}" for i, p in enumerate(plans, start=1)]
        for plan, folder in zip(plans, folders, strict=True):
            if isinstance(plan.source, EvalOptions):
                evaluate_folder(
                    plan.source,
                    folder,
                    train_manifest=train_manifest,
                    rule=rule,
                    executor=executor,
                    shard=shard,
                    progress=progress,
                    keep=shard.is_whole,
                )
        made = [f for p, f in zip(plans, folders, strict=True) if p.stored is None]
        if any(is_in_work(folder / RESULTS) for folder in made):
            return None, out / RESULTS
        stored = [p.stored or read_stored(f / DUMP) for p, f in zip(plans, folders, strict=True)]
        members = [
            Member(plan.name, each.evaluation, weight)
            for plan, each, weight in zip(plans, stored, weights, strict=True)
        ]
        combined = combine(members, average)
        if train_manifest:
            combined = _with(combined, trained_on=_counts(combined, train_manifest, rule))
        if splits:
            combined = _with(combined, subsets=splits.subsets(combined.result.manifest))
        results = _results(combined, plans, stored, row)
        say_what_is_replaced(out, TestedClips.said_by(results))
        return combined, write_results(combined.result, out, results)


def _place(
    out: Path | None, name: str | None, options: EnsembleOptions, plans: Sequence[Plan]
) -> Path:
    """The folder for the results: the one that is asked for, or one that is named after them."""
    folder = _folder(options) / "results"
    asked = out or (folder / name if name else None)
    tested = [plan.clips for plan in plans if plan.clips]
    lists = " + ".join(dict.fromkeys(each.source for each in tested))
    clips = TestedClips(source=lists, split=_common(each.split for each in tested) or "")
    if asked:
        refuse_others(asked, clips)
        return asked
    return free_folder(folder / "+".join(dict.fromkeys(plan.results for plan in plans)), clips)


def _folder(options: EnsembleOptions) -> Path:
    """runs/A+B, or the first with a number behind it that holds no results of other models."""
    models = frozenset(map(_model, options.paths))
    first = Path("runs", options.row.name if options.row else ensemble_name(options.paths))
    numbered = (first.with_name(f"{first.name}-{i}") for i in count(2))
    return next(each for each in chain([first], numbered) if _ensembles_in(each) <= {models})


def _ensembles_in(folder: Path) -> set[frozenset[Path]]:
    """The models of each ensemble whose results lie in a folder."""
    found = (read_results(file).members for file in folder.glob(f"results/*/{RESULTS}"))
    return {frozenset(_model(Path(each.path)) for each in of) for of in found}


def _model(path: Path) -> Path:
    """The run, release or file that a path is of, which may be that of its results."""
    path = path.resolve()
    folder = path.parent if path.name == DUMP else path
    return folder.parent.parent if folder.parent.name == "results" else folder


def member_names(paths: Sequence[Path]) -> list[str]:
    """What models are called: their folders' names, with a number where these are the same."""
    names = [_name(path) for path in paths]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def ensemble_name(paths: Sequence[Path]) -> str:
    """What the models together are called: a name of one folder."""
    return "+".join(map(_as_folder, member_names(paths)))


def _as_folder(name: str) -> str:
    return name.replace("/", "-").replace(" ", "-")


def _name(path: Path) -> str:
    path = path.resolve()
    if path.parent.name == "checkpoints":
        return f"{path.parent.parent.name}/{path.stem}"
    folder = path.parent if path.suffix and path.is_file() else path
    if path.is_file() and path.stem not in ("predictions", "model"):
        return path.stem
    return folder.parent.parent.name if folder.parent.name == "results" else folder.name


# --- before a clip is scored -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known of a member before its clips are scored."""

    name: str
    source: Source
    recipe: Recipe | None = None
    """As a model was trained."""
    stored: Stored | None = None
    """Of predictions."""
    classes: Mapping[str, Sequence[str]]
    average: Average
    model: str
    views: ViewCounts
    protocol: str
    other_segments: str
    """In words, if it is tested on others than it was trained on."""
    clips: TestedClips | None = None
    results: str = ""
    """The name that its results alone have, or would have."""

    @property
    def folder_name(self) -> str:
        """The name, as that of a folder."""
        return _as_folder(self.name)

    @property
    def where(self) -> str:
        """The path that was given."""
        return str(self.source.folder if isinstance(self.source, EvalOptions) else self.source)


def _plans(options: EnsembleOptions) -> list[Plan]:
    pairs = zip(member_names(options.paths), options.members, strict=True)
    return [_plan(name, source) for name, source in pairs]


def _plan(name: str, source: Source) -> Plan:
    if isinstance(source, EvalOptions):
        model, test = source.opened("cpu")
        trained = model.trained
        plan = _plan_of_recipe(name, source, source.tested(trained.recipe), trained.classes)
        return replace(
            plan,
            recipe=trained.recipe,
            clips=TestedClips.of(test.clips, test.split),
            results=results_name(test.name, test.split) or source.split,
        )
    stored = read_stored(source)
    facts = stored.facts
    return Plan(
        name=name,
        source=source,
        stored=stored,
        classes=stored.evaluation.manifest.classes,
        average=stored.evaluation.average,
        model=facts.model,
        views=facts.views,
        protocol=facts.protocol or "",
        other_segments=facts.other_segments,
        clips=replace(TestedClips.said_by(facts), source=facts.manifest or str(stored.path)),
        results=results_name(facts.other_clips, facts.split) or _folder_name(stored.path),
    )


def _folder_name(predictions: Path) -> str:
    """What the folder of results is called that predictions lie in; else as if of a validation."""
    folder = predictions.resolve().parent
    return folder.name if folder.parent.name == "results" else "val"


def _plan_of_recipe(
    name: str, source: Source, recipe: Recipe, classes: Mapping[str, Sequence[str]]
) -> Plan:
    return Plan(
        name=name,
        source=source,
        classes=classes,
        average=recipe.test.average,
        model=model_in_words(recipe.model),
        views=view_counts(recipe),
        protocol=protocol_of(recipe),
        other_segments=segments_in_words(recipe),
    )


def of_row(plans: Sequence[Plan], row: Ensemble) -> list[Plan]:
    """The members in the order of the row, models in its views.

    Raises:
        RecipeError: they are not the models of the row, or were tested in other views.
    """
    if len(plans) != len(row.members):
        raise RecipeError(
            f"{row.name} is of {len(row.members)} models, {len(plans)} are given",
            f"marey recipes show {row.name}",
        )
    left, ordered = list(plans), []
    for member in row.members:
        wanted = _plan_of_recipe(member.name, Path(), member, {})
        plan = next((plan for plan in left if _is_model(plan, wanted)), None)
        if plan is None:
            others = "; ".join(f"{plan.name} is {_in_words(plan)}" for plan in left)
            raise RecipeError(
                f"{row.name} needs {member.name}, {_in_words(wanted)}: {others}",
                f"marey recipes show {row.name} has the commands",
            )
        left.remove(plan)
        ordered.append(_in_views_of(plan, member, wanted))
    return ordered


def _is_model(plan: Plan, wanted: Plan) -> bool:
    facts = ((each.model, each.views.frames, each.other_segments) for each in (plan, wanted))
    return next(facts) == next(facts)


def _in_words(plan: Plan) -> str:
    if not plan.model:
        return "of an unknown model"
    words = f"{plan.model} of {frames_in_words(plan.views)}"
    return f"{words}, {plan.other_segments}" if plan.other_segments else words


def _in_views_of(plan: Plan, member: Recipe, wanted: Plan) -> Plan:
    """The plan with the test views of the row's member; RecipeError for predictions of others."""
    for head in member.model.heads:
        if len(plan.classes.get(head.name, ())) != head.num_classes:
            raise RecipeError(
                f"{plan.name} has {counted(len(plan.classes.get(head.name, ())), 'class')} of "
                f"'{head.name}', {member.name} {head.num_classes}",
                "a row's number is of its data set",
            )
    if isinstance(plan.source, EvalOptions) and plan.recipe:
        source = replace(plan.source, views=member.test)
        in_views = _plan_of_recipe(plan.name, source, source.tested(plan.recipe), plan.classes)
        plan = replace(in_views, clips=plan.clips, results=plan.results)
    if (plan.views, plan.average, plan.protocol) != (wanted.views, wanted.average, wanted.protocol):
        raise RecipeError(
            f"{plan.name} is tested in other views than {member.name} of the row: "
            f"{_views(plan)}, expected {_views(wanted)}",
            "evaluate the model itself here, without options of views",
        )
    return plan


def _views(plan: Plan) -> str:
    views = plan.views
    name = f" ({plan.protocol})" if plan.protocol else ""
    return f"{views.clips} x {views.crops} of {views.size} pixels{name}, mean of {plan.average}"


# --- after all clips are scored ----------------------------------------------------------------


def _counts(combined: Combined, train_manifest: Path, rule: RuleName) -> TrainingCounts:
    """The clips of every class in this training set."""
    classes = combined.result.manifest.classes
    clips = read_manifest(train_manifest, split="train", heads=classes, at=Location())
    return TrainingCounts({head: clips.class_counts(head) for head in classes}, rule)


def _with(combined: Combined, **facts: TrainingCounts | Subsets) -> Combined:
    """The same with these facts of all evaluations: trained_on, subsets."""
    members = tuple(
        replace(each, evaluation=replace(each.evaluation, **facts))  # type: ignore[arg-type]
        for each in combined.members
    )
    result = replace(combined.result, **facts)  # type: ignore[arg-type]
    return replace(combined, members=members, result=result)


def _results(
    combined: Combined, plans: Sequence[Plan], stored: Sequence[Stored], row: Ensemble | None
) -> Results:
    """What results.json says of the ensemble."""
    facts = [each.facts for each in stored]
    manifests = dict.fromkeys(each.facts.manifest or str(each.path) for each in stored)
    return replace(
        results_of_clips(combined.result),
        parameters=_sum(each.parameters for each in facts),
        gmacs_total=_sum(each.gmacs_total for each in facts),
        protocol=_common(each.protocol for each in facts),
        decoder=_common(each.decoder for each in facts),
        views=_common_views([each.views for each in facts]),
        row=row.name if row else "",
        split=_common(each.split for each in facts) or "",
        other_clips="+".join(dict.fromkeys(each.other_clips for each in facts if each.other_clips)),
        role=min((each.role for each in facts), key=("training", "choice", "").index),
        manifest=" + ".join(manifests),
        members=tuple(map(_member_result, combined.members, plans, stored)),
    )


def _member_result(member: Member, plan: Plan, stored: Stored) -> MemberResult:
    return MemberResult(
        name=member.name,
        path=plan.where,
        weight=member.weight,
        average=stored.evaluation.average,
        protocol=stored.facts.protocol,
        views=stored.facts.views,
        other_segments=stored.facts.other_segments,
        num_missing=len(member.evaluation.missing),
        metrics=rounded(member.evaluation.metrics),
        chosen=stored.facts.chosen,
    )


def _common_views(views: Sequence[ViewCounts]) -> ViewCounts:
    """What all members have; frames of several as a sum: "8 + 16"."""
    frames = _common(each.frames for each in views)
    return ViewCounts(
        clips=_common(each.clips for each in views),
        crops=_common(each.crops for each in views),
        frames=frames or " + ".join(str(each.frames) for each in views if each.frames) or None,
        size=_common(each.size for each in views),
        segments=_common(each.segments for each in views),
    )


def _common(values: Iterable[T]) -> T | None:
    """The value that all have."""
    first, *others = values
    return first if all(each == first for each in others) else None


def _sum(values: Iterable[N | None]) -> N | None:
    """The sum; None if a value is unknown."""
    total: N | None = None
    for value in values:
        if value is None:
            return None
        total = value if total is None else total + value
    return total
