"""A folder of numbered frames, read as a video.

The template is found by itself: `img_00001.jpg`, `image_00001.jpg`, `00001.jpg`, `000001.jpg`,
`frame_0000000001.jpg` or any other prefix, digits and image suffix, counted from 0, 1 or any other
number. The most numerous sequence of names is the video; among equals one of the known prefixes.
Everything else in the folder is ignored. A number missing between the first and the last is an
error: the frames after it would move.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

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


class FrameFolder(FrameReader):
    """A `FrameReader` over the image files of one folder."""

    def __init__(self, path: AnyPath, *, num_frames: int | None = None) -> None:
        self.path = path
        self.fps: float | None = None
        self.template, self.base, self._present = sniff(path)
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
            "give spans in frames (unit='frames'), at the rate the frames were extracted with",
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


def sniff(folder: AnyPath) -> tuple[Template, int, int]:
    """Template, first number and number of the frames in `folder`, all of them present."""
    sequences: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in _names(folder):
        if match := NAME.fullmatch(name):
            sequences[match["prefix"], match["suffix"]].append(match["digits"])
    if not sequences:
        raise DecodeError(
            f"{folder}: a folder without numbered frames",
            "expected names like img_00001.jpg; if clips lie in it, give them: FOLDER/*/*.mp4",
        )
    (prefix, suffix), digits = max(sequences.items(), key=_standing)
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
