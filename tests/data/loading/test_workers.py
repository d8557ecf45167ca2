"""Loader workers that are killed, crash, hang or lose their storage, and what comes of it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from marey.data.loading import one_batch
from marey.data.loading.clips import NO_SEED, Batch, ClipDataset, Sample
from marey.data.loading.loader import clip_batches
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError, RunError
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

NUM = 12
KEYS = [[(row, None), (row + 1, None)] for row in range(0, NUM, 2)]


class Clips(ClipDataset):
    """Clips that show their row, but where `acts` has something else to do."""

    def __init__(self, folder: Path, acts: dict[int, Callable[[], object]]) -> None:
        columns = {"path": [f"{row}.mp4" for row in range(NUM)], "label": [0] * NUM}
        manifest = Manifest.from_columns(folder / "m.csv", folder, columns, {"label": ("a",)})
        super().__init__(manifest, Segments(1), CenterCrop(8, None))
        self.acts = acts

    def __getitem__(self, key: tuple[int, int | None]) -> Sample:
        row = key[0]
        fault = self.acts.get(row, lambda: None)()
        return Sample(
            row=row,
            clip=None if fault else torch.full((1, 1, 3, 8, 8), row, dtype=torch.uint8),
            labels={"label": np.int64(0)},
            seed=NO_SEED,
            error=f"{row}: {fault}" if fault else None,
            away=fault == "away",
            seconds={"decode": 0.0, "resize": 0.0},
        )


def dies(number: int) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), number)


def hangs() -> object:
    time.sleep(10_000)
    return "not reached"


def once(mark: Path, act: Callable[[], object]) -> Callable[[], object]:
    """`act` the first time that any process comes here."""

    def do() -> object:
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return None
        return act()

    return do


def read(clips: Clips, *, workers: int = 2, clip_seconds: float = 60.0) -> list[Batch]:
    return list(clip_batches(clips, KEYS, workers=workers, clip_seconds=clip_seconds))


def rows(batches: list[Batch]) -> list[list[int]]:
    """The rows of each batch; their clips must be theirs."""
    for batch in batches:
        assert not len(batch.rows) or batch.clip[:, 0, 0, 0, 0, 0].tolist() == batch.rows.tolist()
    return [batch.rows.tolist() for batch in batches]


def failures(batches: list[Batch]) -> dict[int, str]:
    return dict(failure for batch in batches for failure in batch.failures)


WHOLE = [[row for row, _ in keys] for keys in KEYS]


def without(*lost: int) -> list[list[int]]:
    return [[row for row in rows if row not in lost] for rows in WHOLE]


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    assert not [each for each in psutil.Process().children() if _is_loader(each)]


def _is_loader(process: psutil.Process) -> bool:
    """A fork of this process; the servers of multiprocessing are others."""
    return process.cmdline() == psutil.Process().cmdline()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_the_order_of_their_keys(tmp_path: Path, workers: int) -> None:
    slow = {row: lambda: time.sleep(0.2) for row in (0, 5)}
    assert rows(read(Clips(tmp_path, slow), workers=workers)) == WHOLE


def test_workers_are_gone_when_no_more_is_wanted(tmp_path: Path) -> None:
    batches = clip_batches(Clips(tmp_path, {9: hangs}), KEYS, workers=2)
    next(batches)
    batches.close()


def test_clips_that_crash_or_hang_a_worker_leave_their_batches_by_name(tmp_path: Path) -> None:
    acts = {2: dies(signal.SIGSEGV), 3: hangs, 8: dies(signal.SIGABRT), 9: lambda: os._exit(3)}
    batches = read(Clips(tmp_path, acts), clip_seconds=2.0)
    assert rows(batches) == without(2, 3, 8, 9)
    assert failures(batches) == {
        2: f"{tmp_path / '2.mp4'}: the process that read it died (SIGSEGV)",
        3: f"{tmp_path / '3.mp4'}: not read after 2 s",
        8: f"{tmp_path / '8.mp4'}: the process that read it died (SIGABRT)",
        9: f"{tmp_path / '9.mp4'}: the process that read it died (exit status 3)",
    }


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_clip_too_large_for_the_memory_leaves_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, error: Exception
) -> None:
    def load(*_: object) -> None:
        raise error

    clips = ClipDataset(Clips(tmp_path, {}).manifest, Segments(1), CenterCrop(8, None))
    monkeypatch.setattr(ClipDataset, "_load", load)
    (batch,) = clip_batches(clips, [[(7, None)]], workers=workers)
    assert batch.failures == ((7, f"{tmp_path / '7.mp4'}: too large for the memory"),)


def test_a_worker_that_somebody_ended_is_replaced(tmp_path: Path) -> None:
    acts = {row: once(tmp_path / str(row), dies(signal.SIGTERM)) for row in (0, 5, 6)}
    batches = read(Clips(tmp_path, acts))
    assert rows(batches) == WHOLE


def test_a_killed_worker_is_an_error_that_says_what_to_lower(tmp_path: Path) -> None:
    clips = Clips(tmp_path, {5: dies(signal.SIGKILL)})
    with pytest.raises(RunError, match=r"killed \(SIGKILL\) while it read .*5\.mp4.* lower.*-j"):
        read(clips)


@pytest.mark.parametrize("end", [list, Generator.close])
def test_a_worker_killed_while_nobody_waits_for_it_is_an_error_too(
    tmp_path: Path, end: Callable[[Generator[Batch]], object]
) -> None:
    batches = clip_batches(Clips(tmp_path, {}), KEYS, workers=1)
    next(batches)
    (worker,) = [each for each in psutil.Process().children() if _is_loader(each)]
    worker.kill()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # all its threads are gone
    with pytest.raises(RunError, match="a loader worker was killed"):
        end(batches)


@pytest.mark.parametrize("error", [ManifestError("no"), ValueError("no"), KeyError("no")])
def test_other_errors_come_out_as_they_are(tmp_path: Path, error: Exception) -> None:
    def fail() -> object:
        raise error

    for workers in (0, 2):
        with pytest.raises(type(error), match="no"):
            read(Clips(tmp_path, {4: fail}), workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_outage_is_outlasted_and_said_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    workers: int,
) -> None:
    monkeypatch.setattr(one_batch, "POLL_SECONDS", 0.01)
    gone, tries = tmp_path / "gone", tmp_path / "tries"

    def leave() -> object:
        return gone.touch()  # read, and the last for a while

    def try_again() -> object:
        with tries.open("a") as file:
            file.write("x")
        return "away" if tries.stat().st_size < 20 and gone.exists() else None

    acts: dict[int, Callable[[], object]] = dict.fromkeys(range(NUM), try_again)
    acts[1] = lambda: try_again() if gone.exists() else leave()
    caplog.set_level(logging.WARNING, "marey")
    batches = read(Clips(tmp_path / "empty", acts), workers=workers)
    assert rows(batches) == WHOLE
    (record,) = caplog.records
    assert "out of reach" in record.message


@pytest.mark.parametrize("workers", [0, 2])
def test_an_outage_that_lasts_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(one_batch, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(one_batch, "OUTAGE_SECONDS", 0.1)
    clips = Clips(tmp_path / "gone", dict.fromkeys(range(NUM), lambda: "away"))
    with pytest.raises(RunError, match=r"out of reach, after 0\.1 s: \d: away.*--resume"):
        read(clips, workers=workers)


def test_clips_that_alone_are_away_are_no_outage(tmp_path: Path) -> None:
    (tmp_path / "others").touch()
    for acts in ({0: lambda: "away", 1: lambda: "away"}, {7: lambda: "away"}):
        for workers in (0, 1):
            batches = read(Clips(tmp_path, acts), workers=workers)
            assert rows(batches) == without(*acts)
            assert failures(batches) == {row: f"{row}: away" for row in acts}


def test_where_a_clip_that_was_read_hangs_storage_is_to_blame(tmp_path: Path) -> None:
    stalled = tmp_path / "stalled"

    def stall() -> object:
        return hangs() if stalled.exists() else stalled.touch()

    acts = dict.fromkeys(range(4, NUM), hangs) | {3: stall}
    with pytest.raises(RunError, match=r"out of reach: .*3\.mp4, not read after .*, as it was"):
        read(Clips(tmp_path, acts), workers=1, clip_seconds=2.0)


def test_batches_are_pinned_ahead_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[int] = []

    def pin(self: Batch) -> Batch:
        pinned.append(int(self.rows[0]))
        return self

    monkeypatch.setattr(Batch, "pin_memory", pin)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    batches = clip_batches(Clips(tmp_path, {}), KEYS, workers=2, pin_memory=True)
    assert next(batches).rows.tolist() == WHOLE[0]
    assert rows(list(batches)) == WHOLE[1:]
    assert pinned == [row for row, _ in WHOLE]


@pytest.mark.gpu
def test_pinned_batches_are_in_locked_memory(tmp_path: Path) -> None:
    for workers in (0, 2):
        batches = clip_batches(Clips(tmp_path, {}), KEYS, workers=workers, pin_memory=True)
        assert all(batch.clip.is_pinned() for batch in batches)
