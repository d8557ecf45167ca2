"""A data set is one file, a value: nothing else in the package needs to know of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.manifest.read import read_manifest
from marey.data.prepare.prepare import MediaFolder, prepare
from marey.errors import ManifestError


def read(files: Annotations) -> Index:
    """Lines `camera/clip:sign`, whose signs are named in signs.txt."""
    names = ClassNames(numbered_names(files, "signs", 2))

    def clip(split: str, line: SourceLine, text: str) -> AnnotatedClip:
        path, colon, sign = text.partition(":")
        if not colon:
            raise Misfit("no sign", "write `camera/clip:sign`")
        camera, _, name = path.rpartition("/")
        return AnnotatedClip(
            line, name, split, {"sign": names.find(sign)}, fields={"camera": camera}
        )

    return Index({"sign": names.names}, files.clips(("train", "val"), TextFile.lines, clip))


SIGNS = DataSet(
    name="signs",
    title="Signs",
    licence="ours",
    source="the shelf",
    forms=(
        AnnotationForm(
            title="lists `camera/clip:sign`",
            files={"signs": "signs.txt", "train": "train.lst", "val": "val.lst"},
            read=read,
            needs=("signs",),
            class_roles=("signs",),
        ),
    ),
    layouts=in_folders("{camera}", ""),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "left").mkdir()
    for name in ("left/a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "signs.txt").write_text("thank you\nplease\n")
    return tmp_path


def test_a_data_set_of_ones_own_is_prepared_without_a_word_of_it_elsewhere(root: Path) -> None:
    (root / "train.lst").write_text("left/a:Thank_You\nc\n/b:please\nleft/d:pleese\n")
    made = prepare(SIGNS, MediaFolder(root, probe=False), root / "out")
    assert made.manifest is not None
    manifest = read_manifest(made.manifest)
    assert [str(manifest.path(n).relative_to(root)) for n in range(2)] == ["left/a.mp4", "b.mp4"]
    assert manifest.labels["sign"].tolist() == [0, 1]
    assert [(row.line.number, row.value, row.reason) for row in made.account.rejects] == [
        (2, "c", "no sign"),
        (4, "pleese", "none of the 2 classes"),
    ]
    assert made.account.rejects[1].remedy == "did you mean 'please'?"


def test_a_file_of_class_names_alone_is_not_enough(root: Path) -> None:
    with pytest.raises(ManifestError, match=r"no annotations of Signs(?s:.*)not found: train\.lst"):
        prepare(SIGNS, MediaFolder(root), root / "out")
