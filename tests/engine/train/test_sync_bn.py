"""SyncBN: of several processes the norms of the joint batch; torch has it on GPUs alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from marey.engine.train.distributed import World
from marey.engine.train.start import synchronised
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RecipeError
from marey.models import ResNetSpec
from marey.models.video_model import ModelSpec
from marey.recipes.catalog import find
from marey.recipes.compatible import check_learning
from marey.recipes.schema import override, to_yaml
from tests.engine.train.test_train import with_stage
from tests.tiny import tiny_recipe, write_set
from tests.two_processes import printed_by, start_one, start_two

SMALL = ModelSpec(ResNetSpec(18, channels=2), num_segments=2)

WORKER = """
import json, os, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from marey.engine.train.distributed import World
from marey.engine.train.start import synchronised
from tests.engine.train.test_sync_bn import SMALL
rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
device = torch.device("cuda")
if size > 1:  # NCCL takes no two processes on one card
    dist.init_process_group("gloo", rank=rank, world_size=size)
torch.manual_seed(0)
model = synchronised(SMALL.build().to(device), World(rank, size, device)).train()
clips = torch.randn(8, 2, 3, 40, 40, device=device)[rank * 8 // size : (rank + 1) * 8 // size]
run = model if size == 1 else DistributedDataParallel(model)
run(clips)["label"].square().mean().backward()
print(json.dumps({
    "var": model.encoder.layer4[0].bn1.running_var.tolist(),
    "grad": model.encoder.conv1.weight.grad.flatten()[:20].tolist(),
}))
if size > 1:
    dist.destroy_process_group()
"""

TRAINING = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.nn.functional import all_reduce
from marey.engine.train import start
from marey.engine.train.loop import train
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override

def forward(self, x):  # what torch has for GPUs alone
    if not self.training:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )
    axes, count = (0, 2, 3), torch.tensor(float(x.numel() // x.shape[1]))
    dist.all_reduce(count)
    mean = all_reduce(x.sum(axes)) / count
    var = all_reduce(x.square().sum(axes)) / count - mean**2
    with torch.no_grad():
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * count / (count - 1), self.momentum)
    x = (x - mean[:, None, None]) / (var + self.eps).sqrt()[:, None, None]
    return x * self.weight[:, None, None] + self.bias[:, None, None]

nn.SyncBatchNorm.forward = forward
nn.parallel.DistributedDataParallel._passing_sync_batchnorm_handle = lambda *_: None
start.refuse_cpus = lambda world: None
recipe, batch, out = sys.argv[1:]
recipe = from_yaml(Recipe, Path(recipe).read_text())
train(override(recipe, [f"batch_size={batch}"]), Path(out), quiet=True)
"""


def test_on_one_process_and_on_cpus() -> None:
    model = SMALL.build()
    assert synchronised(model, World()) is model
    with pytest.raises(RecipeError, match=r"sync_bn is true, of 2 processes on CPUs.*sync_bn=fal"):
        synchronised(model, World(0, 2))


def test_on_gpus_every_norm_is_converted_and_the_keys_stay() -> None:
    model = SMALL.build()
    keys = list(model.state_dict())
    found = synchronised(model, World(0, 2, torch.device("cuda")))
    norms = [each for each in found.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(each, nn.SyncBatchNorm) for each in norms)
    assert list(found.state_dict()) == keys


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_two_processes_normalise_as_one_with_the_joint_batch() -> None:
    first, second = map(json.loads, printed_by(start_two(WORKER)))
    one = json.loads(printed_by([start_one(WORKER)])[0])
    assert first == second
    for name, expected in one.items():
        torch.testing.assert_close(
            torch.tensor(first[name]), torch.tensor(expected), rtol=1e-3, atol=1e-5
        )


@pytest.mark.timeout(1800)
def test_a_run_of_two_processes_is_that_of_one_with_the_joint_batch(tmp_path: Path) -> None:
    """Whatever one of them does alone before, and where all measure norms."""
    recipe = tiny_recipe(write_set(tmp_path / "clips", val_per_class=1), epochs=2)
    model = replace(recipe.model, encoder=SMALL.encoder, dropout=0.0)
    recipe = with_stage(recipe, max_steps=2)
    recipe = replace(recipe, model=model, sync_bn=True, precise_bn=3)
    assert recipe.amp == "auto"  # which the first process measures
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    two, one = tmp_path / "two", tmp_path / "one"
    printed_by(start_two(TRAINING, tmp_path / "recipe.yaml", 2, two))
    printed_by([start_one(TRAINING, tmp_path / "recipe.yaml", 4, one)])
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.pt")["model"] for run in (one, two))
    for name, expected in ours.items():
        if "num_batches" not in name:
            torch.testing.assert_close(theirs[name], expected, rtol=1e-4, atol=2e-5)


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    row = replace(find("tsm-r18"), sync_bn=True)
    assert override(find("tsm-r18"), ["sync_bn=true"]) == row
    with pytest.raises(RecipeError, match="model.partial_bn leaves all batch norms but the first"):
        override(row, ["model.partial_bn=true"])
    with pytest.raises(RecipeError, match="sync_bn and recompute exclude each other"):
        override(row, ["recompute=true"])
    frozen = override(row, ["stages.0.trainable=heads"])
    with pytest.raises(RecipeError, match="sync_bn is True, but no batch norm.*sync_bn=false"):
        check_learning(SMALL.build(), frozen)
