"""A head that learned on features and the encoder that made these give a video the same scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from marey.data.manifest.read import read_manifest
from marey.engine.export.export import WantedFile, export_file
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.engine.inference.predict import Predictor, load
from marey.engine.inference.predict_many import PredictOptions, predict_clips
from marey.engine.live.recogniser import live_recogniser
from marey.engine.optimize.clips import WantedClips
from marey.engine.train.loop import train
from marey.engine.weights import encoders
from marey.engine.weights.calibration import Calibration, plain_views, write_calibration
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.clip_facts import clip_facts
from marey.engine.weights.joined import join_release
from marey.engine.weights.trained import as_release, export_release, write_release
from marey.errors import CheckpointError, ManifestError, RecipeError
from marey.longtail.sigmoid import BinaryCrossEntropy
from marey.models import AttentivePoolSpec, LateAverageSpec, NetVLADSpec, ResNetSpec
from marey.models.encoder import Encoder, Fitted
from marey.models.encoders.features import FeaturesSpec
from marey.models.encoders.time_statistics import TimeStatisticsSpec
from marey.models.video_model import Head
from marey.recipes import catalog
from marey.recipes.recipe import DataSpec, Recipe, TestViews
from marey.recipes.resolve import resolve
from marey.recipes.schema import to_yaml
from marey.video.crops import ThreeCrop
from marey.video.sampling.segments import Clips, EvenFrames
from tests.tiny import tiny_recipe, write_set

ENCODER = ResNetSpec(18, channels=2)
VIEWS = TestViews(Clips(2, clips=2), ThreeCrop(32, 36))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two heads, `label` and `noun`."""
    manifest = write_set(tmp_path_factory.mktemp("videos"), per_class=2, val_per_class=1)
    lines = manifest.read_text().splitlines()
    rows = [f"{line},{'noun' if i == 0 else i % 3}" for i, line in enumerate(lines)]
    manifest.write_text("\n".join(rows) + "\n")
    manifest.with_name("labels.noun.txt").write_text("cup\nbook\ndoor\n")
    return manifest


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("encoder") / "encoder.pth", seed=0)


@pytest.fixture(scope="module")
def file(videos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of one view."""
    return features(videos, weights, tmp_path_factory.mktemp("file"))


@pytest.fixture(scope="module")
def many(videos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of six views."""
    return features(videos, weights, tmp_path_factory.mktemp("many"), views=VIEWS)


@pytest.fixture(scope="module")
def head(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a linear head on one view, which began where the encoder was not at hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "behind_encoder", lambda *_: None)
        work_dir = tmp_path_factory.mktemp("head")
        return train(on_features(file), work_dir, device="cpu", quiet=True)


def write_weights(path: Path, seed: int) -> Path:
    """Those of an encoder, as torchvision would name them."""
    torch.manual_seed(seed)
    torch.save(ENCODER.build((), 1).state_dict(), path)
    return path


def features(videos: Path, weights: Path, folder: Path, **options: object) -> Path:
    """A file of features of all clips."""
    views = options.pop("views", None)
    recipe = tiny_recipe(videos)
    recipe = replace(recipe, model=replace(recipe.model, encoder=ENCODER), weights=str(weights))
    if isinstance(views, TestViews):
        recipe = replace(recipe, test=views)
    folder.mkdir(exist_ok=True)
    path, out = folder / "encoder.yaml", folder / "features.arrow"
    path.write_text(to_yaml(recipe))
    given = {"dtype": "float32", "workers": 0} | options
    assert extract_features(
        FeatureOptions(source=str(path), manifest=videos, out=out, **given)  # type: ignore[arg-type]
    )
    return out


def on_features(file: Path, network: Encoder | None = None, **changes: object) -> Recipe:
    recipe = catalog.find("features-linear")
    recipe = replace(
        recipe,
        model=replace(recipe.model, encoder=network or FeaturesSpec(), head_std=0.1),
        stages=(replace(recipe.stages[0], epochs=1),),
        data=DataSpec(train=str(file), val=str(file), workers=0),
    )
    return replace(recipe, **changes)


def head_release(file: Path, out: Path, network: Encoder | None = None, **changes: object) -> Path:
    """A model of the features in `file` that never learned: what it says is as good for a test."""
    clips = read_manifest(file)
    recipe = resolve(on_features(file, network, **changes), clips)
    torch.manual_seed(0)
    model = recipe.model.build()
    if isinstance(model.encoder, Fitted):
        assert clips.features is not None
        model.encoder.fit(torch.randn(2, 4, 3, clips.features.dim))
    about = clip_facts(clips).features
    return write_release(out, recipe, model.state_dict(), clips.classes, "", features=about)


def says_of_features(folder: Path, out: Path, **facts: object) -> Path:
    """The release of a head that says this of what made its features too, or says nothing."""
    as_release(folder, out)
    path = out / "config.json"
    config = json.loads(path.read_text())
    config["features"] = config["features"] | facts if facts else {}
    path.write_text(json.dumps(config))
    return out


def assert_same_scores(head: Path, videos: Path, file: Path, atol: float = 1e-5) -> Predictor:
    """What the head says of the features of each clip, it says of the clip."""
    predictor = load(head)
    stored = read_manifest(file)
    assert stored.features is not None
    for row in range(len(stored)):
        vectors = stored.features.read(row, np.arange(stored.features.num_frames(row)))
        clip = videos.parent / str(stored.paths[row])
        ours, theirs = (scores_of(predictor, each) for each in (clip, vectors))
        assert ours.keys() == theirs.keys()
        for name, score in theirs.items():
            assert ours[name] == pytest.approx(score, abs=atol), (row, name)
    return predictor


def scores_of(predictor: Predictor, clip: Path | np.ndarray) -> Mapping[str, float]:
    answers = predictor.predict(clip, top=9)
    assert isinstance(answers, list)
    return {f"{answer.get('head')} {answer['label']}": answer["score"] for answer in answers}


ONE_VIEW: dict[str, tuple[Encoder, dict[str, object]]] = {
    "late average": (LateAverageSpec(hidden=5), {}),
    "statistics": (TimeStatisticsSpec(), {}),
    "NetVLAD": (NetVLADSpec(clusters=2, hidden=6), {}),
    "attentive": (AttentivePoolSpec(num_heads=2, width=4), {"per": "token"}),
    "mean of frames": (FeaturesSpec(), {"per": "clip"}),
}


@pytest.mark.parametrize("kind", ONE_VIEW)
def test_one_view_gives_the_scores_of_its_features(
    kind: str, videos: Path, weights: Path, file: Path, tmp_path: Path
) -> None:
    network, options = ONE_VIEW[kind]
    made = features(videos, weights, tmp_path / "file", **options) if options else file
    head = head_release(made, tmp_path / "head", network)
    assert load(head).trained.model.spec.takes_features
    whole = assert_same_scores(head, videos, made).of_videos.trained.model
    assert (whole.neck is None) == (network == FeaturesSpec())


@pytest.mark.parametrize("network", [FeaturesSpec(), LateAverageSpec(hidden=5)], ids=str)
def test_several_views_of_two_heads_give_the_scores_of_their_features(
    network: Encoder, videos: Path, many: Path, tmp_path: Path
) -> None:
    heads = (Head("label", 4), Head("noun", 3))
    model = replace(catalog.find("features-linear").model, encoder=network, heads=heads)
    head = head_release(many, tmp_path / "head", model=replace(model, head_std=0.1))
    predictor = assert_same_scores(head, videos, many)
    assert list(predictor.of_videos.trained.classes) == ["label", "noun"]


def test_probabilities_of_several_classes_and_averaged_ones_are_the_same(
    videos: Path, many: Path, tmp_path: Path
) -> None:
    recipe = catalog.find("features-linear")
    stage = replace(recipe.stages[0], objective=BinaryCrossEntropy())
    several = replace(recipe.model, heads=(Head("label", 4, several=True),), head_std=0.1)
    sigmoid = head_release(many, tmp_path / "several", model=several, stages=(stage,))
    assert_same_scores(sigmoid, videos, many)
    probs = replace(recipe.test, average="probs")
    assert_same_scores(head_release(many, tmp_path / "probs", test=probs), videos, many)


def test_features_in_float16_say_so_and_differ_by_their_rounding(
    videos: Path, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="marey")
    file = features(videos, weights, tmp_path / "file", dtype="float16")
    head = head_release(file, tmp_path / "head")
    assert_same_scores(head, videos, file, atol=2e-3)
    (said,) = [line for line in caplog.messages if "behind their encoder" in line]
    assert said.startswith(f"{head} learned on features rounded to float16")


def test_a_joined_release_needs_nothing_else(
    videos: Path, head: Path, weights: Path, tmp_path: Path
) -> None:
    join_release(head, tmp_path / "one")
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert "features" not in config
    card = (tmp_path / "one" / "README.md").read_text()
    assert "learned on features of tiny (its encoder's SHA-256 begins with" in card
    config |= {"weights": "", "data": {}}
    (tmp_path / "one" / "config.json").write_text(json.dumps(config))
    clip = videos.parent / "red_0.mp4"
    ours, theirs = (scores_of(load(of), clip) for of in (tmp_path / "one", head))
    assert ours == pytest.approx(theirs, abs=1e-6)
    options = EvalOptions(folder=head, manifest=videos, workers=0)
    of_head, _ = evaluate_folder(options, tmp_path / "a")
    of_release, _ = evaluate_folder(replace(options, folder=tmp_path / "one"), tmp_path / "b")
    assert of_head is not None
    assert of_release is not None
    np.testing.assert_allclose(of_head.scores["label"], of_release.scores["label"], atol=1e-5)
    assert (tmp_path / "one" / "class_counts.json").is_file()


def test_many_clips_are_videos_or_features(
    videos: Path, head: Path, file: Path, tmp_path: Path
) -> None:
    found = []
    for source in (videos, file):
        out = tmp_path / f"{source.stem}.parquet"
        predict_clips(PredictOptions(model=head, source=str(source), workers=0), out)
        found.append(np.array(pq.read_table(out)["scores"].to_pylist()))
    np.testing.assert_allclose(*found, atol=1e-5)


def test_a_head_recognises_streams_behind_its_encoder(head: Path) -> None:
    recogniser = live_recogniser(load(head), head="label")
    stream, picture = recogniser.begin(), np.full((40, 48, 3), 100, np.uint8)
    said = [recogniser.step([(stream, picture, second / 4)])[0] for second in range(12)]
    answers = [answer for answer in said if answer is not None]
    assert answers
    assert all(answer.scores.sum() == pytest.approx(1, abs=1e-5) for answer in answers)


def test_a_calibration_of_features_holds_for_videos(
    videos: Path, head: Path, tmp_path: Path
) -> None:
    release = export_release(head, tmp_path / "release")
    trained = load(release).trained
    views, digest = plain_views(trained.recipe.test), weights_digest(trained.model)
    write_calibration(
        Calibration(temperatures={"label": 3.0, "noun": 2.0}, weights=digest, views=views), release
    )
    join_release(release, tmp_path / "one")
    clip = videos.parent / "red_0.mp4"
    one, two = (scores_of(load(of, calibrated=True), clip) for of in (tmp_path / "one", release))
    assert one == pytest.approx(two, abs=1e-5)
    assert one != pytest.approx(scores_of(load(head), clip), abs=1e-5)


def test_an_encoder_that_is_gone_is_named_and_may_be_given(
    videos: Path, head: Path, weights: Path, tmp_path: Path
) -> None:
    release = says_of_features(head, tmp_path / "release", weights_from=str(tmp_path / "gone.pth"))
    said = r"takes features of tiny \(.*SHA-256 .* is not there.*marey join .* --encoder PATH"
    clip = videos.parent / "red_0.mp4"
    for asked in (clip, [clip], np.zeros((3, 40, 48, 3), np.uint8)):
        with pytest.raises(CheckpointError, match=said):
            load(release).predict(asked)
    join_release(release, tmp_path / "one", weights)
    assert scores_of(load(tmp_path / "one"), clip)


def test_another_encoder_is_refused_and_both_are_named(head: Path, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.pth", seed=1)
    said = r"features of tiny \(.*begins with \w{8}\); the SHA-256 of the encoder in .*other\.pth"
    with pytest.raises(CheckpointError, match=said):
        join_release(head, tmp_path / "one", other)
    torch.save(ResNetSpec(34, channels=2).build((), 1).state_dict(), other)
    with pytest.raises(CheckpointError, match=r"other\.pth does not hold the encoder of tiny"):
        join_release(head, tmp_path / "one", other)
    assert not (tmp_path / "one").exists()


def test_where_a_model_does_not_say_it_its_file_of_features_does(
    videos: Path, head: Path, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = says_of_features(head, tmp_path / "release")
    clip = videos.parent / "red_0.mp4"
    assert scores_of(load(earlier), clip) == scores_of(load(head), clip)
    assert f"does not say what made its features: taken from {file}, as it is now" in caplog.text
    path = earlier / "config.json"
    path.write_text(path.read_text().replace(file.name, "gone.arrow"))
    refused(earlier, "nothing says which encoder made its features")


def refused(head: Path, why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        join_release(head, head / "joined")


def test_what_no_model_of_videos_does_is_refused(
    videos: Path, head: Path, file: Path, many: Path, tmp_path: Path
) -> None:
    statistics = head_release(many, tmp_path / "statistics", TimeStatisticsSpec())
    refused(statistics, r"TimeStatisticsSpec.* was given 6 views of a clip at once")
    chosen = head_release(file, tmp_path / "even", test=TestViews(EvenFrames(2)))
    refused(chosen, r"test\.sampling=EvenFrames.*2.* chooses among the vectors of a clip")
    late = head_release(file, tmp_path / "late", LateAverageSpec(hidden=5))
    mean = says_of_features(late, tmp_path / "mean", per="clip")
    refused(mean, r"was trained on means of frames, and would be given a vector a frame")
    join_release(late, tmp_path / "one")
    refused(tmp_path / "one", r"takes videos already.*marey export")


@pytest.mark.slow
def test_a_head_is_exported_with_its_encoder(
    videos: Path, head: Path, file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="an extra: marey[deploy]")
    pytest.importorskip("onnxruntime", reason="an extra: marey[deploy]")
    clips = WantedClips(num_clips=2, workers=0)
    with pytest.raises(ManifestError, match=r"holds features.*--manifest"):
        export_file(head, tmp_path / "out", WantedFile(to="onnx", clips=clips))
    wanted = WantedFile(to="onnx", clips=replace(clips, manifest=str(videos)))
    export_file(head, tmp_path / "out", wanted)
    clip = videos.parent / "red_0.mp4"
    ours, theirs = (scores_of(load(of), clip) for of in (tmp_path / "out", head))
    assert ours == pytest.approx(theirs, abs=1e-4)
