"""`open_video` on video files: the frame asked for is the frame given, and every fault is named."""

from __future__ import annotations

import os
import pickle
import shutil
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.errors import DecodeError
from marey.video.reading import decoding, ffmpeg_stream
from marey.video.reading.reader import Span, open_video
from tests.video.media import (
    encode_image,
    grey,
    numbered,
    numbers_of,
    remux,
    write_sound,
    write_video,
)

KINDS: dict[str, dict[str, Any]] = {
    "gop12.mp4": {},
    "gop12-b.mp4": {"b_frames": 2},
    "long-gop-b.mp4": {"b_frames": 2, "gop": 250},
    "gop5-b.mkv": {"b_frames": 2, "gop": 5},
    "intra.mp4": {"gop": 1},
    "open-gop.mp4": {"b_frames": 2, "options": {"x264-params": "open-gop=1"}},
    "open-gop.mkv": {"b_frames": 2, "options": {"x264-params": "open-gop=1"}},
    "refresh.mkv": {"options": {"x264-params": "intra-refresh=1", "preset": "veryfast"}},
    "refresh.ts": {"options": {"x264-params": "intra-refresh=1", "preset": "veryfast"}},
    "hevc-open-gop.mkv": {"codec": "libx265", "b_frames": 2},
    "hevc.mp4": {"codec": "libx265"},
    "av1.mp4": {"codec": "libsvtav1"},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4-b.avi": {"codec": "mpeg4", "b_frames": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2, "fps": 25},
    "h264.ts": {"b_frames": 2},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "raw.h264": {"b_frames": 2},
    "vfr.mp4": {"b_frames": 2, "times": np.cumsum([0.05 + 0.1 * (i % 3) for i in range(60)])},
    "late.mkv": {"times": np.arange(60) / 10 + 8.25},
}
COUNT = 60
SIZE = {"width": 64, "height": 64}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {
        name: write_video(folder / name, numbered(COUNT, **SIZE), **options)
        for name, options in KINDS.items()
    }


@pytest.fixture(scope="module")
def video(videos: dict[str, Path]) -> Path:
    return videos["gop12-b.mp4"]


# The frame asked for


@pytest.mark.parametrize("promised", [None, COUNT], ids=["counted", "promised"])
@pytest.mark.parametrize("kind", KINDS)
def test_frame_i_is_frame_i(videos: dict[str, Path], kind: str, promised: int | None) -> None:
    with open_video(videos[kind], num_frames=promised) as reader:
        assert len(reader) == COUNT
        assert numbers_of(reader.read(range(COUNT))) == list(range(COUNT))
        assert numbers_of(reader.read([59, 3, 40, 3])) == [59, 3, 40, 3]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_reads_equal_the_sequential_read(
    videos: dict[str, Path], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    promised = data.draw(st.sampled_from([None, COUNT]))
    reads = data.draw(
        st.lists(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=6), max_size=4)
    )
    with open_video(videos[kind]) as reader:
        everything = reader.read(range(COUNT))
    with open_video(videos[kind], num_frames=promised) as reader:
        for indices in reads:
            assert torch.equal(reader.read(indices), everything[indices])


def test_frames_are_uint8_t3hw_and_contiguous(video: Path) -> None:
    with open_video(video) as reader:
        frames = reader.read([5, 2])
    assert frames.shape == (2, 3, 64, 64)
    assert frames.dtype == torch.uint8
    assert frames.is_contiguous()


def test_colours_survive_to_within_the_codec(tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    with open_video(write_video(tmp_path / "red.mp4", [red] * 3)) as reader:
        means = reader.read([1]).float().mean(dim=(0, 2, 3))
    assert torch.allclose(means, torch.tensor([200.0, 0.0, 0.0]), atol=4)


def test_reading_before_len_does_not_count(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marey.video.reading.pyav.count_frames", None)
    with open_video(video) as reader:
        assert numbers_of(reader.read([0, 7])) == [0, 7]


def test_a_jump_decodes_no_more_than_a_group_of_pictures(video: Path) -> None:
    with open_video(video, num_frames=COUNT) as reader:
        reader.read([0])
        decoded = count_decoded(reader)
        assert numbers_of(reader.read([50])) == [50]
    assert decoded[0] <= 12 + 2


def test_without_key_frames_near_reading_goes_on(videos: dict[str, Path]) -> None:
    with open_video(videos["long-gop-b.mp4"], num_frames=COUNT) as reader:
        reader.read([10])
        decoded = count_decoded(reader)
        reader.read([50])
    assert decoded[0] == 40


def count_decoded(reader: object) -> list[int]:
    """A list whose one entry rises with every frame that `reader` decodes."""
    counter = [0]
    approach = reader._approach  # type: ignore[attr-defined]

    def counting(frames):
        for frame in frames:
            counter[0] += 1
            yield frame

    def spied(index: int) -> None:
        approach(index)
        reader._frames = counting(reader._frames)  # type: ignore[attr-defined]

    reader._approach = spied  # type: ignore[attr-defined]
    return counter


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_jump_pixels_are_those_of_the_sequential_read(
    videos: dict[str, Path], kind: str
) -> None:
    with open_video(videos[kind]) as reader:
        everything = reader.read(range(COUNT))
    for index in (59, 41, 30):
        with open_video(videos[kind], num_frames=COUNT) as reader:
            reader.read([0])
            assert torch.equal(reader.read([index])[0], everything[index])


def test_a_codec_whose_key_frames_lean_on_others_is_read_in_order(videos: dict[str, Path]) -> None:
    with open_video(videos["vp8.webm"], num_frames=COUNT) as reader:
        decoded = count_decoded(reader)
        reader.read([50])
    assert decoded[0] == 51


def test_a_jump_that_lands_wrong_is_noticed_and_undone(video: Path) -> None:
    with open_video(video) as reader:
        len(reader)
        timeline = reader._timeline  # type: ignore[attr-defined]
        timeline.stamps[:] += 1  # no frame carries these stamps
        assert numbers_of(reader.read([50, 20])) == [50, 20]
        assert not reader._jumps  # type: ignore[attr-defined]


def test_only_the_wanted_frames_are_held(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(80, width=320, height=240))
    with open_video(path, num_frames=80) as reader:
        tracemalloc.start()
        reader.read([0, 40, 79])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5 * 320 * 240 * 3


# Counting


def test_damaged_packets_do_not_count(video: Path, tmp_path: Path) -> None:
    path = remux(video, tmp_path / "spoilt.mkv", spoil=[20, 21])
    with av.open(str(path)) as container:
        packets = sum(packet.size > 0 for packet in container.demux(video=0))
    with open_video(path) as reader:
        assert len(reader) < packets == COUNT
        frames = reader.read(range(len(reader)))
        assert torch.equal(reader.read([len(reader) - 1]), frames[-1:])
        assert number_in(frames[-1]) == COUNT - 1


def number_in(frame: torch.Tensor) -> int:
    return numbers_of(frame[None])[0]


def test_a_file_cut_short_counts_what_is_left(videos: dict[str, Path], tmp_path: Path) -> None:
    data = videos["gop5-b.mkv"].read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(data[: len(data) // 2])
    with open_video(path) as reader:
        count = len(reader)
        assert 15 < count < 45
        assert numbers_of(reader.read(range(count))) == list(range(count))


def test_a_promise_too_high_surfaces_past_the_true_end(video: Path) -> None:
    with open_video(video, num_frames=COUNT + 2) as reader:
        assert numbers_of(reader.read([59])) == [59]
        with pytest.raises(DecodeError, match=r"frame 61 of 62 cannot be read, .* after 60 frames"):
            reader.read([61])
        with pytest.raises(DecodeError, match="60 frames decode, 62 were promised"):
            reader.timestamps()
        with pytest.raises(DecodeError, match="frame 60 of 62 cannot be read"):
            reader.read([60])


def test_a_promise_too_low_hides_the_rest(video: Path) -> None:
    with open_video(video, num_frames=50) as reader:
        assert numbers_of(reader.read([49, 30])) == [49, 30]
        with pytest.raises(ValueError, match="no frame 50, the video has 50 frames"):
            reader.read([50])


# Time


def test_timestamps_start_at_zero_whatever_the_file_says(videos: dict[str, Path]) -> None:
    for promised in (None, COUNT):
        with open_video(videos["late.mkv"], num_frames=promised) as reader:
            assert np.allclose(reader.timestamps(), np.arange(COUNT) / 10, atol=1e-3)


def test_variable_rate_keeps_its_own_times(videos: dict[str, Path]) -> None:
    times = np.array(KINDS["vfr.mp4"]["times"])
    for promised in (None, COUNT):
        with open_video(videos["vfr.mp4"], num_frames=promised) as reader:
            assert np.allclose(reader.timestamps(), times - times[0], atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_time_never_falls(videos: dict[str, Path], kind: str) -> None:
    with open_video(videos[kind]) as reader:
        assert (np.diff(reader.timestamps()) > 0).all()


def test_fps_is_the_rate(video: Path) -> None:
    with open_video(video) as reader:
        assert reader.fps == 10


# Spans


def test_a_span_in_seconds_is_the_frames_shown_in_it(video: Path) -> None:
    with open_video(video, span=Span(1.0, 2.5)) as reader:
        assert len(reader) == 15
        assert numbers_of(reader.read([0, 14])) == [10, 24]
        assert np.allclose(reader.timestamps(), np.arange(15) / 10)
        with pytest.raises(ValueError, match="no frame 15"):
            reader.read([15])


def test_a_span_in_frames(video: Path) -> None:
    with open_video(video, span=Span(5, 9, unit="frames"), num_frames=COUNT) as reader:
        assert numbers_of(reader.read(range(len(reader)))) == [5, 6, 7, 8]


def test_a_span_may_leave_out_either_end(video: Path) -> None:
    for span, numbers in [
        (Span(end=0.35), [0, 1, 2, 3]),
        (Span(start=5.75), [58, 59]),
        (Span(start=57, unit="frames"), [57, 58, 59]),
    ]:
        with open_video(video, span=span) as reader:
            assert numbers_of(reader.read(range(len(reader)))) == numbers


def test_an_end_rounded_up_by_less_than_a_second_is_the_end(video: Path) -> None:
    with open_video(video, span=Span(5.5, 6.8)) as reader:
        assert numbers_of(reader.read(range(len(reader)))) == [55, 56, 57, 58, 59]


@pytest.mark.parametrize(
    "span",
    [
        Span(2.0, 2.0),
        Span(3.0, 2.0),
        Span(-1.0, 2.0),
        Span(7.0, None),
        Span(1.0, 9.0),
        Span(1.01, 1.02),
        Span(10, 61, unit="frames"),
        Span(60, None, unit="frames"),
        Span(5, 5, unit="frames"),
    ],
    ids=str,
)
def test_a_span_without_frames_names_itself_and_the_video(video: Path, span: Span) -> None:
    with pytest.raises(DecodeError) as caught:
        open_video(video, span=span)
    assert f"the span {span} is empty or outside the video" in str(caught.value)
    assert "60 frames" in str(caught.value) or "5.900 seconds" in str(caught.value)


def test_half_a_frame_is_a_wrong_argument(video: Path) -> None:
    with pytest.raises(ValueError, match="counted in whole numbers"):
        open_video(video, span=Span(1.5, 3, unit="frames"))


# Shapes


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_come_upright(tmp_path: Path, degrees: int) -> None:
    upright = numbered(4, width=64, height=64)
    stored = [np.ascontiguousarray(np.rot90(picture, -degrees // 90)) for picture in upright]
    path = write_video(tmp_path / "turned.mp4", stored, rotation=degrees)
    with open_video(path) as reader:
        assert numbers_of(reader.read(range(4))) == [0, 1, 2, 3]


def test_a_quarter_turn_swaps_the_sides(tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", numbered(2, width=64, height=48), rotation=90)
    with open_video(path) as reader:
        assert reader.read([0]).shape == (1, 3, 64, 48)


@pytest.mark.parametrize(
    ("aspect", "shape"), [((4, 3), (48, 85)), ((1, 2), (96, 64)), ((1, 50), (48, 64))]
)
def test_pixels_become_square(
    tmp_path: Path, aspect: tuple[int, int], shape: tuple[int, int]
) -> None:
    path = write_video(tmp_path / "wide.mp4", numbered(2), aspect=Fraction(*aspect))
    with open_video(path) as reader:
        frames = reader.read([0, 1])
    assert frames.shape[-2:] == shape
    assert numbers_of(frames) == [0, 1]


def test_turned_pictures_widen_before_they_turn(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(2), aspect=Fraction(2), rotation=270)
    with open_video(path) as reader:
        assert reader.read([0]).shape[-2:] == (128, 48)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size"),
    [
        ("libx264", "yuv444p", (65, 49)),
        ("libvpx-vp9", "yuv420p", (65, 49)),
        ("libx264", "yuv420p10le", (64, 48)),
        ("libx264", "yuv444p10le", (63, 47)),
        ("libx264", "gray", (64, 48)),
        ("mpeg4", "yuv420p", (65, 49)),
        ("ffv1", "bgr0", (65, 49)),
    ],
)
def test_odd_sizes_and_deep_pixels(
    tmp_path: Path, codec: str, pix_fmt: str, size: tuple[int, int]
) -> None:
    width, height = size
    pictures = numbered(5, width=width, height=height)
    path = write_video(tmp_path / "odd.mkv", pictures, codec=codec, pix_fmt=pix_fmt)
    with open_video(path) as reader:
        frames = reader.read(range(len(reader)))
    assert frames.shape == (5, 3, height, width)
    assert numbers_of(frames) == [0, 1, 2, 3, 4]


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "dot.mp4", grey(5, width=1, height=1), pix_fmt="yuv444p")
    with open_video(path) as reader:
        frames = reader.read(range(len(reader)))
    assert frames.shape == (5, 3, 1, 1)
    assert np.allclose(frames[:, 0, 0, 0], 8 * np.arange(5) + 16, atol=3)


def test_a_stream_that_changes_size_is_scaled_to_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "change.mkv"
    large, small = numbered(30), numbered(30, width=32, height=24, first=30)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj444p"
        container.start_encoding()
        for i, picture in enumerate([*large, *small]):
            packet = av.Packet(encode_image(picture))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 10)
            packet.is_keyframe = True
            container.mux(packet)
    for promised in (None, 60):
        with open_video(path, num_frames=promised) as reader:
            frames = reader.read([50, 10])
            assert frames.shape == (2, 3, 48, 64)
            assert numbers_of(frames) == [50, 10]


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "covered.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj444p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height = 64, 48
        container.start_encoding()
        packet = av.Packet(encode_image(grey(1, width=32, height=32)[0]))
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 10)
        container.mux(packet)
        for picture in numbered(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    with open_video(path) as reader:
        assert numbers_of(reader.read(range(len(reader)))) == [0, 1, 2, 3, 4, 5]


# Names and wrong arguments


@pytest.mark.parametrize(
    "name", ["日本 ü.mp4", "-dash.mp4", "a:b.mp4", "50%d.mp4", "http:x.mp4", "a b'c\".mp4"]
)
def test_any_name_will_do(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copy(video, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_video(name) as reader:
        assert reader.path == Path(name)
        assert numbers_of(reader.read([30])) == [30]


def test_wrong_indices_are_value_errors(video: Path) -> None:
    with open_video(video, num_frames=COUNT) as reader:
        for indices in ([-1], [COUNT]):
            with pytest.raises(
                ValueError, match=r"no frame .* the video has 60 frames, counted from 0"
            ):
                reader.read(indices)
        for indices in ([], [1.5], [[1]]):
            with pytest.raises(ValueError, match="expected one or more integers"):
                reader.read(indices)  # type: ignore[arg-type]


def test_an_index_past_an_uncounted_end_is_a_value_error(video: Path) -> None:
    with (
        open_video(video) as reader,
        pytest.raises(ValueError, match="no frame 60, the video has 60"),
    ):
        reader.read([60])


def test_wrong_options_are_value_errors(video: Path) -> None:
    with pytest.raises(ValueError, match="backend is 'opencv', expected 'pyav' or 'torchcodec'"):
        open_video(video, backend="opencv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_frames is 0, expected at least 1"):
        open_video(video, num_frames=0)


def test_a_closed_reader_says_so(video: Path) -> None:
    reader = open_video(video)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="the reader is closed"):
        reader.read([0])


# Files that are no videos


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"none\.mp4: no such file or folder.*hint: .*manifest"):
        open_video(tmp_path / "none.mp4")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DecodeError, match=r"empty\.mp4: the file is empty \(0 bytes\).*download"):
        open_video(tmp_path / "empty.mp4")


@pytest.mark.parametrize(
    "name", ["text.mp4", "text.avi", "text.txt", "text.nfo", "text", "text.jpg"]
)
def test_a_text_is_no_video(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("path,label\na.mp4,1\n" * 200)
    with (
        pytest.raises(DecodeError, match=rf"{name}: .+ hint: "),
        open_video(tmp_path / name) as reader,
    ):
        len(reader)


def test_a_playlist_reaches_for_nothing(tmp_path: Path) -> None:
    lines = [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:9",
        "#EXTINF:9,",
        "http://192.0.2.1/a.ts",
        "#EXT-X-ENDLIST",
    ]
    (tmp_path / "list.mp4").write_text("\n".join(lines))
    with (
        pytest.raises(DecodeError, match=r"list\.mp4: "),
        open_video(tmp_path / "list.mp4") as reader,
    ):
        len(reader)


def test_an_mp4_cut_short(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video.read_bytes()[:1500])
    with pytest.raises(DecodeError, match=r"cut\.mp4: moov atom not found.*hint: .*cut short"):
        open_video(path)


def test_sound_alone(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.mp4")
    with pytest.raises(DecodeError, match=r"sound\.mp4: no video stream, the file holds audio"):
        open_video(path)


def test_a_video_of_which_nothing_decodes(video: Path, tmp_path: Path) -> None:
    path = remux(video, tmp_path / "noise.mkv", spoil=range(COUNT))
    with open_video(path) as reader:
        with pytest.raises(DecodeError, match=r"noise\.mkv: no frame decodes, in 60 packets.*hint"):
            len(reader)
        with pytest.raises(DecodeError, match="no frame decodes"):
            reader.read([0])


def test_a_picture_too_large_for_memory_is_not_passed_over(video: Path) -> None:
    opened = ffmpeg_stream.open_stream(video)

    class Full:
        codec_context = opened.stream.codec_context

        def decode(self, packet: object) -> None:
            raise av.error.MemoryError(12, "Cannot allocate memory")

    full = replace(opened, stream=Full())  # type: ignore[arg-type]
    with opened, pytest.raises(DecodeError, match=r"b\.mp4: not enough memory .* 64 x 64.*hint"):
        decoding._decode(full, None)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DecodeError, match=r"pipe\.mp4: a named pipe, not a file"):
        open_video(tmp_path / "pipe.mp4")


def test_permission_denied(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # chmod does not stop root, who runs many a CI
    with pytest.raises(DecodeError, match=r"gop12-b\.mp4: Permission denied"):
        open_video(video)


def test_ffmpeg_says_nothing_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 99)
    with pytest.raises(DecodeError):
        open_video(tmp_path / "text.mp4")
    assert capfd.readouterr() == ("", "")


def test_the_error_survives_the_trip_out_of_a_worker(tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as caught:
        open_video(tmp_path / "none.mp4")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# Leaks


def test_memory_and_files_stay_flat_over_2000_opens(videos: dict[str, Path]) -> None:
    process = psutil.Process()
    paths = [videos["gop12-b.mp4"], videos["vp8.webm"]]

    def visit(times: int) -> None:
        for i in range(times):
            with open_video(paths[i % 2]) as reader:
                reader.read([0])

    visit(300)
    before, files = process.memory_info().rss, process.num_fds()
    visit(2000)
    assert process.memory_info().rss - before < 8 * 2**20
    assert process.num_fds() <= files


def test_failing_opens_leave_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 99)
    sound = write_sound(tmp_path / "sound.mp4")
    files = psutil.Process().num_fds()
    for path in [tmp_path / "text.mp4", sound] * 50:
        with pytest.raises(DecodeError):
            open_video(path)
    assert psutil.Process().num_fds() <= files
