"""Features of a frozen encoder of Hugging Face transformers, where it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.data.manifest.read import read_manifest
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.errors import CheckpointError, RecipeError
from tests.tiny import write_set

SMALL = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
VIT = {**SMALL, "intermediate_size": 16, "image_size": 32}
PREDICTOR = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
VJEPA2 = {**SMALL, **PREDICTOR, "crop_size": 32, "frames_per_clip": 4}


def options(network: Path, manifest: Path, folder: Path) -> FeatureOptions:
    out = folder / "f.arrow"
    return FeatureOptions(source=f"hf:{network}", manifest=manifest, out=out, workers=0)


@pytest.mark.parametrize(
    ("name", "config", "frames"), [("ViTConfig", VIT, 8), ("VJEPA2Config", VJEPA2, 1)]
)
def test_a_file_holds_what_the_encoder_sees(
    tmp_path: Path, name: str, config: dict, frames: int
) -> None:
    transformers = pytest.importorskip("transformers", reason="an extra: marey[hf]")
    network = transformers.AutoModel.from_config(getattr(transformers, name)(**config)).eval()
    network.save_pretrained(tmp_path / "net")
    stated = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (tmp_path / "net/preprocessor_config.json").write_text(json.dumps(stated))
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    made = extract_features(options(tmp_path / "net", manifest, tmp_path))
    assert (made.num_clips, made.frames, made.dim) == (8, (frames, frames), 24)
    features = read_manifest(made.path).features
    assert features is not None
    assert features.about["model"] == "net"
    assert np.isfinite(features.read(0, np.array([0]))).all()
    assert not np.allclose(features.read(0, np.array([0])), features.read(7, np.array([0])))
    assert torch.is_tensor(next(network.parameters()))


def test_without_transformers_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "image_size": 32}))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RecipeError, match=r"needs transformers.*marey\[hf\]"):
        extract_features(options(tmp_path, tmp_path / "m.csv", tmp_path))


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json.*save_pretrained"):
        extract_features(options(tmp_path, tmp_path / "m.csv", tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"image_size": 224}))
    with pytest.raises(CheckpointError, match=r"its model_type is 'None', known here are"):
        extract_features(options(tmp_path, tmp_path / "m.csv", tmp_path))
