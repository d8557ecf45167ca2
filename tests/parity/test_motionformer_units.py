"""Attention modules, their approximations and three training steps against the originals.

Float32 on both sides: 1e-5 of the largest number; gradient norms to 1e-4, losses to 1e-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from marey.convert import motionformer
from marey.convert.repository import renamed
from marey.engine.train.optim import build_optimizer
from marey.longtail.objective import CrossEntropy
from marey.models import (
    Divided,
    Head,
    Joint,
    ModelSpec,
    MotionformerSpec,
    Nystrom,
    Orthoformer,
    Trajectory,
)
from marey.models.encoders.attention import Attention
from marey.models.encoders.frame_attention import least_alike, positive_features
from marey.models.encoders.vit import Block, resized
from marey.recipes.optim import AdamW
from tests.conftest import goldens
from tests.parity.golden import golden_rule, read

FOLDER = goldens() / "lmr"
UNITS = FOLDER / "attention_functions.json"
STEPS = FOLDER / "mf_train_steps.json"
WIDTH, HEADS, FRAMES = 24, 3, 4


def rows(key: str, path: Any = UNITS) -> list[Any]:
    """Those of a table, or one that is skipped with the reason."""
    if not path.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no {path}; set MAREY_GOLDENS"))]
    return [row for row in read(path).values[key] if "fn" not in row or row["fn"] in FUNCTIONS]


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy(golden_rule(FOLDER).golden_input(shape, seed))


def close(ours: Tensor, theirs: Any) -> None:
    wanted = np.array(theirs)
    largest = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(ours.detach().numpy(), wanted, rtol=0, atol=1e-5 * largest)


MODULES: dict[str, tuple[Attention, int]] = {
    "traj_orig": (Trajectory(), 0),
    "traj_fixed": (Trajectory("corrected"), 0),
    "joint": (Joint(), 0),
    "divided_time": (Divided(), 0),
    "divided_space": (Divided(), 1),
    "block_traj": (Trajectory(), -1),
    "block_divided": (Divided(), -1),
}
FUNCTIONS = ("nystrom_spatial_attn", "orthoformer")


@pytest.mark.parametrize("row", rows("modules"), ids=lambda row: (row or {}).get("module"))
def test_a_module_and_its_gradients_are_upstreams(row: dict[str, Any]) -> None:
    name = row["module"]
    attention, branch = MODULES[name]
    module: nn.Module = Block(attention, WIDTH, HEADS, FRAMES)
    if branch >= 0:
        module = attention.branches(WIDTH, HEADS, FRAMES)[branch]
    own = module.state_dict()
    rule, weights = golden_rule(FOLDER), {}
    for key, shape in row["state_dict"]:
        weight = torch.from_numpy(rule.weight(key, shape))
        for part, tensor in taken_apart(key.removeprefix(f"{name}."), weight).items():
            if part in own:
                weights[part] = tensor
    module.load_state_dict(weights)
    x = drawn((2, 37, 24), 1).requires_grad_()
    out = module(x)
    close(out, row["output"])
    out.backward(drawn(tuple(out.shape), 2))
    assert x.grad is not None
    close(x.grad, row["grad_input"])
    compare_gradients(module, row["param_grad_norm"])


def taken_apart(name: str, weight: Tensor) -> dict[str, Tensor]:
    if "proj_kv" not in name:
        return {name: weight}
    k, v = weight.chunk(2)
    return {name.replace("kv", "k"): k, name.replace("kv", "v"): v}


def compare_gradients(module: nn.Module, wanted: dict[str, float | None]) -> None:
    """Norms of what learns here; what is not here had no gradient, or one of rounding only."""
    squares: dict[str, float] = {}
    for name, parameter in module.named_parameters():
        theirs = name.replace("proj_k.", "proj_kv.").replace("proj_v.", "proj_kv.")
        assert parameter.grad is not None, name
        squares[theirs] = squares.get(theirs, 0.0) + parameter.grad.square().sum().item()
    for name, norm in wanted.items():
        if name in squares:
            assert squares[name] ** 0.5 == pytest.approx(norm, rel=1e-4), name
        else:
            assert (norm or 0.0) < 1e-5, name
    assert set(squares) <= set(wanted)


@pytest.mark.parametrize("row", rows("functions"), ids=str)
def test_an_approximation_is_upstreams(row: dict[str, Any]) -> None:
    q, k, v = (0.7 * drawn((3, 36, 8), seed)[None] for seed in (11, 12, 13))
    if row["fn"] == "orthoformer":
        torch.manual_seed(row["torch_seed"])
        spec: Orthoformer | Nystrom = Orthoformer(row["num_landmarks"], start="random")
        start = torch.tensor(row["first_random_index"])[:, None]
        chosen = least_alike(q[0], row["num_landmarks"], start)
        assert chosen.tolist() == row["landmark_index_sorted"]
    else:  # "full matrix": every token is a landmark
        spec = Nystrom(
            row.get("landmarks", 36), "time" if row.get("use_spatial_landmarks") else "space"
        )
    found = spec.build(8)(q, k, v, FRAMES)
    close(found[0].permute(1, 2, 0, 3), row["out"])


@pytest.mark.skipif(not UNITS.is_file(), reason=f"no {UNITS}; set MAREY_GOLDENS")
def test_random_features_are_upstreams() -> None:
    (row,) = (r for r in read(UNITS).values["functions"] if r["fn"].startswith("softmax_kernel"))
    data, features = drawn((2, 5, 3, 8), 22).transpose(1, 2), drawn((16, 8), 21)
    for key, axes in (("query", (-1,)), ("key", (-1, -2))):
        ours = positive_features(data, features, over=axes).transpose(1, 2)
        np.testing.assert_allclose(ours.numpy(), np.array(row[key]), rtol=1e-5)


@pytest.mark.skipif(not UNITS.is_file(), reason=f"no {UNITS}; set MAREY_GOLDENS")
def test_places_are_resized_as_upstream_does() -> None:
    found = [r for r in read(UNITS).values["functions"] if r["fn"].startswith("pos_embed")]
    assert len(found) == 5
    for row in found:
        grid = resized(drawn((1, 196, 5), 31), *row["out_hw"])[0]
        np.testing.assert_allclose(grid[[0, -1]].numpy(), row["out_first_last"], rtol=1e-6)
        assert grid.double().sum().item() == pytest.approx(row["sum"], rel=1e-6)


@pytest.mark.parametrize("row", rows("rows", STEPS), ids=lambda row: (row or {}).get("variant"))
def test_three_training_steps_are_upstreams(row: dict[str, Any]) -> None:
    attention = {
        "trajectory_original": Trajectory(),
        "trajectory_fixed": Trajectory("corrected"),
        "divided": Divided(),
        "joint": Joint(),
    }[row["variant"]]
    classes = dict(row["state_dict"])["head.bias"][0]
    encoder = MotionformerSpec(attention, depth=2, width=96, num_heads=4, drop_path=0.0)
    spec = ModelSpec(encoder, (), num_segments=16, heads=(Head("label", classes),), dropout=0.0)
    filled = golden_rule(FOLDER).state_dict(row["state_dict"])
    weights = {name: torch.from_numpy(array) for name, array in filled.items()}
    model = spec.build().train()
    ours = renamed(motionformer.parts(weights, spec), motionformer.rename, model.state_dict())
    model.load_state_dict(ours)
    optimizer = build_optimizer(model, AdamW(lr=1e-4, weight_decay=0.05, groups="one"))
    counts = {"label": torch.ones(classes, dtype=torch.int64)}
    objective = CrossEntropy(label_smoothing=0.2).build(counts)
    clip = drawn((2, 3, 16, 112, 112), 0).transpose(1, 2)
    labels = {"label": torch.tensor(row["labels"])}
    for step, wanted in enumerate(row["loss_3_steps"]):
        loss = objective(model, clip, labels)
        assert loss.item() == pytest.approx(wanted, rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            theirs = {
                name.replace("patch_embed_3d.proj", "patch_embed"): norm
                for name, norm in row["grad_norm_step0"].items()
                if not name.startswith(("patch_embed.", "head."))
            }
            compare_gradients(model.encoder, theirs)
        optimizer.step()


def test_every_function_of_the_file_is_read() -> None:
    if not UNITS.is_file():
        pytest.skip(f"no {UNITS}; set MAREY_GOLDENS")
    read_here = (*FUNCTIONS, "softmax_kernel_transformation", "pos_embed bicubic")
    assert {row["fn"] for row in read(UNITS).values["functions"]} == set(read_here)
    assert {row["module"] for row in read(UNITS).values["modules"]} == set(MODULES)
