"""Class names and averaged weights that lie beside the weights of a checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from marey.convert.beside import averages, class_names, in_words, usable
from marey.convert.convert import convert
from marey.engine.weights.trained import load_trained
from marey.models.video_model import Head
from tests.convert.test_videolt import LATE, under_their_names

NAMES = ["walk", "run", "jump", "sit", "fall"]
HEADS = (Head("label", 5),)


@pytest.mark.parametrize(
    ("beside", "where"),
    [
        ({"meta": {"CLASSES": tuple(NAMES), "epoch": 3}}, "meta.CLASSES"),
        ({"meta": {"dataset_meta": {"classes": NAMES}}}, "meta.dataset_meta.classes"),
        ({"dataset_meta": OrderedDict(CLASSES=NAMES)}, "dataset_meta.CLASSES"),
        ({"hyper_parameters": {"class_names": NAMES}}, "hyper_parameters.class_names"),
        ({"classes": [f" {name} " for name in NAMES]}, "classes"),
    ],
)
def test_class_names_are_found_where_code_bases_write_them(
    beside: dict[str, Any], where: str
) -> None:
    found = class_names(beside)
    assert found is not None
    assert (found.names, found.where) == (tuple(NAMES), where)
    assert in_words(found, HEADS) == f"{where} of the file: walk, fall and between"


@pytest.mark.parametrize(
    "beside",
    [{}, {"meta": 3}, {"meta": {"CLASSES": None}}, {"classes": [1, 2]}, {"classes": ["a", " "]}],
)
def test_what_names_no_classes_says_none(beside: dict[str, Any]) -> None:
    assert class_names(beside) is None


@pytest.mark.parametrize(
    ("names", "heads"),
    [(NAMES[:4], HEADS), (["a", "a", "b", "c", "d"], HEADS), (NAMES, (*HEADS, Head("noun", 5)))],
)
def test_names_that_are_not_those_of_the_classes_are_not_used(
    names: list[str], heads: tuple[Head, ...]
) -> None:
    found = class_names({"classes": names})
    assert found is not None
    assert not usable(found, heads)
    assert "not used, classes are numbers" in in_words(found, heads)


def test_a_release_has_the_names_and_says_what_was_not_taken(tmp_path: Path) -> None:
    _, weights = under_their_names(LATE)
    content = {
        "state_dict": weights,
        "meta": {"dataset_meta": {"classes": NAMES}},
        "ema_state_dict": {f"module.{name}": weight + 1 for name, weight in weights.items()},
    }
    torch.save(content, tmp_path / "epoch_9.pth")
    found = convert(tmp_path / "epoch_9.pth", tmp_path / "out")
    assert load_trained(tmp_path / "out").classes == {"label": tuple(NAMES)}
    assert found.facts()["class names"].startswith("meta.dataset_meta.classes of the file")
    said = found.facts()["averages"]
    assert said.startswith("'ema_state_dict' is not taken, the weights are those of 'state_dict'")
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    convert(tmp_path / "epoch_9.pth", tmp_path / "named", labels=tmp_path / "names.txt")
    assert load_trained(tmp_path / "named").classes == {"label": ("a", "b", "c", "d", "e")}


def test_only_weights_are_averages() -> None:
    assert not averages({"ema": 0.999, "ema_decay": {"a": 1}, "optimizer": {}}, ("model",))
    assert averages({"model_ema": {"w": torch.ones(1)}}, ("model",)).startswith("'model_ema' is")
