"""Packs whose index lies, with every checksum right: refused by name, and never called sound."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from marey.data.packs.checksums import check_pack
from marey.errors import DecodeError
from marey.video.reading.jpeg import decode_jpeg
from marey.video.reading.pack import Pack, names_in_pack
from marey.video.reading.pack_index import BLOCK, SCHEMA, TAIL, PackTail, frame_name, tar_header
from marey.video.reading.reader import open_video

W, H = 32, 24
Row = dict[str, Any]
Change = Callable[[list[Row]], object]


def jpeg(seed: int, width: int = W) -> bytes:
    grey = np.random.default_rng(seed).integers(0, 255, (H, width, 1), dtype=np.uint8)
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(grey.repeat(3, 2)))
    return data


JPEGS = {"a.mp4": [jpeg(i) for i in range(4)], "wave/b.mp4": [jpeg(9 + i) for i in range(3)]}


def forge(
    path: Path,
    change: Change = list,
    *,
    schema: pa.Schema = SCHEMA,
    tail: Callable[[PackTail], bytes] = PackTail.blocks,
) -> Path:
    """A pack whose index rows went through `change`, all checksums made after it."""
    file, rows = io.BytesIO(), []

    def member(name: str, data: bytes) -> int:
        file.write(tar_header(name, len(data)))
        start = file.tell()
        file.write(data + bytes(-len(data) % BLOCK))
        return start

    for name, files in JPEGS.items():
        row: Row = {"name": name, "fps": 10.0, "width": W, "height": H}
        row["offset"] = [member(frame_name(name, i), data) for i, data in enumerate(files)]
        row["size"], row["crc32"] = [*map(len, files)], [*map(zlib.crc32, files)]
        rows.append(row | {"seconds": [i / 10 for i in range(len(files))]})
    change(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    content = sink.getvalue().to_pybytes()
    start = member(".index.arrow", content)
    digest = sha256(file.getvalue()).hexdigest()
    file.write(tail(PackTail(start, len(content), zlib.crc32(content), digest)))
    path.write_bytes(file.getvalue())
    return path


def use(path: Path) -> None:
    """All that a pack is used for."""
    names_in_pack(path)
    for name in JPEGS:
        with open_video(path / name) as video:
            video.timestamps()
            video.read(range(len(video)))


def test_what_is_forged_without_a_lie_is_sound(tmp_path: Path) -> None:
    path = forge(tmp_path / "0.tar")
    assert check_pack(path) == []
    use(path)
    with open_video(path / "a.mp4") as video:
        want = [decode_jpeg(data, "") for data in JPEGS["a.mp4"]]
        assert np.array_equal(video.read(range(4)).permute(0, 2, 3, 1).numpy(), want)


def cell(name: str, value: object, row: int = 0) -> Change:
    return lambda rows: rows[row].update({name: value})


def item(name: str, value: object, at: int = 1) -> Change:
    return lambda rows: rows[0][name].__setitem__(at, value)


LIES: dict[str, tuple[Change, str]] = {
    "no name": (cell("name", None), "a cell is empty"),
    "two of a name": (cell("name", "wave/b.mp4"), "two clips have one name"),
    "a name that leads out": (cell("name", "../../etc/x"), "is no name of a clip"),
    "an absolute name": (cell("name", "/etc/x"), "is no name of a clip"),
    "a name with a zero byte": (cell("name", "a\0.mp4"), "is no name of a clip"),
    "a huge width": (cell("width", 2**31 - 1), "a width is not 1 to 65500"),
    "no height": (cell("height", 0), "a height is not 1 to 65500"),
    "a rate of nan": (cell("fps", float("nan")), "an fps is no rate"),
    "a rate below zero": (cell("fps", -1.0), "an fps is no rate"),
    "no frames": (lambda r: r[0].update(offset=[], size=[], crc32=[], seconds=[]), "has no frames"),
    "null in place of frames": (cell("offset", None), "a cell is empty"),
    "fewer sizes": (lambda r: r[0]["size"].pop(), "not as many offsets"),
    "more checksums": (lambda r: r[0]["crc32"].append(1), "not as many offsets"),
    "fewer times": (lambda r: r[0]["seconds"].pop(), "not as many times"),
    "an empty offset": (item("offset", None), "a frame has an empty cell"),
    "an offset below zero": (item("offset", -5), "lies outside"),
    "an offset that overflows": (item("offset", 2**63 - 1), "lies outside"),
    "an offset past the end": (item("offset", 1 << 40), "lies outside"),
    "a size below zero": (item("size", -1), "lies outside"),
    "no size": (item("size", 0), "lies outside"),
    "a huge size": (item("size", 2**31 - 1, 3), "lies outside"),
    "frames in one another": (lambda r: r[0].update(offset=r[0]["offset"][:1] * 4), "one another"),
    "frames turned round": (lambda r: r[0]["offset"].reverse(), "one another"),
    "clips turned round": (lambda r: r.reverse(), "one another"),
    "time goes back": (item("seconds", 9.0), "before the one before"),
    "time is nan": (item("seconds", float("nan")), "is no second"),
    "time before zero": (item("seconds", -0.5, 0), "is no second"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_refused_on_opening(tmp_path: Path, lie: str) -> None:
    change, message = LIES[lie]
    path = forge(tmp_path / "0.tar", change)
    with pytest.raises(DecodeError, match=message) as refused:
        use(path)
    assert str(path) in str(refused.value)
    assert check_pack(path) == [refused.value.message]


LIES_OF_CONTENT: dict[str, tuple[Change, str]] = {
    "another size than the picture's": (cell("width", 64), "64 x 24 pixels"),
    "a wrong checksum": (item("crc32", 7), "frame 1 is damaged"),
    "a size that cuts": (item("size", 300), "frame 1 is damaged"),
}


@pytest.mark.parametrize("lie", LIES_OF_CONTENT)
def test_a_frame_that_is_not_as_the_index_says_is_refused(tmp_path: Path, lie: str) -> None:
    change, message = LIES_OF_CONTENT[lie]
    path = forge(tmp_path / "0.tar", change)
    with pytest.raises(DecodeError, match=message):
        use(path)
    assert check_pack(path)


def test_names_that_trade_places_are_told_by_the_tar(tmp_path: Path) -> None:
    def swap(rows: list[Row]) -> None:
        rows[0]["name"], rows[1]["name"] = rows[1]["name"], rows[0]["name"]

    faults = check_pack(forge(tmp_path / "0.tar", swap))
    assert len(faults) == 7
    assert faults[0].endswith("frame 0 is another file of the tar")


@pytest.mark.parametrize("name", SCHEMA.names)
def test_another_type_or_no_column_is_no_index(tmp_path: Path, name: str) -> None:
    place = SCHEMA.get_field_index(name)
    other = pa.field(name, pa.binary() if name == "name" else pa.large_string())

    def without(rows: list[Row]) -> None:
        for row in rows:
            row.pop(name)

    for schema in (SCHEMA.remove(place), SCHEMA.set(place, other)):
        with pytest.raises(DecodeError, match="not those of a pack"):
            use(forge(tmp_path / "0.tar", without, schema=schema))


@pytest.mark.parametrize(
    "facts",
    [
        [],
        {"format": "marey pack 1"},
        {"format": "marey pack 1", "index": [1, 2], "sha256": "0" * 64},
        {"format": "marey pack 1", "index": [-8, 8, 0], "sha256": "0" * 64},
        {"format": "marey pack 1", "index": [0, 1 << 62, 0], "sha256": "0" * 64},
        {"format": "marey pack 1", "index": [0, -1, 0], "sha256": "0" * 64},
        {"format": "marey pack 1", "index": [0.5, True, "x"], "sha256": "0" * 64},
        {"format": "marey pack 1", "index": [0, 8, 0], "sha256": 5},
        {"format": ["marey pack 1"], "index": {}, "sha256": None},
    ],
)
def test_last_blocks_that_lie_are_refused(tmp_path: Path, facts: Any) -> None:
    def tail(_: PackTail) -> bytes:
        if isinstance(facts, dict):
            word = sha256(json.dumps(facts).encode()).hexdigest()[:16]
            text = json.dumps(facts | {"check": word}).encode()
        else:
            text = json.dumps(facts).encode()
        return (tar_header(".pack.json", len(text)) + text).ljust(TAIL, b"\0")

    path = forge(tmp_path / "0.tar", tail=tail)
    with pytest.raises(DecodeError, match=r"last block says|lies outside|no pack of"):
        use(path)
    assert check_pack(path)


@given(place=st.integers(0, 2000), value=st.integers(0, 255))
def test_an_index_of_any_bytes_is_an_error_or_the_same(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    """As `forge`, but for one byte of Arrow's own, with its checksum right."""
    path = tmp_path_factory.getbasetemp() / "bytes.tar"
    whole = forge(path).read_bytes()
    start, size = Pack(path).tail.start, Pack(path).tail.size
    index = bytearray(whole[start : start + size])
    index[place % size] = value
    body = whole[:start] + bytes(index) + whole[start + size : -TAIL]
    tail = PackTail(start, size, zlib.crc32(index), sha256(body).hexdigest())
    path.write_bytes(body + tail.blocks())
    try:
        use(path)
    except DecodeError:
        return
    with open_video(path / "a.mp4") as video:
        want = [decode_jpeg(data, "") for data in JPEGS["a.mp4"]]
        assert np.array_equal(video.read(range(4)).permute(0, 2, 3, 1).numpy(), want)


def test_a_picture_that_claims_more_than_its_bytes_hold_takes_no_memory() -> None:
    data = bytearray(jpeg(0))
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = b"\xff\xdc\xff\xdc"  # 65500 x 65500
    with pytest.raises(DecodeError, match=r"x\.jpg: .*65500 x 65500 pixels cannot be in"):
        decode_jpeg(bytes(data), "x.jpg")
