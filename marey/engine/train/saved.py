"""What last.pt says of a run beside its weights: where it is, and what it was made of.

    progress       where the run is          epochs   the rows of metrics.csv
    totals         of the epoch under way    data     the clips of both splits, as `ClipFacts`
    clips_a_step   of all processes          recipe   as YAML

The last four are younger than the format: a checkpoint without them is read, and it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from marey.data.manifest.classes import classes_file, read_classes
from marey.data.manifest.manifest import Manifest
from marey.engine.train.best_epoch import forget_best
from marey.engine.train.changes import Change, changes
from marey.engine.train.steps import Position, Totals
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.chosen import as_it_chose, validated
from marey.engine.weights.clip_facts import ClipFacts, clip_facts, other_classes, what_changed
from marey.errors import CheckpointError, MareyError, RunError, counted
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml
from marey.recipes.val_views import with_val
from marey.storage.text_files import as_value

_STATE = ("recipe", "progress", "model", "ema", "optimizer", "objective")


@dataclass(frozen=True)
class DataFacts:
    """The clips that a run trains on, and those that it validates on, if it does."""

    train: ClipFacts
    val: ClipFacts | None = None


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """The plain entries of a checkpoint."""

    recipe: str
    progress: Position
    totals: dict[str, float] = field(default_factory=dict)
    epochs: list[dict[str, int | float]] | None = None
    data: DataFacts | None = None
    clips_a_step: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Saved:
    """A checkpoint to go on from; None stands for what an older marey did not write."""

    path: Path
    recipe: Recipe
    at: Position
    totals: Totals
    epochs: list[dict[str, float]] | None
    data: DataFacts | None
    clips_a_step: int | None
    state: Mapping[str, Any]
    """All of it: model, ema, optimizer, objective."""

    @property
    def folder(self) -> Path:
        """The folder of the run that wrote it."""
        return self.path.parent.parent

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What torch raises in the block, as it takes up `state`, is a `CheckpointError`."""
        try:
            yield
        except MareyError:
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            first = str(error).partition("\n")[0]
            raise CheckpointError(
                f"{self.path} holds no state of this run: {first or type(error).__name__}",
                "it is damaged, or code of yours changed since; go on from another checkpoint",
            ) from error

    @property
    def has_trained(self) -> bool:
        """Whether it is of a run that was more than begun."""
        return self.at.global_step > 0 or self.at.epoch > 0 or self.at.stage > 0

    @property
    def num_epochs(self) -> int:
        """The epochs that have ended, each with a row; a stage without epochs has one as well."""
        over = self.recipe.stages[: self.at.stage]
        return sum(max(stage.epochs, 1) for stage in over) + self.at.epoch


def data_facts(train_set: Manifest, val_set: Manifest | None) -> DataFacts:
    """The facts of both."""
    return DataFacts(clip_facts(train_set), None if val_set is None else clip_facts(val_set))


def as_plain(
    recipe_text: str,
    at: Position,
    totals: Totals,
    *,
    epochs: list[dict[str, float]],
    data: DataFacts,
    clips_a_step: int,
) -> dict[str, Any]:
    """What a checkpoint keeps of them."""
    return {
        "recipe": recipe_text,
        "progress": asdict(at),
        "totals": totals.sums(),
        "epochs": epochs,
        "data": asdict(data),
        "clips_a_step": clips_a_step,
    }


def read_saved(path: Path) -> Saved:
    """The checkpoint to go on from.

    Raises:
        CheckpointError: it is damaged, and best.pt beside it is named; or it is a model to use and
            no state to go on from, as best.pt is.
        RecipeError: its recipe needs a class that is not there.
    """
    try:
        state = load_checkpoint(path)
    except CheckpointError as error:
        raise _with_remedy(error, path) from error
    if missing := [name for name in _STATE if name not in state]:
        raise CheckpointError(
            f"{path} holds no run to go on with: it lacks {', '.join(missing)}",
            f"go on from last.pt, or begin another run from these weights (--weights {path})",
        )
    known = {f.name: state[f.name] for f in fields(_Facts) if f.name in state}
    facts = as_value(_Facts, known, path, CheckpointError, "go on from another checkpoint")
    recipe = from_yaml(Recipe, facts.recipe, source=f"{path} (its recipe)")
    recipe = as_it_chose(recipe, facts.recipe, validates=validated(state))
    return Saved(
        path=path,
        recipe=with_val(recipe, recipe.test),  # which validated, before there was `val`
        at=facts.progress,
        totals=Totals.of(facts.totals),
        epochs=facts.epochs,
        data=facts.data,
        clips_a_step=facts.clips_a_step,
        state=state,
    )


def _with_remedy(error: CheckpointError, path: Path) -> CheckpointError:
    """The error of a checkpoint that cannot be read, with what its run still has to go on with."""
    best, run = path.with_name("best.pt"), path.parent.parent
    if path == best or not best.is_file():
        return error
    return CheckpointError(
        error.message,
        f"{best} is the model to use; to train on, begin another run from it: "
        f"marey train {run} --weights {best} --work-dir {run}-2",
    )


def refuse_other_run(saved: Saved, work_dir: Path, last: Path | None) -> None:
    """RunError if the checkpoint is to go on in a folder that holds another run."""
    if last is not None and saved.folder.resolve() != work_dir.resolve():
        raise RunError(
            f"{saved.path} is not a checkpoint of the run in {work_dir}",
            "give a new folder (--work-dir), or the checkpoint's own",
        )


def check_clips(saved: Saved, recipe: Recipe, now: DataFacts) -> str:
    """What is to be said of the clips of a run that goes on with these; empty if they are its own.

    Raises:
        RunError: the training clips, their labels or classes are not those of the checkpoint; or
            the validation clips are not, although the recipe names the same manifests.
    """
    hint = f"put them back, or begin another run from the weights (--weights {saved.path})"
    if saved.data is None:
        _check_classes(saved, now.train, hint)
        return f"{saved.path} does not say which clips it saw (an older marey): taken to be these"
    if change := what_changed(saved.data.train, now.train):
        raise RunError(f"the training clips changed since the run was saved: {change}", hint)
    nothing = ClipFacts(0)
    change = what_changed(saved.data.val or nothing, now.val or nothing)
    if change and recipe.data.val_lists == saved.recipe.data.val_lists:
        raise RunError(f"the validation clips changed since the run was saved: {change}", hint)
    return change and f"validated on other clips from here on: {change}"


def recipe_changes(saved: Saved, recipe: Recipe) -> list[Change]:
    """What of the recipe changed; RecipeError names what may not."""
    return changes(
        saved.recipe,
        recipe,
        stage=saved.at.stage,
        epoch=saved.at.epoch + (saved.at.step > 0),
        steps=saved.at.stage_step,
        hint="leave it as it was (without a recipe, a run goes on by its own), or begin another "
        f"run from the weights (--weights {saved.path})",
    )


def position(
    saved: Saved, before: int, now: int, *, same_measure: bool, chooses: bool
) -> tuple[Position, list[str]]:
    """Where the run goes on, and what is to be said of it.

    before, now: clips a step. same_measure: whether what made an epoch the best still counts.
    chooses: whether one is chosen.

    The clips of an epoch have an order of their own, so a step of another size begins where the
    clips end that were seen, or before that.
    """
    at, notes = replace(saved.at, recent=[*saved.at.recent]), list[str]()
    if before != now and at.step:
        at.step, twice = divmod(at.step * before, now)
        notes.append(
            f"{counted(now, 'clip')} a step, not {before}: goes on at step {at.step} of the epoch"
            + (f", {twice} of its clips are seen again" if twice else "")
        )
    if not same_measure:
        forget_best(at)
        if chooses:
            notes.append("other clips, views or metric decide what is best: best.pt is chosen anew")
    return at, notes


def _check_classes(saved: Saved, now: ClipFacts, hint: str) -> None:
    """RunError if the class names in the folder of the run are not those of the clips."""
    for head, names in now.classes.items():
        file = classes_file(saved.folder, head)
        if file.is_file() and (change := other_classes(head, read_classes(file), names)):
            raise RunError(f"the classes changed since the run was saved: {change}", hint)
