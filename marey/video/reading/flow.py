"""Optical flow: how far each pixel moves from one picture to the next, as bytes.

    with open_flow("a.mp4") as flow:
        fields = flow.read([0, 8])            # uint8 [2 2 h w]: x and y, of 128 where nothing moves

Field i leads from picture i to picture i + 1, so n pictures have n - 1 fields. It is stored as TSN
(arXiv 1608.00859) and the tools since store it: x and y in pixels, cut at +- `bound` (20), the
range made 0 to 255 and rounded, so that a step is 0.16 pixels. Where it comes from:

- *A folder of pairs of pictures*, one of x and one of y: flow_x_00001.jpg, x_00001.jpg,
  000123-x_00001.jpg or 00001_x.jpg with their like of y (u and v), or folders flow_x, flow_y.
- *A pack* that `marey data flow` wrote: JPEG files in which x stands above y.
- *Any other video*: computed from its pictures while they are read, by OpenCV (an extra, `pip
  install marey[flow]`): DIS (arXiv 1603.03590) or, of opencv-contrib, TV-L1, TSN's. They are
  scaled as `FlowSettings` says, for motion in pixels depends on their size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from marey.errors import DecodeError, RunError
from marey.storage.url import AnyPath, any_path
from marey.types import check_choices, check_numbers
from marey.video.reading.frame_folder import FrameFolder, sniff_flow
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pack import PackedClip
from marey.video.reading.pixels import Picture, ShortSide
from marey.video.reading.reader import (
    Backend,
    Span,
    SpanReader,
    frame_range,
    is_folder,
    leads_into_pack,
    open_video,
)
from marey.video.reading.runs import runs_of

Field: TypeAlias = NDArray[np.uint8]
"""uint8 [h w 2]: x and y, quantised."""
Pixels: TypeAlias = NDArray[np.float32]
"""float32 [h w 2]: x and y in pixels, to the right and down."""
ONE_PICTURE = "a single picture, which has no motion"
FOLDERS = (("flow_x", "flow_y"), ("x", "y"), ("u", "v"))
METHODS = {"dis": "DIS", "tvl1": "TV-L1"}


@dataclass(frozen=True)
class FlowSettings:
    """How flow is computed.

    Args:
        method: "dis", of OpenCV, with its medium preset; "tvl1", of opencv-contrib, with its
            defaults.
        bound: pixels a frame at which motion is cut.
        scale: of the pictures; by default their shorter side is 256 pixels at most.
    """

    method: Literal["dis", "tvl1"] = "dis"
    bound: float = 20.0
    scale: ShortSide = ShortSide(256)  # noqa: RUF009

    def __post_init__(self) -> None:
        check_choices(self)
        check_numbers(above=0, bound=self.bound)


PUBLISHED = FlowSettings()
"""The bound of TSN's tools, and the size that packs of pictures have."""


def quantised(flow: Pixels, bound: float = PUBLISHED.bound) -> Field:
    """Bytes of a flow field in pixels: round(255 (v + bound) / (2 bound)), cut at 0 and 255.

    >>> quantised(np.array([[[-30.0, 0.0], [10.0, 20.0]]], np.float32))
    array([[[  0, 128],
            [191, 255]]], dtype=uint8)
    """
    return np.rint((flow.clip(-bound, bound) + bound) * (255 / (2 * bound))).astype(np.uint8)


def in_pixels(field: Field, bound: float = PUBLISHED.bound) -> Pixels:
    """The flow that bytes stand for, to `bound` / 255 pixels."""
    return field * np.float32(2 * bound / 255) - np.float32(bound)


class FlowReader(FrameReader):
    """A `FrameReader` whose frames are fields of flow [h w 2], of the size that they have."""

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Fields [h w 2], one at a time, in the order asked; see `FrameReader`.

        ValueError with a `scale`: motion in pixels would be another one.
        """
        if scale is not None:
            raise ValueError(f"{self.path}: flow is not scaled; the pictures are, before it")
        yield from self.fields(self.checked(indices))

    @abstractmethod
    def fields(self, indices: NDArray[np.int64]) -> Iterator[Field]:
        """The fields at `indices`, which are there, one at a time."""


class FlowFolder(FlowReader):
    """The flow in a folder of pairs of pictures.

    A `num_frames` of the pictures (one more than fields), or of all files (twice as many), as lists
    of the published tools have, means all fields.
    """

    def __init__(self, x: FrameFolder, y: FrameFolder, *, num_frames: int | None = None) -> None:
        self.path, self.fps = x.path, None
        self._axes, there = (x, y), len(x)
        self._num_fields = num_frames or there
        if num_frames in (there + 1, 2 * there):
            self._num_fields = there

    def __len__(self) -> int:
        return self._num_fields

    def fields(self, indices: NDArray[np.int64]) -> Iterator[Field]:
        """The fields at `indices`, from a picture of x and one of y each."""
        there = len(self._axes[0])
        if indices.max() >= there:
            raise DecodeError(
                f"{self.path}: field {indices.max()} of {len(self)}, the folder holds {there}",
                "correct num_frames, or extract the flow again",
            )
        for pair in zip(*(axis.pictures(indices) for axis in self._axes), strict=True):
            if pair[0].shape != pair[1].shape:
                raise DecodeError(f"{self.path}: x and y have other sizes", "extract them again")
            yield np.stack([picture[..., 0] for picture in pair], axis=2)

    def timestamps(self) -> NDArray[np.float64]:
        """Never: image files carry no time, so this raises `DecodeError`."""
        return self._axes[0].timestamps()


class PackedFlow(FlowReader):
    """The flow of a clip in a pack."""

    def __init__(self, clip: PackedClip) -> None:
        self.path, self.fps, self._clip = clip.path, clip.fps, clip
        self.about = clip.about
        """What the pack says of its flow."""

    def __len__(self) -> int:
        return len(self._clip)

    def require(self, settings: FlowSettings) -> None:
        """RunError if the pack says that its flow was computed by others."""
        there, here = self.about.get("settings"), asdict(settings)
        if there is not None and there != here:
            known = there if isinstance(there, dict) else {}
            keys = [key for key in here if known.get(key) != here[key]]
            theirs, ours = ({key: of.get(key) for key in keys} for of in (known, here))
            raise RunError(
                f"{self.path}: its flow was computed with {theirs}, where {ours} is asked for",
                f"change data.flow of the recipe before training (data.flow.{keys[0]}=...), or "
                "compute the flow anew",
            )

    def fields(self, indices: NDArray[np.int64]) -> Iterator[Field]:
        """The fields at `indices`, from a picture each."""
        for picture in self._clip.pictures(indices):
            yield np.stack(np.split(picture[..., 0], 2), axis=2)

    def timestamps(self) -> NDArray[np.float64]:
        """When the first picture of each field is shown, in seconds from the first."""
        return self._clip.timestamps()

    def close(self) -> None:
        """Let go of the pack."""
        self._clip.close()


def as_picture(field: Field) -> Picture:
    """A field [h w 2] as packs have it: x above y, in grey [2h w 3]."""
    return np.repeat(np.concatenate([field[..., 0], field[..., 1]])[..., None], 3, axis=2)


class ComputedFlow(FlowReader):
    """The flow of a video, computed while it is read; it owns the video.

    Raises:
        DecodeError: the video is a single picture.
        RunError: OpenCV, or the method, is not installed.
    """

    def __init__(self, video: FrameReader, settings: FlowSettings = PUBLISHED) -> None:
        self.path, self.fps = video.path, video.fps
        self._video, self.settings = video, settings
        self._flow_of = flow_of(settings.method)
        if len(video) == 1:
            raise DecodeError(f"{video.path}: {ONE_PICTURE}", "give a video")

    def __len__(self) -> int:
        return len(self._video) - 1

    def fields(self, indices: NDArray[np.int64]) -> Iterator[Field]:
        """The fields at `indices`, of pictures scaled as set."""
        for pair in runs_of(self._video, indices, 2, self.settings.scale):
            try:
                flow = self._flow_of(*pair)
            except ValueError as error:
                reason = f"its flow cannot be computed ({error})"
                raise DecodeError(f"{self.path}: {reason}", "is it large enough?") from error
            yield quantised(flow, self.settings.bound)

    def timestamps(self) -> NDArray[np.float64]:
        """When the first picture of each field is shown, in seconds from the first."""
        return self._video.timestamps()[: len(self)]

    def close(self) -> None:
        """Close the video."""
        self._video.close()


def open_flow(
    path: str | AnyPath,
    *,
    backend: Backend = "pyav",
    span: Span | None = None,
    num_frames: int | None = None,
    settings: FlowSettings = PUBLISHED,
) -> FrameReader:
    """The flow of the video at `path`, open: a context that closes it.

    Args: as `open_video`; `span` is of pictures, and gives the fields between them. `settings` are
    those by which flow is computed where `path` holds none, and was computed for a pack.

    Raises:
        DecodeError: as `open_video`.
        RunError: it is to be computed, and cannot be here; or a pack was computed otherwise.
    """
    place = any_path(path)
    if (flow := stored_flow(place, num_frames)) is None:
        video = open_video(place, backend=backend, span=span, num_frames=num_frames)
        try:
            return ComputedFlow(video, settings)
        except BaseException:
            video.close()
            raise
    try:
        if isinstance(flow, PackedFlow):
            flow.require(settings)
        return flow if span is None else _between(flow, span)
    except BaseException:
        flow.close()
        raise


def stored_flow(path: AnyPath, num_frames: int | None = None) -> FlowReader | None:
    """The flow that lies at `path`; None of a video, whose flow is to be computed."""
    if leads_into_pack(path):
        clip = PackedClip(path, num_frames=num_frames)
        return PackedFlow(clip) if clip.holds_flow else None
    if not is_folder(path):
        return None
    if pair := sniff_flow(path):
        x, y = (FrameFolder(path, sequence=sequence) for sequence in pair)
        return FlowFolder(x, y, num_frames=num_frames)
    names = {entry.name for entry in path.iterdir()}
    for axes in FOLDERS:
        if names.issuperset(axes):
            x, y = (FrameFolder(path / name) for name in axes)
            return FlowFolder(x, y, num_frames=num_frames)
    return None


def holds_flow(video: FrameReader) -> bool:
    """Whether the pictures of a reader of pictures are those of a pack of flow."""
    whole = _whole(video)
    return isinstance(whole, PackedClip) and whole.holds_flow


def settings_of(flow: FrameReader) -> dict[str, Any] | None:
    """By what an `open_flow` was, or is, computed, as packs say it; None: nobody knows."""
    whole = _whole(flow)
    if isinstance(whole, ComputedFlow):
        return asdict(whole.settings)
    return whole.about.get("settings") if isinstance(whole, PackedFlow) else None


def _whole(video: FrameReader) -> FrameReader:
    return video.base if isinstance(video, SpanReader) else video


def _between(flow: FlowReader, span: Span) -> FrameReader:
    """The fields both of whose pictures lie in `span`."""
    if span.unit == "frames":
        end = None if span.end is None else span.end - 1
        return SpanReader(flow, *frame_range(flow, replace(span, end=end)))
    first, stop = frame_range(flow, span)
    if stop < len(flow) or not _shows_last_picture(flow, span):
        stop -= 1
    if stop <= first:
        raise DecodeError(f"{flow.path}: the span {span} has one picture, and no motion")
    return SpanReader(flow, first, stop)


def _shows_last_picture(flow: FlowReader, span: Span) -> bool:
    """Whether a span in seconds goes beyond the picture that the last field leads to.

    No field begins there, so its time is not stored: it follows as the others do.
    """
    clock = flow.timestamps()
    step = float(np.diff(clock).mean()) if len(clock) > 1 else 1 / (flow.fps or np.inf)
    return span.end is None or span.end > clock[-1] + step + _ROUNDING


_ROUNDING = 1e-6  # seconds


def flow_of(method: str) -> Callable[[Picture, Picture], Pixels]:
    """What gives the flow from one picture [h w 3] to the next, by `method` of `FlowSettings`.

    RunError if it is not installed. The function raises ValueError of pictures it does not take.
    """
    calc = _opencv(method)

    def flow(before: Picture, after: Picture) -> Pixels:
        import cv2

        grey = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (before, after))
        try:
            field: Pixels = calc(*grey, None)
        except cv2.error as error:
            raise ValueError(error.err) from error
        return field

    return flow


@cache
def _opencv(method: str) -> Callable[..., Any]:
    """OpenCV's function of a method: one object a process, which keeps its memory."""
    try:
        import cv2
    except ImportError as error:
        raise RunError(
            "flow is to be computed, but OpenCV is not installed",
            "pip install 'marey[flow]', or give flow that is stored: `marey data flow`, pairs of "
            "JPEG files",
        ) from error
    cv2.setNumThreads(1)  # there is a process for each core already
    if method == "dis":
        return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc  # type: ignore[no-any-return]
    contributed = getattr(cv2, "optflow", None)
    if contributed is None:
        raise RunError(
            f"this OpenCV ({cv2.__version__}) has no TV-L1, which is of its contributed modules",
            "pip install opencv-contrib-python-headless in place of opencv-python-headless, or "
            "method dis",
        )
    return contributed.DualTVL1OpticalFlow_create().calc  # type: ignore[no-any-return]


def flow_source(path: AnyPath, settings: FlowSettings = PUBLISHED) -> str:
    """Where the flow of a video comes from, in words; empty if the video cannot be looked at.

    RunError if it is to be computed, and cannot be here.
    """
    try:
        flow = stored_flow(path)
    except DecodeError:
        return ""
    if flow is None:
        flow_of(settings.method)
        return (
            f"computed by {METHODS[settings.method]}, at most {settings.bound:g} pixels a frame; "
            "`marey data flow` computes it once, before training"
        )
    with flow:
        if isinstance(flow, PackedFlow):
            flow.require(settings)
        return "read from a pack" if isinstance(flow, PackedFlow) else "read from pairs of pictures"
