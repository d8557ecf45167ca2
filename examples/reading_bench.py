"""Clips a second and core, from files to batches of 8 frames at 224, in every form there is.

    python examples/reading_bench.py                      # synthetic video, 427 x 240
    python examples/reading_bench.py manifest.csv         # your own

The first row is what the published loaders do (temporal-shift-module `dataset.py` and
`transforms.py`): loose JPEG, decoded whole by Pillow, cropped and scaled frame by frame, stacked,
normalised in float32. Training takes multi-scale crops, testing the centre at short side 256. The
others are `marey.data.loading.clips.ClipDataset`, which gives uint8 and leaves the normalisation to
the device. Processor time of one thread, of every clip and of the batch the best of several
rounds in which the ways take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from marey.data.loading.clips import ClipDataset, Sample, clip_rng, collate
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.packs.forms import FrameFolders, JpegPacks, Mp4Files, PackFormat
from marey.data.packs.pack_clips import pack_clips
from marey.jobs.executors import Processes
from marey.video.augment import IMAGENET_MEAN, IMAGENET_STD
from marey.video.crops import CenterCrop, MultiScaleCrop
from marey.video.reading.pixels import ShortSide
from marey.video.sampling.segments import Segments

SAMPLING = Segments(8)
NATIVE = ShortSide(1 << 14)


def published(manifest: Manifest, row: int, *, training: bool) -> torch.Tensor:
    """A clip float32 [24 224 224], read as the published loaders read it."""
    rng = clip_rng(row)
    folder, count = manifest.path(row), manifest.num_frames(row) or 0
    numbers = SAMPLING.indices(count, rng if training else None)[0] + 1
    pictures = [Image.open(f"{folder}/img_{n:05d}.jpg").convert("RGB") for n in numbers]
    pictures = _crops(pictures, rng) if training else [_centre(picture) for picture in pictures]
    stacked = torch.from_numpy(np.concatenate([np.array(p) for p in pictures], axis=2))
    clip = stacked.permute(2, 0, 1).contiguous().float().div(255)
    for channel, mean, std in zip(clip, IMAGENET_MEAN * 8, IMAGENET_STD * 8, strict=True):
        channel.sub_(mean).div_(std)
    return clip


def _crops(pictures: list[Image.Image], rng: np.random.Generator) -> list[Image.Image]:
    """One box of all pictures at random, scaled to 224; half of the clips mirrored."""
    short = min(pictures[0].size)
    width, height = (int(short * rng.choice((1, 0.875, 0.75, 0.66))) for _ in range(2))
    left = int(rng.integers(pictures[0].width - width + 1))
    top = int(rng.integers(pictures[0].height - height + 1))
    box = (left, top, left + width, top + height)
    pictures = [p.crop(box).resize((224, 224), Image.Resampling.BILINEAR) for p in pictures]
    if rng.random() < 0.5:
        pictures = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in pictures]
    return pictures


def _centre(picture: Image.Image) -> Image.Image:
    """The short side scaled to 256, the middle 224 x 224 of it."""
    width, height = ShortSide(256, enlarge=True)(picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    return picture.crop((left, top, left + 224, top + 224))


def ours(manifest: Manifest, row: int, *, training: bool) -> Sample:
    """A clip uint8 [1 8 3 224 224]."""
    crop = MultiScaleCrop(224) if training else CenterCrop(224, 256)
    return ClipDataset(manifest, SAMPLING, crop)[row, row if training else None]


Way = tuple[Callable[..., Any], Callable[[list[Any]], Any], Manifest]
"""What reads a clip, what makes a batch, and of which manifest."""


def clips_a_second(ways: dict[str, Way], rounds: int, *, training: bool) -> dict[str, float]:
    """Of every way, from the least time of each clip and of the batch; the ways take turns."""
    times = {what: np.full(len(manifest) + 1, np.inf) for what, (*_, manifest) in ways.items()}
    for _ in range(rounds):
        for what, (read, collated, manifest) in ways.items():
            clips, least = [], times[what]
            for row in range(len(manifest)):
                start = time.process_time()
                clips.append(read(manifest, row, training=training))
                least[row] = min(least[row], time.process_time() - start)
            start = time.process_time()
            collated(clips)
            least[-1] = min(least[-1], time.process_time() - start)
    return {what: (len(least) - 1) / float(least.sum()) for what, least in times.items()}


def synthetic(folder: Path, *, clips: int = 12, frames: int = 48) -> Manifest:
    """H.264 of 427 x 240, GOP 250: moving noise with the spectrum of photographs."""
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for i in range(clips):
        noise = np.fft.rfft2(rng.standard_normal((3, 512, 1024)))
        y, x = np.meshgrid(np.fft.fftfreq(512), np.fft.rfftfreq(1024), indexing="ij")
        scene = np.fft.irfft2(noise / np.maximum(np.hypot(y, x), 1 / 512) ** 1.7)
        scene = np.clip(127 + 50 * scene / scene.std(), 0, 255).astype(np.uint8)
        with av.open(str(folder / f"{i}.mp4"), "w") as file:
            stream = file.add_stream("libx264", rate=12, options={"g": "250", "crf": "20"})
            stream.width, stream.height, stream.pix_fmt = 426, 240, "yuv420p"
            for t in range(frames):
                view = scene[:, 3 * t : 3 * t + 240, 5 * t : 5 * t + 426].transpose(1, 2, 0)
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(view), format="rgb24")
                file.mux(stream.encode(picture))
            file.mux(stream.encode())
        rows.append(f"{i}.mp4,0")
    (folder / "manifest.csv").write_text("\n".join([*rows, ""]))
    return read_manifest(folder / "manifest.csv")


def main() -> None:
    torch.set_num_threads(1)
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("manifest", type=Path, nargs="?")
    words.add_argument("--root", type=Path)
    words.add_argument("--clips", type=int, default=24)
    words.add_argument("--rounds", type=int, default=8)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if given.manifest is None:
            videos = synthetic(place)
        else:
            videos = read_manifest(given.manifest, at=Location(given.root))
        videos = videos.take(np.arange(min(given.clips, len(videos))))
        made: dict[str, Manifest] = {}
        forms: dict[str, PackFormat] = {
            "native": FrameFolders("img_{:05d}.jpg", NATIVE, quality=1),  # ffmpeg -q:v 1
            "loose": FrameFolders("img_{:05d}.jpg", ShortSide(256), quality=1),
            "packs": JpegPacks(ShortSide(256)),
            "enlarged": JpegPacks(ShortSide(256, enlarge=True)),
            "mp4": Mp4Files(ShortSide(256)),
        }
        for form_name, form in forms.items():
            pack_clips(videos, place / form_name, form, executor=Processes())
            made[form_name] = read_manifest(place / form_name / "manifest.csv")
        counted = replace(videos, frame_counts=made["packs"].frame_counts)  # no pass to count
        ways: dict[str, Way] = {
            "loose JPEG as the videos are, Pillow": (published, torch.stack, made["native"]),
            "loose JPEG at up to 256, Pillow": (published, torch.stack, made["loose"]),
            "loose JPEG at up to 256, marey": (ours, collate, made["loose"]),
            "JPEG packs at up to 256, marey": (ours, collate, made["packs"]),
            "JPEG packs at 256, marey": (ours, collate, made["enlarged"]),
            "mp4 at up to 256, GOP 12, marey": (ours, collate, made["mp4"]),
            "the videos themselves, marey": (ours, collate, counted),
        }
        found = [
            clips_a_second(ways, given.rounds, training=training) for training in (True, False)
        ]
        print(f"{'clips/s':40} training            testing")
        for what in ways:
            base = "loose JPEG as the videos are, Pillow"
            cells = [
                f"{speeds[what]:7.1f} {speeds[what] / speeds[base]:5.1f} x" for speeds in found
            ]
            print(f"{what:40}", *cells)
        for form_name in forms:
            size = sum(p.stat().st_size for p in (place / form_name).rglob("*") if p.is_file())
            print(f"{form_name:7} {size / len(videos) / 1024:8.0f} KiB a clip")


if __name__ == "__main__":
    main()
