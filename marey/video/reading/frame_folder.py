"""A folder of numbered frames, read as a video.

The template is found by itself: `img_00001.jpg`, `image_00001.jpg`, `00001.jpg`, `000001.jpg`,
`frame_0000000001.jpg` or any other prefix, digits and image suffix, counted from 0, 1 or any other
number. The most numerous sequence of names is the video; among equals one of the known prefixes.
Everything else in the folder is ignored, and so is optical flow, whose files come in pairs
(`marey.video.reading.flow`). A number missing between the first and the last is an
error: the frames after it would move.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from marey.errors import DecodeError
from marey.pulse import beat
from marey.storage.faults import read_error
from marey.storage.regular import read_regular
from marey.storage.url import AnyPath, Url
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.jpeg import MOST_BYTES, decode_image
from marey.video.reading.pixels import Picture, ShortSide, Size, scaled

NAME = re.compile(
    r"(?P<prefix>.*?)(?P<digits>[0-9]{1,18})(?P<suffix>\.(?:jpe?g|png|webp|bmp|tiff?))", re.I
)
FLOW_NAME = re.compile(NAME.pattern.replace("(?P<suffix>", "(?P<suffix>(?:[-_][xyuv])?"), re.I)
"""With the names of flow that end in its axis, such as 00001_x.jpg."""
AXES = {"x": "y", "u": "v"}
KNOWN_PREFIXES = ("img_", "image_", "frame_", "")


@dataclass(frozen=True)
class Template:
    """How the frames of a folder are named: `prefix`, number padded to `width`, `suffix`."""

    prefix: str
    width: int
    suffix: str

    def name(self, number: int) -> str:
        """The file name of frame `number`.

        >>> Template("img_", 5, ".jpg").name(7)
        'img_00007.jpg'
        """
        return f"{self.prefix}{number:0{self.width}d}{self.suffix}"


Sequence: TypeAlias = tuple[Template, int, int]
"""How the frames of a folder are named, the first number and how many there are."""


class FrameFolder(FrameReader):
    """A `FrameReader` over the image files of one folder."""

    def __init__(
        self,
        path: AnyPath,
        *,
        num_frames: int | None = None,
        sequence: Sequence | None = None,
    ) -> None:
        """The frames in `path`; of several sequences of them the one given, else see above."""
        self.path = path
        self.fps: float | None = None
        self.template, self.base, self._present = sequence or sniff(path)
        self._num_frames = self._present if num_frames is None else num_frames
        self._first: tuple[str, Size] | None = None

    def __len__(self) -> int:
        return self._num_frames

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures [h w 3], one at a time, in the order asked; see `FrameReader`."""
        for index in self._there(self.checked(indices)).tolist():
            name = self.template.name(self.base + index)
            picture = decode_image(self.data(index), self.path / name)
            beat()
            size = picture.shape[1], picture.shape[0]
            first, first_size = self._first = self._first or (name, size)
            if size != first_size:
                raise DecodeError(
                    f"{self.path / name}: {_by(size)} pixels, but {first} has {_by(first_size)}",
                    "all frames of a folder must have one size: extract them again",
                )
            yield scaled(picture, scale(size)) if scale else picture

    def data(self, index: int) -> bytes:
        """The file of frame `index` as it is."""
        file = self.path / self.template.name(self.base + index)
        try:
            if isinstance(file, Url):
                return file.read_bytes(most=MOST_BYTES)
            return read_regular(file, most=MOST_BYTES)
        except OSError as error:
            raise read_error(file, error) from error

    def timestamps(self) -> NDArray[np.float64]:
        """Never: image files carry no time, so this raises `DecodeError`."""
        raise DecodeError(
            f"{self.path}: a folder of frames has no times of its own",
            "name parts of it by frames (columns start_frame, end_frame), or make a video of it: "
            "ffmpeg -framerate 25 -i FOLDER/%05d.jpg VIDEO.mp4",
        )

    def _there(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """`indices`, all of which the folder holds."""
        if indices.max() >= self._present:
            raise DecodeError(
                f"{self.path}: frame {indices.max()} of {len(self)} cannot be read, the folder"
                f" holds {self._present}: {self.template.name(self.base)} to"
                f" {self.template.name(self.base + self._present - 1)}",
                "correct num_frames, or extract the frames again",
            )
        return indices


def sniff(folder: AnyPath) -> Sequence:
    """Template, first number and number of the frames in `folder`, all of them present."""
    names = _names(folder)
    found = _sequences(names, FLOW_NAME)
    pairs = _pairs(found)
    halves = {key for pair in pairs for key in pair}
    sequences = {
        key: digits for key, digits in _sequences(names, NAME).items() if key not in halves
    }
    if not sequences and pairs:
        x, y = (f"{prefix}...{suffix}" for prefix, suffix in pairs[0])
        raise DecodeError(
            f"{folder}: optical flow ({x} and {y}), not pictures",
            "a model of modality flow reads it; `marey data flow` packs it",
        )
    if not sequences:
        raise DecodeError(
            f"{folder}: a folder without numbered frames",
            "expected names like img_00001.jpg; if clips lie in it, give them: FOLDER/*/*.mp4",
        )
    key, digits = max(sequences.items(), key=_standing)
    return _in_order(folder, key, digits)


def sniff_flow(folder: AnyPath) -> tuple[Sequence, Sequence] | None:
    """The files of x and of y in a folder of optical flow; None of a folder without such pairs.

    They differ in one letter, x and y or u and v, that stands alone: flow_x_00001.jpg,
    x_00001.jpg, 000123-x_00001.jpg, 00001_x.jpg. DecodeError if one of the two lacks a frame.
    """
    sequences = _sequences(_names(folder), FLOW_NAME)
    pairs = sorted(_pairs(sequences), key=lambda pair: _standing((pair[0], sequences[pair[0]])))
    if not pairs:
        return None
    x, y = (_in_order(folder, key, sequences[key]) for key in pairs[-1])
    if x[1:] != y[1:]:
        raise DecodeError(
            f"{folder}: {x[2]} files like {x[0].name(x[1])}, but {y[2]} like {y[0].name(y[1])}",
            "optical flow has one file of each a field: extract it again",
        )
    return x, y


_Key: TypeAlias = tuple[str, str]  # prefix and suffix


def _sequences(names: list[str], pattern: re.Pattern[str]) -> dict[_Key, list[str]]:
    sequences: dict[_Key, list[str]] = defaultdict(list)
    for name in names:
        if match := pattern.fullmatch(name):
            sequences[match["prefix"], match["suffix"]].append(match["digits"])
    return sequences


def _pairs(sequences: Mapping[_Key, object]) -> list[tuple[_Key, _Key]]:
    """Sequences of x with those of y that are named alike."""
    pairs = [(key, _of_y(key)) for key in sequences]
    return [(x, y) for x, y in pairs if y is not None and y in sequences]


def _of_y(key: _Key) -> _Key | None:
    """The names of y beside those of x; None if there is no x that stands alone."""
    prefix, suffix = key
    if match := re.fullmatch(r"([-_])([xu])(\..*)", suffix, re.I):
        return prefix, match[1] + _next(match[2]) + match[3]
    if match := re.fullmatch(r"((?:.*[^a-z0-9]|.*flow)?)([xu])([-_.]?)", prefix, re.I):
        return match[1] + _next(match[2]) + match[3], suffix
    return None


def _next(axis: str) -> str:
    other = AXES[axis.lower()]
    return other.upper() if axis.isupper() else other


def _in_order(folder: AnyPath, key: _Key, digits: list[str]) -> Sequence:
    """The sequence of these numbers; DecodeError where one is missing."""
    prefix, suffix = key
    padded = Counter(len(text) for text in digits if text[0] == "0" and len(text) > 1)
    width = padded.most_common(1)[0][0] if padded else 1
    numbers = {int(text) for text in digits if text == f"{int(text):0{width}d}"}
    template, base = Template(prefix, width, suffix), min(numbers)
    for number in range(base, base + len(numbers)):
        if number not in numbers:
            raise DecodeError(
                f"{folder}: {template.name(number)} is missing, frames run from"
                f" {template.name(base)} to {template.name(max(numbers))}",
                "extract the frames again",
            )
    return template, base, len(numbers)


def _names(folder: AnyPath) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise read_error(folder, error) from error


def _standing(sequence: tuple[tuple[str, str], list[str]]) -> tuple[int, bool, str]:
    """The longest wins, then a known prefix, then the alphabet: no order of listing counts."""
    (prefix, suffix), digits = sequence
    return len(digits), prefix in KNOWN_PREFIXES, prefix + suffix


def _by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
