"""Clips that kill the process that reads them, or never let go of it: found and named.

A worker notes that it begins a part. One that finds such a note knows that an earlier maker of the
part died there, killed by a clip or by somebody; it lets a process of its own read every clip of
the part first, and leaves out the clips at which that dies.
"""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from marey.data.manifest.manifest import VideoClip
from marey.errors import RunError
from marey.storage.atomic import writing
from marey.storage.url import AnyPath, Url


@contextmanager
def noted(note: Path) -> Iterator[bool]:
    """A file that stays if this process dies in the block; whether an earlier one did."""
    with writing(note.parent):
        died = note.exists()
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    try:
        yield died
    finally:
        note.unlink(missing_ok=True)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """The process ends if the block takes longer: a decoder that hangs hears nothing else."""
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def crashing_clips(clips: Sequence[VideoClip], *, seconds: float) -> dict[int, str]:
    """Row -> reason, of the clips at which a process that reads them dies or stays too long."""
    reasons, left = {}, list(clips)
    while left:
        ran = subprocess.run(
            [sys.executable, "-c", _READ, str(seconds)],
            input=json.dumps([_text(clip.path) for clip in left]).encode(),
            capture_output=True,
            check=False,
        )
        if not ran.stdout:
            raise RunError(f"no process can be started to read clips: {ran.stderr[-200:]!r}")
        num_read, code = ran.stdout.count(b"\n") - 1, ran.returncode
        for clip in left[num_read : num_read + 1]:
            death = f"the process that read it died (signal {-code})"
            reasons[clip.row] = f"{clip.path}: " + (
                death if code < 0 else f"not read after {seconds:g} s"
            )
        left = left[num_read + 1 :]
    return reasons


def _text(path: AnyPath) -> str:
    """With the secrets of a url, which no other process of the machine sees on standard input."""
    return path.text if isinstance(path, Url) else str(path)


_READ = """
import json
import sys
import av
from marey.data.packs.crashes import time_limit
from marey.errors import DecodeError
from marey.video.reading.reader import open_video
print("ready", flush=True)
for path in json.load(sys.stdin):
    with time_limit(float(sys.argv[1])):
        try:
            with open_video(path) as video:
                for index in range(len(video)):
                    video.read([index])
        except (DecodeError, MemoryError, av.FFmpegError):
            pass  # packing will say so
    print(flush=True)
"""
