"""How a mapped manifest grows: seconds and memory to open it, start samplers, draw, and share it.

    python examples/manifest_scale.py --rows 1e4 1e5 1e6 1e7

Makes manifests of 1,000 long-tailed classes in a folder that is removed again (1.4 GB for ten
million rows), opens each in a process of its own, and prints a row of docs/benchmarks.md for each.
Seconds are of wall clock, on files that were just written; megabytes are the peak above what the
process had after its imports, for workers what is theirs alone. For Linux.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.loading.mixing import Mixed
from marey.data.loading.samplers import (
    ClassBalanced,
    EpochSampler,
    InstanceBalanced,
    SquareRoot,
    draw_epoch,
)
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest

CLASSES, DRAWS, BATCH = 1000, 1_000_000, 64
SAMPLERS = (
    InstanceBalanced(),
    ClassBalanced(),
    SquareRoot(),
    Mixed((("real", 1.0), ("synthetic", 0.5)), ClassBalanced()),
)
COLUMNS = (
    "rows",
    "CSV, s",
    "CSV, MB",
    "open, s",
    "open, MB",
    "instance, s",
    "class-balanced, s",
    "square root, s",
    "mixed, s",
    "draws/s",
    "peak, MB",
    "fork, MB",
    "spawn, MB",
)


def made_up(num_rows: int, folder: Path) -> Manifest:
    """Paths like a data set's, of 50 letters; 95 % for training, a third synthetic."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, CLASSES + 1)
    labels = rng.choice(CLASSES, num_rows, p=weights / weights.sum())
    text = pa.large_string()
    numbers = pa.array(np.arange(num_rows)).cast(text)
    start = pa.scalar("some_class_name/a_video_of_it_", text)
    paths = pc.binary_join_element_wise(
        start, numbers, pa.scalar("_10.mp4", text), pa.scalar("", text)
    )
    columns = {
        "path": paths,
        "label": labels,
        "split": coded(rng.random(num_rows) < 0.95, "train", "val"),
        "source": coded(rng.random(num_rows) < 0.67, "real", "synthetic"),
    }
    classes = {"label": tuple(f"class {number}" for number in range(CLASSES))}
    return Manifest.from_columns(folder / "made_up.csv", folder, columns, classes)


def coded(chosen: np.ndarray, word: str, other: str) -> pa.DictionaryArray:
    codes = np.where(chosen, 0, 1).astype(np.int32)
    return pa.DictionaryArray.from_arrays(codes, pa.array([word, other], pa.large_string()))


def measure(path: Path, mapped: bool, answer: Connection) -> None:
    """Send seconds and megabytes of one manifest; only of opening it, if it is a CSV."""
    before = psutil.Process().memory_info().rss
    facts: dict[str, float] = {}

    def note(name: str, start: float) -> None:
        facts[name] = time.perf_counter() - start
        facts["MB"] = (peak_bytes() - before) / 1e6

    start = time.perf_counter()
    train = read_manifest(path, split="train")
    note("open", start)
    facts["open MB"] = facts["MB"]
    for sampler in SAMPLERS if mapped else ():
        start = time.perf_counter()
        rows = draw_epoch(sampler, train.labels, train.sources, seed=0, epoch=0)
        note(type(sampler).__name__, start)
    if mapped:
        start = time.perf_counter()
        drawn = sum(map(len, EpochSampler(rows[:DRAWS], BATCH, seed=0, epoch=0)))
        facts["draws"] = drawn / (time.perf_counter() - start)
        for method in ("fork", "spawn"):
            facts[method] = own_megabytes(train, method)
    answer.send(facts)


def own_megabytes(manifest: Manifest, method: str) -> float:
    """What a worker has for itself after it has looked at a hundred thousand clips."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    worker = context.Process(target=look, args=(manifest, theirs))
    worker.start()
    found = float(ours.recv())
    worker.join()
    return found


def look(manifest: Manifest, answer: Connection) -> None:
    before = private_bytes()
    for row in np.linspace(0, len(manifest) - 1, 100_000, dtype=int).tolist():
        assert manifest.path(row).name
        assert manifest.labels["label"][row] >= 0
    answer.send((private_bytes() - before) / 1e6)


def private_bytes() -> int:
    """Bytes of this process that no file backs and no other process shares."""
    return sum(part.private_dirty for part in psutil.Process().memory_maps(grouped=True))


def peak_bytes() -> int:
    """The most this process ever had in memory, files that it mapped included."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def in_a_process(path: Path, mapped: bool) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=measure, args=(path, mapped, theirs))
    process.start()
    theirs.close()
    facts: dict[str, float] = ours.recv()
    process.join()
    return facts


def row_of(num_rows: int, folder: Path) -> list[str]:
    """One line of the table."""
    for name in ("m.csv", "m.arrow"):
        write_manifest(made_up(num_rows, folder), folder / name)
    text, facts = in_a_process(folder / "m.csv", False), in_a_process(folder / "m.arrow", True)
    return [
        f"{num_rows:,}",
        f"{text['open']:.2f}",
        f"{text['open MB']:.0f}",
        f"{facts['open']:.2f}",
        f"{facts['open MB']:.0f}",
        *(f"{facts[type(sampler).__name__]:.2f}" for sampler in SAMPLERS),
        f"{facts['draws'] / 1e6:.1f} M",
        f"{facts['MB']:.0f}",
        f"{facts['fork']:.1f}",
        f"{facts['spawn']:.1f}",
    ]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=float, default=[1e4, 1e5, 1e6, 1e7])
    chosen = parser.parse_args(words)
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " ---: |" * len(COLUMNS))
    for count in chosen.rows:
        with tempfile.TemporaryDirectory() as folder:
            print("| " + " | ".join(row_of(int(count), Path(folder))) + " |", flush=True)


if __name__ == "__main__":
    main()
