"""Clips inside the page: a few frames side by side as one JPEG, and a small video that plays.

A video is at most `SECONDS` long: a longer clip is played faster, which is said. All videos of a
page together stay within a budget; beyond it there are frames alone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from marey.engine.report.evaluations import Result
from marey.engine.report.run_files import RunFiles
from marey.errors import DecodeError
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.jpeg import encode_jpeg
from marey.video.reading.pack import pack_of
from marey.video.reading.pixels import Picture, scaled
from marey.video.reading.reader import Span, open_video

FRAME_HEIGHT = 96
JPEG_QUALITY = 6
"""Of 1 (best) to 31: a strip of five frames is some 15 KB."""
SECONDS, MOST_FRAMES, VIDEO_QUALITY = 4.0, 40, "32"
"""Of a video; the quality is libx264's crf, with which it is some 10 to 40 KB."""
BUDGET = 3_000_000
"""Bytes of all videos of a page."""

Frames = npt.NDArray[np.uint8]
"""[t h w 3]."""


@dataclass(frozen=True)
class Strip:
    """A clip of the class `label` as `data:` URIs, or why it cannot be shown."""

    label: str
    path: str
    """Relative to the data set."""
    image: str = ""
    """Frames side by side."""
    video: str = ""
    speed: str = ""
    """How many times as fast as the clip the video is, in words, if it is faster."""
    reason: str = ""


@dataclass
class ClipPictures:
    """Makes the strips of a page, as long as the budget lasts with videos."""

    roots: Sequence[Path]
    """Where clips may lie."""
    budget: int = BUDGET
    made: dict[tuple[str, Span | None, str], Strip] = field(default_factory=dict)

    def strip(self, path: str, span: Span | None, label: str) -> Strip:
        """The strip of a clip of the class `label`, wherever below the roots it lies."""
        key = (path, span, label)
        if key not in self.made:
            self.made[key] = self._strip(path, span, label)
        return self.made[key]

    def _strip(self, path: str, span: Span | None, label: str) -> Strip:
        shown, file = shown_path(path, self.roots), find_clip(path, self.roots) if path else None
        if file is None:
            reason = "Its file is not where it was when the run was evaluated."
            return Strip(label, shown, reason=reason)
        try:
            frames, seconds = spread_frames(file, span=span)
        except DecodeError as error:
            reason = without_folders(error.message, self.roots)
            return Strip(label, shown, reason=f"Its frames cannot be read now: {reason}")
        video = small_video(frames, min(seconds, SECONDS)) if self.budget > 0 else ""
        self.budget -= len(video)
        speed = f"{seconds / SECONDS:.1f} times as fast" if seconds > SECONDS and video else ""
        return Strip(label, shown, frame_strip(frames), video, speed)


def spread_frames(path: Path, *, span: Span | None = None) -> tuple[Frames, float]:
    """Frames of a clip, evenly spread, `FRAME_HEIGHT` high, and its length in seconds.

    DecodeError if it cannot be read. One whose rate nobody knows is taken to have 10 frames a
    second.
    """
    with open_video(path, span=span) as video:
        return spread_over(video)


def spread_over(video: FrameReader, height: int = FRAME_HEIGHT) -> tuple[Frames, float]:
    """`spread_frames` of an open video, so many pixels high."""
    num = min(len(video), MOST_FRAMES)
    middles = (np.arange(num) + 0.5) * len(video) / num
    pictures = video.pictures(middles.astype(np.int64))
    seconds = len(video) / (video.fps or 10.0)
    return np.stack([_resized(picture, height) for picture in pictures]), seconds


def frame_strip(frames: Frames, num_frames: int = 5) -> str:
    """A `data:` URI of `num_frames` of the frames side by side."""
    middles = (np.arange(num_frames) + 0.5) * len(frames) / num_frames
    pictures = frames[np.unique(middles.astype(np.int64))]
    jpeg = encode_jpeg(np.concatenate(list(pictures), axis=1), quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def small_video(frames: Frames, seconds: float) -> str:
    """A `data:` URI of an mp4 of the frames that lasts so long; "" of one frame, which is none."""
    if len(frames) < 2:
        return ""
    return "data:video/mp4;base64," + base64.b64encode(encoded(frames, seconds)).decode()


def encoded(frames: Frames, seconds: float, most_kilobits: int | None = None) -> bytes:
    """An mp4 of two or more frames that lasts so long, of at most so many kilobits a second."""
    content, rate = io.BytesIO(), Fraction(len(frames) / seconds).limit_denominator(100)
    with av.open(content, "w", format="mp4") as file:
        options = {"crf": VIDEO_QUALITY, "threads": "1"}  # by default more than there are cores
        if most_kilobits is not None:
            options |= {"maxrate": f"{most_kilobits}k", "bufsize": f"{most_kilobits}k"}
        stream = file.add_stream("libx264", rate=rate, options=options)
        height, width = (size - size % 2 for size in frames.shape[1:3])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames[:, :height, :width]:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return content.getvalue()


def find_clip(path: str, roots: Sequence[Path]) -> Path | None:
    """Where a clip of a manifest lies, in a pack too: as written, or below a root that has it."""
    files = [Path(path)] if Path(path).is_absolute() else [root / path for root in roots]
    return next((file for file in files if file.exists() or pack_of(file)), None)


def clip_roots(files: RunFiles, result: Result) -> list[Path]:
    """Where the clips of a result may lie: below the recipe's root, or beside a manifest."""
    data = files.recipe.data
    manifests = [result.facts.manifest, data.val, data.train]
    beside = [Path(manifest).parent for manifest in manifests if manifest]
    return [*([Path(data.root)] if data.root else []), *beside, Path()]


def shown_path(path: str, roots: Sequence[Path]) -> str:
    """`path` relative to the data set, without the folders of this machine."""
    if not Path(path).is_absolute():
        return path
    below = [root.resolve() for root in roots if Path(path).is_relative_to(root.resolve())]
    return str(Path(path).relative_to(below[0])) if below else "/".join(Path(path).parts[-2:])


def without_folders(sentence: str, roots: Sequence[Path]) -> str:
    """`sentence` with the paths in it relative to the data set, as `shown_path` has them."""
    for folder in {str(folder) for root in roots for folder in (root, root.resolve())}:
        if folder not in (".", "/"):
            sentence = sentence.replace(folder + "/", "")
    return sentence


def _resized(picture: Picture, height: int) -> Picture:
    own_height, own_width = picture.shape[:2]
    # at most 4:1, so that a frame one pixel high does not become a wall
    width = min(max(round(own_width * height / own_height), 2), 4 * height)
    return scaled(picture, (width, height))
