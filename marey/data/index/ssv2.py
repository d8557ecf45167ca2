"""Something-Something V2 (arXiv 1706.04261): 220,847 clips of 174 classes, 12 frames a second.

The official json files name classes by a template, ``Holding [something]``; without its brackets
that is a key of the file of labels, which numbers them alphabetically. TSM and UniFormer publish
lists ``id num_frames label`` with the same numbers.

**Deviates**: UniFormer's category.txt is sorted with the brackets still there, so that "[Something]
falling like a rock" is last and 89 of its lines are not at their own number; its lists count
without brackets. Here names are sorted without them, whatever the order of the lines.
"""

from __future__ import annotations

from marey.data.index.annotations import Annotations, whole
from marey.data.index.class_names import ClassNames, expect_count, unbracketed
from marey.data.index.dataset import Clip, DataSet, Form, Index
from marey.data.index.frame_lists import list_rows
from marey.errors import ManifestError

NUM_CLASSES = 174
SPLITS = ("train", "val", "test")


def read_official(files: Annotations) -> Index:
    """The clips of the official json files."""
    names = official_names(files)
    clips = [clip for split in SPLITS if split in files for clip in json_clips(files, split, names)]
    return Index({"label": names.names}, clips)


def official_names(files: Annotations) -> ClassNames:
    """The classes of something-something-v2-labels.json, by number."""
    path, numbers = files["classes"], files.mapping("classes")
    by_number = {whole(str(number)): name for name, number in numbers.items()}
    expect_count(path, list(numbers), NUM_CLASSES)
    if set(by_number) != set(range(NUM_CLASSES)):
        raise ManifestError(
            f"{path}: expected the numbers 0 to {NUM_CLASSES - 1}, each once",
            "download the labels again",
        )
    return ClassNames([by_number[number] for number in range(NUM_CLASSES)])


def json_clips(files: Annotations, split: str, names: ClassNames) -> list[Clip]:
    """The clips of one json file; those of the test file have no template and so no label."""
    clips = []
    for place, entry in files.objects(split, ("id",)):
        labels = {}
        if "template" in entry or split != "test":
            label = names.known(files, place, str(entry.get("template", "")))
            if label is None:
                continue
            labels = {"label": label}
        clips.append(Clip(place, str(entry["id"]), split, labels))
    return clips


def read_lists(files: Annotations) -> Index:
    """The clips of lists `id num_frames label`; labels count the names in alphabetical order."""
    lines = [unbracketed(line) for _, line in files.lines("classes")]
    expect_count(files["classes"], lines, NUM_CLASSES)
    names = tuple(sorted(lines))
    clips = []
    for split in ("train", "val"):
        if split in files:
            clips += list_clips(files, split, len(names))
    if "test" in files:
        clips += [clip._replace(labels={}) for clip in list_clips(files, "test", len(names))]
        files.notes.append(f"{files['test'].name} has 0 in place of labels: read without labels")
    return Index({"label": names}, clips)


def list_clips(files: Annotations, split: str, num_classes: int) -> list[Clip]:
    """The clips of one list whose labels count from 0."""
    clips = []
    for row in list_rows(files, split):
        if row.label < num_classes:
            clips.append(
                Clip(row.place, row.path, split, {"label": row.label}, num_frames=row.num_frames)
            )
        else:
            files.reject(row.place, row.label, f"labels are 0 to {num_classes - 1}")
    return clips


SSV2 = DataSet(
    name="ssv2",
    title="Something-Something V2",
    licence="research only, by agreement with Qualcomm",
    source="qualcomm.com/developer/software/something-something-v-2-dataset: videos (20 parts) and"
    " labels, after registration",
    forms=(
        Form(
            "official json",
            {
                "classes": ("something-something-v2-labels.json", "labels.json"),
                "train": ("something-something-v2-train.json", "train.json"),
                "val": ("something-something-v2-validation.json", "validation.json"),
                "test": ("something-something-v2-test.json", "test.json"),
            },
            read_official,
        ),
        Form(
            "lists `id num_frames label`",
            {
                "classes": ("category.txt", "label_map.txt"),
                "train": ("somesomev2_rgb_train_split.txt", "train_videofolder.txt"),
                "val": ("somesomev2_rgb_validation_split.txt", "val_videofolder.txt"),
                "test": ("somesomev2_rgb_test_split.txt", "test_videofolder.txt"),
            },
            read_lists,
        ),
    ),
    layouts=(
        "20bn-something-something-v2/{name}",
        "20bn-something-something-v2-frames/{name}",
        "something-something-v2-videos/{name}",
        "videos/{name}",
        "frames/{name}",
        "{name}",
    ),
    frame_rate=lambda _: 12.0,
)
