"""Whether the clips of a manifest are what a model takes: frames, or features of its width."""

from __future__ import annotations

from marey.data.manifest import Manifest
from marey.errors import ManifestError
from marey.models.video_model import ModelSpec


def check_clips(model: ModelSpec, manifest: Manifest) -> None:
    """ManifestError unless the clips of `manifest` are what `model` takes: frames or features."""
    features = manifest.features
    if features is None:
        if model.takes_features:
            raise ManifestError(
                f"{manifest.source} holds videos, the model takes features",
                "marey features makes a file of features; train on that",
            )
    elif not model.takes_features:
        raise ManifestError(
            f"{manifest.source} holds features, the model takes frames",
            "recipes that take features: features-linear, features-mlp, features-netvlad",
        )
    elif features.dim != model.encoder.in_channels:
        raise ManifestError(
            f"{manifest.source} has {features.dim} features a frame, the model takes "
            f"{model.encoder.in_channels}",
            f"model.encoder.dim={features.dim} for a new model; a trained one needs the features "
            "of the network it was trained on",
        )


def check_same_features(one: Manifest, other: Manifest) -> None:
    """ManifestError if two files of features say that they were made differently."""
    if one.features is None or other.features is None:
        return
    for key in ("model", "weights", "views", "per"):
        ours, theirs = one.features.about.get(key), other.features.about.get(key)
        if ours and theirs and ours != theirs:
            raise ManifestError(
                f"{one.source} and {other.source} hold features of another {key}: {ours}; {theirs}",
                "make both with one `marey features` command, or one file of both splits",
            )
