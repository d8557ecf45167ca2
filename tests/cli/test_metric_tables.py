from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marey.cli.metric_tables import print_untested
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation


def test_classes_that_no_clip_shows_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("run\nsit\njump\n")
    (tmp_path / "clips.csv").write_text("path,label\na.mp4,0\nb.mp4,2\n")
    clips = read_manifest(tmp_path / "clips.csv")
    print_untested(Evaluation(clips, {"label": np.zeros((2, 3), np.float32)}))
    assert capsys.readouterr().out == "1 of 3 classes of 'label' have no clip here: sit\n"
    print_untested(Evaluation(clips.take(np.array([], int)), {}))
    assert "3 of 3 classes" in capsys.readouterr().out
