"""The files of docs/extending.md are written as they stand there, and used by fresh processes."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from marey.data.manifest.read import read_manifest
from marey.engine.inference.measures import head_metrics
from marey.engine.results_file import read_results
from marey.metrics.catalog import METRICS
from tests import fresh
from tests.tiny import CLASSES, write_set

DOC = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
TEXT = DOC.read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
QUICK = ("stages.0.epochs=1", "data.workers=0", "batch_size=4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who has tiny videos and the files of the page."""
    folder = tmp_path_factory.mktemp("mine")
    for name, source in FILES.items():
        (folder / name).write_text(source, encoding="utf-8")
    write_set(folder, per_class=4, val_per_class=1).rename(folder / "clips.csv")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The folder after the first command of the page, with a smaller network and one epoch."""
    (block,) = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    train, evaluate = block.replace("\\\n", "").replace("tsn-r18", "demo-tsn").splitlines()
    marey(folder, *shlex.split(train)[1:], *QUICK)
    assert evaluate == "marey eval run"
    return folder


def marey(folder: Path, *words: str) -> str:
    """What the command says on stderr, run in that folder by a process of its own.

    With `-P` Python looks where it would for the script `marey`: not in the current folder.
    """
    done = fresh.run("-P", "-m", "marey", *words, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_the_op_passes_its_own_tests(folder: Path) -> None:
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder)
    done = fresh.run(*words, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_a_run_of_their_op_loss_and_sampler_is_opened_by_every_command(trained: Path) -> None:
    said = marey(trained, "eval", "run")
    for name, place in (
        ("change", "model.temporal.0"),
        ("poly", "stages.0.objective"),
        ("capped", "stages.0.sampler"),
    ):
        assert f"importing {name} from {trained / name}.py, for run/recipe.yaml: {place}" in said
    marey(trained, "predict", "run", "red_0.mp4")
    marey(trained, "report", "run")
    marey(trained, "export", "run", "release")
    assert "release/config.json" in marey(trained, "predict", "release", "red_0.mp4")
    marey(trained, "train", "--resume", "--work-dir", "run")


def test_their_files_are_not_looked_for_beside_the_weights(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    for name in FILES:
        shutil.copy(trained / name, tmp_path / "run")
    done = fresh.run("-m", "marey", "eval", ".", cwd=tmp_path / "run")
    assert done.returncode == 2
    assert "lies in the folder of the run or release, where no code is run" in done.stderr


def test_a_run_of_their_encoder_on_their_data_set_is_opened(folder: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 5))):
        lines = [f"{name}_{i}\t{name}" for name in CLASSES for i in numbers]
        text = "\n".join([*lines, "red_0\tred-brown"])
        (folder / f"{split}.tsv").write_text(text, encoding="utf-8")
    done = fresh.run("prepare_colours.py", cwd=folder)
    assert done.stdout == f"{Path('prepared/manifest.csv')}\n", done.stderr
    assert read_manifest(folder / "prepared/manifest.csv").split_counts() == {"train": 16, "val": 4}
    assert (folder / "prepared/rejects.csv").read_text(encoding="utf-8").count("red-brown") == 2
    options = ("--manifest", "prepared/manifest.csv", "--work-dir", "small")
    marey(folder, "train", "demo-tsn", "model.encoder=small.Small", *QUICK, *options)
    assert "importing small" in marey(folder, "eval", "small")


def test_a_run_with_their_metric_keeps_shows_and_compares_it(folder: Path) -> None:
    def with_f1(*words: str) -> str:
        return fresh.printed("with_f1.py", *words, cwd=folder)

    options = ("--manifest", "clips.csv", "--work-dir", "by-f1")
    with_f1("train", "demo-tsn", "save_best=acc/f1", *QUICK, *options)
    assert "acc/f1" in (folder / "by-f1" / "metrics.csv").read_text(encoding="utf-8")
    assert "acc/f1" in with_f1("eval", "by-f1")
    results = read_results(folder / "by-f1" / "results" / "val" / "results.json")
    assert 0 <= results.metric("acc/f1") <= 100
    with_f1("report", "by-f1")
    assert ">F1<" in (folder / "by-f1" / "report.html").read_text(encoding="utf-8")
    with_f1("compare", "by-f1", "--out", "comparison.html")
    assert "F1 (%)" in (folder / "comparison.html").read_text(encoding="utf-8")
    marey(folder, "report", "by-f1")  # which does not know it, and shows the rest


def test_their_metric_is_that_of_scikit_learn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    rng = np.random.default_rng(0)
    scores, labels = rng.random((60, 4)), rng.integers(0, 4, 60)
    f1 = importlib.import_module("f1")
    try:
        wanted = 100 * f1_score(labels, scores.argmax(axis=1), average="macro")
        assert head_metrics(scores, labels, None)["acc/f1"] == pytest.approx(wanted)
    finally:
        METRICS.pop()
        del sys.modules["f1"], f1


def test_the_page_has_an_example_of_everything() -> None:
    assert list(FILES) == [
        *("change.py", "test_change.py", "small.py", "poly.py", "capped.py"),
        *("f1.py", "with_f1.py", "colours.py", "prepare_colours.py"),
    ]


def test_every_file_it_points_to_exists() -> None:
    for path in re.findall(r"`(marey/[\w/]+\.py)`", TEXT):
        assert (DOC.parents[1] / path).is_file(), path
