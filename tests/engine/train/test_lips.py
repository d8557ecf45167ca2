"""Real clips: speech seen on lips. Weights of ImageNet are a better start than none."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.train.loop import train
from marey.recipes.catalog import find
from marey.recipes.schema import override

WORDS = ("Begin", "Navigation", "Web")
SMALL = (
    "batch_size=8",
    "lr_batch_size=null",
    "model.dropout=0.2",
    "data.workers=0",
    "model.num_segments=4",
    "train.sampling.num_segments=4",
    "test.sampling.num_segments=4",
    "train.crop.size=48",
    "test.crop.size=48",
    "test.crop.resize=52",
    "stages.0.epochs=3",
    "stages.0.warmup.epochs=1",
    "stages.0.optim.lr=0.003",
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tsm_fine_tuned_from_imagenet_beats_one_from_nothing(
    tmp_path: Path, shared_dir: Path
) -> None:
    manifest = write_words(shared_dir / "data" / "lips", tmp_path)
    weights = str(shared_dir / "data" / "weights" / "mobilenet_v2-b0353104.pth")
    tuned, scratch = (
        top1_after_training(manifest, tmp_path / name, start)
        for name, start in (("tuned", weights), ("scratch", ""))
    )
    assert tuned > scratch + 5, f"fine-tuned {tuned}, from nothing {scratch}"
    assert tuned > 100 / len(WORDS) + 10


def write_words(lips: Path, folder: Path) -> Path:
    """A manifest of three words, seven repetitions to train and three to test."""
    with (lips / "clips.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in WORDS]
    lines = [
        f"{lips / row['path']},{WORDS.index(row['label'])},"
        f"{'val' if int(row['repetition']) > 7 else 'train'}"
        for row in rows
    ]
    (folder / "labels.txt").write_text("\n".join(WORDS) + "\n")
    (folder / "manifest.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    assert len(read_manifest(folder / "manifest.csv", split="train")) == 231
    return folder / "manifest.csv"


def top1_after_training(manifest: Path, run: Path, weights: str) -> float:
    recipe = override(find("tsm-mobilenetv2"), SMALL).with_data(str(manifest))
    train(replace(recipe, weights=weights), run, quiet=True)
    evaluation, _ = evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
    return evaluation.metrics["acc/top1"]
