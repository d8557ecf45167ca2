from __future__ import annotations

import pytest

from marey.data.lists.lists import read_listing
from marey.data.lists.wanted_columns import WantedColumns
from marey.data.own_videos.given_columns import given_columns
from marey.data.own_videos.splits import SplitRule, parse_where
from marey.errors import ManifestError


def given(folder, columns, rule=None, *, ask=None, ignore=None):
    """What columns (name -> a word of one letter a cell) are taken for, beside path and label."""
    num_rows = len(next(iter(columns.values())))
    header = ["path", "label", *columns]
    rows = [
        [f"{n}.mp4", "xy"[n % 2], *(cells[n] for cells in columns.values())]
        for n in range(num_rows)
    ]
    (folder / "l.csv").write_text("\n".join(map(",".join, [header, *rows])))
    wanted = WantedColumns.parse(ask, ignore)
    return given_columns(read_listing(folder / "l.csv", wanted), rule or SplitRule(), wanted)


T, V, E = "train", "val", "test"


@pytest.mark.parametrize("name", ["split", "Subset", "set", "partition", "data_split"])
def test_a_column_of_words_for_splits_is_the_split(tmp_path, name):
    assert given(tmp_path, {name: ["Training", V, "testing", T]}).split == name


def test_a_row_without_a_split_is_not_divided_anew(tmp_path):
    for cells, shown in (([T, "", E], "3: 'split' is empty"), ([T, E, "x"], "4: 'split' is 'x'")):
        with pytest.raises(ManifestError, match=rf"csv:{shown}.*--ignore split"):
            given(tmp_path, {"split": cells})
        ignored = given(tmp_path, {"split": cells}, ignore="split")
        assert (ignored.split, ignored.ignored, ignored.left) == ("", ("split",), ())


def test_a_split_that_cannot_be_read_is_asked_for(tmp_path):
    folds = {"fold": list("1231")}
    with pytest.raises(ManifestError, match=r"`fold` looks like a split, but 1, 2, 3 are not"):
        given(tmp_path, folds)
    rule = SplitRule(val_where=parse_where("fold:3"))
    assert given(tmp_path, folds, rule)[:3] == ("", "", ())
    assert given(tmp_path, {"is_test": ["0", "0", "0"]}).left == ("is_test",)
    with pytest.raises(ManifestError, match="`is_test` looks like a split"):
        given(tmp_path, {"is_test": ["0", "1", "0"]})


def test_two_columns_of_splits_that_differ_are_asked_for(tmp_path):
    both = {"split": [T, V, V], "subset": [T, T, V]}
    with pytest.raises(ManifestError, match=r"`split` and `subset` both look like splits.*--ig"):
        given(tmp_path, both)
    assert given(tmp_path, both, ignore="split").split == "subset"
    assert given(tmp_path, both, ask="split=subset", ignore="split").split == "subset"
    assert given(tmp_path, {"split": [T, V, V], "set": ["training", "dev", V]}).split == "split"


PEOPLE = ["subject_id", "Person", "performer", "actor_id", "patient", "user", "signer_id", "camera"]


@pytest.mark.parametrize("name", [*PEOPLE, "participant", "animal_id", "scene", "video_id"])
def test_a_column_of_people_or_places_or_ids_that_repeat_is_the_group(tmp_path, name):
    assert given(tmp_path, {name: list("aabb"), "take": list("1212")}).group == name


def test_values_that_all_differ_or_never_do_are_no_group_and_are_left(tmp_path):
    for cells in ("abcd", "aaaa"):
        found = given(tmp_path, {"source": list(cells)})
        assert (found.group, found.left) == ("", ("source",))


def test_a_clip_without_a_group_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"csv:4: 'speaker' is empty.*--ignore speaker"):
        given(tmp_path, {"speaker": ["a", "a", "", "b"]})
    with pytest.raises(ManifestError, match=r"csv:3: 'note' is empty"):
        given(tmp_path, {"note": ["a", "", "b"]}, SplitRule(group="note"))


def test_two_groups_that_cross_are_asked_for_and_one_within_the_other_is_not(tmp_path):
    crossing = {"subject": list("aabb"), "camera_id": list("1212")}
    with pytest.raises(ManifestError, match=r"`subject` and `camera_id` both look like groups"):
        given(tmp_path, crossing)
    assert given(tmp_path, crossing, SplitRule(group="camera id")).group == "camera_id"
    assert given(tmp_path, crossing, SplitRule(group=None))[1:3] == ("", ("subject", "camera_id"))
    assert given(tmp_path, crossing, ignore="camera_id").group == "subject"
    assert given(tmp_path, crossing, ask="group=camera_id").group == "camera_id"
    within = {"subject": list("aaaabb"), "session": list("112233")}
    assert given(tmp_path, within).group == "subject"
    assert given(tmp_path, crossing | {"split": [T, T, V, V]}).group == "subject"


def test_unknown_ids_that_repeat_are_groups_too(tmp_path):
    for name in ("session_id", "dog Id", "tripID"):
        assert given(tmp_path, {name: list("aabb")}).group == name
    assert given(tmp_path, {"annotator_id": list("aabb")}).left == ("annotator_id",)
    assert given(tmp_path, {"word": list("aabb")}).left == ("word",)


def test_numbers_of_classes_beside_their_names_are_no_groups(tmp_path):
    found = given(tmp_path, {"label_id": list("0101"), "subject": list("aabb")})
    assert (found.group, found.left) == ("subject", ())


def test_a_group_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"no column 'actor' to group by.*note, speaker"):
        given(tmp_path, {"note": ["x"], "speaker": ["y"]}, SplitRule(group="actor"))


def test_columns_that_are_used_or_ignored_are_not_left(tmp_path):
    columns = {"uid": list("1234"), "split": [T, T, V, V], "note": list("abab"), "b": list("xyxy")}
    found = given(tmp_path, columns, ignore="B")
    assert (found.left, found.ignored) == (("note",), ("b",))


def test_a_column_whose_cells_are_splits_is_the_split_whatever_its_name(tmp_path):
    assert given(tmp_path, {"purpose": [T, V, E, T]}).split == "purpose"
    assert given(tmp_path, {"purpose": [T, T, "shelf", T]}).split == ""
    with pytest.raises(ManifestError, match="`split_1` and `split_2` both look like splits"):
        given(tmp_path, {"split_1": [T, V, T, T], "split_2": [V, T, T, T]})


def test_videos_that_clips_were_cut_from_are_groups(tmp_path):
    for cells in (["a.mp4", "a.mp4", "b.mp4", ""], ["http://x/1", "http://x/1", "http://x/2"]):
        name = "orig" if len(cells) == 3 else "cut of"
        columns = {name: cells[:3]}
        assert given(tmp_path, columns).group == name


def test_ids_that_repeat_are_groups(tmp_path):
    assert given(tmp_path, {"id": ["1", "1", "2", "2"]}).group == "id"
