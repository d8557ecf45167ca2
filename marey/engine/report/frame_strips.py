"""A few frames of a clip side by side, as one JPEG inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.engine.report.evaluations import Result
from marey.engine.report.run_files import RunFiles
from marey.errors import DecodeError
from marey.video.reading.jpeg import encode_jpeg
from marey.video.reading.pack import pack_of
from marey.video.reading.pixels import scaled
from marey.video.reading.reader import Span, open_video

FRAME_HEIGHT = 96
JPEG_QUALITY = 6
"""Of 1 (best) to 31: a strip of five frames is some 15 KB."""


def frame_strip(path: Path, *, span: Span | None = None, num_frames: int = 5) -> str:
    """A `data:` URI of `num_frames` evenly spread frames; DecodeError if the clip is unreadable."""
    with open_video(path, span=span) as video:
        middles = (np.arange(num_frames) + 0.5) * len(video) / num_frames
        frames = video.read(np.unique(middles.astype(np.int64)).tolist())
    pictures = [_resized(frame) for frame in frames.permute(0, 2, 3, 1).numpy()]
    jpeg = encode_jpeg(np.concatenate(pictures, axis=1), quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


@dataclass(frozen=True)
class Strip:
    """Frames of a clip of the class `label` as a `data:` URI, or why there are none."""

    label: str
    path: str
    """Relative to the data set."""
    image: str
    reason: str = ""


def clip_strip(path: str, span: Span | None, roots: Sequence[Path], label: str) -> Strip:
    """The strip of a clip of the class `label`, wherever below `roots` it lies."""
    shown, file = shown_path(path, roots), find_clip(path, roots) if path else None
    if file is None:
        return Strip(label, shown, "", "Its file is not where it was when the run was evaluated.")
    try:
        return Strip(label, shown, frame_strip(file, span=span))
    except DecodeError as error:
        reason = without_folders(error.message, roots)
        return Strip(label, shown, "", f"Its frames cannot be read now: {reason}")


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


def _resized(frame_hwc: np.ndarray) -> np.ndarray:
    height, width = frame_hwc.shape[:2]
    # at most 4:1, so that a frame one pixel high does not become a wall
    width = min(max(round(width * FRAME_HEIGHT / height), 2), 4 * FRAME_HEIGHT)
    return scaled(frame_hwc, (width, FRAME_HEIGHT))
