"""Compare ways to begin with few clips: folds that keep groups apart, so many clips a class.

    python examples/start_evidence.py OUT interaction DIR --per-class 5 all
    python examples/start_evidence.py OUT lips DIR --per-class 5 10 20 all --folds 5 --tested 1
    python examples/start_evidence.py OUT falls DIR --per-class all

Each fold trains on the other folds' clips, or on so many of each class drawn from them, and tests
the weights at the end on its own. A run that is in OUT already is not made again. Printed are the
right ones of all clips with Wilson's interval of 95 %, and the minutes that processors worked.
docs/start.md has what this gave.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

import marey
from marey.metrics.intervals import share_interval


@dataclass(frozen=True)
class Clip:
    """A clip, its class, and whom it shows: the group that stays on one side."""

    path: str
    label: str
    group: str
    start: str = ""
    end: str = ""


@dataclass(frozen=True)
class Way:
    """A recipe, None for the one that marey chooses, and what is changed of it."""

    recipe: str | None
    changes: tuple[str, ...] = ()
    weights: str | None = None


Reader: TypeAlias = Callable[[Path], list[Clip]]
TUNED = ("size=112", "epochs=20", "stages.0.warmup.epochs=2", "batch_size=8")
WAYS = {
    "chosen": Way(None),
    "frozen, mean": Way("frozen-mobilenetv2-linear"),
    "frozen, attentive": Way("frozen-mobilenetv2-attentive"),
    "TSM, LoRA": Way("tsm-mobilenetv2+lora", TUNED, "imagenet"),
    "TSM, ImageNet": Way("tsm-mobilenetv2", TUNED, "imagenet"),
    "TSM, nothing": Way("tsm-mobilenetv2", TUNED),
}


def interaction(folder: Path) -> list[Clip]:
    """UT-Interaction, set 1: 60 clips, a group is a sequence."""
    rows = csv.DictReader((folder / "clips.csv").open())
    return [Clip(row["path"], row["label"], row["sequence"]) for row in rows]


def lips(folder: Path) -> list[Clip]:
    """MIRACL-VC1: 2,200 clips of 20 words and phrases, a group is a speaker."""
    rows = csv.DictReader((folder / "clips.csv").open())
    return [Clip(row["path"], row["label"], row["speaker"]) for row in rows]


SPANS = re.compile(r"([A-Z]\w+)[^;\[]*\[([^\]]+)\]")
"""A class and its seconds: ``Standing[0 to 0.5; 4.2 to 6.5]``."""


def falls(folder: Path) -> list[Clip]:
    """GMDCSA24: the spans of those videos that are here, a group is a video."""
    clips = []
    for table in sorted(folder.glob("S*/*.csv")):
        for row in csv.DictReader(table.open(), restkey="rest"):
            path = table.with_suffix("") / row["File Name"]
            if not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            for label, seconds in SPANS.findall(row[" Classes"]):
                for start, end in re.findall(r"([\d.]+) to ([\d.]+)", seconds):
                    clips.append(Clip(name, label, name, start, end))
    return clips


SETS: dict[str, Reader] = {"interaction": interaction, "lips": lips, "falls": falls}


def dealt(clips: Sequence[Clip], folds: int | None) -> list[set[str]]:
    """The groups of each fold; None is a fold a group."""
    groups = sorted({clip.group for clip in clips}, key=lambda name: (len(name), name))
    return [set(groups[k :: folds or len(groups)]) for k in range(folds or len(groups))]


def write_fold(clips: Sequence[Clip], held: set[str], per_class: int | None, path: Path) -> int:
    """Write a manifest whose split val are the groups `held`; returns the clips to test."""
    shuffled = random.Random(0).sample(clips, len(clips))
    left: dict[str, int] = {}
    rows = []
    for clip in shuffled:
        split = "val" if clip.group in held else "train"
        left.setdefault(clip.label, per_class or len(clips))
        if split == "train":
            left[clip.label] -= 1
        if split == "val" or left[clip.label] >= 0:
            rows.append((clip.path, clip.label, split, clip.start, clip.end))
    names = sorted({clip.label for clip in clips})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name("labels.txt").write_text("\n".join(names))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        spans = ("start", "end") if any(clip.end for clip in clips) else ()
        writer.writerow(("path", "label", "split", *spans))
        writer.writerows((row[0], names.index(row[1]), *row[2 : 3 + len(spans)]) for row in rows)
    return sum(row[2] == "val" for row in rows)


def seconds_worked() -> float:
    """Seconds that processors worked for this process and those it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(way: Way, manifest: Path, root: Path, folder: Path) -> dict[str, float]:
    """How many clips are right, and the seconds of training and test, of a run in `folder`."""
    kept = folder / "evidence.json"
    if not kept.exists():
        before = seconds_worked()
        run = marey.train(
            way.recipe,
            folder,
            manifest=manifest,
            weights=way.weights,
            changes=(f"data.root={root}", *way.changes),
            quiet=True,
        )
        found = marey.evaluate(run, split="val")
        seconds = seconds_worked() - before
        kept.write_text(json.dumps({"top1": found.metrics["acc/top1"], "seconds": seconds}))
    result: dict[str, float] = json.loads(kept.read_text())
    return result


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("root", type=Path)
    parser.add_argument("--per-class", nargs="+", default=["all"])
    parser.add_argument("--folds", type=int, help="default: one a group")
    parser.add_argument("--tested", type=int, help="of these folds, the first so many")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    args = parser.parse_args(words)
    torch.set_num_threads(1)
    clips = SETS[args.set](args.root)
    print("| start | clips a class | right | | CPU minutes |\n|---|---|---|---|---|")
    for size in args.per_class:
        for name in args.ways:
            right, total, seconds = 0, 0, 0.0
            for k, held in enumerate(dealt(clips, args.folds)[: args.tested]):
                place = args.out / args.set / f"{size}-{k}"
                number = None if size == "all" else int(size)
                tested = write_fold(clips, held, number, place / "manifest.csv")
                folder = place / name.replace(", ", "-").replace(" ", "-")
                found = measure(WAYS[name], place / "manifest.csv", args.root.resolve(), folder)
                right += round(found["top1"] * tested / 100)
                total += tested
                seconds += found["seconds"]
            low, high = share_interval(100 * right / total, total)
            share = f"{100 * right / total:.1f} % ({low:.0f} to {high:.0f})"
            print(
                f"| {name} | {size} | {right} of {total} | {share} | {seconds / 60:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
