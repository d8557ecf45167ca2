"""What clips become: packs of JPEG or of optical flow, short-GOP mp4 files, or folders of frames.

Folders are named as the published tools name them (temporal-shift-module ``vid2img_kinetics`` and
``vid2img_sthv2``, bLVNet-TAM and action-recognition-pytorch ``st2st_v*`` and ``extract_videos_*``).

**Deviates**: those scale the height, so upright video comes out larger; here the short side has the
size asked for. Times, turns and odd pixels are kept, no frame is doubled or dropped, a folder
appears only when it is whole, and what cannot be read is listed with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from marey.data.h264 import write_h264
from marey.data.manifest.manifest import VideoClip
from marey.data.packs.checksums import digest_of
from marey.data.packs.clips import Shots, open_clip, times_of
from marey.errors import DecodeError
from marey.storage.atomic import placing
from marey.video.reading.flow import (
    PUBLISHED,
    FlowSettings,
    as_picture,
    open_flow,
    settings_of,
)
from marey.video.reading.frame_folder import NAME
from marey.video.reading.jpeg import QUALITY, encode_jpeg
from marey.video.reading.pack_writer import PackWriter, pack_writer
from marey.video.reading.pixels import ShortSide, Size

TEMPLATES = {
    "ssv1": "{:05d}.jpg",
    "ssv2": "{:06d}.jpg",
    "jester": "{:05d}.jpg",
    "diving48": "{:05d}.jpg",
    "blvnet": "{:05d}.jpg",
    "kinetics": "img_{:05d}.jpg",
    "ucf101": "img_{:05d}.jpg",
    "hmdb51": "img_{:05d}.jpg",
    "egtea": "img_{:05d}.jpg",
    "tdn": "image_{:05d}.jpg",
    "epic": "frame_{:010d}.jpg",
}
"""How the published loaders name frames, counted from 1."""
AT_MOST_256 = ShortSide(256)
GOOD_TO_SEEK = {
    **{"preset": "fast", "tune": "fastdecode"},
    **{"g": "12", "keyint_min": "12", "sc_threshold": "0", "bf": "0"},
}
"""Any frame is at most eleven others after one that is coded on its own: GOP 12, no B-frames."""
TICKS = 90_000
"""Units of time a second in an mp4: a multiple of the usual rates."""


UNFINISHED = ".unfinished"
"""The folder of what is being written; what processes left there that were killed is made anew."""


def draft_of(out: Path, part: int) -> Path:
    """Where the maker of a part, and no other, writes what is not whole yet."""
    return out / UNFINISHED / f"{part:05d}"


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came of one clip."""

    path: str
    """Of the clip, from the folder of all."""
    num_frames: int
    fps: float | None
    width: int
    height: int
    bytes: int
    sha256: str
    """Of the file, or of all files of the folder in order; empty for a clip of a pack."""


Write: TypeAlias = Callable[[VideoClip, str], Made]


class PackFormat(Protocol):
    """What clips become."""

    suffixes: ClassVar[bool]
    """Whether the clips' names keep the suffixes of videos."""

    @property
    def part_size(self) -> int:
        """Clips that are made, or made again, together."""
        ...

    @property
    def fps(self) -> float | None:
        """Frames a second to keep; None: all."""
        ...

    def writing(self, out: Path, part: int) -> AbstractContextManager[Write]:
        """A context whose value writes one clip of that part, under the name given, into `out`."""
        ...


@dataclass(frozen=True)
class JpegPacks:
    """A pack for every `part_size` clips: see `marey.video.reading.pack`.

    Args:
        scale: of the frames; by default their shorter side is 256 pixels at most.
        fps: frames a second to keep; None keeps all.
        quality: of JPEG, from 1 (best) to 31.
        part_size: clips in a pack.
    """

    scale: ShortSide = AT_MOST_256
    fps: float | None = None
    quality: int = 3
    part_size: int = 128
    suffixes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self)
        _check_range("quality", self.quality, QUALITY)

    @contextmanager
    def writing(self, out: Path, part: int) -> Iterator[Write]:
        """A context whose value adds one clip to the pack `part`."""
        with _writing_pack(out, part, self._add) as write:
            yield write

    def _add(self, writer: PackWriter, clip: VideoClip, name: str, pack: str) -> Made:
        with open_clip(clip, fps=self.fps) as shots:
            jpegs = shots.jpegs(self.scale, self.quality)
            first, size = next(jpegs)  # all of a clip have one size
            num_bytes = writer.add(
                name,
                chain([first], (data for data, _ in jpegs)),
                size=size,
                fps=shots.fps,
                seconds=shots.seconds,
            )
            return _made(f"{pack}/{name}", shots, size, num_bytes, "")


@contextmanager
def _writing_pack(
    out: Path,
    part: int,
    add: Callable[[PackWriter, VideoClip, str, str], Made],
    about: Mapping[str, str] | None = None,
) -> Iterator[Write]:
    """A context whose value gives each clip to `add`, with its name and that of the pack `part`."""
    pack = f"packs/{part:05d}.tar"
    draft = draft_of(out, part)
    with placing(draft, out / pack), pack_writer(draft, about) as writer:
        yield lambda clip, name: add(writer, clip, name, pack)


@dataclass(frozen=True)
class FlowPacks:
    """A pack of optical flow for every `part_size` clips: see `marey.video.reading.flow`.

    Flow that is stored already is taken as it is, in the size that it has.

    Args:
        settings: how flow is computed where none is stored.
        quality, part_size: as `JpegPacks`.
    """

    settings: FlowSettings = PUBLISHED
    quality: int = 2
    part_size: int = 128
    suffixes: ClassVar[bool] = True
    fps: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check(self)
        _check_range("quality", self.quality, QUALITY)

    @contextmanager
    def writing(self, out: Path, part: int) -> Iterator[Write]:
        """A context whose value adds the flow of one clip to the pack `part`."""
        with _writing_pack(out, part, self._add, {"modality": "flow"}) as write:
            yield write

    def _add(self, writer: PackWriter, clip: VideoClip, name: str, pack: str) -> Made:
        opened = open_flow(
            clip.path, span=clip.span, num_frames=clip.num_frames, settings=self.settings
        )
        with opened as flow:
            if known := settings_of(flow):
                writer.about["settings"] = known
            fields = map(as_picture, flow.pictures(np.arange(len(flow))))
            first = next(fields)  # all of a clip have one size
            height, width, _ = first.shape
            rate, size = clip.fps or flow.fps, (width, height)
            num_bytes = writer.add(
                name,
                (encode_jpeg(field, quality=self.quality) for field in chain([first], fields)),
                size=size,
                fps=rate,
                seconds=times_of(flow, rate),
            )
            return Made(
                path=f"{pack}/{name}",
                num_frames=len(flow),
                fps=rate,
                width=width,
                height=height,
                bytes=num_bytes,
                sha256="",
            )


@dataclass(frozen=True)
class Mp4Files:
    """H.264 in an mp4 a clip, made to be read at any frame: GOP 12, no B-frames, fast decode.

    Args:
        scale, fps: as `JpegPacks`.
        crf: quality, from 0 (best) to 51.
        part_size: clips that are made, or made again, together.
    """

    scale: ShortSide = AT_MOST_256
    fps: float | None = None
    crf: int = 20
    part_size: int = 16
    suffixes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self)
        _check_range("crf", self.crf, range(52))

    @contextmanager
    def writing(self, out: Path, part: int) -> Iterator[Write]:
        """A context whose value writes one clip."""
        yield lambda clip, name: self._write(out, clip, name, draft_of(out, part))

    def _write(self, out: Path, clip: VideoClip, name: str, draft: Path) -> Made:
        name = f"clips/{name}.mp4"
        _refuse_source(clip, out / name)
        with open_clip(clip, fps=self.fps) as shots:
            with placing(draft, out / name):
                size = self._encode(shots, draft)
            return _made(name, shots, size, *digest_of([out / name]))

    def _encode(self, shots: Shots, target: Path) -> Size:
        return write_h264(
            target,
            shots.pictures(replace(self.scale, even=True)),
            _ticks(shots).tolist(),
            time_base=Fraction(1, TICKS),
            rate=Fraction(shots.fps or 25).limit_denominator(1001),
            options=GOOD_TO_SEEK | {"crf": str(self.crf)},
            movflags="+faststart",
        )


@dataclass(frozen=True)
class FrameFolders:
    """A folder of JPEG files a clip.

    Args:
        template: names frames, counted from 1; `TEMPLATES` has those of published tools.
        scale, fps, quality: as `JpegPacks`; by default smaller videos are enlarged.
        part_size: clips that are made, or made again, together.
    """

    template: str = "img_{:05d}.jpg"
    scale: ShortSide = ShortSide(256, enlarge=True)  # noqa: RUF009
    fps: float | None = None
    quality: int = 2
    part_size: int = 16
    suffixes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self)
        _check_range("quality", self.quality, QUALITY)
        if not _names_frames(self.template):
            raise ValueError(
                f"template is {self.template!r}, expected a file name like img_{{:05d}}.jpg"
            )

    @contextmanager
    def writing(self, out: Path, part: int) -> Iterator[Write]:
        """A context whose value writes one clip."""
        yield lambda clip, name: self._write(out, clip, name, draft_of(out, part))

    def _write(self, out: Path, clip: VideoClip, name: str, draft: Path) -> Made:
        name = f"frames/{name}"
        _refuse_source(clip, out / name)
        with open_clip(clip, fps=self.fps) as shots, placing(draft, out / name):
            draft.mkdir()
            count, size = 0, (0, 0)
            jpegs = shots.jpegs(self.scale, self.quality)
            for count, (data, size) in enumerate(jpegs, start=1):  # noqa: B007
                (draft / self.template.format(count)).write_bytes(data)
            files = [draft / self.template.format(number) for number in range(1, count + 1)]
            return _made(name, shots, size, *digest_of(files))


def _check(form: PackFormat) -> None:
    if form.part_size < 1:
        raise ValueError(f"part_size is {form.part_size}, expected at least 1 clip")
    if form.fps is not None and not 0 < form.fps < math.inf:
        raise ValueError(f"fps is {form.fps}, expected frames a second, more than 0")


def _check_range(name: str, value: int, values: range) -> None:
    if value not in values:
        raise ValueError(f"{name} is {value}, expected {values[0]} to {values[-1]}")


def _names_frames(template: str) -> bool:
    """Whether `FrameFolder` takes files that are named so for the frames 1, 2, ... of a clip."""
    numbers = range(1, 12)
    try:
        matches = [NAME.fullmatch(template.format(number)) for number in numbers]
    except (ValueError, LookupError, AttributeError):
        return False
    names = [match for match in matches if match and match["suffix"].lower() in (".jpg", ".jpeg")]
    prefixes = {match["prefix"] for match in names}
    counted = [int(match["digits"]) for match in names] == [*numbers]
    return counted and len(prefixes) == 1 and "/" not in template


def _made(path: str, shots: Shots, size: Size, num_bytes: int, digest: str) -> Made:
    return Made(
        path=path,
        num_frames=len(shots.indices),
        fps=shots.fps,
        width=size[0],
        height=size[1],
        bytes=num_bytes,
        sha256=digest,
    )


def _ticks(shots: Shots) -> NDArray[np.int64]:
    """When each frame is shown, in units of the file: strictly rising, as encoders want it."""
    seconds = shots.seconds
    if not len(seconds):
        seconds = np.arange(len(shots.indices)) / (shots.fps or 25)
    ticks = np.rint(seconds * TICKS).astype(np.int64)
    order = np.arange(len(ticks))
    return np.maximum.accumulate(ticks - order) + order


def _refuse_source(clip: VideoClip, target: Path) -> None:
    """DecodeError where a clip would be written over itself."""
    if isinstance(clip.path, Path) and target.resolve() == clip.path.resolve():
        raise DecodeError(f"{clip.path}: would be written over itself", "give another folder")
