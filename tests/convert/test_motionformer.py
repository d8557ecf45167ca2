"""Checkpoints of Motionformer and lmr-release: whose, which model, which of their tensors serve."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from marey.convert import motionformer
from marey.convert.convert import convert, fitted, recipe_of, recognised, spec_of
from marey.convert.file_names import settings_in_name
from marey.convert.repository import Settings, Shapes
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError, MareyError
from marey.models import Divided, Head, Joint, ModelSpec, MotionformerSpec, Trajectory
from marey.models.encoders.frame_attention import Orthoformer
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from tests.conftest import goldens
from tests.convert.upstream import filled
from tests.parity.golden import read

SCHEMES = goldens() / "lmr/state_dict_schemes.json"
BEHAVIOURS = goldens() / "lmr/reference_behaviours.json"
SAID = Settings(values="released", size=224)
DEAD_PATCHES = 590_592
LABEL = (Head("label", 400),)
WANTED = {
    "lmr_epic": ModelSpec(heads=(Head("verb", 97), Head("noun", 300))),
    "lmr_ssv2lt": ModelSpec(heads=(Head("label", 174),)),
    "motionformer:K400/motionformer_224_16x4": ModelSpec(heads=LABEL),
    "motionformer:K400/motionformer_224_32x3": ModelSpec(heads=LABEL, num_segments=32),
    "motionformer:K400/motionformer_336_16x8": ModelSpec(heads=LABEL),
    "motionformer:K400/divided_224_16x4": ModelSpec(MotionformerSpec(Divided()), heads=LABEL),
    "motionformer:K400/joint_224_16x4": ModelSpec(MotionformerSpec(Joint()), heads=LABEL),
    "motionformer:SSV2/motionformer_224_16x4": ModelSpec(heads=(Head("label", 174),)),
    "motionformer:EK/motionformer_224_16x4": ModelSpec(heads=(Head("verb", 97), Head("noun", 300))),
}


def wanted(name: str) -> ModelSpec:
    spec = WANTED[name]
    encoder = spec.encoder if isinstance(spec.encoder, MotionformerSpec) else MotionformerSpec()
    frames = 32 if spec.num_segments == 32 else 16
    return replace(spec, encoder=encoder, num_segments=frames, dropout=0.0, head_std=0.02)


@pytest.mark.skipif(not SCHEMES.is_file(), reason=f"no {SCHEMES}; set MAREY_GOLDENS")
@pytest.mark.parametrize("name", WANTED)
def test_every_published_state_dict_is_known_and_wholly_accounted_for(name: str) -> None:
    shapes = {key: tuple(shape) for key, shape in read(SCHEMES).values[name]}
    repository = recognised(shapes, Path(name))
    assert repository is motionformer.REPOSITORY
    spec = spec_of(repository, shapes, SAID, Path(name))
    assert spec == wanted(name)
    weights = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    apart = repository.parts(weights, spec)
    fitted(apart, repository, spec, Path(name))  # strictly: nothing left over, nothing missing
    dropped = {key for key in apart if repository.rename(key) is None}
    assert sum(apart[key].numel() for key in dropped if "patch_embed" in key) == DEAD_PATCHES
    extras = {"device_param", "fst_classes", "class_counts"} & set(shapes)
    assert len(extras) == (3 if name.startswith("lmr") else 0)
    assert extras <= dropped


@pytest.mark.skipif(not SCHEMES.is_file(), reason=f"no {SCHEMES}; set MAREY_GOLDENS")
def test_the_schemes_are_those_named_here() -> None:
    assert set(read(SCHEMES).values) == set(WANTED)


@pytest.mark.skipif(not BEHAVIOURS.is_file(), reason=f"no {BEHAVIOURS}; set MAREY_GOLDENS")
def test_what_lmr_saves_as_weights_is_dropped_and_its_frames_are_bgr() -> None:
    facts = read(BEHAVIOURS).values
    assert all(motionformer.rename(name) is None for name in facts["lmr_extra_parameters"])
    assert facts["retry_load_images_red_pixel"] == [0, 0, 254]  # what its EPIC models were fed
    assert recipe_of(wanted("lmr_epic"), "", SAID).augment.channel_order == "bgr"
    assert recipe_of(wanted("lmr_ssv2lt"), "", SAID).augment.channel_order == "rgb"


# --- a checkpoint of our own, as they write it ------------------------------------------------

SMALL = MotionformerSpec(depth=2, width=128, num_heads=4, drop_path=0.2)
HEADS = (Head("verb", 5), Head("noun", 7))
EPIC = ModelSpec(SMALL, (), num_segments=4, heads=HEADS, dropout=0.0, head_std=0.02)


def under_their_names(spec: ModelSpec, weights: dict[str, Tensor], dot: str = "") -> dict[str, Any]:
    """With what the original saves besides; `dot` is ".0" in lmr-release."""
    assert isinstance(spec.encoder, MotionformerSpec)
    width, theirs = spec.encoder.width, {}
    for name, weight in weights.items():
        name = name.removeprefix("encoder.").replace("pre_logits.", f"pre_logits{dot}.")
        name = name.replace("patch_embed.", "patch_embed_3d.proj.")
        heads = {"heads.label": "head", "heads.verb": "head0", "heads.noun": "head1"}
        for ours, head in heads.items():
            name = name.replace(ours, f"{head}{dot}")
        theirs[name] = weight
    theirs["patch_embed.proj.weight"] = torch.ones(width, 3, 16, 16)
    theirs["patch_embed.proj.bias"] = torch.ones(width)
    for block in range(spec.encoder.depth):
        at = f"blocks.{block}.attn.proj"
        key = theirs.pop(f"{at}_k.weight", torch.ones(width, width))
        value = theirs.pop(f"{at}_v.weight", torch.ones(width, width))
        bias = theirs.pop(f"{at}_v.bias", torch.ones(width))
        theirs[f"{at}_kv.weight"] = torch.cat([key, value])
        theirs[f"{at}_kv.bias"] = torch.cat([torch.ones(width), bias])
        theirs.setdefault(f"{at}_q.weight", torch.ones(width, width))
        theirs.setdefault(f"{at}_q.bias", torch.ones(width))
    if dot:
        theirs["device_param"] = torch.zeros(1)
        theirs["fst_classes"] = torch.zeros(5)
        theirs["class_counts"] = torch.ones(5, dtype=torch.int64)
    return theirs


@pytest.mark.parametrize("values", ["released", "corrected"])
@pytest.mark.parametrize("dot", ["", ".0"], ids=["motionformer", "lmr-release"])
def test_what_was_written_under_their_names_answers_the_same(
    values: Any, dot: str, tmp_path: Path
) -> None:
    spec = replace(EPIC, encoder=replace(SMALL, attention=Trajectory(values)))
    model = filled(spec)
    theirs = under_their_names(spec, model.state_dict(), dot)
    path = tmp_path / "checkpoint_epoch_00050.pyth"
    torch.save({"epoch": 49, "model_state": theirs, "optimizer_state": {}, "cfg": "A: 1"}, path)
    settings = Settings(values=values, size=64, num_heads=4, stride=8)
    found = convert(path, tmp_path / "out", settings=settings)
    assert (found.repository, found.recipe.model) == ("motionformer", spec)
    assert found.facts()["from --set"] == f"values={values}, num_heads=4, size=64, stride=8"
    assert found.facts()["assumed"].startswith("tanh before the classifier (activation); exact")
    assert found.facts()["output"] == "5 classes, 7 classes"
    assert ("class_counts" in found.dropped) is bool(dot)
    assert "unused.blocks.1.attn.proj_q.weight" in found.dropped
    assert ("unused.blocks.0.attn.proj_v.weight" in found.dropped) is (values == "released")
    recipe = load_trained(tmp_path / "out").recipe
    assert recipe.augment.channel_order == "bgr"
    assert (recipe.test.crop.size, recipe.test.crop.views, recipe.test.average) == (64, 3, "probs")
    assert recipe.test.sampling == TimedClips(4, 8, 60, 10, "upstream-epic")
    clip = torch.randn(1, 4, 3, 64, 64)
    with torch.no_grad():
        for head, scores in load_trained(tmp_path / "out").model(clip).items():
            torch.testing.assert_close(scores, model(clip)[head])


CFG = """
TRAIN: {DATASET: Epickitchens}
DATA: {NUM_FRAMES: 4, SAMPLING_RATE: 4, TRAIN_CROP_SIZE: 64, MEAN: [0.5, 0.5, 0.5], STD: [0.5]}
VIT:
  {DEPTH: 2, EMBED_DIM: 128, NUM_HEADS: 4, PATCH_SIZE: 16, PATCH_SIZE_TEMP: 2, USE_MLP: true,
   HEAD_ACT: gelu, ATTN_LAYER: trajectory, USE_ORIGINAL_TRAJ_ATTN_CODE: false,
   APPROX_ATTN_TYPE: orthoformer, APPROX_ATTN_DIM: 3}
"""


def test_what_its_own_configuration_says_is_followed(tmp_path: Path) -> None:
    attention = Trajectory("corrected", Orthoformer(3))
    spec = replace(EPIC, encoder=replace(SMALL, attention=attention, activation="gelu"))
    model, path = filled(spec), tmp_path / "checkpoint.pyth"
    theirs = under_their_names(spec, model.state_dict())
    torch.save({"model_state": theirs, "cfg": CFG}, path)
    found = convert(path, tmp_path / "out")
    assert found.recipe.model == spec
    assert found.recipe.test.sampling == TimedClips(4, 8, 60, 10, "upstream-epic")
    assert found.from_cfg["activation"] == "gelu"
    assert "first landmark" in found.facts()["assumed"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["converted"] == found.facts()
    clip = torch.randn(1, 4, 3, 64, 64)
    with torch.no_grad():
        scores = load_trained(tmp_path / "out").model(clip)["verb"]
        torch.testing.assert_close(scores, model(clip)["verb"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "DEPTH: 2",
            "DEPTH: 3",
            "its configuration and its tensors differ: depth 3, the tensors 2",
        ),
        ("FRAMES: 4", "FRAMES: 8", "frames 8, the tensors 4"),
        ("LAYER: trajectory", "LAYER: joint", "attention 'joint', the tensors 'trajectory'"),
        ("orthoformer", "nystrom", r"VIT\.APPROX_ATTN_TYPE 'nystrom'; known here: 'none', 'orth"),
        ("MEAN: [0.5", "MEAN: [0.45", r"DATA\.MEAN \[0\.45, 0\.5, 0\.5\]; known here: 0\.5"),
        ("NUM_HEADS: 4", "NUM_HEADS: 'x'", "num_heads"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    theirs = under_their_names(EPIC, filled(EPIC).state_dict())
    torch.save({"model_state": theirs, "cfg": CFG.replace(old, new)}, tmp_path / "x.pyth")
    settings = Settings(values="released")
    with pytest.raises(MareyError, match=message):
        convert(tmp_path / "x.pyth", tmp_path / "out", settings=settings)


def test_class_names_of_two_heads_are_numbers_and_one_list_is_refused(tmp_path: Path) -> None:
    path, labels = tmp_path / "x.pyth", tmp_path / "verbs.txt"
    torch.save({"model_state": under_their_names(EPIC, filled(EPIC).state_dict())}, path)
    labels.write_text("a\nb\nc\nd\ne\n")
    settings = Settings(values="released", size=64, num_heads=4)
    with pytest.raises(CheckpointError, match="names 5 classes, the checkpoint has 5 and 7"):
        convert(path, tmp_path / "out", settings=settings, labels=labels)
    convert(path, tmp_path / "out", settings=settings)
    trained = load_trained(tmp_path / "out")
    assert {head: len(names) for head, names in trained.classes.items()} == {"verb": 5, "noun": 7}
    assert trained.recipe.test.sampling == RoundedSegments(4)


def test_what_tensors_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.pyth"
    torch.save({"model_state": under_their_names(EPIC, filled(EPIC).state_dict())}, path)
    with pytest.raises(CheckpointError, match="values .* published.*--set values=released"):
        convert(path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="num_heads .*--set num_heads=12"):
        convert(path, tmp_path / "out", settings=SAID)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("k400_motionformer_336_16x8.pyth", Settings(values="released", size=336, stride=8)),
        ("k400_joint_224_16x4.pyth", Settings(values="released", size=224, stride=4)),
        ("ek_motionformer_224_16x4.pyth", Settings(values="released", size=224, stride=8)),
        ("ssv2_motionformer_224_32x3.pyth", Settings(values="released", size=224)),
    ],
)
def test_published_names_say_size_and_stride(name: str, settings: Settings) -> None:
    assert settings_in_name(name) == settings


NAMED: Shapes = {
    name: tuple(weight.shape)
    for name, weight in under_their_names(EPIC, EPIC.build().state_dict()).items()
}


@settings(max_examples=40)
@given(st.data())
def test_odd_shapes_are_read_or_refused_but_never_crash(data: st.DataObject) -> None:
    shapes = dict(NAMED)
    for changed in data.draw(st.lists(st.sampled_from(sorted(NAMED)), max_size=3, unique=True)):
        shapes[changed] = tuple(data.draw(st.lists(st.integers(0, 9), max_size=5)))
    for left_out in data.draw(st.lists(st.sampled_from(sorted(NAMED)), max_size=3, unique=True)):
        shapes.pop(left_out)
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    repository, settings = motionformer.REPOSITORY, replace(SAID, num_heads=2)
    with suppress(CheckpointError):
        spec = spec_of(repository, shapes, settings, Path("x.pyth"))
        fitted(repository.parts(weights, spec), repository, spec, Path("x.pyth"))
