"""Charts are well-formed, have round ticks, and place marks where the numbers say."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.engine.report.charts.axes import log_ticks, round_ticks
from marey.engine.report.charts.charts import (
    Bar,
    Point,
    Series,
    bars,
    line_chart,
    reliability_chart,
    scatter,
)
from marey.engine.report.charts.heatmap import MAX_CELLS_WITH_TIPS, confusion_chart
from marey.engine.report.charts.svg import tag, text
from marey.engine.report.pages import TEMPLATES, Table
from marey.metrics.calibration import reliability

NO_CLIPS = reliability(np.zeros((0, 2)), np.zeros(0, np.int64))
finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 4))


def words(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter("text")]


def tips(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter("title")]


@given(finite, finite)
def test_ticks_span_the_values_and_are_evenly_apart(a, b):
    low, high = min(a, b), max(a, b)
    ticks = round_ticks(low, high)
    slack = 1e-6 * max(1.0, high - low)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 9
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0], rtol=1e-3)


@given(finite, finite)
def test_the_step_between_ticks_is_1_2_or_5_times_a_power_of_ten(a, b):
    ticks = round_ticks(min(a, b), max(a, b))
    step = ticks[1] - ticks[0]
    leading = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(leading - m) for m in (1, 2, 5, 10)) < 1e-2


def test_whole_ticks_of_two_epochs_have_no_halves():
    assert round_ticks(1, 2, 6, whole=True) == [1.0, 2.0]


def test_a_single_epoch_still_has_an_axis():
    assert round_ticks(3, 3, whole=True)[0] < 3 < round_ticks(3, 3, whole=True)[-1]


@given(st.floats(1, 1e5), st.floats(1, 1e5))
def test_log_ticks_span_the_values(a, b):
    ticks = log_ticks(min(a, b), max(a, b))
    assert ticks[0] <= min(a, b) * 1.001
    assert ticks[-1] >= max(a, b) * 0.999


def test_a_line_chart_shows_title_axis_names_legend_and_a_tip_a_point():
    curves = [Series("train", [1, 2, 3], [3.0, 2.0, 1.0]), Series("val", [1, 2, 3], [3, 2.5, 2])]
    svg = line_chart(curves, title="Loss", x_label="epoch", y_label="nats")
    assert {"Loss", "epoch", "nats", "train", "val"} <= set(words(svg))
    assert "train at 2: 2" in tips(svg)
    assert len(list(ElementTree.fromstring(svg).iter("polyline"))) == 2


def test_values_that_are_not_finite_are_left_out():
    svg = line_chart([Series("a", [1, 2, 3], [1, math.nan, math.inf])], title="t", x_label="x")
    assert tips(svg) == ["a at 1: 1"]
    assert "nan" not in svg


def test_a_chart_without_values_says_so():
    assert "no values to draw" in words(line_chart([], title="t", x_label="x"))
    assert "no values to draw" in words(scatter([], title="t", x_label="x"))
    assert "no values to draw" in words(bars([], title="t"))
    assert "no values to draw" in words(reliability_chart(NO_CLIPS, title="t"))


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    svg = line_chart([Series("a", range(5000), range(5000))], title="t", x_label="step")
    places = next(ElementTree.fromstring(svg).iter("polyline")).attrib["points"].split()
    assert len(places) == 400
    assert places[0].startswith("52.0,")


def test_names_are_escaped_in_text_and_tips():
    svg = bars([Bar("<script>alert(1)</script>", 3, "a & b")], title="x < y")
    assert "<script" not in svg
    assert "x < y" in words(svg)
    assert "a & b" in tips(svg)


def test_bars_reach_as_far_as_their_values():
    svg = bars([Bar("a", 50), Bar("b", 100)], title="t")
    a, b = [float(e.attrib["width"]) for e in ElementTree.fromstring(svg).iter("rect")]
    assert a == pytest.approx(b / 2, abs=0.02)


def test_negative_bars_point_left_of_zero_in_another_colour():
    svg = bars([Bar("a", 10), Bar("b", -10)], title="t", signed=True)
    a, b = list(ElementTree.fromstring(svg).iter("rect"))
    assert float(b.attrib["x"]) + float(b.attrib["width"]) == pytest.approx(
        float(a.attrib["x"]), abs=0.02
    )
    assert a.attrib["fill"] != b.attrib["fill"]


def test_a_scatter_over_three_decades_has_a_logarithmic_axis():
    points = [Point(x, x, f"x is {x}") for x in (1, 10, 100, 1000)]
    svg = scatter(points, title="t", x_label="size")
    places = [float(e.attrib["cx"]) for e in ElementTree.fromstring(svg).iter("circle")]
    assert np.allclose(np.diff(places), np.diff(places)[0], atol=0.05)
    assert "1,000" in words(svg)


def test_reliability_has_a_bar_a_filled_bin_with_its_count():
    probabilities = np.array([[0.95, 0.05]] * 30 + [[0.55, 0.45]] * 12)
    found = reliability(probabilities, np.array([0] * 24 + [1] * 6 + [0] * 6 + [1] * 6), 10)
    svg = reliability_chart(found, title="Reliability")
    assert len(list(ElementTree.fromstring(svg).iter("rect"))) == 2 * 2
    assert {"12", "30"} <= set(words(svg))
    tip = "confidence 90 to 100 %: 30 clips, 80.0 % right (62.7 to 90.5), 95.0 % sure"
    assert tip in tips(svg)


def test_labels_of_points_at_one_place_do_not_lie_on_one_another():
    svg = scatter([Point(1, 5, "", "tsn"), Point(1, 5, "", "tsm")], title="t", x_label="x")
    heights = [
        float(e.attrib["y"])
        for e in ElementTree.fromstring(svg).iter("text")
        if e.text in ("tsn", "tsm")
    ]
    assert abs(heights[0] - heights[1]) >= 13


def test_a_confusion_cell_says_who_was_taken_for_whom():
    counts = np.array([[3, 1], [0, 2]])
    svg = confusion_chart(counts, ["cat", "dog"], title="Confusion matrix")
    assert tips(svg) == [
        "cat recognised: 3 of 4 (75%)",
        "cat taken for dog: 1 of 4 (25%)",
        "dog recognised: 2 of 2 (100%)",
    ]


@pytest.mark.parametrize("k", [1, 2, 12, MAX_CELLS_WITH_TIPS, MAX_CELLS_WITH_TIPS + 1, 200])
def test_a_full_confusion_matrix_of_any_size_is_well_formed_and_small(k):
    counts = np.random.default_rng(0).integers(1, 9, (k, k))
    svg = confusion_chart(counts, [f"class {i}" for i in range(k)], title="t")
    ElementTree.fromstring(svg)
    assert len(svg) < 700_000


def test_cells_that_are_right_are_framed_and_large_enough_for_their_counts():
    tree = ElementTree.fromstring(
        confusion_chart(np.full((20, 20), 3), [f"class {i}" for i in range(20)], title="t")
    )
    (diagonal,) = [g for g in tree.iter("g") if g.get("class") == "diagonal"]
    assert len(list(diagonal)) == 20
    assert [e.text for e in tree.iter("text")].count("3") == 400
    names, matrix = tree.iter("svg")
    assert int(names.attrib["width"]) < 120
    assert int(matrix.attrib["width"]) > 20 * 22


def test_what_costs_nothing_has_no_negative_axis():
    assert round_ticks(0, 0)[0] == 0
    svg = scatter([Point(0.0, 50, "", "features")], title="t", x_label="GMACs a view")
    assert not any(word.startswith("-") for word in words(svg))


def test_curves_that_lie_on_one_another_are_seen_through_dashes():
    curves = [Series(name, [1, 2], [50, 60]) for name in ("top-1", "class average")]
    tree = ElementTree.fromstring(line_chart(curves, title="t", x_label="epoch"))
    first, second = tree.iter("polyline")
    assert first.get("stroke-dasharray") is None
    assert second.get("stroke-dasharray")


def test_names_in_a_large_matrix_do_not_touch():
    svg = confusion_chart(np.eye(200, dtype=int), [f"class {i}" for i in range(200)], title="t")
    middles = [
        float(e.attrib["y"])
        for e in ElementTree.fromstring(svg).iter("text")
        if e.get("text-anchor") == "end"
    ]
    assert min(np.diff(middles)) >= 11


def test_a_matrix_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\) for 3 classes, expected a square"):
        confusion_chart(np.eye(2, dtype=int), ["a", "b", "c"], title="t")


@given(st.text())
def test_any_text_makes_well_formed_markup(words):
    ElementTree.fromstring(tag("p", text(words), title=words))


def test_an_empty_cell_keeps_its_place_in_a_table():
    table = TEMPLATES.get_template("parts.html").module.table
    tree = ElementTree.fromstring(table(Table(("a", "b"), [("", 1)], numbers={1})).strip())
    assert [cell.text for cell in tree.iter("td")] == ["\u00a0", "1"]
