from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marey.cli.metric_tables import print_metrics, print_untested
from marey.cli.repeats import print_repeats
from marey.cli.sweep import _print_trials
from marey.data.manifest.read import read_manifest
from marey.engine.experiments.search_space import read_axes
from marey.engine.experiments.sweep import Sweep, Trial
from marey.engine.inference.evaluate import Evaluation
from marey.engine.results_file import RepeatedRun, Repeats, Results, Spread
from marey.metrics.intervals import Estimate
from marey.recipes.catalog import find


def test_classes_that_no_clip_shows_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("run\nsit\njump\n")
    (tmp_path / "clips.csv").write_text("path,label\na.mp4,0\nb.mp4,2\n")
    clips = read_manifest(tmp_path / "clips.csv")
    print_untested(Evaluation(clips, {"label": np.zeros((2, 3), np.float32)}))
    assert capsys.readouterr().out == "1 of 3 classes of 'label' has no clip here: sit\n"
    print_untested(Evaluation(clips.take(np.array([], int)), {}))
    assert "3 of 3 classes" in capsys.readouterr().out


def test_tables_of_numbers_fit_80_columns_and_break_no_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = ["acc/top1", "acc/top5", "acc/class_avg", "acc/head", "acc/tail", "acc/few", "loss"]
    metrics = dict.fromkeys(keys, 100 / 3)
    estimates = {key: Estimate(100 / 3, 12.5, 66.67, 174, 24_777) for key in keys}
    title = "something-something-v2-validation, 24,777 clips"
    print_metrics(metrics, estimates, title)
    run = RepeatedRun(name="fold-0", num_clips=24_777, metrics=metrics)
    spread = dict.fromkeys(keys, Spread(100 / 3, 12.5, 66.67))
    print_repeats(
        Results(metrics=metrics, repeats=Repeats(kind="folds", runs=(run, run), spread=spread))
    )
    tried = ("stages.0.optim.weight_decay", "augment.label_smoothing", "lr")
    axes, _ = read_axes([f"{key}=1,2" for key in tried])
    plan = Sweep(recipe=find("tsn-r18"), axes=axes, metric="val/loss")
    _print_trials(plan, [Trial(number=0, values=plan.points[0], metric="val/loss", value=1.5)])
    lines = capsys.readouterr().out.splitlines()
    tables = [line for line in lines if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80
    words = {word for line in tables for word in line.replace("┃", " ").replace("│", " ").split()}
    assert {*keys, "24,777", "12.50", "fold-0", "trial-000"} <= words
    assert {*tried} <= words
