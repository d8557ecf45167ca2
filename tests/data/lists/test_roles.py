from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.data.lists.lists import read_listing
from marey.data.lists.wanted_columns import WantedColumns
from marey.data.manifest.header import NoLabels
from marey.errors import ManifestError


def read(folder, text, columns=None, ignore=None, name="list.csv"):
    (folder / name).write_text(text)
    return read_listing(folder / name, WantedColumns.parse(columns, ignore))


def spans(listing):
    return [(row.start, row.end) for row in listing.rows]


def labels(listing):
    return [row.labels["label"] for row in listing.rows]


# --- headers ------------------------------------------------------------------------------------

UNKNOWN = {
    "a label of another name": "video,gloss\na.mp4,hello\nb.mp4,thanks\n",
    "one clip": "filename;emotion\na.mp4;joy\n",
    "both of other names": "movie\tmood\na.mp4\tjoy\nb.mp4\tjoy\nc.mp4\tanger\n",
    "numbers for classes": "movie,mood\na.mp4,0\nb.mp4,1\n",
    "names without a suffix that are numbers": "movie;mood\n12;joy\n13;anger\n14;joy\n",
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_header_of_unknown_names_is_no_clip_and_asks_which_columns_they_are(tmp_path, kind):
    with pytest.raises(ManifestError, match=r"csv:1: no column is known .*--columns path="):
        read(tmp_path, UNKNOWN[kind])
    first, second = re.split("[;,\t]", UNKNOWN[kind].partition("\n")[0])
    listing = read(tmp_path, UNKNOWN[kind], f"path={first},label={second}")
    assert "movie" not in [row.path for row in listing.rows]
    assert listing.used == {"path": first, "label": second}
    assert len(listing) == UNKNOWN[kind].count("\n") - 1


def test_names_of_clips_that_are_there_tell_a_header_by_the_words_that_are_not(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.mp4").touch()
    text = "stem,mood\none,joy\ntwo,anger\nthree,joy\n"
    with pytest.raises(ManifestError, match=r":1: no column is known as the paths"):
        read(tmp_path, text)
    (tmp_path / "stem.mp4").touch()
    assert labels(read(tmp_path, text)) == ["mood", "joy", "anger", "joy"]


NO_HEADER = {
    "a first class that is seen again": "a,joy\nb.mp4,joy\nc.mp4,anger\n",
    "a first clip like the others": "a.mp4,joy\nb.mp4,anger\n",
    "words alone": "a;hop\nb;run\n",
    "a number for the first class": "clip 3\nb.mp4 1\nc.mp4 1\n",
}


@pytest.mark.parametrize("kind", NO_HEADER)
def test_a_first_line_like_the_others_is_a_clip(tmp_path, kind):
    assert len(read(tmp_path, NO_HEADER[kind])) == NO_HEADER[kind].count("\n")


@pytest.mark.parametrize("header", ["video_id,filepath", "file,id", "path,split", "Path,start,end"])
def test_a_list_without_labels_is_said_to_have_none(tmp_path, header):
    rows = [",".join(f"{n}{column}.mp4" for column in header.split(",")) for n in range(3)]
    with pytest.raises(NoLabels, match="no column of labels among"):
        read(tmp_path, "\n".join([header, *rows]))


@pytest.mark.parametrize(
    "header",
    ["Video Name,Class Label", "#path,LABEL", '"video_path","Action"', "videoId, category"],
)
def test_known_names_are_read_in_any_spelling(tmp_path, header):
    listing = read(tmp_path, f"{header}\na.mp4,joy\nb.mp4,joy\n")
    assert labels(listing) == ["joy", "joy"]
    assert [row.path for row in listing.rows] == ["a.mp4", "b.mp4"]


# --- labels -------------------------------------------------------------------------------------


def test_a_number_beside_its_name_orders_the_classes(tmp_path):
    listing = read(tmp_path, "path,label,label_id\na,run,1\nb,hop,2\nc,run,1\n")
    assert labels(listing) == ["run", "hop", "run"]
    assert listing.class_names == {1: "run", 2: "hop"}
    assert listing.used["label_number"] == "label_id"
    assert any("named by `label` and ordered by `label_id`" in note for note in listing.notes)
    other = read(tmp_path, "path,class,class_name\na,1,run\nb,0,hop\n")
    assert (labels(other), other.class_names) == (["run", "hop"], {1: "run", 0: "hop"})
    asked = "path=path,label=word,label_number=n"
    assert read(tmp_path, "path,word,n\na,x,1\nb,y,0\n", asked).class_names == {1: "x", 0: "y"}


@pytest.mark.parametrize("second", ["x,y,x", "1,2,1", "x,x,y"])
def test_two_columns_of_labels_that_differ_are_not_chosen_from(tmp_path, second):
    cells = zip("abc", ["run", "hop", "hop"], second.split(","), strict=True)
    text = "path,action,category\n" + "".join(",".join(row) + "\n" for row in cells)
    with pytest.raises(ManifestError, match=r"`category` and `action` both look like labels.*l="):
        read(tmp_path, text)
    assert labels(read(tmp_path, text, "label=action")) == ["run", "hop", "hop"]
    assert labels(read(tmp_path, text, None, "category")) == ["run", "hop", "hop"]


# --- times --------------------------------------------------------------------------------------

TIMES = {
    "start_time,end_time": ("1,3", (1, 3), "seconds"),
    "Start (s),Stop (s)": ("1.5,00:01:02", (1.5, 62), "seconds"),
    "begin,end": ("0.5,2", (0.5, 2), "seconds"),
    "start_ms,end_ms": ("500,2000", (0.5, 2), "seconds"),
    "startFrame,endFrame": ("10,20", (10, 20), "frames"),
    "t0,t1": ("1,2.5", (1, 2.5), "seconds"),
    "time_2,time_1": ("3,2", (2, 3), "seconds"),
    "onset,duration": ("0:01,2", (1, 3), "seconds"),
    "start,duration_s": ("1,2.5", (1, 3.5), "seconds"),
}


@pytest.mark.parametrize("names", TIMES)
def test_times_cut_clips_whatever_their_columns_are_called(tmp_path, names):
    cells, span, unit = TIMES[names]
    listing = read(tmp_path, f"path,{names},label\na.mp4,{cells},x\n")
    assert (spans(listing), listing.unit) == ([span], unit)
    assert set(names.split(",")) <= set(listing.used.values())


@pytest.mark.parametrize("names", ["begin,end", "from,to", "onset,offset", "clip_start,clip_end"])
def test_whole_numbers_of_no_unit_are_asked_for(tmp_path, names):
    text = f"path,{names},label\na.mp4,1,3,x\na.mp4,4,6,x\n"
    start, end = names.split(",")
    with pytest.raises(ManifestError, match=rf"`{start}` and `{end}` may say which.*start_ms="):
        read(tmp_path, text)
    asked = {
        f"start={start},end={end}": ([(1, 3), (4, 6)], "seconds"),
        f"start_frame={start},end_frame={end}": ([(1, 3), (4, 6)], "frames"),
        f"start_ms={start},end_ms={end}": ([(0.001, 0.003), (0.004, 0.006)], "seconds"),
    }
    for columns, expected in asked.items():
        listing = read(tmp_path, text, columns)
        assert (spans(listing), listing.unit) == expected
    assert not read(tmp_path, text, None, names).has_spans


@pytest.mark.parametrize("names", ["start_min,end_min", "begin_us,stop_us", "start_ns,end_ns"])
@pytest.mark.parametrize("cells", ["0.5,1.5", "1,3"])
def test_times_of_another_unit_are_asked_for_as_seconds(tmp_path, names, cells):
    with pytest.raises(ManifestError, match="may say which.*write times of another unit as sec"):
        read(tmp_path, f"path,{names},label\na.mp4,{cells},x\n")
    listing = read(tmp_path, f"path,{names},label\na.mp4,0:01,1:30,x\n")  # the clock tells
    assert spans(listing) == [(1, 90)]


def test_times_that_cannot_be_read_are_refused_unless_they_are_ignored(tmp_path):
    for names in ("start_time", "timestamp", "end_frame", "interval", "segment", "t2"):
        text = f"path,label,{names}\na.mp4,x,1\n"
        with pytest.raises(ManifestError, match=rf"`{names}` may say which part.*--ignore {names}"):
            read(tmp_path, text)
        assert len(read(tmp_path, text, None, names)) == 1
    two = "path,label,start,end,clip_start_s,clip_end_s\na.mp4,x,1,2,3,4\n"
    with pytest.raises(ManifestError, match="`clip_start_s` and `clip_end_s` may say"):
        read(tmp_path, two)


def test_kinetics_times_are_asked_for_as_its_clips_may_be_cut_already(tmp_path):
    text = "label,youtube_id,time_start,time_end,split\nx,---QUuC4vJs,84,94,train\n"
    with pytest.raises(ManifestError, match="`time_start` and `time_end` may say"):
        read(tmp_path, text)
    assert spans(read(tmp_path, text, "start=time_start,end=time_end")) == [(84, 94)]
    assert spans(read(tmp_path, text, None, "time_start,time_end")) == [(None, None)]


# --- what a person says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("lable=x", r"'lable' is no role of a column.*did you mean 'label'"),
        ("video", r"'video' names no columns.*path=video,label=gloss"),
        ("path=a,path=b", "names no columns"),
        ("path=nothing", r"list\.csv:1: no column 'nothing', only path, word, note"),
        ("label=word,end=note", "end=note is no part of a file.*a start"),
        ("label=word,start=note,end_ms=note", "is no part of a file"),
        ("label=word,label_number=note", "`note` has not one number for each class"),
    ],
)
def test_roles_that_make_no_sense_are_errors(tmp_path, columns, message):
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, "path,word,note\na.mp4,x,1\nb.mp4,y,1\n", columns)


# --- laws ---------------------------------------------------------------------------------------

NAMES = {
    "path": st.sampled_from(["path", "Video Name", "filename", "#clip", "FilePath"]),
    "label": st.sampled_from(["label", "Class", "action name", "Category", "TARGET"]),
    "start": st.sampled_from(["start", "start_time", "t_start", "begin (s)", "onset_sec"]),
    "note": st.sampled_from(["note", "weather", "quality"]),
}
ENDS = {
    "start": "end",
    "start_time": "end_time",
    "t_start": "t_end",
    "begin (s)": "end (s)",
    "onset_sec": "offset_sec",
}
ROWS = [("a.mp4", "hop", "0.5", "2", "dry"), ("a.mp4", "run", "2", "", "wet")]


@given(st.fixed_dictionaries(NAMES), st.permutations(range(5)), st.sampled_from(",;\t"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_neither_the_order_of_columns_nor_their_synonyms_nor_the_separator_count(
    tmp_path, names, order, separator
):
    header = [*(names[key] for key in ("path", "label", "start")), ENDS[names["start"]]]
    table = [[*header, names["note"]], *ROWS]
    lines = [separator.join(row[place] for place in order) for row in table]
    listing = read(tmp_path, "\n".join(lines) + "\n")
    found = [(row.path, row.labels["label"], row.start, row.end) for row in listing.rows]
    assert found == [("a.mp4", "hop", 0.5, 2), ("a.mp4", "run", 2, None)]
    assert listing.columns == {names["note"]: ["dry", "wet"]}


def test_keys_of_json_are_columns(tmp_path):
    entries = [
        {"id": 7, "video": "a.mp4", "label": "hop", "start": 1, "end": 2.5, "tags": ["x", "y"]},
        {"id": 8, "video": "b.mp4", "label": "run", "start": None, "subject": "s"},
    ]
    listing = read(tmp_path, json.dumps(entries), name="l.json")
    assert [row.path for row in listing.rows] == ["a.mp4", "b.mp4"]
    assert (labels(listing), spans(listing)) == (["hop", "run"], [(1, 2.5), (None, None)])
    assert listing.columns == {"id": ["7", "8"], "tags": ["x|y", ""], "subject": ["", "s"]}
    listing = read(tmp_path, '[{"movie": "a", "mood": 3}]', "path=movie,label=mood", name="l.json")
    assert labels(listing) == ["3"]
    several = read(tmp_path, '[{"file": "a.mp4", "labels": ["x", "y"]}]', name="l.json")
    assert labels(several) == ["x|y"]
    with pytest.raises(ManifestError, match="in whole numbers of no unit.*intervals_frame=segment"):
        read(tmp_path, '[{"file": "a.mp4", "label": "x", "segment": [1, 2]}]', name="l.json")
    with pytest.raises(ManifestError, match=r"l\.json:1: no column is known as the paths"):
        read(tmp_path, '[{"movie": "a", "mood": 3}]', name="l.json")
