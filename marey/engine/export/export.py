"""`marey export`: a trained model as a file for another runtime, kept if it gives the same scores.

OUT/model.onnx, or model.xml and model.bin, or model.pt2     all that is needed is in it
OUT/check.json                                               how far it is from the model
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from marey.engine.environment import versions_of
from marey.engine.export.check import Check, clip_differences, stream_differences
from marey.engine.export.tensorrt import tensorrt_faults
from marey.engine.optimize.choose import Keeps
from marey.engine.optimize.clips import WantedClips, clips_to_try
from marey.engine.runtimes.exported import CHECK, FileFacts, about_file, open_exported
from marey.engine.runtimes.graph_files import FILES, Runtime, cannot_export, write_file
from marey.engine.runtimes.graphs import saturates
from marey.engine.runtimes.onnx_file import write_int8
from marey.engine.runtimes.optimized import file_digest
from marey.engine.runtimes.program import INPUT, Program, clip_program, stream_program
from marey.engine.weights.calibration import FILE as TEMPERATURES
from marey.engine.weights.calibration import Calibration
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.joined import of_videos
from marey.engine.weights.trained import (
    Trained,
    calibration_of,
    load_trained,
    model_card,
    refuse_occupied,
    save_release,
)
from marey.errors import CheckpointError, RecipeError, RunError, counted, did_you_mean
from marey.jobs.parts import Progress
from marey.models.stream import StreamingModel, streaming, why_not_streamed
from marey.recipes.shared import without_places
from marey.recipes.testing import for_test
from marey.storage.atomic import make_folder, run_error, writing
from marey.storage.temporary import temporary_folder
from marey.storage.text_files import write_json
from marey.types import Clip


@dataclass(frozen=True, kw_only=True)
class WantedFile:
    """What a model is exported to, and what must be kept.

    Args:
        to: the runtime.
        stream: whether it takes frame by frame, with buffers, in place of clips.
        int8: whether its numbers are rounded to 8 bits, by the ranges of `clips.calibration`.
        segments, size: of the clips, and pixels; by default as the test views say.
        batch: the only number of clips or streams that it takes at once; by default any.
        head: the label of a stream, of a model with several.
        clips: to try it on.
        keeps, limit: "exact" for the largest difference, "close" for the least agreement.
    """

    to: Runtime
    stream: bool = False
    int8: bool = False
    segments: int | None = None
    size: int | None = None
    batch: int | None = None
    head: str | None = None
    clips: WantedClips = field(default_factory=WantedClips)
    keeps: Keeps = "exact"
    limit: float = 1e-4

    def __post_init__(self) -> None:
        if self.int8 and self.to == "pt2":
            raise ValueError(
                "numbers of 8 bits are not for pt2: torch has its own tools for them, which work "
                "on other programs. hint: int8 for onnx or openvino"
            )
        if self.int8 and self.to == "openvino" and self.batch != 1:
            raise ValueError(
                "numbers of 8 bits for openvino are of one clip at once: of several it scores the "
                "first alone (2026.4). hint: --batch-size 1"
            )
        if self.head is not None and not self.stream:
            raise ValueError(f"head is {self.head!r}, but a file of clips gives all heads")


def export_file(
    source: Path,
    out: Path,
    wanted: WantedFile,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Check:
    """Write the model in the folder `source` as a file to the new folder `out`.

    Args:
        source: of a run or of a release.
        out: a new folder, with the file and check.json.
        wanted: what is written, and what must be kept.
        progress: called with (done, total) steps.
        say: called with what is being done.

    Raises:
        RunError: packages are missing, the model cannot be exported so, the file does not keep what
            is asked, or `out` is not empty or cannot be written.
        ManifestError: there are no clips to try it on.
    """
    refuse_occupied(out)
    if reason := cannot_export(wanted.to):
        raise RunError(f"nothing can be exported to {wanted.to}: {reason}")
    trained = _for_test(of_videos(load_trained(source)), wanted)
    stream = _stream_of(trained, source, wanted.head) if wanted.stream else None
    clips = clips_to_try(trained, trained.recipe, wanted.clips, torch.device("cpu"))
    step = _steps(progress)
    step(1)
    say(f"writing {' and '.join(FILES[wanted.to])}")
    calibration = _calibration(trained, say)
    if stream is not None:
        trained = _of_head(trained, stream.head_name)
    program = _program(trained, stream, wanted)
    facts = FileFacts.made_of(program, trained, numbers="int8" if wanted.int8 else "float32")
    # a file is to be given away: where clips lie on this machine is nobody else's
    given = replace(trained, recipe=without_places(trained.recipe))
    named = replace(calibration, manifest="", other_clips="") if calibration else None
    about = about_file(given, facts, named)
    with temporary_folder("export") as folder:
        rounding = partial(_round, program=program, clips=clips.fitted, stream=stream)
        rewrite = rounding if wanted.int8 else None
        path = write_file(wanted.to, program, folder, about, rewrite=rewrite)
        step(2)
        say(f"trying it on {counted(len(clips.tried), 'clip')}")
        check = _checked(path, trained, stream, clips.tried, wanted)
        step(3)
        if not check.holds:
            raise _off(check)
        make_folder(out, run_error)
        write_json(folder / CHECK, check)
        names = (*FILES[wanted.to], CHECK)
        with writing(out, run_error):
            try:
                for name in names:
                    shutil.copyfile(folder / name, out / name)
            except BaseException:  # half a file would have the next try refused
                for name in names:
                    (out / name).unlink(missing_ok=True)
                raise
    return check


def export_weights(source: Path, out: Path) -> Path:
    """Write the release of `source` to the new folder `out`, and read it back; returns `out`.

    RunError as `export_release`; CheckpointError if what was read back is not what was written.
    """
    refuse_occupied(out)
    ours = load_trained(source)
    theirs = load_trained(save_release(ours, out, model_card(ours, source)))
    same = weights_digest(ours.model) == weights_digest(theirs.model)
    if not same or ours.classes != theirs.classes:
        raise CheckpointError(f"{out} was written, and is not what was read back", "check the disk")
    return out


def _calibration(trained: Trained, say: Callable[[str], None]) -> Calibration | None:
    """The temperatures that the file carries; it is said if they are left out."""
    try:
        return calibration_of(trained)
    except (CheckpointError, RecipeError) as error:
        if trained.folder is not None and (trained.folder / TEMPERATURES).is_file():
            say(f"temperatures are left out: {error.message}")
        return None


def _for_test(trained: Trained, wanted: WantedFile) -> Trained:
    """The model with the test views that the file is for."""
    size = [f"size={wanted.size}"] if wanted.size else []
    recipe = for_test(trained.recipe, segments=wanted.segments, overrides=size)
    return replace(trained, recipe=recipe)


def _stream_of(trained: Trained, source: Path, head: str | None) -> StreamingModel:
    """The model, frame by frame; RunError of one that does not only look back, or of no head."""
    if reason := why_not_streamed(trained.model.spec):
        raise RunError(
            f"{source} gives no stream: {reason}",
            "recipes that only look back do, as tsm-mobilenetv2-online; of any other model "
            "`marey stream` shows windows, also of its file without --stream",
        )
    try:
        return streaming(trained.model, head)
    except ValueError as error:
        heads = list(trained.classes)
        given = did_you_mean(head, heads) if head else f"--head {heads[0]}, or head='{heads[0]}'"
        raise RunError(f"{source}: {error}", given) from error


def _of_head(trained: Trained, head: str) -> Trained:
    """The model as a stream of one head knows it."""
    recipe = trained.recipe
    heads = tuple(each for each in recipe.model.heads if each.name == head)
    return replace(
        trained,
        recipe=replace(recipe, model=replace(recipe.model, heads=heads)),
        classes={head: trained.classes[head]},
        class_counts={key: of for key, of in trained.class_counts.items() if key == head},
    )


def _program(trained: Trained, stream: StreamingModel | None, wanted: WantedFile) -> Program:
    test = trained.recipe.test
    shape = trained.recipe.tested_model.clip_shape(test.crop.size)
    if stream is not None:
        return stream_program(stream, shape[1:], wanted.batch)
    return clip_program(trained.model.with_frames(test.sampling.frames), shape, wanted.batch)


def _round(path: Path, *, program: Program, clips: Clip, stream: StreamingModel | None) -> None:
    """Round the numbers of the graph at `path` to 8 bits, by the ranges of these clips."""
    if stream is None:
        examples: Iterator[Mapping[str, Tensor]] = ({INPUT: clip} for clip in torch.split(clips, 1))
    else:
        examples = _frames(program, clips, stream)
    repeated = (
        {name: value.expand(program.batch or 1, *value.shape[1:]) for name, value in each.items()}
        for each in examples
    )
    write_int8(path, repeated, path, saturates=saturates())


def _frames(
    program: Program, clips: Clip, stream: StreamingModel
) -> Iterator[Mapping[str, Tensor]]:
    """Each frame of each clip, with the buffers that it is met by."""
    for clip in torch.split(clips, 1):
        buffers = stream.first_buffers(*clip.shape[-2:])
        for frame in clip.unbind(dim=1):
            yield dict(zip(program.inputs, (frame, *buffers), strict=True))
            with torch.no_grad():
                _, *kept = stream(frame, *buffers)
            buffers = tuple(kept)


def _checked(
    path: Path, trained: Trained, stream: StreamingModel | None, clips: Clip, wanted: WantedFile
) -> Check:
    file = open_exported(path, trusted=True)
    if stream is None:
        model = trained.model.with_frames(trained.recipe.test.sampling.frames)
        found = clip_differences(model, file.scorer(trained.recipe), clips)
    else:
        found = stream_differences(stream, file, clips)
    return Check(
        file=path.name,
        files={name: file_digest(path.with_name(name)) for name in FILES[wanted.to]},
        of=file.facts.of,
        num_clips=len(clips),
        num_answers=found.num_answers,
        max_abs=found.max_abs,
        difference=found.difference,
        agreement=found.agreement,
        keeps=wanted.keeps,
        limit=wanted.limit,
        versions=versions_of(_VERSIONS),
        tensorrt=tensorrt_faults(path) if wanted.to == "onnx" else (),
    )


_VERSIONS = ("marey", "torch", "onnx", "onnxscript", "onnxruntime", "openvino")


def _off(check: Check) -> RunError:
    """That a file is not what was asked for."""
    if check.keeps == "exact":
        return RunError(
            f"{check.file} is off by {check.difference:.1e} of the largest logit, more than "
            f"{check.limit:g}; nothing was written",
            f"--exact {_no_less(1.1 * check.difference)} allows it, or --close PERCENT of equal "
            "labels",
        )
    least = math.floor(check.agreement)
    allows = f"--close {least} allows it; " if least else ""
    return RunError(
        f"{check.file} gives {check.agreement:.1f} % of the first labels that the model gives, "
        f"less than {check.limit:g}; nothing was written",
        f"{allows}more clips to fit to may help (--calibration)",
    )


def _no_less(value: float) -> str:
    """The next number of one digit.

    >>> _no_less(1.43e-4), _no_less(9.6e-3)
    ('2e-04', '1e-02')
    """
    unit = 10.0 ** math.floor(math.log10(value))
    return f"{math.ceil(value / unit) * unit:.0e}"


def _steps(progress: Progress | None) -> Callable[[int], None]:
    return lambda done: progress(done, 3) if progress else None
