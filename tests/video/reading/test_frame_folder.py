"""`open_video` on folders of frames: the template is found, gaps and odd files are named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from marey.errors import DecodeError
from marey.video.reading.frame_folder import Template, sniff
from marey.video.reading.reader import Span, open_video
from tests.video.media import encode_image, number_of, numbered, numbers_of, write_folder

TEMPLATES = [
    "img_{:05d}.jpg",
    "image_{:05d}.jpg",
    "{:05d}.jpg",
    "{:06d}.jpg",
    "frame_{:010d}.jpg",
    "{}.jpg",
    "S01 cam-2_{:03d}.JPEG",
    "v_{:04d}.png",
]


@pytest.mark.parametrize("base", [0, 1, 37])
@pytest.mark.parametrize("template", TEMPLATES)
def test_index_0_is_the_first_frame_of_any_template(
    tmp_path: Path, template: str, base: int
) -> None:
    write_folder(tmp_path, numbered(12), template=template, base=base)
    with open_video(tmp_path) as reader:
        assert len(reader) == 12
        assert numbers_of(reader.read([11, 0, 5, 5])) == [11, 0, 5, 5]


def test_frames_are_uint8_t3hw_and_contiguous(tmp_path: Path) -> None:
    with open_video(write_folder(tmp_path, numbered(3))) as reader:
        frames = reader.read([2, 0])
    assert frames.shape == (2, 3, 48, 64)
    assert frames.dtype == torch.uint8
    assert frames.is_contiguous()


def test_pixels_equal_those_of_another_decoder(tmp_path: Path) -> None:
    with open_video(write_folder(tmp_path, numbered(1))) as reader:
        ours = reader.read([0])[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(Image.open(tmp_path / "img_00001.jpg").convert("RGB"))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_numbers_may_outgrow_their_zeros(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(6), template="{:03d}.jpg", base=97)
    assert sniff(tmp_path) == (Template("", 3, ".jpg"), 97, 6)
    write_folder(tmp_path, numbered(6), template="img_{:02d}.jpg", base=96)
    assert sniff(tmp_path)[0].prefix == "img_"


def test_files_that_are_no_frames_are_ignored(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(8))
    for name in ("Thumbs.db", ".DS_Store", "cover.jpg", "thumb_1.jpg", "img_9.jpg", "n_frames.txt"):
        (tmp_path / name).write_text("stray")
    (tmp_path / "img_old").mkdir()
    with open_video(tmp_path) as reader:
        assert numbers_of(reader.read(range(len(reader)))) == list(range(8))


def test_colour_wins_over_flow_in_one_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(5))
    for flow in ("flow_x_{:05d}.jpg", "flow_y_{:05d}.jpg"):
        write_folder(tmp_path, numbered(5, first=100), template=flow)
    with open_video(tmp_path) as reader:
        assert reader.read([0]).shape[0] == 1
        assert numbers_of(reader.read([4])) == [4]


def test_a_gap_names_the_first_file_that_is_missing(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(12))
    for number in (7, 9):
        (tmp_path / f"img_{number:05d}.jpg").unlink()
    with pytest.raises(
        DecodeError,
        match=r"img_00007\.jpg is missing, frames run from img_00001\.jpg to img_00012\.jpg.*hint",
    ):
        open_video(tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"without numbered frames.*img_00001"):
        open_video(tmp_path)


def test_a_promise_too_high_surfaces_past_the_true_end(tmp_path: Path) -> None:
    with open_video(write_folder(tmp_path, numbered(5)), num_frames=6) as reader:
        assert numbers_of(reader.read([4])) == [4]
        with pytest.raises(
            DecodeError, match=r"frame 5 of 6 .* holds 5: img_00001\.jpg to img_00005\.jpg"
        ):
            reader.read([5])


def test_another_size_names_both_files(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(3))
    (tmp_path / "img_00003.jpg").write_bytes(encode_image(numbered(1, width=32, height=24)[0]))
    with (
        open_video(tmp_path) as reader,
        pytest.raises(
            DecodeError, match=r"img_00003\.jpg: 32 x 24 pixels, but img_00001\.jpg has 64 x 48"
        ),
    ):
        reader.read([0, 2])


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff", b"RIFF____WEBPVP8 "])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path, numbered(3))
    (tmp_path / "img_00002.jpg").write_bytes(content)
    with (
        open_video(tmp_path) as reader,
        pytest.raises(DecodeError, match=r"img_00002\.jpg: (not an|a damaged) image.*hint"),
    ):
        reader.read([1])


def test_half_an_image_is_damaged_and_the_next_one_is_not(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(3, width=320, height=240))
    path = tmp_path / "img_00002.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_video(tmp_path) as reader:
        with pytest.raises(DecodeError, match=r"img_00002\.jpg: a damaged image"):
            reader.read([1])
        assert numbers_of(reader.read([2])) == [2]


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "tiff"])
def test_content_counts_and_not_the_suffix(tmp_path: Path, kind: str) -> None:
    for i, picture in enumerate(numbered(3)):
        Image.fromarray(picture).save(tmp_path / f"{i}.jpg", format=kind)
    with open_video(tmp_path) as reader:
        assert numbers_of(reader.read([2, 0])) == [2, 0]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_become_rgb(tmp_path: Path, mode: str) -> None:
    Image.fromarray(numbered(6)[5]).convert(mode).save(tmp_path / "1.jpg", quality=95)
    with open_video(tmp_path) as reader:
        assert numbers_of(reader.read([0])) == [5]


def test_progressive_images_decode(tmp_path: Path) -> None:
    Image.fromarray(numbered(6)[5]).save(tmp_path / "1.jpg", quality=95, progressive=True)
    with open_video(tmp_path) as reader:
        assert numbers_of(reader.read([0])) == [5]


def test_an_image_turned_by_its_camera_comes_upright(tmp_path: Path) -> None:
    turn = Image.Exif()
    turn[0x0112] = 6  # stored on its side: show it turned clockwise
    stored = np.rot90(numbered(6, width=64, height=64)[5])
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(buffer, "jpeg", quality=95, exif=turn)
    (tmp_path / "1.jpg").write_bytes(buffer.getvalue())
    with open_video(tmp_path) as reader:
        assert number_of(reader.read([0])[0]) == 5


def test_spans_are_in_frames_for_there_is_no_clock(tmp_path: Path) -> None:
    write_folder(tmp_path, numbered(9))
    with open_video(tmp_path, span=Span(2, 5, unit="frames")) as reader:
        assert reader.fps is None
        assert numbers_of(reader.read(range(len(reader)))) == [2, 3, 4]
    with pytest.raises(
        DecodeError, match=r"has no times of its own.*start_frame.*make a video of it"
    ):
        open_video(tmp_path, span=Span(0.0, 0.3))
