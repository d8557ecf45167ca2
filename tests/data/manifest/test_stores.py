"""Manifests and clips in stores, and clips of one manifest below several roots."""

from __future__ import annotations

import pickle
from pathlib import Path

import fsspec
import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.checks.probe import probe_clips
from marey.data.loading.clips import ClipDataset
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest, require_files, require_local_files
from marey.data.manifest.write import write_manifest
from marey.errors import ManifestError
from marey.jobs.executors import Processes
from marey.storage import asking
from marey.storage.url import Url
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments
from tests.manifests import read_complete
from tests.store import serving

CSV = "path,label,source\nreal/a.mp4,1,real\nmade/b.mp4,0,made\n"


@pytest.fixture
def folder(tmp_path, video):
    for name in ("real/a.mp4", "made/b.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(video.read_bytes())
    (tmp_path / "labels.txt").write_text("jump\nrun\n")
    (tmp_path / "m.csv").write_text(CSV)
    return tmp_path


@pytest.fixture(params=["file", "memory", "http"])
def store(request, folder):
    if request.param == "file":
        yield Url(folder.as_uri())
    elif request.param == "memory":
        files = fsspec.filesystem("memory")
        files.put(str(folder) + "/", f"/{folder.name}/", recursive=True)
        yield Url(f"memory://{folder.name}")
    else:
        with serving(folder) as server:
            yield Url(server.url)


def clip_sums(manifest: Manifest) -> list[int]:
    data = ClipDataset(manifest, Segments(2), CenterCrop(16, 16))
    return [int(data[row, None].clip.sum()) for row in range(len(manifest))]


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.arrow"])
def test_a_manifest_in_a_store_is_the_one_that_lies_here(folder, store, name):
    here = read_complete(folder / "m.csv")
    write_manifest(here, folder / name)
    if store.text.startswith("memory"):
        fsspec.filesystem("memory").put(str(folder / name), f"/{folder.name}/{name}")
    there = read_manifest(store / name)
    assert list(there.texts()) == list(here.texts())
    assert there.classes == here.classes == {"label": ("jump", "run")}
    assert there.sources.to_pylist() == ["real", "made"]
    assert there.digest() == here.digest()
    assert clip_sums(there) == clip_sums(here)
    assert clip_sums(pickle.loads(pickle.dumps(there))) == clip_sums(here)
    if store.text.startswith("http") and name == "m.csv":  # memory is each process's own
        assert [probe.frames for _, probe in probe_clips(there, executor=Processes(1))] == [12, 12]


def test_files_in_a_store_are_looked_for_by_listing_and_only_when_asked(folder, monkeypatch):
    (folder / "m.csv").write_text(CSV + "made/no.mp4,0,made\n")
    with serving(folder) as server:
        found = read_manifest(folder / "m.csv", at=Location(server.url))
        require_local_files(found)
        assert not server.asked
        with pytest.raises(ManifestError, match=r"m\.csv:4: no file 'http.*/made/no\.mp4'"):
            require_files(found)
        assert len(server.asked) < 8  # two folders


def test_messages_about_a_manifest_in_a_store_name_its_url_and_no_secret(folder, monkeypatch):
    monkeypatch.setattr(asking, "WAIT_SECONDS", 0.0)
    (folder / "m.csv").write_text(CSV + "c.mp4,7,real\n")
    with serving(folder) as server:
        url = server.url + "/m.csv?key=secret"
        where = rf"^{server.url}/m\.csv:4: 'label' is 7; this head has 2 classes"
        with pytest.raises(ManifestError, match=where) as failed:
            read_manifest(url)
        assert "secret" not in str(failed.value)
        with pytest.raises(ManifestError, match=r"cannot read http.*/n\.csv: no such file"):
            read_manifest(server.url + "/n.csv")
        server.failures = 99
        with pytest.raises(ManifestError, match=r"cannot read .*/m\.csv: status 503, 3 times"):
            read_manifest(url)
    (folder / "odd.csv").write_text("path,lable\na,0\n")
    with pytest.raises(ManifestError, match=r"odd\.csv:1: unknown column 'lable'"):
        read_manifest(Url(folder.as_uri()) / "odd.csv")


# --- the way out of a root ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "../x.mp4",
        "/etc/x.mp4",
        "a/../../x.mp4",
        "%2e%2e/x.mp4",
        "a/%2E./x",
        "file:///etc/x",
        "http://other/x.mp4",
        "zip::http://other/x",
        "a\\..\\x.mp4",
    ],
)
def test_no_row_leaves_a_root_in_a_store(tmp_path, path):
    (tmp_path / "m.csv").write_text(f"path,label\na.mp4,0\n{path},0\n")
    for read in (
        lambda: read_manifest(tmp_path / "m.csv", at=Location("http://127.0.0.1:9/clips")),
        lambda: read_manifest(Url((tmp_path / "m.csv").as_uri())),
    ):
        with pytest.raises(ManifestError, match=r"m\.csv:3: 'path' is .*(outside|not allowed)"):
            read()


def test_a_mapped_manifest_that_may_leave_is_looked_at_again(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\na.mp4,0\n%2e%2e/x.mp4,0\n")
    found = read_manifest(tmp_path / "m.csv")
    write_manifest(found, tmp_path / "m.arrow")
    read_manifest(tmp_path / "m.arrow")
    with pytest.raises(ManifestError, match=r"m\.arrow:row 2: 'path' is '%2e%2e/x\.mp4', outside"):
        read_manifest(tmp_path / "m.arrow", at=Location("s3://b/clips"))


def test_a_row_that_is_a_url_is_read_only_below_one_that_the_user_named(folder):
    with serving(folder) as server:
        rows = f"path,label\nmade/b.mp4,0\n{server.url}/real/a.mp4,1\n"
        (folder / "m.csv").write_text(rows)
        with pytest.raises(ManifestError, match=r"m\.csv:3: 'path' is 'http.*a url not allowed"):
            read_manifest(folder / "m.csv")
        for other in (server.url + "/re", server.url + "/made", "https://127.0.0.1/"):
            with pytest.raises(ManifestError, match="a url not allowed"):
                read_manifest(folder / "m.csv", at=Location(urls=[other]))
        found = read_manifest(folder / "m.csv", at=Location(urls=[server.url + "/real"]))
        assert [str(found.path(row)) for row in (0, 1)] == [
            str(folder / "made/b.mp4"),
            server.url + "/real/a.mp4",
        ]
        assert len(set(clip_sums(found))) == 1
    (folder / "m.csv").write_text("path,label\ns3://b/clips/../x.mp4,0\n")
    with pytest.raises(ManifestError, match=r"m\.csv:2: 'path' is '\.\./x\.mp4', outside.*s3://b"):
        read_manifest(folder / "m.csv", at=Location(urls=["s3://b/clips"]))


# --- several roots ------------------------------------------------------------------------------


def test_every_source_has_the_root_it_was_given(folder):
    (folder / "m.csv").write_text("path,label,source\na.mp4,1,real\nb.mp4,0,made\nc.mp4,0,other\n")
    roots = {"real": folder / "real", "made": "memory://made"}
    found = read_manifest(folder / "m.csv", at=Location(roots=roots))
    assert [str(found.path(row)) for row in range(3)] == [
        str(folder / "real/a.mp4"),
        "memory://made/b.mp4",
        str(folder / "c.mp4"),
    ]
    some = found.take(np.array([1, 0]))
    assert str(some.path(0)) == "memory://made/b.mp4"
    assert str(pickle.loads(pickle.dumps(some)).path(1)) == str(folder / "real/a.mp4")
    with pytest.raises(ManifestError, match=r"m\.csv:4: no file"):  # of this machine only
        require_local_files(found)
    write_manifest(found, folder / "n.csv")
    again = read_manifest(folder / "n.csv", at=Location(urls=["memory://made"]))
    assert [str(again.path(row)) for row in range(3)] == [str(found.path(row)) for row in range(3)]


def test_roots_of_sources_that_are_not_there_are_errors(folder):
    with pytest.raises(ManifestError, match=r"no clip has the source 'maid'.*did you mean 'made'"):
        read_manifest(folder / "m.csv", at=Location(roots={"maid": folder}))
    (folder / "m.csv").write_text("path,label\nreal/a.mp4,1\n")
    with pytest.raises(ManifestError, match=r"roots by source need a column 'source'"):
        read_manifest(folder / "m.csv", at=Location(roots={"real": folder}))
    (folder / "m.csv").write_text("path,label,source\na.mp4,1,\n")
    with pytest.raises(ManifestError, match=r":2: 'source' is empty.*name the source of every"):
        read_manifest(folder / "m.csv")


def test_a_clip_is_opened_below_its_root_also_after_a_change_of_columns(folder):
    found = read_complete(folder / "m.csv")
    moved = found.below(Url(folder.as_uri()))
    assert clip_sums(moved) == clip_sums(found)
    assert isinstance(moved.path(0), Url)
    assert isinstance(found.path(0), Path)


def test_every_command_that_takes_a_manifest_takes_a_url(folder, tmp_path_factory):
    out, url = tmp_path_factory.mktemp("out"), f"{folder.as_uri()}/m.csv"
    rows = [f"real/a.mp4,{n % 2},train,{n}" for n in range(9)]
    (folder / "m.csv").write_text("\n".join(["path,label,split,id", *rows, ""]))
    for words in (
        ["data", "check", url, "--out", out / "check.csv", "-j", 1],
        ["data", "stats", url, "--plot", out / "stats.svg", "-j", 1],
        ["data", "longtail", url, "--out", out / "lt.csv", "--imbalance", 3],
        ["data", "extract", url, out / "frames", "-j", 1],
        ["data", "pack", url, out / "packs", "--root", folder.as_uri(), "-j", 1],
        ["bench", "data", url, "--clips", 1],
    ):
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exit_code == 0, (words, done.output, done.exception)
    assert len(read_complete(out / "packs" / "manifest.csv")) == 9
    done = CliRunner().invoke(app, ["data", "stats", url])
    assert isinstance(done.exception, ManifestError)
    assert "lies in a store: no stats.svg beside it" in str(done.exception)
