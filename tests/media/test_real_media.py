"""292 odd and corrupt files from other projects' tests: each gives its frames, or says why not.

`index.csv` tells how many frames of each a plain FFmpeg 5.1 wrote when it decoded the first video
stream. Where we differ, `EXCEPTIONS` says why; `ffprobe -count_frames` agrees with us on all of the
first kind.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.errors import DecodeError
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.reader import open_video
from tests.conftest import SHARED

MEDIA = SHARED / "data" / "media"
LIMIT_SECONDS = 40.0
"""Of a processor: twelve are a slow one's for pictures of 4K in 10 bits; what hangs has no end."""
LARGE = 1_000_000

BACKWARDS = "time runs backwards: the ffmpeg command drops such frames when it writes, we keep them"
BAD_SOUND = "its broken sound made ffprobe 5.1 give up; the pictures are sound"
EXCEPTIONS = {
    "firefox_esr115/dom/media/test/chained-video.ogv": (17, BACKWARDS),
    "firefox_esr115/dom/media/test/bug498380.ogv": (14, BACKWARDS),
    "firefox_esr115/dom/media/test/bug523816.ogv": (14, BACKWARDS),
    "firefox_esr115/dom/media/test/bug556821.ogv": (88, BACKWARDS),
    "firefox_esr115/dom/media/gtest/mp4_demuxer/test_case_1351094.mp4": (170, BACKWARDS),
    "mp4parse/mp4parse_capi/tests/no_timescale.mp4": (170, BACKWARDS),
    "firefox_esr115/dom/media/test/audio-overhang.ogg": (8, BAD_SOUND),
    "firefox_esr115/dom/media/test/bug498855-2.ogv": (6, BAD_SOUND),
    "firefox_esr115/dom/media/test/bug1535980.webm": (60, BAD_SOUND),
    "firefox_esr115/dom/media/gtest/mp4_demuxer/test_case_1200326.mp4": (
        5,
        "newer FFmpeg reads past the fault in its header",
    ),
    "firefox_esr115/dom/media/test/TestPatternHDR.mp4": (
        420,
        "14 seconds of 4K took longer than the index waited; it is sound",
    ),
}


def rows() -> list[dict[str, str]]:
    if not (MEDIA / "index.csv").is_file():
        return []
    with (MEDIA / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def expected(row: dict[str, str]) -> int:
    if row["path"] in EXCEPTIONS:
        return EXCEPTIONS[row["path"]][0]
    return int(row["decoded"] or 0)


pytestmark = [
    pytest.mark.skipif(not rows(), reason=f"no media files at {MEDIA}"),
    pytest.mark.timeout(120, method="thread"),  # a hang inside FFmpeg hears no signal
]


def test_the_exceptions_are_few_and_all_in_the_index() -> None:
    paths = {row["path"]: row for row in rows()}
    assert len(paths) == 292
    assert len(EXCEPTIONS) <= 11
    for path, (count, _) in EXCEPTIONS.items():
        assert count != int(paths[path]["decoded"] or 0)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["path"])
def test_a_file_gives_its_frames_or_says_why_not(row: dict[str, str]) -> None:
    path = MEDIA / row["path"]
    start = time.process_time()  # of this process alone: others may keep the machine busy
    if expected(row):
        with open_video(path) as reader:
            assert len(reader) == expected(row)
            check_clock(reader)
            check_jumps(path, reader, sound=row["status"] != "decode_errors")
    else:
        with pytest.raises(DecodeError) as caught, open_video(path) as reader:
            len(reader)
        assert caught.value.message.startswith(f"{path}: ")
        assert caught.value.hint
    assert time.process_time() - start < LIMIT_SECONDS


@pytest.mark.parametrize(
    "row", [row for row in rows() if "color_quads" in row["path"]], ids=lambda row: row["path"]
)
def test_colours_are_those_meant_whatever_the_codec_and_range(row: dict[str, str]) -> None:
    with open_video(MEDIA / row["path"]) as reader:
        frame = reader.read([0])[0]
    height, width = frame.shape[1:]
    quads = [frame[:, height * y // 4, width * x // 4] for y in (1, 3) for x in (1, 3)]
    for quad, level in zip(quads, (0, 16, 235, 255), strict=True):
        assert (quad.int() - level).abs().max() <= 2


def check_clock(reader: FrameReader) -> None:
    clock = reader.timestamps()
    assert len(clock) == len(reader)
    assert clock[0] == 0
    assert (np.diff(clock) >= 0).all()


def check_jumps(path: Path, reader: FrameReader, *, sound: bool) -> None:
    """The last frame read first, then the middle and the first, equal those read in order."""
    count = len(reader)
    some = sorted({0, count // 2, count - 1})
    if reader.read([0])[0, 0].numel() > LARGE:
        return
    jumped = torch.cat([reader.read([index]) for index in reversed(some)]).flip(0)
    with open_video(path) as fresh:  # uncounted, so it reads on and never jumps
        in_order = fresh.read(some)
    assert jumped.shape == in_order.shape
    if sound:  # where a picture is damaged, FFmpeg leaves what was in memory
        assert torch.equal(jumped, in_order)
