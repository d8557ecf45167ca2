"""Clips from their files to batches, beside the published loader and beside a bare decoder.

    python -m benchmarks.loading --json FILE [--manifest clips.csv --root FOLDER] [--rows 1e7]

Every form, training and testing: 8 frames at 224 as a batch of uint8. The reference reads loose
JPEG by Pillow into float32, as the published code does.

The videos, of the bare decoder: the same beside PyAV alone, which decodes to the last frame that is
asked for and makes RGB of those that are.

A worker's memory: a worker reads `--clips` tiny clips; `growth_mb` is what it has for itself at the
end beyond what it had at a tenth of them.

The first batch: of `--rows` rows, opened, an epoch drawn, a batch read, in a process of its own.

`cores_for_an_h200` is how many cores feed one that trains TSM-R50 at 8 x 224 with
`H200_CLIPS_A_SECOND`, at the clips a second that one core reads in this run.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import torch

from benchmarks.budget import Budget
from benchmarks.made_up_videos import KINETICS_LIKE, SSV2_LIKE, Videos, made_up
from benchmarks.paired import side_by_side
from benchmarks.reference import loading as published
from benchmarks.rows import NO_TIME, Row, add_options, report, row
from marey.data.loading.clips import ClipDataset, collate
from marey.data.loading.loader import clip_batches
from marey.data.loading.samplers import (
    ClassBalanced,
    EpochSampler,
    InstanceBalanced,
    Sampler,
    SquareRoot,
    draw_epoch,
)
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.data.packs.forms import FrameFolders, JpegPacks, Mp4Files, PackFormat
from marey.data.packs.pack_clips import pack_clips
from marey.jobs.executors import HERE
from marey.video.crops import CenterCrop, Crop, MultiScaleCrop
from marey.video.reading.pixels import ShortSide
from marey.video.sampling.segments import Segments

H200_CLIPS_A_SECOND = 700
"""TSM-R50 at 8 x 224, bfloat16: an estimate from its share of peak, not measured."""
SECONDS_A_TINY_CLIP, SECONDS_A_ROW = 1e-3, 6e-6
"""By the wall: what a worker's memory and the first batches need at most, on a machine that is not
busy. They are not cut short, but left out."""
SAMPLING = Segments(8)
CROPS: dict[str, Crop] = {"training": MultiScaleCrop(224), "testing": CenterCrop(224, 256)}
FORMS: dict[str, PackFormat] = {
    "loose JPEG": FrameFolders(published.TEMPLATE, ShortSide(1 << 14), quality=1),
    "JPEG packs at up to 256": JpegPacks(ShortSide(256)),
    "JPEG packs at 256": JpegPacks(ShortSide(256, enlarge=True)),
    "mp4, GOP 12": Mp4Files(ShortSide(256)),
}
SAMPLERS: tuple[Sampler, ...] = (InstanceBalanced(), ClassBalanced(), SquareRoot())


def measure(
    name: str, videos: Manifest, place: Path, budget: Budget, *, rounds: int
) -> tuple[list[Row], dict[str, str]]:
    """The rows of a set of clips, which are packed into folders of `place`; what is left out."""
    made: dict[str, Manifest] = {}
    for form_name, form in FORMS.items():
        out = place / f"{name} {form_name}"
        pack_clips(videos, out, form, executor=HERE)
        made[form_name] = read_manifest(out / "manifest.csv")
    counted = made["JPEG packs at 256"].frame_counts
    videos = videos.with_columns({"num_frames": counted})  # else a pass over each counts its frames
    made["the videos"] = videos
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for done, (views, crop) in enumerate(CROPS.items()):
        ours = {what: _reading(manifest, crop, views) for what, manifest in made.items()}
        reference = partial(_read_as_published, made["loose JPEG"], views)
        bare = partial(_decode, videos, views)
        ways = {"published": reference, "bare": bare} | ours
        within = budget.share(1 / (len(CROPS) - done)).left
        timings = side_by_side(ways, rounds=rounds, within=within)
        left_out |= {f"{name}, {way}, {views}": NO_TIME for way in ways if way not in timings}
        theirs, decoded = timings.pop("published"), timings.pop("bare")
        for what, timing in timings.items():
            seconds = timing.cpu_seconds / len(videos)
            cores = math.ceil(H200_CLIPS_A_SECOND * seconds) if views == "training" else ""
            each = row(
                name,
                f"{what}, {views}",
                timing,
                theirs,
                clips_a_second=1 / seconds,
                cores_for_an_h200=cores,
            )
            rows.append(each)
        if videos_too := timings.get("the videos"):
            rows.append(row(name, f"the videos, {views}, of the bare decoder", videos_too, decoded))
    return rows, left_out


def _reading(manifest: Manifest, crop: Crop, views: str) -> Callable[[], object]:
    clips = ClipDataset(manifest, SAMPLING, crop)
    keys = [(number, number if views == "training" else None) for number in range(len(manifest))]
    return lambda: collate([clips[key] for key in keys])


def _read_as_published(manifest: Manifest, views: str) -> None:
    clips = []
    for number in range(len(manifest)):
        folder, count = Path(str(manifest.path(number))), manifest.num_frames(number) or 0
        clips.append(
            published.training_clip(folder, count, SAMPLING, seed=number)
            if views == "training"
            else published.testing_clip(folder, count, SAMPLING)
        )
    torch.stack(clips)


def _decode(manifest: Manifest, views: str) -> None:
    """What no loader of these frames can do without, where they are read in order."""
    for number in range(len(manifest)):
        rng = np.random.default_rng(number) if views == "training" else None
        wanted = set(SAMPLING.indices(manifest.num_frames(number) or 0, rng)[0].tolist())
        with av.open(str(manifest.path(number))) as file:
            file.streams.video[0].thread_type = "NONE"
            for index, frame in enumerate(file.decode(video=0)):
                if index in wanted:
                    frame.to_ndarray(format="rgb24")
                if index == max(wanted):
                    break


def memory_row(place: Path, num_clips: int) -> Row:
    """What a loader worker has for itself as it reads `num_clips` clips of 2 x 32 pixels."""
    tiny = made_up(Videos("libx264", "mp4", 48, 32, 12, 4, {"g": "4"}), place / "tiny", 4)
    pack_clips(tiny, place / "tiny packs", JpegPacks(ShortSide(32)), executor=HERE)
    packed = read_manifest(place / "tiny packs" / "manifest.csv")
    clips = ClipDataset(packed, Segments(2), CenterCrop(32, 32))
    numbers = np.arange(num_clips) % len(packed)
    keys = ([(int(n), None) for n in part] for part in np.split(numbers, num_clips // 100))
    start, early, worker = time.perf_counter(), 0, psutil.Process()
    for done, _ in enumerate(clip_batches(clips, keys, workers=1)):
        if not done:
            worker = psutil.Process().children()[-1]
        if done == num_clips // 1000:
            early = worker.memory_full_info().uss
        if done == num_clips // 100 - 3:  # it goes when it has read the last one
            late, spent = worker.memory_full_info().uss, sum(worker.cpu_times()[:2])
    return Row(
        model=f"{num_clips:,} tiny clips",
        mode="a worker's memory",
        cpu_seconds=spent,
        wall_seconds=time.perf_counter() - start,
        rounds=1,
        more={"worker_mb": late / 1e6, "growth_mb": (late - early) / 1e6},
    )


def first_batch_rows(place: Path, num_rows: int) -> list[Row]:
    """The time to the first batch of a training on `num_rows` rows, in a process of its own."""
    tiny = made_up(Videos("libx264", "mp4", 48, 32, 12, 4, {"g": "4"}), place / "first", 8)
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 1001)
    names = pa.array([f"{number}.mp4" for number in range(len(tiny))], pa.large_string())
    columns = {
        "path": names.take(pa.array(rng.integers(len(tiny), size=num_rows))),
        "label": rng.choice(1000, num_rows, p=weights / weights.sum()),
    }
    classes = {"label": tuple(f"class {number}" for number in range(1000))}
    path = place / "first" / "many.arrow"
    many = Manifest.from_columns(path, path.parent, columns, classes)
    write_manifest(many, path)
    return [_in_a_process(path, sampler, num_rows) for sampler in SAMPLERS]


def _in_a_process(path: Path, sampler: Sampler, num_rows: int) -> Row:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_first_batch, args=(path, sampler, theirs))
    process.start()
    cpu, wall, opened, drawn = ours.recv()
    process.join()
    return Row(
        model=f"{num_rows:,} rows",
        mode=f"the first batch, {type(sampler).__name__}",
        cpu_seconds=cpu,
        wall_seconds=wall,
        rounds=1,
        more={"open_cpu_seconds": opened, "draw_cpu_seconds": drawn},
    )


def _first_batch(path: Path, sampler: Sampler, answer: Connection) -> None:
    torch.set_num_threads(1)
    wall, start = time.perf_counter(), time.process_time()
    train = read_manifest(path)
    opened = time.process_time() - start
    rows = draw_epoch(sampler, train.labels, train.sources, seed=0, epoch=0)
    drawn = time.process_time() - start - opened
    clips = ClipDataset(train, Segments(2), CenterCrop(32, 32))
    next(clip_batches(clips, EpochSampler(rows, 64, seed=0, epoch=0), workers=0))
    answer.send((time.process_time() - start, time.perf_counter() - wall, opened, drawn))


def main(words: Sequence[str] | None = None) -> None:
    """Measure what `words`, or those of the command line, ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loading", description="Clips from their files to batches."
    )
    parser.add_argument("--manifest", type=Path, help="clips of your own, beside the made-up ones")
    parser.add_argument("--root", help="where their paths start")
    parser.add_argument("--num", type=int, default=8, help="clips of each set; 8")
    parser.add_argument("--clips", type=float, default=1e5, help="that a worker reads; 1e5")
    parser.add_argument("--rows", type=float, default=1e7, help="to the first batch; 1e7")
    add_options(parser)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    budget = Budget.of(60 * asked.minutes)
    memory_seconds = asked.clips * SECONDS_A_TINY_CLIP
    first_seconds = asked.rows * SECONDS_A_ROW
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        sets = {
            "SSv2-like": made_up(SSV2_LIKE, place / "ssv2", asked.num),
            "Kinetics-like": made_up(KINETICS_LIKE, place / "kinetics", max(1, asked.num // 2)),
        }
        if asked.manifest:
            given = read_manifest(asked.manifest, at=Location(asked.root))
            sets[asked.manifest.parent.name] = given.take(np.arange(min(asked.num, len(given))))
        for done, (set_name, videos) in enumerate(sets.items()):
            print(f"{set_name}: {len(videos)} clips in every form", flush=True)
            part = budget.share(1 / (len(sets) - done), keep=memory_seconds + first_seconds)
            made, not_made = measure(set_name, videos, place, part, rounds=asked.rounds)
            rows += made
            left_out |= not_made
        print("a worker's memory, and the first batch", flush=True)
        if budget.left < memory_seconds:
            left_out["a worker's memory"] = NO_TIME
        else:
            rows.append(memory_row(place, int(asked.clips)))
        if budget.left < first_seconds:
            left_out["the first batch"] = NO_TIME
        else:
            rows += first_batch_rows(place, int(asked.rows))
    report("loading", rows, asked.json, left_out)


if __name__ == "__main__":
    main()
