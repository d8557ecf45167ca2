"""Whatever is called weights is read, or refused with its problem named; nothing in it is run."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.engine.weights.read_file import read_weights_file
from marey.errors import CheckpointError

WEIGHTS = {f"layer{i}.weight": torch.arange(6.0).reshape(2, 3) for i in range(4)}


def saved(*, as_zip: bool = True, **extra: object) -> bytes:
    file = io.BytesIO()
    torch.save(
        {"state_dict": WEIGHTS, "epoch": 3, **extra}, file, _use_new_zipfile_serialization=as_zip
    )
    return file.getvalue()


class Evil:
    """Runs a command where it is unpickled by anything less careful."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("as_zip", [True, False])
def test_both_formats_of_torch_are_read(as_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pth.tar"
    path.write_bytes(saved(as_zip=as_zip))
    state = read_weights_file(path)
    assert torch.equal(state["state_dict"]["layer0.weight"], WEIGHTS["layer0.weight"])


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    safetensors.torch.save_file(WEIGHTS, path)
    assert set(read_weights_file(path)) == set(WEIGHTS)


def test_numbers_of_numpy_and_the_options_of_a_script_may_lie_beside_the_weights(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(saved(best_prec1=np.float64(61.2), args=argparse.Namespace(lr=0.1)))
    assert read_weights_file(path)["best_prec1"] == 61.2


@pytest.mark.parametrize("as_zip", [True, False])
def test_code_in_a_pickle_is_refused_and_never_run(as_zip: bool, tmp_path: Path) -> None:
    path, proof = tmp_path / "evil.pth", tmp_path / "ran"
    path.write_bytes(saved(as_zip=as_zip, optimizer=Evil(f"touch {proof}")))
    with pytest.raises(CheckpointError, match=r"holds code, which is never run \(posix\.system\)"):
        read_weights_file(path)
    path.write_bytes(pickle.dumps(Evil(f"touch {proof}"), protocol=2))
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights_file(path)
    for protocol in (4, 5):
        path.write_bytes(pickle.dumps(Evil(f"touch {proof}"), protocol=protocol))
        with pytest.raises(CheckpointError, match="a pickle that torch.save did not write; .* nev"):
            read_weights_file(path)
    assert not proof.exists()


def test_a_whole_module_is_named_as_what_it_is(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"linear\.Linear.*hint: ask .* plain state dict"):
        read_weights_file(tmp_path / "m.pth")


def archive_of_a_picture() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat.jpg", b"jpeg")
    return file.getvalue()


def tar_of_weights() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("model.pth")
        info.size = len(saved())
        archive.addfile(info, io.BytesIO(saved()))
    return file.getvalue()


def scripted() -> bytes:
    """As torch.jit.save lays it out."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl"):
            archive.writestr(f"model/{name}", b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (scripted(), "a TorchScript program.*plain state dict"),
        (b"\x93NUMPY\x01\x00", "an array of numpy.*plain state dict"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file.*plain state dict"),
        (b"", r"empty \(0 bytes\).*hint: download it again"),
        (b"<!DOCTYPE html><html>Google Drive - Virus scan warning", "a web page.*in a browser"),
        (b"\n  <html><body>404</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "git-lfs.*git lfs pull"),
        (b"\x1f\x8b\x08\x00rest", "a gzip archive.*unpack it"),
        (tar_of_weights(), "a tar archive.*unpack it"),
        (archive_of_a_picture(), r"a zip archive of cat\.jpg.*unpack it"),
        (saved()[:900], r"no end, so it is cut short \(900 bytes"),
        (saved(as_zip=False)[:400], r"cut short, damaged.*\(400 bytes"),
        (b"just some words", "does not begin as a file of torch.save"),
    ],
)
def test_what_is_no_file_of_weights_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=problem):
        read_weights_file(path)


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_pickle_of_another_protocol_is_not_called_damaged(protocol: int, tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "w.pth", pickle_protocol=protocol)
    message = r"another kind than torch.save writes.*pickle_protocol=4 for one \(Unsupported op"
    with pytest.raises(CheckpointError, match=message):
        read_weights_file(tmp_path / "w.pth")


def test_an_onnx_graph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(CheckpointError, match="an ONNX graph.*plain state dict"):
        read_weights_file(path)


def test_no_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it does not exist"):
        read_weights_file(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="it is a folder"):
        read_weights_file(tmp_path)


def test_safetensors_cut_short_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.torch.save(WEIGHTS)[:-5])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        read_weights_file(path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "w.pth"


CONTENTS = {"zip": saved(), "pickle": saved(as_zip=False), "st": safetensors.torch.save(WEIGHTS)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    scratch: Path, kind: str, data: st.DataObject
) -> None:
    content = bytearray(CONTENTS[kind])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    scratch.write_bytes(content[:length])
    with suppress(CheckpointError):
        read_weights_file(scratch)


def test_a_damaged_checkpoint_of_a_run_points_to_the_one_beside_it(tmp_path: Path) -> None:
    last, best = (tmp_path / "checkpoints" / name for name in ("last.pt", "best.pt"))
    last.parent.mkdir()
    torch.save({"w": torch.zeros(9)}, best)
    for content in (b"", best.read_bytes()[:300]):
        last.write_bytes(content)
        with pytest.raises(CheckpointError) as error:
            read_weights_file(last)
        assert f"{best} of this run is there" in error.value.hint
    best.unlink()
    with pytest.raises(CheckpointError, match="no other checkpoint"):
        read_weights_file(last)
