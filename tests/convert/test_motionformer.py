"""Checkpoints of Motionformer and lmr-release: whose, which model, which of their tensors serve."""

from __future__ import annotations

import argparse
import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from marey.convert import motionformer, motionformer_counts
from marey.convert.convert import convert
from marey.convert.file_names import settings_in_name
from marey.convert.fitting import fitted, recipe_of, spec_of
from marey.convert.repositories import recognised
from marey.convert.repository import Settings, Shapes
from marey.engine.inference.measures import TrainingCounts
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError, MareyError
from marey.models import Divided, Head, Joint, ModelSpec, MotionformerSpec, Trajectory
from marey.models.encoders.frame_attention import Orthoformer
from marey.video.augment import Augment
from marey.video.crops import CenterCrop
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from tests.conftest import goldens
from tests.convert.upstream import filled
from tests.parity.golden import read

SCHEMES = goldens() / "lmr/state_dict_schemes.json"
BEHAVIOURS = goldens() / "lmr/reference_behaviours.json"
SAID = Settings(values="released", size=224, stride=4, trained="both")
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
    if dot:  # lmr-release has models of EPIC-KITCHENS that learned no nouns
        settings = replace(settings, trained="both")
    found = convert(path, tmp_path / "out", settings=settings)
    assert (found.repository, found.recipe.model) == ("motionformer", spec)
    said = f"values={values}, num_heads=4, size=64, stride=8" + (", trained=both" if dot else "")
    assert found.facts()["from --set"] == said
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
TEST: {NUM_ENSEMBLE_VIEWS: 5, NUM_SPATIAL_CROPS: 3}
DATA: {NUM_FRAMES: 4, SAMPLING_RATE: 4, TRAIN_CROP_SIZE: 64, TEST_CROP_SIZE: 64, TARGET_FPS: 30,
       MEAN: [0.5, 0.5, 0.5], STD: [0.5], REVERSE_INPUT_CHANNEL: false}
EPICKITCHENS: {VERB_NOUN_ALPHA: 0.5}
MODEL: {NUM_CLASSES: 97}
OPTIMIZER: !!python/tuple [0.9, 0.999]
VIT:
  {DEPTH: 2, EMBED_DIM: 128, NUM_HEADS: 4, PATCH_SIZE: 16, PATCH_SIZE_TEMP: 2, USE_MLP: true,
   HEAD_ACT: gelu, ATTN_LAYER: trajectory, USE_ORIGINAL_TRAJ_ATTN_CODE: false, DROP_PATH: 0.3,
   APPROX_ATTN_TYPE: orthoformer, APPROX_ATTN_DIM: 3, TEMPORAL_RESOLUTION: 2, MLP_RATIO: 4,
   POS_EMBED: separate, QKV_BIAS: true}
"""


def test_what_its_own_configuration_says_is_followed(tmp_path: Path) -> None:
    attention = Trajectory("corrected", Orthoformer(3))
    encoder = replace(SMALL, attention=attention, activation="gelu", drop_path=0.3)
    spec = replace(EPIC, encoder=encoder)
    model, path = filled(spec), tmp_path / "checkpoint.pyth"
    theirs = under_their_names(spec, model.state_dict())
    torch.save({"model_state": theirs, "cfg": CFG}, path)
    found = convert(path, tmp_path / "out")
    assert found.recipe.model == spec
    assert found.recipe.test.sampling == TimedClips(4, 8, 60, 5, "upstream-epic")
    assert found.recipe.train.sampling == found.recipe.test.sampling
    assert found.from_cfg["activation"] == "gelu"
    assert "first landmark" in found.facts()["assumed"]
    assert "BGR" not in found.facts()["assumed"]  # it is said
    assert found.facts()["test views"] == (
        "5 clips x 3 crops of 64 pixels; 4 frames, 8 apart at 60 a second: 32 of the video's"
    )
    assert "not read" not in found.facts()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["converted"] == found.facts()
    clip = torch.randn(1, 4, 3, 64, 64)
    with torch.no_grad():
        scores = load_trained(tmp_path / "out").model(clip)["verb"]
        torch.testing.assert_close(scores, model(clip)["verb"])


def test_a_test_of_another_size_than_training_is_left_out_and_said(tmp_path: Path) -> None:
    spec = replace(EPIC, encoder=replace(SMALL, attention=Trajectory("corrected")))
    cfg = CFG.replace("TEST_CROP_SIZE: 64", "TEST_CROP_SIZE: 80").replace("orthoformer", "none")
    cfg = cfg.replace("HEAD_ACT: gelu", "HEAD_ACT: tanh")
    theirs = under_their_names(spec, filled(spec).state_dict())
    torch.save({"model_state": theirs, "cfg": cfg}, tmp_path / "checkpoint.pyth")
    found = convert(tmp_path / "checkpoint.pyth", tmp_path / "out")
    assert found.recipe.test.crop.size == 64
    assert "size=64: TRAIN_CROP_SIZE" in found.facts()["assumed"]
    assert "TEST_CROP_SIZE 80 is left" in found.facts()["assumed"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "DEPTH: 2",
            "DEPTH: 3",
            "its configuration and its tensors differ: depth 3, the tensors 2",
        ),
        ("FRAMES: 4", "FRAMES: 8", "frames 8, the tensors 4"),
        ("RESOLUTION: 2", "RESOLUTION: 4", "times 4, the tensors 2"),
        ("LAYER: trajectory", "LAYER: joint", "attention 'joint', the tensors 'trajectory'"),
        ("EMBED: separate", "EMBED: joint", "positions 'joint', the tensors 'separate'"),
        ("MLP_RATIO: 4", "MLP_RATIO: 2", "mlp_ratio 2, the tensors 4"),
        ("BIAS: true", "BIAS: false", "qkv_bias False, the tensors True"),
        ("USE_MLP: true", "USE_MLP: false", "pre_logits False, the tensors True"),
        ("Epickitchens", "Kinetics", "classifies 'one label', the tensors 'verbs and nouns'"),
        ("orthoformer", "nystrom", r"VIT\.APPROX_ATTN_TYPE 'nystrom'; known here: 'none', 'orth"),
        ("CROPS: 3", "CROPS: 5", r"TEST\.NUM_SPATIAL_CROPS 5; known here: 3, 1"),
        ("BIAS: true", "BIAS: true, NUM_EXPERTS: 3", r"VIT\.NUM_EXPERTS 3; known here: 1"),
        ("NUM_HEADS: 4", "NUM_HEADS: 'x'", "num_heads"),
        ("MEAN: [", "MEAN: [[", r"its cfg cannot be read as YAML"),
        ("FPS: 30", "FPS: 0", r"stride is 0\.0, expected more than 0"),
        ("RATE: 4", "RATE: 0", r"stride is 0\.0, expected more than 0"),
        ("VIEWS: 5", "VIEWS: 0", "clips is 0, expected"),
        ("NUM_HEADS: 4", "NUM_HEADS: 0", "num_heads is 0, expected"),
        ("STD: [0.5]", "STD: [0]", r"x\.pyth: it cannot be tested as is said: std is 0, expected"),
        ("STD: [0.5]", "STD: [0.5, 0.5]", r"x\.pyth: it cannot be tested as is said: .*std"),
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


ONE = replace(EPIC, heads=(Head("label", 5),))
KINETICS = CFG.replace("Epickitchens", "Kinetics").replace("CLASSES: 97", "CLASSES: 5")
SSV2 = KINETICS.replace("Kinetics", "Ssv2")


@pytest.mark.parametrize(
    ("cfg", "sampling", "order"),
    [
        (KINETICS, TimedClips(4, 4, 30, 5, "upstream"), "rgb"),
        (KINETICS.replace("FPS: 30", "FPS: 25"), TimedClips(4, 4.8, 30, 5, "upstream"), "rgb"),
        (KINETICS.replace("CHANNEL: false", "CHANNEL: true"), None, "bgr"),
        (SSV2, RoundedSegments(4), "bgr"),
        (SSV2.replace("CHANNEL: false", "CHANNEL: true"), RoundedSegments(4), "rgb"),
        (SSV2.replace("Ssv2", "Something"), RoundedSegments(4), "bgr"),
    ],
    ids=range(6),
)
def test_the_data_set_decides_frames_and_the_order_of_colours(
    cfg: str, sampling: Any, order: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pyth"
    theirs = under_their_names(ONE, filled(ONE).state_dict())
    cfg = cfg.replace("MEAN: [0.5, 0.5, 0.5], STD: [0.5]", "MEAN: [0.4, 0.5, 0.6], STD: [0.225]")
    torch.save({"model_state": theirs, "cfg": cfg.replace("CROPS: 3", "CROPS: 1")}, path)
    recipe = convert(path, tmp_path / "out").recipe
    assert recipe.test.sampling == (sampling or TimedClips(4, 4, 30, 5, "upstream"))
    assert recipe.augment.channel_order == order
    assert (recipe.augment.mean, recipe.augment.std) == ((0.4, 0.5, 0.6), (0.225,) * 3)
    assert recipe.test.crop == CenterCrop(64, 64)


def test_what_a_person_says_goes_before_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "x.pyth"
    torch.save({"model_state": under_their_names(ONE, filled(ONE).state_dict()), "cfg": SSV2}, path)
    said = Settings(
        sampling="dense", stride=3, channel_order="rgb", mean=(0.1,), std=(1.0,), clips=2
    )
    recipe = convert(path, tmp_path / "out", settings=said).recipe
    assert recipe.test.sampling == TimedClips(4, 3, 30, 2, "upstream")
    assert recipe.augment == Augment(mean=(0.1,), std=(1.0,), channel_order="rgb")


def test_a_node_of_a_configuration_is_read_as_its_text_is(tmp_path: Path) -> None:
    theirs = under_their_names(ONE, filled(ONE).state_dict())
    made = []
    for number, cfg in enumerate(
        (KINETICS, plain := yaml.safe_load(KINETICS.replace("!!p", "# ")))
    ):
        torch.save({"model_state": theirs, "cfg": cfg}, tmp_path / f"{number}.pyth")
        made.append(convert(tmp_path / f"{number}.pyth", tmp_path / f"out{number}"))
    torch.save({"model_state": theirs, "cfg": argparse.Namespace(**plain)}, tmp_path / "n.pyth")
    made.append(convert(tmp_path / "n.pyth", tmp_path / "out"))
    assert len({replace(one.recipe, name="") for one in made}) == 1


# --- heads that learned nothing, and how often classes came ------------------------------------

LMR_CFG = CFG.replace("ALPHA: 0.5}", "ALPHA: 1.0, LT_TASK: verb, TRAIN_VERB_COUNTS: VERBS}")
COUNTS = [900, 400, 60, 12, 3]


def lmr_checkpoint(path: Path, cfg: str, counts: list[int] = COUNTS) -> Path:
    attention = Trajectory("corrected", Orthoformer(3))
    spec = replace(EPIC, encoder=replace(SMALL, attention=attention, activation="gelu"))
    theirs = under_their_names(spec, filled(spec).state_dict(), ".0")
    theirs["class_counts"] = torch.tensor(counts)
    theirs["fst_classes"] = torch.tensor([float(n <= 20) for n in counts])
    torch.save({"model_state": theirs, "cfg": cfg.replace("VERBS", str(COUNTS))}, path)
    return path


def test_a_head_that_was_never_trained_is_left_out_and_said(tmp_path: Path) -> None:
    found = convert(lmr_checkpoint(tmp_path / "x.pyth", LMR_CFG), tmp_path / "out")
    assert found.recipe.model.heads == (Head("verb", 5),)
    said = found.facts()["never trained"]
    assert said.startswith(
        "noun: its part in the loss was 0 (VERB_NOUN_ALPHA 1.0), so that its ans"
    )
    assert said.endswith("left out, --set trained=both keeps it")
    assert "unused.head1.0.weight" in found.dropped
    assert said in (tmp_path / "out" / "README.md").read_text()
    assert found.recipe.augment.channel_order == "bgr"
    assert found.recipe.test.sampling == TimedClips(4, 8, 60, 5, "upstream-epic")


def test_a_head_that_was_never_trained_is_kept_if_asked_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, out = lmr_checkpoint(tmp_path / "x.pyth", LMR_CFG), tmp_path / "out"
    found = convert(path, out, settings=Settings(trained="both"))
    assert [head.name for head in found.recipe.model.heads] == ["verb", "noun"]
    assert found.facts()["never trained"].endswith("it is kept, as --set trained says")
    load_trained(out)
    assert "a head that was never trained: noun: its part" in caplog.text
    assert found.facts()["class counts"].startswith("verb: 1,375 clips of 5 classes, 3 to 900")


def test_verbs_may_be_those_that_were_never_trained(tmp_path: Path) -> None:
    cfg = LMR_CFG.replace("ALPHA: 1.0", "ALPHA: 0.0").replace("TASK: verb", "TASK: noun")
    cfg = cfg.replace("VERB_COUNTS: VERBS", "NOUN_COUNTS: [9, 8, 7, 6, 5, 4, 0]")
    path = lmr_checkpoint(tmp_path / "x.pyth", cfg, [9, 8, 7, 6, 5, 4, 0])
    found = convert(path, tmp_path / "out")
    assert found.recipe.model.heads == (Head("noun", 7),)
    assert found.facts()["never trained"].startswith("verb: ")
    assert load_trained(tmp_path / "out").class_counts["noun"].tolist() == [9, 8, 7, 6, 5, 4, 0]


@pytest.mark.parametrize("source", ["tensor", "cfg", "both"])
def test_training_clips_of_every_class_go_into_the_release(source: str, tmp_path: Path) -> None:
    cfg = LMR_CFG if source != "tensor" else LMR_CFG.replace(", TRAIN_VERB_COUNTS: VERBS", "")
    path = lmr_checkpoint(tmp_path / "x.pyth", cfg)
    if source == "cfg":
        content = torch.load(path)
        del content["model_state"]["class_counts"]
        torch.save(content, path)
    convert(path, tmp_path / "out")
    counts = load_trained(tmp_path / "out").class_counts
    assert counts["verb"].tolist() == COUNTS
    groups = TrainingCounts(counts).groups("verb")
    assert groups is not None
    assert (groups.head.tolist(), groups.few.tolist()) == ([0], [3, 4])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            [1, 400, 60, 12, 3],
            "class 0 of head 'verb' has 900 training clips .* and 1 by its tensor",
        ),
        ([900, 400, 60], "class_counts counts the clips of 3 classes, its head 'verb' has 5"),
        ([900, 400, 60, 12, -3], "class_counts holds -3, expected a number of clips"),
    ],
)
def test_counts_that_are_not_of_the_model_are_refused(
    counts: list[int], message: str, tmp_path: Path
) -> None:
    path = lmr_checkpoint(tmp_path / "x.pyth", LMR_CFG, counts)
    with pytest.raises(CheckpointError, match=rf"x\.pyth: .*{message}"):
        convert(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ("[[0], [1, 2], [3]]", "--groups release are those of its configuration"),
        ("{head: [0], tail: [1, 2], few: [3]}", "--groups release are those of its configuration"),
        ("[[0, 1], [2], [3, 4]]", "has groups of 2/1/2 classes, .* --groups release makes 1/2/1"),
    ],
)
def test_groups_of_the_configuration_are_compared_with_those_of_the_counts(
    splits: str, words: str, tmp_path: Path
) -> None:
    cfg = LMR_CFG.replace("LT_TASK: verb", f"LT_TASK: verb, VERB_DIST_SPLITS: {splits}")
    found = convert(lmr_checkpoint(tmp_path / "x.pyth", cfg), tmp_path / "out")
    assert re.search(words, found.facts()["class counts"])


def test_few_shot_classes_that_are_not_those_of_the_counts_are_said(tmp_path: Path) -> None:
    cfg = LMR_CFG.replace("TRAIN: {", "TRAIN: {RECONSTRUCT_FST_THRESHOLD: 100, ")
    found = convert(lmr_checkpoint(tmp_path / "x.pyth", cfg), tmp_path / "out")
    said = "fst_classes marks 2 classes as few-shot, 3 have at most 100 clips: the counts are"
    assert said in found.facts()["class counts"]
    assert "fst" not in motionformer_counts.in_words({"verb": np.array(COUNTS)}, {}, {"cfg": cfg})


def test_which_heads_were_trained_is_asked_where_no_configuration_says(tmp_path: Path) -> None:
    path = lmr_checkpoint(tmp_path / "x.pyth", "")
    settings = Settings(values="released", size=64, num_heads=4, stride=8)
    with pytest.raises(CheckpointError, match="learned verbs alone.*hint: say it: --set trained=v"):
        convert(path, tmp_path / "out", settings=settings)


def test_class_names_of_two_heads_are_numbers_and_one_list_is_refused(tmp_path: Path) -> None:
    path, labels = tmp_path / "x.pyth", tmp_path / "verbs.txt"
    torch.save({"model_state": under_their_names(EPIC, filled(EPIC).state_dict())}, path)
    labels.write_text("a\nb\nc\nd\ne\n")
    settings = Settings(values="released", size=64, num_heads=4, sampling="segments")
    with pytest.raises(CheckpointError, match="names 5 classes, the checkpoint has 5 and 7"):
        convert(path, tmp_path / "out", settings=settings, labels=labels)
    convert(path, tmp_path / "out", settings=settings)
    trained = load_trained(tmp_path / "out")
    assert {head: len(names) for head, names in trained.classes.items()} == {"verb": 5, "noun": 7}
    assert trained.recipe.test.sampling == RoundedSegments(4)


def test_what_tensors_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.pyth"
    torch.save({"model_state": under_their_names(EPIC, filled(EPIC).state_dict())}, path)
    asked = "values .* published.*stride .*spread over the video.*--set values=released .*stride=8"
    with pytest.raises(CheckpointError, match=asked):
        convert(path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="num_heads .*--set num_heads=12"):
        convert(path, tmp_path / "out", settings=SAID)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("k400_motionformer_336_16x8.pyth", Settings(size=336, stride=8, sampling="dense")),
        ("k400_joint_224_16x4.pyth", Settings(size=224, stride=4, sampling="dense")),
        ("ek_motionformer_224_16x4.pyth", Settings(size=224, stride=8, sampling="dense")),
        ("ssv2_motionformer_224_32x3.pyth", Settings(size=224, sampling="segments")),
    ],
)
def test_published_names_say_size_and_stride(name: str, settings: Settings) -> None:
    assert settings_in_name(name) == replace(settings, values="released")


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
