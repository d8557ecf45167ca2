"""Clips that kill the process that reads them, or never let go of it: found and named.

A worker notes that it begins a part. One that finds such a note knows that an earlier maker of the
part died there, killed by a clip or by somebody; it lets a process of its own read every clip of
the part first, and leaves out the clips at which that dies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryFile

from marey.data.manifest.manifest import VideoClip
from marey.errors import RunError
from marey.jobs.hangs import Watch
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


def crashing_clips(clips: Sequence[VideoClip], *, seconds: float) -> dict[int, str]:
    """Row -> reason, of the clips at which a process that reads them dies or hangs.

    Args:
        seconds: without a frame, after which it hangs (`marey.jobs.hangs`).
    """
    reasons, left = {}, list(clips)
    while left:
        num_read, death = _read([_text(clip.path) for clip in left], seconds)
        for clip in left[num_read : num_read + 1]:
            reasons[clip.row] = f"{clip.path}: {death}"
        left = left[num_read + 1 :]
    return reasons


def _read(paths: Sequence[str], seconds: float) -> tuple[int, str]:
    """How many clips a process of its own read, and how it ended at the next."""
    with TemporaryFile() as errors:
        command = [sys.executable, "-c", _READ]
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=errors) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            said = bytearray()
            watch = Watch(process.pid, lambda: len(said), seconds)
            with process.stdin as given, suppress(BrokenPipeError):
                given.write(json.dumps(paths).encode())
            hangs = False
            while not hangs:
                if wait([process.stdout.fileno()], watch.seconds_left):
                    more = os.read(process.stdout.fileno(), 1 << 16)
                    if not more:
                        break
                    said += more
                else:
                    hangs = bool(watch.verdict())
            if hangs:
                process.kill()
        if not said:
            errors.seek(0)
            reason = errors.read()[-200:]
            raise RunError(f"no process can be started to read clips: {reason!r}")
    if hangs:
        return said.count(b"\n") - 1, f"not read after {seconds:g} s"
    died = f"the process that read it died (signal {-process.returncode})"
    return said.count(b"\n") - 1, died


def _text(path: AnyPath) -> str:
    """With the secrets of a url, which no other process of the machine sees on standard input."""
    return path.text if isinstance(path, Url) else str(path)


_READ = """
import json
import sys
import av
from marey import pulse
from marey.errors import DecodeError
from marey.video.reading.reader import open_video

class Dots(list):
    def __setitem__(self, place, count):
        print(".", end="", flush=True)

pulse.counter = Dots([0])
print("ready", flush=True)
for path in json.load(sys.stdin):
    try:
        with open_video(path) as video:
            for index in range(len(video)):
                video.read([index])
    except (DecodeError, MemoryError, av.FFmpegError):
        pass  # packing will say so
    print(flush=True)
"""
