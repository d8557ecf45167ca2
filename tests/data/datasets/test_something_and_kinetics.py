"""Something-Something, Jester, Kinetics and their mini sets: counts, orders of classes, places."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from marey.data.datasets.catalog import find_dataset
from marey.data.datasets.dataset import AnnotatedClip, Index
from marey.data.lists.annotations import Annotations
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.find_media import find_media
from marey.data.prepare.valid_clips import valid_clips
from marey.errors import ManifestError
from marey.video.mirrored_classes import flip_pairs

NAMES = [f"Doing [something] {number:03d} times" for number in range(174)]


@cache
def read(name: str, folder: Path) -> tuple[Index, Annotations]:
    index, files, _ = read_annotations(find_dataset(name), folder)
    return index, files


def counts(clips: list[AnnotatedClip]) -> dict[str, int]:
    return dict(Counter(clip.split for clip in clips))


@pytest.fixture(scope="module")
def real(shared_dir: Path) -> Path:
    return shared_dir / "data" / "annotations"


@pytest.mark.parametrize(
    ("name", "folder", "train", "val"),
    [
        ("ssv1", "uniformer_sthv1", 86_017, 11_522),
        ("ssv2", "uniformer_sthv2", 168_913, 24_777),
        ("jester", "jester", 118_562, 14_787),
    ],
)
def test_published_counts_come_out(
    name: str, folder: str, train: int, val: int, real: Path
) -> None:
    index, files = read(name, real / folder)
    clips = valid_clips(index, files, real) if name == "jester" else index.clips
    assert counts(clips)["train"] == train
    assert counts(clips)["val"] == val
    assert len(files.rejects) == (name == "jester")
    assert len(index.classes["label"]) == (27 if name == "jester" else 174)
    numbers = {clip.labels["label"] for clip in clips if clip.split == "train"}
    assert numbers == set(range(len(index.classes["label"])))


def test_the_spreadsheet_error_of_jester_is_reported_with_its_line(real: Path) -> None:
    _, files = read("jester", real / "jester")
    (row,) = [row for row in files.rejects if row.value.startswith("Err")]
    assert (row.line.path.name, row.line.number, row.value) == (
        "jester-v1-train.csv",
        118_563,
        "Err:522,",
    )


def test_kinetics_validation_list_is_renumbered_alphabetically(real: Path) -> None:
    index, files = read("kinetics400", real / "uniformer_k400")
    official = (real / "mmaction2" / "kinetics" / "label_map_k400.txt").read_text().splitlines()
    assert list(index.classes["label"]) == official
    clips = valid_clips(index, files, real)
    assert counts(clips) == {"val": 19_787}
    assert not files.rejects
    text = (real / "uniformer_k400" / "kinetics_400_categroies.txt").read_text()
    theirs = dict(reversed(line.split("\t")) for line in text.splitlines())
    lines = (real / "uniformer_k400" / "val.csv").read_text().splitlines()
    for clip, line in zip(clips, lines, strict=True):
        path, number = line.split(",")
        assert f"{clip.name}.mp4" == path
        assert official[clip.labels["label"]] == theirs[number]


def test_classes_of_v1_and_v2_are_in_one_order_whose_flip_pairs_are_the_references(
    real: Path,
) -> None:
    official = (real / "mmaction2" / "sthv2" / "label_map.txt").read_text().splitlines()
    for name in ("1", "2"):
        index, _ = read(f"ssv{name}", real / f"uniformer_sthv{name}")
        assert list(index.classes["label"]) == official
        assert flip_pairs(index.classes["label"]) == ((86, 87), (93, 94), (166, 167))


def test_jester_exchanges_three_pairs_and_kinetics_none(real: Path) -> None:
    names = read("jester", real / "jester")[0].classes["label"]
    pairs = [(names[a], names[b]) for a, b in flip_pairs(names)]
    assert pairs == [
        ("Swiping Left", "Swiping Right"),
        ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
        ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    ]
    assert flip_pairs(read("kinetics400", real / "uniformer_k400")[0].classes["label"]) == ()


def test_lists_of_mmaction2_count_the_lines_of_their_own_file(real: Path, tmp_path: Path) -> None:
    shutil.copy(real / "mmaction2" / "sthv1" / "label_map.txt", tmp_path)
    (tmp_path / "sthv1_train_list_videos.txt").write_text("100218.mp4 0\n48032.mp4 1\n")
    index, _ = read("ssv1", tmp_path)
    names = [index.classes["label"][clip.labels["label"]] for clip in index.clips]
    assert names == ["Holding something", "Turning something upside down"]
    assert list(index.classes["label"]) == sorted(index.classes["label"])


def test_mini_sets_have_their_published_number_of_classes(real: Path, tmp_path: Path) -> None:
    for source in ("uniformer_sthv2", "uniformer_k400", "moments_and_mini"):
        for path in (real / source).iterdir():
            if "train" not in path.name:
                (tmp_path / path.name).symlink_to(path)
    index, files = read("mini-ssv2", tmp_path)
    assert len(index.classes["label"]) == 87
    assert {clip.labels["label"] for clip in index.clips} == set(range(87))
    with pytest.raises(ValueError, match="cannot be flipped"):
        flip_pairs(index.classes["label"])
    index, files = read("mini-kinetics", tmp_path)
    assert len(index.classes["label"]) == 200
    assert index.classes["label"][-1] == "yoga"
    assert f"{tmp_path / 'mini_kinetics400.txt'}:200: \"yoga''.\" is read as 'yoga'" in files.notes
    assert 9_000 < counts(index.clips)["val"] < 10_000


# --- files made here --------------------------------------------------------------------------


def write_json(folder: Path, **splits: list[dict[str, object]]) -> Path:
    folder.mkdir(exist_ok=True)
    labels = {name.replace("[", "").replace("]", ""): str(n) for n, name in enumerate(NAMES)}
    (folder / "something-something-v2-labels.json").write_text(json.dumps(labels))
    for split, entries in splits.items():
        path = folder / f"something-something-v2-{split}.json"
        path.write_text(json.dumps(entries, indent=0))
    return folder


def entry(name: int, number: int | None = None) -> dict[str, object]:
    template = {} if number is None else {"template": NAMES[number], "label": "doing", "x": []}
    return {"id": str(name), **template}


def test_the_official_json_is_read_by_templates(tmp_path: Path) -> None:
    folder = write_json(
        tmp_path, train=[entry(1, 5), entry(2, 173)], validation=[entry(3, 0)], test=[entry(4)]
    )
    index, files = read("ssv2", folder)
    said = [(clip.name, clip.split, dict(clip.labels)) for clip in index.clips]
    assert said == [
        ("1", "train", {"label": 5}),
        ("2", "train", {"label": 173}),
        ("3", "val", {"label": 0}),
        ("4", "test", {}),
    ]
    assert not files.rejects


def test_a_training_clip_without_a_known_template_is_rejected(tmp_path: Path) -> None:
    wrong = {"id": "2", "template": "Doing [something] 1000 times"}
    folder = write_json(tmp_path, train=[entry(1, 5), wrong, entry(3), entry(1, 1) | {"id": "x"}])
    index, files = read("ssv2", folder)
    assert [clip.name for clip in index.clips] == ["1"]
    reasons = [row.reason for row in files.rejects]
    assert reasons[:2] == ["none of the 174 classes"] * 2
    assert reasons[2].startswith("no clip: ")
    assert "did you mean" in files.rejects[0].remedy


def test_trainval_of_the_long_tailed_set_is_val_and_its_val_is_test(tmp_path: Path) -> None:
    folder = write_json(tmp_path, train=[entry(1, 5)], trainval=[entry(2, 6)], val=[entry(3, 7)])
    index, _ = read("ssv2-lt", folder)
    said = [(clip.name, clip.split, clip.labels["label"]) for clip in index.clips]
    assert said == [("1", "train", 5), ("2", "val", 6), ("3", "test", 7)]


def test_labels_that_do_not_number_all_classes_are_an_error(tmp_path: Path) -> None:
    folder = write_json(tmp_path, train=[entry(1, 5)])
    path = folder / "something-something-v2-labels.json"
    labels = json.loads(path.read_text())
    path.write_text(json.dumps(labels | {next(iter(labels)): "7"}))
    with pytest.raises(ManifestError, match="expected the ids 0 to 173, each once"):
        read_annotations(find_dataset("ssv2"), folder)
    labels.popitem()
    path.write_text(json.dumps(labels))
    with pytest.raises(ManifestError, match="173 classes, expected 174"):
        read_annotations(find_dataset("ssv2"), folder)


def kinetics(folder: Path, rows: str) -> tuple[Index, Annotations]:
    names = ["riding a bike", "petting animal (not cat)", *(f"action {n}." for n in range(398))]
    (folder / "label_map_k400.txt").write_text("\n".join(names))
    (folder / "train.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    return read_annotations(find_dataset("kinetics400"), folder)[:2]


def test_spans_of_kinetics_are_in_its_file_names_and_bad_ones_are_rejected(tmp_path: Path) -> None:
    rows = (
        "riding a bike,abc-_456789,3,13,train\n"
        '"riding a bike",abc-_456789,13.0,23,train\n'
        "riding a bike,#NAME?,3,13,train\n"
        "riding a bike,abc-_456780,-3,7,train\n"
        "riding a bike,abc-_456780,13,3,train\n"
        "riding a bike,abc-_456780,nan,3,train\n"
        "flying,abc-_456780,3,13,train\n"
        "riding a bike,abc-_456780,3\n"
    )
    index, files = kinetics(tmp_path, rows)
    assert [clip.name for clip in index.clips] == [
        "abc-_456789_000003_000013",
        "abc-_456789_000013_000023",
    ]
    assert all(clip.start is clip.end is None for clip in index.clips)
    assert sorted(row.line.number for row in files.rejects) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "place",
    [
        "{stem}.mp4",
        "petting animal (not cat)/{stem}.webm",
        "petting_animal_(not_cat)/{stem}.mkv",
        "train/petting animal (not cat)/{stem}.mp4",
        "train/{stem}.mp4",
        "videos_train/petting_animal_(not_cat)/{stem}.mp4",
        "rawframes_train/petting_animal_(not_cat)/{stem}/img_00001.jpg",
        "images/petting_animal_(not_cat)/abc-_456789_3/img_00001.jpg",
        "train/abc-_456789.mp4",
        "train/abc-_456789_3_13.mp4",
        "train/petting animal (not cat)/abc-_456789_3_13.mp4",
        "replacement/{stem}.mp4",
        "train/replacement_for_corrupted_k400/{stem}.mp4",
    ],
)
def test_clips_of_kinetics_are_found_in_every_usual_place(place: str, tmp_path: Path) -> None:
    index, files = kinetics(tmp_path, "petting animal (not cat),abc-_456789,3,13,train\n")
    path = tmp_path / "root" / place.format(stem="abc-_456789_000003_000013")
    path.parent.mkdir(parents=True)
    path.touch()
    clips = valid_clips(index, files, tmp_path / "root")
    layouts = find_dataset("kinetics400").layouts
    media = find_media(clips, index.classes["label"], tmp_path / "root", layouts)
    found = path.parent if path.suffix == ".jpg" else path
    assert media.paths == [str(found.relative_to(tmp_path / "root"))]


def test_csv_files_of_kinetics_600_are_called_txt(tmp_path: Path) -> None:
    names = [f"action {number:03d}" for number in range(600)]
    (tmp_path / "label_map_k600.txt").write_text("\n".join(names))
    rows = "label,youtube_id,time_start,time_end,split\naction 007,abc-_456789,3,13,train\n"
    (tmp_path / "train.txt").write_text(rows)
    index, _, form = read_annotations(find_dataset("kinetics600"), tmp_path)
    assert form.title == "official csv"
    assert [(clip.name, clip.labels["label"]) for clip in index.clips] == [
        ("abc-_456789_000003_000013", 7)
    ]


def test_without_a_file_of_classes_the_csv_files_must_name_all(tmp_path: Path) -> None:
    _, files = kinetics(tmp_path, "riding a bike,abc-_456789,3,13,train\n")
    assert not [note for note in files.notes if "not read" in note]  # they are no lists as well
    (tmp_path / "label_map_k400.txt").unlink()
    with pytest.raises(ManifestError, match="name 1 class, expected 400"):
        read_annotations(find_dataset("kinetics400"), tmp_path)
    rows = "".join(f"action {n:03d},abc-_456{n:03d},3,13,train\n" for n in range(400))
    (tmp_path / "train.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    index, _, form = read_annotations(find_dataset("kinetics400"), tmp_path)
    assert form.title == "official csv"
    assert index.classes["label"][399] == "action 399"
