from __future__ import annotations

import gc
import io
import os
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from marey.errors import DecodeError
from marey.storage.url import Url
from marey.video.live import growing
from marey.video.live.feed import FeedOptions
from marey.video.live.file import VideoAsStream
from marey.video.live.growing import GrowingFolder
from marey.video.live.moment import Moment, Source
from marey.video.live.named import source_named
from marey.video.live.network import PROTOCOLS, Camera, Link, camera_of
from marey.video.live.piped import Piped, RawPiped
from marey.video.reading.jpeg import encode_jpeg
from tests.video.live.rtsp import rtsp_camera
from tests.video.live.scripted import all_of
from tests.video.media import number_of, numbered, write_folder, write_video

ALL = FeedOptions(keep_all=True, reconnects=0)


def read(source: Source) -> tuple[list[float], list[int], list[str]]:
    """Times and numbers of all frames, and what was said."""
    seconds, numbers, said = [], [], []
    for each in source.moments(threading.Event()):
        if isinstance(each, Moment):
            seconds.append(each.seconds)
            numbers.append(number_of(each.picture()))
        else:
            said.append(each)
    return seconds, numbers, said


def test_a_file_in_a_hurry_gives_all_frames_at_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.55, 3.0]
    path = write_video(tmp_path / "a.mp4", numbered(5), times=times)
    seconds, numbers, said = read(VideoAsStream(path, hurry=True))
    assert (numbers, said) == (list(range(5)), [])
    np.testing.assert_allclose(seconds, times, atol=0.01)


def test_a_file_is_shown_at_its_pace(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(6), fps=10)
    began = time.monotonic()
    assert read(VideoAsStream(path))[1] == list(range(6))
    assert time.monotonic() - began >= 0.49


def test_a_turned_file_of_wide_pixels_is_shown_as_a_player_does(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(1), rotation=90)
    [each] = VideoAsStream(path).moments(threading.Event())
    assert isinstance(each, Moment)
    assert each.picture().shape == (64, 48, 3)


def test_a_file_that_is_no_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(DecodeError, match="is no mp4 at all"):
        read(VideoAsStream(tmp_path / "a.mp4"))
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(DecodeError, match=r"a\.mp4: the file is empty \(0 bytes\)"):
        read(VideoAsStream(tmp_path / "a.mp4"))


def test_a_file_without_a_clock_says_what_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.mjpeg").write_bytes(b"".join(map(encode_jpeg, numbered(3))))
    seconds, numbers, said = read(VideoAsStream(tmp_path / "a.mjpeg", hurry=True))
    assert (seconds, numbers) == ([0, 0.04, 0.08], [0, 1, 2])
    assert said == ["mjpeg carries no times: 25 frames a second are taken"]


def test_a_stream_may_change_its_size(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{width}.ts", numbered(2, width=width)).read_bytes()
        for width in (64, 96)
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    shown, notices, _ = all_of(VideoAsStream(tmp_path / "a.ts", hurry=True), ALL)
    assert {each.picture.shape[1] for each in shown} == {64, 96}
    assert "pictures change from 64 x 48 to 96 x 48" in notices


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_container_may_come_through_a_pipe(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{suffix}", numbered(6), fps=10)
    with path.open("rb") as file:
        seconds, numbers, said = read(Piped(file))
    assert (numbers, said) == (list(range(6)), [])
    np.testing.assert_allclose(seconds, np.arange(6) / 10, atol=0.01)


def test_pictures_through_a_pipe_have_the_times_at_which_they_come() -> None:
    taken, give = os.pipe()
    with open(taken, "rb") as file, open(give, "wb", buffering=0) as pipe:  # noqa: PTH123
        began = time.monotonic()

        def write() -> None:
            for picture in numbered(4):
                pipe.write(encode_jpeg(picture))
                time.sleep(0.1)
            pipe.close()

        writer = threading.Thread(target=write)
        writer.start()
        seconds, numbers, said = read(Piped(file))
        writer.join()
    assert numbers == list(range(4))
    assert 0 < seconds[-1] <= time.monotonic() - began
    assert said == ["mjpeg carries no times: the times of arrival are taken"]


def test_what_is_no_video_through_a_pipe_is_an_error() -> None:
    with pytest.raises(DecodeError, match=r"standard input: .*pipe Matroska, MPEG-TS or MJPEG"):
        read(Piped(io.BytesIO(b"hello" * 100)))


def test_an_mp4_through_a_pipe_is_told_to_be_a_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(6))
    with path.open("rb") as file, pytest.raises(DecodeError, match="an mp4 must be a file"):
        read(Piped(file))


def test_bare_pixels_are_cut_into_frames() -> None:
    pixels = b"".join(picture.tobytes() for picture in numbered(3))
    seconds, numbers, said = read(RawPiped(io.BytesIO(pixels + b"xyz"), 64, 48))
    assert (numbers, seconds) == ([0, 1, 2], sorted(seconds))
    assert said == ["ends within a frame: 3 of its 9,216 bytes came"]


def grow(folder: Path, numbers: range, *, rename: bool) -> None:
    for i, picture in zip(numbers, numbered(len(numbers), first=numbers.start), strict=True):
        data, path = encode_jpeg(picture), folder / f"{i}.jpg"
        if rename:
            path.with_name(f".{i}.jpg").write_bytes(data)
            path.with_name(f".{i}.jpg").rename(path)
            continue
        with path.open("wb") as file:  # in two halves, between which it may be looked at
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(0.1)
            file.write(data[len(data) // 2 :])


@pytest.mark.parametrize("rename", [True, False])
def test_a_folder_of_pictures_gives_what_is_there_and_what_comes(
    rename: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    grow(folder, range(3), rename=True)
    (folder / "notes.txt").write_text("no picture")
    found, stop = [], threading.Event()
    for each in GrowingFolder(folder).moments(stop):
        assert isinstance(each, Moment)
        found.append(number_of(each.picture()))
        if len(found) == 3:
            writer = threading.Thread(
                target=grow, args=(folder, range(3, 7)), kwargs={"rename": rename}
            )
            writer.start()
        if len(found) == 7:
            stop.set()
    writer.join()
    assert found == list(range(7))


def test_a_picture_that_stays_damaged_is_left_out_and_the_folder_ends_when_it_goes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    write_folder(folder, numbered(1))
    (folder / "img_00000.jpg").write_bytes(b"no picture")
    source = GrowingFolder(folder).moments(threading.Event())
    assert isinstance(next(source), Moment)
    assert "img_00000.jpg: not an image" in str(next(source))
    (folder / "img_00000.jpg").unlink()
    (folder / "img_00001.jpg").unlink()
    folder.rmdir()
    assert list(source) == []


def test_the_bytes_of_a_damaged_picture_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Content(bytearray):
        """Bytes that tell when they are gone."""

    read_so_far: list[weakref.ref[Content]] = []

    def read(path: Path, *, most: int) -> Content:
        content = Content(path.read_bytes())
        read_so_far.append(weakref.ref(content))
        return content

    monkeypatch.setattr(growing, "read_regular", read)
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    source = GrowingFolder(tmp_path).moments(threading.Event())
    assert "a.jpg: not an image" in str(next(source))
    gc.collect()
    assert read_so_far
    assert all(each() is None for each in read_so_far)


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


@pytest.mark.parametrize("kind", ["jpg", "png", "mp4"])
def test_what_stalls_while_it_is_written_is_named_and_read_once_it_is_whole(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marey.video.live.growing.STILL_SECONDS", 0.05)
    folder, elsewhere = tmp_path / "in", tmp_path / f"whole.{kind}"
    folder.mkdir()
    if kind == "mp4":
        write_video(elsewhere, numbered(1, first=7))
    else:
        _write_picture(elsewhere, numbered(1, first=7)[0])
    first, rest = halves(elsewhere.read_bytes())
    late = folder / f"late.{kind}"
    late.write_bytes(first)
    stop = threading.Event()
    source = GrowingFolder(folder, hurry=True).moments(stop)
    said = next(source)
    assert isinstance(said, str)
    assert "left out, unless it changes" in said
    assert late.name in said
    (folder / f"next.{kind}").write_bytes(elsewhere.read_bytes())
    assert isinstance(next(source), Moment)
    with late.open("ab") as file:
        file.write(rest)
    each = next(source)
    assert isinstance(each, Moment), each
    assert number_of(each.picture()) == 7
    stop.set()
    assert list(source) == []


def test_a_video_that_grows_after_it_was_taken_is_said(tmp_path: Path) -> None:
    first, rest = halves(write_video(tmp_path / "a.ts", numbered(40)).read_bytes())
    (tmp_path / "a.ts").write_bytes(first)
    os.utime(tmp_path / "a.ts", (1000.0, 1000.0))
    stop, said, frames = threading.Event(), [], 0
    for each in GrowingFolder(tmp_path, hurry=True).moments(stop):
        if isinstance(each, str):
            said.append(each)
            stop.set()
        elif not frames:
            with (tmp_path / "a.ts").open("ab") as file:
                file.write(rest)
        frames += isinstance(each, Moment)
    assert frames
    assert said == [
        f"{tmp_path / 'a.ts'} has grown since it was taken: what is new in it is left out"
    ]


def _write_picture(path: Path, picture: np.ndarray) -> None:
    if path.suffix == ".jpg":
        path.write_bytes(encode_jpeg(picture))
        return
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width, _ = picture.shape
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
    [packet] = encoder.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
    path.write_bytes(bytes(packet))


def test_videos_of_a_folder_follow_each_other(tmp_path: Path) -> None:
    for i in range(2):
        path = write_video(tmp_path / f"{i}.mp4", numbered(3, first=3 * i), fps=10)
        os.utime(path, (1000.0 + i, 1000.0 + i))
    (tmp_path / "1b.mp4").write_bytes(b"cut short")
    os.utime(tmp_path / "1b.mp4", (1002.0, 1002.0))
    stop, found, said = threading.Event(), [], []
    for each in GrowingFolder(tmp_path, hurry=True).moments(stop):
        if isinstance(each, Moment):
            found.append((number_of(each.picture()), round(each.seconds, 3)))
        else:
            said.append(each)
            stop.set()
    assert found == [(0, 0), (1, 0.1), (2, 0.2), (3, 0.24), (4, 0.34), (5, 0.44)]
    assert len(said) == 1
    assert "left out, unless it changes:" in said[0]
    assert "1b.mp4" in said[0]


def test_a_folder_of_both_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(2))
    os.utime(tmp_path / "a.mp4", (1000, 1000))
    write_folder(tmp_path, numbered(1))
    with pytest.raises(DecodeError, match=r"holds videos, and now pictures: img_00001.jpg"):
        list(GrowingFolder(tmp_path, hurry=True).moments(threading.Event()))
    with pytest.raises(DecodeError, match="there is no such folder"):
        list(GrowingFolder(tmp_path / "away").moments(threading.Event()))


class Served:
    """A server of this machine: /video.mp4, and /live, which gives 3 pictures and ends.

    It sends files whole, and no parts of them: /index-last.mp4 cannot be read.
    """

    def __init__(self, video: bytes, index_last: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/video.mp4":
                    self.answer("video/mp4", [video])
                elif self.path == "/index-last.mp4":
                    self.answer("video/mp4", [index_last])
                elif self.path == "/text":
                    self.answer("text/html", [b"<html>" * 100])
                elif self.path == "/live":
                    pictures = [encode_jpeg(picture) for picture in numbered(3)]
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                    parts = [head % len(data) + data + b"\r\n" for data in pictures]
                    self.answer("multipart/x-mixed-replace; boundary=frame", parts)
                elif self.path == "/list.m3u8":
                    name = "file:///etc/passwd.ts"
                    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n"
                    self.answer("application/vnd.apple.mpegurl", [text.encode()])
                else:
                    self.send_error(404)

            def answer(self, kind: str, parts: list[bytes]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                if len(parts) == 1:
                    self.send_header("Content-Length", str(len(parts[0])))
                self.end_headers()
                for part in parts:
                    self.wfile.write(part)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str) -> Url:
        host, port = self.server.server_address[:2]
        return Url(f"http://user:secret@{host!s}:{port}/{path}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    noise = np.random.default_rng(0).integers(0, 256, (8, 480, 640, 3), np.uint8)
    files = [
        write_video(folder / "video.mkv", numbered(4)),
        write_video(folder / "noise.mp4", list(noise)),  # too long to be read to its end and back
    ]
    made = Served(*(file.read_bytes() for file in files))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_file_at_a_url_ends(served: Served) -> None:
    shown, notices, _ = all_of(Link(served.url("video.mp4"), hurry=True), ALL)
    assert [number_of(each.picture) for each in shown] == list(range(4))
    assert notices == ["ended"]


def test_a_file_at_a_url_that_needs_parts_of_it_says_what_to_do(served: Served) -> None:
    with pytest.raises(DecodeError, match="reading broke off: .*hint: .*fetch it, and give the fi"):
        read(Link(served.url("index-last.mp4")))


def test_what_is_no_video_at_a_url_is_said_to_be_none(served: Served) -> None:
    with pytest.raises(DecodeError, match="/text: Invalid data.*hint: .* is no video, or damaged"):
        read(Link(served.url("text")))


def test_a_stream_at_a_url_that_ends_has_broken(served: Served) -> None:
    options = FeedOptions(keep_all=True, reconnects=1, first_pause=0.01)
    shown, notices, feed = all_of(Link(served.url("live")), options, most=5)
    assert [number_of(each.picture) for each in shown] == [0, 1, 2, 0, 1]
    assert feed.counts.reconnects == 1
    said = "reading broke off: Input/output error; opened again in 0 s (1 of 1 try)"
    assert said in notices


def test_a_camera_by_rtsp_is_read_and_opened_again_when_it_hangs_up() -> None:
    options = FeedOptions(keep_all=True, reconnects=1, first_pause=0.01)
    with rtsp_camera(numbered(6), fps=20, login="user:secret") as address:
        link = Link(Url(f"rtsp://user:secret@{address}/hall"))
        shown, notices, feed = all_of(link, options, most=10)
    # FFmpeg gives the first picture no time: it has lost it to the parameter sets sent before.
    assert [number_of(each.picture) for each in shown] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert [each.seconds for each in shown[:5]] == pytest.approx([i / 20 for i in range(5)])
    assert feed.counts.reconnects == 1
    assert "the stream ended; opened again in 0 s (1 of 1 try)" in notices
    assert "secret" not in "".join(notices)


def test_a_camera_by_rtsp_that_asks_for_a_password_says_so() -> None:
    with (
        rtsp_camera(numbered(1), fps=20, login="user:secret") as address,
        pytest.raises(DecodeError, match=rf"rtsp://{address}/hall: .*401 Unauthorized"),
    ):
        read(Link(Url(f"rtsp://user:wrong@{address}/hall")))


@pytest.mark.parametrize("path", ["gone", "list.m3u8"])
def test_what_a_url_refuses_is_said_without_its_secrets(path: str, served: Served) -> None:
    with pytest.raises(DecodeError, match=rf"http://127.*/{path}: ") as caught:
        read(Link(served.url(path)))
    assert "secret" not in str(caught.value)


def test_urls_of_other_protocols_are_refused() -> None:
    with pytest.raises(DecodeError, match="'ftp' is no protocol for streams.*known are http"):
        Link(Url("ftp://host/a"))
    for scheme, allowed in PROTOCOLS.items():
        assert scheme in allowed
        assert not {"file", "pipe", "concat", "subfile", "data", "crypto"} & set(allowed)


def test_a_camera_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DecodeError, match="camera 187: "):
        read(Camera("187"))


def test_cameras_are_named_as_their_systems_name_them() -> None:
    assert camera_of("/dev/video3", "Linux") == ("v4l2", "/dev/video3")
    assert camera_of("HD Webcam", "Windows") == ("dshow", "video=HD Webcam")
    with pytest.raises(DecodeError, match="camera 0 is not known on Windows.*cameras have names"):
        camera_of("0", "Windows")


def test_a_word_means_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_named("0") == Camera("0")
    assert source_named("/dev/video1") == Camera("/dev/video1")
    assert source_named("camera:HD Webcam") == Camera("HD Webcam")
    assert source_named("rtsp://u:p@host/s") == Link(Url("rtsp://u:p@host/s"))
    assert source_named("rtsp://u:p@host/s").name == "rtsp://host/s"
    assert source_named("a.mp4", hurry=True) == VideoAsStream(Path("a.mp4"), hurry=True)
    assert source_named(str(tmp_path)) == GrowingFolder(tmp_path)
    (tmp_path / "0").mkdir()
    with pytest.raises(DecodeError, match=r"0 may be camera 0, or .*say which: /dev/video0 or ./0"):
        source_named("0")
    assert source_named("./0") == GrowingFolder(Path("0"))
    with pytest.raises(DecodeError, match="bare pixels come through standard input alone"):
        source_named("a.mp4", raw=(64, 48))


def test_no_video_is_made_of_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with path.open("rb") as file, pytest.raises(DecodeError, match="no video stream"):
        read(Piped(file))


def test_standard_input_that_is_closed_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DecodeError, match="standard input is closed"):
        source_named("-")


@pytest.mark.parametrize("name", ["a.h264", "a.mjpeg"])
def test_a_file_without_times_has_those_of_its_rate(name: str, tmp_path: Path) -> None:
    codec, pixels = ("libx264", "yuv420p") if name == "a.h264" else ("mjpeg", "yuvj420p")
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 40, pixels
        for level in range(6):
            picture = np.full((40, 48, 3), 40 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    shown, notices, _ = all_of(VideoAsStream(tmp_path / name, True), FeedOptions(keep_all=True))
    assert [each.seconds for each in shown] == pytest.approx([i / 25 for i in range(6)])
    assert "carries no times: 25 frames a second are taken" in notices[0]
