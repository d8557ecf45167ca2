"""Manifests whose columns have other names than their own, and what asks for `marey data init`."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.header import NoLabels
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.unlabelled import read_clips
from marey.errors import ManifestError


def read(folder, text, classes="hop\nrun\n", **options):
    (folder / "m.csv").write_text(text)
    (folder / "labels.txt").unlink(missing_ok=True)
    if classes:
        (folder / "labels.txt").write_text(classes)
    return read_manifest(folder / "m.csv", **options)


@pytest.mark.parametrize(
    "text",
    [
        "Video Name,Class\na.mp4,run\nb.mp4,hop\n",
        "filename;class\na.mp4;1\nb.mp4;0\n",
        "#path\tcategory\tnote, and more\na.mp4\trun\t\nb.mp4\thop\t-\n",
        'uid,"video_path",action_label,speaker\n1,a.mp4,run,x\n2,b.mp4,hop,x\n',
    ],
)
def test_columns_may_have_other_names_and_separators_and_it_is_said(tmp_path, caplog, text):
    with caplog.at_level(logging.WARNING, "marey"):
        manifest = read(tmp_path, text)
    assert list(manifest.texts()) == ["a.mp4", "b.mp4"]
    assert manifest.labels["label"].tolist() == [1, 0]
    assert "is read as label" in caplog.text
    assert list(read(tmp_path, text, heads={}).texts()) == ["a.mp4", "b.mp4"]


def test_what_has_its_own_name_is_read_by_it_alone(tmp_path, caplog):
    text = "path,label,split,start,end,video,class,subset,start_time,take\n"
    with caplog.at_level(logging.WARNING, "marey"):
        manifest = read(tmp_path, text + "a.mp4,0,val,1,2,x,9,y,5,6\n")
    assert not caplog.text
    assert (list(manifest.texts()), manifest.span(0).start) == (["a.mp4"], 1)
    assert manifest.split_counts() == {"val": 1}


def test_a_split_by_another_name_is_the_split(tmp_path):
    manifest = read(tmp_path, "path,label,subset\na.mp4,0,train\nb.mp4,1,test\n")
    assert manifest.split_counts() == {"train": 1, "test": 1}
    with pytest.raises(ManifestError, match=r"m\.csv:3: 'split' is empty"):
        read(tmp_path, "path,label,Subset\na.mp4,0,train\nb.mp4,1,\n")


SPANS = {
    "start_time,end_time": ("seconds", 1.5, 3),
    "T_Start,T_End": ("seconds", 0, 2.5),
    "begin_sec,stop_sec": ("seconds", 1, 2),
    "startFrame,endFrame": ("frames", 10, 20),
}


@pytest.mark.parametrize("names", SPANS)
def test_times_by_other_names_cut_clips(tmp_path, names):
    unit, start, end = SPANS[names]
    manifest = read(tmp_path, f"path,{names},label\na.mp4,{start},{end},0\n")
    span = manifest.span(0)
    assert (span.unit, span.start, span.end) == (unit, start, end)
    with pytest.raises(ManifestError, match=r"m\.csv:2: '\w+' is 'x'; expected a number"):
        read(tmp_path, f"path,{names},label\na.mp4,x,{end},0\n")


@pytest.mark.parametrize(
    "header",
    [
        "path,label,begin,end_",
        "path,label,onset,offset",
        "path,label,start_ms,end_ms",
        "path,label,start_time,duration",
        "path,label,start_time",
        "path,label,timestamp",
        "path,label,t_start,t_end,clip_start_sec,clip_end_sec",
        "youtube_id,label,time_start,time_end",
    ],
)
def test_times_that_only_cells_can_tell_are_left_to_init(tmp_path, header):
    cells = ",".join(["a.mp4", "0", *"12345"[: header.count(",") - 1]])
    with pytest.raises(ManifestError, match=r"m\.csv:1: .* may say which part.*`marey data init`"):
        read(tmp_path, f"{header}\n{cells}\n")


def test_two_columns_that_may_be_labels_ask_which_one(tmp_path):
    text = "path,action,category\na.mp4,0,1\n"
    with pytest.raises(ManifestError, match=r"'category' and 'action' both look like labels.*init"):
        read(tmp_path, text)
    assert len(read(tmp_path, text, heads={})) == 1
    (tmp_path / "labels.action.txt").write_text("hop\nrun\n")
    assert [*read(tmp_path, text).labels] == ["action"]


def test_a_parquet_file_is_read_by_other_names_too(tmp_path):
    table = pa.table({"Video": ["a.mp4", "b.mp4"], "class_id": [0, 1], "start_s": [0.5, np.nan]})
    table = table.append_column("end_s", pa.array([2.0, 4.0]))
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    assert list(manifest.texts()) == ["a.mp4", "b.mp4"]
    assert manifest.ends.tolist() == [2, 4]


NAMES = {
    "path": st.sampled_from(["path", "Video Name", "filename", "#clip", "FilePath"]),
    "label": st.sampled_from(["label", "Class", "action name", "Category"]),
    "split": st.sampled_from(["split", "Subset", "set", "data_split"]),
    "start": st.sampled_from(["start", "start_time", "t_start", "start_sec"]),
}


@given(st.fixed_dictionaries(NAMES), st.permutations(range(5)), st.sampled_from(",;\t"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_neither_the_order_of_columns_nor_their_names_nor_the_separator_count(
    tmp_path, names, order, separator
):
    header = [*(names[key] for key in NAMES), names["start"].replace("start", "end")]
    rows = [header, ["a.mp4", "0", "train", "0.5", "2"], ["a.mp4", "1", "test", "2", ""]]
    text = "\n".join(separator.join(row[place] for place in order) for row in rows) + "\n"
    plain = "path,label,split,start,end\na.mp4,0,train,0.5,2\na.mp4,1,test,2,\n"
    mine, own = read(tmp_path, text), read(tmp_path, plain)
    assert mine.digest() == own.digest()
    assert mine.split_counts() == own.split_counts()


def test_a_list_without_labels_is_checked_and_predicted_for(tmp_path, video):
    shutil.copy(video, tmp_path / "a.mp4")
    (tmp_path / "m.csv").write_text("Video,uid\na.mp4,1\n")
    with pytest.raises(NoLabels, match=r"m\.csv:1: no column 'label', only 'Video', 'uid'"):
        read_manifest(tmp_path / "m.csv")
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "m.csv"), "-j", "1"])
    assert result.exit_code == 0, result.output
    assert "clips without labels" in result.output
    assert (tmp_path / "check.csv").read_text().splitlines()[1].startswith("a.mp4,,,ok,12,")
    (tmp_path / "m.csv").write_text("Video,gloss\na.mp4,x\n")
    with pytest.raises(ManifestError, match=r"init m\.csv DIR --columns path=Video,label=gloss"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.tsv").write_text("Video\tuid\na.mp4\t1\n")
    assert list(read_clips(tmp_path / "m.tsv").manifest.texts()) == ["a.mp4"]


def test_a_line_of_comment_is_left_to_init(tmp_path):
    with pytest.raises(ManifestError, match=r"`marey data init m\.csv DIR`, which leaves"):
        read(tmp_path, "# mine\npath,label\na.mp4,0\n")


def test_decimal_commas_get_a_remedy(tmp_path):
    with pytest.raises(ManifestError, match=r"(?s)'start' is '0,5'.*with a point"):
        read(tmp_path, "path;label;start;end\na.mp4;0;0,5;1,5\n")
