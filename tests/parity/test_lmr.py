"""LMR against the numbers of its released code and of the script that explains it.

Tolerance 1e-5 in float32; 5e-4 (the script: 5e-3) where every key of a row is masked, since the
originals then take a softmax of numbers near -1000 (-1e5), which float32 rounds that much.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.longtail import lmr, lmr_released
from marey.longtail.joint import JointRows
from marey.longtail.lmr import LMR, as_distribution, mix, reconstruct, similarity
from tests.conftest import goldens
from tests.parity.golden import golden_rule, read

FOLDER = goldens() / "lmr"
CONSTANT = 1e5  # the script's; the training code has 1000


def values(name: str) -> dict[str, Any]:
    return read(FOLDER / name).values if (FOLDER / name).is_file() else {}


WEIGHTS, SCRIPT, FULL = map(
    values, ("lmr_class_weights.json", "lmr_simple_example.json", "lmr_full_code.json")
)


def rows(table: dict[str, Any], key: str) -> pytest.MarkDecorator:
    """One test a row; without the file, one that is skipped with the reason."""
    absent = pytest.param(None, marks=pytest.mark.skip(reason=f"no {FOLDER}; set MAREY_GOLDENS"))
    found = table.get(key) or [absent]
    return pytest.mark.parametrize("row", found, ids=lambda row: (row or {}).get("name"))


def drawn(text: str) -> Tensor:
    """The input that a golden describes, such as "golden_input((4,8),11)*1"."""
    found = re.fullmatch(r"golden_input\(\((\d+),(\d+)\),(\d+)\)(?:\*(\d+))?", text)
    assert found is not None, text
    n, d, seed, scale = (int(part or 1) for part in found.groups())
    return torch.from_numpy(golden_rule(FOLDER).golden_input((n, d), seed)) * scale


def filled(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(golden_rule(FOLDER).weight(name, shape))


def assert_close(ours: Tensor, theirs: list[Any], atol: float = 1e-5) -> None:
    wanted = np.array(theirs, dtype=np.float32)  # "NaN" and "Infinity" too
    np.testing.assert_allclose(ours.detach().numpy(), wanted, rtol=1e-5, atol=atol)


@rows(WEIGHTS, "simple_example")
def test_class_weights_of_the_script(row: dict[str, Any]) -> None:
    counts = torch.tensor(row["counts"])
    c = lmr_released.class_weights(counts, l=row["l"], h=0.0, d=row["d"], eps=row["epsilon"])
    assert_close(c, row["c"])
    assert (counts <= row["omega"]).int().tolist() == row["few_shot"]


@rows(WEIGHTS, "simple_example")
def test_class_weights_of_the_paper_are_the_scripts_where_that_is_sound(
    row: dict[str, Any],
) -> None:
    counts = torch.tensor(row["counts"])
    c = lmr.class_weights(counts, l=row["l"], h=0.0, d=row["d"], eps=row["epsilon"])
    if (
        counts.min() > 0
        and counts.min() * row["d"] + row["epsilon"] >= 1.1
        and "NaN" not in row["c"]
    ):
        assert_close(c, row["c"])
    elif counts.max() > counts.min():
        assert c[counts.argmin()] == pytest.approx(row["l"])
    assert c.isfinite().all()


@rows(WEIGHTS, "full_code")
def test_class_weights_of_the_training_code(row: dict[str, Any]) -> None:
    counts = torch.tensor(row["counts"])
    c = lmr_released.class_weights(counts, l=row["L"], h=row["H"], d=row["D"], eps=None)
    assert_close(c, row["c"])


@rows(SCRIPT, "reconstruct")
def test_reconstruction_and_gradients_of_the_script(row: dict[str, Any]) -> None:
    counts, y = torch.tensor(row["counts"]), torch.tensor(row["y"])
    x = drawn(row["x"]).requires_grad_()
    c = lmr_released.class_weights(counts, l=row["l"], h=0.0, d=row["d"], eps=row["epsilon"])
    helps = (counts > row["omega"])[y]
    w = lmr_released.attention(similarity(x, x), helps, torch.arange(len(x)), CONSTANT)
    alone = not (helps.sum() - helps.int() > 0).all()  # of some row every key is masked
    r = reconstruct(x, x, w, c[y])
    r.backward(drawn(row["grad_out"]))
    tolerance = 5e-3 if alone else 1e-5
    assert_close(r, row["R"], tolerance)
    assert x.grad is not None
    assert_close(x.grad, row["grad_x"], tolerance)
    if not alone:
        paper = lmr.attention(similarity(x, x), helps, torch.arange(len(x)))
        assert_close(reconstruct(x, x, paper, c[y]), row["R"])


@rows(SCRIPT, "pairwise_mix")
def test_pairwise_mixing_of_the_script(row: dict[str, Any]) -> None:
    kept, partner = torch.tensor(row["alpha"]), torch.tensor(row["beta"])
    y = as_distribution(torch.tensor(row["y"]), row["num_classes"])
    assert_close(mix(drawn(row["x"]), partner, kept), row["x_out"])
    assert_close(mix(y, partner, kept), row["y_out"])


@pytest.mark.skipif(not SCRIPT, reason=f"no {FOLDER}; set MAREY_GOLDENS")
def test_the_script_from_input_to_output() -> None:
    row, counts = SCRIPT["script_main"], torch.tensor([1, 10, 100, 1000])
    x, y = torch.tensor(row["x"]), torch.tensor(row["y"])
    torch.manual_seed(row["torch_manual_seed"])
    assert_close(torch.rand(4, 8), row["x"], 1e-7)
    c = lmr.class_weights(counts, l=0.5, h=0.0, d=1.0, eps=0.1)
    w = lmr.attention(similarity(x, x), (counts > 20)[y], torch.arange(4))
    r = reconstruct(x, x, w, c[y])
    assert_close(r, row["R"])
    kept, partner = torch.tensor(row["alpha"]), torch.tensor(row["beta"])
    assert_close(mix(r, partner, kept), row["x_out"])
    assert_close(mix(as_distribution(y, 4), partner, kept), row["y_out"])


def objective_of(row: dict[str, Any]) -> lmr.LMRObjective:
    cfg = row["cfg"]
    few = cfg.get("RECONSTRUCT_FST_THRESHOLD", 20)
    spec = LMR(
        l=cfg["RECONSTRUCT_L"],
        h=cfg["RECONSTRUCT_H"],
        d=cfg["RECONSTRUCT_D"],
        few=few if cfg.get("RECONSTRUCT_CONTRIBUTION", "no-fst") == "no-fst" else 0,
        bank=cfg["RECONSTRUCT_BANK_SIZE"],
        variant="released",
    )
    return spec.build({"label": counts_of(row)})


def counts_of(row: dict[str, Any]) -> Tensor:
    """The counts, which of a real data set are only named."""
    if isinstance(row["counts"], list):
        return torch.tensor(row["counts"])
    of_name = {"EPIC verbs": "EPIC-100 verbs", "SSv2-LT": "SSv2-LT exactly"}
    (found,) = (r for r in WEIGHTS["full_code"] if r["note"].startswith(of_name[row["counts"]]))
    return torch.tensor(found["counts"])


@rows(FULL, "reconstruct")
def test_reconstruction_and_gradients_of_the_training_code(row: dict[str, Any]) -> None:
    objective, width = objective_of(row), row["dim"]
    norm = nn.LayerNorm(width, eps=row["layer_norm_eps"])
    norm.load_state_dict({n: filled(f"norm.{n}", (width,)) for n in ("weight", "bias")})
    tolerance = 5e-4 if row["name"].startswith("all_few_shot") else 1e-5
    for step in row["steps"]:
        x, y = drawn(step["x"]).requires_grad_(), torch.tensor(step["y"])
        if "RECONSTRUCT_ATTENTION_TYPE" in row["cfg"]:
            s = unused_similarity(x, row["cfg"]["RECONSTRUCT_ATTENTION_TYPE"])
            w = lmr_released.attention(s, ~objective.is_few[y], torch.arange(len(x)))
            r = reconstruct(x, x, w, objective.weights[y])
        else:
            r = objective.rebuilt(x, y, JointRows((len(x),)), norm)
        r.backward(drawn(re.sub(r"\d+(?=\)$)", lambda seed: str(int(seed[0]) + 1000), step["x"])))
        assert_close(r, step["R"], tolerance)
        assert x.grad is not None
        assert_close(x.grad, step["grad_x"], tolerance)


def unused_similarity(x: Tensor, kind: str) -> Tensor:
    """What the training code can compare clips by and no published recipe does; hence only here."""
    x, width = F.normalize(x, p=1), x.shape[1]
    if kind == "cos_sim":
        return x @ x.T
    q, k = (
        F.linear(
            x,
            filled(f"{name}_linear.weight", (width, width)),
            filled(f"{name}_linear.bias", (width,)),
        )
        for name in ("q", "k")
    )
    return q @ (q if kind == "q" else k).T


@rows(FULL, "feature_mixup")
def test_mixing_of_the_training_code(row: dict[str, Any]) -> None:
    y, n = as_distribution(torch.tensor(row["y"]), row["num_classes"]), len(row["y"])
    partner, share = torch.tensor(row["mixup_ids"]), torch.tensor(row["mixup_weights"])
    untouched = lmr_released.kept(n, row["FEATURE_MIXUP_PROB"]) == 1
    kept = torch.where(untouched, 1.0, 1 - share)
    assert_close(mix(drawn(row["x"]), partner, kept), row["x_out"])
    assert_close(mix(y, partner, kept), row["y_out"])
