"""Processes that answer jobs know of the script what they need, and run it for nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing.util import get_temp_dir
from pathlib import Path

import pytest

from marey.jobs.processes import Processes
from marey.storage.temporary import MARK
from tests import fresh

PLAIN = """
from marey.jobs.processes import Processes

print("the script runs")
print(sorted(answer for _, answer in Processes(2).answers(abs, [-1, 2, -3])))
"""

OF_ITS_OWN = """
from marey.jobs.processes import Processes

class Mine:
    pass

if __name__ == "__main__":
    jobs = [-1, Mine(), -3]
    print(sorted(answer for _, answer in Processes(1).answers(repr, jobs)))
"""


def printed(script: str, folder: Path) -> list[str]:
    (folder / "script.py").write_text(script)
    return fresh.printed("script.py", cwd=folder).splitlines()


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    assert printed(PLAIN, tmp_path) == ["the script runs", "[1, 2, 3]"]


def test_what_a_script_defines_is_known_where_a_job_is_of_it(tmp_path: Path) -> None:
    (answers,) = printed(OF_ITS_OWN, tmp_path)
    assert "Mine object" in answers
    assert answers.startswith("['-1', '-3', '<")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server of forks")
def test_the_folder_of_sockets_goes_with_a_process_that_is_killed() -> None:
    assert dict(Processes(1).answers(abs, [-1])) == {-1: 1}
    assert (Path(get_temp_dir()) / MARK).exists()


SLOW_TO_IMPORT = """
import time

print("imported", flush=True)
time.sleep(2)

def answer(job):
    return job
"""

STOPPED = """
import signal
from slow import answer
from marey.jobs.processes import Processes

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs that a shell put aside ignore it
try:
    list(Processes(1).answers(answer, [1]))
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server of forks")
def test_nothing_but_the_process_itself_hears_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_TO_IMPORT)
    (tmp_path / "script.py").write_text(STOPPED)
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), *filter(None, sys.path)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["imported\n"] * 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=60) == ("stopped\n", "")
