"""examples/longtail_evidence.py compares methods from one start, and makes each run only once."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.data.manifest.read import read_manifest
from marey.longtail.lmr import LMR
from marey.longtail.logit_adjustment import BalancedSoftmax, LogitAdjustment

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "longtail_evidence.py"
TRAINED = (60, 22, 3)
COMPARED = ["balanced softmax", "control", "LMR, scale 8, l 0.6"]


def write_clips(folder: Path) -> Path:
    """Features of three classes, of unequal numbers of training clips; returns their manifest."""
    rng, lines = np.random.default_rng(0), ["path,label,split"]
    for label, count in enumerate(TRAINED):
        for number in range(count + 8):
            name = f"{label}_{number}.npy"
            np.save(folder / name, rng.normal(np.eye(3, 8)[label], 0.2, (1, 8)).astype(np.float32))
            split = "train" if number < count else ("val", "test")[number % 2]
            lines.append(f"{name},{label},{split}")
    manifest = folder / "clips.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def test_the_table_of_features_has_gains_and_says_what_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT))
    clips = write_clips(tmp_path)
    words = [str(tmp_path / "runs"), "features", str(clips), "--epochs", "2", "--only", *COMPARED]
    script["main"](words)
    printed = capsys.readouterr().out
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")][1:]
    names = [row[0].removeprefix("| ") for row in rows]
    assert names == ["first stage", *COMPARED]
    assert rows[2][5:7] == ["0.0", "0.0"]  # the control, over itself
    assert rows[1][7:9] == ["0.0", "0.0"]  # balanced softmax, over itself
    assert printed.splitlines()[-1].endswith(": LMR, scale 8, l 0.6")
    clips.unlink()  # what is trained is only read
    script["main"](words)
    assert capsys.readouterr().out == printed


def test_whole_networks_learn_rendered_classes(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    setting = script["rendered"](10, largest=4, tested=(1, 1))
    first = replace(setting.recipe.stages[0], epochs=1)
    setting = replace(setting, recipe=replace(setting.recipe, stages=(first,)), second=1)
    found = script["compare"](setting, [0], tmp_path, [(8.0, 0.6)], COMPARED)
    assert list(found) == ["first stage", *COMPARED]
    found = script["compare"](setting, [1], tmp_path, [], ["CE at once"])
    assert list(found) == ["CE at once"]  # a first stage that nothing follows is not trained


def test_second_stages_differ_by_their_objective_alone() -> None:
    script = runpy.run_path(str(SCRIPT))
    for setting in (script["rendered"](10), script["features"]([])):
        stages = script["stages"](setting, [(1.0, 0.3), (8.0, 0.6)])
        for name, stage in stages.items():
            if isinstance(stage.objective, LMR):
                beside = stages["balanced softmax" if name.startswith("balanced") else "control"]
                assert replace(stage, objective=beside.objective) == beside, name


def test_one_stage_is_as_long_as_two() -> None:
    script = runpy.run_path(str(SCRIPT))
    for setting in (script["rendered"](10), script["features"]([])):
        (first,) = setting.recipe.stages
        second = script["stages"](setting, [])["CE"]
        plain, balanced, adjusted = script["at_once"](setting).values()
        assert plain == replace(first, epochs=first.epochs + second.epochs)
        assert balanced == replace(plain, objective=BalancedSoftmax())
        assert adjusted == replace(plain, objective=LogitAdjustment(1.25))


def test_classes_of_pairs_are_long_tailed_and_their_clips_are_drawn_apart(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    manifest = read_manifest(script["rendered"](12, largest=5, tested=(1, 1)).data(3, tmp_path))
    train, *others = (manifest.select(s).class_counts().tolist() for s in ("train", "val", "test"))
    assert train[0] == 5
    assert train == sorted(train, reverse=True)
    assert others == [[1] * 12] * 2
    assert len({manifest.path(row).read_bytes() for row in range(len(manifest))}) == len(manifest)
