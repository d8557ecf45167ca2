"""Which source a word of the command line means."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from marey.errors import DecodeError
from marey.storage.url import REMOTE, Url
from marey.video.live.file import VideoAsStream
from marey.video.live.growing import GrowingFolder
from marey.video.live.moment import Source
from marey.video.live.network import Camera, Link
from marey.video.live.piped import Piped, RawPiped


def source_named(word: str, *, hurry: bool = False, raw: tuple[int, int] | None = None) -> Source:
    """The source that `word` means.

    | word                                     | source                                      |
    |------------------------------------------|---------------------------------------------|
    | a number, /dev/video0                    | a camera, unless a file has that name       |
    | camera:NAME                              | a camera that its system calls NAME         |
    | scheme://...                             | a stream or file there (`network.PROTOCOLS`)|
    | -                                        | standard input                              |
    | a folder                                 | what lies and comes there                   |
    | anything else                            | a file                                      |

    Args:
        word: as in the table.
        hurry: show files as fast as they can be read, not at their pace.
        raw: width and height of the bare pixels that come through standard input.

    Raises:
        DecodeError: it is none, or may be two.
    """
    if raw is not None and word != "-":
        raise DecodeError(f"{word}: bare pixels come through standard input alone", "give -")
    if word == "-":
        if sys.stdin is None:  # started with <&-, or by a service without one
            raise DecodeError("standard input is closed", "pipe a video into it, or give a file")
        # unbuffered: a thread that waits in a buffered one cannot be left behind at the end
        pipe = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
        return Piped(pipe) if raw is None else RawPiped(pipe, *raw)
    if re.match(REMOTE, word):
        return Link(Url(word), hurry)
    is_camera = re.fullmatch(r"\d{1,3}|/dev/video\d+", word)
    if is_camera and not word.startswith("/") and Path(word).exists():
        raise DecodeError(
            f"{word} may be camera {word}, or {Path(word).absolute()}",
            f"say which: /dev/video{word} or ./{word}",
        )
    if is_camera or word.startswith("camera:"):
        return Camera(word.removeprefix("camera:"))
    path = Path(word)
    return GrowingFolder(path, hurry) if path.is_dir() else VideoAsStream(path, hurry)
