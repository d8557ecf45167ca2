from __future__ import annotations

import pytest

from marey.engine.optimize.choose import fastest, kept
from marey.engine.runtimes.optimized import Row
from marey.errors import RunError


def row(form: str, latency: float, **more: float | str) -> Row:
    facts = {"start_seconds": 1.0, "difference": 1e-6, "agreement": 100.0} | more
    return Row(form=form, latency_seconds=latency, **facts)  # type: ignore[arg-type]


def test_the_fastest_that_is_exact_is_taken() -> None:
    rows = [row("plain", 1.0), row("int8", 0.2, difference=1e-2), row("onnx", 0.5)]
    assert fastest(rows, "exact", 1e-4, 15).form == "onnx"


def test_close_asks_for_the_first_labels_alone() -> None:
    rows = [
        row("plain", 1.0),
        row("int8", 0.2, difference=1e-2, agreement=99.6),
        row("int4", 0.1, difference=1e-1, agreement=99.4),
    ]
    assert fastest(rows, "close", 99.5, 15).form == "int8"


def test_of_forms_that_are_as_fast_the_first_to_start_is_taken() -> None:
    rows = [row("compiled", 0.5, start_seconds=9.0), row("onnx", 0.51), row("plain", 0.6)]
    assert fastest(rows, "exact", 1e-4, 15).form == "onnx"


def test_a_form_that_starts_too_late_is_left() -> None:
    rows = [row("compiled", 0.1, start_seconds=40.0), row("plain", 0.6)]
    assert fastest(rows, "exact", 1e-4, 15).form == "plain"
    assert fastest(rows, "exact", 1e-4, 60).form == "compiled"


def test_a_form_without_numbers_or_that_is_left_out_keeps_nothing() -> None:
    assert not kept(Row(form="openvino", left_out="no openvino"), "exact", 1e-4)
    assert not kept(row("bf16", 9.0, left_out="too slow"), "close", 50)


def test_where_none_is_left_it_is_said_what_was_asked() -> None:
    with pytest.raises(RunError, match=r"no form starts within 15 s and keeps 0\.0001 of the larg"):
        fastest([row("int8", 0.2, difference=1e-2)], "exact", 1e-4, 15)
    with pytest.raises(RunError, match=r"keeps 99\.5 % of top-1. hint: allow a later start"):
        fastest([row("int8", 0.2, agreement=50.0)], "close", 99.5, 15)
