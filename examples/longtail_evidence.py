"""Train by every long-tail method from the same start, on clips or on features, and compare.

    python examples/longtail_evidence.py OUT rendered --classes 10       or 30, or 100
    python examples/longtail_evidence.py OUT lips DIR --weights mobilenet_v2-b0353104.pth [--lora]
    python examples/longtail_evidence.py OUT features lt-0.arrow lt-1.arrow ...

The first two train whole networks. A rendered class is one of the ten actions of the built-in set
or, where there are more than ten, two of them in turn. For each seed other classes are rare and all
clips are drawn anew. Of features each file is a seed, and what is trained is a hidden layer and a
classifier.

A first stage of plain cross-entropy is the start of every method but those "at once"; the second
stages differ in nothing but what their names say. The scale and the share l of LMR are chosen on
clips of their own (split val), by the mean over classes and seeds; every other number printed is of
split test, by the weights after the last epoch. Intervals are of 95 % over the seeds (Student's t),
gains are paired. A run that is in OUT already is not made again. docs/longtail.md has its tables.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from marey.data.loading.samplers import ClassBalanced
from marey.data.longtail.profile import ParetoProfile
from marey.data.synthetic.dataset import ACTIONS
from marey.data.synthetic.render import write_video
from marey.data.synthetic.scenes import Pixels, draw_scene
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.longtail.lmr import LMR
from marey.longtail.logit_adjustment import BalancedSoftmax, LogitAdjustment
from marey.metrics.student import quantile
from marey.models.encoders.features import LateAverageSpec
from marey.recipes.catalog import find
from marey.recipes.features import MLP
from marey.recipes.longtail import longtail
from marey.recipes.optim import SGD, AdamW, Cosine, Warmup
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

Found: TypeAlias = dict[str, list[dict[str, dict[str, float]]]]
NUMBERS = ("class_avg", "head", "tail", "few")
COMPARED_WITH = ("control", "balanced softmax", "balanced softmax at once")
SCALES, SHARES = (1.0, 4.0, 8.0, 16.0), (0.3, 0.6)


@dataclass(frozen=True)
class Setting:
    """A long-tailed set for every seed, and how a network learns it."""

    name: str
    recipe: Recipe
    """Its one stage is the first."""
    data: Callable[[int, Path], Path]
    """(seed, folder) -> the manifest, or the file of features; written in the folder if need be."""
    second: float = 0.5
    """Epochs of the second stages, in those of the first."""
    slowed: float = 10
    """By how much LMR and its control go on slower than the others."""


def stages(setting: Setting, tried: Sequence[tuple[float, float]]) -> dict[str, Stage]:
    """Every method's second stage, LMR's of each scale and share l of `tried`."""
    (first,) = setting.recipe.stages
    optim = first.optim
    if not isinstance(optim, SGD | AdamW):
        raise TypeError(f"the first stage has {type(optim).__name__}, expected SGD or AdamW")
    plain = replace(first, epochs=round(first.epochs * setting.second), warmup=Warmup())
    alike = replace(plain, sampler=ClassBalanced(), reset_heads=True)
    slow = replace(alike, optim=replace(optim, lr=optim.lr / setting.slowed))
    balanced = BalancedSoftmax()
    found = {
        "CE": plain,
        "balanced softmax": replace(plain, objective=balanced),
        "logit adjustment, tau 1.25": replace(plain, objective=LogitAdjustment(1.25)),
        "logit adjustment, tau 1.5": replace(plain, objective=LogitAdjustment(1.5)),
        "balanced softmax, + mixing": replace(plain, objective=LMR(l=0, h=0, loss=balanced)),
        "balanced softmax, LMR of scale 8": replace(plain, objective=LMR(scale=8, loss=balanced)),
        "cRT": replace(alike, trainable="heads"),
        "control": slow,
        "+ mixing": replace(slow, objective=LMR(l=0, h=0)),
    }
    for scale, share in tried:
        found[lmr_name(scale, share)] = replace(slow, objective=LMR(l=share, scale=scale))
    return found


def at_once(setting: Setting) -> dict[str, Stage]:
    """One stage from the start, as long as two: cross-entropy, balanced softmax, ``+longtail``."""
    (first,) = setting.recipe.stages
    longer = replace(first, epochs=round(first.epochs * (1 + setting.second)))
    (adjusted,) = longtail(replace(setting.recipe, stages=(longer,))).stages
    return {
        "CE at once": longer,
        "balanced softmax at once": replace(longer, objective=BalancedSoftmax()),
        "+longtail (tau 1.25 at once)": adjusted,
    }


def lmr_name(scale: float, share: float) -> str:
    return f"LMR, scale {scale:g}, l {share:g}"


def rendered(count: int, largest: int = 90, tested: tuple[int, int] | None = None) -> Setting:
    """The built-in set's actions, or pairs of them: `largest` training clips down to a 30th.

    `tested` is how many clips of each class choose, and how many test.
    """
    tested = tested or ((10, 20) if count <= 30 else (5, 10))
    frames = 8 if count > 10 else 4
    epochs = 20 if count <= 10 else 12 if count <= 30 else 6  # more classes are more clips an epoch
    demo = find("demo-tsm")
    picture = CenterCrop(64, resize=64)
    recipe = replace(
        demo,
        model=replace(demo.model, num_segments=frames),
        train=Views(Segments(frames), picture),
        test=TestViews(Segments(frames), picture),
        stages=(replace(demo.stages[0], epochs=epochs),),
    )

    def data(seed: int, folder: Path) -> Path:
        rng = random.Random(seed)
        names = [name for both in ACTIONS.values() for name in both]
        taken: list[tuple[str, ...]] = [(name,) for name in names]
        classes = rng.sample(taken if count <= 10 else [*product(names, names)], count)
        most = ParetoProfile(largest, imbalance=30).counts(count)
        rows = []
        for label, actions in enumerate(classes):
            for which, clips in enumerate((int(most[label]), *tested)):
                split = ("train", "val", "test")[which]
                for number in range(clips):
                    key = (seed, which, label, number)
                    path = folder / "videos" / f"{split}-{label}-{number}.mp4"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    film = np.concatenate([*played(actions, key)])
                    write_video(path, film, fps=12)
                    rows.append((path.name, label, split))
        return manifest(folder, rows, [", then ".join(names) for names in classes], "videos")

    return Setting(f"rendered-{count}", recipe, data)


def played(actions: Sequence[str], key: Sequence[int]) -> Iterator[Pixels]:
    """The frames of every action, one scene each; a scene played backwards is its reverse."""
    for place, action in enumerate(actions):
        rng = np.random.default_rng((*key, place))
        scene = next(scene for scene, names in ACTIONS.items() if action in names)
        frames = draw_scene(scene, rng, num_frames=int(rng.choice((9, 11, 13))), size=64)
        yield frames if action == ACTIONS[scene][0] else frames[::-1]


def lips(root: Path, weights: Path, *, lora: bool = False) -> Setting:
    """MIRACL-VC1: 20 words and phrases, 66 training clips down to 3, on ImageNet's weights.

    Repetitions 1 to 6 train, 7 chooses, 8 to 10 test. All weights learn, or additions by LoRA.
    """
    base = find("tsm-mobilenetv2+lora" if lora else "tsm-mobilenetv2")
    optim = base.stages[0].optim if lora else SGD(lr=0.01, nesterov=True)
    picture = CenterCrop(64, resize=70)
    recipe = replace(
        base,
        train=Views(base.train.sampling, picture),
        test=TestViews(base.test.sampling, picture),
        stages=(
            Stage(
                epochs=12,
                optim=optim,
                schedule=Cosine(),
                warmup=Warmup(epochs=1),
            ),
        ),
        batch_size=16,
        lr_batch_size=None,
        weights=str(weights),
    )

    def data(seed: int, folder: Path) -> Path:
        rng = random.Random(seed)
        clips: dict[str, dict[str, list[str]]] = {}
        with (root / "clips.csv").open() as file:
            for row in csv.DictReader(file):
                number = int(row["repetition"])
                split = "train" if number < 7 else "val" if number == 7 else "test"
                of_class = clips.setdefault(row["label"], {})
                of_class.setdefault(split, []).append(row["path"])
        names = rng.sample(sorted(clips), len(clips))
        most = ParetoProfile(66, imbalance=22).counts(len(names))
        rows = []
        for label, name in enumerate(names):
            kept = rng.sample(clips[name]["train"], int(most[label]))
            rows += [(path, label, "train") for path in kept]
            rows += [(p, label, split) for split in ("val", "test") for p in clips[name][split]]
        return manifest(folder, rows, names, str(root.resolve()))

    return Setting("lips-lora" if lora else "lips", recipe, data)


def features(files: Sequence[Path]) -> Setting:
    """Files of `marey features`, made long-tailed by `marey data longtail`; each is a seed.

    A tenth of the rate would hardly move a new classifier in these few steps.
    """
    first = Stage(epochs=30, optim=AdamW(lr=1e-3, weight_decay=1e-4), schedule=Cosine())
    model = replace(MLP.model, encoder=LateAverageSpec(hidden=256))
    recipe = replace(MLP, model=model, stages=(first,), batch_size=32)
    return Setting("features", recipe, lambda seed, _: files[seed], second=1, slowed=1)


def manifest(
    folder: Path, rows: Sequence[tuple[str, int, str]], names: Sequence[str], root: str
) -> Path:
    """manifest.csv, with the class names beside it; paths are below `root`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        writer.writerows((f"{root}/{path}", label, split) for path, label, split in rows)
    return folder / "manifest.csv"


def measure(recipe: Recipe, data: Path, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """{split: {number: percent}} of val and test, and the minutes, of a run in `folder`."""
    kept = folder / "evidence.json"
    if not kept.exists():
        began = time.perf_counter()
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped
        run = train(replace(recipe.with_data(str(data)), seed=seed), folder, quiet=True)
        found: dict[str, dict[str, float]] = {}
        for split in ("val", "test"):
            _, path = evaluate_folder(EvalOptions(folder=run, split=split))
            results = read_results(path)
            found[split] = {name: results.metric(f"acc/{name}") for name in NUMBERS}
        found["cost"] = {"minutes": (time.perf_counter() - began) / 60}
        kept.write_text(json.dumps(found))
    result: dict[str, dict[str, float]] = json.loads(kept.read_text())
    return result


def interval(values: Sequence[float] | np.ndarray) -> str:
    """Mean and half the 95 % interval over the seeds."""
    array = np.asarray(values)
    if len(array) == 1:
        return f"{array[0]:.1f}"
    half = quantile(len(array) - 1) * array.std(ddof=1) / len(array) ** 0.5
    return f"{array.mean():.1f} ± {half:.1f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("set", choices=("rendered", "lips", "features"))
    parser.add_argument("paths", type=Path, nargs="*")
    parser.add_argument("--weights", type=Path, help="ImageNet's, of MobileNetV2")
    parser.add_argument("--lora", action="store_true", help="of lips, learn by LoRA")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--scales", type=float, nargs="+", default=SCALES)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="l")
    parser.add_argument("--only", nargs="+", help="methods, by their names in the table")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0 to 4, or every file")
    parser.add_argument("--epochs", type=int, help="of the first stage")
    args = parser.parse_args(words)
    torch.set_num_threads(1)  # so that two seeds can be trained side by side
    if args.set == "rendered":
        setting = rendered(args.classes)
    elif args.set == "lips":
        (root,) = args.paths
        setting = lips(root, args.weights, lora=args.lora)
    else:
        setting = features(args.paths)
    seeds = args.seeds or range(len(args.paths) if args.set == "features" else 5)
    if args.epochs:
        first = replace(setting.recipe.stages[0], epochs=args.epochs)
        setting = replace(setting, recipe=replace(setting.recipe, stages=(first,)))
    tried = list(product(args.scales, args.shares))
    print_table(compare(setting, seeds, args.out, tried, args.only), tried)


def compare(
    setting: Setting,
    seeds: Sequence[int],
    out: Path,
    tried: Sequence[tuple[float, float]],
    only: Sequence[str] | None = None,
) -> Found:
    """What `measure` gives of the first stage and of all methods, or some: a list over seeds."""
    found: Found = {}
    for seed in seeds:
        place = out / setting.name / str(seed)
        written = place / "manifest.csv"
        data = written if written.exists() else setting.data(seed, place)
        start = place / "start"
        whole, second = at_once(setting), stages(setting, tried)
        wanted = [name for name in (*whole, *second) if only is None or name in only]
        if not whole.keys() >= {*wanted}:
            found.setdefault("first stage", []).append(measure(setting.recipe, data, seed, start))
        going_on = replace(setting.recipe, weights=str(start / "checkpoints" / "last.pt"))
        for name in wanted:
            if name in whole:
                recipe = replace(setting.recipe, stages=(whole[name],))
            else:
                recipe = replace(going_on, stages=(second[name],))
            folder = place / name.replace(", ", "-").replace(" ", "_")
            found.setdefault(name, []).append(measure(recipe, data, seed, folder))
            print(f"{setting.name} seed {seed}: {name}", file=sys.stderr, flush=True)
    return found


def print_table(found: Found, tried: Sequence[tuple[float, float]]) -> None:
    """A line a method; then which scale and share the clips of their own chose, if LMR is there."""

    def column(name: str, split: str, number: str) -> np.ndarray:
        return np.array([seed[split][number] for seed in found[name]])

    def gain(name: str, over: str, number: str) -> str:
        return interval(column(name, "test", number) - column(over, "test", number))

    others = [name for name in COMPARED_WITH if name in found]
    gains = [*product(others, ("class_avg", "few"))]
    heads = [*NUMBERS, *(f"{number}, over {over}" for over, number in gains), "minutes"]
    print(f"| | {' | '.join(heads)} |\n{'|---' * (len(heads) + 1)}|")
    for name in found:
        cells = [interval(column(name, "test", number)) for number in NUMBERS]
        cells += [gain(name, over, number) for over, number in gains]
        print(f"| {name} | {' | '.join(cells)} | {column(name, 'cost', 'minutes').mean():.1f} |")
    names = [name for pair in tried if (name := lmr_name(*pair)) in found]
    if not names:
        return
    best = max(names, key=lambda name: column(name, "val", "class_avg").mean())
    print(f"\nchosen on clips of their own (split val, mean over classes): {best}")


if __name__ == "__main__":
    main()
