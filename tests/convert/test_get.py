"""One command fetches and converts; others then take the name. Servers are of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner, Result

import marey
from marey.cli.app import app
from marey.engine.weights import published as cache
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.published import PublishedFile
from marey.engine.weights.starting import starting_weights
from marey.engine.weights.zoo import catalog as zoo
from marey.errors import CheckpointError
from marey.models import TSM, Head, ModelSpec, ResNetSpec
from marey.recipes.catalog import find
from marey.storage import download
from tests.convert.upstream import filled, tsm_resnet, under
from tests.store import Store
from tests.tiny import write_clip

FILE = "TSM_mine_RGB_resnet18_shift8_blockres_avg_segment2_e50.pth"
NAMES = ["fall", "jump", "run", "walk"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A server with a checkpoint that is called `small`; `by-hand` is on no server."""
    served, home = tmp_path / "served", tmp_path / "cache"
    served.mkdir()
    spec = ModelSpec(
        ResNetSpec(18, channels=16), (TSM(),), num_segments=2, heads=(Head("label", 4),)
    )
    torch.save(under(tsm_resnet, filled(spec)), served / FILE)
    monkeypatch.setenv("MAREY_WEIGHTS", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cache, "_packaged", dict)
    monkeypatch.setattr(download, "WAIT_SECONDS", 0)
    monkeypatch.chdir(tmp_path)
    with Store(served) as own:
        Thread(target=own.serve_forever, daemon=True).start()
        file = PublishedFile(name="small", file=FILE, url=f"{own.url}/{FILE}", licence="MIT")
        page = "https://example.org/a-drive"
        by_hand = PublishedFile(name="by-hand", page=page, settings=("num_segments=2",))
        monkeypatch.setitem(zoo.CHECKPOINTS, "small", file)
        monkeypatch.setitem(zoo.CHECKPOINTS, "by-hand", by_hand)
        monkeypatch.setitem(zoo.CODE_BASES, "mine", (file, by_hand))
        yield own
        own.shutdown()


def run(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def test_a_checkpoint_is_asked_for_fetched_converted_and_then_used_by_its_name(
    store: Store, tmp_path: Path
) -> None:
    write_clip(clip := tmp_path / "clip.mp4", 1)
    done = run("predict", "small", clip)
    assert isinstance(done.exception, CheckpointError)
    assert "marey weights get small" in done.exception.hint
    assert not store.asked  # nothing is fetched unless it is asked for
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    done = run("weights", "get", "small", "--labels", tmp_path / "names.txt")
    assert done.exit_code == 0, done.output
    fetching, *facts = done.output.splitlines()
    assert fetching.startswith(f"fetching {FILE} (size unpublished, licence MIT, no checksum")
    assert any("4 classes" in line for line in facts)
    release = tmp_path / "cache" / "releases" / "small"
    assert facts[-1] == f"here: {release}"
    assert run("weights", "get", "small").output == f"here: {release}\n"
    assert len(store.asked) == 1
    done = run("predict", "small", clip, "--top", "1")
    assert any(name in done.output for name in NAMES), done.output
    assert marey.load("small").labels
    assert run("export", "small", tmp_path / "mine").exit_code == 0
    row = replace(find("tsm-r18"), weights="small")
    assert starting_weights(row) == release
    started = starting_weights(replace(row, weights="from:small"))
    assert started == release


def test_with_download_one_command_does_both(store: Store, tmp_path: Path) -> None:
    write_clip(clip := tmp_path / "clip.mp4", 1)
    done = run("predict", "small", clip, "--download")
    assert done.exit_code == 0, done.exception
    assert f"fetching {FILE}" in done.output
    assert store.asked == [f"GET /{FILE}"]


def test_a_file_that_was_put_there_by_hand_is_taken(store: Store, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    there = tmp_path / "served" / FILE
    there.rename(tmp_path / "cache" / FILE)
    assert run("weights", "get", "small").exit_code == 0
    assert not store.asked
    refused = run("weights", "get", "by-hand").exception
    assert isinstance(refused, CheckpointError)
    assert "https://example.org/a-drive" in refused.hint
    told = run("weights", "get", "by-hand", "--file", tmp_path / "cache" / FILE)
    assert told.exit_code == 0, told.exception
    again = run("weights", "get", "by-hand", "--file", tmp_path / "cache" / FILE).exception
    assert "is here already" in str(again)


def test_nothing_is_said_to_be_fetched_that_has_no_download(store: Store) -> None:
    refused = run("weights", "get", "bLResNet-50-a2-b4")
    assert "plain download" in str(refused.exception)
    assert "fetching" not in refused.output


def test_what_cannot_be_fetched_or_is_another_model_leaves_no_release(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.failures = 9
    offline = run("weights", "get", "small").exception
    assert f"fetch {FILE} where there is a network and put it into {tmp_path}" in str(offline)
    store.failures = 0
    row = "gc-tsm-r50-16f-k400"  # whose name the file of another model is given to
    wrong = replace(zoo.CHECKPOINTS["small"], name=row)
    monkeypatch.setitem(zoo.CHECKPOINTS, row, wrong)
    refused = run("weights", "get", row).exception
    assert f"is not the checkpoint of {row}: its num_segments is 2, not 16" in str(refused)
    assert not zoo.is_here(row)
    assert (tmp_path / "cache" / FILE).exists()  # and is not fetched again
    official = run("weights", "get", "resnet50", "--file", FILE).exception
    assert "has no use for --file" in str(official)


def test_what_is_published_is_listed_with_what_is_here(store: Store, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_bytes(b"")
    lines = run("weights", "list", "mine").output.splitlines()
    rows = {line.split()[1]: line for line in lines if line.count("│") > 2}
    assert rows.keys() == {"small", "by-hand"}
    assert "its file" in rows["small"]
    assert "no; by hand" in rows["by-hand"]
    assert str(tmp_path / "cache") in lines[-2]
    assert '"licence": "BSD-3-Clause"' in run("weights", "list", "resnet50", "--json").output
    assert all(name in run("weights").output for name in OFFICIAL)


def test_a_network_of_the_hub_is_fetched_as_safetensors_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    digest = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"  # of "aaa"
    sizes = {"config.json": None, "model.safetensors": digest, "pytorch_model.bin": None, "x.py": 0}
    siblings = [
        SimpleNamespace(rfilename=name, size=3, lfs=SimpleNamespace(sha256=sha) if sha else None)
        for name, sha in sizes.items()
    ]
    about = SimpleNamespace(siblings=siblings, sha="abc", card_data=SimpleNamespace(license="mit"))
    asked = []

    def model_info(self, repo_id, *, revision=None, files_metadata=False):
        return about

    def snapshot_download(repo_id, *, revision=None, allow_patterns=None):
        asked.append((repo_id, revision, allow_patterns))
        for name in allow_patterns:
            (tmp_path / name).write_text("aaa")
        return str(tmp_path)

    nowhere = partial(hub.HfApi, endpoint="http://127.0.0.1:9")
    with monkeypatch.context() as offline:
        offline.setattr(hub, "HfApi", nowhere)
        said = str(run("weights", "get", "hf:org/net").exception)
    assert "hf:org/net could not be fetched" in said
    assert "hf download org/net where there is a network" in said
    monkeypatch.setattr(hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    done = run("weights", "get", "hf:org/net")
    assert done.output.startswith("fetching hf:org/net (2 files, 0 MiB, licence mit)")
    assert asked == [("org/net", None, ["config.json", "model.safetensors"])]
    siblings[1].lfs.sha256 = "0" * 64
    assert "the hub states 00000000" in str(run("weights", "get", "hf:org/net").exception)
    assert not (tmp_path / "model.safetensors").exists()
    del siblings[1]
    assert "has no .safetensors" in str(run("weights", "get", "hf:org/net").exception)
