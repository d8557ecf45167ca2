from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from marey.engine.optimize.measure import Opened, measured, opened
from marey.engine.runtimes.form import Running
from marey.engine.runtimes.optimized import Row
from marey.engine.runtimes.torch_forms import PLAIN, TorchForm
from marey.errors import RunError
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.types import Clip, Scores
from tests.tiny import TinySpec

SPEC = ModelSpec(TinySpec(), num_segments=2, heads=(Head("verb", 3), Head("noun", 4)))


@pytest.fixture(scope="module")
def model() -> VideoModel:
    torch.manual_seed(0)
    return SPEC.build().eval()


@pytest.fixture(scope="module")
def clips() -> Clip:
    return torch.randn(8, *SPEC.clip_shape(32), generator=torch.Generator().manual_seed(1))


def as_form(name: str, run: Callable[[Clip], Scores]) -> Opened:
    return Opened(name, Running(name, SPEC, run), 1.0, None)


def changed(model: VideoModel, change: Callable[[torch.Tensor], torch.Tensor]) -> Opened:
    return as_form("changed", lambda clip: {h: change(s) for h, s in model(clip).items()})


def table(model: VideoModel, clips: Clip, other: Opened) -> Row:
    rows = measured([as_form("plain", model), other], torch.split(clips, 2), seconds=60)
    assert [row.form for row in rows] == ["plain", other.name]
    assert rows[0].difference == 0
    assert rows[0].agreement == 100
    return rows[1]


def test_a_difference_is_in_parts_of_the_largest_logit(model: VideoModel, clips: Clip) -> None:
    row = table(model, clips, changed(model, lambda scores: 1.01 * scores))
    assert row.difference == pytest.approx(0.01, rel=1e-3)
    assert row.agreement == 100


def test_a_clip_agrees_if_all_of_its_heads_do(model: VideoModel, clips: Clip) -> None:
    def one_head_otherwise(clip: Clip) -> Scores:
        scores = model(clip)
        return {"verb": scores["verb"], "noun": -scores["noun"]}

    assert table(model, clips, as_form("half", one_head_otherwise)).agreement == 0


def test_scores_that_are_no_numbers_are_infinitely_far(model: VideoModel, clips: Clip) -> None:
    row = table(model, clips, changed(model, lambda scores: scores * float("nan")))
    assert row.difference == float("inf")


def test_all_forms_see_each_batch_before_the_next_and_take_turns(
    model: VideoModel, clips: Clip
) -> None:
    seen: list[tuple[str, float]] = []

    def noting(name: str) -> Opened:
        def run(clip: Clip) -> Scores:
            seen.append((name, float(clip.sum())))
            return model(clip)

        return as_form(name, run)

    batches = torch.split(clips, 4)
    measured([noting("a"), noting("b")], batches, seconds=60)
    assert [name for name, _ in seen] == ["a", "b", "b", "a"]
    assert [batch for _, batch in seen] == [float(b.sum()) for b in batches for _ in range(2)]


@dataclass(frozen=True)
class Failing:
    """A form that does not work."""

    name: str = "failing"
    reason: str = ""
    error: Exception | None = None
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def missing(self, device: torch.device) -> str:
        return self.reason

    def write(self, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]) -> None:
        if self.error:
            raise self.error

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:
        raise AssertionError


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (Failing(reason="no such runtime: pip install it"), "no such runtime: pip install it"),
        (Failing(error=RunError("no graph", "try again")), "no graph"),
        (Failing(error=RuntimeError("\n\nbad node\nat line 1")), "RuntimeError: bad node"),
        (Failing(error=MemoryError()), "MemoryError"),
    ],
)
def test_a_form_that_does_not_work_is_left_out_with_the_reason(
    model: VideoModel, clips: Clip, tmp_path: Path, form: Failing, why: str
) -> None:
    assert opened(form, model, clips, tmp_path, {}) == Row(form="failing", left_out=why)


def test_a_form_that_scores_the_first_clip_of_a_batch_alone_is_left_out(
    model: VideoModel, clips: Clip, tmp_path: Path
) -> None:
    def first(model: VideoModel) -> Callable[[Clip], Scores]:
        mask = torch.eye(1, 3).T  # one for the first clip
        return lambda clip: {h: s * mask[: len(clip)] for h, s in model(clip).items()}

    found = opened(TorchForm("first", first), model, clips, tmp_path, {})
    assert found == Row(
        form="first", left_out="it scores several clips at once otherwise than one by one"
    )


def test_what_is_opened_has_scored_a_clip(model: VideoModel, clips: Clip, tmp_path: Path) -> None:
    found = opened(PLAIN, model, clips, tmp_path, {})
    assert isinstance(found, Opened)
    assert found.start_seconds > 0
    assert found.memory_bytes is None or found.memory_bytes >= 0
