"""A run's folder with handcrafted numbers, and the clips it speaks of."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet

CLASSES = ("left", "right", "up & <down>")
RECIPE = """\
name: tiny <tsm>
data: {{train: {folder}/train.csv, val: {folder}/val.csv, root: ''}}
stages: [{{epochs: 4}}]
claim: {{top1: 70.0, source: "a paper", top5: null, params_millions: 11.0}}
"""
LABELS = [0, 0, 0, 1, 1, 2]
LOGITS = [[4, 0, 0], [3, 1, 0], [0, 5, 0], [0, 2, 0], [6, 0, 0], [0, 0, 1]]
"""Clip 2 (left taken for right) and clip 4 (right taken for left) are wrong, clip 4 is surer."""


def write_run(
    folder: Path,
    *,
    name: str = "",
    labels: list[int] = LABELS,
    logits: list[list[float]] = LOGITS,
    classes: tuple[str, ...] = CLASSES,
    data_hash: str = "cafe0123",
    epochs: int = 4,
) -> Path:
    """A finished and evaluated run in `folder`, with its manifests and clips beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder.parent / "data"
    write_data(data, classes)
    recipe = RECIPE.format(folder=data)
    (folder / "recipe.yaml").write_text(recipe.replace("tiny <tsm>", name or "tiny <tsm>"))
    write_metrics(folder, epochs)
    (folder / "bad_clips.csv").write_text("row,path,reason\n1,clips/b&.mp4,moov <atom>\n")
    write_result(folder / "results" / "val", labels, logits, classes, data_hash)
    return folder


def write_metrics(folder: Path, epochs: int) -> None:
    rows = [
        "epoch,step,train/loss,lr,clips_per_second,data_wait,val/loss,acc/top1,acc/top5,"
        "acc/class_avg"
    ]
    for e in range(1, epochs + 1):
        top1 = min(20 * e, 97)
        rows.append(f"{e},{e * 10},{2 / e},{0.01 / e},90,0.1,{2.1 / e},{top1},100,{top1 - 1}")
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")


def write_result(
    folder: Path,
    labels: list[int],
    logits: list[list[float]],
    classes: tuple[str, ...],
    data_hash: str,
) -> None:
    folder.mkdir(parents=True)
    n = len(labels)
    table = pa.table(
        {
            "id": [str(i) for i in range(n)],
            "path": [f"clips/{i}.mp4" for i in range(n)],
            "start": pa.array([None] * n, pa.float64()),
            "end": pa.array([None] * n, pa.float64()),
            "label": labels,
            "scores": pa.array(logits, pa.list_(pa.float32())),
        }
    )
    pyarrow.parquet.write_table(table, folder / "predictions.parquet")
    facts = {
        "metrics": {"acc/top1": 66.67, "acc/top5": 100.0, "acc/class_avg": 72.22},
        "metrics_readable": {"acc/top1": 77.78},
        "views": {"clips": 2, "crops": 3, "frames": 8},
        "protocol": "tsm-2x3",
        "parameters": 11_689_512,
        "gmacs_per_view": 14.6,
        "gmacs_total": 87.6,
        "decoder": "pyav 16",
        "versions": {"torch": "2.13.0"},
        "average": "logits",
        "manifest": "val.csv",
        "data_hash": data_hash,
        "num_clips": n + 1,
        "missing": [{"row": 6, "path": "clips/gone.mp4", "reason": "no video stream"}],
        "classes": {"label": list(classes)},
    }
    (folder / "results.json").write_text(json.dumps(facts))


def write_data(folder: Path, classes: tuple[str, ...]) -> None:
    """Manifests, and real clips 0.mp4 to 3.mp4; 4.mp4 is not a video, 5.mp4 is not there."""
    if folder.exists():
        return
    (folder / "clips").mkdir(parents=True)
    (folder / "labels.txt").write_text("\n".join(classes) + "\n")
    sizes = [30, 12, 4]
    lines = [f"clips/t{c}_{i}.mp4,{c}" for c, size in enumerate(sizes) for i in range(size)]
    (folder / "train.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    (folder / "val.csv").write_text("path,label\nclips/0.mp4,0\n")
    for i in range(4):
        write_clip(folder / "clips" / f"{i}.mp4")
    (folder / "clips" / "4.mp4").write_text("this is text")


def write_clip(path: Path) -> None:
    """Twelve frames of a square that moves to the right."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(12):
            picture = np.full((120, 160, 3), 40, np.uint8)
            picture[40:80, 10 * i : 10 * i + 40] = (230, 160, 60)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
