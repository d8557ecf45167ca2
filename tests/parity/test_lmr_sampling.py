"""Frames, times, crops, rates and loading of Motionformer and lmr-release, against what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from marey.convert import motionformer
from marey.data.lists.epic import frames_a_second, in_frames
from marey.data.lists.listing import Listing
from marey.data.lists.lists import read_listing
from marey.data.lists.manifest_of import spans_of
from marey.engine.weights.checkpoint import load_strictly
from marey.engine.weights.starting import initialize
from marey.errors import CheckpointError
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.recipes.lmr import EPIC_100_VERBS, SSV2_LT
from marey.video.augment import normalize
from marey.video.crops import resize, short_side
from marey.video.motionformer_crops import JitteredCrop, UniformCrop
from marey.video.reading.frame_folder import FrameFolder
from marey.video.sampling.motionformer import RoundedSegments, TimedClips, evenly_as_upstream
from tests.conftest import goldens
from tests.parity.golden import golden_rule, read
from tests.video.media import encode_image

FOLDER = goldens() / "lmr"
SAMPLING = FOLDER / "sampling.json"
BEHAVIOURS = FOLDER / "reference_behaviours.json"

pytestmark = pytest.mark.skipif(
    not BEHAVIOURS.is_file(), reason=f"no goldens at {FOLDER}; set MAREY_GOLDENS"
)


def golden(key: str, path: Path = SAMPLING) -> Any:
    return read(path).values[key]


# --- frames -----------------------------------------------------------------------------------


def test_every_published_test_clip_of_something_something_is_reproduced() -> None:
    for case in golden("ssv2_eval"):
        frames = RoundedSegments(case["num_frames"]).indices(case["video_length"])
        assert frames.tolist() == [case["index"]]


def test_every_published_start_and_end_of_a_clip_is_reproduced() -> None:
    for case in golden("get_start_end_idx"):
        clips = TimedClips(1, case["clip_size"], clips=case["num_clips"], variant="upstream")
        start = clips.starts(case["video_size"])[case["clip_idx"]]
        assert start == pytest.approx(case["start"])
        assert start + clips.span - 1 == pytest.approx(case["end"])


def test_frames_between_start_and_end_are_the_published_ones() -> None:
    for case in golden("temporal_sampling"):
        ends = np.array([[case["start"]], [case["end"]]], dtype=np.float64)
        frames = evenly_as_upstream(*ends, case["n"]).clip(0, 59)
        assert frames.tolist() == [case["index"]]


def test_every_published_test_clip_of_epic_is_reproduced() -> None:
    for case in golden("epic_test"):
        clips = TimedClips(
            case["NUM_FRAMES"],
            case["SAMPLING_RATE"],
            case["TARGET_FPS"],
            case["NUM_ENSEMBLE_VIEWS"],
            "upstream-epic",
        )
        frames = clips.at(case["fps_used"]).indices(case["num_frames_segment"])
        for clip in case["clips"]:  # of files, which are numbered from 1
            numbers = case["start_frame"] + frames[clip["clip"]] + 1
            assert numbers.tolist() == clip["frames"]


def test_a_repaired_clip_of_epic_may_end_with_the_last_frame_of_its_segment() -> None:
    for case in golden("epic_test"):
        n, t = case["num_frames_segment"], case["NUM_FRAMES"]
        clips = TimedClips(t, case["SAMPLING_RATE"], case["TARGET_FPS"], clips=10)
        frames = clips.at(case["fps_used"]).indices(n)
        shown = max(number for clip in case["clips"] for number in clip["frames"])
        assert frames.max() == n - 1
        assert shown <= case["start_frame"] + n - 1  # their last file, where n would be the last


# --- times ------------------------------------------------------------------------------------


def read_times(folder: Path, *rows: str) -> Listing:
    header = "narration_id,video_id,start_timestamp,stop_timestamp,verb_class,noun_class"
    (folder / "EPIC_100_train.csv").write_text("\n".join([header, *rows]) + "\n")
    return read_listing(folder / "EPIC_100_train.csv")


def test_times_are_the_published_seconds_but_for_three_digits(tmp_path: Path) -> None:
    cases = golden("timestamp_to_sec")
    rows = [f"n,P01_0{i},{text},02:00:00.00,0,0" for i, (text, _) in enumerate(cases)]
    listing = read_times(tmp_path, *rows)
    for (text, wanted), row in zip(cases, listing.rows, strict=True):
        ours = row.start
        if text == "00:00:02.629":
            assert (ours, wanted) == (2.629, 8.29)
        else:
            assert ours == wanted


def test_every_published_segment_of_epic_is_reproduced(tmp_path: Path) -> None:
    for case in golden("epic_test"):
        video = case["narration_id"].rpartition("_")[0]
        row = f"n,{video},{case['start_timestamp']},{case['stop_timestamp']},0,0"
        place = f"{video.partition('_')[0]}/{video}"
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (clip,) = in_frames(read_times(tmp_path, row), tmp_path).rows
        assert (clip.start, clip.end) == (case["start_frame"], case["end_frame"])
        assert clip.rate == case["fps_used"]
        if "example_path" in case:
            assert case["example_path"].startswith(f"R/{clip.path}/frame_")


def test_segments_of_the_validation_list_lie_as_published(tmp_path: Path, shared_dir: Path) -> None:
    listing = read_listing(shared_dir / "data/annotations/epic100/EPIC_100_validation.csv")
    videos = [row.path for row in listing.rows]
    for video in set(videos):
        (tmp_path / video.partition("_")[0] / video).mkdir(parents=True)
    rates = Counter(map(frames_a_second, videos))
    told = [np.array(listing.columns[f"{name}_frame"], dtype=int) for name in ("start", "stop")]
    rows = in_frames(listing, tmp_path).rows
    starts, ends = spans_of((row.start, row.end) for row in rows).T.astype(int)
    wanted, lengths = golden("epic_validation_stats"), ends - starts
    assert len(listing) == wanted["segments"]
    assert differences(starts - told[0]) == wanted["start_frame_minus_csv"]
    assert differences(ends - told[1]) == wanted["end_frame_minus_csv"]
    assert (lengths.min(), lengths.max()) == (wanted["num_frames_min"], wanted["num_frames_max"])
    assert (rates[50], rates[60]) == (wanted["fps50"], wanted["fps60"])
    assert (lengths == 0).sum() == wanted["zero_length"]


def differences(values: np.ndarray) -> Mapping[str, int]:
    return Counter(map(str, values.tolist()))


# --- pixels -----------------------------------------------------------------------------------


def test_every_published_place_of_a_test_crop_is_reproduced() -> None:
    for case in golden("uniform_crop"):
        box = UniformCrop(case["size"], case["size"]).boxes(case["h"], case["w"])
        place = box[case["spatial_idx"]]
        assert (place.top, place.left) == (case["y"], case["x"])


def test_frames_are_scaled_as_published_without_antialiasing() -> None:
    rule = golden_rule(FOLDER)
    for case in golden("short_side_scale"):
        size = short_side(case["h"], case["w"], case["short"])
        assert list(size) == case["out"]
        noise = torch.from_numpy(rule.golden_input((1, 1, case["h"], case["w"]), 0))
        probe = rule.probe(resize(noise, size, antialias=False).numpy())
        for key, wanted in case["probe"].items():
            np.testing.assert_allclose(probe[key], wanted, rtol=1e-5, atol=1e-6)


def test_a_view_without_antialiasing_is_the_published_one_to_a_grey_level() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 60, 90), np.uint8))
    exact = resize(frames.float(), (40, 60), antialias=False)
    view = UniformCrop(40, 40, antialias=False)(frames)[0]
    assert (view.float() - exact[..., :40]).abs().max() <= 1


def test_pixels_are_normalised_as_published() -> None:
    case = golden("normalize")
    pixels = torch.tensor(case["in"], dtype=torch.uint8).movedim(-1, -3)
    ours = normalize(pixels, (0.5,), (0.5,)).movedim(-3, -1)
    np.testing.assert_allclose(ours.numpy(), case["out"], atol=1e-6)


# --- rates ------------------------------------------------------------------------------------


def test_the_second_stage_of_lmr_has_the_published_rates() -> None:
    recipes = {"EK lmr": EPIC_100_VERBS, "SSv2-LT lmr": SSV2_LT}
    for case in golden("lr"):
        stage = recipes[case["policy"]].stages[1]
        assert stage.epochs == case["cfg"]["MAX_EPOCH"]
        for epoch, rate in case["lr"]:
            assert stage.optim.lr * stage.lr_factor(epoch) == pytest.approx(rate)


def test_no_stored_table_is_left_out() -> None:
    assert set(read(SAMPLING).values) == {
        *("ssv2_eval", "get_start_end_idx", "temporal_sampling", "epic_test"),
        *("timestamp_to_sec", "epic_validation_stats"),
        *("uniform_crop", "short_side_scale", "normalize", "lr"),
    }
    assert set(read(BEHAVIOURS).values) == {
        *("motionformer_named_epic_checkpoint_into_lmr_model", "k400_400class_into_lmr_ssv2_174"),
        "lmr_extra_parameters",  # in tests/convert/test_motionformer.py
        "retry_load_images_red_pixel",
        *("pack_pathway_no_reverse_channel0", "pack_pathway_reverse_channel2"),
        *("random_crop_equal_size", "random_crop_max_x_offset(26->24)"),
    }


# --- what they do otherwise -------------------------------------------------------------------


def red_clip(folder: Path) -> Tensor:
    """A frame of red, as it is read: uint8 [1 3 8 8] in RGB."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 0] = 254
    (folder / "frame_0000000001.jpg").write_bytes(encode_image(picture))
    return FrameFolder(folder).read([0])


def test_epics_models_see_red_in_the_last_channel_as_opencv_reads_it(tmp_path: Path) -> None:
    pixel = normalize(red_clip(tmp_path), (0.0,), (1 / 255,), channel_order="bgr")[0, :, 4, 4]
    wanted = golden("retry_load_images_red_pixel", BEHAVIOURS)
    np.testing.assert_allclose(pixel.numpy(), wanted, atol=2)
    assert EPIC_100_VERBS.augment.channel_order == "bgr"


def test_all_other_models_see_red_in_the_first(tmp_path: Path) -> None:
    for order, key, channel in (
        ("rgb", "pack_pathway_no_reverse_channel0", 0),
        ("bgr", "pack_pathway_reverse_channel2", 2),
    ):
        red = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
        red[:, 0] = 255
        seen = normalize(red, (0.0,), (1.0,), channel_order="bgr" if order == "bgr" else "rgb")
        assert (seen[:, channel] == golden(key, BEHAVIOURS)).all()
    assert SSV2_LT.augment.channel_order == "rgb"


def test_a_random_crop_of_just_its_own_size_is_the_frame() -> None:
    assert golden("random_crop_equal_size", BEHAVIOURS).startswith("ValueError")
    frame = torch.arange(3 * 24 * 24).reshape(1, 3, 24, 24).to(torch.uint8)
    view = JitteredCrop(24, (24, 24))(frame, np.random.default_rng(0))
    assert (view[0] == frame).all()


def test_a_random_crop_may_lie_at_the_last_pixel() -> None:
    rng, crop = np.random.default_rng(0), JitteredCrop(24, (24, 24))
    lefts = {crop.box(24, 26, rng).left for _ in range(50)}
    assert golden("random_crop_max_x_offset(26->24)", BEHAVIOURS) == 1
    assert lefts == {0, 1, 2}


def model(*heads: Head) -> VideoModel:
    encoder = MotionformerSpec(width=24, depth=1, num_heads=3)
    return ModelSpec(encoder, (), num_segments=4, heads=heads, dropout=0.0).build()


def test_kinetics_weights_of_400_classes_begin_174_where_theirs_do_not(tmp_path: Path) -> None:
    theirs = golden("k400_400class_into_lmr_ssv2_174", BEHAVIOURS)
    assert "size mismatch for head.0.weight" in theirs
    kinetics, ours = model(Head("label", 400)), model(Head("label", 174))
    torch.save(kinetics.state_dict(), tmp_path / "k400.pt")
    said = initialize(ours, tmp_path / "k400.pt")
    assert said.endswith("without heads.label.weight, heads.label.bias")
    tokens = [m.encoder.state_dict()["cls_token"] for m in (kinetics, ours)]
    assert (tokens[0] == tokens[1]).all()


def test_weights_of_400_classes_are_no_trained_model_of_174(tmp_path: Path) -> None:
    kinetics, ours = model(Head("label", 400)), model(Head("label", 174))
    shapes = r"2 of another shape: heads\.label\.bias \(400,\) for \(174,\)"
    with pytest.raises(CheckpointError, match=shapes):
        load_strictly(ours, kinetics.state_dict(), source=tmp_path)


def test_both_ways_to_name_a_checkpoint_lead_to_the_same_weights() -> None:
    case = golden("motionformer_named_epic_checkpoint_into_lmr_model", BEHAVIOURS)
    assert case["head0.0.weight_loaded"]
    assert case["pre_logits.0.fc.weight_loaded"]
    for name in ("head0.weight", "head1.bias", "pre_logits.fc.weight"):
        ours = motionformer.rename(name)
        listed = name.replace("head0", "head0.0").replace("head1", "head1.0")
        assert motionformer.rename(listed.replace("pre_logits", "pre_logits.0")) == ours
    assert motionformer.rename("blocks.0.norm1.weight") == "encoder.blocks.0.norm1.weight"
