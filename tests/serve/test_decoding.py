"""Decoding as a process of the server does it; the process itself, with its limits, too."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.hostile_files import HOSTILE, frame_bomb, jpeg, video
from marey.jobs.processes import Lost, Worker
from marey.recipes.recipe import TestViews
from marey.serve import decoding
from marey.serve.decoders import Decoders
from marey.serve.decoding import Decoder, Look, Picture, Read, Video
from marey.serve.limits import Limits
from marey.serve.metrics import Metrics
from marey.serve.refusals import Refused
from marey.video.crops import CenterCrop
from marey.video.reading.jpeg import encode_jpeg
from marey.video.sampling.segments import Segments

LIMITS = Limits(seconds=30, frames=1000, pixels=1280 * 720, memory=1 << 30)
VIEWS = TestViews(Segments(2), CenterCrop(32, resize=36))


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    """One for this process, which is not to be confined."""
    monkeypatch.setattr(decoding, "confine", lambda memory: None)
    return Decoder(VIEWS, LIMITS)


def test_a_video_is_looked_over_and_read(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(video("mp4", num_frames=12, rate=10))
    found = decoder(Look(path))
    assert isinstance(found, Video)
    assert (len(found.times), found.width, found.height) == (12, 64, 48)
    assert found.seconds == pytest.approx(1.2)
    views = decoder(Read(path, 12, ((0, 12), (4, 8))))
    assert isinstance(views, tuple)
    assert [(each.shape, each.dtype) for each in views] == 2 * [((1, 2, 3, 32, 32), np.uint8)]


def test_a_refusal_of_what_hangs_holds_nothing_of_earlier_ones() -> None:
    decoders = Decoders(Decoder(VIEWS, LIMITS), 1, Metrics())
    process = decoders._all[0]
    process.do = lambda job, is_given_up: process._said(Lost("", hung=True))  # type: ignore[method-assign]

    async def asked() -> Refused:
        with pytest.raises(Refused, match="not done in time") as refused:
            await decoders.do(Picture(b""))
        return refused.value

    async def twice() -> tuple[Refused, Refused]:
        return await asked(), await asked()

    one, other = asyncio.run(twice())
    decoders.close()
    lengths = [len([*traceback.walk_tb(each.__traceback__)]) for each in (one, other)]
    assert one is not other
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_words_without_a_path(
    name: str, decoder: Decoder, tmp_path: Path
) -> None:
    path = tmp_path / "secret-folder"
    path.write_bytes(HOSTILE[name]())
    found = decoder(Look(path))
    if isinstance(found, Video):
        assert name in ("a slow video", "mp4 of 100,000 x 100,000")
        assert found.width * found.height <= LIMITS.pixels
        return
    assert isinstance(found, Refused)
    assert found.status in (413, 422)
    assert "secret-folder" not in found.message + found.hint
    assert str(tmp_path) not in found.message + found.hint


def test_limits_are_looked_at_before_anything_is_decoded(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("something was decoded")

    monkeypatch.setattr(decoding, "VideoFile", never)
    path = tmp_path / "a"
    for data, reason in (
        (video("mp4", size=(16, 16), num_frames=1001, rate=1000), "a video of over 1,000 frames"),
        (frame_bomb(), "a video of over (30 s|1,000 frames)"),
        (video("matroska", size=(16, 16), num_frames=400), "a video of over 30 s"),
        (video("mp4", size=(1600, 900), num_frames=1), "a frame of 1600 x 900"),
    ):
        path.write_bytes(data)
        with pytest.raises(Refused, match=reason) as refused:
            decoding.look(path, LIMITS)
        assert refused.value.status == 413


def test_a_picture_is_a_jpeg_of_the_size_that_is_allowed(decoder: Decoder) -> None:
    pixels = decoder(Picture(encode_jpeg(np.full((48, 64, 3), 200, np.uint8))))
    assert isinstance(pixels, np.ndarray)
    assert (pixels.shape, pixels.dtype) == ((48, 64, 3), np.uint8)
    assert np.abs(pixels.astype(int) - 200).max() < 5
    for data, status in (
        (b"", 422),
        (b"\x89PNG", 422),
        (b"\xff\xd8\xff", 422),
        (jpeg(9000, 9000), 413),
    ):
        refused = decoder(Picture(data))
        assert isinstance(refused, Refused)
        assert refused.status == status


@pytest.fixture
def worker() -> Iterator[Worker[decoding.Job, decoding.Decoded | Refused]]:
    worker: Worker[decoding.Job, decoding.Decoded | Refused] = Worker(
        Decoder(VIEWS, LIMITS), 60, with_script=False
    )
    yield worker
    worker.stop()


def test_a_process_has_its_limits_and_outlives_refusals(
    worker: Worker[decoding.Job, decoding.Decoded | Refused], tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(video("mp4"))
    pid = worker.pid
    assert isinstance(worker.do(Look(path)), Video)
    path.write_bytes(HOSTILE["zeros"]())
    assert isinstance(worker.do(Look(path)), Refused)
    assert worker.pid == pid
    if Path("/proc").is_dir():
        limits = Path(f"/proc/{pid}/limits").read_text()
        said = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
        assert said["Max file size"] == said["Max core file size"] == "0"
        assert int(said["Max address space"]) > LIMITS.memory


def test_a_process_that_is_killed_is_lost_and_another_comes(
    worker: Worker[decoding.Job, decoding.Decoded | Refused], tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(video("mp4"))
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)

    def kill() -> None:
        time.sleep(0.2)
        os.kill(first, signal.SIGKILL)

    threading.Thread(target=kill).start()
    lost = worker.do(Look(path))
    assert isinstance(lost, Lost)
    assert "SIGKILL" in lost.reason
    assert isinstance(worker.do(Look(path)), Video)
