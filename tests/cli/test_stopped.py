from __future__ import annotations

from pathlib import Path

import pytest
import typer

from marey.cli.shared import saved_when_stopped
from marey.engine.train.stop_signals import Stopped


@pytest.mark.parametrize(
    ("saved", "said"),
    [(True, "stopped and saved. Go on: run"), (False, "stopped before a step was saved. Go on")],
)
def test_a_stop_says_saved_only_of_what_is(
    saved: bool, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    if saved:
        (run / "checkpoints" / "last.pt").touch()
    with pytest.raises(typer.Exit), saved_when_stopped(lambda folder: f"Go on: {folder.name}"):
        raise Stopped(run)
    assert said in capsys.readouterr().err


def test_a_stop_says_what_is_kept_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit), saved_when_stopped(lambda _: "Go on"):
        raise Stopped(tmp_path, kept="clips are kept")
    assert capsys.readouterr().err == "stopped before a step was saved; clips are kept. Go on\n"
