"""A journal has every entry that was written, whatever became of its writer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marey.errors import RunError
from marey.jobs.journal import appending, read_journals
from marey.storage.atomic import run_error


def test_entries_of_several_writers_are_read_in_the_order_of_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        with appending(tmp_path / name) as append:
            append([name, 1])
            append([name, None])
    entries = list(read_journals([tmp_path / "a", tmp_path / "b"]))
    assert entries == [["a", 1], ["a", None], ["b", 1], ["b", None]]


def test_cut_at_any_byte_it_is_gone_on_with_and_loses_one_entry_at_most(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written = [["ä\n", 1.5], ["b", 2], [["c"], "]"]]
    with appending(path) as append:
        for entry in written:
            append(entry)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with appending(path) as append:
            append(["last"])
        *before, last = read_journals([path])
        assert last == ["last"]
        assert before == [entry for entry in written if json.dumps(entry).encode() in whole[:cut]]


def test_what_is_no_list_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'1\n"a"\n{"a": 1}\n\n[\xff]\n[2]\n')
    assert list(read_journals([tmp_path / "journal"])) == [[2]]


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="could not be written"),
        appending(tmp_path / "none" / "journal", run_error),
    ):
        pass
