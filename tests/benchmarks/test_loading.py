from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import loading
from benchmarks.budget import Budget
from benchmarks.made_up_videos import SSV2_LIKE, made_up
from benchmarks.reference import loading as published
from marey.data.manifest.read import read_manifest
from marey.data.packs.pack_clips import pack_clips
from marey.jobs.executors import HERE
from marey.video.augment import IMAGENET_MEAN, IMAGENET_STD
from marey.video.sampling.segments import Segments

SMALL = replace(SSV2_LIKE, width=64, height=48, frames=10)


def test_every_form_is_read_in_every_view_beside_the_published_loader(tmp_path: Path) -> None:
    videos, budget = made_up(SMALL, tmp_path / "v", 1), Budget.of(600)
    rows, left_out = loading.measure("small", videos, tmp_path, budget, rounds=1)
    assert not left_out
    forms = ("the videos", *loading.FORMS)
    compared = {
        f"{form}, {views}{bare}"
        for views in ("training", "testing")
        for form in forms
        for bare in ("", ", of the bare decoder")
        if not bare or form == "the videos"
    }
    assert {row.mode for row in rows} == compared
    assert all(row.ratio is not None and row.ratio > 0 for row in rows)


def test_the_published_loader_sees_what_ours_does(tmp_path: Path) -> None:
    videos = made_up(SMALL, tmp_path / "v", 1)
    pack_clips(videos, tmp_path / "loose", loading.FORMS["loose JPEG"], executor=HERE)
    loose = read_manifest(tmp_path / "loose" / "manifest.csv")
    theirs = published.testing_clip(Path(loose.path(0)), 10, Segments(8)).view(8, 3, 224, 224)
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    clips = loading.ClipDataset(loose, Segments(8), loading.CROPS["testing"])
    ours = clips[0, None].clip
    assert ours is not None
    difference = 255 * (theirs * std + mean) - ours[0].float()
    assert difference.abs().mean() < 2  # two resizers of 8 bits


def test_the_first_batch_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    rows = loading.first_batch_rows(tmp_path, 200)
    names = [row.mode.rpartition(" ")[2] for row in rows]
    assert names == ["InstanceBalanced", "ClassBalanced", "SquareRoot"]
    assert all(0 < float(row.more["open_cpu_seconds"]) < row.cpu_seconds for row in rows)


def test_a_worker_stays_as_it_is_over_many_clips(tmp_path: Path) -> None:
    row = loading.memory_row(tmp_path, 6000)
    assert float(row.more["growth_mb"]) < 16  # clips of 2 x 32 x 32 that stay would be 35 MB
