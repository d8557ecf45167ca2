"""Workers killed, and runs stopped, at any moment: many times over."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.tiny import write_set
from tests.two_processes import HANG_SECONDS

RUN = """
import sys
from pathlib import Path
from marey.cli.shared import stopping
from marey.engine.train.loop import train
from marey.engine.train.stop_signals import Stopped
from marey.engine.weights.checkpoint import last_checkpoint
from marey.errors import RunError
from tests.tiny import tiny_recipe, with_workers
manifest, run = map(Path, sys.argv[1:])
with stopping():
    try:
        recipe = with_workers(tiny_recipe(manifest, epochs=500), 2)
        train(recipe, run, resume=last_checkpoint(run), quiet=True)
    except Stopped:
        sys.exit(130)
    except RunError as error:
        print(error)
        sys.exit(2)
"""


def begin(manifest: Path, run: Path) -> subprocess.Popen[str]:
    """A training whose workers are at work, in a group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(manifest), str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not psutil.Process(process.pid).children():
        time.sleep(0.01)
    return process


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(12))
def test_a_killed_worker_ends_a_run_in_an_error(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    process = begin(write_set(tmp_path / "set"), tmp_path / "run")
    time.sleep(rng.random() * 5)
    while process.poll() is None:  # one that has nothing left to do is not missed: kill another
        try:
            rng.choice(psutil.Process(process.pid).children()).kill()
        except (IndexError, psutil.NoSuchProcess):  # between two epochs
            continue
        time.sleep(0.1)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 2, err
    assert "a loader worker was killed" in out


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(12))
def test_a_run_stops_at_any_moment(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    process = begin(write_set(tmp_path / "set"), tmp_path / "run")
    workers = psutil.Process(process.pid).children()
    time.sleep(rng.random() * 3)
    number = rng.choice((signal.SIGINT, signal.SIGTERM))
    for each in (process, *psutil.Process(process.pid).children()):  # as a terminal, or Slurm
        try:
            each.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    _, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not psutil.wait_procs(workers, timeout=HANG_SECONDS)[1]
