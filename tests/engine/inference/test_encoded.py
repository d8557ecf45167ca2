"""What a frozen encoder gave of clips, made by several processes and found again."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch

from marey.data.manifest.read import read_manifest
from marey.engine.inference.encoded import KeptFeatures
from marey.engine.inference.scoring import model_inputs, view_batches
from marey.errors import RunError
from marey.jobs.shards import Shard
from marey.models import Head
from marey.video.crops import ThreeCrop
from tests.tiny import tiny_recipe, write_set


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptFeatures:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    recipe = tiny_recipe(write_set(tmp_path, per_class=1, val_per_class=0), batch_size=1)
    recipe = replace(recipe, model=replace(recipe.model, heads=(Head("label", 4),)))
    torch.manual_seed(0)
    return KeptFeatures(model=recipe.model.build().eval(), recipe=recipe)


def test_two_shares_make_what_the_encoder_gives(kept: KeptFeatures, tmp_path: Path) -> None:
    clips = read_manifest(tmp_path / "manifest.csv")
    assert kept.missing(clips).tolist() == [0, 1, 2, 3]
    for share in (Shard(0, 2), Shard(1, 2)):
        kept.make(clips, shard=share)
    assert not len(kept.missing(clips))
    (batch,) = view_batches(clips, kept.recipe, workers=0, batch_size=4)
    (views,) = model_inputs(kept.model, batch.clip, kept.recipe.augment, "cpu")
    with torch.no_grad():
        wanted = kept.model.encode(views)
    turned = kept.of(clips.take(np.array([3, 0])))
    assert turned.features is not None
    found = turned.features.read(0, np.arange(2))
    torch.testing.assert_close(torch.from_numpy(found), wanted[3], rtol=1e-5, atol=1e-6)


def test_other_weights_views_or_pixels_are_kept_apart(kept: KeptFeatures) -> None:
    recipe = kept.recipe
    others = [
        replace(kept, recipe=replace(recipe, test=replace(recipe.test, crop=ThreeCrop(32, 36)))),
        replace(kept, recipe=replace(recipe, amp=True)),
        replace(kept, recipe=replace(recipe, augment=replace(recipe.augment, mean=(0.5,) * 3))),
        replace(kept, model=recipe.model.build()),
    ]
    folders = [kept.folder, *(other.folder for other in others)]
    assert len(set(folders)) == len(folders)
    same = replace(recipe, name="other", test=replace(recipe.test, average="probs"))
    assert replace(kept, recipe=same).folder == kept.folder


def test_the_folder_says_what_is_in_it(kept: KeptFeatures, tmp_path: Path) -> None:
    kept.make(read_manifest(tmp_path / "manifest.csv"))
    about = json.loads((kept.folder / "about.json").read_text())
    assert (about["model"], about["per"]) == ("tiny", "frame")
    assert about["weights"] == kept.about["weights"]


def test_what_is_damaged_is_made_again(kept: KeptFeatures, tmp_path: Path) -> None:
    clips = read_manifest(tmp_path / "manifest.csv")
    kept.make(clips)
    (file,) = kept.folder.glob("*.arrow")
    written = file.read_bytes()
    features = kept.of(clips).features
    assert features is not None
    vector = features.read(2, np.arange(2)).astype("<f4").tobytes()
    wrong = bytes([255 - vector[0]]) + vector[1:]
    file.write_bytes(written.replace(vector, wrong))
    assert kept.missing(clips).tolist() == [2]
    kept.make(clips.take(np.array([2])))
    assert not len(kept.missing(clips))
    again = kept.of(clips).features
    assert again is not None
    assert again.read(2, np.arange(2)).astype("<f4").tobytes() == vector
    for cut in (b"", written[:-100]):
        file.write_bytes(cut)
        assert kept.missing(clips).tolist() == [0, 1, 3]


def write_frames(folder: Path, grey: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("img_00001.jpg", "img_00002.jpg"):
        pixels = np.full((40, 48, 3), grey, np.uint8)
        (folder / name).write_bytes(simplejpeg.encode_jpeg(pixels))


def test_a_clip_that_was_written_over_is_another_one(kept: KeptFeatures, tmp_path: Path) -> None:
    write_frames(folder := tmp_path / "frames" / "one", 0)
    (tmp_path / "more.csv").write_text("path,label\nred_0.mp4,0\nframes/one,0\n")
    clips = read_manifest(tmp_path / "more.csv")
    kept.make(clips)
    assert not len(kept.missing(clips))
    write_frames(folder, 255)
    assert kept.missing(clips).tolist() == [1]
    facts = (clip := tmp_path / "red_0.mp4").stat()
    clip.write_bytes(bytes(facts.st_size))
    os.utime(clip, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as `cp -p` of one as large would
    assert kept.missing(clips).tolist() == [0, 1]


def test_a_folder_that_cannot_be_written_names_the_way_to_another(
    kept: KeptFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "manifest.csv"))
    with pytest.raises(RunError, match=r"could not be written.*MAREY_CACHE"):
        replace(kept).make(read_manifest(tmp_path / "manifest.csv"))
