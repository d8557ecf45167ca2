"""VideoLT's aggregators of features, whose clips are vectors that another network gave.

fc1.*, project.*           NonlinearClassifier: one hidden layer a frame, logits averaged
vlad.*, hidden_fc.*        NetVLADModel: sums by cluster, one hidden layer; bn1 before, bn2 behind
pred_fc.*                  its classifier

Each class has a probability of its own (sigmoid). The files do not say which network gave the
features: ResNet-101, ResNet-50 and TSM's ResNet-50 all give 2048 a frame.
"""

from __future__ import annotations

from marey.convert.repository import Repository, Rules, Settings, Shapes, Told, by_rules
from marey.errors import CheckpointError
from marey.models.encoders.features import LateAverageSpec, NetVLADSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.recipe import DataSpec, Recipe, TestViews, Views
from marey.video.sampling.segments import EvenFrames

RULES: Rules = {
    "project|pred_fc": "heads.label",
    r"vlad\.gate_weight": "encoder.gate",
    r"vlad\.activation_fc": "encoder.assign",
    r"vlad\.bn1": "encoder.assign_norm",
    "hidden_fc": "encoder.hidden",
    "^bn1": "encoder.norm",
    "^bn2": "encoder.hidden_norm",
    "^fc1": "encoder.fc1",
}
TRAINED_ON, TESTED_ON = 60, 150
"""Frames of a video, as its options have them."""


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    return by_rules(name, RULES)


def recipe_of(spec: ModelSpec, name: str) -> Recipe:
    """60 frames at random in training, 150 spread over the video in test."""
    return Recipe(
        name=name,
        model=spec,
        data=DataSpec(workers=0),
        train=Views(EvenFrames(TRAINED_ON)),
        test=TestViews(EvenFrames(TESTED_ON)),
    )


def _recognises(shapes: Shapes) -> bool:
    return "vlad.gate_weight" in shapes or set(shapes) == {
        f"{layer}.{kind}" for layer in ("fc1", "project") for kind in ("weight", "bias")
    }


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:  # noqa: ARG001
    classifier = ours.get("heads.label.weight")
    if classifier is None:
        raise CheckpointError("it has no classifier, so nothing could be predicted with it")
    encoder = _encoder(ours)
    return ModelSpec(
        encoder,
        (),
        num_segments=TRAINED_ON,
        heads=(Head("label", classifier[0], several=True),),
        dropout=0.5 if isinstance(encoder, LateAverageSpec) else 0.0,
        head_std=None,
    )


def _encoder(ours: Shapes) -> LateAverageSpec | NetVLADSpec:
    if "encoder.gate" in ours:
        clusters, dim = ours["encoder.gate"]
        return NetVLADSpec(dim, clusters, ours["encoder.hidden.weight"][0])
    hidden, dim = ours["encoder.fc1.weight"]
    return LateAverageSpec(dim, None if hidden == dim else hidden)


def _assumed(spec: ModelSpec, settings: Settings, told: Told) -> tuple[str, ...]:  # noqa: ARG001
    return (
        f"its clips are {spec.encoder.in_channels} features a frame of the network it was trained "
        "on, which the file does not name: those of another load as well and answer badly",
        "each class has a probability of its own (sigmoid)",
    )


REPOSITORY = Repository(
    name="videolt",
    recognises=_recognises,
    rename=rename,
    spec=_spec,
    assumed=_assumed,
)
"""17Skye17/VideoLT: NonlinearClassifier and NetVLADModel."""
