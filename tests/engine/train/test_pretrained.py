"""Networks of Hugging Face through a whole run: frozen, in part, by LoRA; released without them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.trained import export_release, load_trained
from marey.errors import CheckpointError, RecipeError
from marey.models.lora import is_lora
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from tests.tiny import with_workers, write_set

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with clips, a ViT with a classifier, and a VideoMAE without one."""
    transformers = pytest.importorskip("transformers", reason="an extra: marey[hf]")
    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("made")
    write_set(folder / "clips", per_class=2, val_per_class=1)
    torch.manual_seed(0)
    vit = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, num_labels=5))
    vit.save_pretrained(folder / "vit")
    mae = transformers.VideoMAEModel(transformers.VideoMAEConfig(**SMALL, num_frames=2))
    mae.save_pretrained(folder / "mae")
    yield folder
    transformers.utils.logging.enable_progress_bar()


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a frozen encoder saw is kept nowhere else."""
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))


def recipe_of(name: str, made: Path, epochs: int = 1) -> Recipe:
    recipe = with_workers(find(f"hf:{made}/{name}"), 0).with_data(str(made / "clips/manifest.csv"))
    stages = tuple(
        replace(stage, epochs=min(epochs, stage.epochs), warmup=replace(stage.warmup, epochs=0.0))
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages, batch_size=4)


def weights_of(run: Path) -> dict[str, Tensor]:
    return load_checkpoint(run / "checkpoints/last.pt")["model"]


def test_a_frozen_encoder_is_as_it_was_and_a_release_needs_no_folder(
    made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "vit", tmp_path / "vit")
    shutil.copytree(made / "clips", tmp_path / "clips")
    run = train(recipe_of("vit", tmp_path, 2), tmp_path / "run", quiet=True)
    theirs = load_file(made / "vit/model.safetensors")
    ours = weights_of(run)
    values = {tuple(value.flatten()[:4].tolist()) for value in theirs.values()}
    encoder = {n: v for n, v in ours.items() if n.startswith("encoder.")}
    assert len(encoder) == len(theirs) - 2  # without their classifier
    assert all(tuple(v.flatten()[:4].tolist()) in values for v in encoder.values())

    shutil.rmtree(tmp_path / "vit")
    release = export_release(run, tmp_path / "release")
    clip = torch.randn(1, 8, 3, 32, 32)
    with torch.no_grad():
        one, other = (load_trained(each).model(clip)["label"] for each in (run, release))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("word", "changes"), [("last1", "layers.1."), ("lora", "lora"), ("full", "network.")]
)
def test_a_run_changes_what_its_degree_says_and_no_more(
    made: Path, tmp_path: Path, word: str, changes: str
) -> None:
    recipe = recipe_of(f"vit+{word}", made)
    if word == "full":
        recipe = replace(recipe, checkpointing=True, ema=0.5)
    run = train(recipe, tmp_path / "run", quiet=True)
    after = weights_of(run)
    before = weights_of(train(replace(recipe, stages=_still(recipe)), tmp_path / "0", quiet=True))
    changed = {n for n in after if n.startswith("encoder.") and not after[n].equal(before[n])}
    expected = {n for n in after if n.startswith("encoder.") and changes in n}
    if word == "last1":
        expected |= {n for n in after if "layernorm." in n and "layers" not in n}
    assert changed == expected
    assert len(changed) > 2
    assert load_trained(run).model.frames == recipe.model.frames
    if word == "lora":
        assert any(map(is_lora, after))
        release = load_file(export_release(run, tmp_path / "release") / "model.safetensors")
        assert not any(is_lora(n) or "base_layer" in n for n in release)


def _still(recipe: Recipe) -> tuple:  # type: ignore[type-arg]
    return tuple(replace(s, optim=replace(s.optim, lr=0.0)) for s in recipe.stages)  # type: ignore[type-var, misc]


def test_a_run_with_lora_ends_with_the_same_bits_when_it_is_resumed(
    made: Path, tmp_path: Path
) -> None:
    recipe = recipe_of("mae+lora", made, 2)
    whole = weights_of(train(recipe, tmp_path / "whole", quiet=True))
    half = replace(recipe, stages=(replace(recipe.stages[0], epochs=1),))
    run = train(half, tmp_path / "half", quiet=True)
    last = run / "checkpoints/last.pt"
    shorter = weights_of(run)
    assert any(is_lora(n) and not whole[n].equal(shorter[n]) for n in whole)
    again = weights_of(train(half, tmp_path / "again", quiet=True))
    assert all(again[n].equal(shorter[n]) for n in again)
    train(recipe, run, resume=last, quiet=True)
    assert weights_of(run).keys() == whole.keys()
    further = recipe_of("mae+full", made)
    begun = train(replace(further, weights=str(run)), tmp_path / "further", quiet=True)
    assert "weights from" in (begun / "train.log").read_text()


def test_norms_that_a_checkpoint_lacks_are_said_and_other_weights_are_not_made_up(
    made: Path, tmp_path: Path
) -> None:
    run = train(recipe_of("mae", made), tmp_path / "run", quiet=True)
    said = (run / "train.log").read_text()
    assert "lacks fc_norm.bias, fc_norm.weight: a norm that begins anew" in said

    broken = tmp_path / "mae"
    shutil.copytree(made / "mae", broken)
    weights = load_file(broken / "model.safetensors")
    lost = next(name for name in weights if "layer.1." in name and name.endswith("dense.weight"))
    save_file({n: w for n, w in weights.items() if n != lost}, broken / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"mae lacks weights of its videomae, .*: .*layer\.1\."
    ):
        train(replace(recipe_of("mae", made), weights=str(broken)), tmp_path / "2", quiet=True)
    (broken / "model.safetensors").write_text("version https://git-lfs")
    with pytest.raises(CheckpointError, match=str(broken)):
        train(replace(recipe_of("mae", made), weights=str(broken)), tmp_path / "2", quiet=True)


def test_weights_of_another_architecture_are_refused(made: Path, tmp_path: Path) -> None:
    recipe = replace(recipe_of("vit", made), weights=str(made / "mae"))
    with pytest.raises(
        CheckpointError, match=r"mae holds a videomae, not a HuggingFaceSpec\(kind='vit'\)"
    ):
        train(recipe, tmp_path / "run", quiet=True)
    recipe = replace(with_workers(find("tsn-r18"), 0), weights=str(made / "vit"))
    recipe = recipe.with_data(str(made / "clips/manifest.csv"))
    with pytest.raises(CheckpointError, match=r"vit holds a vit, not a ResNetSpec"):
        train(replace(recipe, batch_size=4), tmp_path / "run", quiet=True)


def test_what_a_stage_cannot_train_is_said_before_a_run_begins(made: Path, tmp_path: Path) -> None:
    recipe = recipe_of("vit+last1", made)
    many = (replace(recipe.stages[0], last_blocks=3),)
    with pytest.raises(RecipeError, match=r"stages\.0: last_blocks is 3, the encoder has 2 blocks"):
        train(replace(recipe, stages=many), tmp_path / "run", quiet=True)
    frozen = replace(recipe_of("vit+frozen", made), model=recipe_of("vit+lora", made).model)
    with pytest.raises(RecipeError, match=r"model\.lora adds to an encoder that no stage trains"):
        train(frozen, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_pickled_checkpoint_is_read_as_weights_only(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    folder.mkdir()
    shutil.copy(made / "vit/config.json", folder)
    torch.save(load_file(made / "vit/model.safetensors"), folder / "pytorch_model.bin")
    recipe = replace(recipe_of("vit", made), weights=str(folder))
    train(recipe, tmp_path / "run", quiet=True)

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save({"x": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=str(folder)):
        train(recipe, tmp_path / "2", quiet=True)
    assert not (tmp_path / "ran").exists()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "vit"
