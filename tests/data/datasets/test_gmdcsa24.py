"""GMDCSA24: the spans of its lists, of a few lines and of the real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from marey.data.datasets.catalog import find_dataset
from marey.data.datasets.gmdcsa24 import CLASSES, PEOPLE
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.prepare import MediaFolder, prepare
from marey.data.prepare.valid_clips import valid_clips
from tests.manifests import read_complete
from tests.tiny import write_clip

HEADER = "File Name,Length (seconds),Time of Recording,Attire,Description, Classes\n"


def test_every_span_is_a_clip_and_people_are_groups(tmp_path: Path) -> None:
    (tmp_path / "S2" / "Fall").mkdir(parents=True)
    write_clip(tmp_path / "S2" / "Fall" / "01.mp4", 1, num_frames=30)
    (tmp_path / "S2" / "Fall.csv").write_text(
        HEADER
        + "01.mp4,03,Day,Shirt,He falls, Falling (BW[1 to 3]:; Sitting[0 to 0.9]; Eating[0.9 1]\n"
        + "02.mp4,03,Day,Shirt,He hops, Fall (FW)[0 to 3]; Hopping[0 to 3]\n"
    )
    index, files, _ = read_annotations(find_dataset("gmdcsa24"), tmp_path)
    shown = [(c.name, CLASSES[c.labels["label"]], c.start, c.end, c.group) for c in index.clips]  # type: ignore[index]
    assert shown == [
        ("S2/Fall/01", "Falling", 1, 3, "S2"),
        ("S2/Fall/01", "Sitting", 0, 0.9, "S2"),
        ("S2/Fall/02", "Falling", 0, 3, "S2"),
    ]
    assert [(reject.line.number, reject.value) for reject in files.rejects] == [
        (2, "Eating[0.9 1]"),
        (3, "Hopping"),
    ]
    made = prepare(find_dataset("gmdcsa24"), MediaFolder(tmp_path, probe=False), tmp_path / "out")
    assert made.manifest is not None
    manifest = read_complete(made.manifest)
    assert [str(path.relative_to(tmp_path)) for path in map(manifest.path, range(2))] == [  # type: ignore[arg-type]
        "S2/Fall/01.mp4"
    ] * 2
    assert manifest.classes["label"] == CLASSES


def test_the_real_lists_have_353_spans_and_six_that_say_nothing(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "falls"
    index, files, _ = read_annotations(find_dataset("gmdcsa24"), folder)
    clips = valid_clips(index, files, folder)
    assert len(clips) == 353
    assert {clip.group for clip in clips} == {*PEOPLE}
    counts = Counter(CLASSES[int(np.asarray(clip.labels["label"]))] for clip in clips)
    assert counts["Falling"] == 78
    assert set(counts) == {*CLASSES}
    assert [Path(reject.line.path).parent.name for reject in files.rejects] == [
        "S2", "S2", "S3", "S3", "S4", "S4"
    ]  # fmt: skip
