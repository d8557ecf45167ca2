"""Lists whose lines end in several labels, and what is asked where their number is not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.data.lists.lists import read_listing
from marey.data.lists.wanted_columns import WantedColumns
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.unlabelled import read_clips
from marey.data.packs.listed_clips import ListedClip, ListedClips
from marey.data.packs.toolboxes import TOOLBOXES
from marey.errors import ManifestError


@pytest.fixture
def listed(tmp_path):
    """Writes a list, and reads it by `--columns` or by itself."""

    def read(text, columns=None):
        path = tmp_path / "list.txt"
        path.write_text(text)
        return read_listing(path, WantedColumns.parse(columns))

    return read


def rows_of(listing):
    return [(r.path, r.num_frames, r.start, r.end, r.labels["label"]) for r in listing.rows]


@pytest.mark.parametrize("separator", [" ", ";", "\t", ","])
@pytest.mark.parametrize(
    ("text", "title", "rows"),
    [
        (
            "a.mp4 3\nb.mp4 3 17\n",
            "path labels",
            [("a.mp4", None, None, None, "3"), ("b.mp4", None, None, None, "3|17")],
        ),
        (
            "x/a 48 3\nx/b 9 3 17 20\n",
            "path num_frames labels",
            [("x/a", 48, None, None, "3"), ("x/b", 9, None, None, "3|17|20")],
        ),
        (
            "x/a 1 48 3\nx/b 1 9 3 17\n",
            "path start end labels",
            [("x/a", None, 0, 48, "3"), ("x/b", None, 0, 9, "3|17")],
        ),
        (
            "x/a 5 9\nx/b 3 20 3\n",  # a clip has a label once: 3 counts
            "path num_frames labels",
            [("x/a", 5, None, None, "9"), ("x/b", 3, None, None, "20|3")],
        ),
    ],
)
def test_lines_of_different_lengths_have_several_labels(listed, separator, text, title, rows):
    listing = listed(text.replace(" ", separator))
    assert listing.format.startswith(f"`{title}`")
    assert rows_of(listing) == rows


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("a 11 678\nb 12 28 5\n", "path num_frames labels", "path labels"),
        ("a 2 3\nb 2 3 5\n", "path num_frames labels", "path labels"),
        ("a 1 2 3\nb 5 9 3 17\n", "path start end labels", "path num_frames labels"),
    ],
)
def test_two_readings_are_asked_about_and_either_can_be_chosen(listed, text, one, other):
    with pytest.raises(ManifestError, match=f"may be `{one}` or `{other}`, as 'b") as error:
        listed(text)
    assert f"--columns '{one}': the shortest lines have one label" in error.value.hint
    for title in (one, other):
        assert f"--columns '{title}'" in error.value.hint
        assert listed(text, title).format.startswith(f"`{title}`")


def test_lines_of_one_length_are_read_where_it_is_said(listed):
    with pytest.raises(ManifestError, match="3 numbers end a line, which is no known") as error:
        listed("a 9 2 3\nb 8 1 5\n")
    assert "of several labels a line: --columns 'path labels'" in error.value.hint
    read = listed("a 9 2 3\nb 8 1 5\n", "path num_frames labels")
    assert rows_of(read) == [("a", 9, None, None, "2|3"), ("b", 8, None, None, "1|5")]
    with pytest.raises(ManifestError, match=r":2: not a `path num_frames labels`"):
        listed("a 9 2 3\nb 8\n", "path num_frames labels")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 5 1\n" * 20 + "b 3\n", r":21: not a `path num_frames label`"),  # is cut short
        ("a 5 1\n" * 20 + "b 5 1 2\n", r":21: several labels on a line"),
        ("a.mp4 3\nb.mp4 3 3\n", "several labels on a line|not a"),  # a label twice
    ],
)
def test_an_odd_line_makes_no_several_labels(listed, text, message):
    with pytest.raises(ManifestError, match=message):
        listed(text)


def test_paths_that_end_in_numbers_are_no_labels(listed):
    read = listed("take 1 3\ntake 2 3\nmy run 4\n")
    assert [row.path for row in read.rows] == ["take 1", "take 2", "my run"]


@pytest.mark.parametrize("several", ["train", "val"])
def test_lists_of_splits_are_alike(tmp_path, several):
    """One alone may have as many labels on each line, and look like another kind."""
    other = {"train": "val", "val": "train"}[several]
    (tmp_path / f"{several}.txt").write_text("a.mp4 3\nb.mp4 1 3\n")
    (tmp_path / f"{other}.txt").write_text("c.mp4 1 3\n")
    made = init_dataset(tmp_path, tmp_path / "o", probe=False).manifest
    assert made.classes["label"] == ("1", "3")
    rows = made.labels["label"].astype(int).tolist()
    assert sorted(rows) == [[0, 1], [1, 1], [1, 1]]


def test_a_list_to_test_on_may_lack_the_labels(tmp_path):
    (tmp_path / "train.txt").write_text("a.mp4 9 3\nb.mp4 9 1 3\n")
    (tmp_path / "test.txt").write_text("c.mp4 12\n")
    made = init_dataset(tmp_path, tmp_path / "o", probe=False)
    assert [*made.manifest.split_counts()] == ["train"]
    assert any("is taken for a list without labels" in note for note in made.notes)


@pytest.mark.parametrize(
    ("toolbox", "template"),
    [("blvnet", "{:05d}.jpg"), ("mmaction2", "{:05d}.jpg"), ("mmaction2", "")],
)
def test_lists_for_other_toolboxes_are_read_again(tmp_path: Path, toolbox, template):
    def clip(name, num_frames, *labels):
        path = f"frames/{name}" if template else f"clips/{name}.mp4"
        return ListedClip(path=path, num_frames=num_frames, labels=labels)

    splits = {
        "train": [clip("a", 48, 1), clip("b", 30, 0, 2)],
        "val": [clip("c", 9, 0, 1)],
        "test": [clip("d", 12, 2), clip("e", 7, 0, 1, 2)],
    }
    folder, classes = tmp_path / "x", ("hop", "run", "sit")
    clips = ListedClips(folder=folder, splits=splits, classes=classes, template=template)
    folder.mkdir()
    for name, lines in TOOLBOXES[toolbox](clips).files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    made = init_dataset(folder, tmp_path / "o", probe=False).manifest
    for split, listed in splits.items():
        rows = made.rows_of(split)
        assert made.labels["label"][rows].tolist() == [
            [label in clip.labels for label in range(3)]
            for clip in sorted(listed, key=lambda c: -len(c.labels) if toolbox == "blvnet" else 0)
        ]


def test_lists_to_predict_are_read_so(tmp_path):
    (tmp_path / "list.txt").write_text("a.mp4 3\nb.mp4 3 5\n")
    made = read_clips(tmp_path / "list.txt", classes={"label": tuple("abcdefgh")})
    assert made.read_as.startswith("`path labels`")
    assert made.manifest.labels["label"].sum(axis=1).tolist() == [1, 2]


def test_a_path_that_is_there_goes_before_labels(tmp_path):
    for name in ("take 2", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    (tmp_path / "list.txt").write_text("take 2 9 3\nrun 9 5\n")
    made = read_clips(tmp_path / "list.txt", classes={"label": tuple("abcdefgh")})
    assert [*made.manifest.texts()] == ["take 2", "run"]
    assert made.read_as.startswith("`path num_frames label`")
