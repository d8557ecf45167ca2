"""A file is the old one or the new one, and an error is that of what was to be written."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from marey.errors import ManifestError, RunError
from marey.storage.atomic import (
    make_folder,
    manifest_error,
    placing,
    replacing,
    run_error,
    write_csv,
    write_text,
    writing,
)

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with replacing(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["b.txt"]


@pytest.mark.parametrize("fault", [FULL, ValueError("no"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path, fault: Exception):
    path = tmp_path / "b.txt"
    path.write_text("old")
    error = ManifestError if fault is FULL else type(fault)
    with pytest.raises(error), replacing(path) as file:  # noqa: PT012
        file.write(b"half")
        raise fault
    assert path.read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


@pytest.mark.parametrize(
    ("failure", "error", "sentence"),
    [
        (manifest_error, ManifestError, "cannot write .*file/b.txt: "),
        (run_error, RunError, "file/b.txt could not be written: "),
        (partial(run_error, hint="buy a disk"), RunError, "could not be written.* buy a disk"),
    ],
)
def test_the_error_is_that_of_what_is_written(tmp_path: Path, failure, error, sentence) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "b.txt"
    writers = (write_text, lambda path, text, failure: make_folder(path, failure))
    for write in writers:
        with pytest.raises(error, match=sentence):
            write(path, "text", failure)
    with pytest.raises(error, match=sentence), writing(path, failure):
        path.open("wb")


def test_a_folder_takes_the_place_of_a_folder_and_of_what_a_killed_process_left(tmp_path: Path):
    draft, path = tmp_path / "unfinished" / "0", tmp_path / "clip"
    for number in (1, 2):
        draft.mkdir(parents=True, exist_ok=True)
        (draft / "left behind").touch()
        with placing(draft, path):
            draft.mkdir()
            (draft / f"{number}.jpg").touch()
        assert names(path) == [f"{number}.jpg"]
        assert not draft.exists()


_KILLED = """
import os, sys
from pathlib import Path
from marey.storage.atomic import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""


def test_a_process_that_dies_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")
    assert subprocess.run([sys.executable, "-c", _KILLED, path], check=False).returncode == 9
    assert path.read_text() == "old"


def test_a_table_has_empty_cells_and_texts_that_are_no_unicode(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("a", "b"), [(None, "x,y"), (1, "\udcff")])
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\n,"x,y"\n1,\\udcff\n'


def test_the_next_writer_removes_what_killed_processes_left(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    assert subprocess.run([sys.executable, "-c", _KILLED, path], check=False).returncode == 9
    (left,) = names(tmp_path)
    assert left.startswith(".b.txt.")
    ours, theirs = (f".b.txt.{name}.draft" for name in (f"{platform.node()}.1", "elsewhere.1"))
    old = tmp_path / ".c.elsewhere.2.draft"
    for name in (ours, theirs, old.name):
        (tmp_path / name).touch()  # process 1 runs; of another machine nobody knows, for a day
    os.utime(old, (0, 0))
    write_text(path, "new")
    assert names(tmp_path) == sorted([ours, theirs, "b.txt"])
