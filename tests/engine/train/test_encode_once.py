"""A run whose encoder is frozen looks at each clip once, and what it learns takes videos."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.data.manifest.read import read_manifest
from marey.engine.inference import encoded
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.engine.inference.predict import load
from marey.engine.optimize.clips import WantedClips
from marey.engine.optimize.optimize import Wanted, optimize_folder
from marey.engine.runtimes.catalog import forms_named
from marey.engine.train.dry_run import dry_run
from marey.engine.train.loop import train
from marey.engine.train.stop_signals import StopAsked, Stopped
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.trained import export_release
from marey.errors import ManifestError, RunError
from marey.models import AttentivePoolSpec, LateAverageSpec, ResNetSpec, TimeStatisticsSpec
from marey.models.encoder import Neck
from marey.models.video_model import VideoModel
from marey.recipes import catalog
from marey.recipes.frozen import about_encoder, varies
from marey.recipes.longtail import lmr
from marey.recipes.optim import AdamW, StepDecay
from marey.recipes.recipe import DataSpec, Recipe, Views
from marey.recipes.schema import override, to_yaml
from marey.recipes.short_names import spelled_out
from marey.recipes.val_views import val_views
from marey.video.augment import Augment
from marey.video.crops import CenterCrop
from marey.video.reading import flow
from marey.video.sampling.segments import Segments
from tests.engine.train.test_resume import rows_of
from tests.tiny import CLASSES, tiny_recipe, write_set

ENCODER = ResNetSpec(18, channels=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("videos"), per_class=2, val_per_class=1)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MAREY_CACHE", str(folder))
    return folder


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many clips each pass of the encoder was given."""
    passes: list[int] = []
    make = encoded.KeptFeatures.make

    def counted(self: encoded.KeptFeatures, clips: object, **more: object) -> None:
        passes.append(len(clips))  # type: ignore[arg-type]
        make(self, clips, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(encoded.KeptFeatures, "make", counted)
    return passes


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of an encoder, as torchvision would name them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet.pth"
    torch.save(ENCODER.build((), 1).state_dict(), path)
    return path


def frozen(manifest: Path, weights: Path, neck: Neck | None = None, epochs: int = 1) -> Recipe:
    recipe = tiny_recipe(manifest, epochs=epochs)
    stage = replace(recipe.stages[0], trainable="neck", optim=AdamW(lr=0.05))
    return replace(
        recipe,
        name="frozen-tiny",
        model=replace(recipe.model, encoder=ENCODER, neck=neck, head_std=None),
        train=Views(Segments(2), CenterCrop(32, 36)),
        augment=Augment(),
        stages=(stage,),
        weights=str(weights),
    )


def test_clips_are_looked_at_once_whatever_learns_behind_the_encoder(
    videos: Path, weights: Path, tmp_path: Path, looked_at: list[int]
) -> None:
    recipe = frozen(videos, weights)
    train(recipe, tmp_path / "linear")
    assert looked_at == [8, 4]
    late = frozen(videos, weights, LateAverageSpec(hidden=3))
    train(lmr(replace(late, seed=1)), tmp_path / "lmr")
    assert looked_at == [8, 4]
    train(frozen(videos, weights, AttentivePoolSpec(num_heads=2, width=4)), tmp_path / "pool")
    assert looked_at == [8, 4, 8, 4]  # of tokens


def test_clips_of_another_split_are_the_same_clips(
    videos: Path, weights: Path, tmp_path: Path, looked_at: list[int]
) -> None:
    train(frozen(videos, weights), tmp_path / "one")
    text = videos.read_text().replace("train", "other").replace("val", "train")
    swapped = videos.with_name("swapped.csv")
    swapped.write_text(text.replace("other", "val"))
    train(frozen(swapped, weights), tmp_path / "two")
    assert looked_at == [8, 4]
    (videos.parent / "red_0.mp4").touch()
    train(frozen(videos, weights), tmp_path / "three")
    assert looked_at == [8, 4, 1]


@pytest.mark.parametrize(
    "neck", [None, AttentivePoolSpec(num_heads=2, width=4)], ids=["linear", "attentive"]
)
def test_what_comes_out_takes_videos_and_says_the_same_of_them(
    videos: Path, weights: Path, tmp_path: Path, neck: Neck | None
) -> None:
    run = train(frozen(videos, weights, neck), tmp_path / "run")
    state = load_checkpoint(run / "checkpoints" / "last.pt")
    start = torch.load(weights, weights_only=True)
    for name, value in start.items():
        assert torch.equal(state["model"][f"encoder.{name}"], value), name
    (row,) = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    result, _ = evaluate_folder(EvalOptions(folder=run), tmp_path / "out")
    assert result is not None
    assert result.metrics["loss"] == pytest.approx(float(row["val/loss"]), abs=2e-3)
    release = export_release(run, tmp_path / "release")
    (answer,) = load(release).predict(videos.parent / "red_0.mp4", top=1)
    assert answer["label"] in CLASSES


NECKS: dict[str, Neck | None] = {
    "linear": None,
    "statistics": TimeStatisticsSpec(),
    "attentive": AttentivePoolSpec(num_heads=2, width=4),
}


@pytest.mark.parametrize("neck", NECKS)
def test_a_run_that_looked_once_says_of_videos_what_it_says_of_what_it_kept(
    videos: Path, weights: Path, tmp_path: Path, neck: str
) -> None:
    run = train(frozen(videos, weights, NECKS[neck]), tmp_path / "run")
    predictor = load(run)
    recipe, model = predictor.trained.recipe, predictor.trained.model
    kept = encoded.KeptFeatures(model=model, recipe=replace(recipe, test=val_views(recipe)))
    clips = kept.of(read_manifest(videos).select("val"))
    assert clips.features is not None
    for row in range(len(clips)):
        vectors = clips.features.read(row, np.arange(clips.features.num_frames(row)))
        with torch.inference_mode():
            theirs = model(torch.from_numpy(vectors)[None])["label"][0].softmax(0)
        answers = predictor.predict(videos.parent / str(clips.paths[row]), top=4)
        ours = {answer["label"]: answer["score"] for answer in answers}  # type: ignore[index]
        rounded = 1e-5 if clips.features.dtype == np.float32 else 2e-3  # tokens are kept in 16 bits
        assert [ours[name] for name in CLASSES] == pytest.approx(theirs.tolist(), abs=rounded)


@pytest.mark.slow
def test_a_run_that_looked_once_is_optimized_for_videos(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="an extra: marey[deploy]")
    run = train(frozen(videos, weights, TimeStatisticsSpec()), tmp_path / "run")
    forms = forms_named(("onnxruntime",))
    clips = WantedClips(num_clips=2, workers=0)
    wanted = Wanted(forms=forms, clips=clips, seconds=0.1, most_start=600)
    assert optimize_folder(run, tmp_path / "fast", wanted).form == "onnxruntime"
    clip = videos.parent / "red_0.mp4"
    fast, plain = load(tmp_path / "fast"), load(run)
    assert fast.scorer is not plain.scorer
    ours, theirs = (
        [answer["score"] for answer in of.predict(clip, top=4)]  # type: ignore[index]
        for of in (fast, plain)
    )
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_an_evaluation_encodes_no_clip_that_was_encoded_before(
    videos: Path, weights: Path, tmp_path: Path, cache: Path
) -> None:
    run = train(frozen(videos, weights), tmp_path / "run")
    text = videos.read_text().splitlines()
    both = videos.with_name("both.csv")  # the clips of val, and one of which nothing is kept
    shutil.copy(videos.parent / "red_0.mp4", videos.parent / "new.mp4")
    rows = [text[0], *(line for line in text if ",val," in line), "new.mp4,1,val,6"]
    both.write_text("\n".join(rows) + "\n")
    said: list[str] = []
    options = EvalOptions(folder=run, manifest=both, workers=0)
    kept, _ = evaluate_folder(options, tmp_path / "kept", say=said.append)
    assert [line.partition(";")[0] for line in said] == ["4 of 5 clips encoded before"]
    two_views = replace(options, overrides=("test.sampling={Clips: {num_frames: 2, clips: 2}}",))
    evaluate_folder(two_views, tmp_path / "other", say=said.append)
    shutil.rmtree(cache / "features")
    fresh, _ = evaluate_folder(options, tmp_path / "fresh", say=said.append)
    assert len(said) == 1
    assert kept is not None
    assert fresh is not None
    for of in (kept, fresh):
        assert not of.missing
    np.testing.assert_allclose(kept.scores["label"], fresh.scores["label"], rtol=1e-4, atol=1e-5)


def test_mirror_images_are_views_of_their_own(
    videos: Path, weights: Path, tmp_path: Path, looked_at: list[int]
) -> None:
    recipe = frozen(videos, weights, TimeStatisticsSpec())
    run = train(replace(recipe, augment=Augment(flip="plain")), tmp_path / "run")
    assert looked_at == [8, 8, 4]
    train(recipe, tmp_path / "plain")
    assert looked_at == [8, 8, 4]
    neck = load(run).trained.model.neck
    assert neck is not None
    assert neck.get_buffer("mean").abs().sum() > 0  # fitted, and saved


@pytest.mark.parametrize("shown", ["modality=rgbdiff", "augment.channel_order=bgr"])
def test_whatever_a_clip_shows_it_is_looked_at_once(
    videos: Path, weights: Path, tmp_path: Path, looked_at: list[int], shown: str
) -> None:
    recipe = frozen(videos, weights)
    recipe = override(recipe, ["augment.flip=plain", *spelled_out(recipe, [shown])])
    run = train(recipe, tmp_path / "run")
    assert looked_at == [8, 8, 4]
    result, _ = evaluate_folder(EvalOptions(folder=run), tmp_path / "results")
    assert result.metrics["loss"] == pytest.approx(float(rows_of(run)[-1]["val/loss"]), abs=1e-4)


def test_flow_that_is_computed_otherwise_is_looked_at_anew(videos: Path) -> None:
    recipe = frozen(videos, videos)
    flow = override(recipe, spelled_out(recipe, ["modality=flow"]))
    less = override(flow, ["data.flow.bound=10"])
    one, other = (about_encoder(each, each.model, "clip") for each in (flow, less))
    assert one != other
    assert about_encoder(recipe, recipe.model, "clip") == about_encoder(
        override(recipe, ["data.flow.bound=10"]), recipe.model, "clip"
    )


def test_clips_that_change_are_looked_at_in_every_epoch(
    videos: Path, weights: Path, tmp_path: Path, looked_at: list[int]
) -> None:
    recipe = frozen(videos, weights, TimeStatisticsSpec())
    run = train(replace(recipe, augment=Augment(brightness=0.2)), tmp_path / "run")
    assert looked_at == []
    said = (run / "train.log").read_text()
    assert "looks at all training clips in every epoch: augment is" in said
    assert "flip is swap, and a mirror image has another label" in varies(
        replace(recipe, augment=Augment(flip="swap"))
    )


def test_a_run_goes_on_to_the_same_bits_also_without_what_was_kept(
    videos: Path, weights: Path, tmp_path: Path, cache: Path
) -> None:
    recipe = frozen(videos, weights, LateAverageSpec(), epochs=3)
    stage = replace(recipe.stages[0], schedule=StepDecay(()))
    recipe = replace(recipe, stages=(stage,))
    whole = train(recipe, tmp_path / "whole")
    short = replace(recipe, stages=(replace(stage, epochs=1),))
    run = train(short, tmp_path / "run")
    shutil.rmtree(cache / "features")
    train(recipe, run, resume=run / "checkpoints" / "last.pt")
    one, other = (load_checkpoint(r / "checkpoints" / "last.pt")["model"] for r in (whole, run))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_clip_that_cannot_be_read_is_counted_and_tried_again(
    videos: Path, weights: Path, tmp_path: Path, looked_at: list[int]
) -> None:
    broken = write_set(tmp_path / "videos", per_class=2, val_per_class=1)
    (broken.parent / "red_0.mp4").write_bytes(b"no video")
    recipe = frozen(broken, weights)
    with pytest.raises(RunError, match="1 training clip could not be read"):
        train(replace(recipe, data=replace(recipe.data, bad_clip_budget=0.0)), tmp_path / "a")
    recipe = replace(recipe, data=replace(recipe.data, bad_clip_budget=0.2))
    run = train(recipe, tmp_path / "b")
    assert "red_0.mp4" in (run / "bad_clips.csv").read_text()
    assert looked_at == [8, 8, 4]  # the first ended at that clip


def test_a_set_of_broken_files_is_refused_before_all_are_looked_at(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    """One of 8 clips may be unreadable; all are broken, and the second ends it."""
    broken = write_set(tmp_path / "videos", per_class=2, val_per_class=1)
    for clip in broken.parent.glob("*.mp4"):
        clip.write_bytes(b"no video")
    recipe = replace(frozen(broken, weights), batch_size=1)
    with pytest.raises(RunError, match="2 training clips could not be read, more than the 1 that"):
        train(recipe, tmp_path / "run")
    assert len((tmp_path / "run" / "bad_clips.csv").read_text().splitlines()) == 3  # the header


def test_a_run_that_is_stopped_keeps_what_it_has_looked_at(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 clips, a part of `FEW` is done when it is stopped: a batch would be all."""
    recipe = replace(frozen(videos, weights), batch_size=8)
    write, seen = encoded._Keeper.write, list[range]()

    def stopped_later(self: encoded._Keeper, rows: range, *args: object, **more: object) -> None:
        seen.append(rows)
        if len(seen) == 2:
            raise StopAsked
        write(self, rows, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(encoded._Keeper, "write", stopped_later)
    with pytest.raises(Stopped) as stop:
        train(recipe, tmp_path / "run")
    assert (stop.value.has_trained, stop.value.kept) == (False, "the clips looked at are kept")
    run = train(recipe, tmp_path / "run")
    assert seen == [range(4), range(4, 8), range(4, 8), range(4)]  # and the four that validate
    assert (
        "8 training clips x 1 view are looked at once (4 were before)"
        in (run / "train.log").read_text()
    )


def test_a_dry_run_looks_at_few_clips(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three batches of a recipe may be more than all clips, which a run looks at once."""
    looked: list[int] = []
    forward = VideoModel.forward

    def counted(self: VideoModel, clip: torch.Tensor) -> object:
        if not clip.is_meta:  # on which memory is counted
            looked.append(len(clip))
        return forward(self, clip)

    monkeypatch.setattr(VideoModel, "forward", counted)
    recipe = replace(frozen(videos, weights), batch_size=8)
    said = [*dry_run(recipe, tmp_path / "run", device="cpu")]
    assert looked == [2, 2, 2]
    assert said[-1].startswith("time        ")
    assert "to look at each clip once, by" in said[-1]


# --- files of features ----------------------------------------------------------------------------


def written(videos: Path, weights: Path, out: Path, **more: object) -> Path:
    """The file of `marey features` of the encoder alone."""
    recipe = out.with_name("recipe.yaml")
    recipe.write_text(to_yaml(frozen(videos, weights)))
    options = FeatureOptions(source=str(recipe), manifest=videos, out=out, workers=0, **more)  # type: ignore[arg-type]
    assert extract_features(options) is not None
    return out


def on_features(file: Path, name: str = "features-linear") -> Recipe:
    recipe = catalog.find(name)
    stage = replace(recipe.stages[0], epochs=1)
    return replace(recipe, data=DataSpec(train=str(file), workers=0), stages=(stage,))


def test_a_dry_run_on_features_has_their_shapes(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    two_views = ("test.sampling={Clips: {num_frames: 2, clips: 2}}",)
    file = written(videos, weights, tmp_path / "features.arrow", overrides=two_views)
    said = [*dry_run(on_features(file), tmp_path / "run", device="cpu")]
    assert said[1] == "shapes      batches [8, 2, 16], scores of label 4"  # a view's frames x width
    assert said[2].startswith("stage 0     1 epoch of 1 step of 8 clips; 68 parameters learn")


def test_a_model_of_a_file_of_features_takes_videos(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    file = written(videos, weights, tmp_path / "features.arrow")
    run = train(on_features(file, "features-mlp"), tmp_path / "run")
    assert "a model of videos: the encoder of frozen-tiny" in (run / "train.log").read_text()
    assert "batches of 8, not 64: an epoch has 8 clips" in (run / "train.log").read_text()
    of_features, _ = evaluate_folder(EvalOptions(folder=run), tmp_path / "out")
    of_videos, _ = evaluate_folder(EvalOptions(folder=run, manifest=videos), tmp_path / "out2")
    assert of_features is not None
    assert of_videos is not None
    assert of_features.metrics["loss"] == pytest.approx(of_videos.metrics["loss"], abs=2e-3)
    assert load(run).predict(videos.parent / "red_0.mp4", top=1)
    file.rename(tmp_path / "moved.arrow")
    with pytest.raises(ManifestError, match="is not there. hint: give a manifest .* of the vid"):
        evaluate_folder(EvalOptions(folder=run), tmp_path / "out3")


def test_features_of_other_weights_or_of_another_model_are_refused(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    file = written(videos, weights, tmp_path / "features.arrow")
    torch.save(ENCODER.build((), 1).state_dict(), other := tmp_path / "other.pth")
    with pytest.raises(RunError, match="holds features of other weights: their SHA-256 begins"):
        train(replace(on_features(file), weights=str(other)), tmp_path / "a")
    whole = frozen(file, weights)
    pool = replace(whole.model, neck=AttentivePoolSpec(num_heads=2))
    with pytest.raises(ManifestError, match="what the neck takes is frames there, tokens here"):
        train(replace(whole, model=pool), tmp_path / "b")
    deeper = replace(whole.model, encoder=ResNetSpec(34, channels=2))
    there, here = (rf"ResNetSpec\({depth}, channels=2\)" for depth in (18, 34))
    said = f"another model: encoder is {there} there, {here} here"
    with pytest.raises(ManifestError, match=said):
        train(replace(whole, model=deeper), tmp_path / "c")
    said = r"in another way: augment is Augment\('none'\) there, .*channel_order='bgr'\) here"
    with pytest.raises(ManifestError, match=said):
        train(override(whole, ["augment.channel_order=bgr"]), tmp_path / "d")


def test_features_of_flow_are_those_of_flow_that_was_computed_alike(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = np.zeros((36, 36, 2), np.float32)
    monkeypatch.setattr(flow, "flow_of", lambda method: lambda before, after: still)
    file = written(videos, weights, tmp_path / "f.arrow", overrides=("modality=flow",))
    recipe = frozen(file, weights)
    recipe = override(recipe, spelled_out(recipe, ["modality=flow"]))
    train(recipe, tmp_path / "alike")
    with pytest.raises(ManifestError, match=r"data.flow is FlowSettings\('dis'\) there, .*=10"):
        train(override(recipe, ["data.flow.bound=10"]), tmp_path / "other")


def test_a_model_of_features_stays_one_where_its_encoder_is_gone(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(weights.read_bytes())
    file = written(videos, mine, tmp_path / "features.arrow")
    mine.unlink()
    run = train(on_features(file), tmp_path / "run")
    assert "a model of features, which takes no videos" in (run / "train.log").read_text()
    assert load(run).trained.model.spec.takes_features


def test_a_mean_of_frames_is_behind_no_neck(videos: Path, weights: Path, tmp_path: Path) -> None:
    file = written(videos, weights, tmp_path / "features.arrow", per="clip")
    assert load(train(on_features(file), tmp_path / "linear")).trained.model.neck is None
    mlp = load(train(on_features(file, "features-mlp"), tmp_path / "mlp"))
    assert mlp.trained.model.spec.takes_features
    with pytest.raises(ManifestError, match="what the neck takes is means of frames there, frames"):
        train(frozen(file, weights, LateAverageSpec()), tmp_path / "late")


def test_tokens_are_written_and_trained_on(videos: Path, weights: Path, tmp_path: Path) -> None:
    file = written(videos, weights, tmp_path / "features.arrow", per="token")
    pool = AttentivePoolSpec(num_heads=2, width=4)
    recipe = on_features(file)
    recipe = replace(recipe, model=replace(recipe.model, encoder=pool))
    assert load(train(recipe, tmp_path / "run")).trained.model.spec.neck == pool
