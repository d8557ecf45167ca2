"""Forms of a model side by side: each batch of clips is scored by all, one after the other.

    batch 1   plain  fused  onnxruntime
    batch 2   fused  onnxruntime  plain          whoever is first finds the caches of another
    ...

So what else the machine does meanwhile slows all of them alike, and the same pass that is timed is
compared: with the scores of the plain model, which is the first form.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from marey.engine.optimize.memory import growth
from marey.engine.runtimes.form import Form, Running
from marey.engine.runtimes.optimized import Row
from marey.engine.timing import clocked
from marey.errors import MareyError, RunError, cut_short
from marey.models.video_model import VideoModel
from marey.types import Clip, Scores

FEWEST_BATCHES = 7
"""That a median is taken of, whatever time they take."""
MIXED_UP = 0.3
"""Of the largest logit, a difference that no rounding makes."""
HOPELESS = 4.0
"""A form that takes so many times as long as the plain one is not measured further."""

# What exporters, compilers and runtimes raise of a model that they do not take: anything.
_REFUSALS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, MareyError, MemoryError),
)


@dataclass(frozen=True, eq=False)
class Opened:
    """A form that has scored one batch."""

    name: str
    run: Running
    start_seconds: float
    memory_bytes: int | None


def opened(
    form: Form, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]
) -> Opened | Row:
    """The form, written into `folder` and opened; or a row that says why it is left out.

    clips: [n t c h w]; by all of them numbers are rounded, the first is scored.
    """
    device = clips.device
    if reason := form.missing(device):
        return Row(form=form.name, left_out=reason)
    try:
        form.write(model, clips, folder, about)
        found = _opened(form, model, clips[:1], folder)
        _check_batches(found.run, clips[:3])
    except _REFUSALS as error:
        said = error.message if isinstance(error, MareyError) else _in_words(error)
        return Row(form=form.name, left_out=said)
    return found


def _opened(form: Form, model: VideoModel, clip: Clip, folder: Path) -> Opened:
    def start() -> Running:
        running = form.open(model, folder, clip.device)
        running(clip)
        return running

    (running, seconds, _), memory = growth(lambda: clocked(start, clip.device), clip.device)
    return Opened(form.name, running, seconds, memory)


def _check_batches(run: Running, clips: Clip) -> None:
    """RunError unless several clips at once get about the scores that each has alone.

    Shapes that a graph holds fast show here, and nowhere else where batches are of one clip.
    """
    together = run(clips)
    alone = [run(clip) for clip in torch.split(clips, 1)]
    for head, scores in together.items():
        wanted = torch.cat([each[head] for each in alone])
        if (scores - wanted).abs().max() > MIXED_UP * wanted.abs().max():
            raise RunError("it scores several clips at once otherwise than one by one")


def _in_words(error: BaseException) -> str:
    """The first line of what others say of an error, with its kind."""
    first = next(filter(None, map(str.strip, str(error).splitlines())), "")
    return cut_short(f"{type(error).__name__}: {first}" if first else type(error).__name__, 160)


@dataclass
class _Tally:
    """What one form did so far."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    difference: float = 0.0
    agreeing: int = 0
    clips: int = 0


def measured(
    forms: Sequence[Opened],
    batches: Sequence[Clip],
    *,
    seconds: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """A row for each form; the first is what the others are compared with.

    Args:
        forms: opened, on the device of the clips.
        batches: clips [b t c h w] each, of one b.
        seconds: after which no further batch is begun, but for the first `FEWEST_BATCHES`.
        progress: called with (done, total) batches.
    """
    tallies = {form.name: _Tally() for form in forms}
    slow: set[str] = set()
    end = time.perf_counter() + seconds
    for done, clip in enumerate(batches):
        if done >= FEWEST_BATCHES and time.perf_counter() > end:
            break
        going = [form for form in forms if form.name not in slow]
        turn = done % len(going)
        found = {
            form.name: _timed(form.run, clip, tallies[form.name])
            for form in (*going[turn:], *going[:turn])
        }
        reference = found[forms[0].name]
        for name, scores in found.items():
            _compare(reference, scores, tallies[name])
        slow |= _hopeless(tallies, forms[0].name)
        if progress:
            progress(done + 1, len(batches))
    return [_row(form, tallies[form.name], slow, len(batches[0])) for form in forms]


def _timed(run: Callable[[Clip], Scores], clip: Clip, tally: _Tally) -> Scores:
    scores, wall, cpu = clocked(lambda: run(clip), clip.device)
    tally.seconds.append(wall)
    tally.cpu_seconds.append(cpu)
    return scores


def _compare(reference: Scores, scores: Scores, tally: _Tally) -> None:
    """Count how far the scores [b k] of a batch are from those of the reference."""
    same = torch.ones(len(next(iter(reference.values()))), dtype=torch.bool)
    for head, wanted in reference.items():
        ours, theirs = wanted.float().cpu(), scores[head].float().cpu()
        parts = (ours - theirs).abs().amax(1) / ours.abs().amax(1).clamp_min(1e-12)
        tally.difference = max(tally.difference, float(parts.nan_to_num(float("inf")).max()))
        same &= ours.argmax(1) == theirs.argmax(1)
    tally.agreeing += int(same.sum())
    tally.clips += len(same)


def _hopeless(tallies: Mapping[str, _Tally], reference: str) -> set[str]:
    """Forms that were too slow twice: the first time they may still have been warming up.

    By both clocks: on a busy machine the wall's alone would blame a form for what others did.
    """
    plain = tallies[reference]
    return {
        name
        for name, tally in tallies.items()
        if len(tally.seconds) > 1
        and min(tally.seconds) > HOPELESS * min(plain.seconds)
        and min(tally.cpu_seconds) > HOPELESS * min(plain.cpu_seconds)
    }


def _row(form: Opened, tally: _Tally, slow: set[str], batch_size: int) -> Row:
    latency = statistics.median(tally.seconds)
    return Row(
        form=form.name,
        left_out=f"over {HOPELESS:g} times as slow as the plain model" * (form.name in slow),
        clips_per_second=batch_size / latency,
        latency_seconds=latency,
        cpu_seconds=statistics.median(tally.cpu_seconds),
        start_seconds=form.start_seconds,
        memory_bytes=form.memory_bytes,
        difference=tally.difference,
        agreement=100 * tally.agreeing / tally.clips,
    )
