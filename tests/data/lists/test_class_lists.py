from __future__ import annotations

import pytest

from marey.data.lists.lists import read_listing
from marey.data.own_videos.init import init_dataset


def read(folder, text: str):
    (folder / "list.txt").write_text(text)
    return read_listing(folder / "list.txt")


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4;jump high;4\nb.mp4;run;2\nc.mp4;jump high;4\n",
        "a.mp4\tjump high\t4\nb.mp4\trun\t2\nc.mp4\tjump high\t4\n",
        "a,4,jump high\nb,2,run\nc,4,jump high\n",
        "a;jump high;4;\nb;run;2;\nc;jump high;4;\n",
    ],
)
def test_classes_have_the_names_and_the_order_of_their_numbers(tmp_path, text):
    listing = read(tmp_path, text)
    assert "`path class number`" in listing.format
    assert [row.path.removesuffix(".mp4") for row in listing.rows] == ["a", "b", "c"]
    assert [row.labels["label"] for row in listing.rows] == ["jump high", "run", "jump high"]
    assert listing.class_names == {2: "run", 4: "jump high"}


def test_a_number_that_is_none_of_the_class_is_left_and_it_is_said(tmp_path):
    listing = read(tmp_path, "a;jump;37\nb;run;40\nc;jump;41\n")
    assert [row.labels["label"] for row in listing.rows] == ["jump", "run", "jump"]
    assert listing.class_names == {}
    assert listing.notes == ["the number in each line, 37 to 41, is none of the class and is left"]
    listing = read(tmp_path, "a.mp4 jump 0\nb.mp4 run 0\n")  # one number for two classes
    assert "is none of the class" in listing.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "a, b.mp4,3\nc, d.mp4,4\n",
        "my clips/take 2\nmy clips/last 0\nmy clips/take 3\n",
        "ice skating/a b;12;3\nx/c;10;3\n",
    ],
)
def test_paths_that_hold_the_separator_are_read_as_before(tmp_path, text):
    assert "class number" not in read(tmp_path, text).format


def test_a_manifest_of_such_a_list_has_its_classes(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "list.txt").write_text("a;jump;1\nb;dive;2\nc;jump;1\n")
    report = init_dataset(tmp_path / "list.txt", tmp_path / "out", probe=False)
    assert report.manifest.classes["label"] == ("jump", "dive")
    assert report.manifest.labels["label"].tolist() == [0, 1, 0]
    assert any("ordered by its number" in note for note in report.notes)
