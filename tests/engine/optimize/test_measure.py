from __future__ import annotations

import time
from collections.abc import Callable

import torch

from marey.engine.optimize.measure import FEWEST_BATCHES, Opened, measured
from marey.engine.runtimes.form import Running
from marey.models import Head, ModelSpec, ResNetSpec

SPEC = ModelSpec(ResNetSpec(18, channels=8), num_segments=2, heads=(Head("label", 3),))


def form(name: str, first: Callable[[], None]) -> Opened:
    def run(_: torch.Tensor) -> dict[str, torch.Tensor]:
        work(0.005)
        first()
        return {"label": torch.tensor([[1.0, 2.0, 3.0]])}

    return Opened(name, Running(name, SPEC, run), 0.0, None)


def work(seconds: float) -> None:
    """Keep the processor busy for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_only_what_computes_for_long_is_given_up() -> None:
    forms = [
        form("plain", lambda: None),
        form("kept waiting", lambda: time.sleep(0.05)),
        form("slow", lambda: work(0.05)),
    ]
    batches = [torch.zeros(1, *SPEC.clip_shape(8))] * FEWEST_BATCHES
    rows = {row.form: row.left_out for row in measured(forms, batches, seconds=600)}
    assert rows == {
        "plain": "",
        "kept waiting": "",
        "slow": "over 4 times as slow as the plain model",
    }
