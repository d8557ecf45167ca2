"""What a folder of Hugging Face says of its network becomes a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marey.errors import CheckpointError, MareyError, RecipeError
from marey.models.lora import LoRA
from marey.recipes.catalog import find
from marey.recipes.huggingface import Input, is_hugging_face, read_input
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_plain, from_yaml, override, to_plain, to_yaml
from marey.recipes.testing import for_test, segments_in_words
from marey.recipes.tuning import frozen, full, last_blocks, with_lora
from marey.recipes.yaml_text import parse_yaml
from marey.video.crops import CenterCrop, RandomResizedCrop
from marey.video.sampling.segments import Segments

VIT = {"model_type": "vit", "hidden_size": 16, "image_size": 32, "id2label": {"0": "cat"}}
HALF = (0.5, 0.5, 0.5)


def write(folder: Path, config: dict[str, Any], **processors: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, facts in processors.items():
        (folder / f"{name}.json").write_text(json.dumps(facts))
    return folder


def seen(tmp_path: Path, config: dict[str, Any], **processors: dict[str, Any]) -> Input:
    folder = write(tmp_path / "net", config, **processors)
    spec = find(f"hf:{folder}").model.encoder
    return read_input(folder, spec)  # type: ignore[arg-type]


def test_a_folder_is_a_recipe_like_any_other(tmp_path: Path) -> None:
    folder = write(tmp_path / "net", VIT)
    recipe = find(f"hf:{folder}")
    assert recipe.name == "net"
    assert recipe.weights == str(folder)
    assert recipe.model.encoder.config == '{"hidden_size": 16, "image_size": 32}'  # type: ignore[attr-defined]
    assert recipe.train.sampling == recipe.test.sampling == Segments(8)
    assert recipe.stages[0].trainable == "neck"
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    assert find(str(folder)) == recipe  # the config.json says whose it is
    assert is_hugging_face(folder)


def test_how_much_learns_changes_not_how_long_it_takes() -> None:
    """But behind a frozen encoder, where epochs cost seconds."""
    base = override(find("tsm-r50"), ["stages.0.max_steps=70"])
    assert with_lora(base).stages[0].max_steps == full(base).stages[0].max_steps == 70
    assert last_blocks(base, 2).stages[0].max_steps == 70
    assert (frozen(base).stages[0].epochs, frozen(base).stages[0].max_steps) == (50, None)


def test_degrees_of_fine_tuning_go_by_a_word(tmp_path: Path) -> None:
    folder = write(tmp_path / "a+b", {"model_type": "videomae", "num_frames": 4})
    base = find(f"hf:{folder}")
    assert base.model.num_segments == 4
    lora, last, full = (find(f"hf:{folder}+{word}") for word in ("lora", "last2", "full"))
    assert (lora.name, lora.model.lora) == ("a+b+lora", LoRA())
    assert override(lora, ["model.lora.rank=4"]).model.lora == LoRA(rank=4)
    assert (last.stages[0].last_blocks, full.stages[0].last_blocks) == (2, None)
    assert full.stages[0].optim.layer_decay == 0.75  # type: ignore[attr-defined]
    assert isinstance(full.train.crop, RandomResizedCrop)
    frozen = find("tsm-r50+frozen")
    assert (frozen.weights, frozen.train.crop) == ("imagenet", frozen.test.crop)
    assert find(f"hf:{folder}+last2+crt").stages[1].last_blocks is None
    for recipe in (lora, last, full, frozen):
        assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    with pytest.raises(RecipeError, match="no change 'last0' of a recipe"):
        find(f"hf:{folder}+last0")
    with pytest.raises(RecipeError, match=r"one of them: hf:.*a\+b\+frozen or hf:.*a\+b\+lora"):
        find(f"hf:{folder}+frozen+lora")
    with pytest.raises(RecipeError, match=r"the other way round: tsm-r50\+lora\+crt"):
        find("tsm-r50+crt+lora")


def test_the_keys_that_the_page_shows_are_those_of_a_recipe(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/encoders.md").read_text(encoding="utf-8")
    shown = parse_yaml(page.partition("```yaml\n")[2].partition("```")[0], "docs/encoders.md")
    base = find(f"hf:{write(tmp_path / 'net', VIT)}+full")
    plain = to_plain(base)
    for part in (plain["stages"][0], plain["model"]):
        part.update(shown["stages"][0] if "epochs" in part else shown["model"])
    recipe = from_plain(Recipe, plain | {"checkpointing": shown["checkpointing"]})
    assert recipe.checkpointing
    assert recipe.model.lora == LoRA()
    assert recipe.stages[0].last_blocks == 2
    assert recipe.stages[0].optim == base.stages[0].optim


@pytest.mark.parametrize(
    ("config", "processor", "expected"),
    [
        (  # as google/vivit-b-16x2 states it: x / 127.5 - 1
            {"model_type": "vivit"},
            {"offset": True, "rescale_factor": 1 / 127.5, "do_normalize": False},
            Input(size=224, resize=256, mean=HALF, std=HALF),
        ),
        (
            VIT,
            {"size": 48, "do_rescale": False, "image_mean": [127.5] * 3, "image_std": [255] * 3},
            Input(size=48, resize=(48, 48), mean=HALF, std=(1.0,) * 3),
        ),
        (
            VIT,
            {"size": {"height": 32, "width": 32}, "do_normalize": False, "resample": 2},
            Input(size=32, resize=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3),
        ),
        (
            {"model_type": "vjepa2"},
            {"crop_size": {"height": 256, "width": 256}, "size": {"shortest_edge": 292}},
            Input(size=256, resize=292, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ),
        (
            {"model_type": "dinov2", "image_size": 518},
            {"do_center_crop": True, "crop_size": 224, "size": {"shortest_edge": 256}},
            Input(size=224, resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ),
    ],
)
def test_pictures_are_prepared_as_the_processor_states(
    tmp_path: Path, config: dict[str, Any], processor: dict[str, Any], expected: Input
) -> None:
    found = seen(tmp_path, config, preprocessor_config=processor)
    assert (found.size, found.resize) == (expected.size, expected.resize)
    assert found.mean == pytest.approx(expected.mean)
    assert found.std == pytest.approx(expected.std)


def test_the_crop_and_colours_of_the_recipe_are_those(tmp_path: Path) -> None:
    stated = {"size": 48, "image_mean": [0.4] * 3, "image_std": [0.2] * 3}
    folder = write(tmp_path / "net", VIT, video_preprocessor_config=stated)
    recipe = find(f"hf:{folder}")
    assert recipe.train.crop == recipe.test.crop == CenterCrop(48, resize=(48, 48))
    assert (recipe.augment.mean, recipe.augment.std) == ((0.4,) * 3, (0.2,) * 3)


def test_what_is_not_stated_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path / "a", VIT, processor_config={"image_processor": {"resample": 3}})
    find(f"hf:{folder}")
    assert "not stated, taken as it is published for vit: " in caplog.text
    assert "image_mean [0.5, 0.5, 0.5]" in caplog.text
    assert "bicubically, here they are scaled bilinearly" in caplog.text
    caplog.clear()
    whole = {"size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    find(f"hf:{write(tmp_path / 'b', VIT, preprocessor_config=whole)}")
    assert not caplog.text


@pytest.mark.parametrize(
    ("config", "processor", "message"),
    [
        ({"model_type": "bert"}, {}, "its model_type is 'bert', known here are videomae"),
        (VIT, {"image_mean": "red"}, "'red' is no mean or deviation of colours"),
        (VIT, {"size": {"height": 32, "width": 48}}, "32 x 48 pixels, and clips here are square"),
        (VIT, {"size": {"longest_edge": 32}}, "its processor cannot be understood"),
        (VIT, {"size": {"height": 33, "width": 33}}, "33 pixels are not whole patches of 16"),
    ],
)
def test_what_cannot_be_taken_is_refused(
    tmp_path: Path, config: dict[str, Any], processor: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "net", config, preprocessor_config=processor)
    with pytest.raises(CheckpointError, match=message):
        find(f"hf:{folder}")


def test_views_that_the_network_does_not_take_are_refused(tmp_path: Path) -> None:
    recipe = find(f"hf:{write(tmp_path / 'net', {'model_type': 'videomae', 'image_size': 32})}")
    with pytest.raises(RecipeError, match="test: videomae is made for 32 pixels, and takes no 48"):
        override(recipe, ["test.crop={CenterCrop: {size: 48, resize: 48}}"])
    with pytest.raises(RecipeError, match="test.*5 frames, expected whole tokens of 2 frames"):
        override(recipe, ["test.sampling.num_segments=5"])
    eight = [f"{key}=8" for key in ("model.num_segments", "train.sampling.num_segments")]
    eight += ["test.sampling.num_segments=8"]
    assert "clips of 16 frames: the places of 8" in override(recipe, eight).clips_in_words()


def test_places_that_are_resized_in_a_test_alone_are_said_there(tmp_path: Path) -> None:
    recipe = find(f"hf:{write(tmp_path / 'net', VIT)}")
    larger = override(recipe, ["test.crop={CenterCrop: {size: 64, resize: 64}}"])
    said = "the places of vit for 32 pixels are resized to 64 (bicubic)"
    assert segments_in_words(larger) == said
    assert segments_in_words(recipe) == ""
    assert f"tested on 4 (4 frames); {said}" in segments_in_words(for_test(larger, segments=4))


def test_a_network_that_is_not_here_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"hf:org/net is no folder.*weights get hf:org/net"):
        find("hf:org/net")
    with pytest.raises(RecipeError, match=r"hf:nothing is no folder here.*hf:FOLDER"):
        find("hf:nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MareyError, match=r"cannot read .*config\.json.*save_pretrained"):
        find("hf:empty")


def test_a_network_in_the_cache_of_the_hub_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="an extra: marey[hf]")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub.file_download, "HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.chdir(tmp_path)
    cached = tmp_path / "hub/models--org--net"
    write(cached / "snapshots/abc", VIT)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("abc")
    recipe = find("hf:org/net")
    assert (recipe.name, recipe.weights) == ("net", str(cached / "snapshots/abc"))
    write(tmp_path / "org/net", VIT)
    with pytest.raises(RecipeError, match=r"is a folder here, and a network in the hub's cache"):
        find("hf:org/net")
    assert find("hf:./org/net").weights == "org/net"
