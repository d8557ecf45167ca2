"""Clips of class folders for a trained model: as folders, by patterns, several at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.data.own_videos.labelled import is_labelled_source, read_labelled
from marey.errors import ManifestError


def folders(root: Path, *names: str) -> Path:
    """Folders of two files each; reading labels opens none."""
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(2):
            (root / name / f"{i}.mp4").write_bytes(b"")
    return root


def labels(source: str | tuple[str, ...]) -> list[str]:
    manifest, _ = read_labelled(source)
    return [manifest.classes["label"][i] for i in manifest.labels["label"]]


def test_a_pattern_of_class_folders_is_read_as_class_folders(tmp_path: Path) -> None:
    root = folders(tmp_path, "hug", "kick", "other")
    assert labels(f"{root}/[hk]*") == ["hug", "hug", "kick", "kick"]
    assert labels((f"{root}/hug", f"{root}/kick")) == ["hug", "hug", "kick", "kick"]
    assert labels(f"{root}/[hk]*/*.mp4") == ["hug", "hug", "kick", "kick"]


def test_folders_that_may_be_splits_are_refused_with_both_readings(tmp_path: Path) -> None:
    root = folders(tmp_path, "train/hug", "val/hug")
    with pytest.raises(ManifestError, match="train, val may be classes or splits.*give the folder"):
        read_labelled(f"{root}/*")


def test_files_beside_class_folders_are_refused(tmp_path: Path) -> None:
    root = folders(tmp_path, "hug", "kick")
    (root / "a.mp4").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"hug is a folder of clips and .*a\.mp4 is none"):
        read_labelled(f"{root}/*")
    assert labels(f"{root}/*/") == ["hug", "hug", "kick", "kick"]


def test_several_manifests_are_one_set_and_other_things_beside_them_are_not() -> None:
    assert not is_labelled_source(("a.csv", "b.parquet"))
    assert is_labelled_source(("a.mp4", "b.mp4"))
    with pytest.raises(ManifestError, match=r"c\.mp4 and a\.csv are not read as one set"):
        is_labelled_source(("a.csv", "c.mp4"))
    with pytest.raises(ManifestError, match=r"a\.txt and b\.txt are not read .*marey data init a"):
        is_labelled_source(("a.txt", "b.txt"))
