"""Which class a name in a recipe means: marey's own, and those of a user's files."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import marey
from marey.data.loading.samplers import Sampler
from marey.engine.train.loop import train
from marey.errors import RecipeError
from marey.longtail.objective import CrossEntropy, Objective
from marey.models.encoder import Encoder
from marey.models.sites import TemporalOp
from marey.models.video_model import ModelSpec
from marey.recipes.names import (
    ROOMS,
    class_named,
    classes_for,
    is_dataclass,
    lacks,
    name_of,
    obstacle,
)
from marey.recipes.optim import Optim, Schedule
from marey.recipes.recipe import Stage
from marey.recipes.schema import from_yaml, override, to_readable_yaml, to_yaml
from marey.video.crops import Crop
from marey.video.sampling.segments import Sampling
from tests import fresh
from tests.tiny import TinySpec, tiny_recipe, write_set

PROTOCOLS = (Objective, Sampler, Optim, Schedule, Encoder, TemporalOp, Crop, Sampling)
LOSS = """
from dataclasses import dataclass
from marey.longtail.objective import HeadLosses, Objective, SoftmaxCrossEntropy

@dataclass(frozen=True)
class MyLoss(Objective):
    smooth: float = 0.0

    def build(self, class_counts):
        return HeadLosses({head: SoftmaxCrossEntropy(self.smooth) for head in class_counts})

@dataclass(frozen=True)
class NoLoss:
    smooth: float = 0.0
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in Python's path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def stage_of(text: str, source: str = "") -> Stage:
    return from_yaml(Stage, f"objective: {text}", source)


def test_every_class_of_marey_that_fits_a_protocol_is_known_by_its_bare_name() -> None:
    skipped = ("marey.__main__", "marey.cli")
    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(marey.__path__, "marey.")
        if not info.name.startswith(skipped)
    ]
    for module in modules:
        for name, cls in vars(module).items():
            if is_dataclass(cls) and cls.__module__ == module.__name__ and name[0] != "_":
                for protocol in PROTOCOLS:
                    if not lacks(cls, [protocol]):
                        assert class_named(name, [protocol]) is cls


def test_names_do_not_depend_on_what_is_loaded() -> None:
    code = (
        "import sys; from marey.recipes.recipe import Views; "
        "from marey.recipes.schema import from_plain; "
        "assert 'marey.video.motionformer_crops' not in sys.modules; "
        "print(from_plain(Views, {'crop': 'JitteredCrop'}).crop.size)"
    )
    assert fresh.printed("-c", code) == "224\n"


@pytest.mark.parametrize("name", ["HuggingFaceSpec", "TimmSpec"])
def test_encoders_of_other_libraries_go_by_either_name(name: str) -> None:
    module = {"HuggingFaceSpec": "huggingface", "TimmSpec": "timm"}[name]
    by_path = class_named(f"marey.models.encoders.{module}.{name}", [Encoder])
    assert by_path is class_named(name, [Encoder])
    assert name_of(by_path) == name


def test_a_class_that_is_not_imported_is_found_and_it_is_said(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (here / "mine_loss.py").write_text(LOSS)
    stage = override(Stage(), ["objective={mine_loss.MyLoss: {smooth: 0.1}}"])
    assert type(stage.objective).__name__ == "MyLoss"
    assert stage.objective.smooth == 0.1
    assert f"importing mine_loss from {here / 'mine_loss.py'}, for objective" in caplog.text
    assert from_yaml(Stage, to_yaml(stage)) == stage


def test_a_class_in_a_package_is_found(here: Path) -> None:
    (here / "mine_pack").mkdir()
    (here / "mine_pack" / "__init__.py").touch()
    (here / "mine_pack" / "loss.py").write_text(LOSS)
    assert to_yaml(stage_of("mine_pack.loss.MyLoss")).count("mine_pack.loss.MyLoss") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine_loss.YourLoss", r"mine_loss is not imported: .*mine_loss\.py defines no class 'You"),
        ("yours.MyLoss", "yours is not imported: there is no such module"),
        ("antigravity.MyLoss", "antigravity is not imported: it belongs to Python itself"),
        ("mine_loss.NoLoss", "'mine_loss.NoLoss' is no Objective. hint: it lacks `several_labels`"),
        ("marey.longtail.lmr.LRM", r"unknown name 'marey\.longtail\.lmr\.LRM'"),
        ("marey.longtail.ldam.MarginLoss", r"unknown name 'marey\.longtail\.ldam\.MarginLoss'"),
        ("marey.__main__.LDAM", r"unknown name 'marey\.__main__\.LDAM'"),
        ("TSM", "unknown name 'TSM'.*known: .*CrossEntropy"),
    ],
)
def test_what_a_name_cannot_mean_is_said(here: Path, name: str, message: str) -> None:
    (here / "mine_loss.py").write_text(LOSS)
    with pytest.raises(RecipeError, match=f"objective: .*{message}"):
        stage_of(name)


def test_no_code_runs_before_its_text_shows_the_class(here: Path) -> None:
    (here / "mine_touch.py").write_text(f"open({str(here / 'ran')!r}, 'w')\nMyLoss = None\n")
    with pytest.raises(RecipeError, match="defines no class 'MyLoss' at its top level"):
        stage_of("mine_touch.MyLoss")
    assert not (here / "ran").exists()


@pytest.mark.parametrize("file", ["recipe.yaml", "config.json"])
def test_code_that_comes_with_weights_is_never_run(here: Path, file: str) -> None:
    (here / "mine_given.py").write_text(f"open({str(here / 'ran')!r}, 'w')\n{LOSS}")
    with pytest.raises(RecipeError, match="in the folder of the run or release, where no code is"):
        stage_of("mine_given.MyLoss", source=str(here / file))
    assert not (here / "ran").exists()
    assert stage_of("mine_given.MyLoss", source=str(here / "mine.yaml"))


def test_a_method_that_cannot_be_called_as_it_will_be_is_an_error(here: Path) -> None:
    (here / "mine_op.py").write_text(
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Op:\n"
        "    def sites(self): ...\n    def frames_in_stage(self, stage, num_frames): ...\n"
    )
    with pytest.raises(RecipeError, match=r"is no TemporalOp. hint: it lacks `sites\(self, block"):
        from_yaml(ModelSpec, "temporal: [mine_op.Op]")


def test_a_recipe_that_cannot_be_read_back_begins_no_run(tmp_path: Path) -> None:
    from dataclasses import dataclass, replace

    @dataclass(frozen=True)
    class Local(CrossEntropy):
        pass

    recipe = tiny_recipe(write_set(tmp_path / "clips", 1, 1))
    (stage,) = recipe.stages
    recipe = replace(recipe, stages=(replace(stage, objective=Local()),))
    work_dir = tmp_path / "run"
    message = r"stages\.0\.objective is a .*Local, which cannot be read back from .*run"
    with pytest.raises(RecipeError, match=message):
        train(recipe, work_dir, quiet=True)
    assert not work_dir.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 1.5}, "epochs is 1.5, expected a whole number"),
        ({"normalize_heads": "0.5"}, "normalize_heads is '0.5', which would be read back as 0.5"),
        ({"sampler": None}, "sampler is None, expected one of ClassBalanced"),
        ({"warmup": {"epochs": 1}}, r"warmup is \{'epochs': 1\}, which no recipe can hold"),
    ],
)
def test_a_value_that_yaml_would_change_is_named(change: dict[str, object], message: str) -> None:
    stage = Stage()
    vars(stage).update(change)
    with pytest.raises(RecipeError, match=message):
        to_readable_yaml(stage, "recipe.yaml")


def test_a_recipe_that_can_be_read_back_is_written_as_it_is() -> None:
    spec = ModelSpec(TinySpec(), num_segments=2)
    assert to_readable_yaml(spec, "run/recipe.yaml") == to_yaml(spec)
    assert all(importlib.import_module(room) for room in ROOMS)
    assert set(classes_for(Schedule)) == {"Cosine", "Plateau", "StepDecay"}


@pytest.mark.parametrize("name", ["model.onnx", "model.xml", "model.pt2", "recipe.yaml"])
def test_code_beside_a_file_of_a_model_is_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brought_along.py").write_text("class Brought:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "no code is run" in obstacle("brought_along", "Brought", str(tmp_path / name))
    assert obstacle("brought_along", "Brought", str(tmp_path / "mine.yaml")) == ""
