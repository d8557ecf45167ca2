"""Tensors that lie are refused by name, whichever way they come in, before anything is computed."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from marey.convert.convert import convert
from marey.convert.repository import Settings
from marey.engine.weights.checkpoint import load_checkpoint, load_weights
from marey.engine.weights.read_file import read_weights_file
from marey.engine.weights.starting import initialize
from marey.errors import CheckpointError
from marey.models import Head, ModelSpec, ResNetSpec
from marey.models.video_model import VideoModel

SPEC = ModelSpec(ResNetSpec(18, channels=8), num_segments=4, heads=(Head("label", 5),))
ZERO = torch.zeros(())


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return SPEC.build()


@pytest.fixture(scope="module")
def picture(model: VideoModel) -> dict[str, Any]:
    """Its weights as torchvision writes them."""
    weights = {n.removeprefix("encoder."): w for n, w in model.state_dict().items()}
    return {n.replace("heads.label", "fc"): w for n, w in weights.items()}


def quietly(make: Callable[[], Tensor]) -> Tensor:
    """What torch deprecates, or calls a prototype, and files may hold all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def nested() -> Tensor:
    return quietly(lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]))


def quantised() -> Tensor:
    return quietly(lambda: torch.quantize_per_tensor(torch.ones(5, 64), 0.1, 0, torch.qint8))


LIES: dict[str, tuple[dict[Any, Any], str]] = {
    "stride 0": (
        {"conv1.weight": ZERO.expand(8, 3, 1 << 20, 1 << 20)},
        r"conv1\.weight \(\[8, 3, 1048576, 1048576\] of 4 bytes\)",
    ),
    "stride 0 in the head": ({"fc.weight": torch.zeros(1, 1).expand(1 << 28, 64)}, r"fc\.weight"),
    "meta": ({"fc.weight": torch.zeros(5, 64, device="meta")}, "on the device meta"),
    "nested": ({"fc.weight": nested()}, r"fc\.weight \(nested\)"),
    "sparse": ({"fc.weight": torch.eye(5, 64).to_sparse()}, r"float32, sparse_coo"),
    "quantised": ({"fc.weight": quantised()}, "qint8"),
    "int8": ({"fc.weight": torch.ones(5, 64, dtype=torch.int8)}, r"fc\.weight \(int8\)"),
    "8-bit floats": ({"fc.weight": torch.ones(5, 64).to(torch.float8_e4m3fn)}, "float8"),
    "complex": ({"fc.weight": torch.ones(5, 64, dtype=torch.complex64)}, "complex64"),
    "empty": ({"fc.weight": torch.ones(1 << 40, 0)}, r"fc\.weight \(empty\)"),
    "whole numbers": ({"fc.weight": torch.ones(5, 64, dtype=torch.int64)}, "int64 for float32"),
    "NaN": ({"fc.weight": torch.full((5, 64), torch.nan)}, r"not finite: fc\.weight"),
    "infinite": ({"bn1.bias": torch.full((8,), torch.inf)}, r"not finite: bn1\.bias"),
    "negative variance": ({"bn1.running_var": torch.full((8,), -1.0)}, "negative numbers: bn1"),
    "a number for a name": ({5: torch.zeros(1)}, r"holds no state dict \(what it holds: 5\)"),
    "a tuple for a name": ({("a", 1): torch.zeros(1)}, "holds no state dict"),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_lie_is_refused_by_convert_and_as_weights_to_start_from(
    lie: str, model: VideoModel, picture: dict[str, Any], tmp_path: Path
) -> None:
    changes, message = LIES[lie]
    path = tmp_path / "x.pth"
    torch.save(picture | changes, path)
    said = Settings(num_segments=4, temporal_stride="none")
    with pytest.raises(CheckpointError, match=message):
        convert(path, tmp_path / "out", repository="torchvision", settings=said)
    assert not (tmp_path / "out").exists()
    ours = {f"encoder.{n}".replace("encoder.fc", "heads.label"): w for n, w in picture.items()}
    for name, value in changes.items():
        odd = name if not isinstance(name, str) else f"encoder.{name}"
        ours[odd.replace("encoder.fc", "heads.label") if isinstance(odd, str) else odd] = value
    torch.save(ours, path)
    with pytest.raises(CheckpointError, match="x.pth"):
        initialize(model, path)


def test_many_names_for_one_run_of_numbers_are_refused_and_tied_weights_are_not(
    tmp_path: Path,
) -> None:
    numbers = torch.arange(100.0)
    torch.save({f"w{i}": numbers[i:] for i in range(9)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"describes tensors of 3,456 bytes and holds 400"):
        load_weights(tmp_path / "x.pth")
    torch.save({"in.weight": numbers, "out.weight": numbers}, tmp_path / "x.pth")
    assert set(load_weights(tmp_path / "x.pth")) == {"in.weight", "out.weight"}


def test_a_checkpoint_of_ours_holds_plain_tensors_throughout(tmp_path: Path) -> None:
    state: dict[str, Any] = {"format": 1, "progress": {}, "model": {"a": torch.ones(2)}}
    itself: list[Any] = []
    itself.append(itself)
    torch.save(state | {"optimizer": {"itself": itself, 1: [torch.ones(2)]}}, tmp_path / "x.pt")
    assert load_checkpoint(tmp_path / "x.pt")["model"]["a"].tolist() == [1, 1]
    torch.save(state | {"optimizer": {1: [ZERO.expand(1 << 40)]}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"optimizer\.1\.0 \(\[1099511627776\] of 4 bytes"):
        load_checkpoint(tmp_path / "x.pt")
    odd: tuple[dict[str, Any], ...] = (
        {"model": 5},
        {"ema": 7},
        {"model": {"a": torch.full((2,), torch.nan)}},
        {"ema": {"module.a": torch.full((2,), torch.nan)}},
    )
    for change in odd:
        torch.save(state | change, tmp_path / "x.pt")
        for read in (load_checkpoint, load_weights):
            with pytest.raises(CheckpointError, match=r"x\.pt"):
                read(tmp_path / "x.pt")


def with_pickle(path: Path, content: bytes) -> None:
    """A zip as torch.save writes it, with another pickle inside."""
    file = io.BytesIO()
    torch.save({}, file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith("data.pkl") else old.read(name))


@pytest.mark.parametrize(
    "key",
    [
        b"K\x01" + b"\x85" * 200_000,  # hashing it would end the process
        b"K\x01" + b"q\x00h\x00\x86" * 60,  # or never come to an end
    ],
)
@pytest.mark.parametrize("as_zip", [True, False])
def test_keys_that_cannot_be_hashed_are_never_made(
    key: bytes, as_zip: bool, tmp_path: Path
) -> None:
    content = b"\x80\x02}" + key + b"K\x01s."
    if as_zip:
        with_pickle(tmp_path / "x.pt", content)
    else:
        (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pt holds tuples in tuples"):
        load_weights(tmp_path / "x.pt")


def test_containers_in_containers_may_go_as_deep_as_they_like(tmp_path: Path) -> None:
    deep = b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * 100_000 + b"a" * 99_999 + b"s."
    with_pickle(tmp_path / "x.pt", deep)
    for read in (load_weights, load_checkpoint):
        with pytest.raises(CheckpointError, match=r"x\.pt"):
            read(tmp_path / "x.pt")


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(100_000)}, file)
    with (
        zipfile.ZipFile(file) as old,
        zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match=r"is compressed: .* bytes that become 40\d,\d+.*-0"):
        read_weights_file(tmp_path / "x.pt")


def test_a_bytearray_of_any_length_is_not_made(tmp_path: Path) -> None:
    terabyte = b"\x80\x02c__builtin__\nbytearray\n\x8a\x06" + (1 << 40).to_bytes(6, "little")
    (tmp_path / "x.pt").write_bytes(terabyte + b"\x85R.")
    with pytest.raises(CheckpointError, match="holds a bytearray"):
        read_weights_file(tmp_path / "x.pt")


def header(of: Callable[[int], dict[str, Any]], size: int = 16) -> bytes:
    text = json.dumps(of(size)).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 1 << 60) + b"{}",
        header(lambda n: {"a": tensor([4], 0, n), "b": tensor([4], 0, n)}),
        header(lambda _: {"a": tensor([1 << 40], 0, 1 << 42)}),
        header(lambda n: {"a": tensor([1 << 62, 1 << 62], 0, n)}),
        header(lambda n: {"a": tensor([4], n, 0)}),
        header(lambda n: {"a": tensor([-4], 0, n)}),
        header(lambda n: {"a": tensor([4], 0, n, "F99")}),
        header(lambda n: {"a": tensor([16], 0, n, "I8")}),
        header(lambda _: {"a": tensor([0], 0, 0)}, 0),
        header(lambda _: {}, 0),
        safetensors.torch.save({"a": torch.full((3,), torch.nan)}),
    ],
)
def test_safetensors_whose_header_lies_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        load_weights(tmp_path / "x.safetensors")
