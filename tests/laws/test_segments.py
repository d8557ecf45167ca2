"""A model on another number of segments: the same weights, or a reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from marey.models import (
    TSM,
    Head,
    LongTermDifference,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    ResNetSpec,
    TDNSpec,
    VideoModel,
    streaming,
)
from marey.models.encoder import EncoderModule
from marey.models.encoders.features import FeaturesSpec
from marey.models.encoders.huggingface import HuggingFaceSpec
from marey.models.sites import Block, Site, TemporalOp
from tests.laws.kinds import BLIND, KINDS, R26, random_clip, random_model, tiny

BOUND = {name for name, spec in KINDS.items() if isinstance(spec.encoder, MotionformerSpec)}


@pytest.mark.parametrize("name", [name for name in KINDS if name not in BOUND])
@torch.no_grad()
def test_every_kind_takes_other_segments_with_the_same_tensors(name: str) -> None:
    model = random_model(KINDS[name])
    least = 2 if name == "s3d" else 1  # torchvision's S3D halves time once more
    for segments in (least, 3):
        other = model.with_frames(segments * model.spec.encoder.frames_per_segment)
        assert other.spec == model.spec.with_segments(segments)
        pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
        for (ours, one), (theirs, another) in pairs:
            assert (ours, one.data_ptr()) == (theirs, another.data_ptr())
        assert other(random_clip(other.spec, batch=1))["label"].isfinite().all()


@pytest.mark.parametrize("name", sorted(BOUND))
def test_a_motionformer_says_why_it_takes_no_other_segments(name: str) -> None:
    spec = KINDS[name]
    with pytest.raises(
        ValueError, match=r"(temp|st)_embed, one for every . of 4 frames.*another model"
    ):
        spec.with_segments(8)
    assert spec.with_segments(4) == spec


SOME = {name: random_model(BLIND[name]) for name in ("tsn-basic-blocks", "tsn-mobilenet")}


@given(name=st.sampled_from(sorted(SOME)), segments=st.integers(1, 6), seed=st.integers(0, 9))
@settings(max_examples=5)
@torch.no_grad()
def test_a_repeated_frame_gives_a_tsn_the_same_logits_however_often(
    name: str, segments: int, seed: int
) -> None:
    model = SOME[name]
    clip = random_clip(model.spec, 2, seed)[:, :1]
    one, many = (
        model.with_frames(n)(clip.expand(-1, n, -1, -1, -1))["label"] for n in (1, segments)
    )
    torch.testing.assert_close(one, many, rtol=1e-11, atol=1e-11)


@given(segments=st.integers(1, 40))
def test_the_last_number_of_segments_counts(segments: int) -> None:
    spec = tiny(R26, TSM())
    assert spec.with_segments(segments).with_segments(segments) == spec.with_segments(segments)
    assert spec.with_segments(segments).with_segments(spec.num_segments) == spec
    assert spec.with_segments(segments).frames == segments


def test_a_model_is_itself_on_its_own_frames_and_stays_in_its_mode() -> None:
    model = tiny(R26).build()
    assert model.with_frames(model.frames) is model
    for mode in (True, False):
        assert model.train(mode).with_frames(7).training is mode
        assert model.training is mode
    learns = [p.requires_grad for p in model.parameters()]
    assert learns == [p.requires_grad for p in model.with_frames(7).parameters()]


def test_tdn_is_fused_by_the_number_of_the_test_unless_that_is_named() -> None:
    ops = (LongTermDifference(),)
    spec = tiny(TDNSpec(26, channels=16), *ops, num_segments=16)
    assert spec.changes_on(16) == spec.changes_on(25) == ()
    (said,) = spec.changes_on(8)
    assert said == "TDN adds picture and motion by (0.5, 0.5), not (0.75, 0.25) as on 16 segments"
    with torch.device("meta"):
        assert spec.with_segments(8).build().encoder.fusion == (0.5, 0.5)
    assert not tiny(TDNSpec(26, (0.6, 0.4)), *ops, num_segments=16).changes_on(8)


@pytest.mark.parametrize(
    ("spec", "frames", "message"),
    [
        (KINDS["blvnet"], 5, "5 frames, expected whole segments of 2 frames each"),
        (KINDS["tdn"], 8, "8 frames, expected whole segments of 5 frames each"),
        (KINDS["tsn"], 0, "num_segments is 0, expected at least 1"),
        (KINDS["tsn"], 10**9, "num_segments is 1000000000, expected 1 to 10000"),
        (tiny(HuggingFaceSpec("vivit"), num_segments=32), 64, "vivit is made for clips of 32 fr"),
    ],
)
def test_frames_that_a_model_cannot_take_are_refused(
    spec: ModelSpec, frames: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        spec.with_frames(frames)


def test_a_model_of_features_takes_any_number_of_frames_as_it_is() -> None:
    model = tiny(FeaturesSpec(8), num_segments=1).build()  # type: ignore[arg-type]
    assert model.with_frames(150) is model


def test_a_stream_is_the_same_whatever_frames_the_clips_had() -> None:
    spec = tiny(MobileNetV2Spec(0.1), TSM(direction="past"))
    model = random_model(spec)
    frame = random_clip(spec, batch=1)[:, 0]
    with torch.no_grad():
        ours, theirs = (streaming(m).double()(frame)[0] for m in (model, model.with_frames(7)))
    assert torch.equal(ours, theirs)


# --- encoders and ops of other people ------------------------------------------------------------


@dataclass(frozen=True)
class Numbered:
    """An encoder that adds to each frame a number of its own, and does not say so."""

    in_channels: ClassVar[int] = 3
    frames_per_segment: ClassVar[int] = 1

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> EncoderModule:
        module = EncoderModule()
        module.num_features = 1
        module.numbers = nn.Parameter(torch.zeros(num_segments))
        return module


@dataclass(frozen=True)
class FourOnly(TemporalOp):
    """An op that answers for itself."""

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        return {"block_in": nn.Identity()}

    def on_segments(self, num_segments: int, trained: int) -> str:
        raise ValueError(f"{trained} is not {num_segments}")


def test_weights_that_depend_on_the_frames_are_found_where_nobody_says_so() -> None:
    model: VideoModel = ModelSpec(Numbered(), (), num_segments=3, heads=(Head("label", 2),)).build()
    with pytest.raises(ValueError, match=r"has other weights for 5 frames; .*numbers \(3,\)"):
        model.with_frames(5)


def test_an_op_of_ones_own_answers_for_itself() -> None:
    spec = ModelSpec(ResNetSpec(18), (TSM(), FourOnly()), num_segments=4)
    with pytest.raises(ValueError, match="4 is not 5"):
        spec.with_segments(5)
