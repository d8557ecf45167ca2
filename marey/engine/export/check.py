"""How far an exported file is from the model that it was made of, on real clips: check.json.

Clips are scored alone and several at once, as files may hold the number of a batch fast; streams
frame by frame, each with the buffers that the file itself gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from marey.engine.optimize.choose import Keeps
from marey.engine.runtimes.exported import Exported
from marey.engine.runtimes.form import Running
from marey.errors import RunError
from marey.models.stream import StreamingModel
from marey.models.video_model import VideoModel
from marey.types import Clip, Scores

AT_ONCE = 3
"""Clips that are scored together, the second time."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What check.json says.

    Args:
        file: the file that was tried.
        files: name -> sha256 of it, and of what lies beside it.
        of: whole clips, or a stream frame by frame.
        num_clips: real ones, that it was tried on.
        num_answers: that were compared: a clip's, or a frame's, alone and among others.
        max_abs: the largest difference of a logit.
        difference: the largest difference in parts of the largest logit of its answer.
        agreement: percent of the answers whose first label of every head is the model's.
        keeps, limit: what was asked for: `difference` at most so large ("exact"), or `agreement`
            at least ("close").
        versions: of torch and what ran the file.
        tensorrt: what TensorRT would not take of the file, if it is one of ONNX.
    """

    file: str
    files: dict[str, str]
    of: str
    num_clips: int
    num_answers: int
    max_abs: float
    difference: float
    agreement: float
    keeps: Keeps
    limit: float
    versions: dict[str, str] = field(default_factory=dict)
    tensorrt: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the file keeps what was asked for."""
        if self.keeps == "exact":
            return self.difference <= self.limit
        return self.agreement >= self.limit


@dataclass(frozen=True)
class Differences:
    """Of answers, in the words of `Check`."""

    num_answers: int
    max_abs: float
    difference: float
    agreement: float


def clip_differences(model: VideoModel, run: Running, clips: Clip) -> Differences:
    """Between `model` and a file of clips; clips [n t c h w], normalised."""
    with torch.no_grad():
        wanted = [model(clip) for clip in torch.split(clips, 1)]
    return _differences(_answers_to_clips(run, clips, wanted))


def _answers_to_clips(
    run: Running, clips: Clip, wanted: list[Scores]
) -> Iterator[tuple[Scores, Scores]]:
    for clip, answer in zip(torch.split(clips, 1), wanted, strict=True):
        yield answer, run(clip)
    for start in range(0, len(clips), AT_ONCE):
        together = run(clips[start : start + AT_ONCE])
        for i, answer in enumerate(wanted[start : start + AT_ONCE]):
            yield answer, {head: scores[i : i + 1] for head, scores in together.items()}


def stream_differences(model: StreamingModel, file: Exported, clips: Clip) -> Differences:
    """Between `model` and a file of streams, whose frames those of `clips` [n t c h w] are."""
    return _differences(_answers_to_frames(model, file, clips))


def _answers_to_frames(
    model: StreamingModel, file: Exported, clips: Clip
) -> Iterator[tuple[Scores, Scores]]:
    head = model.head_name
    for streams in (*torch.split(clips, 1), *torch.split(clips, AT_ONCE)):
        ours: tuple[Tensor, ...] = ()
        theirs: tuple[Tensor, ...] = ()
        for frame in streams.unbind(dim=1):
            with torch.no_grad():
                wanted, *kept = model(frame, *ours)
            found, *given = file.stream(frame, *theirs)
            ours, theirs = tuple(kept), tuple(given)
            yield {head: wanted}, {head: found}


def _differences(pairs: Iterator[tuple[Scores, Scores]]) -> Differences:
    number, agreeing, largest, part = 0, 0, 0.0, 0.0
    for wanted, found in pairs:
        same = torch.ones(len(next(iter(wanted.values()))), dtype=torch.bool)
        for head, ours in wanted.items():
            theirs = found[head].to(ours.device)
            for whose, scores in {"model": ours, "file": theirs}.items():
                if not scores.isfinite().all():
                    raise RunError(f"the {whose} gives scores of '{head}' that are not finite")
            off = (ours - theirs).abs().amax(dim=1)
            largest = max(largest, float(off.max()))
            part = max(part, float((off / ours.abs().amax(dim=1).clamp_min(1e-12)).max()))
            same &= (ours.argmax(dim=1) == theirs.argmax(dim=1)).cpu()
        number, agreeing = number + len(same), agreeing + int(same.sum())
    return Differences(number, largest, part, 100 * agreeing / number)
