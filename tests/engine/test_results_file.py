"""results.json as a value: what is written is read back, and what an earlier marey wrote."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from marey.engine.results_file import (
    ClassGroups,
    MissingClip,
    Results,
    ViewCounts,
    read_results,
)
from marey.errors import RunError
from marey.metrics.groups import Profile
from marey.metrics.intervals import Estimate

NAN = math.nan
GROUPS = ClassGroups(
    "paper", Profile(3, 9, 33.3, 0.0, 4.0), {"head": [2], "tail": [0, 1], "few": []}
)
WHOLE = Results(
    metrics={"acc/top1": 50.0, "loss": 0.7},
    metrics_by_source={"real": {"acc/top1": 50.0, "num_clips": 4}},
    estimates={"label": {"acc/top1": Estimate(50.0, 25.0, 75.0, 2, 4)}},
    groups={"label": GROUPS},
    num_clips=5,
    num_missing=1,
    average="probs",
    protocol="tsm-2x3",
    views=ViewCounts(2, 3, "all", 224),
    parameters=11,
    gmacs_per_view=1.5,
    versions={"torch": "2.13.0"},
    data_hash="cafe",
    span_unit="frames",
    classes={"label": ("a", "b", "c")},
    missing=(MissingClip(4, "x/é.mp4", "gone"),),
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = WHOLE.write(tmp_path)
    assert path == tmp_path / "results.json"
    assert read_results(path) == WHOLE


def test_nothing_tested_is_null_in_the_file_and_nan_when_read(tmp_path: Path) -> None:
    empty = {"label": {"acc/few": Estimate(NAN, NAN, NAN, 0, 0)}}
    path = replace(WHOLE, metrics={"acc/few": NAN}, estimates=empty).write(tmp_path)
    facts = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert facts["metrics"] == {"acc/few": None}
    assert facts["estimates"]["label"]["acc/few"] == {
        "value": None,
        "low": None,
        "high": None,
        "num_classes": 0,
        "num_clips": 0,
    }
    results = read_results(path)
    assert math.isnan(results.metric("acc/few"))
    assert math.isnan(results.metric("acc/top1"))
    assert math.isnan(results.estimates["label"]["acc/few"].interval.low)


def test_files_of_before_lack_names_and_have_empty_groups(tmp_path: Path) -> None:
    facts = {"metrics": {"acc/top1": 50}, "groups": {"label": {}}, "estimates": None, "mine": 1}
    (tmp_path / "results.json").write_text(json.dumps(facts))
    assert read_results(tmp_path / "results.json") == Results(metrics={"acc/top1": 50})


def test_groups_are_those_to_count_by() -> None:
    groups = WHOLE.groups["label"].groups
    assert [(name, classes.tolist()) for name, classes in groups] == [
        ("head", [2]),
        ("tail", [0, 1]),
        ("few", []),
    ]
    assert groups.rule == "paper"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"metrics": ', r"results\.json is not JSON"),
        ('{"num_clips": "many"}', r"results\.json: num_clips is 'many', expected a whole number"),
        (
            '{"missing": [{"row": 1.5}]}',
            r"results\.json: missing\.0\.row is 1\.5, expected a whole",
        ),
        ("[1]", r"results\.json: it is \[1\], expected names and values"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(RunError, match=reason):
        read_results(tmp_path / "results.json")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no .*results\.json.*marey eval writes it"):
        read_results(tmp_path / "results.json")
