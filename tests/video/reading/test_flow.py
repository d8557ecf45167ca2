"""Optical flow: the bytes it is, pairs of pictures, packs, and computed from videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.data.loading.clips import ClipDataset
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.packs.forms import FlowPacks
from marey.data.packs.pack_clips import pack_clips
from marey.errors import DecodeError, ManifestError, RunError
from marey.jobs.executors import Here
from marey.modality import STACKS
from marey.video.crops import CenterCrop
from marey.video.mirror import mirrored
from marey.video.reading import flow as module
from marey.video.reading.flow import (
    FlowSettings,
    as_picture,
    flow_source,
    in_pixels,
    open_flow,
    quantised,
    settings_of,
)
from marey.video.reading.in_memory import FramesInMemory
from marey.video.reading.jpeg import encode_jpeg
from marey.video.reading.reader import Span, open_video
from marey.video.reading.samples import Stacked, open_samples, samples_of
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.segments import Segments
from tests.flow_pairs import write_pairs

HEIGHT, WIDTH = 32, 48


def fields(num: int, seed: int = 0) -> np.ndarray:
    """Fields uint8 [num h w 2] of one level each, x and y of their own."""
    levels = np.random.default_rng(seed).integers(40, 216, (num, 1, 1, 2), np.uint8)
    return np.broadcast_to(levels, (num, HEIGHT, WIDTH, 2))


def levels(fields_tchw: torch.Tensor) -> np.ndarray:
    """The mean levels [t c] of fields."""
    return fields_tchw.float().mean(dim=(2, 3)).numpy()


def manifest_of(folder: Path, paths: Sequence[str], **columns: object) -> Manifest:
    table = {"path": list(paths), "label": np.zeros(len(paths), np.int64), **columns}
    return Manifest.from_columns(folder / "m.csv", folder, table, {"label": ("a", "b")})


# --- bytes ---------------------------------------------------------------------------------------


@given(st.floats(-50, 50), st.floats(1, 40))
def test_a_byte_is_the_motion_to_half_a_step(value: float, bound: float) -> None:
    field = quantised(np.full((1, 1, 2), value, np.float32), bound)
    back = in_pixels(field, bound)
    assert np.allclose(back, np.clip(value, -bound, bound), atol=bound / 255 + 1e-4)


def test_bytes_are_those_of_the_published_tools() -> None:
    values = np.array([-21, -20, -10, 0, 10, 19.95, 20, 99], np.float32)
    expected = [0, 0, 64, 128, 191, 255, 255, 255]  # round(255 (v + 20) / 40), half to even
    assert quantised(np.stack([values, values], 1)[None])[0, :, 0].tolist() == expected


@given(st.integers(0, 99))
def test_the_bytes_of_motion_to_the_other_side_are_inverted(seed: int) -> None:
    flow = np.random.default_rng(seed).normal(0, 12, (4, 5, 2)).astype(np.float32)
    there, back = quantised(flow).astype(int), quantised(-flow).astype(int)
    assert np.abs(255 - there - back).max() <= 1


# --- pairs of pictures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        *("flow_{}_{:05d}.jpg", "{}_{:05d}.jpg", "000123-{}_{:05d}.jpg", "flow-{}-{:d}.jpg"),
        *("{1:05d}_{0}.jpg", "{1:d}-{0}.JPG", "flow_{}/{:06d}.jpg", "{}/frame{:06d}.jpg"),
    ],
)
def test_pairs_are_found_by_their_names(tmp_path: Path, template: str) -> None:
    of = fields(7)
    write_pairs(tmp_path, of, template)
    with open_flow(tmp_path) as flow:
        read = flow.read(range(len(flow)))
        assert (len(flow), tuple(read.shape)) == (7, (7, 2, HEIGHT, WIDTH))
        assert np.array_equal(levels(read), of[:, 0, 0])
    assert flow_source(tmp_path) == "read from pairs of pictures"


def test_flow_lies_beside_pictures_and_each_model_reads_its_own(tmp_path: Path) -> None:
    write_pairs(tmp_path, fields(9))
    for number in range(1, 4):  # fewer than there is flow
        picture = np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)
        (tmp_path / f"img_{number:05d}.jpg").write_bytes(encode_jpeg(picture))
    with open_samples(tmp_path, "rgb") as video, open_samples(tmp_path, "flow") as flow:
        assert (len(video), video.read([0]).shape[1]) == (3, 3)
        assert (len(flow), flow.read([0]).shape[1]) == (5, 10)


def test_a_folder_of_flow_alone_is_no_video(tmp_path: Path) -> None:
    write_pairs(tmp_path, fields(3), "{1:05d}_{0}.jpg")
    with pytest.raises(DecodeError, match=r"optical flow \(.*_x.jpg and .*_y.jpg\).*modality flow"):
        open_video(tmp_path)


def test_a_pair_that_lacks_a_half_is_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path, fields(4))
    (tmp_path / "flow_y_00004.jpg").unlink()
    with pytest.raises(DecodeError, match="4 files like flow_x_00001.jpg, but 3 like flow_y_00001"):
        open_flow(tmp_path)


@pytest.mark.parametrize(("listed", "found"), [(6, 6), (7, 6), (12, 6), (None, 6), (4, 4), (9, 9)])
def test_lists_count_pictures_or_files_of_flow(tmp_path: Path, listed: int, found: int) -> None:
    write_pairs(tmp_path, fields(6))
    with open_flow(tmp_path, num_frames=listed) as flow:
        assert len(flow) == found
        if found > 6:
            with pytest.raises(DecodeError, match="the folder holds 6"):
                flow.read([8])


def test_a_span_of_pictures_has_the_fields_between_them(tmp_path: Path) -> None:
    of = fields(8)
    write_pairs(tmp_path, of)
    with open_flow(tmp_path, span=Span(2, 6, "frames")) as flow:
        assert len(flow) == 3
        assert np.abs(levels(flow.read([0, 2])) - of[[2, 4], 0, 0]).max() <= 1
    with open_flow(tmp_path, span=Span(3, 9, "frames")) as flow:
        assert len(flow) == 5


@given(st.integers(1, 14), st.integers(0, 9))
def test_a_sample_is_five_fields_x_before_y(n: int, seed: int) -> None:
    """As TSN and TSM stack them, the last one repeated at the end."""
    of = fields(n, seed)
    stored = torch.from_numpy(of.copy()).permute(0, 3, 1, 2)

    samples = Stacked(FramesInMemory(stored), STACKS["flow"].frames)
    at = len(samples) - 1
    follow = stored[(at + torch.arange(5)).clamp(max=n - 1)]
    assert len(samples) == max(1, n - 4)
    assert torch.equal(samples.read([at])[0], follow.reshape(10, HEIGHT, WIDTH))


def test_starts_of_samples_are_those_of_the_published_rules() -> None:
    """What begins where four more fields follow is what the rules say of stacks of five."""
    for n in range(5 + 8, 90):  # shorter ones repeat what they have, see `marey.modality`
        starts = max(1, n - 4)
        tsm, blvnet = Segments(8), Uniform(8, variant="upstream")
        of_stacks = Segments(8, frames_per_segment=5, variant="upstream").starts(n)
        assert (tsm.indices(starts) == of_stacks).all()
        assert (blvnet.indices(starts) == Uniform(8, 5, variant="upstream").starts(n)).all()


# --- packs ---------------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    for name, num in (("one", 9), ("two", 7)):
        write_pairs(tmp_path / name, fields(num, seed=num))
    made = pack_clips(
        manifest_of(tmp_path, ["one", "two"]), tmp_path / "out", FlowPacks(), executor=Here()
    )
    assert made is not None
    return made.manifest


def test_a_pack_gives_the_fields_that_went_into_it(packed: Path) -> None:
    manifest = read_manifest(packed)
    assert manifest.frame_counts is not None
    assert manifest.frame_counts.tolist() == [9, 7]
    with open_flow(manifest.path(0)) as flow:
        assert np.array_equal(levels(flow.read(range(9))), fields(9, seed=9)[:, 0, 0])
    assert flow_source(manifest.path(0)) == "read from a pack"
    clips = ClipDataset(manifest, Segments(3), CenterCrop(16, resize=None), modality="flow")
    sample = clips[0, None]
    assert sample.clip is not None
    assert sample.clip.shape == (1, 3, 10, 16, 16)


def test_flow_is_never_shown_to_a_model_of_pictures(packed: Path) -> None:
    manifest = read_manifest(packed)
    for modality in ("rgb", "rgbdiff"):
        clips = ClipDataset(manifest, Segments(3), CenterCrop(16, resize=None), modality=modality)
        assert "optical flow, not pictures" in (clips[0, None].error or "")


def test_packing_goes_on_and_refuses_other_settings(packed: Path) -> None:
    clips, out = manifest_of(packed.parents[1], ["one", "two"]), packed.parent
    again = pack_clips(clips, out, FlowPacks(), executor=Here())
    assert again is not None
    assert again.num_clips == 2
    with pytest.raises(ManifestError, match="made of other clips, or in another form"):
        pack_clips(clips, out, FlowPacks(FlowSettings(bound=10)), executor=Here())
    assert json.loads((out / "packing.json").read_text())["settings"]["bound"] == 20


# --- computed ------------------------------------------------------------------------------------


def test_without_opencv_a_video_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    module._opencv.cache_clear()
    video = write_video(tmp_path / "a.mp4")
    with pytest.raises(
        RunError, match=r"OpenCV is not installed. hint: pip install 'marey\[flow\]'"
    ):
        open_samples(video, "flow")
    with pytest.raises(RunError, match="OpenCV is not installed"):
        flow_source(video)
    module._opencv.cache_clear()


def moving(num: int, step: int, size: int = 64) -> torch.Tensor:
    """Frames [num 3 size size] of a texture that moves `step` pixels to the right."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 256, (1, 1, 24, 24)).astype(np.float32))
    texture = torch.nn.functional.interpolate(coarse, size=(size, 2 * size), mode="bicubic")
    texture = texture.clamp(0, 255).to(torch.uint8)[0, 0]
    shown = [texture[:, size // 2 - step * i :][:, :size] for i in range(num)]
    return torch.stack(shown)[:, None].expand(-1, 3, -1, -1).contiguous()


def write_video(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for picture in moving(8, 2).permute(0, 2, 3, 1).numpy():
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_flow_of_what_moves_to_the_right_is_to_the_right() -> None:
    pytest.importorskip("cv2")
    samples = samples_of(FramesInMemory(moving(8, 3)), "flow")
    assert len(samples) == 3  # 8 pictures have 7 fields
    field = in_pixels(samples.read([0])[0, :2, 16:-16, 16:-16].permute(1, 2, 0).numpy())
    assert np.abs(np.median(field, axis=(0, 1)) - [3, 0]).max() < 0.25


def test_flow_of_the_mirror_image_is_the_mirror_image_of_flow() -> None:
    pytest.importorskip("cv2")
    frames = moving(7, 2)
    of_image = samples_of(FramesInMemory(frames.flip(-1)), "flow").read([0])
    image = mirrored(samples_of(FramesInMemory(frames), "flow").read([0]))
    inside = (..., slice(12, -12), slice(12, -12))
    difference = (of_image.int() - image.int())[inside].abs().float()
    assert difference.mean() < 2  # of 255: 0.3 pixels, the method's own error


def test_computed_once_or_while_reading_flow_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    video = write_video(tmp_path / "a.mp4")
    made = pack_clips(
        manifest_of(tmp_path, ["a.mp4"]), tmp_path / "out", FlowPacks(), executor=Here()
    )
    assert made is not None
    with open_flow(read_manifest(made.manifest).path(0)) as stored, open_flow(video) as computed:
        assert len(stored) == len(computed) == 7
        assert np.allclose(stored.timestamps(), computed.timestamps())
        one, other = (each.read(range(7)).int() for each in (stored, computed))
        assert (one - other).abs().float().mean() < 1  # JPEG
        assert (one - other).float().mean().abs() < 0.05  # to no side
    assert "computed by DIS" in flow_source(video)


def test_a_pack_of_other_settings_is_not_read_for_a_model_that_does_not_have_them(
    tmp_path: Path,
) -> None:
    pytest.importorskip("cv2")
    write_video(tmp_path / "a.mp4")
    narrow = FlowSettings(bound=10)
    clips = manifest_of(tmp_path, ["a.mp4"])
    made = pack_clips(clips, tmp_path / "out", FlowPacks(narrow), executor=Here())
    assert made is not None
    path = read_manifest(made.manifest).path(0)
    message = r"computed with \{'bound': 10.*\}, where \{'bound': 20.*\} is asked.*data.flow.bound"
    for ask in (open_flow, flow_source):
        with pytest.raises(RunError, match=message):
            ask(path)
    with open_flow(path, settings=narrow) as flow:
        assert len(flow) == 7


@pytest.fixture
def nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flow is computed without OpenCV, and is nothing."""
    still = np.zeros((64, 64, 2), np.float32)
    monkeypatch.setattr(module, "flow_of", lambda method: lambda before, after: still)


@pytest.mark.usefixtures("nothing_moves")
def test_packed_again_flow_still_says_how_it_was_computed(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    narrow = FlowPacks(FlowSettings(bound=10))
    clips = manifest_of(tmp_path, ["a.mp4"])
    for name in ("once", "again", "and-again"):
        made = pack_clips(clips, tmp_path / name, narrow, executor=Here())
        assert made is not None
        clips = read_manifest(made.manifest)
        with pytest.raises(RunError, match="computed with"):
            open_flow(clips.path(0))
        with open_flow(clips.path(0), span=Span(1, 5, "frames"), settings=narrow.settings) as flow:
            assert settings_of(flow) == asdict(narrow.settings)
            assert len(flow) == 3


@pytest.mark.usefixtures("nothing_moves")
def test_a_span_in_seconds_has_the_same_fields_stored_and_computed(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4")
    made = pack_clips(
        manifest_of(tmp_path, ["a.mp4"]), tmp_path / "out", FlowPacks(), executor=Here()
    )
    assert made is not None
    pack = read_manifest(made.manifest).path(0)
    with open_video(video) as pictures:
        clock = [*pictures.timestamps()]
    assert len(clock) == 8
    for end in [*clock[2:], *(time + 0.01 for time in clock[1:]), None]:
        with (
            open_flow(pack, span=Span(0.0, end)) as stored,
            open_flow(video, span=Span(0.0, end)) as computed,
        ):
            assert len(stored) == len(computed)


def test_tv_l1_needs_the_contributed_modules() -> None:
    cv2 = pytest.importorskip("cv2")
    settings = FlowSettings(method="tvl1")
    if hasattr(cv2, "optflow"):
        from marey.video.reading.flow import ComputedFlow

        flow = ComputedFlow(FramesInMemory(moving(2, 3)), settings).read([0])
        assert (
            np.abs(np.median(in_pixels(flow[0].permute(1, 2, 0).numpy()), (0, 1)) - [3, 0]).max()
            < 0.5
        )
    else:
        with pytest.raises(RunError, match="has no TV-L1.*opencv-contrib-python-headless"):
            samples_of(FramesInMemory(moving(2, 3)), "flow") if False else module.flow_of(
                settings.method
            )


def test_a_field_as_a_picture_is_x_above_y() -> None:
    field = fields(1)[0]
    picture = as_picture(field)
    assert picture.shape == (2 * HEIGHT, WIDTH, 3)
    assert (picture[:HEIGHT, :, 0] == field[..., 0]).all()
    assert (picture[HEIGHT:, :, 2] == field[..., 1]).all()
