"""Lists as spreadsheets and other systems save them, for `marey data init`."""

from __future__ import annotations

import unicodedata

import pytest

from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.unlabelled import read_clips
from marey.errors import ManifestError

TABLE = "path;label\nclips/a.mp4;jump\nclips/b.mp4;run\n"
CAFE = "caf\u00e9"


@pytest.fixture
def clips(tmp_path):
    """A folder of two clips, without content, that lists are written into."""
    folder = tmp_path / "in"
    (folder / "clips").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4"):
        (folder / "clips" / name).touch()
    return folder


def init(source, tmp_path, **options):
    return init_dataset(source, tmp_path / "out", **{"probe": False} | options)


def names(report):
    return [report.manifest.path(row).name for row in range(len(report.manifest))]


BYTES = {
    "a mark, CRLF": b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode(),
    "CR alone": TABLE.replace("\n", "\r").encode(),
    "sep=": b"sep=;\r\n" + TABLE.replace("\n", "\r\n").encode(),
    "a mark and sep=": b"\xef\xbb\xbfsep=;\n" + TABLE.encode(),
    "UTF-16": b"\xff\xfe" + TABLE.encode("utf-16-le"),
    "UTF-16 of the other order": b"\xfe\xff" + TABLE.encode("utf-16-be"),
    "UTF-16 without a mark": TABLE.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 with sep=": b"\xff\xfe" + f"sep=;\n{TABLE}".encode("utf-16-le"),
    "a mark in the middle": TABLE.replace("\nclips/b", "\n\ufeffclips/b").encode(),
}


@pytest.mark.parametrize("kind", BYTES)
def test_a_table_is_the_same_however_it_was_saved(tmp_path, clips, kind):
    (clips / "list.csv").write_bytes(BYTES[kind])
    report = init(clips / "list.csv", tmp_path)
    assert names(report) == ["a.mp4", "b.mp4"]
    assert report.manifest.classes["label"] == ("jump", "run")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04xl", r"list\.csv is a workbook or an archive.*save the sheet as CSV"),
        (b"sep=|\npath|label\n", r"list\.csv is separated by '\|'"),
        (b"<html><body>404", r"list\.csv is a web page"),
        (b"path,label\nclips/a\xe4.mp4,jump\n", r"list\.csv:2: bytes that are not UTF-8"),
    ],
)
def test_what_is_no_list_is_refused_by_what_it_is(tmp_path, clips, data, message):
    (clips / "list.csv").write_bytes(data)
    with pytest.raises(ManifestError, match=message):
        init(clips / "list.csv", tmp_path)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("clips\\a.mp4 0\nclips\\b.mp4 1\n", r"2 paths are written with \, as on Windows"),
        ("/clips/a.mp4 0\n/clips/b.mp4 1\n", "2 paths begin with /, which is read as the root"),
        ("Clips/a.MP4 0\nclips/b.mp4 1\n", "1 paths differ from their files in letter case"),
        ("clips/a.avi 0\nclips/b.mp4 1\n", "1 paths have another suffix than their files"),
        ("clips/a 0\nclips/b 1\n", "2 paths have no suffix, and mean the clip of that name"),
    ],
)
def test_paths_of_other_systems_are_read_and_it_is_said(tmp_path, clips, text, note):
    (clips / "list.txt").write_text(text)
    for root in (None, clips):
        report = init(clips / "list.txt", tmp_path, root=root, overwrite=True)
        assert names(report) == ["a.mp4", "b.mp4"]
        assert any(note in said for said in report.notes)


def test_accents_are_found_in_either_encoding(tmp_path, clips):
    for form in ("NFC", "NFD"):
        (clips / f"{form}{unicodedata.normalize(form, CAFE)}.mp4").touch()
    lines = [f"NFC{unicodedata.normalize('NFD', CAFE)}.mp4 0\n", f"NFD{CAFE}.mp4 1\n"]
    (clips / "list.txt").write_text("".join(lines))
    report = init(clips / "list.txt", tmp_path)
    assert len(report.manifest) == 2
    assert any("2 paths have accents encoded otherwise" in note for note in report.notes)


def test_a_path_that_may_mean_two_files_is_left_out_with_both_named(tmp_path, clips):
    (clips / "clips/a.avi").touch()
    (clips / "list.txt").write_text("clips/a.mkv 0\nclips/b.mp4 1\n")
    report = init(clips / "list.txt", tmp_path)
    reason = "2 files may be meant: clips/a.avi, clips/a.mp4"
    assert report.rejects == (("clips/a.mkv", reason),)


def test_two_spellings_of_one_file_are_one_clip_given_twice(tmp_path, clips):
    (clips / "list.txt").write_text("clips/a.mp4 0\nclips\\A.mp4 1\n")
    with pytest.raises(ManifestError, match=r"list\.txt:2: .* was given before, at .*list\.txt:1"):
        init(clips / "list.txt", tmp_path)


def test_a_list_to_predict_is_read_however_it_was_saved(clips):
    text = "clips/a.mp4\r\nclips/b.mp4\r\n"
    for data in (text.encode(), b"\xff\xfe" + text.encode("utf-16-le"), text.encode("utf-16-be")):
        (clips / "list.txt").write_bytes(data)
        assert [*read_clips(clips / "list.txt").manifest.texts()] == ["clips/a.mp4", "clips/b.mp4"]
    (clips / "list.txt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ManifestError, match="is a workbook or an archive"):
        read_clips(clips / "list.txt")


def test_a_manifest_and_its_class_names_in_utf_16_are_told_apart(tmp_path, clips):
    report = init_dataset(clips, tmp_path / "out", layout="clips/{class}.{name}", probe=False)
    labels = tmp_path / "out/labels.txt"
    labels.write_bytes(b"\xff\xfe" + labels.read_text().encode("utf-16-le"))
    assert read_clips(report.path).manifest.source == report.path
    report.path.write_bytes(b"\xff\xfe" + report.path.read_text().encode("utf-16-le"))
    read = read_clips(report.path)  # no manifest now, but a list like any other
    assert "read as UTF-16" in read.notes[0]
    assert [*read.manifest.texts()] == [*report.manifest.texts()]
