"""From which frequent classes LMR rebuilds each few-shot class: RUN/reconstruction.json.

The weights W of LMR (`marey.longtail.lmr`, eq. 3 and 4) between training clips, as the trained
model sees them on its test views: as many clips of every class, drawn at random, are the keys, as a
memory bank filled by class-balanced sampling has them. W is near to even over the frequent clips
(its note on eq. 4), so a share is given in times of the even one: 1.2 is a fifth more than even.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.class_names import with_class_names
from marey.engine.inference.extractor import view_features
from marey.engine.inference.scoring import view_batches
from marey.engine.weights.trained import Trained, load_trained
from marey.errors import RunError, counted
from marey.jobs.parts import Progress
from marey.longtail.lmr import LMR, attention, final_norm, unlearned_similarity
from marey.models.fused import fused
from marey.storage.text_files import as_value, read_json, write_json
from marey.video.reading.reader import Span

FILE = "reconstruction.json"
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShownClip:
    """A clip as an example; of a whole file start and end are None."""

    path: str
    start: float | None
    end: float | None

    def span(self, unit: Literal["seconds", "frames"]) -> Span | None:
        """Where it lies in its file."""
        return None if self.start is self.end is None else Span(self.start, self.end, unit)


@dataclass(frozen=True)
class SourceClass:
    """A frequent class that another is rebuilt from, with the clip of most weight."""

    name: str
    training_clips: int
    share: float
    times_even: float
    """Its share to that it would have if all frequent clips weighed the same."""
    clip: ShownClip


@dataclass(frozen=True)
class RebuiltClass:
    """A few-shot class, and what it is rebuilt from, most weight first."""

    name: str
    training_clips: int
    clip: ShownClip
    sources: tuple[SourceClass, ...]


@dataclass(frozen=True)
class Reconstruction:
    """What FILE says."""

    head: str
    few_clips: int
    keys_per_class: int
    classes: tuple[RebuiltClass, ...]
    span_unit: Literal["seconds", "frames"] = "seconds"


def reconstruct_folder(
    folder: Path,
    *,
    train_manifest: Path | None = None,
    per_class: int = 8,
    top: int = 3,
    seed: int = 0,
    workers: int | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Write FILE into the folder of a run trained with LMR, and say where.

    Args:
        train_manifest: the clips it was trained on; by default as its recipe says.
        per_class: clips of every class that are keys.
        top: classes to name for each few-shot class.
        seed: of the choice of clips.
        workers: processes that read clips; by default as many as the recipe says.
        batch_size: clips at once; by default as many as the recipe says.
        device: where the model runs.
        progress: called with clips (done, total).

    Raises:
        RunError: if the run has no LMR or no few-shot classes.
    """
    trained = load_trained(folder, device)
    spec, recipe = _lmr(trained, folder), trained.recipe
    heads = {head.name: head.num_classes for head in recipe.model.heads}
    data = recipe.data
    lists = (train_manifest,) if train_manifest else data.train_lists
    clips = read_manifests(lists, split="train", heads=heads, at=data.location)
    train_set = with_class_names(clips, trained)
    head = spec.head or next(iter(heads))
    counts = train_set.class_counts(head)
    is_few = counts <= spec.few
    if not is_few.any() or is_few.all():
        raise RunError(
            f"{folder}: of {counted(len(is_few), 'class')} {int(is_few.sum())} with at most "
            f"{counted(spec.few, 'clip')}, expected such and others"
        )
    chosen = train_set.take(_some_of_each(train_set.labels[head], per_class, seed))
    rows, x = _features(trained, chosen, workers, batch_size, device, progress)
    kept = chosen.take(rows)
    norm = final_norm(trained.model) if spec.variant == "released" else None
    with torch.no_grad():
        w = class_weights_of_clips(spec, x, kept.labels[head], is_few, norm)
    rebuilt = Reconstruction(
        head=head,
        few_clips=spec.few,
        keys_per_class=per_class,
        span_unit=kept.unit,
        classes=tuple(
            _rebuilt(kept, head, label, counts, is_few, weights, top)
            for label, weights in w.items()
        ),
    )
    write_json(folder / FILE, rebuilt)
    return folder / FILE


def read_reconstruction(folder: Path) -> Reconstruction | None:
    """What stands in FILE of the folder of a run; None without one, RunError if it is torn."""
    path = folder / FILE
    return as_value(Reconstruction, read_json(path), path) if path.is_file() else None


def class_weights_of_clips(
    spec: LMR,
    x: Tensor,
    labels: Rows,
    is_few: npt.NDArray[np.bool_],
    norm: torch.nn.LayerNorm | None,
) -> dict[int, npt.NDArray[np.float64]]:
    """Few-shot class -> mean weight [n] of every clip x [n d] in rebuilding its clips."""
    helps = torch.from_numpy(~is_few[labels])
    weights = {}
    for label in np.flatnonzero(is_few).tolist():
        rows = torch.from_numpy(np.flatnonzero(labels == label))
        if len(rows):
            w = attention(spec.z * unlearned_similarity(spec, x[rows], x, norm), helps, rows)
            weights[label] = w.mean(dim=0).double().numpy()
    return weights


def _lmr(trained: Trained, folder: Path) -> LMR:
    specs = [s.objective for s in trained.recipe.stages if isinstance(s.objective, LMR)]
    if not specs:
        raise RunError(f"{folder} was not trained with LMR", "its recipe has no such objective")
    if specs[-1].several_labels:
        raise RunError(
            f"{folder}: its clips have several classes, so that none is made of others alone",
            "this table is of models of one class a clip",
        )
    if specs[-1].attention in ("q", "q_k"):
        raise RunError(
            f"{folder}: its LMR compares clips by layers (attention={specs[-1].attention}) that "
            "are left behind with training",
            "this table is of attention=static and cos_sim",
        )
    return specs[-1]


def _some_of_each(labels: Rows, per_class: int, seed: int) -> Rows:
    order = np.random.default_rng(seed).permutation(len(labels))
    some = [order[labels[order] == label][:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(some))


def _features(
    trained: Trained,
    clips: Manifest,
    workers: int | None,
    batch_size: int | None,
    device: str,
    progress: Progress | None,
) -> tuple[Rows, Tensor]:
    """The rows [n] that could be read, and their features [n d]."""
    recipe, rows, parts = trained.recipe, [], []
    model = fused(trained.model.with_frames(recipe.test.sampling.frames))
    with closing(view_batches(clips, recipe, workers=workers, batch_size=batch_size)) as batches:
        for batch in batches:
            if len(batch.rows):
                rows.append(batch.rows.numpy())
                x = view_features(model, batch.clip, recipe, per="clip", device=device)
                parts.append(x[:, 0])
            if progress:
                progress(sum(map(len, rows)), len(clips))
    if not rows:
        raise RunError(f"{clips.source}: no training clip could be read")
    return np.concatenate(rows), torch.cat(parts).cpu()


def _rebuilt(
    clips: Manifest,
    head: str,
    label: int,
    counts: Rows,
    is_few: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    top: int,
) -> RebuiltClass:
    labels, names = clips.labels[head], clips.classes[head]
    share = np.bincount(labels, weights=weights, minlength=len(names))
    keys = np.bincount(labels, minlength=len(names)) * ~is_few
    even = keys / max(keys.sum(), 1)
    sources = [source for source in np.argsort(-share, kind="stable")[:top] if share[source] > 0]
    return RebuiltClass(
        name=names[label],
        training_clips=int(counts[label]),
        clip=_clip(clips, int(np.flatnonzero(labels == label)[0])),
        sources=tuple(
            SourceClass(
                name=names[source],
                training_clips=int(counts[source]),
                share=round(float(share[source]), 5),
                times_even=round(float(share[source] / even[source]), 3),
                clip=_clip(clips, int(np.where(labels == source, weights, -1).argmax())),
            )
            for source in sources
        ),
    )


def _clip(clips: Manifest, row: int) -> ShownClip:
    path, span = str(clips.path(row)), clips.span(row)
    return ShownClip(path, span.start, span.end) if span else ShownClip(path, None, None)
