from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marey.data.manifest.column_names import NAMES, of_kind

KINDS = st.sampled_from([*NAMES])


@given(st.data(), KINDS)
def test_letter_case_and_signs_of_a_name_do_not_count(data, kind):
    known = data.draw(st.sampled_from(NAMES[kind]))
    signs = data.draw(st.lists(st.sampled_from(list("_ -.#\"'")), max_size=3))
    name = "".join(signs) + data.draw(st.sampled_from([known, known.upper(), known.title()]))
    assert of_kind(kind, [name, "nothing"]) == [name]


def test_no_name_says_a_path_and_a_label_or_a_split_and_a_group():
    assert not set(NAMES["path"]) & set(NAMES["label"])
    assert not set(NAMES["split"]) & {*NAMES["path"], *NAMES["label"], *NAMES["group"]}
    assert not set(NAMES["label"]) & {*NAMES["group"], *NAMES["id"]}


def test_the_surest_name_comes_first():
    assert of_kind("path", ["video_id", "Filepath", "id"]) == ["Filepath", "id", "video_id"]
    assert of_kind("label", ["class_id", "Class Name", "class"])[0] == "class"
    assert of_kind("group", ["camera", "Subject ID", "session"])[0] == "Subject ID"
