"""Temporary folders, of processes that end and of those that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from marey.storage.temporary import MARK, claim, temporary_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")

KEEPS_ONE = """
import sys
from pathlib import Path
from marey.storage.temporary import temporary_folder
with temporary_folder("test", Path(sys.argv[1])) as folder:
    (folder / "upload").write_bytes(b"a video")
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(within: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has a folder, and the folder."""
    words = [sys.executable, "-c", KEEPS_ONE, str(within)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_is_private_and_gone_after_its_block(tmp_path: Path) -> None:
    with temporary_folder("test", tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("marey-test-")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not any(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_when_the_next_folder_is_made(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, left):
        with temporary_folder("other", tmp_path):
            assert (left / "upload").exists()  # it lives
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (left / "upload").exists()
        with temporary_folder("other", tmp_path) as folder:
            assert list(tmp_path.iterdir()) == [folder]


def test_what_nobody_claimed_stays(tmp_path: Path) -> None:
    for name in ("marey-demo", "pymp-abc", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / MARK).touch()
    (tmp_path / "marey-link").symlink_to(tmp_path / "other")
    before = sorted(tmp_path.iterdir())
    with temporary_folder("test", tmp_path):
        pass
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_of_two_processes_is_that_of_the_first(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, folder):
        claim(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with temporary_folder("test", tmp_path):
            assert not folder.exists()


def test_a_folder_that_cannot_be_locked_is_a_folder_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(os.strerror(37))

    monkeypatch.setattr("marey.storage.temporary.fcntl.flock", without_locks)
    with temporary_folder("test", tmp_path) as folder:
        assert not any(folder.iterdir())
    assert not folder.exists()
