"""Small files that are read back: whatever is in them, an error names the file, or it is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.engine.results_file import read_results
from marey.engine.train.bad_clips import read_bad_clips
from marey.engine.weights.class_counts import read_class_counts, write_class_counts
from marey.errors import CheckpointError, RunError
from marey.storage.text_files import as_value, read_csv, read_json, read_text

DAMAGED = {
    "empty": b"",
    "zeros": b"\0" * 64,
    "cut short": b'{"label": [1, 2',
    "a list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "deep names": b'{"a":' * 50_000,
    "a long number": b'{"label": [' + b"9" * 5000 + b", 1]}",
    "not UTF-8": b'{"label": "\xff\xfe"}',
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    for name, read in (
        ("facts.json", lambda: read_json(tmp_path / "facts.json")),
        ("results.json", lambda: read_results(tmp_path / "results.json")),
        ("class_counts.json", lambda: read_class_counts(tmp_path, {"label": 2})),
        ("rows.csv", lambda: read_csv(tmp_path / "rows.csv", ["path", "row"])),
    ):
        (tmp_path / name).write_bytes(DAMAGED[kind])
        with pytest.raises((RunError, CheckpointError), match=name):
            read()


COUNTS = ("'ab'", "[1]", "[1, -1]", '[1, "2"]', "[1, 2.5]", "[1, NaN]", "[1, 1e400]", "null")


@pytest.mark.parametrize("counts", [*COUNTS, "[1, 99999999999999999999]"])
def test_counts_that_are_none_are_refused(tmp_path: Path, counts: str) -> None:
    (tmp_path / "class_counts.json").write_text(f'{{"label": {counts}}}')
    with pytest.raises(CheckpointError, match=r"class_counts\.json"):
        read_class_counts(tmp_path, {"label": 2})


def test_counts_come_back(tmp_path: Path) -> None:
    write_class_counts({"label": np.array([5, 0])}, tmp_path)
    assert read_class_counts(tmp_path, {"label": 2})["label"].tolist() == [5, 0]


def test_no_file_is_nothing_and_a_folder_is_none(tmp_path: Path) -> None:
    assert read_text(tmp_path / "none") == ""
    assert read_json(tmp_path / "none") == {}
    assert read_bad_clips(tmp_path) == []


@dataclass
class Facts:
    """Of a test."""

    number: int = 0


def test_a_value_of_another_type_is_shown_in_part(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"number is 'x{70,76}\.\.\.") as error:
        as_value(Facts, {"number": "x" * 5000}, tmp_path / "f.json")
    assert len(str(error.value)) < 400 + len(str(tmp_path))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    for read in (read_json, read_text, lambda p: read_csv(p, ["a"])):
        try:
            read(path)
        except RunError as error:
            assert "any.json" in str(error)  # noqa: PT017
