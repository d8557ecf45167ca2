"""The built-in set: real H.264 files of ten actions that differ only by the order of time.

Every scene (`marey.data.synthetic.scenes`) is written twice, forwards and backwards, under the two
names of a pair: "moving right" and "moving left" hold the same pictures. So whatever looks at the
frames as a set, without their order, gives both files one answer and is right about one of them at
most: `appearance_ceiling` is a limit, not an estimate. For this to hold nothing else may tell which
frame came first:

  - noise, shake and flicker are drawn frame by frame before the reversal, and reversed with it;
  - the coder makes every frame an I-frame with one quantizer. With predicted frames the first one
    would look better than the others, and a network could learn to look for it. So a file decodes
    to exactly the reversed pixels of its partner (tested);
  - no length is a multiple of 8: there the middles of four segments fall between two frames (of
    eight segments where it is one of 16) and are rounded one way (1, 3, 5, 7 of 8), so that the
    partner would show its other frames.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.write import write_manifest
from marey.data.synthetic.render import Film, shoot
from marey.data.synthetic.scenes import SCENES
from marey.errors import ManifestError
from marey.jobs.cores import num_cores
from marey.jobs.parts import Progress

ACTIONS = {
    "move": ("moving right", "moving left"),
    "rise": ("moving up", "moving down"),
    "near": ("approaching", "receding"),
    "turn": ("turning clockwise", "turning counterclockwise"),
    "open": ("opening", "closing"),
}
"""What each scene shows, and what it shows backwards."""

CLASSES = tuple(name for both in ACTIONS.values() for name in both)
"""The class names; the place is the label."""

REVERSALS = tuple((label, label + 1) for label in range(0, len(CLASSES), 2))
"""Pairs of labels that are each other's reverse in time."""

SPLITS = ("train", "val")


def appearance_ceiling(reversals: Iterable[tuple[int, int]], classes: Sequence[str]) -> float:
    """Best top-1 accuracy, in percent, without the order of the frames (balanced classes).

    Classes that are each other's reverse look the same; of those that do, one can be right.

    >>> appearance_ceiling([(0, 1)], ["opening", "closing", "standing"])
    66.66666666666667
    """
    look = list(range(len(classes)))
    for one, other in reversals:
        look = [look[one] if each == look[other] else each for each in look]
    return 100 * len(set(look)) / len(classes)


def render_dataset(
    out: Path,
    *,
    clips_per_class: tuple[int, int] = (64, 20),
    seed: int = 0,
    size: int = 64,
    frames: tuple[int, int] = (14, 24),
    fps: int = 12,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """The manifest.csv of the set, which is written below `out` with labels.txt beside it.

    Args:
        out: the folder; videos lie in videos/CLASS/.
        clips_per_class: for training and for validation.
        seed: of all that is drawn; the pixels depend on it and on the sizes alone.
        size: pixels of each side of a frame, even, 16 or more.
        frames: the fewest and the most a clip has, from 2 on; none has a multiple of 8.
        fps: frames a second.
        workers: processes; default: as many as there are cores.
        progress: called with (videos written, videos).

    Raises:
        ValueError: a size or a number of frames that makes no such clips.
        ManifestError: nothing can be written below `out`.
    """
    lengths = [n for n in range(frames[0], frames[1] + 1) if n % 8]
    if not lengths or frames[0] < 2:
        raise ValueError(
            f"frames is {frames}, expected (fewest, most) from 2 on, not multiples of 8 alone"
        )
    if size < 16 or size % 2:
        raise ValueError(f"size is {size}, expected an even number of pixels from 16 on")
    films = list(_films(Path(out), clips_per_class, seed, lengths, size, fps))
    _shoot_all(films, Path(out), workers or num_cores(), progress)
    write_manifest(_manifest(films, Path(out)), Path(out) / "manifest.csv")
    return Path(out) / "manifest.csv"


def _films(
    out: Path,
    clips_per_class: tuple[int, int],
    seed: int,
    lengths: Sequence[int],
    size: int,
    fps: int,
) -> Iterator[Film]:
    for split, count in enumerate(clips_per_class):
        for number in range(count):
            for kind, scene in enumerate(SCENES):
                key = (seed, split, kind, number)
                forwards, backwards = (
                    out / "videos" / name.replace(" ", "_") / f"{SPLITS[split]}_{number:04d}.mp4"
                    for name in ACTIONS[scene]
                )
                num_frames = int(np.random.default_rng((*key, 1)).choice(lengths))
                yield Film(
                    scene=scene,
                    seed=key,
                    forwards=forwards,
                    backwards=backwards,
                    num_frames=num_frames,
                    size=size,
                    fps=fps,
                )


def _shoot_all(films: Sequence[Film], out: Path, workers: int, progress: Progress | None) -> None:
    try:
        for folder in {path.parent for film in films for path in (film.forwards, film.backwards)}:
            folder.mkdir(parents=True, exist_ok=True)
        for done, _ in enumerate(_run(films, min(workers, 1 + len(films) // 50)), start=1):
            if progress is not None:
                progress(2 * done, 2 * len(films))
    except OSError as error:
        raise ManifestError(
            f"cannot write videos below {out}: {error.strerror or error}",
            "free space, or another folder",
        ) from error


def _run(films: Sequence[Film], workers: int) -> Iterator[None]:
    """Shoot the films, in this process if there are few: another takes a while to start."""
    if workers == 1:
        yield from map(shoot, films)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of our threads
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(shoot, films, chunksize=8)


def _manifest(films: Sequence[Film], out: Path) -> Manifest:
    rows = [
        (path.relative_to(out).as_posix(), label, path.stem.partition("_")[0], film.num_frames)
        for film in films
        for path, label in zip(
            (film.forwards, film.backwards), map(CLASSES.index, ACTIONS[film.scene]), strict=True
        )
    ]
    paths, labels, splits, counts = zip(*rows, strict=True)
    columns = {"path": paths, "label": labels, "split": splits, "num_frames": counts}
    return Manifest.from_columns(out / "manifest.csv", out, columns, {"label": CLASSES})
