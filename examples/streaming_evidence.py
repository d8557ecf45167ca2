"""A stream says at the end of a clip what the clip says: frame by frame, on the built-in set.

    python examples/streaming_evidence.py OUT [--seeds 1] [--epochs 12]

Renders the built-in set, trains a TSM that only looks back by clips of 8 frames with their mean as
consensus, and then shows it every validation clip as a stream: through the reader of live sources
and `live_recogniser`, one frame at a time. What is decided at the end of a clip is compared with
what `marey eval` says of it. docs/streaming.md has what it gave.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.synthetic.dataset import render_dataset
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.predict import Predictor, load
from marey.engine.live.recogniser import LiveRecogniser, live_recogniser
from marey.engine.live.watch import Seen, Watch
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.models.temporal.tsm import TSM
from marey.recipes.demo import DEMO_TSM
from marey.recipes.recipe import Recipe, Views
from marey.timelines.decisions import MeanOfLast
from marey.video.live.feed import FeedOptions
from marey.video.live.file import VideoAsStream
from marey.video.live.moment import Moment
from marey.video.sampling.segments import Segments

FRAMES = 8


def recipe(seed: int, epochs: int) -> Recipe:
    """The demo's TSM, but that it only looks back, on twice as many frames."""
    sampling = Segments(FRAMES)
    model = replace(
        DEMO_TSM.model, temporal=(TSM(shift_div=4, direction="past"),), num_segments=FRAMES
    )
    return replace(
        DEMO_TSM,
        name=f"online-{seed}",
        seed=seed,
        model=model,
        train=Views(sampling, DEMO_TSM.train.crop),
        test=replace(DEMO_TSM.test, sampling=sampling),
        stages=(replace(DEMO_TSM.stages[0], epochs=epochs),),
        decision=MeanOfLast(FRAMES),
    )


class FramesOfTheTest:
    """The frames of a file that `marey eval` looks at, and no other."""

    breaks = False
    name: str

    def __init__(self, path: Path, predictor: Predictor, num_frames: int) -> None:
        self.name, self.path = str(path), path
        sampling = predictor.trained.recipe.test.sampling
        self.indices = set(sampling.indices(num_frames).ravel().tolist())

    def moments(self, stop: threading.Event) -> Iterator[Moment]:
        frames = VideoAsStream(self.path, hurry=True).moments(stop)
        moments = (each for each in frames if isinstance(each, Moment))
        return (each for i, each in enumerate(moments) if i in self.indices)


def at_the_end(
    recogniser: LiveRecogniser, clips: Manifest, predictor: Predictor, fps: float | str
) -> float:
    """Top-1 in percent of what is said after the last frame of each clip."""
    right = 0
    for row, label in enumerate(clips.labels["label"].tolist()):
        path, last = Path(str(clips.path(row))), ""

        def seen(of: Seen) -> None:
            nonlocal last
            last = of.answer.label if of.answer else last

        source = (
            FramesOfTheTest(path, predictor, num_frames(path))
            if fps == "test"
            else VideoAsStream(path, hurry=True)
        )
        rate = None if isinstance(fps, str) else fps
        Watch(recogniser, [source], FeedOptions(keep_all=True, fps=rate)).run(seen)
        right += last == clips.classes["label"][label]
    return 100 * right / len(clips)


def num_frames(path: Path) -> int:
    frames = VideoAsStream(path, hurry=True).moments(threading.Event())
    return sum(isinstance(each, Moment) for each in frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    manifest = asked.out / "data" / "manifest.csv"
    if not manifest.is_file():
        manifest = render_dataset(asked.out / "data", seed=0)
    clips = read_manifest(manifest, split="val")
    rates: tuple[float | str, ...] = ("test", "all", 12.0, 8.0, 6.0, 4.0)
    found: dict[float | str, list[float]] = {rate: [] for rate in ("offline", *rates)}
    for seed in range(asked.seeds):
        made = recipe(seed, asked.epochs).with_data(str(manifest))
        run = asked.out / made.name
        if not run.is_dir():
            train(made, run)
        _, path = evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
        found["offline"].append(read_results(path).metric("acc/top1"))
        predictor = load(run)
        recogniser = live_recogniser(predictor)
        for rate in rates:
            found[rate].append(at_the_end(recogniser, clips, predictor, rate))
        for rate, values in found.items():
            print(f"seed {seed}  {rate!s:>8}  {values[-1]:6.2f} %", flush=True)
    for rate, values in found.items():
        print(f"mean    {rate!s:>8}  {statistics.mean(values):6.2f} %")
    print(f"{len(clips)} clips, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
