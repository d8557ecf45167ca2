"""Rows of several models: whose models they are, how they are tested, and what they claim."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.errors import RecipeError
from marey.recipes.catalog import deviations, find, rows
from marey.recipes.describe import claim_in_words, ensemble_facts
from marey.recipes.ensembles import Ensemble, ensembles, find_ensemble
from marey.video.crops import ThreeCrop


def test_the_published_numbers_of_8_and_16_segments_are_rows() -> None:
    claims = {name: claim_in_words(row.claim) for name, row in ensembles().items()}
    assert claims == {
        "gc-gst-r50-8+16f-ssv1": "52.5 / 81.3",
        "gc-tsn-r50-8+16f-ssv1": "53.7 / 81.8",
        "gc-tsm-r50-8+16f-ssv1": "55.0 / 82.6",
        "gc-tsm-r50-8+16f-ssv1-3crop": "55.3 / 82.7",
        "gc-tdn-r50-8+16f-ssv1": "56.4 / 84.0",
        "gc-gst-r50-8+16f-ssv2": "65.0 / 89.5",
        "gc-tsn-r50-8+16f-ssv2": "66.3 / 90.3",
        "gc-tsm-r50-8+16f-ssv2": "66.7 / 90.6",
        "gc-tsm-r50-8+16f-ssv2-3crop": "67.5 / 90.9",
        "gc-tdn-r50-8+16f-ssv2": "67.8 / 91.2",
        "gc-tdn-r50-8+16f-k400": "79.6 / 94.1",
        "tdn-r101-8+16f-ssv2": "68.2 / 91.6",
        "tdn-r101-8+16f-ssv2-3crop": "69.6 / 92.2",
        "tdn-r101-8+16f-k400": "79.4 / 94.4",
    }


@pytest.mark.parametrize("row", ensembles().values(), ids=ensembles())
def test_members_are_rows_that_differ_in_their_test_views_alone(row: Ensemble) -> None:
    assert [member.model.num_segments for member in row.members] == [8, 16]
    for member in row.members:
        alone = rows()[member.name]
        assert replace(member, test=alone.test) == alone
        assert member.test.sampling == alone.test.sampling
        assert member.test.average == row.average
        assert isinstance(member.test.crop, ThreeCrop) == (
            row.name.endswith("-3crop") or isinstance(alone.test.crop, ThreeCrop)
        )


def test_rows_of_tdn_have_the_numbers_of_its_readme() -> None:
    claims = {name: claim_in_words(row.claim) for name, row in rows().items()}
    assert claims["tdn-r101-8f-ssv2-3crop"] == "67.1 / 90.5"
    assert claims["tdn-r101-16f-ssv2-3crop"] == "68.2 / 91.6"
    assert claims["tdn-r50-8f-ssv1"] == "52.3 / 80.6"
    assert claims["tdn-r101-16f-k400"] == "78.5 / 93.9"


def test_an_ensemble_is_shown_with_the_commands_that_make_it() -> None:
    name = "gc-tsm-r50-8+16f-ssv1"
    said = ensemble_facts(find_ensemble(name))
    assert said["command 3"] == (
        "marey eval runs/gc-tsm-r50-8f-ssv1 runs/gc-tsm-r50-16f-ssv1 --row gc-tsm-r50-8+16f-ssv1"
    )
    shown = CliRunner().invoke(app, ["recipes", "show", name]).output
    assert "top-1 55.0, top-5 82.6" in shown
    assert "marey train gc-tsm-r50-16f-ssv1" in shown
    assert deviations(name).startswith("TDN's script")
    assert name in CliRunner().invoke(app, ["recipes"]).output


def test_an_ensemble_cannot_be_trained_as_one() -> None:
    with pytest.raises(RecipeError, match="'tdn-r101-8.16f-k400' is an ensemble: of tdn-r101-8f"):
        find("tdn-r101-8+16f-k400")
    with pytest.raises(RecipeError, match=r"did you mean 'gc-tsm-r50-8\+16f-ssv"):
        find("gc-tsm-r50-8+16f-ssv3")
    with pytest.raises(RecipeError, match=r"no ensemble 'tdn-r101-8\+16f'.*did you mean"):
        find_ensemble("tdn-r101-8+16f")


def test_weights_are_as_many_as_members() -> None:
    row = next(iter(ensembles().values()))
    with pytest.raises(ValueError, match=r"weights are \(1.0,\), expected 2"):
        replace(row, weights=(1.0,))
