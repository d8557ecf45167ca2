from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from marey.engine.runtimes.session import Session, clip_scores, in_batches
from marey.engine.runtimes.stream_file import StreamFile

ASKED: list[int] = []


def doubled(inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
    """Twice the input, under every name, of which the batch is noted."""
    (value,) = inputs.values()
    ASKED.append(len(value))
    return dict.fromkeys(outputs, 2 * value)


@given(number=st.integers(1, 9), size=st.integers(1, 4))
@settings(deadline=None)
def test_any_number_goes_through_batches_of_one_size(number: int, size: int) -> None:
    ASKED.clear()
    clips = torch.arange(3.0 * number).reshape(number, 3)
    found = clip_scores(in_batches(Session("none", "", doubled), size), ["label"])(clips)
    torch.testing.assert_close(found["label"], 2 * clips)
    assert [size] * -(-number // size) == ASKED


def test_a_file_of_any_batch_is_asked_once() -> None:
    ASKED.clear()
    session = Session("none", "", doubled)
    assert in_batches(session, None) is session
    clip_scores(session, ["label"])(torch.zeros(5, 3))
    assert ASKED == [5]


def summed(inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
    """A stream that gives the sum of all frames so far."""
    total = inputs["frame"].mean(dim=(1, 2, 3), keepdim=True) + inputs["past_0"]
    return {"label": total[:, :, 0, 0], "next_0": total}


STREAM = StreamFile(
    Session("none", "", summed),
    {"frame": (3, 2, 4), "past_0": (1, 1, 1)},
    ("label", "next_0"),
)


def test_a_stream_carries_what_a_frame_leaves() -> None:
    clip = torch.tensor([1.0, 2, 3])[None, :, None, None, None].expand(2, 3, 3, 2, 4)
    kept: Sequence[Tensor] = ()
    seen = []
    for frame in clip.unbind(1):
        logits, *kept = STREAM(frame, *kept)
        seen.append(logits[:, 0].tolist())
    assert seen == [[1, 1], [3, 3], [6, 6]]
    torch.testing.assert_close(STREAM.scores(clip)["label"], torch.full((2, 1), 10 / 3))
    highest = replace(STREAM, consensus="max").scores(clip)["label"]
    torch.testing.assert_close(highest, torch.full((2, 1), 6.0))
    assert (STREAM.head_name, STREAM.num_buffers) == ("label", 1)
    assert [each.shape for each in STREAM.first_buffers(2, 4, 5)] == [(5, 1, 1, 1)]


def test_frames_of_another_size_and_buffers_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a frame is \(3, 4, 2\), the file takes \(3, 2, 4\)"):
        STREAM(torch.zeros(1, 3, 4, 2))
    with pytest.raises(ValueError, match="got 2 buffers, expected 1 or, for the first frame, non"):
        STREAM(torch.zeros(1, 3, 2, 4), *2 * STREAM.first_buffers(2, 4))
    with pytest.raises(ValueError, match="frames are 4 x 4, the file takes 2 x 4"):
        STREAM.first_buffers(4, 4)
