"""What earlier code wrote is read by this one, and means the same: see `stored/README.md`.

`stored/` holds runs, a release, packs, manifests and half-done jobs, and `expected.json`: what each
function below said of them when they were made. The command line is called as `python -m marey`,
and of the library only names that stand in `marey` itself, so that modules may move.
"""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

import marey
from tests.fresh import printed

STORED = Path(__file__).parent / "stored"
ROOT = "/proc/self/cwd/data"
"""The root of the clips in jobs that were left half done, the same on every machine with Linux."""
WITH_A_MODEL = ("train", "eval", "predict", "features")
"""The commands that take a device; the stored numbers are those of a CPU."""
TIMES = ("clips_per_second", "data_wait")
"""The columns of metrics.csv that no two runs have in common."""

Facts = dict[str, Any]


def command(*words: str) -> None:
    """`python -m marey` in this process, which has loaded torch already."""
    words = (*words, "--device", "cpu") if words[0] in WITH_A_MODEL else words
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["marey", *words])
        with pytest.raises(SystemExit) as end:
            runpy.run_module("marey", run_name="__main__")
    assert not end.value.code, f"marey {' '.join(words)}: status {end.value.code}"


def result_in(folder: str) -> Facts:
    """The numbers of an evaluation, and the scores if there are not too many."""
    facts = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
    table = pq.read_table(Path(folder, "predictions.parquet"))
    names = ("metrics", "metrics_by_source", "num_clips", "num_missing", "parameters", "data_hash",
             "classes", "span_unit", "missing")  # fmt: skip
    said = {name: facts[name] for name in names}
    scores = np.array(table["scores"].to_pylist())
    said |= {"columns": table.column_names, "mean_scores": scores.mean(axis=0).tolist()}
    return said if len(table) > 8 else said | {"predictions": table.to_pylist()}


def metrics_in(run: str) -> list[Facts]:
    """The rows of metrics.csv as numbers, without times."""
    with Path(run, "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: float(v) for k, v in row.items() if v and k not in TIMES} for row in rows]


def steps_in(run: str) -> list[int]:
    """The steps in log.jsonl, each of which is to stand there once."""
    lines = Path(run, "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [row["step"] for row in map(json.loads, lines) if row["kind"] == "step"]


def manifest_facts(path: str) -> Facts:
    """All that a manifest says of its clips."""
    found = marey.read_manifest(path)
    marey.require_files(found)
    rows = range(len(found))
    spans = [found.span(row) for row in rows]
    return {
        "paths": [Path(os.path.relpath(found.path(row))).as_posix() for row in rows],
        "labels": {head: labels.tolist() for head, labels in found.labels.items()},
        "classes": {head: list(names) for head, names in found.classes.items()},
        "several": {head: found.has_several(head) for head in found.labels},
        "class_counts": {head: found.class_counts(head).tolist() for head in found.labels},
        "split_counts": found.split_counts(),
        "splits": _texts(found.splits),
        "groups": _texts(found.groups),
        "sources": _texts(found.sources),
        "ids": _texts(found.ids),
        "spans": [span and [span.start, span.end, span.unit] for span in spans],
        "num_frames": [found.num_frames(row) for row in rows],
        "fps": [found.fps(row) for row in rows],
        "data_hash": found.digest(),
    }


def _texts(column: Any) -> list[str] | None:
    return None if column is None else column.to_pylist()


# --- what is said of each artifact; the working directory is the folder, or a copy of it ----------


def manifests() -> Facts:
    """CSV, Parquet, Arrow: of one label with spans, of several labels, of two heads, of packs."""
    kinds = [f"data/{name}.{suffix}" for name in ("clips", "several", "heads")
             for suffix in ("csv", "parquet", "arrow")]  # fmt: skip
    return {
        path: manifest_facts(path) for path in ("data/manifest.csv", "packed/manifest.csv", *kinds)
    }


def long_manifest() -> Facts:
    """Too long to be written down."""
    found = marey.read_manifest("data/1030-spans.parquet")
    counts = found.class_counts().tolist()
    return {"rows": len(found), "class_counts": counts, "data_hash": found.digest()}


def split_of_arrow() -> Facts:
    """The clips of one split, which are a stretch of an Arrow manifest."""
    found = marey.read_manifest("data/clips.arrow", split="val")
    return {"ids": _texts(found.ids), "labels": found.labels["label"].tolist()}


def feature_file() -> Facts:
    """A file of features as a manifest, and what it holds."""
    vectors = vectors_in("features.arrow")
    means = {"shape": list(vectors.shape), "features": vectors.mean(axis=(0, 1)).tolist()}
    return manifest_facts("features.arrow") | means


def features_made_again() -> Facts:
    """The stored model sees in the stored clips what it saw."""
    words = ("runs/whole", "--manifest", "data/manifest.csv", "--out", "again.arrow")
    command("features", *words)
    now, before = vectors_in("again.arrow"), vectors_in("features.arrow")
    assert now == pytest.approx(before, abs=1e-3, rel=1e-3)  # float16
    return manifest_facts("again.arrow")


def vectors_in(path: str) -> np.ndarray:
    """The features [n t d] of all clips."""
    return np.array(pa.ipc.open_file(path).read_all()["features"].to_pylist())


def recipes() -> Facts:
    """What the recipes of runs say."""
    said = {}
    for run in ("whole", "half", "features", "features-half"):
        command("recipes", "show", f"runs/{run}")
        found = marey.recipe(f"runs/{run}")
        said[run] = {
            "name": found.name,
            "encoder": type(found.model.encoder).__name__,
            "temporal": [type(op).__name__ for op in found.model.temporal],
            "heads": [[head.name, head.num_classes, head.several] for head in found.model.heads],
            "stages": [[stage.epochs, type(stage.optim).__name__, stage.optim.lr,
                        type(stage.sampler).__name__, type(stage.objective).__name__,
                        stage.trainable] for stage in found.stages],
            "train": [found.data.train, found.train.sampling.frames, found.train.crop.size],
            "test": [found.test.sampling.frames, found.test.crop.views, found.test.average],
            "batch": [found.batch_size, found.lr_batch_size, found.ema, found.seed],
        }  # fmt: skip
    return said


def results() -> Facts:
    """What was written when the runs were evaluated."""
    return {run: result_in(f"runs/{run}/results/val") for run in ("whole", "features")}


def results_in_words() -> Facts:
    """A dump of predictions is counted again; a report and a comparison of stored runs."""
    command("eval", "runs/whole/results/val/predictions.parquet")
    command("report", "runs/whole", "--out", "report.html")
    command("report", "runs/half", "--out", "unfinished.html")
    command("compare", "runs/whole", "runs/features", "--out", "comparison.html")
    pages = ("report.html", "unfinished.html", "comparison.html")
    texts = {page: Path(page).read_text(encoding="utf-8") for page in pages}
    names = ("tsm-r18", "features-mlp", "left", "right", "50.0")
    return {page: [name for name in names if name in text] for page, text in texts.items()}


def evaluated() -> Facts:
    """A stored run, by a process that has read nothing but its folder."""
    printed("-m", "marey", "eval", "runs/whole", "--name", "again", "--device", "cpu")
    return result_in("runs/whole/results/again")


def evaluated_on_others() -> Facts:
    """The same on other manifests: with spans and sources, and on packs; the unfinished run."""
    command("eval", "runs/whole", "--manifest", "data/clips.arrow", "--name", "clips")
    command("eval", "runs/whole", "--manifest", "packed/manifest.csv", "--name", "packed")
    command("eval", "runs/half", "--split", "train")
    return {
        "clips": result_in("runs/whole/results/clips"),
        "packed": result_in("runs/whole/results/packed"),
        "half": result_in("runs/half/results/train"),
    }


def evaluated_on_features() -> Facts:
    """A stored run on features, of two stages, whose weights are averages."""
    command("eval", "runs/features", "--name", "again")
    return result_in("runs/features/results/again")


def loaded() -> Facts:
    """A release, by a process that has read nothing else, and the run it was made of."""
    video, code = "data/videos/right/1.mp4", "import json, sys, marey; print(json.dumps({}))"
    answers = "marey.load(sys.argv[1]).predict(sys.argv[2])"
    command("eval", "release", "--out", "of-release")
    return {
        "release": json.loads(printed("-c", code.format(answers), "release", video)),
        "run": marey.load("runs/whole").predict(video),
        "windows": marey.load("release").predict(video, window_seconds=1.0),
        "result": result_in("of-release"),
    }


def exported() -> Facts:
    """A release made now of the stored run has the weights of the stored one, by the same names."""
    command("export", "runs/whole", "new-release")
    before, now = (safetensors.numpy.load_file(f"{folder}/model.safetensors")
                   for folder in ("release", "new-release"))  # fmt: skip
    assert before.keys() == now.keys()
    assert all(np.array_equal(before[name], now[name]) for name in before)
    shapes = {name: list(values.shape) for name, values in sorted(now.items())}
    counts = json.loads(Path("new-release/class_counts.json").read_text(encoding="utf-8"))
    return {"shapes": shapes, "class_counts": counts}


def verified() -> Facts:
    """Packs are as they were written; status 0 says so."""
    command("data", "verify", "packed", "--workers", "1")
    with Path("packed/checksums.csv").open(encoding="utf-8", newline="") as file:
        return {"checksums": list(csv.reader(file))}


def trained() -> Facts:
    """What a run trains to and logged, and what the same recipe trains to now."""
    marey.train(marey.recipe("runs/features"), Path("runs/new"), device="cpu", quiet=True)
    runs = ("whole", "half", "features", "features-half", "new")
    return {run: {"metrics": metrics_in(f"runs/{run}"), "steps": steps_in(f"runs/{run}")}
            for run in runs}  # fmt: skip


def resumed() -> Facts:
    """Two runs that were stopped go on to their end: of videos, and of features in stage two."""
    command("train", "--resume", "--work-dir", "runs/half")
    command("train", "--resume", "--work-dir", "runs/features-half", "--quiet")
    said = {run: {"metrics": metrics_in(f"runs/{run}"), "steps": steps_in(f"runs/{run}")}
            for run in ("half", "features-half")}  # fmt: skip
    command("eval", "runs/features-half")
    return said | {"result": result_in("runs/features-half/results/val")}


def resumed_at_the_end() -> Facts:
    """A run that is finished stays as it is."""
    command("train", "--resume", "--work-dir", "runs/features", "--quiet")
    return {"metrics": metrics_in("runs/features"), "steps": steps_in("runs/features")}


ANYWHERE: tuple[Callable[[], Facts], ...] = (
    *(manifests, long_manifest, split_of_arrow, feature_file, features_made_again, recipes),
    *(results, results_in_words, evaluated, evaluated_on_others, evaluated_on_features, loaded),
    *(exported, verified, trained, resumed, resumed_at_the_end),
)


def predictions_by_shards() -> Facts:
    """Finished predictions of an earlier marey, asked for again by both shares."""
    words = ("runs/whole", "data/manifest.csv", "--root", ROOT, "--out", "jobs/predictions.parquet")
    for shard in ("0/2", "1/2"):
        command("predict", *words, "--shard", shard, "--overwrite")
    found = pq.read_table("jobs/predictions.parquet").drop_columns(["label"])  # younger than stored
    return {"predictions": found.to_pylist()}


def half_an_evaluation() -> Facts:
    """The other share, then the stored one: its part is taken, or made anew."""
    words = ("runs/whole", f"data.root={ROOT}", "--manifest", "data/1030-spans.parquet")
    for shard in ("1/2", "0/2"):
        command("eval", *words, "--out", "jobs/eval", "--batch-size", "1024", "--shard", shard)
    assert_joined("jobs/eval/results.json")
    return result_in("jobs/eval")


def half_a_check() -> Facts:
    """The same of a check."""
    words = (f"{ROOT}/260-spans.parquet", "--out", "jobs/check.csv", "--workers", "1")
    for shard in ("1/2", "0/2"):
        printed("-m", "marey", "data", "check", *words, "--shard", shard)
    assert_joined("jobs/check.csv")
    lines = Path("jobs/check.csv").read_text(encoding="utf-8").splitlines()
    return {"rows": len(lines) - 1, "some": [lines[0], lines[1], lines[-1]]}


def half_a_packing() -> Facts:
    """The other share of a packing finds the stored part, and joins both."""
    words = ("data/few.csv", "jobs/packed", "--root", ROOT, "--clips", "1", "--fps", "1.5")
    printed("-m", "marey", "data", "pack", *words, "--workers", "1", "--shard", "0/2")
    assert_joined("jobs/packed/manifest.csv")
    return manifest_facts("jobs/packed/manifest.csv")


def assert_joined(target: str) -> None:
    assert Path(target).is_file(), f"{target} is not made: a part is missing"


ON_LINUX: tuple[Callable[[], Facts], ...] = (
    predictions_by_shards,
    half_an_evaluation,
    half_a_check,
    half_a_packing,
)


# --- the tests ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected() -> Facts:
    facts: Facts = json.loads((STORED / "expected.json").read_text(encoding="utf-8"))
    return facts


@pytest.mark.parametrize("say", ANYWHERE, ids=lambda say: say.__name__)
def test_means_what_it_meant(
    say: Callable[[], Facts], expected: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(STORED, tmp_path / "stored"))
    assert_same(plain(say()), expected[say.__name__], say.__name__)


@pytest.mark.skipif(
    not Path(ROOT).parent.is_dir(), reason="no /proc/self/cwd, which stored parts name"
)
@pytest.mark.parametrize("say", ON_LINUX, ids=lambda say: say.__name__)
def test_job_ends_as_it_would_have(
    say: Callable[[], Facts], expected: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(STORED, tmp_path / "stored"))
    assert_same(plain(say()), expected[say.__name__], say.__name__)


def test_evaluating_the_stored_run_gives_the_stored_numbers(expected: Facts) -> None:
    assert_same(expected["evaluated"], expected["results"]["whole"], "whole")
    assert_same(expected["evaluated_on_features"], expected["results"]["features"], "features")


def test_a_resumed_run_ends_as_one_that_was_not_stopped(expected: Facts) -> None:
    resumed, whole = expected["resumed"], expected["trained"]
    for half, run in (("half", "whole"), ("features-half", "features")):
        assert resumed[half]["steps"] == whole[run]["steps"]
        for row, other in zip(resumed[half]["metrics"], whole[run]["metrics"], strict=True):
            mean = {"train/loss"}  # of the steps since the run was resumed
            assert_same(*({k: v for k, v in r.items() if k not in mean} for r in (row, other)), run)


def write_expected() -> None:
    """Write expected.json into the working directory, as the code that made the rest of it."""
    folder, said = Path.cwd(), {}
    for number, say in enumerate((*ANYWHERE, *ON_LINUX)):
        copy = folder.with_name(f"{folder.name}-{number}")
        os.chdir(shutil.copytree(folder, copy))
        said[say.__name__] = plain(say())
        os.chdir(folder)
        shutil.rmtree(copy)
    lines = (f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in said.items())
    Path("expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def plain(facts: Facts) -> Facts:
    """`facts` as JSON gives them back."""
    said: Facts = json.loads(json.dumps(facts))
    return said


def assert_same(found: Any, stored: Any, where: str) -> None:
    """Equal, numbers to 1e-5, or to a thousandth of what was trained or is stored as float16."""
    if isinstance(stored, dict) and isinstance(found, dict):
        assert found.keys() == stored.keys(), where
        for key, value in stored.items():
            assert_same(found[key], value, f"{where}: {key}")
    elif isinstance(stored, list) and isinstance(found, list):
        assert len(found) == len(stored), where
        for place, value in enumerate(stored):
            assert_same(found[place], value, f"{where}: {place}")
    elif isinstance(stored, float) and isinstance(found, int | float):
        loose = re.search("metrics|features: |resumed", where)
        assert found == pytest.approx(stored, abs=1e-3 if loose else 1e-5, rel=1e-5), where
    else:
        assert found == stored, where
