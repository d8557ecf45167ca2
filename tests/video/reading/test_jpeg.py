"""Image files: the pixels of Pillow whatever the kind of JPEG, and what is not read is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from marey.errors import DecodeError
from marey.video.reading.jpeg import decode_image, encode_jpeg, plain_jpeg_size
from tests.video.media import number_of, numbered

PICTURE = numbered(1, first=5)[0]


def written(mode: str = "RGB", **options: object) -> bytes:
    """A JPEG as Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(buffer, "jpeg", quality=90, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def as_pillow(data: bytes) -> np.ndarray:
    """The picture upright, as Pillow reads it."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_colour_has_the_very_pixels_of_pillow(subsampling: str, progressive: bool) -> None:
    data = written(subsampling=subsampling, progressive=progressive)
    assert np.array_equal(decode_image(data, "a.jpg"), as_pillow(data))
    assert plain_jpeg_size(data) == (64, 48)


@pytest.mark.parametrize(("mode", "apart"), [("L", 0), ("CMYK", 1)])
def test_grey_and_cmyk_become_rgb_as_in_pillow(mode: str, apart: int) -> None:
    data = written(mode)
    ours = decode_image(data, "a.jpg").astype(int)
    assert np.abs(ours - as_pillow(data)).max() <= apart
    assert plain_jpeg_size(data) is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_orientation_of_exif_comes_upright(orientation: int, order: str) -> None:
    tags = Image.Exif()
    tags.endian = order
    tags[0x0112] = orientation
    data = written(exif=tags)
    assert np.array_equal(decode_image(data, "a.jpg"), as_pillow(data))
    assert plain_jpeg_size(data) == ((64, 48) if orientation == 1 else None)


@pytest.mark.parametrize(
    "tags", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x09"]
)
def test_damaged_exif_is_passed_over(tags: bytes) -> None:
    data = written(exif=b"Exif\0\0" + tags)
    assert number_of(decode_image(data, "a.jpg")) == 5


@pytest.mark.parametrize(
    ("marker", "bits", "reason"),
    [(0xC1, 12, "precision 12"), (0xC9, 8, "a damaged image"), (0xC3, 8, "a damaged image")],
    ids=["12 bits", "arithmetic", "lossless"],
)
def test_what_libjpeg_turbo_does_not_read_is_an_error(marker: int, bits: int, reason: str) -> None:
    data = bytearray(written())
    start = data.index(b"\xff\xc0")
    data[start + 1], data[start + 4] = marker, bits
    with pytest.raises(DecodeError, match=rf"a\.jpg: .*{reason}"):
        decode_image(bytes(data), "a.jpg")
    assert plain_jpeg_size(bytes(data)) is None


@pytest.mark.parametrize("quality", [1, 2, 31])
def test_every_grey_is_written_as_it_is(quality: int) -> None:
    """No level darker and without a tint: 128 of a flow field is no motion."""
    for level in range(256):
        grey = np.full((17, 23, 3), level, np.uint8)
        assert np.array_equal(decode_image(encode_jpeg(grey, quality=quality), "a.jpg"), grey)


def test_what_is_written_is_read_again_and_a_quality_out_of_range_is_refused() -> None:
    data = encode_jpeg(PICTURE)
    assert plain_jpeg_size(data) == (64, 48)
    assert number_of(decode_image(data, "a.jpg")) == 5
    assert data == encode_jpeg(PICTURE.swapaxes(0, 1).copy().swapaxes(0, 1))  # not in C order
    assert len(encode_jpeg(PICTURE, quality=31)) < len(data)
    for quality in (0, 32):
        with pytest.raises(ValueError, match=f"quality is {quality}, expected 1"):
            encode_jpeg(PICTURE, quality=quality)
