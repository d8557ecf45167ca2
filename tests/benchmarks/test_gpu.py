"""The script for a GPU runs from end to end, on a processor and small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import COMPARED, _largest, main


def tiny_run(path: Path, *models: str) -> dict[str, Any]:
    main(["--device=cpu", "--tiny", "--minutes=60", "--models", *models, f"--json={path}"])
    written: dict[str, Any] = json.loads(path.read_text())
    assert not [part for part, what in written["parts"].items() if not what.endswith(" s")]
    return written


def test_the_script_tells_clips_a_second_and_memory(tmp_path: Path) -> None:
    written = tiny_run(tmp_path / "build" / "gpu.json", "motionformer-b")
    rows = {(row["model"], row["mode"]): row for row in written["rows"]}
    training = rows["motionformer-b training", "bf16"]
    assert min(training["clips_per_second"], training["ratio"], training["bf16_ratio"]) > 0
    inference = rows["motionformer-b inference x 2", "fused"]
    assert inference["max_error"] < 1e-5
    assert inference["peak_share"] > 0
    assert written["memory"]["motionformer-b"]["ours_clips"] == 2
    assert written["memory"]["motionformer-b"]["ours_bytes"] > 1e5


@pytest.mark.long  # without instructions for bfloat16 its steps in that take minutes
def test_the_script_has_all_models(tmp_path: Path) -> None:
    written = tiny_run(tmp_path / "gpu.json", *COMPARED)
    assert {row["model"].split()[0] for row in written["rows"]} == set(COMPARED)


def test_the_largest_batch_is_found_by_doubling_and_then_half_or_a_quarter_more() -> None:
    def room_for(most: int) -> tuple[int, int]:
        return _largest(lambda clips: 10 * clips if clips <= most else None, 8, 4096)

    assert [room_for(n) for n in (7, 8, 50, 44)] == [(0, 0), (8, 80), (48, 480), (40, 400)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_how_to_try_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--device cpu --tiny" in capsys.readouterr().err
