"""Packs: the frames of the folder they were made of, one read away, and every flipped bit found."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from marey.data.packs.checksums import check_pack
from marey.errors import DecodeError
from marey.video.reading.pack import Pack, PackedClip, names_in_pack, open_pack
from marey.video.reading.pack_index import TAIL
from marey.video.reading.pack_writer import pack_writer
from marey.video.reading.reader import Span, open_video
from tests.video.media import encode_image, numbered, numbers_of, write_folder

SIZE = (64, 48)
CLIPS = {"wave/a.mp4": (0, 9), "wave/b.mp4": (100, 5), "hop, skip/ü.mp4": (200, 30)}
"""Name -> number of the first picture, how many."""


def jpegs(first: int, count: int) -> list[bytes]:
    return [encode_image(picture, pix_fmt="yuvj420p") for picture in numbered(count, first=first)]


def write_pack(path: Path) -> Path:
    with pack_writer(path) as writer:
        for name, (first, count) in CLIPS.items():
            seconds = np.arange(count) / 12.5
            writer.add(name, jpegs(first, count), size=SIZE, fps=12.5, seconds=seconds)
    return path


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "00000.tar")


@pytest.mark.parametrize("name", CLIPS)
def test_a_packed_clip_gives_its_frames_in_any_order(pack: Path, name: str) -> None:
    first, count = CLIPS[name]
    with open_video(pack / name) as video:
        assert isinstance(video, PackedClip)
        assert (len(video), video.fps) == (count, 12.5)
        assert numbers_of(video.read([3, 0, 3, count - 1])) == [
            first + i for i in (3, 0, 3, count - 1)
        ]
        np.testing.assert_allclose(video.timestamps(), np.arange(count) / 12.5)
    with pytest.raises(ValueError, match="closed"):
        video.read([0])


def test_a_pack_gives_the_very_pixels_of_a_folder(pack: Path, tmp_path: Path) -> None:
    for number, data in enumerate(jpegs(*CLIPS["wave/a.mp4"]), start=1):
        (tmp_path / f"img_{number:05d}.jpg").write_bytes(data)
    with open_video(tmp_path) as folder, open_video(pack / "wave/a.mp4") as packed:
        assert len(folder) == len(packed)
        assert torch.equal(folder.read(range(9)), packed.read(range(9)))


def test_a_packed_frame_has_the_pixels_of_pillow(pack: Path) -> None:
    with open_video(pack / "wave/a.mp4") as video:
        assert isinstance(video, PackedClip)
        frames = video.read(range(9))
        with Image.open(io.BytesIO(video.data(3))) as picture:
            assert np.array_equal(frames[3].permute(1, 2, 0).numpy(), np.asarray(picture))


def test_half_a_frame_is_an_error_and_not_half_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with pack_writer(path) as writer:
        whole = jpegs(0, 1)[0]
        writer.add("a", [whole[: len(whole) // 2]], size=SIZE, fps=None, seconds=np.zeros(0))
    with open_video(path / "a") as video, pytest.raises(DecodeError, match="frame 0: a damaged"):
        video.read([0])


def test_tar_unpacks_a_pack_into_folders_of_frames(pack: Path, tmp_path: Path) -> None:
    with tarfile.open(pack) as tar:
        tar.extractall(tmp_path, filter="data")
    with open_video(tmp_path / "wave/b.mp4") as folder, open_video(pack / "wave/b.mp4") as packed:
        assert torch.equal(folder.read([0, 4]), packed.read([0, 4]))


def test_spans_and_frame_counts_hold_in_packs_too(pack: Path) -> None:
    path = pack / "hop, skip/ü.mp4"
    with open_video(path, span=Span(0.8, 1.6)) as video:
        assert numbers_of(video.read(range(len(video)))) == list(range(210, 220))
    with (
        open_video(path, num_frames=40) as video,
        pytest.raises(DecodeError, match="frame 35 of 40"),
    ):
        video.read([35])


@pytest.mark.parametrize("name", ["wave", "../00000.tar/wave/a.mp4", "/etc/passwd", "wave/../x"])
def test_no_name_leads_out_of_a_pack(pack: Path, name: str) -> None:
    with pytest.raises(DecodeError, match=r"no clip|no such file|neither"):
        open_video(Path(f"{pack}/{name}"))


def test_names_are_listed_as_a_folder_lists_them(pack: Path) -> None:
    assert names_in_pack(pack) == ["hop, skip", "wave"]
    assert names_in_pack(pack / "wave") == ["a.mp4", "b.mp4"]
    assert names_in_pack(pack.parent) is None


def test_a_process_opens_a_pack_once_until_the_file_is_another(tmp_path: Path) -> None:
    path = write_pack(tmp_path / "a.tar")
    before = open_pack(path)
    assert open_pack(path) is before
    write_pack(tmp_path / "b.tar").replace(path)
    assert open_pack(path) is not before
    before.pread(0, 1)  # the old file stays open for those who read from it


def test_forked_processes_read_from_one_open_pack(pack: Path) -> None:
    clip = open_pack(pack).frames("hop, skip/ü.mp4")
    whole = pack.read_bytes()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:  # only bytes are read here: threads did not come along
            good = all(
                open_pack(pack).pread(int(o), int(n)) == whole[o : o + n]
                for o, n in list(zip(clip.offsets, clip.sizes, strict=True)) * 20
            )
            os._exit(0 if good else 1)
        children.append(child)
    for index in list(range(30)) * 5:
        offset, size = int(clip.offsets[index]), int(clip.sizes[index])
        assert open_pack(pack).pread(offset, size) == whole[offset : offset + size]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_the_same_clips_give_the_same_bytes(pack: Path, tmp_path: Path) -> None:
    assert write_pack(tmp_path / "again.tar").read_bytes() == pack.read_bytes()


def test_a_clip_that_fails_leaves_no_trace(tmp_path: Path, pack: Path) -> None:
    def breaks_off() -> object:
        yield jpegs(0, 1)[0]
        raise DecodeError("cut short")

    path = tmp_path / "a.tar"
    with pack_writer(path) as writer:
        for name, (first, count) in CLIPS.items():
            with pytest.raises(DecodeError):
                writer.add("bad", breaks_off(), size=SIZE, fps=None, seconds=np.zeros(0))  # type: ignore[arg-type]
            writer.add(
                name, jpegs(first, count), size=SIZE, fps=12.5, seconds=np.arange(count) / 12.5
            )
    assert path.read_bytes() == pack.read_bytes()


@settings(max_examples=200)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_is_found(pack: Path, share: float, bit: int) -> None:
    data = bytearray(pack.read_bytes())
    place = int(share * len(data))
    data[place] ^= 1 << bit
    spoiled = pack.with_name("spoiled.tar")
    spoiled.write_bytes(data)
    assert check_pack(spoiled), place


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_an_index_that_is_damaged_is_refused_before_it_is_read(
    pack: Path, share: float, bit: int
) -> None:
    start, size = Pack(pack).tail.start, Pack(pack).tail.size
    data = bytearray(pack.read_bytes())
    data[start + int(share * size)] ^= 1 << bit
    spoiled = pack.with_name("spoiled.tar")
    spoiled.write_bytes(data)
    with pytest.raises(DecodeError, match="its index is damaged"):
        Pack(spoiled)


def test_a_flipped_bit_in_a_frame_is_found_by_clip_and_number(pack: Path, tmp_path: Path) -> None:
    assert check_pack(pack) == []
    data = bytearray(pack.read_bytes())
    clip = Pack(pack).frames("wave/b.mp4")
    data[clip.offsets[2] + 300] ^= 4
    spoiled = tmp_path / "spoiled.tar"
    spoiled.write_bytes(data)
    assert check_pack(spoiled) == [f"{spoiled}/wave/b.mp4: frame 2 is damaged"]


def test_files_that_are_no_whole_pack_are_refused(pack: Path, tmp_path: Path) -> None:
    short, other, empty = (tmp_path / f"{name}.tar" for name in ("short", "other", "empty"))
    short.write_bytes(pack.read_bytes()[:-TAIL])
    empty.write_bytes(b"")
    with tarfile.open(other, "w") as tar:
        tar.add(write_folder(tmp_path / "frames", numbered(1)))
    for path in (short, other, empty):
        with pytest.raises(DecodeError, match="no pack of marey pack 1, or cut short"):
            open_video(path / "wave/a.mp4")
        assert check_pack(path)
    with pytest.raises(DecodeError, match=r"no such file"):
        open_video(tmp_path / "gone.tar" / "a.mp4")


def test_gnu_tar_reads_a_pack(pack: Path) -> None:
    listed = subprocess.run(["tar", "-tf", pack], capture_output=True, text=True, check=True)
    assert "wave/a.mp4/000009.jpg" in listed.stdout.splitlines()
    assert len(listed.stdout.splitlines()) == 9 + 5 + 30 + 2
