"""Features, predictions and checks by shards, in any order, are those of one process."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from marey.data.checks.check import check_manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.engine.train.loop import train
from marey.errors import ManifestError, RunError
from marey.jobs.executors import Processes
from marey.jobs.shards import Shard
from tests.tiny import tiny_recipe, write_set


@dataclass(frozen=True)
class Trained:
    run: Path
    manifest: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run, and a list of 24 clips one of which cannot be read."""
    folder = tmp_path_factory.mktemp("scale")
    manifest = write_set(folder / "clips")
    run = train(tiny_recipe(manifest, epochs=1), folder / "run", quiet=True)
    (manifest.parent / "red_4.mp4").write_bytes(b"no video")
    return Trained(run, manifest)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marey.engine.inference.jobs.PART_ROWS", 3)


def options(trained: Trained) -> EvalOptions:
    return EvalOptions(folder=trained.run, manifest=trained.manifest, workers=0, batch_size=3)


def feature_options(trained: Trained, out: Path) -> FeatureOptions:
    run = str(trained.run)
    return FeatureOptions(source=run, manifest=trained.manifest, out=out, workers=0, batch_size=3)


def shuffled(count: int) -> list[Shard]:
    shards = [Shard(index, count) for index in range(count)]
    random.Random(count).shuffle(shards)
    return shards


@pytest.mark.parametrize("count", [2, 5])
def test_features_by_shards_are_those_of_one_process(trained: Trained, tmp_path: Path, count: int):
    def features(out: Path, **options):
        return extract_features(feature_options(trained, out), **options)

    whole = features(tmp_path / "whole.arrow")
    made = [features(tmp_path / "parts.arrow", shard=shard) for shard in shuffled(count)]
    assert [one is None for one in made] == [True] * (count - 1) + [False]
    assert made[-1].missing == whole.missing != {}
    assert (tmp_path / "parts.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()


def test_an_extraction_that_was_interrupted_goes_on(trained: Trained, tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupt(done: int, total: int) -> None:
        seen.append(done)
        if seen == [3, 6, 9]:
            raise KeyboardInterrupt

    def features(name: str, progress=None) -> bytes:
        out = tmp_path / name
        extract_features(feature_options(trained, out), progress=progress)
        return out.read_bytes()

    with pytest.raises(KeyboardInterrupt):
        features("f.arrow", interrupt)
    assert not (tmp_path / "f.arrow").exists()
    resumed = features("f.arrow", interrupt)
    assert seen == [3, 6, 9, *range(9, 25, 3)]
    assert resumed == features("whole.arrow")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.arrow", "whole.arrow"]


def test_predictions_by_shards_are_those_of_one_process(trained: Trained, tmp_path: Path) -> None:
    test = options(trained)
    evaluate_folder(test, tmp_path / "whole")
    made = [evaluate_folder(test, tmp_path / "parts", shard=shard)[0] for shard in shuffled(3)]
    assert [one is None for one in made] == [True, True, False]
    for name in ("predictions.parquet", "results.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    result, path = evaluate_folder(test, tmp_path / "parts", shard=Shard(1, 3))
    assert result is None
    assert path.exists()


class Elsewhere:
    """An executor whose workers start after the manifest was edited."""

    def __init__(self, manifest: Path) -> None:
        self.manifest = manifest

    def answers(self, function, jobs, *, timeout_seconds=60.0):
        self.manifest.write_text(self.manifest.read_text().replace("red_5", "red_4"))
        for job in jobs:
            yield job, function(job)


def test_a_manifest_edited_while_it_is_scored_is_an_error(trained: Trained, tmp_path: Path) -> None:
    content = trained.manifest.read_text()
    edited = trained.manifest.with_name("edited.csv")
    kept = "\n".join(line for line in content.split("\n") if "red_4" not in line)
    edited.write_text(kept)
    test = replace(options(trained), manifest=edited)
    with pytest.raises(ManifestError, match="edited.csv changed meanwhile"):
        evaluate_folder(test, tmp_path / "out", executor=Elsewhere(edited))
    edited.write_text(kept)
    features = replace(feature_options(trained, tmp_path / "f.arrow"), manifest=edited)
    with pytest.raises(ManifestError, match="edited.csv changed meanwhile"):
        extract_features(features, executor=Elsewhere(edited))


def test_results_that_another_process_wrote_meanwhile_are_not_taken(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marey.engine.inference.evaluate_run.run", lambda *_, **__: True)
    with pytest.raises(RunError, match="another process wrote .*results.json"):
        evaluate_folder(options(trained), tmp_path)


def test_scores_made_before_the_weights_changed_are_not_used(trained: Trained, tmp_path: Path):
    test = options(trained)
    evaluate_folder(test, tmp_path, shard=Shard(0, 2))
    before = {path.name for path in (tmp_path / ".results.json.parts").iterdir()}
    checkpoints = sorted(trained.run.rglob("*.pt"))
    kept = {path: path.read_bytes() for path in checkpoints}
    for path in checkpoints:
        state = torch.load(path, weights_only=False)
        for values in state["model"].values():
            values.mul_(2)
        torch.save(state, path)
    try:
        evaluate_folder(test, tmp_path, shard=Shard(0, 2))
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    assert len({path.name for path in (tmp_path / ".results.json.parts").iterdir()} - before) == 1


def test_a_check_by_shards_is_that_of_one_process(trained: Trained, tmp_path: Path) -> None:
    manifest = read_manifest(trained.manifest)
    whole = check_manifest(manifest, tmp_path / "whole.csv", executor=Processes(1))
    made = [
        check_manifest(manifest, tmp_path / "parts.csv", executor=Processes(1), shard=shard)
        for shard in shuffled(3)
    ]
    assert [one.complete for one in made] == [False, False, True]
    assert made[-1].counts == whole.counts
    assert whole.counts["unreadable"] == 1
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_check_that_was_interrupted_goes_on_where_it_was(trained: Trained, tmp_path: Path):
    manifest = read_manifest(trained.manifest)
    seen: list[int] = []

    def interrupt(done: int, total: int) -> None:
        seen.append(done)
        if seen == [*range(1, 9)]:
            raise KeyboardInterrupt

    out = tmp_path / "check.csv"
    with pytest.raises(KeyboardInterrupt):
        check_manifest(manifest, out, executor=Processes(1), progress=interrupt)
    seen.clear()
    executor, progress = Processes(1), lambda done, _: seen.append(done)
    found = check_manifest(manifest, out, executor=executor, progress=progress)
    assert seen == [*range(9, 25)]
    assert (found.complete, found.counts["unchecked"]) == (True, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["check.csv"]
