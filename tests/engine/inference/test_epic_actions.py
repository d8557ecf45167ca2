"""`marey eval --epic-lists`: tail and unseen people of runs, of dumps and of ensembles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from marey.cli.app import app
from marey.engine.inference.stored import read_stored
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from tests.data.lists.test_epic_splits import NAMES, write_lists
from tests.tiny import tiny_recipe, write_clip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of verbs and nouns, validated on four clips, two of them of an unseen person."""
    folder = tmp_path_factory.mktemp("epic")
    write_lists(folder / "lists")
    lines = ["path,id,verb,noun,split"]
    for i in range(8):
        write_clip(folder / f"{i}.mp4", i % 4, seed=i)
        person = "P18" if i % 4 > 1 else "P01"
        lines.append(f"{i}.mp4,{person}_01_{i},{i % 3},{i % 2},{'train' if i < 4 else 'val'}")
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    for head, names in NAMES.items():
        (folder / f"labels.{head}.txt").write_text("\n".join(names) + "\n")
    recipe = tiny_recipe(folder / "m.csv", epochs=1)
    return train(recipe, folder / "run", quiet=True, device="cpu")


def marey_eval(*words: object) -> Result:
    said = CliRunner().invoke(app, ["eval", *map(str, words), "--device", "cpu", "-j", "0"])
    assert said.exit_code == 0, (said.output, said.exception)
    return said


def test_numbers_of_the_parts_are_written_and_printed(run: Path, tmp_path: Path) -> None:
    lists = ("--epic-lists", run.parent / "lists")
    said = marey_eval(run, *lists, "--out", tmp_path / "one")
    facts = read_results(tmp_path / "one" / "results.json")
    assert facts.subsets == {
        "tail": {"verb": 1, "noun": 2, "action": 3},  # verbs 1 2 0 1, nouns 0 1 0 1
        "unseen": {"verb": 2, "noun": 2, "action": 2},
    }
    assert "tail: 1 of verb, 2 of noun, 3 of action" in said.output
    scored = read_stored(tmp_path / "one" / "predictions.parquet").evaluation
    right = {
        head: of.argmax(axis=1) == scored.manifest.labels[head]
        for head, of in scored.scores.items()
    }
    both = right["verb"] & right["noun"]
    assert facts.metrics["action/top1"] == 100 * both.mean()
    assert facts.metrics["action/top1/unseen"] == 100 * both[2:].mean()
    assert facts.metrics["noun/acc/top1/tail"] == 100 * right["noun"][[0, 2]].mean()
    dump = marey_eval(tmp_path / "one" / "predictions.parquet", *lists)
    assert "action/top1/tail" in dump.output
    assert "action/top1/tail" not in marey_eval(tmp_path / "one" / "predictions.parquet").output
    marey_eval(tmp_path / "one", run, *lists, "--out", tmp_path / "two")
    together = read_results(tmp_path / "two" / "results.json")
    assert together.subsets == facts.subsets
    assert together.metrics == pytest.approx(facts.metrics, nan_ok=True)
    assert together.members[0].metrics["action/top1/unseen"] == 100 * np.mean(both[2:])
