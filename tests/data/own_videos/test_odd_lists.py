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
        ("clips\\a.mp4 0\nclips\\b.mp4 1\n", r"2 paths written with \, as on Windows"),
        ("/clips/a.mp4 0\n/clips/b.mp4 1\n", "2 paths with / at the beginning, read as the root"),
        ("Clips/a.MP4 0\nclips/b.mp4 1\n", "1 path in other letter case than the file"),
        ("clips/a.avi 0\nclips/b.mp4 1\n", "1 path with another suffix than the file"),
        ("clips/a 0\nclips/b 1\n", "2 paths without a suffix, read as the clip of that name"),
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
    assert any("2 paths with accents encoded otherwise" in note for note in report.notes)


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


COMMENTS = {
    "above a header": "# mine\n#\npath,label\nclips/a.mp4,jump\nclips/b.mp4,run\n",
    "above lines": "# mine, of 2024\nclips/a.mp4 jump\nclips/b.mp4 run\n",
    "a header": "# path label\nclips/a.mp4 jump\nclips/b.mp4 run\n",
}


@pytest.mark.parametrize("kind", COMMENTS)
def test_lines_of_comment_above_a_list_are_left_and_said(tmp_path, clips, kind):
    (clips / "list.txt").write_text(COMMENTS[kind])
    report = init(clips / "list.txt", tmp_path)
    assert names(report) == ["a.mp4", "b.mp4"]
    assert report.manifest.classes["label"] == ("jump", "run")
    assert any("of comment, '# mine" in note for note in report.notes) == (kind != "a header")


def test_a_clip_may_be_called_by_a_number_sign(tmp_path, clips):
    (clips / "#1.mp4").touch()
    (clips / "list.txt").write_text("#1.mp4 jump\nclips/b.mp4 run\n")
    assert names(init(clips / "list.txt", tmp_path)) == ["#1.mp4", "b.mp4"]


def test_blank_rows_of_a_spreadsheet_are_no_clips(tmp_path, clips):
    (clips / "list.csv").write_text("path,label\nclips/a.mp4,jump\n,\nclips/b.mp4,run\n,\n")
    assert names(init(clips / "list.csv", tmp_path)) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("word", ["nan", "#N/A", "#NV", "<NA>", "#REF!", "Err:522"])
def test_what_tables_write_where_nothing_is_is_no_class(tmp_path, clips, word):
    (clips / "list.csv").write_text(f"path,label\nclips/a.mp4,jump\nclips/b.mp4,{word}\n")
    with pytest.raises(ManifestError, match=f"csv:3: 'label' is '{word}', which tables write"):
        init(clips / "list.csv", tmp_path)


def test_numbers_of_classes_may_be_written_with_a_point(tmp_path, clips):
    (clips / "list.csv").write_text("path,label\nclips/a.mp4,1.0\nclips/b.mp4,0.0\n")
    report = init(clips / "list.csv", tmp_path)
    assert report.manifest.classes["label"] == ("0", "1")
    assert report.manifest.labels["label"].tolist() == [1, 0]
    assert "labels like 0.0 are whole numbers" in report.notes


def test_a_span_that_ends_before_it_begins_is_refused_by_its_line(tmp_path, clips):
    (clips / "list.csv").write_text("path,label,start,end\nclips/a.mp4,jump,5,3\n")
    with pytest.raises(ManifestError, match=r"list\.csv:2: the end, 3, is not after the start, 5"):
        init(clips / "list.csv", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("C:\\me\\a.mp4", r"take 'C:\\+me\\+' out of the paths"),
        ("/elsewhere/a.mp4", "take '/elsewhere/' out of the paths"),
        ("/home/me/clips/a.mp4", "take '/home/me/' out of the paths: they begin below"),
        ("C:\\me\\clips\\a.mp4", r"take 'C:\\+me\\+' out of the paths: they begin below"),
        ("/home/me/a.mp4", r"take '/home/me/' out of the paths, and give --root \S+clips, where"),
        ("a.mp4", r"no such file.*--root \S+clips, where clips are called so"),
        ("c.mp4", "paths start at .*; give another root"),
        ("https://x.invalid/a.mp4", "a url.*download the clips"),
        ("file:///me/clips/a.mp4", "a url.*take 'file:///me/' out of the paths"),
        ("~/clips/a.mp4", "a home folder in a shell alone.*take '~/' out of the paths"),
        ("clips/%61.mp4", "no such file.*as in urls: write 'clips/a.mp4'"),
        ("me/../a.mp4", r"take 'me/\.\./' out of the paths, and give --root \S+clips, where"),
    ],
)
def test_paths_of_another_machine_get_a_remedy(tmp_path, clips, path, hint):
    (clips / "list.csv").write_text(f"path,label\n{path},jump\n")
    with pytest.raises(ManifestError, match=hint):
        init(clips / "list.csv", tmp_path, probe=True)


@pytest.mark.parametrize("path", ["~/a.mp4", "file:///me/a.mp4", "file:/me/a.mp4"])
def test_what_is_no_path_is_none_of_a_file_to_come_either(tmp_path, clips, path):
    (clips / "list.csv").write_text(f"path,label\n{path},jump\n")
    with pytest.raises(ManifestError, match=r"write the folder|give the path"):
        init(clips / "list.csv", tmp_path)


def test_what_all_paths_have_in_common_is_what_they_have_too_much(tmp_path, clips):
    (clips / "clips").rename(clips / "run")
    (clips / "sit").mkdir()
    (clips / "sit" / "b.mp4").touch()
    (clips / "list.csv").write_text("path,label\n/me/run/a.mp4,run\n/me/sit/b.mp4,sit\n")
    with pytest.raises(ManifestError, match="take '/me/' out of the paths: they begin below"):
        init(clips / "list.csv", tmp_path, probe=True)


def test_a_header_that_is_there_again_is_no_clip(tmp_path, clips):
    (clips / "c.mp4").touch()
    (clips / "list.csv").write_text(TABLE + "path;label\nc.mp4;run\n")
    report = init(clips / "list.csv", tmp_path)
    assert names(report) == ["a.mp4", "b.mp4", "c.mp4"]
    assert report.manifest.classes["label"] == ("jump", "run")
    assert "list.csv: left out 1 line that repeats the header" in report.notes


@pytest.mark.parametrize("path", ["./clips/a.mp4", "clips//a.mp4", "clips/./a.mp4"])
def test_a_file_has_one_path_however_it_is_written(tmp_path, clips, path):
    (clips / "list.csv").write_text(f"path,label\nclips/a.mp4,jump\n{path},run\n")
    with pytest.raises(ManifestError, match=rf"list\.csv:3: '{path}' was given before"):
        init(clips / "list.csv", tmp_path)


def test_a_column_without_a_name_is_no_id(tmp_path, clips):
    text = ",path,label\n0,clips/a.mp4,jump\n1,clips/b.mp4,run\n2,clips/a.mp4,run\n"
    (clips / "list.csv").write_text(text)
    with pytest.raises(ManifestError, match=r"list\.csv:4: 'clips/a\.mp4' was given before"):
        init(clips / "list.csv", tmp_path)
    (clips / "list.csv").write_text(text.rpartition("2,")[0])
    assert init(clips / "list.csv", tmp_path).manifest.ids is None


def test_a_clip_of_two_splits_is_no_part_of_a_file(tmp_path, clips):
    (clips / "train.csv").write_text(TABLE)
    (clips / "val.csv").write_text(TABLE)
    with pytest.raises(ManifestError, match=r"val\.csv:2: .* at \S+train\.csv:2") as error:
        init(clips, tmp_path)
    assert "start=" not in error.value.hint


def test_an_object_of_a_file_of_one_line_is_named_by_its_clip(tmp_path, clips):
    (clips / "list.json").write_text(
        '[{"path": "clips/a.mp4", "label": "run"}, {"path": "clips/b.mp4", "label": null}]'
    )
    with pytest.raises(ManifestError, match=r"list\.json:1: 'label' is empty, of 'clips/b\.mp4'"):
        init(clips / "list.json", tmp_path)


@pytest.mark.parametrize("cell", ["['run', 'jump']", '["run","jump"]', "['run' 'jump']"])
def test_a_list_in_a_cell_is_several_labels(tmp_path, clips, cell):
    (clips / "list.tsv").write_text(f"path\tlabels\nclips/a.mp4\t{cell}\nclips/b.mp4\t['run']\n")
    report = init(clips / "list.tsv", tmp_path)
    assert report.manifest.classes["label"] == ("jump", "run")
    assert report.manifest.labels["label"].tolist() == [[True, True], [False, True]]
    (clips / "list.tsv").write_text("path\tlabels\nclips/a.mp4\t['run']\nclips/b.mp4\t[]\n")
    with pytest.raises(ManifestError, match=r"list\.tsv:3: 'label' is empty"):
        init(clips / "list.tsv", tmp_path, overwrite=True)


def test_a_class_that_joins_others_is_said(tmp_path, clips):
    (clips / "c.mp4").touch()
    (clips / "list.csv").write_text(
        'path,label\nclips/a.mp4,jump\nclips/b.mp4,run\nc.mp4,"jump, run"\n'
    )
    report = init(clips / "list.csv", tmp_path)
    assert any("'jump, run' is read as one class" in note for note in report.notes)
    (clips / "list.csv").write_text(
        "path,label\nclips/a.mp4,jump;run\nclips/b.mp4,run;sit\nc.mp4,jump;sit\n"
    )
    report = init(clips / "list.csv", tmp_path, overwrite=True)  # none of them stands alone
    assert any("'jump;run' is read as one class" in note for note in report.notes)


REFUSED = {
    "flags": ("video,jump,run\na.mp4,0,1\nb.mp4,1,0\n", "2 of 0 and 1, as `jump`, `run`"),
    "lines between": ("video|label\nclips/a.mp4|jump\n", r"separated by '\|'"),
    "blanks in names": (
        "Video file,Gloss\nclips/a.mp4,x\nclips/b.mp4,x\nc.mp4,y\n",
        "--columns 'path=Video file,label=Gloss'",
    ),
    "a comma too many": ("path,label\nclips/a.mp4,run, fast\n", "a cell that holds ',' is in quot"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_remedy_can_be_carried_out(tmp_path, clips, kind):
    text, message = REFUSED[kind]
    (clips / "list.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        init(clips / "list.csv", tmp_path)


def test_lists_of_hmdb51_name_sides_and_no_classes(tmp_path, clips):
    for name in ("run_test_split1.txt", "jump_test_split1.txt"):
        (clips / name).write_text("clips/a.mp4 1 \nclips/b.mp4 2 \n")
    for source in (clips, clips / "run_test_split1.txt"):
        with pytest.raises(ManifestError, match="of HMDB51.*data prepare hmdb51-split1"):
            init(source, tmp_path)


def test_objects_in_objects_are_no_labels(tmp_path, clips):
    text = '[{"gloss": "book", "instances": [{"video_id": "a"}]}]'
    (clips / "list.json").write_text(text)
    with pytest.raises(ManifestError, match="`instances` holds objects in objects"):
        init(clips / "list.json", tmp_path)
