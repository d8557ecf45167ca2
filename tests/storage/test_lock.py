"""A lock is held by one process, and by nobody once that process is gone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marey.errors import RunError
from marey.storage.lock import Held, NoLocks, locked, locked_if_possible

HOLDER = """
import os, sys
from pathlib import Path
from marey.storage.lock import locked
with locked(Path(sys.argv[1]), "holds it"):
    read, write = os.pipe()
    if not os.fork():  # a loader worker that outlives the process it was forked from
        os.write(write, b"x")
        sys.stdin.read()
        os._exit(0)
    os.read(read, 1)  # a fork lets go of the lock before its first line, but not before it runs
    print("held", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


def test_a_lock_dies_with_its_process_although_a_forked_one_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Held, match="another process trains here"), locked(path, "trains here"):
            pass
        holder.kill()
        holder.wait()
        with locked(path, "trains here"):
            assert path.is_file()
        holder.stdin.close()


def test_a_disk_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", lacking)
    with pytest.raises(NoLocks, match="No locks available"), locked(tmp_path / "lock", "trains"):
        pass
    with locked_if_possible(tmp_path / "lock", "trains") as note:
        assert "nothing keeps out another process that trains" in note


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "lock"
    with pytest.raises(RunError, match="cannot lock"), locked_if_possible(path, "trains"):
        pass
