from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.data.manifest.duplicates import duplicates, plain
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import leaves
from marey.data.manifest.read import read_manifest, require_files
from marey.data.manifest.write import write_manifest
from marey.errors import ManifestError
from marey.video.reading.reader import Span


def write(folder: Path, text: str | bytes, classes: str | None = "jump\nrun\nwave\n") -> Path:
    """A manifest m.csv of the text, and its labels.txt."""
    path = folder / "m.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if classes is not None:
        (folder / "labels.txt").write_text(classes, encoding="utf-8")
    return path


def with_files(path: Path) -> Manifest:
    """The manifest, all of whose files are there, below its own folder."""
    manifest = read_manifest(path, at=Location(path.parent))
    require_files(manifest)
    return manifest


def verdict(read: Callable[[Path], Manifest], path: Path) -> Manifest | str:
    """The manifest, or what the ManifestError says; any other error fails the test."""
    try:
        return read(path)
    except ManifestError as error:
        return str(error)


# --- what a good file says --------------------------------------------------------------------


def test_a_row_is_a_clip_with_its_path_label_span_and_frame_count(tmp_path):
    path = write(
        tmp_path,
        "path,label,start,end,num_frames,group,comment\n"
        "a.mp4,0,,,30,S1,x\n"
        '"hop, skip/b.mp4",2,1.5,2.5,,S2,\n'
        "ü/-c.mp4,1,3,,7,S1,\n",
    )
    manifest = read_manifest(path)
    assert [manifest.path(row) for row in range(3)] == [
        tmp_path / name for name in ("a.mp4", "hop, skip/b.mp4", "ü/-c.mp4")
    ]
    assert manifest.labels["label"].tolist() == [0, 2, 1]
    assert manifest.classes == {"label": ("jump", "run", "wave")}
    spans = [manifest.span(row) for row in range(3)]
    assert spans == [None, Span(1.5, 2.5), Span(3.0, None)]
    assert [manifest.num_frames(row) for row in range(3)] == [30, None, 7]
    assert manifest.groups.to_pylist() == ["S1", "S2", "S1"]
    assert manifest.class_counts().tolist() == [1, 1, 1]


def test_spans_in_frames_have_columns_of_their_own(tmp_path):
    manifest = read_manifest(write(tmp_path, "path,label,start_frame,end_frame\na.mp4,0,4,8\n"))
    assert manifest.span(0) == Span(4, 8, "frames")


def test_class_names_in_the_file_are_looked_up_in_labels_txt(tmp_path):
    manifest = read_manifest(write(tmp_path, "path,label\na.mp4,wave\nb.mp4,0\n"))
    assert manifest.labels["label"].tolist() == [2, 0]


def test_several_heads_are_several_columns_each_with_its_classes(tmp_path):
    path = write(tmp_path, "path,verb,noun\na.mp4,1,take\n", classes=None)
    (tmp_path / "labels.verb.txt").write_text("cut\nput\n")
    (tmp_path / "labels.noun.txt").write_text("give\ntake\n")
    manifest = read_manifest(path)
    assert {head: column.tolist() for head, column in manifest.labels.items()} == {
        "verb": [1],
        "noun": [1],
    }
    assert read_manifest(path, heads={"verb": 2}).classes == {"verb": ("cut", "put")}


def test_without_labels_txt_the_classes_are_counted_or_told(tmp_path):
    path = write(tmp_path, "path,label\na.mp4,0\nb.mp4,2\n", classes=None)
    assert read_manifest(path).classes["label"] == ("0", "1", "2")
    assert read_manifest(path, heads={"label": 5}).class_counts().tolist() == [1, 0, 1, 0, 0]


def test_no_heads_reads_clips_without_labels(tmp_path):
    assert read_manifest(write(tmp_path, "path\na.mp4\n", None), heads={}).labels == {}


def test_a_split_is_selected_if_there_is_a_split_column_and_all_rows_are_kept_without(tmp_path):
    path = write(tmp_path, "path,label,split\na,0,train\nb,1,val\nc,2,train\n")
    manifest = read_manifest(path, split="train")
    assert list(manifest.texts()) == ["a", "c"]
    assert read_manifest(path).split_counts() == {"train": 2, "val": 1}
    with pytest.raises(ManifestError, match=r"no rows of split 'test'.*train \(2\), val \(1\)"):
        read_manifest(path, split="test")
    assert len(read_manifest(write(tmp_path, "path,label\na,0\nb,1\n"), split="train")) == 2


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_are_no_faults(tmp_path):
    manifest = read_manifest(write(tmp_path, b"\xef\xbb\xbfpath,label\r\na,0\r\n\r\nb,2\r\n"))
    assert manifest.labels["label"].tolist() == [0, 2]


def test_paths_start_at_the_folder_of_the_file_or_at_a_given_root(tmp_path):
    path = write(tmp_path, "path,label\na.mp4,0\n")
    assert read_manifest(path).path(0) == tmp_path / "a.mp4"
    assert read_manifest(path, at=Location("/data")).path(0) == Path("/data/a.mp4")


# --- what is wrong with a bad one ---------------------------------------------------------------

HEAD = "path,label\n"
FAULTS = {
    "label past the last": (HEAD + "a,0\nb,3\n", r"m\.csv:3: 'label' is 3; this head has 3 .*0-2"),
    "labels from 1": (HEAD + "a,1\nb,2\nc,3\n", r"m\.csv:4: 'label' is 3;.*are labels 1-based\?"),
    "negative label": (HEAD + "a,-1\n", r"m\.csv:2: 'label' is -1; this head has 3 classes"),
    "fraction": (HEAD + "a,1.5\n", r"m\.csv:2: 'label' is '1\.5'; expected a class index"),
    "several classes": (HEAD + "a,0;1\n", r"m\.csv:2: 'label' is '0;1'.*has them as '0\|1'"),
    "several names": (HEAD + 'a,"wave, run"\n', r"m\.csv:2: .*has them as 'wave\|run'"),
    "unknown class": (HEAD + "a,wav\n", r"m\.csv:2: 'label' is 'wav'.*did you mean 'wave'\?"),
    "another class": (HEAD + "a,sit\n", r"'label' is 'sit'.*known: .*wave.*; labels\.txt names"),
    "empty label": (HEAD + "a,\n", r"m\.csv:2: 'label' is empty"),
    "huge label": (HEAD + "a,99999999999999999999\n", r"m\.csv:2: 'label' is '9999"),
    "repeated path": (HEAD + "a,0\n\nb,0\na,1\n", r"m\.csv:5: 'path' is 'a', as in line 2"),
    "the same path": (
        HEAD + "a/b,0\n./a//./b,1\n",
        r"m\.csv:3: 'path' is '\./a//\./b', as in line 2",
    ),
    "empty path": (HEAD + "a,0\n,1\n", r"m\.csv:3: 'path' is empty"),
    "line break in a path": (HEAD + '"a\nb",1\n', r"m\.csv:2: 'path' is .*line break"),
    "ragged row": (HEAD + "a,0\nb\nc,0,1\n", r"m\.csv:3: 1 field, the header has 2: 'b'"),
    "bad utf-8": (HEAD.encode() + b"a,0\n\xff\xfe,1\n", r"m\.csv:3: bytes that are not UTF-8"),
    "bad utf-8 in the header": (b"path\xff,label\na,0\n", r"m\.csv:1: not a line of text"),
    "end before start": (
        "path,label,start,end\na,0,2,1\n",
        r"m\.csv:2: 'end' 1 is not after 'start' 2",
    ),
    "end at start": ("path,label,start,end\na,0,,0\n", r"m\.csv:2: 'end' 0 is not after"),
    "negative start": ("path,label,start\na,0,-1\n", r"m\.csv:2: 'start' is -1; expected seconds"),
    "endless end": ("path,label,start,end\na,0,0,inf\n", r"m\.csv:2: 'end' is inf"),
    "word as a number": ("path,label,start\na,0,1\nb,0,x\n", r"m\.csv:3: 'start' is 'x'"),
    "half a frame": ("path,label,start_frame\na,0,1.5\n", r"m\.csv:2: 'start_frame' is 1\.5"),
    "no frames": ("path,label,num_frames\na,0,0\n", r"m\.csv:2: 'num_frames' is 0"),
    "empty split": ("path,label,split\na,0,\n", r"m\.csv:2: 'split' is empty"),
    "empty group": ("path,label,group\na,0,\n", r"m\.csv:2: 'group' is empty"),
    "empty file": ("", r"m\.csv:1: no column 'path', only nothing"),
    "only a header": (HEAD, r"m\.csv: no rows"),
    "no path column": ("movie,label\na,0\n", r"m\.csv:1: no column 'path', only 'movie', 'label'"),
    "no label column": (
        "path,gloss\na,0\n",
        r"m\.csv:1: no column 'label', only.*data init m.csv DIR --columns path=path,label=gloss",
    ),
    "verbs and nouns": (
        "path,verb,noun\na,0,1\n",
        r"m\.csv:1: no column 'label', only.*--columns path=path,verb=verb,noun=noun",
    ),
    "misspelt column": ("path,label,spilt\na,0,x\n", r"m\.csv:1: unknown.*did you mean 'split'"),
    "column twice": ("path,label,label\na,0,1\n", r"m\.csv:1: two columns are named 'label'"),
    "both units": ("path,label,start,start_frame\na,0,1,1\n", r"spans both in seconds and in fr"),
    "end alone": ("path,label,end\na,0,1\n", r"m\.csv:1: 'end' needs a column 'start'"),
    "unpaired quote": (HEAD + 'a,0\n"b,1\n', r"m\.csv"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_that_names_file_line_and_value(tmp_path, fault):
    text, message = FAULTS[fault]
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(tmp_path, text))


def test_the_first_five_faults_are_shown_in_the_order_of_lines_with_the_number_of_all(tmp_path):
    rows = [f"c{row},{row % 2 * 7}" for row in range(40)]
    rows[10] = ",0"
    with pytest.raises(ManifestError) as caught:
        read_manifest(write(tmp_path, HEAD + "\n".join(rows)))
    lines = caught.value.message.splitlines()
    assert [line.split("m.csv:")[1].split(":")[0] for line in lines[:5]] == [*list("3579"), "11"]
    assert lines[5] == "21 faults in all"
    assert len(lines) == 6


def test_labels_from_1_are_found_without_a_list_of_classes(tmp_path):
    path = write(tmp_path, HEAD + "a,1\nb,2\n", classes=None)
    with pytest.raises(ManifestError, match=r"runs from 1 to 2 and is never 0.*1-based"):
        read_manifest(path)
    assert read_manifest(path, heads={"label": 3}).labels["label"].tolist() == [1, 2]


def test_a_class_name_without_a_list_of_classes_asks_for_one(tmp_path):
    with pytest.raises(ManifestError, match=r"write the class names in labels\.txt beside it"):
        read_manifest(write(tmp_path, HEAD + "a,wave\n", classes=None))


def test_a_label_that_is_an_id_of_something_is_no_class_index(tmp_path):
    with pytest.raises(ManifestError, match="'label' is 123456789"):
        read_manifest(write(tmp_path, HEAD + "a,0\nb,123456789\n", classes=None))


def test_a_list_of_classes_that_contradicts_the_model_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match=r"labels\.txt has 3 classes; .* 'label' has 5"):
        read_manifest(write(tmp_path, HEAD + "a,0\n"), heads={"label": 5})


@pytest.mark.parametrize(
    ("classes", "message"),
    [("a\n\nb\n", r"labels\.txt:2: no class"), ("a\nb\na\n", r"labels\.txt:3: 'a' .* line 1 too")],
)
def test_a_list_of_classes_has_a_name_of_its_own_on_every_line(tmp_path, classes, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(tmp_path, HEAD + "a,0\n", classes))


def test_missing_files_are_found_in_the_selected_split_only(tmp_path):
    path = write(tmp_path, "path,label,split\na.mp4,0,train\nsub/b.mp4,1,val\nc.mp4,1,val\n")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ManifestError, match=r"m\.csv:3: no file '.*sub/b\.mp4'(?s:.)*m\.csv:4"):
        require_files(read_manifest(path), "val")
    require_files(read_manifest(path), "train")
    with pytest.raises(ManifestError, match=r"m\.csv: no file '.*sub/b\.mp4'"):
        require_files(read_manifest(path, split="val"))
    assert len(read_manifest(path, split="train")) == 1


def test_a_file_that_is_not_there_or_a_folder_is_a_manifest_error(tmp_path):
    with pytest.raises(ManifestError, match=r"cannot read .*none\.csv: No such file"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="a folder without a manifest.*`marey data init"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("outside", ["../b.mp4", "x/../../b.mp4", "/etc/passwd"])
def test_paths_never_leave_a_given_root(tmp_path, outside):
    path = write(tmp_path, HEAD + f"a.mp4,0\n{outside},1\n")
    with pytest.raises(ManifestError, match=r"m\.csv:3: 'path' is .* outside the root"):
        read_manifest(path, at=Location(tmp_path / "clips"))
    assert len(read_manifest(path)) == 2


def test_a_path_with_two_dots_that_stays_below_the_root_is_fine(tmp_path):
    path = write(tmp_path, HEAD + f"x/../b..mp4,0\n{tmp_path}/c.mp4,1\n")
    assert len(read_manifest(path, at=Location(tmp_path))) == 2
    assert not leaves(Path("/"), "etc/x")


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.sampled_from([b"path,label\n", b"path,label,start,end,split\n", b""]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_of_any_kind_are_a_manifest_or_a_manifest_error(tmp_path, lines, header):
    path = write(tmp_path, header + b"\n".join(lines))
    found = verdict(with_files, path)
    assert str(path) in found if isinstance(found, str) else len(found) > 0


cells = st.sampled_from(
    ["a", "b.mp4", "", "0", "1", "9", "-1", "nan", "x", '"', '"a"b', "1e9", "\r"]
)


@given(st.lists(st.lists(cells, min_size=4, max_size=6), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_of_odd_cells_are_a_manifest_or_a_manifest_error(tmp_path, rows):
    text = "path,label,start,end,num_frames\n" + "\n".join(map(",".join, rows))
    found = verdict(read_manifest, write(tmp_path, text))
    if isinstance(found, str):
        assert "m.csv" in found
    else:
        assert 0 <= found.labels["label"].min() <= found.labels["label"].max() <= 2


# --- writing and reading again ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n.csv", "n.parquet"])
def test_a_manifest_survives_writing_and_reading(tmp_path, name):
    text = (
        "path,label,split,group,start,end,num_frames\n"
        '"a, ""b"".mp4",0,train,S1,0.1,2.25,\nc.mp4,2,val,S2,,,12\n'
    )
    manifest = read_manifest(write(tmp_path, text))
    write_manifest(manifest, tmp_path / name)
    again = read_manifest(tmp_path / name)
    assert again.digest() == manifest.digest()
    assert again.splits.to_pylist() == ["train", "val"]
    assert again.groups.to_pylist() == ["S1", "S2"]
    assert again.span(0) == Span(0.1, 2.25)
    assert [again.num_frames(row) for row in range(2)] == [None, 12]


@given(
    paths=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1),
        min_size=1,
        unique=True,
    ),
    seed=st.integers(0, 99),
)
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_path_survives_writing_and_reading(tmp_path, paths, seed):
    base = read_manifest(write(tmp_path, HEAD + "a,0\nb,2\n"))
    rows = np.random.default_rng(seed).integers(2, size=len(paths))
    column = pa.chunked_array([pa.array(paths, pa.large_string())])
    manifest = base.take(rows).with_columns({"path": column})
    write_manifest(manifest, tmp_path / "n.csv")
    assert list(read_manifest(tmp_path / "n.csv").texts()) == paths


def test_a_manifest_written_elsewhere_still_finds_its_clips(tmp_path):
    manifest = read_manifest(write(tmp_path, HEAD + "a.mp4,0\nsub/b.mp4,1\n"))
    write_manifest(manifest, tmp_path / "lists" / "n.csv")
    elsewhere = read_manifest(tmp_path / "lists" / "n.csv")
    assert elsewhere.path(1) == tmp_path / "sub/b.mp4"
    below = manifest.below(tmp_path / "clips")
    write_manifest(below, tmp_path / "n.csv")
    assert list(read_manifest(tmp_path / "n.csv").texts()) == ["clips/a.mp4", "clips/sub/b.mp4"]


def test_a_folder_that_cannot_be_written_is_an_error_that_leaves_nothing_behind(tmp_path):
    manifest = read_manifest(write(tmp_path, HEAD + "a.mp4,0\n"))
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match="cannot write"):
        write_manifest(manifest, tmp_path / "file" / "n.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "labels.txt", "m.csv"]


def test_a_class_name_that_does_not_fit_on_a_line_is_not_written(tmp_path):
    manifest = read_manifest(write(tmp_path, HEAD + "a.mp4,0\n"))
    odd = manifest.with_classes({"label": ("a\nb", "c", "d")})
    with pytest.raises(ManifestError, match="does not fit on a line"):
        write_manifest(odd, tmp_path / "n.csv")


def test_parquet_rows_are_checked_like_csv_rows_and_named_by_number(tmp_path):
    table = pa.table({"path": ["a", "b", "b"], "label": [0, 5, 1]})
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    (tmp_path / "labels.txt").write_text("x\ny\n")
    with pytest.raises(ManifestError, match=r"m\.parquet:row 2: 'label' is 5"):
        read_manifest(tmp_path / "m.parquet")
    (tmp_path / "m.parquet").write_text("path,label\n")
    with pytest.raises(ManifestError, match="not a Parquet file"):
        read_manifest(tmp_path / "m.parquet")


# --- the digest, and size -----------------------------------------------------------------------


def test_the_digest_is_that_of_the_clips_wherever_they_lie_and_however_they_are_split(tmp_path):
    rows = "path,label,split\na,0,train\nb,2,val\nc,1,val\n"
    manifest = read_manifest(write(tmp_path, rows))
    alone = read_manifest(write(tmp_path, HEAD + "b,2\nc,1\n"))
    assert manifest.select("val").digest() == alone.digest()
    assert alone.below(Path("/other")).digest() == alone.digest()
    for other in ("b,2\nc,0\n", "bc,2\n,1\n".replace(",1", "x,1"), "c,1\nb,2\n", "b,2\n"):
        assert read_manifest(write(tmp_path, HEAD + other)).digest() != alone.digest()
    assert (
        read_manifest(write(tmp_path, HEAD + "b,2\nc,1\n", "jump\nrun\nhop\n")).digest()
        != alone.digest()
    )


@given(st.lists(st.text(max_size=20), max_size=40))
def test_repeats_are_what_a_dictionary_finds(texts):
    column = pa.chunked_array(
        [pa.array(texts[:9], pa.large_string()), texts[9:]], pa.large_string()
    )
    first: dict[str, int] = {}
    expected = {}
    for row, text in enumerate(texts):
        if text in first:
            expected[row] = first[text]
        first.setdefault(text, row)
    assert duplicates(column, []) == expected


def test_one_span_under_two_ids_is_two_clips_and_under_one_id_a_repeat(tmp_path):
    text = "path,label,start,end,id,uid\na,0,0,1,x,1\na,1,0,1,y,1\na,2,0,1,,1\n"
    found = read_manifest(write(tmp_path, text))
    assert found.take(np.array([1, 0])).ids.to_pylist() == ["y", "x"]
    message = r"m\.csv:5: 'path' is 'a' with the same span and id, as in line 3"
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(tmp_path, text + "a,0,0,1,y,2\n"))
    with pytest.raises(ManifestError, match=r"m\.csv:2: 'id' is 'x\\x00y', with a line break"):
        read_manifest(write(tmp_path, "path,label,id\na,0,x\0y\n"))


def test_the_same_path_with_another_span_is_another_clip(tmp_path):
    text = "path,label,start,end\na,0,0,1\na,0,1,2\na,0,,1\n"
    assert len(read_manifest(write(tmp_path, text))) == 3
    with pytest.raises(ManifestError, match=r":5: 'path' is 'a' with the same span, as in line 3"):
        read_manifest(write(tmp_path, text + "a,1,1,2\n"))


def test_a_million_rows_open_in_seconds(tmp_path):
    rows = "\n".join(f"class_{i % 400:03d}/clip_{i:07d}.mp4,{i % 400}" for i in range(1_000_000))
    path = write(tmp_path, HEAD + rows, classes=None)
    start = time.process_time()
    manifest = read_manifest(path)
    assert len(manifest) == 1_000_000
    assert time.process_time() - start < 4  # 0.6 s on an idle core


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.arrow"])
def test_a_pipe_or_a_device_is_no_manifest(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ManifestError, match=f"{name}: a named pipe, not a file.*into a file first"):
        read_manifest(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match=f"{name}: a device, not a file"):
        read_manifest(tmp_path / name)


def test_paths_are_compared_without_what_leads_nowhere() -> None:
    pairs = {
        "./a//b/./c": "a/b/c",
        "././a": "a",
        "/x/./y": "/x/y",
        "../a": "../a",
        "a./b": "a./b",
        ".a/b": ".a/b",
        "s3://bucket/a//b": "s3://bucket/a//b",
    }
    for each in (list(pairs), ["a", "b"]):
        paths = pa.chunked_array([pa.array(each, pa.large_string())])
        assert plain(paths).to_pylist() == [pairs.get(path, path) for path in each]


def test_a_manifest_is_written_under_a_name_that_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(HEAD + "a,0\n", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("wave\n", encoding="utf-8")
    manifest = read_manifest(tmp_path / "m.csv")
    with pytest.raises(ManifestError, match=r"m\.xlsx: a manifest is .* CSV.*call it m\.csv"):
        write_manifest(manifest, tmp_path / "m.xlsx")
    assert not (tmp_path / "m.xlsx").exists()
