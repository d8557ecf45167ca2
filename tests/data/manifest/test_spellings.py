from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.spellings import Spellings, missing_fault, spelling_notes

CAFE = "caf\u00e9"
APART = unicodedata.normalize("NFD", CAFE)


@pytest.fixture
def files(tmp_path):
    def files(*names: str) -> Spellings:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return Spellings(tmp_path)

    return files


FOUND = {
    "as written": ("jump/a.mp4", "jump/a.mp4", ()),
    "windows": ("jump\\a.mp4", "jump/a.mp4", ("windows",)),
    "windows, from the root": (".\\jump\\a.mp4", "jump/a.mp4", ("windows",)),
    "from the root": ("/jump/a.mp4", "jump/a.mp4", ("root",)),
    "with the folder it lies in": ("\\jump\\a.mp4", "jump/a.mp4", ("windows", "root")),
    "a folder in capitals": ("JUMP/a.mp4", "jump/a.mp4", ("case",)),
    "a suffix in capitals": ("jump/a.MP4", "jump/a.mp4", ("case",)),
    "another suffix": ("jump/a.avi", "jump/a.mp4", ("suffix",)),
    "another suffix in capitals": ("Jump/A.AVI", "jump/a.mp4", ("suffix", "case")),
    "no suffix": ("jump/a", "jump/a.mp4", ("no suffix",)),
    "accents apart": (f"{APART}/{APART}.mp4", f"{CAFE}/{CAFE}.mp4", ("accents",)),
    "accents as one letter": (f"{CAFE}.mp4", f"{APART}.mp4", ("accents",)),
    "dots and slashes": ("./jump//a.mp4", "jump/a.mp4", ()),
    "a dot in the name": ("jump/b.v1.avi", "jump/b.v1.mp4", ("suffix",)),
    "frames of a video": ("jump/c.mp4", "jump/c", ("suffix",)),
}


@pytest.mark.parametrize("kind", FOUND)
def test_a_path_means_the_one_file_that_is_alike_and_it_is_said_how(files, kind):
    path, file, odd = FOUND[kind]
    there = files("jump/a.mp4", "jump/b.v1.mp4", "jump/c/1.jpg", f"{CAFE}/{CAFE}.mp4")
    there = files(f"{APART}.mp4") if kind == "accents as one letter" else there
    assert there.find(path)[:3] == (file, odd, "")


WHY_NOT = {
    "two suffixes": ("a", r"2 files may be meant: a.avi, a.mp4"),
    "two cases": ("C.mp4", "2 files may be meant: c.MP4, c.mp4"),
    "none": ("x.mp4", "no such file"),
    "none, windows": ("in\\x.mp4", "no such file, \\ was read as /"),
    "none, from the root": ("/x/y.mp4", "no such file, / at the beginning was read as the root"),
    "a drive": ("C:\\clips\\a.mp4", "no such file: a path of Windows, from a drive, not the root"),
    "a folder up": ("sub/../../a.mp5", "no such file"),
    "a file of text": ("note.mp4", "no such file"),
}


@pytest.mark.parametrize("kind", WHY_NOT)
def test_where_no_file_or_several_are_alike_the_reason_says_so(files, kind):
    path, reason = WHY_NOT[kind]
    there = files("a.mp4", "a.avi", "c.mp4", "c.MP4", "note.txt")
    assert there.find(path)[:3] == (None, (), reason)


def test_a_file_as_it_is_written_goes_before_those_that_are_alike(files):
    there = files("a.mp4", "a.MP4", "a.avi", "A/b.mp4", "a/b.mp4")
    assert there.find("a.MP4")[:3] == ("a.MP4", (), "")
    assert there.find("a\\b.mp4")[:3] == ("a/b.mp4", ("windows",), "")
    assert there.find("a.Avi")[:3] == ("a.avi", ("case",), "")


def test_notes_count_each_kind_once_and_show_the_first(files):
    there = files("a.mp4", "b.mp4", "c.mp4")
    paths = ["A.avi", "\\b.mp4", "c.mp4", "x.mp4"]
    notes = spelling_notes(paths, [*map(there.find, paths)])
    assert notes == [
        "1 path written with \\, as on Windows: \\b.mp4 is b.mp4",
        "1 path with / at the beginning, read as the root: \\b.mp4 is b.mp4",
        "1 path in other letter case than the file: A.avi is a.mp4",
        "1 path with another suffix than the file: A.avi is a.mp4",
    ]


def test_a_manifest_that_names_no_file_shows_the_one_that_is_alike(files, tmp_path):
    files("jump/a.mp4")
    manifest = Manifest.from_columns(tmp_path, tmp_path, {"path": ["jump\\A.mp4", "b.mp4"]})
    fault = missing_fault(manifest, tmp_path, np.arange(2))
    assert fault.rows.tolist() == [0, 1]
    assert fault.message(0).endswith("; there is 'jump/a.mp4'")
    assert "there is" not in fault.message(1)
