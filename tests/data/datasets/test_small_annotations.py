"""Forms of annotations of which no real file is at hand, dirty lines, and where clips are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marey.data.datasets.catalog import find_dataset
from marey.data.datasets.dataset import Index
from marey.data.datasets.epic100 import NUM_CLASSES
from marey.data.datasets.hmdb51 import CLASSES
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.manifest.manifest import Manifest
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.prepare import MediaFolder, prepare
from marey.data.prepare.valid_clips import valid_clips
from marey.errors import ManifestError
from tests.manifests import read_complete


def read(name: str, folder: Path, **files: str) -> tuple[Index, Annotations]:
    """The index of a data set whose files (by name, `__` for a dot) hold these texts."""
    for file, text in files.items():
        path = folder / file.replace("__", ".")
        path.write_text(text, encoding="utf-8")
    index, annotations, _ = read_annotations(find_dataset(name), folder)
    return index, annotations


def rejected(files: Annotations) -> list[tuple[int, str]]:
    return [(reject.line.number, reject.reason) for reject in files.rejects]


def frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        Image.new("L", (8, 8)).save(folder / f"frame_{number:010}.jpg")


def prepared(name: str, root: Path) -> tuple[Manifest, list[str]]:
    """The manifest of the media below `root`, and its paths from there."""
    made = prepare(find_dataset(name), MediaFolder(root, probe=False), root / "out")
    assert made.manifest is not None
    manifest = read_complete(made.manifest)
    return manifest, [str(manifest.path(n).relative_to(root)) for n in range(len(manifest))]


DIVES = json.dumps([[f"Back{i}", "15som", "05Twis", "FREE"] for i in range(48)])
ACTIONS = "".join(f"Take/Put thing{i} {i + 1}\n" for i in range(106))
MOMENTS = "".join(f"act{i},{i}\n" for i in range(305))
COUNTS = "".join(f"c{i} {i} 2.0\n" for i in range(1004))
CLASS_IND = "".join(f"{i + 1} Class{i:03}\r\n" for i in range(101))
VERBS = "id,key,instances,category\r\n" + "".join(
    f"{i},v{i},\"['a', 'b']\",x\r\n" for i in range(NUM_CLASSES["verb"])
)
NOUNS = "id,key,instances,category\n" + "".join(
    f"{i},n{i},[],x\n" for i in range(NUM_CLASSES["noun"])
)
EPIC = "narration_id,video_id,start_timestamp,stop_timestamp,verb_class,noun_class,all_nouns\n"


def test_dirty_lines_of_ucf101_are_named_with_their_number(tmp_path: Path) -> None:
    train = "\n".join(
        [
            "Class003/v_Class003_g01_c01.avi 4",
            "Class003/v_Class003_g01_c02.avi 5",
            "Clasp003/v_Class003_g01_c03.avi 4",
            "Err:522,",
        ]
    )
    index, files = read("ucf101-split1", tmp_path, classInd__txt=CLASS_IND, trainlist01__txt=train)
    assert [clip.name for clip in index.clips] == ["v_Class003_g01_c01"]
    assert rejected(files) == [
        (2, "its folder is class 4, the line says 5"),
        (3, "none of the 101 classes"),
        (4, "expected `class/clip number`; of test clips, `class/clip`"),
    ]


def test_a_list_of_ucf101_with_labels_from_1_is_refused(tmp_path: Path) -> None:
    lines = "\n".join(f"v_Class{i:03}_g01_c01 30 {i + 1}" for i in range(101))
    with pytest.raises(ManifestError, match=r"do not name 101 classes.*put classInd.txt"):
        read(
            "ucf101-split1",
            tmp_path,
            ucf101_rgb_train_split_1__txt=lines,
            ucf101_rgb_val_split_1__txt=lines,
        )


def test_a_clip_of_ucf101_whose_label_is_not_its_folder_is_rejected(tmp_path: Path) -> None:
    lines = "data/v_Class000_g01_c01 30 0\ndata/v_Class001_g01_c01 30 2\nodd/name 12 2\n"
    index, files = read(
        "ucf101-split2", tmp_path, classInd__txt=CLASS_IND, ucf101_rgb_train_split_2__txt=lines
    )
    assert [clip.name for clip in index.clips] == ["v_Class000_g01_c01", "name"]
    assert rejected(files) == [(2, "label 2 is Class002, its path says Class001")]


def test_lines_of_ucf101_have_the_columns_of_their_list(tmp_path: Path) -> None:
    train = "Class003/v_a_g01_c01.avi 4 1\nClass003/v_a_g01_c02.avi\nClass003/ 4\n"
    _, files = read(
        "ucf101-split1",
        tmp_path,
        classInd__txt=CLASS_IND,
        trainlist01__txt=train,
        testlist01__txt="Class003/v_b_c01.avi\n",
    )
    reason = "expected `class/clip number`; of test clips, `class/clip`"
    assert rejected(files) == [(1, reason), (2, reason), (3, reason)]


def test_a_list_of_hmdb51_that_counts_from_1_is_rejected(tmp_path: Path) -> None:
    lines = "\n".join(f"A_{name}_u_nm_np1_ba_goo_0 9 {n}" for n, name in enumerate(CLASSES, 1))
    index, files = read("hmdb51-split1", tmp_path, hmdb51_rgb_train_split_1__txt=lines)
    assert not index.clips
    assert rejected(files)[6] == (7, "label 7 is dive, its path says climb_stairs")
    assert rejected(files)[-1] == (51, "labels are 0 to 50")


def test_a_list_of_kinetics_whose_folders_are_other_classes_is_rejected(tmp_path: Path) -> None:
    names = "\n".join(f"act {n}x" for n in range(400))
    lines = "val/act_3x/a.mp4 3\nval/act_3x/b.mp4 4\nval/c.mp4 5\n"
    index, files = read("kinetics400", tmp_path, label_map_k400__txt=names, val__txt=lines)
    assert [clip.name for clip in index.clips] == ["val/act_3x/a", "val/c"]
    assert rejected(files) == [(2, "label 4 is act 4x, its path says act_3x")]


def test_dirty_lines_of_hmdb51_are_named_with_their_number(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / f"{name}_test_split3.txt").write_text(f"a b_{name}_1.avi 1 \n")
    (tmp_path / "wave_test_split3.txt").write_text("x_wave.avi 2 \n\ny_wave.avi 3\nz.avi\n")
    index, files = read("hmdb51-split3", tmp_path)
    assert [(c.name, c.split) for c in index.clips[-2:]] == [
        ("a b_walk_1", "train"),
        ("x_wave", "val"),
    ]
    reason = "expected a video and 0, 1 or 2"
    assert rejected(files) == [(3, reason), (4, reason)]


LISTS = {
    "ssv1": ("train_videofolder.txt", "7"),
    "ucf101-split1": ("ucf101_rgb_train_split_1.txt", "v_Class003_g01_c01"),
    "hmdb51-split1": ("hmdb51_rgb_train_split_1.txt", "a_chew_u_nm_np1_fr_goo_1"),
    "kinetics400": ("train_videofolder.txt", "a"),
    "diving48": ("train_videofolder.txt", "a"),
}


@pytest.mark.parametrize("name", LISTS)
def test_spans_of_a_list_are_frames_from_0(name: str, tmp_path: Path) -> None:
    file, path = LISTS[name]
    (tmp_path / file).write_text(f"{path} 11 90 3\n")
    doings, acts = ("".join(f"a{n}b\n" for n in range(count)) for count in (174, 400))
    index, files = read(
        name,
        tmp_path,
        classInd__txt=CLASS_IND,
        category__txt=doings,
        label_map_k400__txt=acts,
        Diving48_vocab__json=DIVES,
    )
    assert not files.rejects
    assert [(clip.start, clip.end) for clip in index.clips] == [(10, 90)]
    assert index.unit == "frames"


def test_diving48_is_read_from_its_json(tmp_path: Path) -> None:
    rows = [
        {"vid_name": "a_b_00001", "label": 3, "start_frame": 0, "end_frame": 99},
        {"vid_name": "c_00002", "label": "3", "start_frame": 0, "end_frame": 9},
        {"vid_name": "", "label": 1},
        {"vid_name": "d_00003", "label": 1, "start_frame": 9, "end_frame": 9},
        {"vid_name": "e_00004", "label": 1, "start_frame": 9, "end_frame": 30},
        {"vid_name": "f_00005", "label": 1, "start_frame": "0", "end_frame": 9},
    ]
    (tmp_path / "Diving48_train.json").write_text("[]")
    index, files = read(
        "diving48",
        tmp_path,
        Diving48_vocab__json=DIVES,
        Diving48_V2_train__json=json.dumps(rows, indent=1),
    )
    assert index.classes["label"][3] == "Back3+15som+05Twis+FREE"
    clip, part = index.clips
    assert (clip.name, clip.num_frames, clip.group) == ("a_b_00001", 99, "a_b")
    assert (part.num_frames, part.start, part.end, index.unit) == (None, 9, 30, "frames")
    assert rejected(files) == [
        (8, "the label is no whole number"),
        (14, "vid_name is no name"),
        (18, "no span of frames"),
        (30, "no span of frames"),
    ]
    assert files.notes[0] == "also there, not read: json of V1, whose labels V2 corrects"


def test_a_vocabulary_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[1, 2]", "[" * 100_000):
        with pytest.raises(ManifestError, match="not a list of lists of words|not JSON"):
            read("diving48", tmp_path, Diving48_vocab__json=text, Diving48_V2_test__json="[]")


def test_clips_of_egtea_are_files_of_their_own(tmp_path: Path) -> None:
    name = "OP01-R01-PastaSalad-66680-68130-F001597-F001639"
    index, files = read(
        "egtea-split1",
        tmp_path,
        action_idx__txt=ACTIONS,
        train_split1__txt=f"{name} 73 2 40 41\n{name}b x 1\n",
    )
    (clip,) = index.clips
    assert (clip.labels, clip.start, clip.group) == ({"label": 72}, None, "OP01-R01-PastaSalad")
    assert index.classes["label"][72] == "Take/Put thing72"
    assert rejected(files) == [(2, "expected a clip and its action, from 1")]
    (tmp_path / "cropped_clips" / "OP01-R01-PastaSalad").mkdir(parents=True)
    (tmp_path / "cropped_clips" / "OP01-R01-PastaSalad" / f"{name}.mp4").touch()
    _, paths = prepared("egtea-split1", tmp_path)
    assert paths == [f"cropped_clips/OP01-R01-PastaSalad/{name}.mp4"]


def test_dirty_lines_of_rulstms_actions_are_named_and_their_classes_are_numbers(tmp_path):
    actions = "0, 0_0, Read\nErr:522\n1, 1_1, \n0, 2_2, Open\n"
    index, files = read(
        "egtea-split1", tmp_path, actions__csv=actions, training1__csv="7,P1,3,9,0,0,1\n"
    )
    assert index.classes["label"][:2] == ("Read", "1")
    assert [line for line, _ in rejected(files)] == [2, 3, 4]


def test_dirty_lines_of_rulstm_are_named_with_their_number(tmp_path: Path) -> None:
    lines = "1,P01_01,30,60,1,2,3\n2,P01_01,30,60,1,2\n3,P01_01,-3,60,1,2,3\nx,Q1,30,60,1,2,3\n"
    index, files = read("epic100", tmp_path, training__csv=lines, validation__csv="")
    (clip,) = index.clips
    assert (clip.start, clip.end, clip.labels) == (1.0, 2.0, {"verb": 1, "noun": 2})
    assert [line for line, _ in rejected(files)] == [2, 3, 4]


def test_parts_of_epic_are_frames_of_the_folders_that_are_handed_out(tmp_path: Path) -> None:
    rows = [
        "a,P01_01,00:00:00.14,00:00:00.31,3,4,\"['tap', 'cup']\"",
        "b,P01_101,00:00:00.14,00:00:00.31,96,299,[]",
        "c,P01_01,00:00:00.14,bad,3,4,[]",
        "d,P01_01,00:00:00.14,00:00:00.31,3,,[]",
        "e,P01_01,00:00:00.31,00:00:00.14,3,4,[]",
        "f,P01_01,00:00:00.14,00:00:00.32,97,4,[]",
    ]
    for video in ("P01_01", "P01_101"):
        frames(tmp_path / "P01" / "rgb_frames" / video, 20)
    files = {"EPIC_100_verb_classes__csv": VERBS, "EPIC_100_noun_classes__csv": NOUNS}
    index, found = read("epic100", tmp_path, EPIC_100_train__csv=EPIC + "\n".join(rows), **files)
    assert rejected(found) == [
        (4, "expected times like 00:01:09.98"),
        (5, "classes are whole numbers from 0"),
    ]
    assert index.classes["noun"][299] == "n299"
    manifest, paths = prepared("epic100", tmp_path)
    assert manifest.starts is not None
    assert manifest.ends is not None
    assert manifest.rates is not None
    assert manifest.unit == "frames"
    assert paths == ["P01/rgb_frames/P01_01", "P01/rgb_frames/P01_101"]
    np.testing.assert_array_equal(manifest.rates, [60, 50])
    np.testing.assert_array_equal(manifest.starts, [8, 7])
    np.testing.assert_array_equal(manifest.ends, [19, 16])  # 15.5 to the even one
    assert len((tmp_path / "out" / "rejects.csv").read_text().splitlines()) == 1 + 4


def test_every_part_of_epic_has_an_id_of_its_own(tmp_path: Path) -> None:
    rows = [
        f"{uid},P01_01,00:00:0{n}.0,00:00:0{n}.9,3,4,[]"
        for n, uid in enumerate(("a", "b", "a", ""))
    ]
    index, files = read(
        "epic100",
        tmp_path,
        EPIC_100_train__csv=EPIC + "\n".join(rows),
        EPIC_100_verb_classes__csv=VERBS,
        EPIC_100_noun_classes__csv=NOUNS,
    )
    assert [clip.id for clip in valid_clips(index, files, tmp_path)] == ["a", "b"]
    train = tmp_path / "EPIC_100_train.csv"
    assert rejected(files) == [(5, "no narration_id"), (4, f"was given before, at {train}:2")]


def test_classes_of_epic_that_count_from_1_are_refused(tmp_path: Path) -> None:
    verbs = "id,key\n" + "".join(f"{n + 1},v{n}\n" for n in range(NUM_CLASSES["verb"]))
    with pytest.raises(ManifestError, match=r"verb_classes.csv: expected the ids 0 to 96"):
        read(
            "epic100",
            tmp_path,
            EPIC_100_train__csv=EPIC,
            EPIC_100_verb_classes__csv=verbs,
            EPIC_100_noun_classes__csv=NOUNS,
        )


def test_test_parts_of_epic_have_no_labels(tmp_path: Path) -> None:
    text = "narration_id,video_id,start_timestamp,stop_timestamp\na,P01_01,00:00:01.0,00:00:02.0\n"
    index, _ = read(
        "epic100",
        tmp_path,
        EPIC_100_test_timestamps__csv=text,
        EPIC_100_verb_classes__csv=VERBS,
        EPIC_100_noun_classes__csv=NOUNS,
    )
    assert [(clip.split, clip.labels) for clip in index.clips] == [("test", {})]


def test_one_list_of_rulstm_is_enough_and_files_of_classes_alone_are_not(tmp_path: Path) -> None:
    names = {"EPIC_100_verb_classes__csv": VERBS, "EPIC_100_noun_classes__csv": NOUNS}
    index, _ = read("epic100", tmp_path, validation__csv="u1,P01_01,30,60,3,4,7\n", **names)
    assert [(clip.split, clip.id, clip.start) for clip in index.clips] == [("val", "u1", 1.0)]
    assert index.classes["verb"][3] == "v3"
    (tmp_path / "validation.csv").unlink()
    with pytest.raises(ManifestError, match="no annotations of EPIC-KITCHENS-100"):
        read("epic100", tmp_path, **names)


def test_moments_lie_in_the_folder_of_their_split(tmp_path: Path) -> None:
    for split in ("training", "validation"):
        (tmp_path / split / "act3").mkdir(parents=True)
        (tmp_path / split / "act3" / "a.mp4").touch()
    line = "act3/a.mp4,act3,4,0\n"
    index, files = read(
        "moments",
        tmp_path,
        moments_categories__txt=MOMENTS,
        trainingSet__csv=line + "b.mp4,act999,3,0\nErr:522,\n",
        validationSet__csv=line,
    )
    assert [clip.labels for clip in index.clips] == [{"label": 3}, {"label": 3}]
    assert rejected(files) == [(2, "none of the 305 classes"), (3, "expected file,label")]


def test_mini_moments_are_the_clips_of_its_200_classes(tmp_path: Path) -> None:
    names = "".join(f"act{i}\n" for i in range(100, 300))
    lines = "act100/a.mp4,act100,3,0\nact1/b.mp4,act1,3,0\n"
    index, files = read("mini-mit", tmp_path, mini_moments__txt=names, trainingSet__csv=lines)
    assert [clip.labels for clip in index.clips] == [{"label": 0}]
    assert "1 clip of 1 other class left out" in files.notes
    assert not files.rejects


def test_mini_moments_are_read_from_lists(tmp_path: Path) -> None:
    names = "".join(f"act{i}\n" for i in range(200))
    lines = "/data/frames/act7/a 1 90 7\n/data/frames/act7/b 11 90 7\n"
    index, _ = read("mini-mit", tmp_path, mini_moments__txt=names, train__txt=lines)
    assert [clip.name for clip in index.clips] == ["act7/a", "act7/b"]
    assert [(clip.start, clip.end) for clip in index.clips] == [(0, 90), (10, 90)]


def test_dirty_lines_of_videolt_are_named_with_their_number(tmp_path: Path) -> None:
    lines = "aa 1,2\nbb\ncc 1004\ndd 1,1\nee x,1\nErr:522,\nff 0\n"
    index, files = read(
        "videolt", tmp_path, **{"count-labels-train__lst": COUNTS, "train__lst": lines}
    )
    assert [(c.name, c.labels["label"]) for c in index.clips] == [("aa", (1, 2)), ("ff", (0,))]
    assert [line for line, _ in rejected(files)] == [2, 3, 4, 5, 6]
    assert any(note.startswith("1,004 classes with other counts") for note in files.notes)


def test_features_of_videolt_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "aa.npy", np.zeros((3, 4), np.float32))
    read("videolt", tmp_path, **{"count-labels-train__lst": COUNTS, "train__lst": "aa 1,2\nbb 3\n"})
    manifest, paths = prepared("videolt", tmp_path)
    assert paths == ["features/aa.npy"]
    assert manifest.labels["label"].nonzero()[1].tolist() == [1, 2]


def test_splits_of_videolt_lt_are_read_from_json_and_from_lists(tmp_path: Path) -> None:
    rows = [{"id": "aa", "template": "[c7]"}, {"id": "bb", "label": [8, "c9"]}, {"id": "cc"}]
    text = json.dumps(rows)
    index, files = read(
        "videolt-lt",
        tmp_path,
        **{"count-labels-train__lst": COUNTS},
        train__json=text,
        trainval__json="[]",
        val__json=text,
    )
    assert [(c.split, c.name, c.labels["label"]) for c in index.clips] == [
        (split, name, labels)
        for split in ("train", "test")
        for name, labels in (("aa", (7,)), ("bb", (8, 9)))
    ]
    assert len(files.rejects) == 2
    for name in ("train", "trainval", "val"):
        (tmp_path / f"{name}.json").unlink()
    index, files = read("videolt-lt", tmp_path, train__lst="aa 1,2\n")
    assert [clip.labels for clip in index.clips] == [{"label": (1, 2)}]
    assert not [note for note in files.notes if "other counts" in note]


@pytest.mark.parametrize("text", ["1 a\n2 b\n", "a 0\nb 1\n", "a,0\nb,1\n", "a\nb\n", "b 2\na 1\n"])
def test_class_names_may_have_their_number_before_or_after(text: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    names = numbered_names(Annotations({"classes": tmp_path / "names.txt"}), "classes", 2)
    assert names == ["a", "b"]


def test_class_numbers_with_a_gap_are_refused(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("1 a\n3 b\n")
    with pytest.raises(ManifestError, match="a number is missing or there twice"):
        numbered_names(Annotations({"classes": tmp_path / "names.txt"}), "classes", 2)
