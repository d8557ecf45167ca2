"""Videos that lie: no other file is read for them, and neither time nor memory is spent."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from marey.errors import DecodeError, StorageError
from marey.video.reading import decoding, media_file
from marey.video.reading.jpeg import MOST_SCANS, decode_image
from marey.video.reading.reader import open_video
from tests.video.media import encode_image, numbered, numbers_of, write_folder, write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video in two containers, which no other file shall show."""
    folder = tmp_path_factory.mktemp("media")
    for name in ("secret.mp4", "secret.ts"):
        write_video(folder / name, numbered(6))
    return folder


# --- other files --------------------------------------------------------------------------------

HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n"
PLAYLISTS = {
    "hls": HLS.format("../secret.ts"),
    "hls-url": HLS.format("http://127.0.0.1:9/secret.ts"),
    "hls-itself": HLS.format("list.m3u8"),
    "hls-master": MASTER.format("list.m3u8"),
    "hls-bom": "\ufeff" + HLS.format("../secret.ts"),
    "concat": "ffconcat version 1.0\nfile '../secret.mp4'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "asx": '<asx version="3.0"><entry><ref href="../secret.mp4"/></entry></asx>',
    "asf": "[Reference]\nRef1=http://127.0.0.1:9/secret.wmv\n",
    "pls": "[playlist]\nFile1=../secret.mp4\n",
    "dash": '<?xml version="1.0"?>\n<!-- a -->\n<MPD><Period><BaseURL>../secret.mp4</BaseURL>'
    "</Period></MPD>",
    "smooth": '<?xml version="1.0"?><SmoothStreamingMedia></SmoothStreamingMedia>',
    "smil": '<smil><body><video src="../secret.mp4"/></body></smil>',
}


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.txt", "list.ffconcat"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_refused_whatever_its_name(folder, tmp_path, kind, name, monkeypatch):
    opened: list[str] = []
    plain = os.open
    (tmp_path / "list.m3u8").write_text(PLAYLISTS[kind])
    (tmp_path / name).write_text(PLAYLISTS[kind])
    monkeypatch.setattr(os, "open", lambda path, *a: opened.append(str(path)) or plain(path, *a))
    with pytest.raises(DecodeError, match=rf"{name}: a playlist, which names other files.*itself"):
        open_video(tmp_path / name)
    assert set(opened) == {str(tmp_path / name)}


@pytest.mark.parametrize("name", ["clip%d.jpg", "clip*.jpg", "clip{0,1}.jpg", "clip0.jpg"])
def test_the_name_of_a_picture_is_no_pattern(tmp_path, name):
    for i in range(3):
        (tmp_path / f"clip{i}.jpg").write_bytes(encode_image(numbered(3)[i]))
    (tmp_path / name).write_bytes(encode_image(numbered(1)[0]))
    with open_video(tmp_path / name) as video:
        assert numbers_of(video.read(range(len(video)))) == [0]


def test_a_name_is_no_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", numbered(3))
    monkeypatch.chdir(tmp_path)
    for name in ("subfile,,start,0,end,0,,:a.mp4", "concat:a.mp4|a.mp4", "-i.mp4", "pipe:0"):
        with pytest.raises(DecodeError):
            open_video(name)
        Path(name).write_bytes(Path("a.mp4").read_bytes())
        with open_video(name) as video:
            assert len(video) == 3


def test_an_mp4_that_keeps_its_pictures_in_another_file_does_not_read_it(folder, tmp_path):
    own = (folder / "secret.mp4").read_bytes()
    with_path = _with_reference(own, str(folder / "secret.mp4"))
    (tmp_path / "a.mp4").write_bytes(with_path)
    with pytest.raises(DecodeError, match=r"a\.mp4: a header without pictures"):
        open_video(tmp_path / "a.mp4").read([0])


def _with_reference(mp4: bytes, path: str) -> bytes:
    """`mp4`, its index last, saying that its pictures lie in the file at `path` (an alias)."""
    name = os.fsencode(path)
    name += bytes(len(name) % 2)
    alias = bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(16) + struct.pack(">HH", 1, 1)
    alias += bytes(16) + struct.pack(">HH", 2, len(name)) + name + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    at = mp4.index(b"url \0\0\0\1") - 4
    new = mp4[:at] + entry + mp4[at + 12 :]
    return _grown(new, len(entry) - 12, b"minf", b"dinf", b"dref")


def test_a_text_and_a_file_of_another_kind_are_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no video\n" * 99)
    with pytest.raises(DecodeError, match=r"notes\.txt: a text file, not a video.*leave it out"):
        open_video(tmp_path / "notes.txt")
    (tmp_path / "a.psd").write_bytes(b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3))
    with pytest.raises(DecodeError, match=r"a\.psd: of a format that is not read as video"):
        open_video(tmp_path / "a.psd")


# --- what never ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_no_video(tmp_path, target):
    (tmp_path / "a.mp4").symlink_to(target)
    for path in (tmp_path / "a.mp4", Path(target)):
        with pytest.raises(DecodeError, match="a device, not a file"):
            open_video(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.h264", {}), ("a.ts", {}), ("a.hevc", {"codec": "libx265"}),
     ("a.m2v", {"codec": "mpeg2video", "fps": 25}),
     ("a.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p"})],
)  # fmt: skip
def test_zeros_after_a_stream_are_not_read_for_ever(tmp_path, monkeypatch, name, options):
    monkeypatch.setattr(media_file, "MOST_UNUSED", 1 << 20)
    path = write_video(tmp_path / name, numbered(2), **options)
    with path.open("rb+") as file:
        file.seek(-2, os.SEEK_END)
        file.truncate()
        file.truncate(1 << 40)
    with pytest.raises(DecodeError, match=rf"{name}: no picture in 1 MiB of it"):
        len(open_video(path))


def test_an_index_that_lists_frames_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_IN_VAIN", 100)
    mp4 = write_video(tmp_path / "a.mp4", numbered(4)).read_bytes()
    (tmp_path / "b.mp4").write_bytes(_with_index(mp4, in_chunk=1000, chunks=100) + bytes(4096))
    with pytest.raises(DecodeError, match=r"b\.mp4: no picture in 100 packets of it"):
        len(open_video(tmp_path / "b.mp4"))


def _with_index(mp4: bytes, *, in_chunk: int, chunks: int) -> bytes:
    """`mp4`, its index last, which lists the first bytes of it, one a frame, again and again."""
    start, frames = mp4.index(b"mdat") + 4, in_chunk * chunks
    tables = {
        b"stsz": struct.pack(">III", 0, 1, frames),
        b"stsc": struct.pack(">IIIII", 0, 1, 1, in_chunk, 1),
        b"stts": struct.pack(">IIII", 0, 1, frames, 1),
        b"stco": struct.pack(">II", 0, chunks) + struct.pack(">I", start) * chunks,
    }
    for kind, body in tables.items():
        at = mp4.index(kind) - 4
        (size,) = struct.unpack_from(">I", mp4, at)
        new = struct.pack(">I4s", 8 + len(body), kind) + body
        mp4 = _grown(mp4[:at] + new + mp4[at + size :], len(new) - size, b"minf", b"stbl")
    return mp4


def _grown(mp4: bytes, by: int, *inner: bytes) -> bytes:
    """`mp4` with the sizes of the boxes that hold the one that was changed."""
    grown = bytearray(mp4)
    for kind in (b"moov", b"trak", b"mdia", *inner):
        start = grown.index(kind, grown.index(b"moov")) - 4
        (size,) = struct.unpack_from(">I", grown, start)
        struct.pack_into(">I", grown, start, size + by)
    return bytes(grown)


def test_a_long_video_is_read_whatever_it_holds_altogether(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", numbered(40), codec="rawvideo")
    monkeypatch.setattr(media_file, "MOST_UNUSED", path.stat().st_size // 2)
    with open_video(path) as video:
        assert len(video) == 40
    with open_video(path, num_frames=40) as video:
        assert numbers_of(video.read([39, 0])) == [39, 0]


def test_what_a_disk_does_not_give_shortens_no_video(folder, monkeypatch):
    """FFmpeg would take the failure for the end, and count fewer frames."""
    path = folder / "secret.ts"
    with open_video(path) as video:
        assert len(video) == 6
    plain = media_file.open_regular

    class Failing:
        def __init__(self, path: Path) -> None:
            self.file = plain(path)
            self.seek, self.close = self.file.seek, self.file.close

        def read(self, size: int) -> bytes:
            if self.file.tell() > 0:
                raise OSError(5, "Input/output error")
            return self.file.read(min(size, path.stat().st_size // 2))

    monkeypatch.setattr(media_file, "open_regular", Failing)
    with pytest.raises(StorageError, match=r"secret\.ts: Input/output error"):
        len(open_video(path))


# --- sizes that are claimed ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [(65535, 65535), (16384, 16383), (16000, 9000)])
def test_a_picture_of_a_size_that_nobody_films_is_refused_before_it_is_made(tmp_path, size):
    width, height = size
    y4m = f"YUV4MPEG2 W{width} H{height} F25:1 C420\nFRAME\n".encode() + bytes(1000)
    gif = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff,"
    gif += struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00;"
    for name, data in {"a.y4m": y4m, "a.gif": gif}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DecodeError, match=rf"{name}: .*(at most|size|no frame decodes)"):
            open_video(tmp_path / name).read([0])


def test_an_image_of_a_size_that_nobody_films_is_refused_before_it_is_made():
    jpeg = bytearray(encode_image(numbered(1)[0]))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 65000, 65000)
    with pytest.raises(DecodeError, match=r"a\.jpg: a picture of 65000 x 65000, .* at most 134"):
        decode_image(bytes(jpeg) + bytes(5 << 20), "a.jpg")
    with pytest.raises(DecodeError, match=r"a\.png: a damaged image"):
        decode_image(_png(16000, 16000, bytes(1000)), "a.png")


def test_a_strip_is_refused_before_it_is_scaled(tmp_path):
    strip = np.zeros((2, 600, 3), np.uint8)
    write_video(tmp_path / "a.mkv", [strip], codec="ffv1", pix_fmt="bgr0")
    write_folder(tmp_path / "frames", [strip], template="{:05d}.png")
    for name in ("a.mkv", "frames"):
        with pytest.raises(DecodeError, match=rf"{name}.*600 x 2, .* at most 256 times the other"):
            open_video(tmp_path / name).read([0])


def test_a_text_in_an_image_is_not_unpacked():
    rows = b"".join(b"\0" + bytes([9] * 12) for _ in range(4))
    bomb = b"k\0\0" + zlib.compress(bytes(64 << 20), 9)
    picture = decode_image(_png(4, 4, rows, (b"zTXt", bomb), (b"zTXt", b"k\0\0no zlib")), "a.png")
    assert (picture == 9).all()


def test_a_jpeg_of_endless_scans_is_refused():
    jpeg = bytearray(encode_image(numbered(1)[0]))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 1] = 0xC2
    scan = b"\xff\xda\0\x08\x01\x01\0\0\0\0\0"
    with pytest.raises(DecodeError, match=rf"a\.jpg: over {MOST_SCANS} scans"):
        decode_image(bytes(jpeg[:-2]) + scan * (MOST_SCANS + 1) + b"\xff\xd9", "a.jpg")


def _png(width: int, height: int, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


# --- folders of frames --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "a named pipe, not a file"),
        (Path.mkdir, "a folder, not a file"),
        (lambda path: path.symlink_to("/dev/urandom"), "a device, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "bytes, more than"),
        (Path.touch, "not an image"),
    ],
)
def test_a_frame_that_is_no_file_is_named(tmp_path, make, reason):
    folder = write_folder(tmp_path / "a", numbered(6))
    (folder / "img_00003.jpg").unlink()
    make(folder / "img_00003.jpg")
    with open_video(folder) as video:
        assert numbers_of(video.read([0, 1, 3])) == [0, 1, 3]
        with pytest.raises(DecodeError, match=rf"a/img_00003\.jpg: .*{reason}"):
            video.read([2])


def test_a_frame_that_links_to_a_file_elsewhere_is_read(tmp_path):
    folder = write_folder(tmp_path / "a", numbered(3))
    (folder / "img_00002.jpg").rename(tmp_path / "b.jpg")
    (folder / "img_00002.jpg").symlink_to("../b.jpg")
    with open_video(folder) as video:
        assert numbers_of(video.read(range(3))) == [0, 1, 2]


def test_only_ascii_digits_count_frames(tmp_path):
    picture = encode_image(numbered(1)[0])
    for name in ("img_\u0660.jpg", "img_\u0661.jpg", "img_\u00b2.jpg", "9" * 30 + "x.jpg"):
        (tmp_path / name).write_bytes(picture)
    with pytest.raises(DecodeError, match="a folder without numbered frames"):
        open_video(tmp_path)


def test_a_gap_of_a_million_frames_names_the_first_missing(tmp_path):
    folder = write_folder(tmp_path / "a", numbered(2))
    for name in ("img_99999999.jpg", "img_999999999999999999.jpg"):
        (folder / name).write_bytes(b"")
        with pytest.raises(DecodeError, match=r"img_00003\.jpg is missing, frames run from"):
            open_video(folder)
