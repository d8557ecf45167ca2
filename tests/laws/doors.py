"""Every way to a trained model's scores of a clip, and every kind of model that has some.

A new kind of model is a line of `MODELS`, a new way a line of `DOORS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from starlette.testclient import TestClient
from torch import Tensor, nn
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.read import read_manifest
from marey.engine.export.export import WantedFile, export_file, export_weights
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.engine.inference.predict import Predictor, load
from marey.engine.inference.predict_many import PredictOptions, predict_clips
from marey.engine.live.recogniser import live_recogniser, usual_decision
from marey.engine.optimize.clips import WantedClips
from marey.engine.runtimes.graph_files import Runtime
from marey.engine.train.loop import train
from marey.engine.weights.calibration import Calibration, plain_views, write_calibration
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.clip_facts import clip_facts
from marey.engine.weights.hub_card import Said as SaidOfIt
from marey.engine.weights.joined import join_release, of_videos
from marey.engine.weights.share import write_shared
from marey.engine.weights.trained import load_trained, write_release
from marey.longtail.sigmoid import BinaryCrossEntropy
from marey.models import (
    TSM,
    AttentivePoolSpec,
    LateAverageSpec,
    ResNetSpec,
)
from marey.models.lora import LoRA
from marey.models.video_model import Head, ModelSpec
from marey.recipes import catalog
from marey.recipes.recipe import DataSpec, Recipe, Stage, TestViews
from marey.recipes.resolve import resolve
from marey.recipes.schema import to_yaml
from marey.serve import decoding
from marey.serve.app import make_app
from marey.serve.decoders import Decoders
from marey.serve.refusals import Refused
from marey.timelines.decisions import MeanOfLast
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, TenCrop, ThreeCrop
from marey.video.reading.reader import open_video
from marey.video.sampling.segments import Clips, Segments, at_rate
from tests.tiny import CLASSES, TinySpec, tiny_recipe, write_clip

Said: TypeAlias = dict[str, dict[str, float]]
"""Clip -> "HEAD/LABEL" -> score."""
NUM_FRAMES = 6
NOUNS = ("cup", "book", "door")
ENCODER = TinySpec(6)
TEN_CLIPS = TestViews(Clips(2, clips=10), CenterCrop(32, 36))
TWO_CLIPS = TestViews(Clips(2, clips=2), ThreeCrop(32, 36))
PROBABILITIES = TestViews(Segments(2), ThreeCrop(32, 36), "probs")


@dataclass(frozen=True, eq=False)
class Place:
    """Where clips and models of all tests lie."""

    folder: Path

    @cached_property
    def manifest(self) -> Path:
        """Clips of one `label`, one `noun` and several `sounds` each."""
        folder = self.folder / "clips"
        folder.mkdir()
        lines = ["path,label,noun,sounds,split,num_frames"]
        for i in range(4):
            write_clip(folder / f"{i}.mp4", i, num_frames=NUM_FRAMES, seed=i)
            split = "val" if i < 2 else "train"
            lines.append(f"{i}.mp4,{i},{i % 3},{i}|{(i + 1) % 4},{split},{NUM_FRAMES}")
        for name, classes in (("", CLASSES), (".noun", NOUNS), (".sounds", CLASSES)):
            (folder / f"labels{name}.txt").write_text("\n".join(classes) + "\n")
        (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
        return folder / "manifest.csv"

    @property
    def clips(self) -> list[Path]:
        """Those of the split val."""
        return [self.manifest.parent / f"{i}.mp4" for i in range(2)]


# --- models ---------------------------------------------------------------------------------------


def recipe_of(place: Place, *heads: str, **changes: Any) -> Recipe:
    """A recipe of these heads, `label` alone by default."""
    names = heads or ("label",)
    known = {"label": Head("label", 4), "noun": Head("noun", 3), "sounds": Head("sounds", 4, True)}
    recipe = tiny_recipe(place.manifest, epochs=1)
    recipe = replace(recipe, model=replace(recipe.model, heads=tuple(map(known.get, names))))  # type: ignore[arg-type]
    if "sounds" in names:
        recipe = replace(recipe, stages=(Stage(objective=BinaryCrossEntropy()),))
    return replace(recipe, **changes)


def on(recipe: Recipe, **changes: Any) -> ModelSpec:
    return replace(recipe.model, **changes)


def lively(model: nn.Module, head_std: float = 2.0) -> dict[str, Tensor]:
    """Weights by which clips, views and the order of colours differ by far more than 1e-4."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith("heads.") and value.ndim == 2:
                value.normal_(std=head_std)
    return model.state_dict()


def released(recipe: Recipe, out: Path, head_std: float = 2.0) -> Path:
    """A release of weights that never learned."""
    torch.manual_seed(0)
    classes = {"label": CLASSES, "noun": NOUNS, "sounds": CLASSES}
    heads = {head.name: classes[head.name] for head in recipe.model.heads}
    weights = lively(recipe.model.build(), head_std)
    return write_release(out, recipe, weights, heads, "")


def calibrated(folder: Path) -> Path:
    """The folder, with temperatures."""
    trained = load_trained(folder)
    heads = {head: 1.5 + i for i, head in enumerate(trained.classes)}
    views, weights = plain_views(trained.recipe.test), weights_digest(trained.model)
    write_calibration(Calibration(temperatures=heads, weights=weights, views=views), folder)
    return folder


def run_of(recipe: Recipe, out: Path) -> Path:
    return train(recipe, out, device="cpu", quiet=True)


def head_on_features(place: Place, out: Path, views: TestViews | None = None) -> Path:
    """A release of a model of features, whose encoder is at hand."""
    out.mkdir()
    recipe = recipe_of(place)
    torch.manual_seed(0)
    torch.save(ENCODER.build((), 1).state_dict(), out / "encoder.pth")
    recipe = replace(
        recipe,
        model=on(recipe, encoder=ENCODER),
        weights=str(out / "encoder.pth"),
        augment=Augment(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), channel_order="bgr"),
        test=views or recipe.test,
    )
    (out / "encoder.yaml").write_text(to_yaml(recipe))
    file = out / "features.arrow"
    asked = FeatureOptions(source=str(out / "encoder.yaml"), manifest=place.manifest, out=file)
    extract_features(replace(asked, dtype="float32", workers=0))
    clips = read_manifest(file)
    head = catalog.find("features-linear")
    network = LateAverageSpec(hidden=5)
    heads = (Head("label", 4), Head("noun", 3))
    head = replace(
        head,
        model=replace(head.model, encoder=network, heads=heads),
        data=DataSpec(train=str(place.manifest), workers=0),
    )
    head = resolve(head, clips)
    torch.manual_seed(0)
    made_by = clip_facts(clips).features
    classes = {"label": CLASSES, "noun": NOUNS}
    weights = lively(head.model.build())
    return write_release(out / "head", head, weights, classes, "", features=made_by)


def joined_of(head: Path, out: Path) -> Path:
    join_release(head, out)
    return out


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a model is made, and how it is asked."""

    make: Callable[[Place, Path], Path]
    """Gives its folder; the path is of a new one."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `marey.load`, and of the commands under the same names."""
    in_hub: bool = True
    """Whether the hub has all of it: where the encoder of features lies is its owner's to know."""
    in_graphs: bool = False
    """Whether it is traced, which takes a second, wherever tests are run."""


def _released(*heads: str, **changes: Any) -> Callable[[Place, Path], Path]:
    return lambda place, out: released(recipe_of(place, *heads, **changes), out)


def _model(*heads: str, **changes: Any) -> Callable[[Place, Path], Path]:
    """A release of another network."""

    def make(place: Place, out: Path) -> Path:
        recipe = recipe_of(place, *heads)
        return released(replace(recipe, model=on(recipe, **changes)), out)

    return make


def _caffe(place: Place, out: Path) -> Path:
    pixels = Augment(
        mean=(104 / 255, 117 / 255, 123 / 255), std=(1 / 255,) * 3, channel_order="bgr"
    )
    return released(recipe_of(place, augment=pixels), out, head_std=0.02)  # of numbers to 255


def _ema(place: Place, out: Path) -> Path:
    return run_of(recipe_of(place, ema=0.5), out)


def _lora(place: Place, out: Path) -> Path:
    recipe = recipe_of(place)
    model = on(recipe, encoder=ResNetSpec(26, channels=4), lora=LoRA(rank=1))
    return run_of(replace(recipe, model=model), out)


MODELS: dict[str, Kind] = {
    "one head": Kind(make=_released()),
    "two heads": Kind(make=_released("label", "noun")),
    "several labels": Kind(make=_released("sounds", "noun")),
    "one of several labels": Kind(make=_model(heads=(Head("sounds", 4),))),
    "probabilities": Kind(make=_released(test=replace(TWO_CLIPS, average="probs"))),
    "probabilities of several labels": Kind(
        make=_released("sounds", "noun", test=PROBABILITIES), in_graphs=True
    ),
    "ten clips": Kind(make=_released(test=TEN_CLIPS)),
    "ten crops of two clips": Kind(make=_released(test=replace(TWO_CLIPS, crop=TenCrop(32, 36)))),
    "Caffe": Kind(make=_caffe),
    "highest frames": Kind(make=_model("label", "sounds", consensus="max")),
    "other segments": Kind(make=_released(), options={"segments": 5}),
    "looks back": Kind(
        make=_model(
            "label", "noun", encoder=ResNetSpec(18, channels=4), temporal=(TSM(direction="past"),)
        ),
    ),
    "highest of the last frames": Kind(
        make=_model(
            encoder=ResNetSpec(18, channels=4), temporal=(TSM(direction="past"),), consensus="max"
        ),
    ),
    "attentive neck": Kind(
        make=_model(neck=AttentivePoolSpec(num_heads=2, width=4, over="frames"))
    ),
    "head on features": Kind(
        make=lambda place, out: head_on_features(place, out, TWO_CLIPS), in_hub=False
    ),
    "calibrated head on features": Kind(
        make=lambda place, out: calibrated(head_on_features(place, out)),
        options={"calibrated": True},
        in_hub=False,
        in_graphs=True,
    ),
    "joined": Kind(
        make=lambda place, out: joined_of(calibrated(head_on_features(place, out)), out / "joined"),
        options={"calibrated": True},
    ),
    "calibrated": Kind(
        make=lambda place, out: calibrated(_released("label", "noun")(place, out)),
        options={"calibrated": True},
        in_graphs=True,
    ),
    "calibrated probabilities": Kind(
        make=lambda place, out: calibrated(_released(test=PROBABILITIES)(place, out)),
        options={"calibrated": True},
    ),
    "averaged weights": Kind(make=_ema),
    "LoRA": Kind(make=_lora),
}


# --- what they say --------------------------------------------------------------------------------


@torch.no_grad()
def plainly(folder: Path, kind: Kind, clip: Path) -> dict[str, float]:
    """The scores of a clip, computed without any of what the doors share."""
    trained = load_trained(folder)
    temperatures = {}
    if kind.options.get("calibrated"):
        temperatures = json.loads((folder / "calibration.json").read_text())["temperatures"]
    trained = of_videos(trained)
    test, pixels = trained.recipe.test, trained.recipe.augment
    sampling = test.sampling
    if "segments" in kind.options:
        sampling = replace(sampling, num_segments=kind.options["segments"])  # type: ignore[type-var]
    model = trained.model.with_frames(sampling.frames)
    views = []
    with open_video(clip) as reader:
        for indices in at_rate(sampling, reader.fps).indices(len(reader)):
            frames = reader.read(indices)
            views += list(test.crop(frames))
    x = torch.stack(views).float() / 255
    x = x.flip(2) if pixels.channel_order == "bgr" else x
    mean, std = (torch.tensor(of).expand(3)[:, None, None] for of in (pixels.mean, pixels.std))
    said = {}
    for head, logits in model((x - mean) / std).items():
        [several] = [each.several for each in trained.recipe.model.heads if each.name == head]
        as_shares = torch.sigmoid if several else lambda of: of.softmax(dim=-1)
        by = temperatures.get(head, 1.0)
        if test.average == "probs":
            mean_share = as_shares(logits).mean(dim=0)
            scores = mean_share if by == 1 else (mean_share.log() / by).softmax(dim=-1)
        else:
            scores = as_shares(logits.mean(dim=0) / by)
        names = trained.classes[head]
        said |= {f"{head}/{name}": float(s) for name, s in zip(names, scores, strict=True)}
    return said


# --- doors ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A model by its folder, or by the file of an export, and which clips it is to score."""

    folder: Path
    kind: Kind
    place: Place
    out: Path
    """A folder for what is written."""

    @property
    def heads(self) -> list[str]:
        return list(self.predictor.trained.classes)

    @cached_property
    def predictor(self) -> Predictor:
        return load(self.folder, trusted=True, **self.kind.options)

    @property
    def words(self) -> list[str]:
        """The options of a command."""
        options = {"segments": "--segments=", "calibrated": "--calibrated"}
        return [
            "--trusted",
            *(
                f"{options[name]}{value if value is not True else ''}"
                for name, value in self.kind.options.items()
            ),
        ]


def _named(answers: Any, heads: list[str]) -> dict[str, float]:
    return {f"{each.get('head', heads[0])}/{each['label']}": each["score"] for each in answers}


def by_load(asked: Asked) -> Said:
    found = asked.predictor.predict(asked.place.clips, top=9)
    assert isinstance(found, dict)
    return {Path(clip).name: _named(of, asked.heads) for clip, of in found.items()}


def by_frames(asked: Asked) -> Said:
    """An array has no rate."""
    said = {}
    for clip in asked.place.clips:
        with open_video(clip) as reader:
            frames = reader.read(np.arange(len(reader)))
        said[clip.name] = _named(asked.predictor.predict(frames, top=9), asked.heads)
    return said


def by_command(asked: Asked) -> Said:
    words = ["predict", str(asked.folder), *map(str, asked.place.clips), *asked.words]
    done = CliRunner().invoke(app, [*words, "--json", "--top", "9"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    return {Path(clip).name: _named(of, asked.heads) for clip, of in found.items()}


def by_table(asked: Asked) -> Said:
    out = asked.out / "many.parquet"
    clips = tuple(map(str, asked.place.clips))
    options = PredictOptions(
        model=asked.folder, source=clips, top=9, workers=0, trusted=True, **asked.kind.options
    )
    predict_clips(options, out)
    said: Said = {}
    for row in pq.read_table(out).to_pylist():
        said[Path(row["path"]).name] = {
            f"{head}/{name}": score
            for head in asked.heads
            for name, score in zip(
                row[f"names{_end(row, head)}"], row[f"probabilities{_end(row, head)}"], strict=True
            )
        }
    return said


def _end(row: Mapping[str, object], head: str) -> str:
    return f".{head}" if f"names.{head}" in row else ""


def by_eval(asked: Asked) -> Said:
    options = EvalOptions(
        folder=asked.folder,
        manifest=str(asked.place.manifest),
        workers=0,
        trusted=True,
        **asked.kind.options,
    )
    found, _ = evaluate_folder(options, asked.out / "eval")
    assert found is not None
    return {
        Path(str(found.manifest.path(row))).name: {
            f"{head}/{name}": float(score)
            for head, of in found.probabilities.items()
            for name, score in zip(asked.predictor.trained.classes[head], of[row], strict=True)
        }
        for row in range(len(found.manifest))
    }


def by_post(asked: Asked) -> Said:
    said = {}
    with _decoding_here(), TestClient(make_app(asked.predictor, temporary=asked.out)) as client:
        client.base_url = "http://localhost"  # type: ignore[assignment]
        for clip in asked.place.clips:
            found = client.post(
                "/v1/predict", params={"top": 9}, files={"file": ("a.mp4", clip.read_bytes())}
            )
            said[clip.name] = _named(found.json()["answers"], asked.heads)
    return said


@contextmanager
def _decoding_here() -> Iterator[None]:
    """A server decodes in this process, which is not confined: others take seconds to start."""

    async def do(decoders: Decoders, job: decoding.Job) -> decoding.Decoded:
        answer = decoders._all[0]._decoder(job)
        assert not isinstance(answer, Refused), answer.message
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "confine", lambda _: None)
        patch.setattr(Decoders, "start", lambda _: None)
        patch.setattr(Decoders, "do", do)
        yield


def by_stream(asked: Asked) -> Said:
    """The window of a whole clip; of what only looks back, the mean over the frames of a clip."""
    said: Said = {clip.name: {} for clip in asked.place.clips}
    sampling = asked.predictor.of_videos.trained.recipe.test.sampling
    for head in asked.heads:
        rule = MeanOfLast(1)
        seen = live_recogniser(asked.predictor, rule, head=head)
        if seen.by == "window":
            seconds = (NUM_FRAMES - 1) / 10
            seen = live_recogniser(
                asked.predictor, rule, head=head, window_seconds=seconds, stride_seconds=seconds
            )
        else:
            usual = usual_decision(asked.predictor)
            assert isinstance(usual, MeanOfLast)
            own = replace(usual, answers=sampling.frames)
            seen = live_recogniser(asked.predictor, own, head=head)
        for clip in asked.place.clips:
            with open_video(clip) as reader:
                rows = np.arange(len(reader))
                if seen.by == "frame":
                    [rows] = at_rate(sampling, reader.fps).indices(len(reader))
                pictures = reader.read(rows).permute(0, 2, 3, 1).numpy()
            stream = seen.begin()
            for row, picture in zip(rows, pictures, strict=True):
                [answer] = seen.step([(stream, picture, row / 10)])
            assert answer is not None
            said[clip.name] |= {
                f"{head}/{name}": float(s)
                for name, s in zip(answer.labels, answer.scores, strict=True)
            }
    return said


def by_runtime(runtime: Runtime) -> Callable[[Asked], Said]:
    def door(asked: Asked) -> Said:
        options = {**asked.kind.options, "runtime": runtime}
        return by_load(replace(asked, kind=replace(asked.kind, options=options)))

    return door


def by_export(runtime: Runtime, *doors: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
    def door(asked: Asked) -> Said:
        if runtime == "openvino":
            pytest.importorskip("openvino", reason="in marey[deploy]")
        out = asked.out / runtime
        wanted = WantedFile(
            to=runtime, segments=asked.kind.options.get("segments"), clips=WantedClips(workers=0)
        )
        export_file(asked.folder, out, wanted)
        said = [of(replace(asked, folder=out)) for of in doors]
        for other in said[1:]:
            assert_same(other, said[0])
        return said[0]

    return door


def by_hub(asked: Asked) -> Said:
    """What is shared, as the hub's cache has it, named by its name."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="in marey[deploy]")
    cache, commit = asked.out / "hub" / "models--lab--falls", "0" * 40
    trained = load_trained(asked.folder)
    write_shared(trained, cache / "snapshots" / commit, SaidOfIt(name="lab/falls"))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(cache.parent))
        patch.setenv("MAREY_WEIGHTS", str(asked.out / "weights"))
        return by_load(replace(asked, folder=Path("hub:lab/falls")))


def by_release(asked: Asked) -> Said:
    return by_load(replace(asked, folder=export_weights(asked.folder, asked.out / "release")))


def assert_same(ours: Said, theirs: Said) -> None:
    """The law: the same scores to 1e-4 (float32)."""
    assert ours.keys() == theirs.keys()
    for clip, scores in theirs.items():
        assert ours[clip].keys() == scores.keys()
        for label, score in scores.items():
            assert abs(ours[clip][label] - score) <= 1e-4, (clip, label, ours[clip], scores)


DOORS: dict[str, Callable[[Asked], Said]] = {
    "marey.load": by_load,
    "frames": by_frames,
    "marey predict": by_command,
    "marey predict --out": by_table,
    "marey eval": by_eval,
    "POST": by_post,
    "marey stream": by_stream,
    "release": by_release,
    "hub:": by_hub,
    "marey predict --runtime pt2": by_runtime("pt2"),
    "pt2": by_export("pt2", by_load, by_eval),
    "onnx": by_export("onnx", by_load, by_eval, by_post),
    "openvino": by_export("openvino", by_load, by_eval, by_post),
}
