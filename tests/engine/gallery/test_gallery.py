"""The page of a data set: what stands in it, whatever names and files there are."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.gallery.answers import read_answers
from marey.engine.gallery.gallery import drawn, write_gallery
from marey.engine.gallery.looks import make_looks
from marey.errors import ManifestError, RunError
from marey.jobs.executors import HERE
from tests.fake_run import CLASSES, write_clip, write_run
from tests.tiny import write_set

EVIL = "</script><img src=x onerror=alert(1)>&\"'"


def told(path: Path) -> dict:
    """What a page knows."""
    (text,) = re.findall(
        '<script type="application/json" id="page">(.*?)</script>', path.read_text()
    )
    return json.loads(text)


def few(folder: Path, lines: list[str], classes: str = "run\nsit\n") -> Manifest:
    (folder / "labels.txt").write_text(classes)
    path = folder / "manifest.csv"
    path.write_text("\n".join(["path,label,split", *lines]) + "\n")
    return read_manifest(path)


def test_every_clip_is_there_with_its_faults(tmp_path: Path):
    write_clip(tmp_path / "good.mp4")
    (tmp_path / "text.mp4").write_text("this is no video")
    manifest = few(tmp_path, ["good.mp4,0,train", "text.mp4,1,train", "gone.mp4,1,val"])
    made = write_gallery(manifest, tmp_path / "out" / "a.html", executor=HERE)
    assert made.faults == {"unreadable": 2}
    page = told(made.path)
    good, text, gone = page["clips"]
    assert (good["path"], good["split"], good["fault"]) == ("good.mp4", "train", "")
    assert (good["labels"], good["size"], good["frames"], good["seconds"]) == (
        [[0]],
        [160, 120],
        12,
        1,
    )
    assert [clip["fault"] for clip in (text, gone)] == ["unreadable"] * 2
    assert gone["reason"].startswith("no such file")
    assert str(tmp_path) not in made.path.read_text()
    media = made.path.parent / page["media"]
    assert (media / f"{good['key']}.jpg").read_bytes().startswith(b"\xff\xd8")
    assert b"ftyp" in (media / f"{good['key']}.mp4").read_bytes()[:12]
    assert not text["key"]


def test_what_is_made_is_not_made_again(tmp_path: Path):
    write_clip(tmp_path / "a.mp4")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    manifest = few(tmp_path, ["a.mp4,0,train", "b.mp4,1,train"])
    folder = tmp_path / "media"
    first = make_looks(manifest, folder, executor=HERE)
    stays, goes = (folder / f"{key}.mp4" for key, _ in first)
    written = stays.stat().st_mtime_ns
    (tmp_path / "b.mp4").write_bytes(b"another file now")
    (folder / "of somebody else.mp4").write_text("stays")
    second = make_looks(manifest, folder, executor=HERE)
    assert second[0] == first[0]
    assert stays.stat().st_mtime_ns == written
    assert second[1][1].probe.error
    assert not goes.exists()
    assert (folder / "of somebody else.mp4").exists()


def test_a_damaged_note_is_made_again(tmp_path: Path):
    write_clip(tmp_path / "a.mp4")
    manifest = few(tmp_path, ["a.mp4,0,train"])
    ((key, look),) = make_looks(manifest, tmp_path / "media", executor=HERE)
    (tmp_path / "media" / f"{key}.json").write_text('{"probe":')
    assert make_looks(manifest, tmp_path / "media", executor=HERE) == [(key, look)]


def test_spans_of_a_file_are_clips_of_their_own(tmp_path: Path):
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "m.csv").write_text(
        "path,label,start,end\na.mp4,0,0,0.5\na.mp4,0,0.5,1\na.mp4,0,9,12\n"
    )
    (tmp_path / "labels.txt").write_text("run\n")
    looks = make_looks(read_manifest(tmp_path / "m.csv"), tmp_path / "media", executor=HERE)
    assert [look.probe.frames for _, look in looks] == [6, 6, 0]
    assert "outside the video" in looks[2][1].probe.error
    assert len({key for key, _ in looks}) == 3


def test_a_long_clip_is_small_and_faster(tmp_path: Path):
    """Noise compresses worst."""
    import av

    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(60):
            noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        file.mux(stream.encode(None))
    manifest = few(tmp_path, ["a.mp4,0,train"])
    ((key, look),) = make_looks(manifest, tmp_path / "media", executor=HERE)
    assert look.seconds == pytest.approx(12)
    assert look.faster == pytest.approx(3)
    assert (tmp_path / "media" / f"{key}.mp4").stat().st_size < 150_000


def test_names_are_text_and_nothing_else(tmp_path: Path):
    name = EVIL.replace("/", "∕")
    write_clip(tmp_path / f"{name}.mp4")
    quoted = name.replace('"', '""')
    few(tmp_path, [f'"{quoted}.mp4",0,train'], classes=f"{EVIL}\nsit\n")
    made = write_gallery(
        read_manifest(tmp_path / "manifest.csv"), tmp_path / "a.html", executor=HERE
    )
    page = made.path.read_text()
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert told(made.path)["heads"][0]["classes"][0] == EVIL
    assert told(made.path)["clips"][0]["path"] == f"{name}.mp4"
    policy = re.findall('Content-Security-Policy" content="(.*?)"', page)[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"https?://", page)


def test_absolute_paths_are_shown_from_the_folder_that_all_lie_in(tmp_path: Path):
    lines = [f"{tmp_path}/one/a.mp4,0,train", f"{tmp_path}/two/b.mp4,1,train"]
    made = write_gallery(few(tmp_path, lines), tmp_path / "a.html", executor=HERE)
    assert [clip["path"] for clip in told(made.path)["clips"]] == ["one/a.mp4", "two/b.mp4"]
    assert str(tmp_path) not in made.path.read_text()


def test_all_of_rare_classes_are_drawn():
    labels = [0] * 50 + [1] * 3 + [2] * 20
    manifest = Manifest.from_columns(
        Path("m.csv"),
        Path(),
        {"path": [f"{i}.mp4" for i in range(73)], "label": labels},
        {"label": ("a", "b", "c")},
    )
    rows = drawn(manifest, 23, seed=0)
    assert np.bincount(np.array(labels)[rows]).tolist() == [10, 3, 10]
    assert (np.diff(rows) > 0).all()
    assert (drawn(manifest, 23, seed=0) == rows).all()
    assert (drawn(manifest, 23, seed=1) != rows).any()
    assert drawn(manifest, 100, seed=0).tolist() == list(range(73))


def of_run(tmp_path: Path) -> tuple[Path, Manifest]:
    """A run, and a manifest of its clips 0 to 5 and one that it never saw."""
    run = write_run(tmp_path / "run")
    data = tmp_path / "data"
    write_clip(data / "clips" / "new.mp4")
    lines = [f"clips/{i}.mp4,{i % 3}" for i in range(6)]
    (data / "all.csv").write_text("\n".join(["path,label", "clips/new.mp4,0", *lines]) + "\n")
    return run, read_manifest(data / "all.csv")


def test_answers_of_a_run_stand_beside_the_clips(tmp_path: Path):
    run, manifest = of_run(tmp_path)
    answers = read_answers(run, manifest)
    assert answers.name == "run, val"
    of = answers.heads["label"]
    assert sorted(of) == [1, 2, 3, 4, 5, 6]  # row 0 was not evaluated
    assert [of[row].is_right for row in sorted(of)] == [True, True, False, True, False, True]
    assert of[3].label == CLASSES[1]
    assert of[5].confidence > of[4].confidence
    made = write_gallery(manifest, tmp_path / "a.html", answers=answers, executor=HERE)
    page = told(made.path)
    assert page["clips"][0]["answers"] == [None]
    label, sure, right = page["clips"][3]["answers"][0]
    assert (label, right) == (CLASSES[1], False)
    assert sure == pytest.approx(of[3].confidence, abs=1e-4)


def test_answers_to_drawn_clips_are_theirs(tmp_path: Path):
    run, manifest = of_run(tmp_path)
    answers = read_answers(run, manifest)
    made = write_gallery(manifest, tmp_path / "a.html", most=3, answers=answers, executor=HERE)
    page = told(made.path)
    assert page["note"] == "3 of 7 clips, drawn evenly over the classes"
    for clip in page["clips"]:
        row = [*manifest.texts()].index(clip["path"])
        expected = answers.heads["label"].get(row)
        assert (clip["answers"][0] or [None])[0] == (expected and expected.label)


def test_a_run_of_other_clips_is_refused(tmp_path: Path):
    run, _ = of_run(tmp_path)
    (tmp_path / "labels.txt").write_text("run\n")
    (tmp_path / "m.csv").write_text("path,label\nother.mp4,0\n")
    with pytest.raises(RunError, match="of none of the clips of .*m.csv"):
        read_answers(run, read_manifest(tmp_path / "m.csv"))
    shutil.rmtree(run / "results")
    with pytest.raises(RunError, match="no evaluation with answers"):
        read_answers(run, read_manifest(tmp_path / "m.csv"))


def test_features_have_no_pictures(tmp_path: Path):
    manifest = few(tmp_path, ["a.mp4,0,train"])
    np.save(tmp_path / "a.npy", np.zeros((4, 8), np.float32))
    (tmp_path / "f.csv").write_text("path,label\na.npy,0\n")
    with pytest.raises(ManifestError, match="holds features, which have no pictures"):
        write_gallery(read_manifest(tmp_path / "f.csv"), tmp_path / "a.html", executor=HERE)
    nothing = replace(manifest, table=manifest.table.slice(0, 0))
    with pytest.raises(ManifestError, match="no clips to show"):
        write_gallery(nothing, tmp_path / "a.html", executor=HERE)


def test_the_command_says_what_it_wrote(tmp_path: Path):
    manifest = write_set(tmp_path, per_class=2, val_per_class=1)
    (tmp_path / "red_0.mp4").write_text("broken")
    words = ["data", "show", str(manifest), "--split", "train", "--most", "6", "-j", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "shown: 6 of 8 clips, drawn evenly over the classes" in done.output
    assert "1 unreadable" in done.output
    assert f"written: {tmp_path / 'show.html'} and show.media" in " ".join(done.output.split())
    assert {clip["split"] for clip in told(tmp_path / "show.html")["clips"]} == {"train"}
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "page")])
    assert told(tmp_path / "page" / "show.html")["media"] == "show.media"


def test_the_command_says_all_as_json(tmp_path: Path) -> None:
    manifest = write_set(tmp_path, per_class=1, val_per_class=1)
    done = CliRunner().invoke(app, ["data", "show", str(manifest), "--json", "--most", "3"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["path"] == str(tmp_path / "show.html")
    assert told["folder"] == str(tmp_path / "show.media")
    assert (told["num_clips"], told["clips"], told["faults"]) == (3, 8, {})


def test_a_stop_says_where_the_pictures_are_and_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("marey.engine.gallery.gallery.make_looks", stopped)
    manifest = read_manifest(write_set(tmp_path, per_class=1, val_per_class=1))
    with pytest.raises(KeyboardInterrupt) as stop:
        write_gallery(manifest, tmp_path / "show.html", executor=HERE)
    assert stop.value.__notes__ == [
        f"{tmp_path / 'show.html'} is not written; the pictures made so far are kept in "
        f"{tmp_path / 'show.media'}, and the same command goes on"
    ]
