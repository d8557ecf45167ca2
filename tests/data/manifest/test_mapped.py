"""Manifests that are mapped into memory: they hold what a CSV holds, and cost next to nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import runpy
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.data.loading.samplers import ClassBalanced, EpochSampler, InstanceBalanced, SquareRoot
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest, require_files
from marey.data.manifest.write import write_manifest
from marey.errors import ManifestError

CSV = (
    "path,label,verb,split,group,source,id,start,end,num_frames,fps\n"
    "a.mp4,0,up,train,g1,real,1,0,2.5,30,10\n"
    "b.mp4,2,down,val,g2,made,,,,,\n"
    "c.mp4,1,up,train,g1,made,é,1,,12,\n"
    "a.mp4,1,up,test,g3,real,7,2.5,3,30,10\n"
    "a.mp4,2,up,test,g3,real,8,2.5,3,30,10\n"
)
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "manifest_scale.py"
FIELDS = ("labels", "classes", "starts", "ends", "frame_counts", "rates", "unit")


def read_csv(folder: Path, text: str = CSV) -> Manifest:
    (folder / "labels.txt").write_text("jump\nrun\nhop\n")
    (folder / "labels.verb.txt").write_text("up\ndown\n")
    (folder / "m.csv").write_text(text)
    return read_manifest(folder / "m.csv")


def mapped(manifest: Manifest, path: Path) -> Manifest:
    write_manifest(manifest, path)
    return read_manifest(path)


def assert_same(one: Manifest, other: Manifest) -> None:
    assert list(one.texts()) == list(other.texts())
    for name in ("splits", "groups", "sources", "ids"):
        columns = getattr(one, name), getattr(other, name)
        assert columns[0] is columns[1] is None or columns[0].to_pylist() == columns[1].to_pylist()
    for name in FIELDS:
        np.testing.assert_equal(getattr(one, name), getattr(other, name))
    assert one.digest() == other.digest()


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("xyz")), min_size=1, max_size=30))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_split_of_a_mapped_manifest_holds_what_the_csv_holds(tmp_path, rows):
    body = "".join(f"v{i}.mp4,{label},{split}\n" for i, (label, split) in enumerate(rows))
    found = read_csv(tmp_path, "path,label,split\n" + body)
    again = mapped(found, tmp_path / "m.arrow")
    for split in found.split_counts():
        assert_same(again.select(split), found.select(split))
        assert_same(read_manifest(tmp_path / "m.arrow", split=split), found.select(split))


def test_all_columns_come_back_in_the_order_of_the_splits(tmp_path):
    found = read_csv(tmp_path)
    again = mapped(found, tmp_path / "m.arrow")
    assert_same(again, found.take(np.array([0, 2, 1, 3, 4])))
    assert_same(again.take(np.array([3, 0])), found.take(np.array([3, 0])))
    write_manifest(again, tmp_path / "again.csv")
    assert_same(read_manifest(tmp_path / "again.csv"), again)


def test_clips_of_several_classes_are_mapped_as_such(tmp_path):
    found = read_csv(tmp_path, "path,label\na.mp4,0|2\nb.mp4,1\nc.mp4,0|1|2\n")
    assert_same(mapped(found, tmp_path / "m.arrow"), found)
    assert mapped(found, tmp_path / "m.arrow").labels["label"].shape == (3, 3)


def test_frames_and_other_folders_are_kept(tmp_path):
    text = "path,label,start_frame,end_frame\na.mp4,0,3,9\n/b.mp4,1,,5\n"
    found = read_csv(tmp_path, text)
    again = mapped(found, tmp_path / "lists" / "m.arrow")
    assert [again.span(row) for row in (0, 1)] == [found.span(row) for row in (0, 1)]
    assert [again.path(row) for row in (0, 1)] == [tmp_path / "a.mp4", Path("/b.mp4")]
    with pytest.raises(ManifestError, match=r"m\.arrow:row 2: 'path' is '/b.*outside the root"):
        read_manifest(tmp_path / "lists" / "m.arrow", at=Location(tmp_path))


def test_a_split_travels_to_other_processes_as_the_name_of_the_file(tmp_path):
    rows = "".join(f"clip_{i:06d}.mp4,{i % 3},{'train' if i % 4 else 'val'}\n" for i in range(4000))
    found = mapped(read_csv(tmp_path, "path,label,split\n" + rows), tmp_path / "m.arrow")
    split = found.select("train")
    for manifest in (found, split):
        sent = pickle.dumps(manifest)
        assert len(sent) < 4000
        assert_same(pickle.loads(sent), manifest)
    hot = split.with_several(["label"])  # labels that are not the file's own travel with it
    assert_same(pickle.loads(pickle.dumps(hot)), hot)
    some = split.take(np.array([5, 3]))
    assert_same(pickle.loads(pickle.dumps(some)), some)


def test_a_file_replaced_under_a_run_is_an_error_and_not_other_clips(tmp_path):
    found = mapped(read_csv(tmp_path), tmp_path / "m.arrow")
    sent = pickle.dumps(found)
    write_manifest(found.take(np.array([1, 0])), tmp_path / "m.arrow")
    with pytest.raises(ManifestError, match=r"m\.arrow was replaced while it was in use"):
        pickle.loads(sent)


def test_a_table_that_another_tool_wrote_is_checked_wholly(tmp_path):
    mapped(read_csv(tmp_path, "path,label\na.mp4,0\nb.mp4,1\n"), tmp_path / "m.arrow")
    table = pa.ipc.open_file(str(tmp_path / "m.arrow")).read_all()
    with pa.ipc.new_file(str(tmp_path / "n.arrow"), table.schema) as file:  # metadata and all
        file.write_table(pa.concat_tables([table, table]))
    with pytest.raises(ManifestError, match=r"n\.arrow:row 3: 'path' is 'a\.mp4', as in row 1"):
        read_manifest(tmp_path / "n.arrow")


@pytest.mark.parametrize("mark", ["{", "[]", "7", "{}"])
def test_a_file_with_a_mark_of_something_else_is_checked_wholly(tmp_path, mark):
    batch = pa.record_batch({"path": ["../a.mp4"], "label": [0]})
    with pa.ipc.new_file(tmp_path / "m.arrow", batch.schema) as file:
        file.write_batch(batch, custom_metadata={"marey.checked": mark})
    with pytest.raises(ManifestError, match="outside the root"):
        read_manifest(tmp_path / "m.arrow", at=Location(tmp_path))


def test_paths_stay_below_a_root_that_is_given_whatever_the_mark_says(tmp_path):
    paths = pa.array(["../a.mp4"], pa.large_string())
    batch = pa.record_batch({"path": paths, "label": [0]})
    mark = {"version": 1, "rows": 1, "digest": "", "inside": True}
    schema = batch.schema.with_metadata({"marey.classes": '{"label": ["wave"]}'})
    with pa.ipc.new_file(tmp_path / "m.arrow", schema) as file:
        file.write_batch(
            batch.replace_schema_metadata(schema.metadata),
            custom_metadata={"marey.checked": json.dumps(mark)},
        )
    assert read_manifest(tmp_path / "m.arrow").mapped is not None
    with pytest.raises(ManifestError, match="outside the root"):
        read_manifest(tmp_path / "m.arrow", at=Location(tmp_path))


def test_a_file_cut_short_and_heads_that_differ_are_errors(tmp_path):
    mapped(read_csv(tmp_path), tmp_path / "m.arrow")
    with pytest.raises(ManifestError, match=r"has 3 classes; the model's head 'label' has 4"):
        read_manifest(tmp_path / "m.arrow", heads={"label": 4})
    with pytest.raises(ManifestError, match=r"no column 'noun', only label, verb"):
        read_manifest(tmp_path / "m.arrow", heads={"noun": 4})
    assert list(read_manifest(tmp_path / "m.arrow", heads={"verb": 2}).labels) == ["verb"]
    data = (tmp_path / "m.arrow").read_bytes()
    (tmp_path / "m.arrow").write_bytes(data[: len(data) // 2])
    with pytest.raises(ManifestError, match="not an Arrow file"):
        read_manifest(tmp_path / "m.arrow")


def test_files_are_looked_for_when_asked(tmp_path):
    mapped(read_csv(tmp_path), tmp_path / "m.arrow")
    with pytest.raises(
        ManifestError, match=r"m\.arrow:row 1: no file .*a\.mp4.*\n(.*\n)*.*row 4: no file"
    ):
        require_files(read_manifest(tmp_path / "m.arrow"))


# --- size ---------------------------------------------------------------------------------------


def long_list(folder: Path, num_rows: int) -> Path:
    """A mapped manifest of 1,000 classes, long-tailed, 95 % of it for training."""
    made_up = runpy.run_path(str(EXAMPLE))["made_up"]
    write_manifest(made_up(num_rows, folder), folder / "m.arrow")
    return folder / "m.arrow"


def limits(path: Path, seconds: float) -> None:
    """Open, start all samplers and draw a million indices, each within so many CPU seconds."""
    start = time.process_time()
    train = read_manifest(path, split="train")
    opened = time.process_time()
    assert opened - start < seconds
    for sampler in (InstanceBalanced(), ClassBalanced(), SquareRoot()):
        rows = sampler.epoch_rows(train.labels["label"], seed=0, epoch=0)
        assert time.process_time() - opened < seconds
        opened = time.process_time()
    drawn = sum(map(len, EpochSampler(rows[:1_000_000], 64, seed=0, epoch=0)))
    assert time.process_time() - opened < drawn / 1e6 + 0.1


def test_a_hundred_thousand_rows_open_and_are_drawn_at_once(tmp_path):
    limits(long_list(tmp_path, 100_000), seconds=0.5)  # 0.02 s on an idle core


@pytest.mark.long  # writes 0.7 GB
def test_ten_million_rows_open_and_start_in_two_seconds(tmp_path):
    path = long_list(tmp_path, 10_000_000)
    before = psutil.Process().memory_info().rss
    limits(path, seconds=2)
    assert psutil.Process().memory_info().rss - before < 1e9


def own_bytes(manifest: Manifest, answer: multiprocessing.connection.Connection) -> None:
    """Read every 50th row, as a loader worker does, and say what memory that took for itself."""
    before = psutil.Process(os.getpid()).memory_full_info().uss
    for row in range(0, len(manifest), 50):
        assert manifest.path(row).name
        assert manifest.labels["label"][row] >= 0
    answer.send(psutil.Process(os.getpid()).memory_full_info().uss - before)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_shares_the_rows_with_the_process_that_started_it(tmp_path, method):
    path = long_list(tmp_path, 400_000)
    train = read_manifest(path, split="train")
    train.digest()  # all pages of the file are in this process too: none is another's alone
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=own_bytes, args=(train, theirs))
    process.start()
    taken = ours.recv()
    process.join()
    assert path.stat().st_size > 25e6
    assert taken < 7e6


def test_a_folder_whose_name_is_not_utf8_holds_manifests_and_is_named_where_it_cannot(tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    found = read_csv(odd)
    for name in ("m.arrow", "m.parquet"):
        again = mapped(found, odd / name)
        assert sorted(again.texts()) == sorted(found.texts())
    with pytest.raises(ManifestError, match="a name that is not UTF-8, which no manifest can hold"):
        write_manifest(found, tmp_path / "m.csv")
