"""Mean, deviation and order of frame vectors, standardised by the training clips."""

from __future__ import annotations

import pytest
import torch

from marey.models import Head, ModelSpec, TimeStatisticsSpec
from marey.models.encoder import Fitted
from marey.models.encoders.time_statistics import TimeStatistics


def built(dim: int = 4, streams: int = 1) -> TimeStatistics:
    return TimeStatisticsSpec(dim, streams=streams).build((), 1)


def test_the_numbers_are_mean_deviation_and_thirds() -> None:
    x = torch.randn(2, 6, 4)
    (mean, deviation, *thirds) = built()(x)[:, 0].split(4, dim=1)
    torch.testing.assert_close(mean, x.mean(1))
    torch.testing.assert_close(deviation, x.std(1))
    for third, part in zip(thirds, x.split(2, dim=1), strict=True):
        torch.testing.assert_close(third, part.mean(1) - x.mean(1))


def test_the_mean_forgets_the_order_and_the_thirds_tell_it() -> None:
    x = torch.randn(1, 6, 4)
    there, back = built()(x)[0, 0], built()(x.flip(1))[0, 0]
    torch.testing.assert_close(there[:8], back[:8])
    torch.testing.assert_close(there[8:12], back[16:20])
    assert not torch.allclose(there[8:], back[8:])


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames_give_finite_numbers(frames: int) -> None:
    assert built()(torch.randn(2, frames, 4)).isfinite().all()
    assert built(streams=2)(torch.randn(2, 2 * frames - 1, 4)).isfinite().all()


def test_streams_are_described_apart() -> None:
    frames, differences = torch.randn(1, 5, 4), torch.randn(1, 4, 4)
    both = built(streams=2)(torch.cat([frames, differences], dim=1))
    apart = torch.cat([built()(frames), built()(differences)], dim=2)
    torch.testing.assert_close(both, apart)


def test_training_clips_have_a_norm_of_about_one_whatever_the_scale_of_a_number() -> None:
    neck = built(dim=6, streams=2)
    assert isinstance(neck, Fitted)
    clips = torch.randn(50, 9, 6) * torch.tensor([0.3, 0.1, 1, 10, 30, 1]) + 3
    neck.fit(clips.split(7))
    x = neck(clips)[:, 0]
    torch.testing.assert_close(x.mean(0), torch.zeros(60), atol=1e-4, rtol=0)
    assert x.norm(dim=1).square().mean().item() == pytest.approx(1, abs=0.02)
    part = x[:, :6].square().mean(0) * 6 * 6  # of six parts, six numbers each
    torch.testing.assert_close(part[2:], torch.ones(4), atol=0.05, rtol=0)


def test_a_number_that_never_changes_says_nothing() -> None:
    neck = built(dim=2)
    clips = torch.stack([torch.randn(20, 4), torch.full((20, 4), 7.0)], dim=2)
    neck.fit([clips])
    other = clips.clone()
    other[..., 1] = 8.0
    assert neck(other).isfinite().all()
    single = built(dim=2)
    single.fit([clips[:1]])
    assert single(other).abs().max() == 0


def test_what_was_fitted_is_saved_with_the_weights() -> None:
    spec = ModelSpec(TimeStatisticsSpec(4), num_segments=1, heads=(Head("label", 2),))
    model = spec.build()
    model.encoder.fit([torch.randn(8, 3, 4)])
    other = spec.build()
    other.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 4)
    assert torch.equal(model.encoder(x), other.encoder(x))


def test_more_than_two_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="streams is 3, expected 1, or 2"):
        TimeStatisticsSpec(streams=3)
