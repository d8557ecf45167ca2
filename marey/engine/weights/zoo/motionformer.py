"""Checkpoints of Motionformer, as the README of facebookresearch/Motionformer links them.

Read at its commit bf43d50. Each has the configuration that it was trained with inside.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile

_SERVER = "https://dl.fbaipublicfiles.com/motionformer/"
_NAMES = {
    "vit-joint-16f-k400": "k400_joint_224_16x4",
    "vit-divided-16f-k400": "k400_divided_224_16x4",
    "motionformer-16f-k400": "k400_motionformer_224_16x4",
    "motionformer-hr-16f-k400": "k400_motionformer_336_16x8",
    "motionformer-l-32f-k400": "k400_motionformer_224_32x3",
    "motionformer-16f-k600": "k600_motionformer_224_16x4",
    "motionformer-hr-16f-k600": "k600_motionformer_336_16x8",
    "motionformer-l-32f-k600": "k600_motionformer_224_32x3",
    "vit-joint-16f-ssv2": "ssv2_joint_224_16x4",
    "vit-divided-16f-ssv2": "ssv2_divided_224_16x4",
    "motionformer-16f-ssv2": "ssv2_motionformer_224_16x4",
    "motionformer-hr-16f-ssv2": "ssv2_motionformer_336_16x4",
    "motionformer-l-32f-ssv2": "ssv2_motionformer_224_32x3",
    "motionformer-16f-epic100": "ek_motionformer_224_16x4",
    "motionformer-hr-16f-epic100": "ek_motionformer_336_16x4",
    "motionformer-l-32f-epic100": "ek_motionformer_224_32x3",
}
"""Recipe -> the file's name."""

FILES = tuple(
    PublishedFile(
        name=name,
        file=f"{file}.pyth",
        url=f"{_SERVER}{file}.pyth",
        licence="CC-BY-NC-4.0",
        source="README of facebookresearch/Motionformer, commit bf43d50",
    )
    for name, file in _NAMES.items()
)
