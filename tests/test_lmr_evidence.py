"""examples/lmr_evidence.py compares whole networks, and trains each only once."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from marey.data.manifest.read import read_manifest
from marey.longtail.lmr import LMR

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "lmr_evidence.py"


def test_the_table_has_gains_over_the_control_and_says_what_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT))
    namespace, tried = script["compare"].__globals__, [(8.0, 0.6)]
    every = script["stages"]
    namespace["stages"] = lambda first, tried: {
        name: stage
        for name, stage in every(first, tried).items()
        if name.startswith(("control", "LMR"))
    }
    setting = script["rendered"](10, largest=4, tested=(1, 1))
    first = replace(setting.recipe.stages[0], epochs=1)
    setting = replace(setting, recipe=replace(setting.recipe, stages=(first,)))
    found = script["compare"](setting, [0], tmp_path, tried)
    assert list(found) == ["first stage", "control", "LMR, scale 8, l 0.6"]
    script["print_table"](found, tried)
    printed = capsys.readouterr().out
    control = next(line for line in printed.splitlines() if line.startswith("| control"))
    assert control.split(" | ")[-3:-1] == ["0.0", "0.0"]
    assert "chosen on clips of their own" in printed
    again = script["compare"](setting, [0], tmp_path, tried)
    assert again == found


def test_second_stages_differ_by_their_objective_alone() -> None:
    script = runpy.run_path(str(SCRIPT))
    stages = script["stages"](script["rendered"](10).recipe.stages[0], [(1.0, 0.3), (8.0, 0.6)])
    for name, stage in stages.items():
        if isinstance(stage.objective, LMR):
            beside = stages["balanced softmax" if name.startswith("balanced") else "control"]
            assert replace(stage, objective=beside.objective) == beside, name


def test_classes_of_pairs_are_long_tailed_and_their_clips_are_drawn_apart(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    manifest = read_manifest(script["rendered"](12, largest=5, tested=(1, 1)).write(3, tmp_path))
    train, *others = (manifest.select(s).class_counts().tolist() for s in ("train", "val", "test"))
    assert train[0] == 5
    assert train == sorted(train, reverse=True)
    assert others == [[1] * 12] * 2
    assert len({manifest.path(row).read_bytes() for row in range(len(manifest))}) == len(manifest)
