"""A stream says at the end of a clip what the clip says: frame by frame, on the built-in set.

    python examples/streaming_evidence.py OUT [--seeds 1] [--epochs 12]
    python examples/streaming_evidence.py OUT --weights mobilenet_v2-b0353104.pth

Renders the built-in set, trains a TSM that only looks back by clips of 8 frames with their mean as
consensus: a small ResNet-18 from nothing, or with `--weights` the recipe tsm-mobilenetv2-online,
from ImageNet and on pictures of 64 pixels. Then it shows it every validation clip as a stream:
decoded as live files are, one frame after the other. What is decided at the end of a clip is
compared with what `marey eval` says of it.
docs/streaming.md has what it gave.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from marey.data.manifest.read import read_manifest
from marey.data.synthetic.dataset import render_dataset
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.predict import load
from marey.engine.live.recogniser import LiveRecogniser, live_recogniser
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.models.temporal.tsm import TSM
from marey.recipes.catalog import find
from marey.recipes.demo import DEMO_TSM
from marey.recipes.optim import SGD, Cosine, Warmup
from marey.recipes.recipe import Recipe, Stage, Views
from marey.timelines.decisions import MeanOfLast, decided
from marey.video.crops import CenterCrop
from marey.video.live.clock import Thinner
from marey.video.live.file import VideoAsStream
from marey.video.live.moment import Moment
from marey.video.sampling.segments import Sampling, Segments

FRAMES = 8
ALL = 1000
RATES: tuple[float | str, ...] = ("those of eval", 4.0, 5.0, 6.0, 8.0, "all")
RULES = (FRAMES, 12, ALL)
"""How many of the last logits are averaged."""


def recipe(seed: int, epochs: int, weights: str) -> Recipe:
    """The demo's TSM, but that it only looks back, on twice as many frames; or the published."""
    if weights:
        picture = CenterCrop(64, resize=64)
        online = find("tsm-mobilenetv2-online")
        first = Stage(epochs=epochs, optim=SGD(lr=0.01), schedule=Cosine(), warmup=Warmup(1))
        return replace(
            online,
            name=f"{online.name}-{seed}",
            seed=seed,
            train=replace(online.train, crop=picture),
            test=replace(online.test, crop=picture),
            stages=(first,),
            batch_size=16,
            lr_batch_size=None,
            weights=weights,
        )
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
    )


def frames_of(path: Path, rate: float | str, sampling: Sampling) -> list[Moment]:
    """The frames of a file that are looked at, each with its time."""
    source = VideoAsStream(path, hurry=True).moments(threading.Event())
    frames = []
    for each in source:
        if isinstance(each, Moment):
            picture = each.picture()  # it is there until the next one is decoded
            frames.append(Moment(each.seconds, lambda picture=picture: picture))  # type: ignore[misc]
    if rate == "those of eval":
        return [frames[i] for i in sampling.indices(len(frames)).ravel()]
    thinner = Thinner(None if isinstance(rate, str) else rate)
    return [each for each in frames if thinner.keeps(each.seconds)]


def at_the_end(recogniser: LiveRecogniser, frames: list[Moment]) -> dict[int, str]:
    """What is said after the last frame, by each of the rules.

    recogniser: whose rule keeps all logits of a clip.
    """
    stream = recogniser.begin()
    for each in frames:
        recogniser.step([(stream, each.picture(), each.seconds)])
    assert stream.decided is not None
    logits, seconds = stream.decided.recent, [each.seconds for each in frames]
    return {
        last: recogniser.labels[decided(MeanOfLast(last), logits, seconds)[-1].said]
        for last in RULES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--weights", default="", help="ImageNet's, of MobileNetV2")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    manifest = asked.out / "data" / "manifest.csv"
    if not manifest.is_file():
        manifest = render_dataset(asked.out / "data", seed=0)
    clips = read_manifest(manifest, split="val")
    names = [clips.classes["label"][label] for label in clips.labels["label"]]
    offline, right = [], np.zeros((asked.seeds, len(RATES), len(RULES)))
    for seed in range(asked.seeds):
        made = recipe(seed, asked.epochs, asked.weights).with_data(str(manifest))
        run = asked.out / made.name
        if not run.is_dir():
            train(made, run)
        _, path = evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
        offline.append(read_results(path).metric("acc/top1"))
        recogniser = live_recogniser(load(run), MeanOfLast(ALL))
        for row, name in enumerate(names):
            for i, rate in enumerate(RATES):
                frames = frames_of(Path(str(clips.path(row))), rate, made.test.sampling)
                said = at_the_end(recogniser, frames)
                right[seed, i] += [said[last] == name for last in RULES]
    print(f"offline {statistics.mean(offline):.2f} %, {asked.seeds} seeds, {len(names)} clips")
    for rate, values in zip(RATES, 100 * right.mean(axis=0) / len(names), strict=True):
        print(f"{rate!s:>14}  " + "  ".join(f"{value:6.2f} %" for value in values))
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
