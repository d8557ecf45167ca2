"""What pictures, differences of pictures and optical flow tell, on the built-in set.

    python examples/flow_evidence.py OUT [--seeds 1] [--epochs 4]

Renders the built-in set, ten actions that differ only by the order of time, computes its optical
flow once (`pip install 'marey[flow]'`), and trains the demo's TSN and TSM on each modality. TSN
does not see the order of its samples, so on pictures half of the clips are all that it can tell; a
sample of differences or of flow holds motion itself. docs/flow.md has what it gave.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from marey.data.manifest.read import read_manifest
from marey.data.packs.forms import FlowPacks
from marey.data.packs.pack_clips import pack_clips
from marey.data.synthetic.dataset import render_dataset
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.modality import STACKS
from marey.recipes.demo import DEMO_TSM, DEMO_TSN
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override
from marey.recipes.short_names import spelled_out


def on_modality(recipe: Recipe, modality: str, seed: int, epochs: int) -> Recipe:
    """The recipe on another modality, at a seed, for so many epochs."""
    words = [f"modality={modality}", f"epochs={epochs}", f"seed={seed}", "workers=0", "amp=false"]
    named = replace(recipe, name=f"{recipe.name}-{modality}-{seed}")
    return override(named, spelled_out(named, words))


def main() -> None:
    """Print a row a run: top-1 of the validation clips, its interval, and seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    manifest = render_dataset(asked.out / "data", seed=0)
    start = time.monotonic()
    packed = pack_clips(read_manifest(manifest), asked.out / "flow", FlowPacks())
    assert packed is not None
    print(f"flow of {packed.num_clips} clips: {time.monotonic() - start:.0f} s")
    clips = dict.fromkeys(STACKS, manifest) | {"flow": packed.manifest}
    for seed in range(asked.seeds):
        for row in (DEMO_TSN, DEMO_TSM):
            for modality, of in clips.items():
                start = time.monotonic()
                recipe = on_modality(row, modality, seed, asked.epochs)
                run = train(recipe.with_data(str(of)), asked.out / recipe.name, quiet=True)
                _, path = evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
                found = read_results(path)
                print(
                    f"{recipe.name}: {found.metric('acc/top1'):.1f} % "
                    f"{found.estimate('acc/top1')}, {time.monotonic() - start:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
