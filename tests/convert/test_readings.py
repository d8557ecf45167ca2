"""Names of tensors and of the file together say what shifts; where they do not, both are offered.

The tensors of a TSN and of a TSM by Group-Contextualization's code are the same; of a TSM by
temporal-shift-module's code, names have a mark. A wrong reading loads, and its scores are wrong.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from marey.convert import gc
from marey.convert.convert import convert
from marey.convert.converted import Converted
from marey.convert.evidence import Evidence
from marey.convert.file_names import told_by_name
from marey.convert.repository import Settings
from marey.errors import CheckpointError
from marey.models import TSM, Head, ModelSpec, ResNetSpec
from tests.convert import upstream

SPEC = ModelSpec(ResNetSpec(26, channels=8), num_segments=4, heads=(Head("label", 4),))
MARKED = upstream.under(upstream.tsm_resnet, upstream.filled(SPEC))
UNMARKED = {name.replace(".net.", "."): weight for name, weight in MARKED.items()}
STORE = "TSM_mine_RGB_resnet26_shift8_blockres_avg_segment4_e50.pth"
"""A store name of temporal-shift-module, as are the two that have no shift."""
TSN = "TSM_mine_RGB_resnet26_avg_segment4_e50.pth"
GC_TSM, GC_TSN = "TSM_resnet26_mine_RGB_avg_segment4_e50.pth", "TSN_resnet26_mine_RGB_avg_segment4"
EITHER = (
    r"These are the tensors of a TSN, and as well of a TSM.*hint: .*--set shift_div=0 "
    r"\(a TSN.*\) or --set shift_div=8 --set place=blockres \(a TSM\)"
)


def converted(
    weights: dict[str, Tensor], name: str, folder: Path, settings: Settings | None = None
) -> Converted:
    torch.save({"state_dict": weights}, folder / name)
    return convert(folder / name, folder / "out", settings=settings)


@pytest.mark.parametrize(
    ("weights", "name", "ops"),
    [
        (MARKED, STORE, (TSM(),)),
        (UNMARKED, TSN, ()),
        (UNMARKED, GC_TSN, ()),
        (UNMARKED, GC_TSM, (TSM(alternate="stage"),)),
        (MARKED, GC_TSM, (TSM(),)),
    ],
    ids=["marked and named", "neither", "TSN of GC", "TSM of GC", "marked, TSM of GC"],
)
def test_names_of_tensors_and_of_the_file_agree(
    weights: dict[str, Tensor], name: str, ops: object, tmp_path: Path
) -> None:
    found = converted(weights, name, tmp_path)
    assert found.recipe.model.temporal == ops
    assert not found.differing
    usual = "shift_div=8: its name says TSM" in found.facts().get("assumed", "")
    assert usual is (name == GC_TSM)


@pytest.mark.parametrize(
    ("weights", "name", "says"),
    [
        (UNMARKED, STORE, r"says a shift \(shiftN\), no name of a tensor marks one.*" + EITHER),
        (UNMARKED, "my.pth", EITHER),
        (UNMARKED, STORE.replace("blockres", "stageres"), EITHER),  # there it shifts nothing
        (MARKED, TSN, r"no shift, so a TSN; names .* mark one.*hint: .*--set shift_div=8$"),
        (MARKED, GC_TSN, r"no shift, so a TSN; names .* mark one.*hint: .*--set shift_div=8$"),
        (MARKED, "my.pth", r"hint: say it: --set num_segments=8 --set shift_div=8$"),
        (MARKED, STORE.replace("blockres", "block"), r"place 'block', the tensors 'blockres'"),
        (MARKED, STORE.replace(".pth", "_nl.pth"), r"non-local blocks \(nl\), of which it has no"),
        (MARKED, STORE.replace("_avg", "_tpool_avg"), r"a temporal pool \(tpool\), no name"),
        (UNMARKED, GC_TSN.replace("TSN_", "TSN_M4_"), r"calibrators 'LTSG', the tensors ''"),
    ],
)
def test_where_they_do_not_agree_it_is_asked(
    weights: dict[str, Tensor], name: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=says) as caught:
        converted(weights, name, tmp_path)
    assert "A wrong shift_div gives wrong scores without any error" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_is_said_decides_and_the_difference_is_shown(tmp_path: Path) -> None:
    said = Settings(num_segments=4, shift_div=0)
    found = converted(UNMARKED, STORE, tmp_path, said)
    assert found.recipe.model.temporal == ()
    assert found.facts()["against its name"].startswith("a shift (shiftN)")
    assert not found.from_name  # which is of another model
    (tmp_path / "two").mkdir()
    said = Settings(num_segments=4, shift_div=8, place="block")
    found = converted(UNMARKED, STORE, tmp_path / "two", said)
    assert found.recipe.model.temporal == (TSM(place="block_out", alternate="stage"),)


def test_the_hint_does_not_contradict_the_name(tmp_path: Path) -> None:
    name = STORE.replace("segment4", "segment16").replace(".pth", "_nl.pth")
    with pytest.raises(CheckpointError) as caught:
        converted(MARKED, name, tmp_path)
    assert caught.value.hint == "say it: --set num_segments=16 --set shift_div=8"


def test_where_a_shift_stands_that_leaves_no_mark_is_said_if_it_was_not(tmp_path: Path) -> None:
    said = Settings(num_segments=4, shift_div=8)
    found = converted(UNMARKED, "my.pth", tmp_path, said)
    assert found.facts()["assumed"].startswith("the shift stands before conv1 of every block")


def test_the_folder_that_a_training_script_names_decides(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint" / STORE.removesuffix(".pth")
    folder.mkdir(parents=True)
    found = converted(MARKED, "ckpt.best.pth.tar", folder)
    assert found.recipe.model.temporal == (TSM(),)
    assert re.search("its folder; its own name says nothing", found.card("ckpt.best.pth.tar"))


def test_a_name_without_calibrators_is_not_believed_of_tensors_that_have_some() -> None:
    said = told_by_name("TSM_something_RGB_resnet50_avg_segment8_e50.pth")
    shapes = {"base_model.layer1.0.eft1.conv.weight": (16, 16, 3, 1, 1)}
    doubts = Evidence(name=said).doubts(gc.marks(shapes))
    assert doubts == {"calibrators": "calibrators '', the tensors 'LTSG'"}
    alone = {"base_model.layer1.0.eft.conv.weight": (16, 16, 3)}
    assert gc.marks(alone) == {"calibrators": "T"}
    assert gc.marks({}) == {"calibrators": ""}
