"""A model that `marey export` wrote for another runtime, opened: it scores without the weights.

All that is needed beside the numbers stands in the file: the recipe with its test views, labels,
the rule of decisions, and what the file takes and gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from marey.engine.results_file import Chosen
from marey.engine.runtimes.about import about_model
from marey.engine.runtimes.form import Running
from marey.engine.runtimes.graph_files import (
    FILES,
    Runtime,
    files_of,
    open_file,
    runtime_of,
    write_file,
)
from marey.engine.runtimes.onnx_file import AGAIN
from marey.engine.runtimes.optimized import file_digest
from marey.engine.runtimes.program import FRAME, INPUT, Program, clip_program
from marey.engine.runtimes.session import Session, clip_scores, in_batches
from marey.engine.runtimes.stream_file import StreamFile
from marey.engine.weights.calibration import Calibration
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.class_counts import Count
from marey.engine.weights.trained import Trained
from marey.errors import CheckpointError, RunError, counted, first_few
from marey.models.shapes import shapes_only
from marey.recipes.compatible import built
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_plain
from marey.storage.temporary import temporary_folder
from marey.storage.text_files import as_value

NOISE = 1e-3
"""Of the largest score, a difference that no rounding of float32 makes."""
CHECK = "check.json"
"""What an export says of how far it is from its model, beside its file."""
_AGAIN = "export it again: marey export"
_NO_EXPORTS = ("config.json", "recipe.yaml", "checkpoints")
"""What a folder has that is a run or a release, whatever graphs lie beside it."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What a file takes and gives.

    Args:
        of: whole clips, or a stream frame by frame.
        inputs: name -> shape of what belongs to one clip or stream.
        outputs: their names, those of heads first.
        batch: the only number of clips or streams that it takes at once; None for any.
        numbers: what it computes in.
        weights: the digest of the weights that it was made of.
    """

    of: Literal["clips", "stream"]
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    batch: int | None = None
    numbers: Literal["float32", "int8"] = "float32"
    weights: str = ""

    @classmethod
    def made_of(
        cls, program: Program, trained: Trained, numbers: Literal["float32", "int8"] = "float32"
    ) -> FileFacts:
        """The facts of a file that is written from `program`."""
        return cls(
            of="clips" if INPUT in program.inputs else "stream",
            inputs=dict(program.inputs),
            outputs=program.outputs,
            batch=program.batch,
            numbers=numbers,
            weights=weights_digest(trained.model),
        )


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What a file says beside what `about_model` says for people."""

    recipe: dict[str, Any]
    labels: dict[str, tuple[str, ...]]
    file: FileFacts
    class_counts: dict[str, list[Count]] = field(default_factory=dict)
    chosen: Chosen = field(default_factory=Chosen)
    calibration: Calibration | None = None


def about_file(
    trained: Trained, facts: FileFacts, calibration: Calibration | None = None
) -> dict[str, Any]:
    """What a file says of its model, as plain data: `about_model`, and what `open_exported` needs.

    trained: whose recipe has the test views that the file is for, and the heads that it gives.
    """
    about = about_model(trained.recipe, trained.classes)
    return about | {
        "decision": about["recipe"].get("decision"),
        "class_counts": {head: of.tolist() for head, of in trained.class_counts.items()},
        "chosen": asdict(trained.chosen),
        "calibration": asdict(calibration) if calibration else None,
        "file": asdict(facts),
    }


@dataclass(frozen=True, eq=False)
class Exported:
    """A file that is ready to run.

    `trained` has its recipe, labels and counts; its model has shapes and no weights.
    """

    path: Path
    trained: Trained
    facts: FileFacts
    session: Session
    digest: str
    """Tells its scores from those of other files."""
    calibration: Calibration | None = None
    """Of the model and the test views that it is for, if the run had one."""

    def scorer(self, recipe: Recipe) -> Running:
        """What scores the test views of `recipe`; RunError if the file is for other clips.

        A file of a stream is given the frames of each clip one after the other.
        """
        spec, size = recipe.tested_model, recipe.test.crop.size
        wanted = spec.clip_shape(size)
        if self.facts.of == "clips":
            there = self.facts.inputs[INPUT]
            run = clip_scores(self.session, self.facts.outputs)
        else:
            there = (wanted[0], *self.facts.inputs[FRAME])  # of any number of frames
            run = self.stream.scores
        if there != wanted:
            raise RunError(
                f"{self.path} is for clips of {_by(there)}, these are {_by(wanted)}",
                "export the model with these test views (--segments, --size)",
            )
        return Running(self.session.runtime, spec, run)

    @property
    def stream(self) -> StreamFile:
        """The file as what takes frame by frame; RunError of one that takes whole clips."""
        if self.facts.of != "stream":
            raise RunError(
                f"{self.path} takes whole clips, not frame by frame", "marey export RUN --stream"
            )
        consensus = self.trained.recipe.model.consensus
        return StreamFile(self.session, self.facts.inputs, self.facts.outputs, consensus)


def exported_file(path: str | Path) -> Path | None:
    """The file of an export that `path` names, itself or its folder; None if it is none.

    RunError of a folder with several or, if it was that of an export, with none any more; or of a
    file that is not there.
    """
    path = Path(path)
    if path.is_file():
        return path if runtime_of(path) else None
    if runtime_of(path) and not path.exists():
        raise RunError(f"{path} is not there", "name the file of an export, or its folder")
    if not path.is_dir() or any((path / name).exists() for name in _NO_EXPORTS):
        return None
    files = sorted(each for each in path.iterdir() if each.is_file() and runtime_of(each))
    if len(files) > 1:
        names = first_few(each.name for each in files)
        raise RunError(f"{path} holds {len(files)} exported files: {names}", "name one of them")
    if not files and (path / CHECK).is_file():
        wanted = " or ".join(names[0] for names in FILES.values())
        raise RunError(f"{path} holds {CHECK} of an export, and no {wanted}", AGAIN)
    return files[0] if files else None


def open_exported(
    path: Path, device: str | torch.device = "cpu", *, trusted: bool = False
) -> Exported:
    """The file of an export, ready to run.

    Args:
        path: as `exported_file` gives it.
        device: where it computes, if its runtime can there; else on the CPU.
        trusted: whether who made it may run code here, as opening a .pt2 file lets them.

    Raises:
        RunError: the runtime is not installed, or cannot read it, or it is not trusted.
        CheckpointError: it does not say what marey needs to know.
    """
    session = open_file(path, torch.device(device), trusted=trusted)
    said = _said(path, session.about)
    recipe = from_plain(Recipe, said.recipe, source=str(path))
    heads = {head.name: head.num_classes for head in recipe.model.heads}
    for head, number in heads.items():
        lists = {"labels": said.labels.get(head, ())} | (
            {"class_counts": tuple(said.class_counts[head])} if head in said.class_counts else {}
        )
        for name, of in lists.items():
            if len(of) != number:
                raise CheckpointError(
                    f"{path}: {name} of '{head}' are {len(of)}, expected one for each of "
                    f"{counted(number, 'class')}",
                    _AGAIN,
                )
    missing = [name for name in heads if name not in said.file.outputs]
    wanted = INPUT if said.file.of == "clips" else FRAME
    if missing or wanted not in said.file.inputs:
        raise CheckpointError(f"{path}: its inputs and outputs are not those it needs", _AGAIN)
    _check_graph(path, session, said.file, heads)
    with shapes_only():
        model = built(recipe.model).eval()
    trained = Trained(
        recipe,
        model,
        {head: said.labels[head] for head in heads},
        {head: np.array(of, dtype=np.int64) for head, of in said.class_counts.items()},
        said.chosen,
    )
    session = in_batches(session, said.file.batch)
    digest = " ".join(file_digest(each) for each in files_of(path))
    return Exported(path, trained, said.file, session, digest, said.calibration)


def exported_now(runtime: Runtime, trained: Trained, device: str | torch.device) -> Exported:
    """The model for another runtime in place of its weights, made anew and kept nowhere.

    Args:
        runtime: which.
        trained: whose recipe has the test views that it is for.
        device: where it computes, as `open_exported`.

    Raises:
        RunError: it cannot be made, or gives other scores of noise than the model itself.
    """
    recipe, size = trained.recipe, trained.recipe.test.crop.size
    model = trained.model.with_frames(recipe.test.sampling.frames)
    shape = model.spec.clip_shape(size)
    facts = FileFacts.made_of(program := clip_program(model, shape), trained)
    with temporary_folder("runtime") as folder:
        path = write_file(runtime, program, folder, about_file(trained, facts))
        found = open_exported(path, device, trusted=True)
    found = replace(found, digest=f"{runtime} {facts.weights}")
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    noise = noise.to(next(model.parameters()).device)
    with torch.no_grad():
        wanted = model(noise)
    for head, scores in found.scorer(recipe)(noise).items():
        if (scores - wanted[head]).abs().max() > NOISE * wanted[head].abs().max():
            raise RunError(f"{runtime} gives other scores than the model, of the same noise")
    return found


def _check_graph(path: Path, session: Session, facts: FileFacts, heads: Mapping[str, int]) -> None:
    """CheckpointError unless the graph has what is said of it: somebody may have edited either."""
    given = {name: (None, *shape) for name, shape in facts.inputs.items()}
    made = {name: (None, heads[name]) if name in heads else None for name in facts.outputs}
    for kind, wanted, there in (
        ("input", given, session.inputs),
        ("output", made, session.outputs),
    ):
        for name, shape in wanted.items():
            if name not in there:
                raise CheckpointError(
                    f"{path} says that its graph has the {kind} '{name}'; it has "
                    f"{first_few(there) or 'none'}",
                    _AGAIN,
                )
            known = zip(shape or (), there[name], strict=False)
            if shape and (len(shape) != len(there[name]) or any(_differ(*both) for both in known)):
                raise CheckpointError(
                    f"{path} says that the {kind} '{name}' of its graph is {_by(shape)}; it is "
                    f"{_by(there[name])}",
                    _AGAIN,
                )


def _differ(ours: int | None, theirs: int | None) -> bool:
    return ours is not None and theirs is not None and ours != theirs


def _said(path: Path, text: str) -> _Said:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: what it says of the model is no JSON", _AGAIN) from error
    if not isinstance(found, Mapping) or "file" not in found:
        raise CheckpointError(
            f"{path} does not say how its model is used: marey export did not write it",
            "marey export writes files that do",
        )
    return as_value(_Said, found, path, CheckpointError, _AGAIN)


def _by(shape: tuple[int | None, ...]) -> str:
    return " x ".join("n" if size is None else str(size) for size in shape)
