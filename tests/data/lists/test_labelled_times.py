"""Cells of what happens when: times are read as written, and each odd piece is named."""

from __future__ import annotations

import pytest

from marey.data.lists.labelled_times import LabelledTime, labelled_times
from marey.data.lists.rejects import Misfit


def read(cell: str) -> tuple[list[tuple[str, float, float]], list[tuple[object, str]]]:
    found = list(labelled_times(cell))
    return (
        [tuple(each) for each in found if isinstance(each, LabelledTime)],  # type: ignore[misc]
        [(each.value, each.reason) for each in found if isinstance(each, Misfit)],
    )


def test_a_class_may_have_several_times() -> None:
    found, odd = read(" Sitting [0 to 2.5; 0:04 to 6]: ; Walking[ 2.6 to 4];")
    assert found == [("Sitting", 0, 2.5), ("Sitting", 4, 6), ("Walking", 2.6, 4)]
    assert odd == []


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        ("Sitting[9.7 to 3]", "Sitting[9.7 to 3]", "the end is not after the start"),
        ("Eating[0.9 4.6]", "Eating[0.9 4.6]", "no time from a start to an end"),
        ("Eating[noon to 4]", "Eating[noon to 4]", "no time from a start to an end"),
        ("Reading", "Reading", "no time in brackets"),
        ("Standing[2.4 to 3.6; 6 to 7", "Standing[2.4 to 3.6; 6 to 7", "no time in brackets"),
    ],
)
def test_a_piece_that_says_nothing_is_named_and_the_others_are_read(
    cell: str, value: str, reason: str
) -> None:
    for text in (f"{cell}; Walking[1 to 2]", f"Walking[1 to 2]; {cell}"):
        found, odd = read(text)
        assert found == [("Walking", 1, 2)]
        ((of, why),) = odd
        assert str(of).strip("; ") == value
        assert why == reason


def test_an_empty_cell_says_nothing() -> None:
    assert read("  ") == ([], [])
