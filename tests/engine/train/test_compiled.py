from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from marey.engine.train import compiled as module
from marey.engine.train.compiled import compiled, runs_as
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RecipeError, RunError
from marey.recipes.catalog import find
from marey.recipes.schema import override
from tests.tiny import TinyEncoder, tiny_recipe, write_set


def test_a_compiled_run_learns_the_same_under_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(write_set(tmp_path / "clips"), epochs=1)
    plain = train(recipe, tmp_path / "plain", quiet=True)
    monkeypatch.setattr(module.torch, "compile", partial(torch.compile, backend="aot_eager"))
    made = train(replace(recipe, compile=True), tmp_path / "made", quiet=True)
    one, other = (
        load_checkpoint(run / "checkpoints" / "last.pt")["model"] for run in (plain, made)
    )
    assert list(one) == list(other)
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, msg=lambda text, n=name: f"{n}: {text}")


def test_only_calls_in_the_block_run_what_was_compiled() -> None:
    encoder, clip = TinyEncoder(4, 2), torch.zeros(1, 2, 3, 8, 8)
    with runs_as(encoder, lambda x: x):
        assert encoder(clip) is clip
    assert encoder(clip).shape == (1, 2, 4)
    assert "forward" not in vars(encoder)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RunError, match=r"needs a C\+\+ compiler \(no-such-compiler\)"):
        compiled(TinyEncoder(4, 2), torch.device("cpu"))


@pytest.mark.parametrize(
    ("row", "changes", "said"),
    [
        ("tsm-r50", ["checkpointing=true"], "compile and checkpointing exclude each other"),
        ("tsm-r50", ["recompute=true"], "compile and recompute exclude each other"),
        ("features-linear", [], "an encoder that gives frame features"),
    ],
)
def test_what_cannot_be_compiled_is_refused(row: str, changes: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        override(find(row), ["compile=true", *changes])
