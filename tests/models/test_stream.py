from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec, TDNSpec
from marey.models.encoder import Encoder
from marey.models.stream import StreamingModel, streaming
from marey.models.video_model import VideoModel

PAST = (TSM(direction="past"),)
SMALL = ModelSpec(MobileNetV2Spec(0.1), PAST, num_segments=3, heads=(Head("label", 5),))


def offline(model: VideoModel, clip: Tensor) -> Tensor:
    """Logits of every frame of a clip [b t k]."""
    logits: Tensor = model.heads["label"](model.features(clip))
    return logits


def online(stream: StreamingModel, clip: Tensor, buffers: tuple[Tensor, ...] = ()) -> Tensor:
    """Logits of every frame, fed one by one [b t k]."""
    logits = []
    for frame in clip.unbind(1):
        now, *left = stream(frame, *buffers)
        logits.append(now)
        buffers = tuple(left)
    return torch.stack(logits, dim=1)


def built(spec: ModelSpec, seed: int = 0) -> VideoModel:
    """A model whose logits are not all but equal."""
    torch.manual_seed(seed)
    model = spec.build().eval()
    torch.nn.init.normal_(model.get_parameter("heads.label.weight"))
    return model


@given(
    encoder=st.one_of(
        st.builds(MobileNetV2Spec, st.sampled_from([0.1, 0.25, 0.4])), st.just(ResNetSpec(18))
    ),
    shift_div=st.integers(2, 12),
    place=st.sampled_from(["residual_in", "block_in", "block_out"]),
    num_frames=st.integers(1, 6),
    batch=st.integers(1, 2),
    sides=st.tuples(st.integers(20, 48), st.integers(20, 48)),
    seed=st.integers(0, 99),
)
@settings(max_examples=12, deadline=None)
def test_a_stream_gives_what_the_clip_gives_frame_by_frame(
    encoder: Encoder,
    shift_div: int,
    place,
    num_frames: int,
    batch: int,
    sides: tuple[int, int],
    seed: int,
) -> None:
    op = TSM(shift_div, place, direction="past")
    model = built(
        ModelSpec(encoder, (op,), num_segments=num_frames, heads=(Head("label", 5),)), seed
    ).double()
    clip = torch.randn(batch, num_frames, 3, *sides, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = offline(model, clip), online(streaming(model), clip)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_the_first_frame_needs_no_buffers_or_zeros_of_the_right_shape() -> None:
    model = built(SMALL)
    stream = streaming(model)
    clip = torch.randn(2, 3, 3, 40, 56)
    zeros = stream.first_buffers(40, 56, batch=2)
    assert all((buffer == 0).all() for buffer in zeros)
    assert torch.equal(online(stream, clip, zeros), online(stream, clip))
    _, *left = stream(clip[:, 0])
    assert [buffer.shape for buffer in left] == [buffer.shape for buffer in zeros]


def test_a_published_mobilenet_keeps_ten_buffers_of_an_eighth_of_the_channels() -> None:
    with torch.device("meta"):
        stream = StreamingModel(ModelSpec(MobileNetV2Spec(), PAST))
    buffers = stream.first_buffers(224, 224)
    assert [buffer.shape[1] for buffer in buffers] == [3, 4, 4, 8, 8, 8, 12, 12, 20, 20]
    assert [buffer.shape[2] for buffer in buffers] == [56, 28, 28, *[14] * 5, 7, 7]


def test_what_a_stream_has_seen_is_in_its_buffers_and_nowhere_else() -> None:
    stream = streaming(built(SMALL))
    one, other = torch.randn(1, 3, 3, 32, 32), torch.randn(1, 3, 3, 32, 32)
    wanted = online(stream, one)
    a, *left_a = stream(one[:, 0])
    stream(other[:, 0])  # a second stream through the same model, in between
    b, *left_b = stream(one[:, 1], *left_a)
    c, *_ = stream(one[:, 2], *left_b)
    assert torch.equal(torch.stack((a, b, c), dim=1), wanted)
    assert not any(a.untyped_storage().nbytes() > a.nbytes for a in left_a)


def test_the_streaming_form_shares_the_models_weights() -> None:
    model = built(SMALL)
    stream = streaming(model)
    ours = {p.data_ptr() for p in stream.parameters()}
    assert ours == {p.data_ptr() for p in model.parameters()}
    assert "CarriedShift(back=" in str(stream)


def test_one_of_several_heads_is_chosen_by_name() -> None:
    heads = (Head("verb", 3), Head("noun", 4))
    model = replace(SMALL, heads=heads).build()
    assert streaming(model, "noun")(torch.randn(1, 3, 32, 32))[0].shape == (1, 4)
    with pytest.raises(ValueError, match="head is None, expected one of verb, noun"):
        streaming(model)
    with pytest.raises(ValueError, match="head is 'label', expected one of verb, noun"):
        streaming(model, "label")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec(MobileNetV2Spec(), (TSM(),)), "anything else needs later frames"),
        (ModelSpec(ResNetSpec(18), (*PAST, NonLocal())), "anything else needs later frames"),
        (ModelSpec(TDNSpec(50), PAST), "takes 5 frames at once, expected an encoder of single"),
    ],
)
def test_a_model_that_needs_later_frames_is_an_error(spec: ModelSpec, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        StreamingModel(spec)


def test_a_wrong_number_of_buffers_is_an_error() -> None:
    stream = streaming(built(SMALL))
    with pytest.raises(ValueError, match="got 1 buffers, expected 11 or, for the first frame, no"):
        stream(torch.randn(1, 3, 32, 32), torch.zeros(1))


def test_the_streaming_form_can_be_exported_for_any_batch() -> None:
    stream = streaming(built(SMALL))
    frame, buffers = torch.randn(2, 3, 32, 32), stream.first_buffers(32, 32, batch=2)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(
        stream,
        (frame, *buffers),
        strict=False,
        dynamic_shapes={"frame": {0: batch}, "buffers": tuple({0: batch} for _ in buffers)},
    ).module()
    clip = torch.randn(3, 3, 3, 32, 32)
    zeros = stream.first_buffers(32, 32, batch=3)
    torch.testing.assert_close(online(exported, clip, zeros), online(stream, clip))
