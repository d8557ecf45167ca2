"""What `verify` reads is not trusted: it stays in its folder, and says which list is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from marey.data.manifest.manifest import Manifest
from marey.data.packs.checksums import read_checksums, verify
from marey.data.packs.forms import FrameFolders
from marey.data.packs.pack_clips import pack_clips
from marey.errors import ManifestError
from marey.jobs.executors import Here
from marey.video.reading.pixels import ShortSide
from tests.video.media import numbered, write_folder

HEADER = "path,bytes,sha256\n"


def test_a_folder_without_checksums_is_told_what_has_them(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").touch()
    for path in (tmp_path, tmp_path / "manifest.csv"):
        with pytest.raises(ManifestError, match=r"has no checksums\.csv.*pack.*data check"):
            verify(path, executor=Here())


@pytest.mark.parametrize(
    "path", ["/etc/hostname", "../secret", "a/../../secret", "./a", "a//b", "", "..", "a\0"]
)
def test_a_list_that_leads_out_of_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    out = tmp_path / "out"
    out.mkdir()
    (out / "checksums.csv").write_text(f"{HEADER}{path},6,{'0' * 64}\n")
    with pytest.raises(ManifestError, match=r"checksums\.csv: .* is no path below its folder"):
        verify(out, executor=Here())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 60,
        HEADER.encode(),
        b"path,bytes\na,1\n",
        HEADER.encode() + b"a,1\n",
        HEADER.encode() + b"a,one,0\n",
        HEADER.encode() + b"a,-1,0\n",
        HEADER.encode() + b"a," + b"9" * 5000 + b",0\n",
        HEADER.encode() + b"a\xff,1,0\n",
        HEADER.encode() + b'"a,1,0\n',
        HEADER.encode() + b"x" * 200_000 + b",1,0\n",
    ],
)
def test_a_list_that_is_damaged_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "checksums.csv").write_bytes(data)
    with pytest.raises(ManifestError, match=r"checksums\.csv"):
        read_checksums(tmp_path)


def test_a_pipe_among_the_frames_is_said_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    os.mkfifo(tmp_path / "clip/img_00001.jpg")
    (tmp_path / "checksums.csv").write_text(f"{HEADER}clip,6,{'0' * 64}\n")
    assert verify(tmp_path, executor=Here()) == [f"{tmp_path}/clip/img_00001.jpg: no plain file"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    root = tmp_path_factory.mktemp("root")
    for name in "ab":
        write_folder(root / name, numbered(2))
    columns = {"path": ["a", "b", "c"], "label": [0, 1, 1]}
    manifest = Manifest.from_columns(root, root, columns, {"label": ("x", "y")})
    pack_clips(manifest, root / "out", FORM, executor=Here())
    return manifest, root / "out"


FORM = FrameFolders(scale=ShortSide(16))


@pytest.mark.parametrize("name", ["packing.json", "rejects.csv", "checksums.csv"])
@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", b"[1, 2]", b'{"a": ', b"[" * 100_000, b"9" * 5000, b"\xff\xfe"]
)
def test_a_damaged_side_file_of_a_packing_is_named(
    packed: tuple[Manifest, Path], name: str, data: bytes
) -> None:
    manifest, out = packed
    kept = (out / name).read_bytes()
    relabelled = manifest.with_columns({"label": np.array([1, 1, 0])})
    try:
        (out / name).write_bytes(data)
        with pytest.raises(ManifestError, match=name.replace(".", r"\.")):
            pack_clips(relabelled, out, FORM, executor=Here())
    finally:
        (out / name).write_bytes(kept)


@pytest.mark.parametrize("row", ["0", "9", "-1", "x", "9" * 5000])
def test_a_reject_that_is_no_row_is_named(packed: tuple[Manifest, Path], row: str) -> None:
    manifest, out = packed
    kept = (out / "rejects.csv").read_bytes()
    relabelled = manifest.with_columns({"label": np.array([0, 0, 1])})
    try:
        (out / "rejects.csv").write_text(f"path,row,reason\nc,{row},gone\n")
        with pytest.raises(ManifestError, match=r"rejects\.csv"):
            pack_clips(relabelled, out, FORM, executor=Here())
    finally:
        (out / "rejects.csv").write_bytes(kept)
