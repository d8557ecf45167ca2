"""A model goes to the hub without what is its owner's, and comes back the same."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

import marey
from marey.cli.app import app
from marey.engine.cached import cache_parts
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.train.loop import train
from marey.engine.weights.calibration import Calibration, plain_views, write_calibration
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.hub_card import Said
from marey.engine.weights.share import push, write_shared
from marey.engine.weights.trained import export_release, load_trained
from marey.errors import CheckpointError, RecipeError, RunError
from marey.recipes.recipe import Claim
from tests.hub import Hub, hub_here
from tests.tiny import tiny_recipe, write_set

NAME = "lab/falls"
SECRET = "ward-7"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp(SECRET), per_class=2, val_per_class=1)


@pytest.fixture(scope="module")
def run(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was evaluated on its clips and on others, and calibrated."""
    recipe = replace(
        tiny_recipe(videos, epochs=1),
        name=f"{SECRET}-model",
        claim=Claim(top1=71.5, source="https://example.org/paper"),
    )
    recipe = replace(recipe, data=replace(recipe.data, root=str(videos.parent)))
    run = train(recipe, tmp_path_factory.mktemp("run"), device="cpu", quiet=True)
    evaluate_folder(EvalOptions(folder=run, workers=0))
    others = videos.with_name(f"{SECRET}-new.csv")
    others.write_text("\n".join(videos.read_text().splitlines()[:-1]) + "\n")
    evaluate_folder(EvalOptions(folder=run, manifest=others, workers=0))
    trained = load_trained(run)
    calibration = Calibration(
        temperatures={"label": 2.0},
        manifest=str(videos),
        num_clips=24,
        weights=weights_digest(trained.model),
        views=plain_views(trained.recipe.test),
    )
    write_calibration(calibration, run)
    return run


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("MAREY_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    with hub_here(tmp_path, monkeypatch) as server:
        yield server


def command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(result: Result) -> str:
    return " ".join(f"{result.output}{result.exception or ''}".split())


# --- what is sent ---------------------------------------------------------------------------------


def test_a_model_that_is_sent_is_fetched_and_says_the_same(
    run: Path, videos: Path, tmp_path: Path, hub: Hub
) -> None:
    clip = videos.parent / "red_0.mp4"
    sent = command("push", run, NAME, "--license", "apache-2.0", "--data", "Falls at home")
    assert f"sent: {hub.url}/{NAME}" in said(sent)
    wanted = {"README.md", "calibration.json", "class_counts.json", "config.json", "labels.txt"}
    assert set(hub.repos[NAME]) == wanted | {"model.safetensors"}
    assert not hub.private[NAME]
    missing = command("predict", f"hub:{NAME}", clip)
    assert "hub:lab/falls is not on this machine" in said(missing)
    assert not any("resolve" in each for each in hub.asked)
    fetched = command("predict", f"hub:{NAME}", clip, "--download")
    assert f"fetching hub:{NAME} (6 files, 0 MiB, licence mit)" in said(fetched)
    hub.asked.clear()
    again = command("predict", f"hub:{NAME}", clip)
    assert again.output == command("predict", run, clip).output
    assert command("predict", f"hub:{NAME}", clip, "--calibrated", "--download").exit_code == 0
    assert hub.asked == []


def test_nothing_of_the_owner_is_sent(run: Path, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    shared = write_shared(load_trained(run), out, Said(name=NAME))
    for file in out.iterdir():
        assert SECRET.encode() not in file.read_bytes(), file
        assert str(videos.parent).encode() not in file.read_bytes(), file
    left = {"data.train", "data.val", "data.root", "data.workers", "name", "calibration.manifest"}
    assert set(shared.left_out) == left
    assert json.loads((out / "config.json").read_text())["name"] == "falls"
    assert marey.load(out, calibrated=True).predict(videos.parent / "red_0.mp4", top=1)
    assert shared.files == {path.name: path.stat().st_size for path in out.iterdir()}


def test_a_place_in_the_recipe_is_refused(run: Path, tmp_path: Path) -> None:
    trained = load_trained(run)
    recipe = replace(trained.recipe, save_best="/home/me/metric")
    with pytest.raises(RecipeError, match="save_best of the recipe is '/home/me/metric', a place"):
        write_shared(replace(trained, recipe=recipe), tmp_path / "out", Said(name=NAME))


def test_the_card_has_what_was_measured_and_what_its_owner_says(run: Path, tmp_path: Path) -> None:
    about = Said(name=NAME, licence="cc-by-4.0", data="Falls at home")
    shared = write_shared(load_trained(run), tmp_path / "out", about)
    _, front, text = shared.card.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["library_name"] == "marey"
    assert facts["pipeline_tag"] == "video-classification"
    assert facts["license"] == "cc-by-4.0"
    assert facts["datasets"] == ["Falls at home"]
    assert facts["metrics"] == ["accuracy"]
    (index,) = facts["model-index"]
    top1, *_ = index["results"][0]["metrics"]
    assert index["results"][0]["dataset"] == {
        "name": "Falls at home",
        "type": "falls-at-home",
        "split": "val",
    }
    results = json.loads((run / "results/val/results.json").read_text())
    assert top1["type"] == "accuracy"
    assert top1["value"] == round(results["metrics"]["acc/top1"], 2)
    assert len(index["results"]) == 1  # other clips are of no data that has a name
    assert "| other clips, split val |" in text
    assert "| claim | top-1 71.5 |" in text
    assert "marey predict hub:lab/falls clip.mp4 --download" in text
    assert "dark, red, green, blue" in text


def test_what_the_owner_does_not_say_is_not_invented(run: Path, tmp_path: Path) -> None:
    shared = write_shared(load_trained(run), tmp_path / "out", Said(name=NAME))
    facts = yaml.safe_load(shared.card.split("---\n", 2)[1])
    assert not {"license", "datasets", "model-index"} & facts.keys()
    assert "Its owner does not say what it was trained on." in shared.card
    assert "Its owner states none." in shared.card
    assert [note.partition(",")[0] for note in shared.notes] == [
        "no licence is stated",
        "what it was trained on is not stated",
        "whoever loads it needs tests.tiny.TinySpec",
    ]


def test_a_start_that_is_not_shared_is_not_called_nothing(run: Path, tmp_path: Path) -> None:
    trained = load_trained(run)
    for weights, words in (("imagenet", "ImageNet"), ("mine/start.pt", "weights of its owner's")):
        recipe = replace(trained.recipe, weights=weights)
        about = Said(name=NAME)
        shared = write_shared(replace(trained, recipe=recipe), tmp_path / words[:3], about)
        (row,) = [line for line in shared.card.splitlines() if line.startswith("| starts from |")]
        assert words in row
        assert ("weights" in shared.left_out) == (weights != "imagenet")


def test_a_dry_run_shows_all_and_sends_nothing(run: Path, hub: Hub) -> None:
    shown = said(command("push", run, NAME, "--dry-run"))
    assert "left out: data.train, data.val" in shown
    assert "pipeline_tag: video-classification" in shown
    assert "nothing was sent: --dry-run" in shown
    assert hub.asked == []


def test_a_private_model_goes_to_no_repository_that_others_see(run: Path, hub: Hub) -> None:
    hub.repos[NAME], hub.private[NAME] = {}, False
    assert "lab/falls is there already, and everybody sees it" in said(
        command("push", run, NAME, "--private")
    )
    assert hub.repos[NAME] == {}
    assert command("push", run, "lab/mine", "--private").exit_code == 0
    assert hub.private["lab/mine"]


def test_without_a_token_or_the_library_nothing_is_sent(
    run: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_trained(run)
    with pytest.raises(ValueError, match="name is 'falls', expected ORG/NAME"):
        push(trained, Said(name="falls"))
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(RunError, match="no token of the hub.*HF_TOKEN"):
        push(trained, Said(name=NAME))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(RunError, match=r"not installed.*marey\[deploy\]"):
        push(trained, Said(name=NAME))
    with pytest.raises(CheckpointError, match=r"hub:lab/falls is looked up by .*marey\[deploy\]"):
        marey.load(f"hub:{NAME}")
    assert hub.asked == []


def test_what_is_loaded_is_saved_and_sent_by_its_own_methods(
    run: Path, videos: Path, tmp_path: Path, hub: Hub
) -> None:
    model = marey.load(run)
    clip = videos.parent / "red_0.mp4"
    folder = model.save_pretrained(tmp_path / "saved")
    assert marey.from_pretrained(folder).predict(clip) == model.predict(clip)
    assert model.push_to_hub(NAME, license="mit", private=True) == f"{hub.url}/{NAME}"
    with pytest.raises(CheckpointError, match="hub:lab/falls is not on this machine"):
        marey.from_pretrained(NAME)
    fetched = marey.from_pretrained(NAME, download=True)
    assert fetched.predict(clip) == model.predict(clip)
    commit = hub.sha(NAME)
    assert marey.from_pretrained(NAME, revision=commit).predict(clip) == model.predict(clip)
    shutil.copytree(folder, tmp_path / NAME)
    with pytest.raises(CheckpointError, match=r"folder here, and in the cache .*\./lab/falls is"):
        marey.from_pretrained(NAME)
    with pytest.raises(ValueError, match="revision is 'v1', but .* is a folder"):
        marey.from_pretrained(folder, revision="v1")


# --- what is taken --------------------------------------------------------------------------------


def cached(release: Path, cache: Path, commit: str = "c" * 40, ref: str = "main") -> Path:
    """A snapshot as the hub's library leaves it: links to blobs, and the commit of a branch."""
    repo = cache / "hub" / "models--lab--falls"
    snapshot = repo / "snapshots" / commit
    for folder in (snapshot, repo / "blobs", repo / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (repo / "refs" / ref).write_text(commit)
    for file in release.iterdir():
        blob = repo / "blobs" / f"{commit[:2]}-{file.name}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def test_only_what_a_release_is_made_of_is_taken_from_the_cache(
    run: Path, videos: Path, tmp_path: Path, hub: Hub
) -> None:
    release = export_release(run, tmp_path / "release")
    for name in ("pytorch_model.bin", "marey.py", "optimized.json", "labels.py"):
        (release / name).write_text("import os")
    cached(release, tmp_path)
    model = marey.load(f"hub:{NAME}")
    clip = videos.parent / "red_0.mp4"
    assert model.predict(clip) == marey.load(run).predict(clip)
    assert model.trained.folder is not None
    assert model.trained.folder.is_relative_to(tmp_path / "weights/releases/hub/lab--falls")
    assert not {path.suffix for path in model.trained.folder.iterdir()} & {".bin", ".py"}
    assert not (model.trained.folder / "optimized.json").exists()
    done = command("eval", f"hub:{NAME}", "--manifest", videos, "--workers", 0)
    assert done.exit_code == 0
    assert (model.trained.folder / "results").is_dir()
    (kept,) = [part for part in cache_parts() if part.name == "releases"]
    assert kept.entries == (model.trained.folder,)
    assert hub.asked == []


def test_a_revision_is_its_own_model(run: Path, videos: Path, tmp_path: Path) -> None:
    release = export_release(run, tmp_path / "release")
    cached(release, tmp_path)
    (release / "labels.txt").write_text("a\nb\nc\nd\n")
    cached(release, tmp_path, commit="d" * 40, ref="v2")
    assert marey.load(f"hub:{NAME}").labels == ("dark", "red", "green", "blue")
    assert marey.load(f"hub:{NAME}@v2").labels == ("a", "b", "c", "d")
    assert marey.load(f"hub:{NAME}@{'d' * 40}").labels == ("a", "b", "c", "d")
    with pytest.raises(CheckpointError, match="hub:lab/falls@v3 is not on this machine"):
        marey.load(f"hub:{NAME}@v3")


def test_what_is_no_whole_model_of_marey_says_what_it_is(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = export_release(run, tmp_path / "release")
    snapshot = cached(release, tmp_path)

    def refused(why: str) -> None:
        with pytest.raises(CheckpointError, match=why):
            marey.load(f"hub:{NAME}")
        assert not (tmp_path / "weights/releases").exists()

    with monkeypatch.context() as small:
        small.setattr("marey.engine.weights.hub_release.MOST_TEXT", 10)
        refused("has .* bytes, expected at most 10")
    (snapshot / "model.safetensors").unlink()
    refused(f"is not whole in the cache of the hub: no model.safetensors.*get hub:{NAME}")
    (snapshot / "config.json").resolve().write_text('{"model_type": "vit"}')
    refused(f"is a network of transformers, no model of marey.*hf:{NAME}")
    (snapshot / "config.json").resolve().write_text('{"layers": 3}')
    refused("is no model of marey: its config.json holds no recipe")
    for name in ("hub:falls", "hub:lab/falls@", "hub:/lab"):
        with pytest.raises(CheckpointError, match="names no model of the hub"):
            marey.load(name)
    said = "'my-release' is no folder here, and names no model of the hub. hint: give the folder"
    with pytest.raises(CheckpointError, match=said):
        marey.from_pretrained("my-release")


def test_what_is_not_whole_is_fetched_where_that_is_asked_for(
    run: Path, videos: Path, tmp_path: Path, hub: Hub
) -> None:
    release = export_release(run, tmp_path / "release")
    hub.repos[NAME] = {path.name: path.read_bytes() for path in release.iterdir()}
    commit = hub.sha(NAME)
    (cached(release, tmp_path, commit) / "model.safetensors").unlink()
    clip = videos.parent / "red_0.mp4"
    assert "not whole in the cache" in said(command("predict", f"hub:{NAME}", clip))
    assert hub.asked == []
    assert command("predict", f"hub:{NAME}", clip, "--download").exit_code == 0


def test_features_are_made_by_a_model_of_the_hub(run: Path, videos: Path, tmp_path: Path) -> None:
    cached(export_release(run, tmp_path / "release"), tmp_path)
    words = ("features", f"hub:{NAME}", "--manifest", videos, "--out", "f.arrow", "--workers", 0)
    assert "12 clips, 2 x 8 numbers each" in said(command(*words))


def test_a_model_without_safetensors_is_not_fetched(hub: Hub) -> None:
    hub.repos[NAME] = {"config.json": b"{}", "pytorch_model.bin": b"..."}
    fetched = command("weights", "get", f"hub:{NAME}")
    assert f"hub:{NAME} has no .safetensors" in said(fetched)
    gone = command("weights", "get", "hub:lab/nobody")
    assert "hub:lab/nobody could not be fetched" in said(gone)
