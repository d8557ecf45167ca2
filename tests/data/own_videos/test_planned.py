"""A manifest of clips that are not there yet: `marey data init --no-probe`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marey.data.lists.wanted_columns import WantedColumns
from marey.data.manifest.read import read_manifest, require_files
from marey.data.own_videos.init import InitReport, init_dataset
from marey.errors import ManifestError


def planned(folder: Path, text: str, name: str = "list.txt", **options: object) -> InitReport:
    (folder / name).write_text(text)
    return init_dataset(folder / name, folder / "out", probe=False, **options)  # type: ignore[arg-type]


def test_no_file_has_to_be_there_and_what_is_not_known_stays_empty(tmp_path: Path) -> None:
    made = planned(tmp_path, "run/a.mp4 1\nhop/b.mp4 0\nrun/c.mp4 1\nhop/d.mp4 0\n", root="/none")
    assert [*made.manifest.texts()] == [
        f"/none/{n}.mp4" for n in ("run/a", "hop/b", "run/c", "hop/d")
    ]
    assert made.manifest.frame_counts is made.manifest.rates is None
    assert not made.rejects
    assert any(note.startswith("4 of 4 clips not there yet") for note in made.notes)


def test_frames_that_a_list_counts_are_kept_and_folders_are_said(tmp_path: Path) -> None:
    made = planned(tmp_path, "74225 12 0\n74226 13 1\n3 11 1\n4 9 0\n")
    assert made.manifest.frame_counts is not None
    assert made.manifest.frame_counts.tolist() == [12, 13, 11, 9]
    assert any("as 74225, and are taken for folders of frames" in note for note in made.notes)


def test_spans_without_files_stay_as_they_are(tmp_path: Path) -> None:
    rows = "path,label,start,end\na.mp4,x,0,1.5\na.mp4,y,2,3\nb,x,0,9\nb,y,9,12\n"
    made = planned(tmp_path, rows, "list.csv")
    assert made.manifest.ends is not None
    assert made.manifest.ends.tolist() == [1.5, 3, 9, 12]
    assert any("as b, and are taken for videos without one" in note for note in made.notes)


def test_files_that_are_there_are_found_by_any_spelling_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "Run").mkdir()
    (tmp_path / "Run/a.MP4").touch()
    made = planned(tmp_path, "run\\a.mp4;x\nrun\\b.mp4;y\nC:\\c.mp4;x\nrun\\d.mp4;y\n")
    names = sorted(Path(path).relative_to(tmp_path).as_posix() for path in made.manifest.texts())
    assert names == ["Run/a.MP4", "run/b.mp4", "run/d.mp4"]
    assert made.rejects == (
        ("C:\\c.mp4", "no such file: a path of Windows, from a drive, not the root"),
    )


def test_no_file_is_opened_or_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/a.mp4").touch()
    asked: list[str] = []
    for name in ("stat", "lstat"):
        call = getattr(os, name)

        def note(path: object, *args: object, call=call, **options: object) -> object:  # type: ignore[no-untyped-def]
            asked.append(str(path))
            return call(path, *args, **options)

        monkeypatch.setattr(os, name, note)
    planned(tmp_path, "path,label\nv/a.mp4,x\nv/b.mp4,y\nv/c.mp4,x\n", "list.csv")
    assert not [path for path in asked if path.endswith(".mp4")]


def test_what_is_missing_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    made = planned(tmp_path, "path,label\na.mp4,x\nb.mp4,y\nc.mp4,x\n", "list.csv")
    with pytest.raises(ManifestError, match=r"manifest.csv:2: no file '.*a.mp4'"):
        require_files(read_manifest(made.path))


def test_a_first_line_that_may_name_the_columns_is_asked_about(tmp_path: Path) -> None:
    """Where clips are there, it is told by them that none is called so."""
    text = "vid,gloss\na1,hello\na2,thanks\na3,hello\na4,thanks\n"
    with pytest.raises(ManifestError, match="list.txt:1: 'vid,gloss' may name the columns") as e:
        planned(tmp_path, text)
    assert "--columns path=vid,label=gloss: it names them; --columns 'path label'" in str(e.value)
    made = planned(tmp_path, text, wanted=WantedColumns.parse("path=vid,label=gloss"))
    assert (len(made.manifest), made.manifest.classes["label"]) == (4, ("hello", "thanks"))
    wanted = WantedColumns.parse("path label")
    made = planned(tmp_path, text, wanted=wanted, overwrite=True)
    assert len(made.manifest) == 5


@pytest.mark.parametrize(
    "text",
    [
        "run,hello\na1,hello\na2,thanks\n",  # a label of other lines
        "run,x\nhop,y\nsit,z\n",  # as all have one of their own
        "a1,gloss\na2,hello\na3,hello\n",
        "run gloss\nhop hello\nsit hello\n",
    ],
)
def test_a_first_line_like_the_others_is_a_clip(tmp_path: Path, text: str) -> None:
    assert len(planned(tmp_path, text).manifest) == 3


def test_no_clip_is_opened_to_tell_what_lines_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a clip was opened")

    monkeypatch.setattr("marey.data.own_videos.clip_lines.probe_clips", opened)
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ManifestError, match="may be `path num_frames label` or `path start end`"):
        planned(tmp_path, "a.mp4 1 12\nb.mp4 3 5\n")
    wanted = WantedColumns.parse("path num_frames label")
    assert len(planned(tmp_path, "a.mp4 1 12\nb.mp4 3 5\n", wanted=wanted).manifest) == 2
