"""Predictions of many clips: those of one clip each, the same bytes however they were made."""

from __future__ import annotations

import csv
import json
import pickle
import random
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.outputs.forms import OutputOptions
from marey.engine.inference.outputs.submit import submit_predictions
from marey.engine.inference.predict import load
from marey.engine.inference.predict_many import Predictions, PredictOptions, predict_clips
from marey.engine.inference.stored import read_stored
from marey.engine.train.loop import train
from marey.errors import ManifestError, RunError
from marey.jobs.shards import Shard
from tests.tiny import CLASSES, tiny_recipe, write_clip, write_set

NUM_CLIPS = 9


@dataclass(frozen=True)
class Trained:
    run: Path
    clips: Path
    """A csv of paths and spans; its last clip is no video."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("predict")
    manifest = write_set(folder / "clips", per_class=1, val_per_class=1)
    run = train(tiny_recipe(manifest, epochs=1), folder / "run", quiet=True)
    (folder / "clips" / "broken.mp4").write_bytes(b"no video")
    clips = folder / "clips" / "unlabelled.csv"
    paths = [f"{name}_{i}.mp4" for name in CLASSES for i in range(2)]
    clips.write_text("path\n" + "\n".join([*paths, "broken.mp4"]) + "\n")
    return Trained(run, clips)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marey.engine.inference.jobs.PART_ROWS", 2)


def asked(trained: Trained, source: Path | None = None) -> PredictOptions:
    clips = str(source or trained.clips)
    return PredictOptions(model=trained.run, source=clips, top=3, workers=0, batch_size=2)


def read(path: Path) -> list[dict[str, object]]:
    return pq.read_table(path).to_pylist()


def test_each_clip_has_the_answer_it_has_alone(trained: Trained, tmp_path: Path) -> None:
    made = predict_clips(asked(trained), tmp_path / "p.parquet")
    assert made == Predictions(tmp_path / "p.parquet", NUM_CLIPS, 1)
    predictor = load(trained.run)
    *good, broken = read(made.path)
    for row in good:
        alone = predictor.predict(str(row["path"]), top=3)
        assert row["names"] == [answer["label"] for answer in alone]
        assert row["probabilities"] == pytest.approx([a["score"] for a in alone], abs=1e-6)
        assert len(row["scores"]) == len(CLASSES)
    assert [row["id"] for row in [*good, broken]] == [*range(NUM_CLIPS)]
    assert broken["scores"] is broken["names"] is broken["probabilities"] is None
    assert "broken.mp4" in str(broken["error"])
    facts = json.loads(pq.read_schema(made.path).metadata[b"marey"])
    assert facts["classes"] == {"label": list(CLASSES)}


@pytest.mark.parametrize("count", [2, 3])
def test_shards_in_any_order_write_the_bytes_of_one_process(
    trained: Trained, tmp_path: Path, count: int
) -> None:
    predict_clips(asked(trained), tmp_path / "whole.parquet")
    shards = [Shard(index, count) for index in range(count)]
    random.Random(count).shuffle(shards)
    made = [predict_clips(asked(trained), tmp_path / "p.parquet", shard=one) for one in shards]
    assert [one is None for one in made] == [True] * (count - 1) + [False]
    assert (tmp_path / "p.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_predictions_that_were_interrupted_go_on(trained: Trained, tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupt(done: int, total: int) -> None:
        seen.append(done)
        if seen == [2, 4]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_clips(asked(trained), tmp_path / "p.parquet", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [".p.parquet.parts"]
    predict_clips(asked(trained), tmp_path / "p.parquet", progress=interrupt)
    assert seen == [2, 4, 4, 6, 8, 9]
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


@dataclass(frozen=True)
class Elsewhere:
    """An engine whose workers know what they are told and nothing else."""

    def answers(self, function, jobs, *, timeout_seconds=60.0):
        told = pickle.dumps(function)
        for job in jobs:
            yield job, pickle.loads(told)(pickle.loads(pickle.dumps(job)))


def test_workers_that_load_the_model_themselves_write_the_same_bytes(
    trained: Trained, tmp_path: Path
) -> None:
    predict_clips(asked(trained), tmp_path / "here.parquet")
    predict_clips(asked(trained), tmp_path / "there.parquet", executor=Elsewhere())
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert here.read_bytes() == there.read_bytes()


def test_clips_that_come_meanwhile_are_not_taken_for_others(trained: Trained, tmp_path: Path):
    folder = tmp_path / "videos"
    folder.mkdir()
    write_clip(folder / "b.mp4", 1)

    class Slow(Elsewhere):
        def answers(self, function, jobs, *, timeout_seconds=60.0):
            write_clip(folder / "a.mp4", 2)
            return super().answers(function, jobs)

    with pytest.raises(ManifestError, match="the clips of .*videos changed meanwhile"):
        predict_clips(asked(trained, folder), tmp_path / "p.parquet", executor=Slow())
    assert not (tmp_path / "p.parquet").exists()


def test_a_folder_a_list_and_a_manifest_with_foreign_labels_are_read(
    trained: Trained, tmp_path: Path
) -> None:
    folder, scores = tmp_path / "videos", []
    (folder / "below").mkdir(parents=True)
    write_clip(folder / "a.mp4", 1)
    write_clip(folder / "below" / "b.mp4", 2)
    (tmp_path / "list.txt").write_bytes(b"videos/a.mp4\r\n\r\nvideos/below/b.mp4\r\n")
    (tmp_path / "other.csv").write_text("path,label\nvideos/a.mp4,chess\nvideos/below/b.mp4,77\n")
    table = {"path": ["videos/a.mp4", "videos/below/b.mp4"], "end": [0.6, None]}
    pq.write_table(pa.table(table | {"start": [0.0, 0.0]}), tmp_path / "spans.parquet")
    for source in ("videos", "list.txt", "other.csv", "spans.parquet"):
        predict_clips(asked(trained, tmp_path / source), tmp_path / "p.parquet", overwrite=True)
        rows = read(tmp_path / "p.parquet")
        assert [Path(str(row["path"])).name for row in rows] == ["a.mp4", "b.mp4"]
        scores.append([row["scores"] for row in rows])
    assert scores == [scores[0]] * 4
    assert [(row["start"], row["end"]) for row in rows] == [(0.0, 0.6), (0.0, None)]


def test_a_part_of_a_file_has_scores_of_its_own(trained: Trained, tmp_path: Path) -> None:
    source = trained.clips.with_name("parts.csv")
    rows = "path,source,id,start_frame,end_frame\nred_0.mp4,real,P01,0,1\nred_0.mp4,made,P02,3,4\n"
    source.write_text(rows)
    predict_clips(asked(trained, source), tmp_path / "p.parquet", shard=Shard(0, 2))
    one, other = read(tmp_path / "p.parquet")
    assert one["scores"] != other["scores"]
    assert [one["source"], other["source"]] == ["real", "made"]
    assert [one["clip_id"], other["clip_id"]] == ["P01", "P02"]
    source.write_text(rows.replace("made", "real").replace("P01", "P03"))
    shard = Shard(0, 2)
    with pytest.raises(RunError, match="is there already"):  # of another input
        predict_clips(asked(trained, source), tmp_path / "p.parquet", shard=shard)
    predict_clips(asked(trained, source), tmp_path / "p.parquet", shard=shard, overwrite=True)
    assert [row["source"] for row in read(tmp_path / "p.parquet")] == ["real", "real"]
    assert [row["clip_id"] for row in read(tmp_path / "p.parquet")] == ["P03", "P02"]
    assert json.loads(pq.read_schema(tmp_path / "p.parquet").metadata[b"marey"])["span_unit"] == (
        "frames"
    )


def test_what_cannot_be_predicted_is_said_before_the_work(trained: Trained, tmp_path: Path) -> None:
    def fails(source: str, content: bytes | None, match: str, out: str = "p.parquet") -> None:
        if content is not None:
            (tmp_path / source).write_bytes(content)
        with pytest.raises((ManifestError, RunError), match=match):
            predict_clips(asked(trained, tmp_path / source), tmp_path / out)

    (tmp_path / "empty").mkdir()
    fails("empty", None, "empty holds no videos")
    fails("gone.mp4", None, "gone.mp4 does not exist")
    fails("gone.csv", None, "cannot read .*gone.csv")
    fails("gone.txt", None, "cannot read .*gone.txt")
    fails("none.txt", b"", "none.txt: the list is empty")
    fails("blank.txt", b"\n\n", "blank.txt: the list is empty")
    fails("latin.txt", b"caf\xe9.mp4\n", r"latin\.txt:1: bytes that are not UTF-8")
    fails("none.csv", b"path\n", "no rows, only a header")
    fails("names.csv", b"movie,size\na.mp4,4\n", "no column is known as the paths, only `movie`")
    fails("a.npy", b"", "holds features, the model takes frames")
    fails("none.txt", None, "no name of a file of predictions", out="p.json")
    rooted = replace(asked(trained, tmp_path / "out.txt"), root=str(tmp_path))
    (tmp_path / "out.txt").write_text("a.mp4\n../b.mp4\n")
    with pytest.raises(ManifestError, match=r"out.txt:2: .*b.mp4', outside the root"):
        predict_clips(rooted, tmp_path / "p.parquet")


def test_the_command_writes_what_it_shows_of_one_clip(trained: Trained, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["predict", str(trained.run), *words], terminal_width=200)
        return done.output if done.exit_code == 0 else f"{done.output}{done.exception}"

    out = tmp_path / "p.parquet"
    clip = str(trained.clips.with_name("red_0.mp4"))
    first = json.loads(run(clip, "--json"))[clip][0]
    said = run(str(trained.clips), "--out", str(out), "-j", "0", "-b", "2")
    assert "1 of 9 clips could not be read" in said
    row = next(row for row in read(out) if row["path"] == clip)
    assert row["names"][0] == first["label"]
    assert " when all shards" in run(
        str(trained.clips), "--out", str(tmp_path / "q.parquet"), "--shard", "0/2", "-j", "0"
    )
    assert "is a list of clips" in run(str(trained.clips))
    several = [clip, str(trained.clips.with_name("red_1.mp4"))]
    pattern = str(trained.clips.with_name("red_[01].mp4"))
    assert list(json.loads(run(*several, "--json"))) == several
    assert list(json.loads(run(pattern, "--json"))) == several
    assert "read as: 2 files" in run(*several, "--out", str(tmp_path / "r.parquet"), "-j", "0")
    assert [row["path"] for row in read(tmp_path / "r.parquet")] == several
    assert "matches no file" in run(str(trained.clips.with_name("pink_*.mp4")))
    assert "--shard is for many clips" in run(clip, "--shard", "0/2")
    assert "--window is for what is shown" in run(clip, "--out", str(out), "--window", "1")


def test_other_files_are_written_from_the_same_parts(trained: Trained, tmp_path: Path) -> None:
    listed = trained.clips.with_name("lines.txt")
    listed.write_text("red_0.mp4 6 1\nblue_0.mp4 6 3\ngone.mp4 6 2\n")
    predict_clips(asked(trained, listed), tmp_path / "p.parquet")
    table = read(tmp_path / "p.parquet")
    assert [row["label"] for row in table] == [1, 3, 2]
    facts = json.loads(pq.read_schema(tmp_path / "p.parquet").metadata[b"marey"])
    assert facts["read_as"] == "`path num_frames label`, space-separated, 3 rows"
    for shard in (Shard(1, 2), Shard(0, 2)):
        made = predict_clips(asked(trained, listed), tmp_path / "p.csv", shard=shard)
    assert made == Predictions(tmp_path / "p.csv", 3, 1)
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["top1"] for row in rows[:2]] == [row["names"][0] for row in table[:2]]
    assert [row["label"] for row in rows] == ["red", "blue", "green"]
    submit_predictions(tmp_path / "p.parquet", tmp_path / "again.csv", OutputOptions(form="csv"))
    again = (tmp_path / "again.csv").read_text()
    predict_clips(asked(trained, listed), tmp_path / "q.csv", output=OutputOptions(form="csv"))
    assert again == (tmp_path / "q.csv").read_text()


def test_a_submission_that_lacks_clips_keeps_what_was_scored(
    trained: Trained, tmp_path: Path
) -> None:
    out, seen = tmp_path / "p.csv", list[int]()
    wanted = OutputOptions(form="tsm")
    with pytest.raises(RunError, match="1 of 9 clips could not be read: broken"):
        predict_clips(asked(trained), out, output=wanted)
    assert not out.exists()
    predict_clips(
        asked(trained),
        out,
        output=replace(wanted, allow_missing=True),
        progress=lambda done, _: seen.append(done),
    )
    assert not seen
    assert out.read_text().splitlines()[-1] == f"broken;{CLASSES[0]}"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]
    with pytest.raises(RunError, match="the model knows 4 of 'label', Jester has"):
        predict_clips(asked(trained), out, output=OutputOptions(form="jester"))


def test_labels_beside_the_scores_are_evaluated_and_unread_clips_are_wrong(
    trained: Trained, tmp_path: Path
) -> None:
    listed = trained.clips.with_name("known.txt")
    listed.write_text("red_0.mp4 6 1\nblue_0.mp4 6 3\ngone.mp4 6 2\n")
    made = predict_clips(asked(trained, listed), tmp_path / "p.parquet")
    assert made is not None
    right = sum(row["names"][0] == CLASSES[row["label"]] for row in _read(made))
    stored = read_stored(made.path).evaluation
    assert [*stored.missing] == [2]
    assert stored.metrics["acc/top1"] == pytest.approx(100 * right / 3)
    assert stored.manifest.classes == {"label": CLASSES}
    assert stored.average == "logits"
    unlabelled = predict_clips(asked(trained), tmp_path / "q.parquet")
    assert unlabelled is not None
    with pytest.raises(RunError, match="has 'scores' but no labels"):
        read_stored(unlabelled.path)


def _read(made: Predictions) -> list[dict]:
    return [row for row in read(made.path) if row["error"] is None]
