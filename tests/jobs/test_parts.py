"""Work in parts: the same file whoever makes it, and nothing lost or made twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.data.manifest.manifest import Manifest, digest_with, table_digest
from marey.errors import ManifestError, RunError
from marey.jobs.executors import Executor, Here, Processes
from marey.jobs.half_done import input_digest
from marey.jobs.parts import ATTEMPTS, Parts, _make_part, make_parts
from marey.jobs.shards import Shard
from marey.storage.atomic import replacing
from marey.storage.lock import Held, locked

HERE = Here()


def squares(log: Path, rows: range, file: BinaryIO) -> None:
    """The squares of the rows, a line each; who made which rows stands in a log."""
    file.write("".join(f"{row * row}\n" for row in rows).encode())
    with log.open("a") as said:
        said.write(f"{rows.start}\n")


def slow_squares(log: Path, rows: range, file: BinaryIO) -> None:
    time.sleep(0.1)
    squares(log, rows, file)


def crash_at_first(flag: Path, rows: range, file: BinaryIO) -> None:
    """Lose the process of the second part, the first time or always."""
    if rows.start == 2 and (flag.name == "always" or not flag.exists()):
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    squares(flag.with_name("log"), rows, file)


def refuse(rows: range, file: BinaryIO) -> None:
    if rows.start >= 2:
        raise ManifestError("disk full")
    file.write(b"x")


def concatenate(target: Path, paths: Sequence[Path]) -> None:
    with replacing(target) as file:
        for path in paths:
            file.write(path.read_bytes())


def run(
    target: Path, *, num_rows=9, size=2, make=squares, digest="d", executor: Executor = HERE, **k
):
    parts = Parts(target, num_rows, size, digest)
    log = target.with_name("log")
    return make_parts(
        parts, partial(make, log), partial(concatenate, target), executor=executor, **k
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def whole(num_rows: int) -> bytes:
    return "".join(f"{row * row}\n" for row in range(num_rows)).encode()


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(2, 6), st.randoms())
def test_any_slicing_and_order_of_shards_makes_the_same_file_each_part_once(
    num_rows, size, count, random
):
    order = [*range(count), *range(count)]  # each shard also repeated, before or after the end
    random.shuffle(order)
    with TemporaryDirectory() as folder:
        target = Path(folder) / "t"
        made = [
            run(target, num_rows=num_rows, size=size, shard=Shard(index, count)) for index in order
        ]
        assert target.read_bytes() == whole(num_rows)
        last = max(order.index(index) for index in range(count))
        assert all(made[last:])
        log = target.with_name("log")
        starts = sorted(map(int, log.read_text().split())) if log.exists() else []
        assert starts == list(range(0, num_rows, size))


def test_without_shards_only_the_target_stays_and_a_repetition_makes_it_anew(tmp_path):
    for _ in range(2):
        assert run(tmp_path / "t", executor=Processes(2))
        assert names(tmp_path) == ["log", "t"]
    assert (tmp_path / "t").read_bytes() == whole(9)
    assert len((tmp_path / "log").read_text().split()) == 10


def test_a_shard_may_be_repeated_after_the_join_and_another_input_begins_anew(tmp_path):
    target = tmp_path / "t"
    assert [run(target, shard=Shard(i, 2)) for i in (0, 1, 0)] == [False, True, True]
    assert len((tmp_path / "log").read_text().split()) == 5
    assert not run(target, digest="another", shard=Shard(0, 2))
    assert target.read_bytes() == whole(9)
    target.unlink()
    assert not run(target, shard=Shard(0, 2))


def test_who_looks_while_parts_are_removed_finds_nothing_to_make(tmp_path, monkeypatch):
    parts, found = Parts(tmp_path / "t", 9, 2, "d"), []
    remove = shutil.rmtree

    def half_done(folder, **options):
        for file in folder.glob("*1.part"):
            file.unlink()
        found.append(parts.missing())
        remove(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", half_done)
    assert run(tmp_path / "t")
    assert found == [[]] * len(found) != []


def test_who_waits_while_another_process_joins_finds_all_done(tmp_path):
    parts = Parts(tmp_path / "t", 9, 2, "d")
    joined = []

    def slowly(paths):
        joined.append(len(paths))
        time.sleep(0.2)
        concatenate(parts.target, paths)

    both = [make_parts, make_parts]
    with ThreadPoolExecutor(2) as pool:
        log = tmp_path / "log"
        made = [pool.submit(f, parts, partial(squares, log), slowly, executor=HERE) for f in both]
    assert [answer.result() for answer in made] == [True, True]
    assert joined == [5]


def test_a_part_that_is_joined_meanwhile_is_not_made_again(tmp_path):
    parts = Parts(tmp_path / "t", 9, 2, "d")
    part = parts[0]
    assert _make_part(partial(squares, tmp_path / "log"), part) is None
    assert names(tmp_path) == []


def test_parts_of_another_input_are_not_taken(tmp_path):
    target = tmp_path / "t"
    run(target, shard=Shard(0, 2), num_rows=8)
    assert run(target, num_rows=9)
    assert target.read_bytes() == whole(9)


@pytest.mark.parametrize("flag", ["once", "always"])
def test_a_part_that_kills_its_process_is_begun_again_a_few_times(tmp_path, flag):
    parts = Parts(tmp_path / "t", 6, 2, "d")
    make, join = partial(crash_at_first, tmp_path / flag), partial(concatenate, parts.target)
    if flag == "once":
        assert make_parts(parts, make, join, executor=Processes(2))
        assert parts.target.read_bytes() == whole(6)
        return
    said = f"3 parts .*: 1 not done, tried {ATTEMPTS} times; the first, rows 3 to 4: .*SIGKILL"
    with pytest.raises(RunError, match=said):
        make_parts(parts, make, join, executor=Processes(2))
    assert [part.number for part in parts.missing()] == [1]
    assert not parts.target.exists()


@pytest.mark.parametrize("executor", [Here(), Processes(1)])
def test_an_error_of_ours_is_raised_and_finished_parts_stay(tmp_path, executor):
    parts = Parts(tmp_path / "t", 6, 2, "d")
    with pytest.raises(ManifestError, match="disk full"):
        make_parts(parts, refuse, partial(concatenate, parts.target), executor=executor)
    assert [part.number for part in parts.missing()] == [1, 2]


def test_a_folder_that_cannot_be_written_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match="cannot write"):
        run(tmp_path / "file" / "t")


def test_progress_counts_the_rows_of_the_shard_also_those_done_before(tmp_path):
    seen: list[tuple[int, int]] = []
    parts = Parts(tmp_path / "t", 9, 2, "d")
    parts.folder.mkdir(parents=True)
    parts[2].path.write_bytes(b"")
    run(tmp_path / "t", shard=Shard(0, 2), progress=lambda *at: seen.append(at))
    assert seen == [(2, 5), (4, 5), (5, 5)]


_SCRIPT = """
import sys
from pathlib import Path
from tests.jobs.test_parts import run, slow_squares
print("ready", flush=True)
sys.stdin.readline()
run(Path(sys.argv[1]), num_rows=24, make=slow_squares)
"""


def start(target: Path) -> subprocess.Popen[bytes]:
    """A process that is about to make the target, and waits for a word."""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(target)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_killed_and_started_again_twice_at_once_it_makes_only_what_is_missing(tmp_path):
    target = tmp_path / "t"
    parts = Parts(target, 24, 2, "d")
    three = [start(target) for _ in range(3)]
    assert [process.stdout.readline() for process in three] == [b"ready\n"] * 3
    killed, *both = three
    killed.stdin.close()
    while not (parts.folder.is_dir() and len(parts.missing()) < len(parts) - 2):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    missing = [part.start for part in parts.missing()]
    assert 0 < len(missing) < len(parts)
    (tmp_path / "log").write_text("")
    for process in both:
        process.stdin.close()
    assert [process.wait(580) for process in both] == [0, 0]
    assert target.read_bytes() == whole(24)
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == missing
    assert names(tmp_path) == ["log", "t"]


def test_a_lock_says_who_holds_it_and_is_free_again(tmp_path):
    with (
        locked(tmp_path / "lock", "prepares ssv2"),
        pytest.raises(Held, match="another process prepares ssv2"),
        locked(tmp_path / "lock", "prepares ssv2"),
    ):
        pass
    with locked(tmp_path / "lock", "prepares ssv2"):
        pass


def test_a_lock_that_cannot_be_had_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot lock"), locked(tmp_path / "file" / "lock", "x"):
        pass


@pytest.mark.parametrize("text", ["3", "a/b", "3/3", "-1/2", "0/0", "1/", "/2", "1.0/2"])
def test_a_shard_is_a_number_of_a_count(text):
    with pytest.raises(ValueError, match="expected i/n"):
        Shard.parse(text)


def test_the_digest_of_an_input_depends_on_its_facts_not_on_their_order():
    assert input_digest({"a": 1, "b": 2}) == input_digest({"b": 2, "a": 1})
    assert input_digest({"a": 1}) != input_digest({"a": 2})


def test_a_table_has_the_digest_of_what_it_says_however_it_lies_in_memory() -> None:
    words = pa.chunked_array([["a", "b"], ["a"]], pa.large_string())
    plain, coded = pa.table({"source": words}), pa.table({"source": words.dictionary_encode()})
    assert table_digest(plain) == table_digest(plain.combine_chunks()) == table_digest(coded)
    others = pa.chunked_array(
        [["b", "a", "b"]], pa.large_string()
    ).dictionary_encode()  # of the same codes
    assert table_digest(pa.table({"source": others})) != table_digest(coded)


def test_a_digest_with_columns_follows_them_and_no_others(tmp_path: Path) -> None:
    clips = Manifest.from_columns(tmp_path / "m.csv", tmp_path, {"path": ["a.mp4", "b.mp4"]})
    named = clips.with_columns({"id": ["x", "y"]})
    assert digest_with(clips, "ids", "sources") == digest_with(clips, "sources", "ids")
    assert digest_with(clips, "ids") == digest_with(clips.with_columns({"fps": np.ones(2)}), "ids")
    assert digest_with(named, "sources") == digest_with(clips, "sources")
    other = clips.with_columns({"id": ["x", "z"]})
    assert len({digest_with(each, "ids") for each in (clips, named, other)}) == 3


def stop_at_third(rows: range, file: BinaryIO) -> None:
    if rows.start >= 4:
        raise KeyboardInterrupt
    file.write(b"x")


def test_a_stop_says_how_much_is_kept(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "out", 10, 2, input_digest({}))
    with pytest.raises(KeyboardInterrupt) as stop:
        make_parts(parts, stop_at_third, lambda _: None, executor=HERE)
    assert stop.value.__notes__ == [
        f"4 of 10 clips of {tmp_path / 'out'} are done and kept; the same command goes on"
    ]


def test_a_stop_before_the_first_part_says_that_nothing_is_kept(tmp_path: Path) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    parts = Parts(tmp_path / "out", 10, 2, input_digest({}))
    with pytest.raises(KeyboardInterrupt) as stop:
        make_parts(parts, stopped, lambda _: None, executor=HERE)
    assert stop.value.__notes__ == [f"0 of 10 clips of {tmp_path / 'out'} are done: it begins anew"]
