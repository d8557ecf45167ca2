"""Rows hold to what their sources say: optimiser, schedule, batch, start, sampling, test views.

Sources are the scripts, option lists, configuration files and READMEs of the published code. Each
value is theirs, not ours; where a row does otherwise on purpose its file says so (`deviations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch

from marey.engine.weights.imagenet import OFFICIAL, official_for
from marey.models.encoders.features import FeaturesSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.catalog import deviations, rows
from marey.recipes.describe import facts
from marey.recipes.optim import SGD, AdamW, Cosine, StepDecay
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe
from marey.video.crops import MultiScaleCrop

ROWS = {name: recipe for name, recipe in rows().items() if recipe.claim or name[:4] == "lmr-"}


@dataclass(frozen=True)
class Fact:
    """What `source` says of all rows whose name fits the pattern `rows`."""

    rows: str
    source: str
    values: Mapping[str, Any]


def of(rows: str, source: str, **values: Any) -> Fact:
    return Fact(rows, source, values)


def measured(recipe: Recipe) -> dict[str, Any]:
    """The values of a recipe by the words of `FACTS`."""
    first, last = recipe.stages[0], recipe.stages[-1]
    optim, sampling = first.optim, recipe.train.sampling
    crop = recipe.train.crop
    return {
        "lr": optim.lr,
        "wd": optim.weight_decay,
        "momentum": optim.momentum if isinstance(optim, SGD) else None,
        "nesterov": isinstance(optim, SGD) and optim.nesterov,
        "betas": optim.betas if isinstance(optim, AdamW) else None,
        "groups": optim.groups if isinstance(optim, SGD | AdamW) else "",
        "head_lr5": isinstance(optim, SGD | AdamW) and optim.head_lr5,
        "calibrator_lr": optim.calibrator_lr if isinstance(optim, SGD | AdamW) else 1,
        "epochs": recipe.epochs,
        "steps": first.schedule.milestones if isinstance(first.schedule, StepDecay) else "cosine",
        "per": first.schedule.per if isinstance(first.schedule, Cosine) else "",
        "warmup": first.warmup.epochs,
        "batch": recipe.lr_batch_size or recipe.batch_size,
        "dropout": recipe.model.dropout,
        "clip": recipe.clip_grad,
        "partial_bn": recipe.model.partial_bn,
        "head_std": recipe.model.head_std,
        "amp": recipe.amp,
        "flip": recipe.augment.flip,
        "mean": recipe.augment.mean[0],
        "order": recipe.augment.channel_order,
        "jitter": recipe.augment.brightness,
        "randaugment": recipe.augment.randaugment is not None,
        "mixup": recipe.augment.mixup,
        "crop": type(crop).__name__,
        "scales": crop.scales if isinstance(crop, MultiScaleCrop) else None,
        "size": crop.size,
        "train": type(sampling).__name__,
        "frames": recipe.model.frames,
        "span": getattr(sampling, "span", None),
        "stride": getattr(sampling, "stride", None),
        "fps": getattr(sampling, "fps", None),
        "test": protocol_of(recipe),
        "tested_on": recipe.test.sampling.frames,
        "average": recipe.test.average,
        "start": recipe.weights,
        "smoothing": getattr(first.objective, "label_smoothing", 0.0),
        "stages": len(recipe.stages),
        "last_lr": last.optim.lr,
        "last_smoothing": getattr(last.objective, "label_smoothing", 0.0),
        "seed": recipe.seed,
        "eval_every": recipe.eval_every,
    }


_TSN = {"momentum": 0.9, "nesterov": False, "clip": 20, "head_std": 0.001, "mean": 0.485}
_TSM = {**_TSN, "groups": "tsm", "head_lr5": True, "partial_bn": False, "dropout": 0.5}
_GC = {**_TSN, "groups": "tsm", "head_lr5": False, "calibrator_lr": 5, "dropout": 0.5}
_TDN = {**_TSN, "groups": "one", "calibrator_lr": 1, "partial_bn": False}
_IBM = {**_TSN, "clip": None, "groups": "one", "lr": 0.01, "wd": 5e-4, "dropout": 0.5}
_MF = {
    "betas": (0.9, 0.999),
    "wd": 0.05,
    "lr": 1e-4,
    "groups": "one",
    "clip": None,
    "warmup": 0,
    "dropout": 0.0,
    "smoothing": 0.2,
    "amp": True,
    "head_std": 0.02,
    "mean": 0.5,
    "average": "probs",
    "eval_every": 5,
}
_VIDEOLT = {
    "lr": 1e-4,
    "wd": 0.0,
    "betas": (0.9, 0.999),
    "epochs": 100,
    "batch": 128,
    "clip": 20,
    "seed": 2021,
    "dropout": 0.5,
    "train": "EvenFrames",
    "head_std": None,
    "test": "videolt-150",
    "tested_on": 150,
    "eval_every": 5,
}

FACTS = (
    # --- TSN and TSM: scripts/*.sh, opts.py, get_augmentation, README
    of("ts[nm]-r50-[81]*f-k400", "train_ts*_kinetics_rgb_*f.sh", lr=0.02, wd=1e-4, steps=(20, 40),
       epochs=50, batch=128, flip="plain", train="Segments", test="tsm-1x1", start="imagenet",
       **_TSM),
    of("tsm-*-k400-dense", "names of the files (e100)", lr=0.01, wd=1e-4, steps=(40, 80),
       epochs=100, batch=64, flip="plain", train="Dense", span=64, test="tsm-dense-10x3",
       start="imagenet", **_TSM),
    of("tsm-*-ssv?", "README, issues 21 and 51", lr=0.01, wd=1e-4, steps=(20, 40), epochs=50,
       batch=64, flip="none", train="Segments", test="tsm-2x3", start="imagenet", **_TSM),
    of("tsm-r50-8f-ucf101", "finetune_tsm_ucf101_rgb_8f.sh", lr=0.001, wd=5e-4, steps=(10, 20),
       epochs=25, batch=64, dropout=0.8, partial_bn=True, clip=20, start="from:tsm-r50-8f-k400",
       test="tsm-2x3"),
    of("tsm-r50-8f-hmdb51", "issue 91", lr=0.001, wd=5e-4, steps=(10, 20), epochs=25, batch=64,
       dropout=0.8, partial_bn=True, start="from:tsm-r50-8f-k400", test="tsm-2x3"),
    of("tsm-r50-8f-jester", "ops/models.py: no mirror images", flip="none", lr=0.01, wd=1e-4,
       steps=(20, 40), epochs=50, batch=64, start="imagenet", test="tsm-2x3"),
    of("ts[nm]-r50-8f-k400*", "get_augmentation", crop="MultiScaleCrop",
       scales=(1, 0.875, 0.75, 0.66)),
    of("tsn-r50-8f-k400*", "avg_segment5_e50, --test_segments=8", lr=0.02, wd=1e-4,
       steps=(20, 40), epochs=50, batch=128, train="Segments", frames=5, tested_on=8,
       start="imagenet", **_TSM),
    of("tsn-r50-8f-k400-10crop", "--test_crops=10", test="tsm-1x10"),
    of("tsn-r50-8f-k400-dense", "--dense_sample --test_crops=3", test="tsm-dense-10x3"),
    of("tsn-r50-3f-k400", "tsn_r50_1x1x3_100e_kinetics400_rgb.py", lr=0.01, wd=1e-4, momentum=0.9,
       nesterov=False, groups="one", head_lr5=False, steps=(40, 80), epochs=100, batch=256,
       clip=40, dropout=0.4, head_std=0.01, flip="plain", train="Segments", frames=3,
       tested_on=25, test="tsn-25x10", average="logits", crop="MultiScaleCrop",
       scales=(1, 0.875, 0.75, 0.66), start="imagenet"),
    of("tsm-r50-flow-8f-k400", "get_augmentation, new_length 5", scales=(1, 0.875, 0.75), mean=0.5,
       test="tsm-1x1", frames=8, lr=0.01, wd=1e-4, steps=(20, 40), epochs=50, batch=64,
       start="imagenet"),
    # --- Group Contextualization: train_*.sh, bash_test_*.sh
    of("gc-ts?-*", "train_tsn.sh, train_tsm.sh", lr=0.01, wd=1e-4, steps=(20, 40), epochs=50,
       batch=32, partial_bn=False, start="imagenet", **_GC),
    of("gc-gst-*", "train_gst.sh", lr=0.01, wd=1e-4, steps=(20, 40), epochs=50, batch=32,
       partial_bn=False, start="imagenet", **_GC),
    of("gc-tdn-*", "train_tdn.sh", lr=0.01, wd=5e-4, steps=(30, 45, 55), epochs=60, batch=64,
       dropout=0.5, start="imagenet", **_TDN),
    of("gc-*-ssv?", "GroupRandomHorizontalFlip_sth", flip="swap"),
    of("gc-ts?-*-ssv?", "bash_test_tsntsmgst_gc.sh: --twice_sample --full_res", test="gc-2x1"),
    of("gc-gst-*-ssv?", "bash_test_tsntsmgst_gc.sh: --twice_sample --full_res", test="gc-2x1"),
    of("gc-tdn-*-ssv?", "README: 224 x 224, TDN's test file", test="tdn-1x1"),
    of("gc-tdn-*-k400", "TDN's test file: three crops, --full_res", test="tdn-10x3"),
    of("gc-ts?-*-k400", "README: view 1, clip 10", test="gc-dense-10x1", train="Dense"),
    of("gc-*-3crop", "README: view 3, clip 10", test="tsm-dense-10x3", frames=16),
    of("gc-[gt]s?-*-diving48", "README: 16 * 1 * 1", test="gc-1x1", frames=16),
    of("gc-tdn-*-diving48", "README: 16 * 1 * 1", test="tdn-1x1", frames=80),
    of("gc-[gt]s?-*-egtea", "README: 8 * 1 * 1", test="gc-1x1", frames=8),
    of("gc-tdn-*-egtea", "README: 8 * 1 * 1", test="tdn-1x1", frames=40),
    of("ecal-*", "train.py of 16e71b3", lr=0.01, wd=1e-4, steps=(20, 40), epochs=50, dropout=0.5,
       batch=32, flip="swap", test="gc-2x1", calibrator_lr=2, head_lr5=False, start="imagenet"),
    # --- GST: opts.py
    of("gst-*", "opts.py of GST-video", lr=0.01, wd=3e-4, steps=(50, 60), epochs=70, batch=24,
       dropout=0.3, flip="swap", groups="tsm", head_lr5=False, test="tsm-1x1", start="imagenet",
       **_TSN),
    # --- TDN: README, issue 56
    of("tdn-*-ssv?", "README", lr=0.01, wd=5e-4, steps=(30, 45, 55), epochs=60, batch=64,
       dropout=0.5, flip="swap", test="tdn-1x1", start="imagenet", **_TDN),
    of("tdn-r101-*-ssv2-3crop", "README: 8x3x1, 16x3x1", lr=0.01, wd=5e-4, steps=(30, 45, 55),
       epochs=60, batch=64, test="tdn-1x3", start="imagenet", **_TDN),
    of("tdn-*-k400", "README", lr=0.02, wd=1e-4, steps=(50, 75, 90), epochs=100, batch=128,
       dropout=0.5, flip="plain", test="tdn-10x3", average="probs", start="imagenet", **_TDN),
    of("tdn-r50-16f-[uh]*", "issue 56", lr=0.002, wd=5e-4, steps=(10, 20), epochs=25, batch=128,
       dropout=0.8, start="from:tdn-r50-16f-k400", test="tdn-1x1"),
    # --- bLVNet-TAM: README, opts.py, train.py
    of("blvnet-*-ssv?", "opts.py, train.py", **{**_IBM, "nesterov": True, "batch": 64}),
    of("blvnet-*-f8x2-k400", "opts.py, train.py", **{**_IBM, "nesterov": True, "batch": 64}),
    of("blvnet-*-f8x2-*", "README", steps="cosine", per="epoch", epochs=50, start="imagenet"),
    of("blvnet-*-f??x2-ssv?", "a reader's notes", steps=(10, 20), epochs=25, lr=0.01),
    of("blvnet-*-f??x2-k400", "a reader's notes", epochs=25, steps=(10, 20), lr=0.005, wd=5e-4,
       batch=64),
    of("blvnet-*-ssv?", "README: --disable_scaleup", test="blvnet-1x1-upstream"),
    of("blvnet-*-k400", "cost of the claim", test="blvnet-dense-3x3"),
    # --- action-recognition-pytorch: benchmark_mini.md, README, train.py
    of("tam-r*-mini-*", "opts.py, train.py", head_std=None,
       **{k: v for k, v in _IBM.items() if k != "head_std"}),
    of("tsn-r50-*-mini-*", "opts.py, train.py", head_std=None,
       **{k: v for k, v in _IBM.items() if k != "head_std"}),
    of("i3d-r*", "opts.py, train.py", **_IBM),
    of("*-8f-mini-ssv2", "cosine-bs72-e75", steps="cosine", per="epoch", epochs=75, batch=72,
       start="imagenet"),
    of("*-8f-mini-mit", "cosine-e75", steps="cosine", epochs=75, start="imagenet"),
    of("*-8f-mini-k400", "cosine-e100", steps="cosine", epochs=100, start="imagenet"),
    of("*-[rv]?*-8f-mini-mit", "cosine-bs72-e75", batch=72),
    of("s3d-8f-mini-mit", "cosine-bs72-e75", batch=72),
    of("i3d-8f-mini-mit", "cosine-bs60-e75", batch=60),
    of("t*-8f-mini-k400", "cosine-bs72-e100", batch=72),
    of("i3d-*8f-mini-k400", "cosine-bs72-e100", batch=72),
    of("s3d-8f-mini-k400", "cosine-bs72-e100", batch=72),
    of("s3d-r50-8f-mini-k400", "cosine-bs60-e100", batch=60),
    of("tsn-r50-16f-mini-ssv2", "multisteps-bs60-e35", steps=(15, 30), epochs=35, batch=60,
       start="from:tsn-r50-8f-mini-ssv2"),
    of("tam-r50-16f-mini-ssv2", "multisteps-bs48-e35", steps=(15, 30), epochs=35, batch=48),
    of("i3d-r50-16f-mini-ssv2", "multisteps-bs60-e35", steps=(15, 30), epochs=35, batch=60),
    of("t??-r50-16f-mini-k400", "multisteps-bs48-e45", steps=(15, 30), epochs=45, batch=48),
    of("i3d-r50-16f-mini-k400", "multisteps-bs60-e45", steps=(15, 30), epochs=45, batch=60),
    of("[ti][s3]?-r50-16f-mini-mit", "multisteps-bs60-e35", steps=(15, 30), epochs=35, batch=60),
    of("tam-r50-16f-mini-mit", "multisteps-bs36-e35", steps=(15, 30), epochs=35, batch=36),
    of("*-r50-[36]?f-mini-ssv2", "multisteps-syncbn-bs36-e35", epochs=35, batch=36),
    of("*-r50-[36]?f-mini-k400", "multisteps-syncbn-bs36-e45", epochs=45, batch=36),
    of("*-r50-[36]?f-mini-mit", "multisteps-syncbn-bs36-e35", epochs=35, batch=36),
    of("s3d-r50-*", "opts.py, s3d_resnet.py", **_IBM),
    of("t??-inception-v1-*", "opts.py, inception_v1.py",
       **{**_IBM, "head_std": None, "mean": 0.5}),
    of("[is]3d-[!r]*-mini-*", "opts.py, i3d.py, s3d.py", **{**_IBM, "mean": 0.5}),
    of("*-[136]?f-mini-ssv2", "multisteps-e35", steps=(15, 30), epochs=35),
    of("*-[136]?f-mini-k400", "multisteps-e45", steps=(15, 30), epochs=45),
    of("*-[136]?f-mini-mit", "multisteps-e35", steps=(15, 30), epochs=35),
    of("s3d-r50-16f-mini-*", "multisteps-bs48", batch=48),
    of("t??-inception-v1-16f-mini-*", "multisteps-bs72", batch=72),
    of("s3d-16f-mini-*", "multisteps-bs72", batch=72),
    of("i3d-16f-mini-[sk]*", "multisteps-bs72", batch=72),
    of("i3d-16f-mini-mit", "multisteps-bs60-e35", batch=60),
    of("tsn-inception-v1-32f-mini-*", "multisteps-bs48", batch=48),
    of("i3d-32f-mini-ssv2", "multisteps-bs48-e35", batch=48),
    of("i3d-32f-mini-k400", "multisteps-syncbn-bs36-e45", batch=36),
    of("i3d-32f-mini-mit", "multisteps-bs48-e35", batch=48),
    of("tam-inception-v1-32f-mini-*", "multisteps-syncbn-bs36", batch=36),
    of("s3d-32f-mini-*", "multisteps-syncbn-bs36", batch=36),
    of("*-64f-mini-*", "multisteps-syncbn-bs36", batch=36),
    of("*-mini-*", "not published", test="arp-1x1-upstream"),
    of("tam-r*-32f-k400", "README: --dense_sampling, 3 crops, 10 clips", test="arp-dense-10x3",
       span=64, head_std=None, lr=0.01, wd=5e-4),
    of("i3d-r???*32f-k400", "README: --dense_sampling, 3 crops, 10 clips", test="arp-dense-10x3",
       span=64),
    of("[ti]*-r*-32f-ssv2", "README: 3 crops, 2 clips", test="arp-2x3-upstream", frames=32,
       lr=0.01, wd=5e-4),
    of("[ti]*-r*-32f-k400*", "not published: as longer clips", epochs=45, batch=36),
    of("[ti]*-r*-32f-ssv2", "not published: as longer clips", epochs=35, batch=36),
    of("i3d-r50*-k400-dense", "README of TSM: 32 * 10clips", test="tsm-dense-10x3", frames=32),
    # --- torchvision: references/video_classification, of whose epochs one is five here
    of("r2plus1d-*", "README: --lr 0.64 --batch-size 24, 64 GPUs", lr=0.64, batch=64 * 24,
       epochs=5 * 45, steps=(5 * 20, 5 * 30, 5 * 40), warmup=5 * 10, wd=1e-4, momentum=0.9,
       nesterov=False, groups="one", clip=None, flip="plain", mean=0.43216, crop="StretchedCrop",
       size=112, train="ResampledClips", frames=16, tested_on=16, test="torchvision-5x1",
       average="probs", dropout=0.0, head_std=0.01, start=""),
    of("s3d-64f-k400", "README: --batch-size=12 --lr 0.2 --clip-len 64; 128 --clips-per-video 1",
       lr=0.2, batch=64 * 12, epochs=5 * 45, steps=(5 * 20, 5 * 30, 5 * 40), warmup=5 * 10,
       wd=1e-4, momentum=0.9, nesterov=False, groups="one", clip=None, flip="plain", mean=0.43216,
       crop="StretchedCrop", size=224, train="ResampledClips", frames=64, tested_on=128,
       test="torchvision-1x1", average="probs", dropout=0.2, head_std=None, start=""),
    # --- Motionformer: configs/*.yaml
    of("motionformer*", "configs", batch=256, **_MF),
    of("vit-*", "configs", batch=256, **_MF),
    of("vit-*-16f-k400", "K400/{joint,divided}_224_16x4", steps=(20, 30), epochs=35, stride=4,
       jitter=0.4, test="motionformer-10x3", start="imagenet"),
    of("motionformer-16f-k?00", "K400, K600/motionformer_224_16x4", steps=(20, 30), epochs=35,
       stride=4, fps=30, jitter=0.4, flip="plain", crop="JitteredCrop", test="motionformer-10x3",
       start="imagenet", randaugment=False, size=224),
    of("motionformer-hr-16f-k400", "K400/motionformer_336_16x8", stride=8, size=336),
    of("motionformer-hr-16f-k600", "K600/motionformer_336_16x4", stride=4, size=336),
    of("motionformer-*-*f-k?00", "K400, K600/*.yaml", steps=(20, 30), epochs=35, jitter=0.4,
       test="motionformer-10x3", start="imagenet"),
    of("motionformer-l-32f-k400", "K400/motionformer_224_32x3", stride=3,
       crop="RandomResizedCrop", size=224),
    of("motionformer-l-32f-k600", "K600/motionformer_224_32x3", stride=3, crop="JitteredCrop"),
    of("motionformer*-ssv2", "SSV2/motionformer_*", steps=(20, 30), epochs=35, randaugment=True,
       flip="none", jitter=0, train="Segments", test="motionformer-1x3", order="rgb"),
    of("vit-joint-16f-ssv2", "SSV2/joint_224_16x4", randaugment=False, test="motionformer-1x3",
       start="from:vit-joint-16f-k400", steps=(20, 30), epochs=35),
    of("vit-divided-16f-ssv2", "SSV2/divided_224_16x4", randaugment=True, epochs=35,
       test="motionformer-1x3"),
    of("motionformer*-epic100", "EK/motionformer_*", steps=(30, 40), epochs=50, randaugment=True,
       flip="plain", fps=60, order="bgr", test="motionformer-epic-10x3"),
    of("motionformer-16f-epic100", "TARGET_FPS 30, of frames at 60", stride=8,
       start="from:motionformer-16f-k400"),
    of("motionformer-l-32f-epic100", "TARGET_FPS 30, of frames at 60", stride=6),
    # --- LMR: configs/{EK,SSV2LT}/{init,lmr}_224_16x4.yaml
    of("lmr-*", "configs", batch=56, start="imagenet", stages=2, last_lr=1e-5, last_smoothing=0,
       **_MF),
    of("lmr-*-verbs", "EK/*.yaml", steps=(30, 40), epochs=100, stride=8, fps=60, flip="plain",
       order="bgr", test="motionformer-epic-10x3", randaugment=True),
    of("lmr-*-ssv2-lt", "SSV2LT/*.yaml", steps=(20, 30), epochs=70, flip="none", order="rgb",
       test="motionformer-1x3", randaugment=True, train="Segments"),
    # --- VideoLT: scripts/*.sh
    of("videolt-*", "scripts", **_VIDEOLT),
    of("videolt-[bcefms]*", "--lr_steps 30 60", steps=(30, 60), stages=1),
    of("videolt-ldam-drw-*", "re-weighted from epoch 50", steps=(30,), stages=2, last_lr=1e-5),
    of("videolt-mixup-*", "--augment mixup", mixup=1.0),
)  # fmt: skip


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.rows}: {fact.source}")
def test_rows_are_what_their_source_says(fact: Fact) -> None:
    fitting = [recipe for name, recipe in ROWS.items() if fnmatchcase(name, fact.rows)]
    assert fitting
    for recipe in fitting:
        found = measured(recipe)
        wrong = {key: found[key] for key, value in fact.values.items() if found[key] != value}
        assert not wrong, f"{recipe.name}: {wrong}, {fact.source} says {dict(fact.values)}"


def test_every_published_row_is_held_to_a_rate_a_schedule_a_batch_and_test_views() -> None:
    for name in ROWS:
        said = {key for fact in FACTS if fnmatchcase(name, fact.rows) for key in fact.values}
        assert {"lr", "wd", "epochs", "batch", "test"} <= said, (name, sorted(said))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("tsm-r50-8f-ssv1", "end in e45"),
        ("tsm-r50-8f-ssv1", "the table of Something-Something speaks of"),
        ("gc-tsn-r50-8f-ssv1", "320 x 240"),
        ("tdn-r50-16f-ssv1", "tdn-1x1-upstream"),
        ("blvnet-tam-50-a2-b4-f8x2-k400", "10 clips x 10 crops"),
        ("tam-r50-32f-mini-ssv2", "sync-BN"),
        ("i3d-r50-32f-k400-dense", "here it is not followed"),
        ("s3d-64f-k400", "torchvision-1x1-upstream"),
        ("motionformer-hr-16f-k600", "every eighth"),
        ("motionformer-16f-epic100", "AdamW steps alike"),
        ("lmr-motionformer-ssv2-lt", "ten clips, which its sampler makes all the same"),
        ("videolt-framestack-r50", "best of its epochs on the test list"),
    ],
)
def test_where_sources_part_or_are_not_followed_the_file_says_so(row: str, words: str) -> None:
    assert words in deviations(row)


def test_both_sizes_of_group_contextualization_are_named_in_its_rows() -> None:
    assert "--full_res" in facts(ROWS["gc-tsm-r50-8f-ssv2"])["note"]
    assert "224 x 224" in facts(ROWS["gc-tsm-r50-8f-ssv2"])["note"]
    assert "224 pixels" in facts(ROWS["gc-tdn-r50-16f-ssv1"])["note"]
    assert "--full_res" in facts(ROWS["gc-tdn-r50-16f-ssv1"])["note"]


def test_the_quoted_rows_of_i3d_do_not_say_that_their_schedule_is_the_papers() -> None:
    for name in ("i3d-r50-32f-k400-dense", "i3d-r50-nl-32f-k400-dense"):
        said = facts(ROWS[name])
        assert said["source"].startswith("arXiv 1711.07971")
        assert said["note"].endswith("not that paper's")
        assert "45 epochs" in said["stage 0"]


@pytest.mark.parametrize(
    "recipe", [r for r in ROWS.values() if r.weights == "imagenet"], ids=lambda r: r.name
)
def test_the_weights_a_row_starts_from_are_among_those_that_are_listed(recipe: Recipe) -> None:
    official = official_for(recipe.model.encoder)
    assert OFFICIAL[official.name] == official


def test_heads_begin_as_the_source_draws_them() -> None:
    torch.manual_seed(0)
    for std in (0.001, 0.02):
        model = ModelSpec(FeaturesSpec(512), heads=(Head(num_classes=400),), head_std=std).build()
        assert model.heads["label"].weight.std().item() == pytest.approx(std, rel=0.02)
        assert not model.heads["label"].bias.any()
    model = ModelSpec(FeaturesSpec(512), heads=(Head(num_classes=400),), head_std=None).build()
    bound = 512**-0.5
    assert model.heads["label"].weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert 0 < model.heads["label"].bias.abs().max().item() <= bound
    with pytest.raises(ValueError, match="head_std is -1, expected at least 0"):
        ModelSpec(head_std=-1)


def test_heads_that_do_not_begin_as_tsns_say_so() -> None:
    assert facts(ROWS["motionformer-16f-k400"])["heads"] == "label (400), drawn with deviation 0.02"
    assert (
        facts(ROWS["videolt-bce-r50"])["heads"]
        == "label (1004, several a clip), drawn as torch does"
    )
    assert facts(ROWS["tsm-r50-8f-k400"])["heads"] == "label (400)"
