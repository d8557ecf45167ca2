"""Trackers are told what log.jsonl is told; a run that goes on is the same run there.

The packages are stood in for by modules with the signatures that their makers document (wandb 0.31,
mlflow 3.17, trackio 0.43); TensorBoard is the real one.
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from marey.engine.train.loop import train
from marey.engine.train.run_log import RunLog
from marey.engine.train.trackers import FILE, check_trackers, open_trackers
from marey.errors import RunError
from marey.recipes.catalog import find
from tests.tiny import tiny_recipe, write_set

ALL = ("wandb", "mlflow", "trackio")
VALUES = {"loss": 1.5, "top1": float("nan")}


class Calls(list[tuple[Any, ...]]):
    """What was asked of the stand-ins, in order: name of the function, then what was given."""

    def of(self, *names: str) -> list[tuple[Any, ...]]:
        return [call for call in self if call[0] in names]


class WandbRun:
    id, url, offline = "w1", "https://wandb.ai/run/w1", False

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def log(self, data, step=None, commit=None):
        self.calls.append(("wandb.log", data))

    def define_metric(self, name, step_metric=None, step_sync=None, hidden=None, summary=None):
        self.calls.append(("wandb.define_metric", name, step_metric))

    def finish(self, exit_code=None):
        self.calls.append(("wandb.finish", exit_code))


class TrackioRun:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def log(self, metrics, step=None):
        self.calls.append(("trackio.log", metrics, step))

    def finish(self):
        self.calls.append(("trackio.finish",))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    for variable in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_DIR", "WANDB_RESUME"):
        monkeypatch.delenv(variable, raising=False)

    def wandb_init(
        entity=None, project=None, dir=None, id=None, name=None, config=None, resume=None
    ):
        made.append(("wandb.init", {"project": project, "id": id, "name": name, "resume": resume}))
        return WandbRun(made)

    def start_run(run_id=None, experiment_id=None, run_name=None, nested=False, tags=None):
        made.append(("mlflow.start_run", run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "m1"))

    def trackio_init(project, name=None, group=None, space_id=None, config=None, resume="never"):
        made.append(("trackio.init", project, name, resume))
        return TrackioRun(made)

    stand_ins: dict[str, dict[str, Any]] = {
        "wandb": {"init": wandb_init},
        "trackio": {"init": trackio_init},
        "mlflow": {
            "start_run": start_run,
            "set_experiment": lambda experiment_name: made.append(
                ("mlflow.set_experiment", experiment_name)
            ),
            "log_params": lambda params, synchronous=None, run_id=None: made.append(
                ("mlflow.log_params", params)
            ),
            "log_metrics": lambda metrics, step=None, synchronous=None, run_id=None: made.append(
                ("mlflow.log_metrics", metrics, step)
            ),
            "end_run": lambda status="FINISHED": made.append(("mlflow.end_run", status)),
            "get_tracking_uri": lambda: "sqlite:///mlflow.db",
        },
    }
    for name, functions in stand_ins.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_a_run_is_begun_told_of_its_steps_and_ended(calls: Calls, tmp_path: Path) -> None:
    made = open_trackers(ALL, tmp_path, find("tsm-r18"), 0)
    assert made.notes == [
        "wandb: https://wandb.ai/run/w1",
        "mlflow: run m1 at sqlite:///mlflow.db",
    ]
    with RunLog(tmp_path, quiet=True, trackers=made) as log:
        log.step(7, "", **VALUES)
    assert calls.of("wandb.log", "mlflow.log_metrics", "trackio.log") == [
        ("wandb.log", {"loss": 1.5, "step": 7}),
        ("mlflow.log_metrics", {"loss": 1.5}, 7),
        ("trackio.log", {"loss": 1.5}, 7),
    ]
    assert calls[-3:] == [("wandb.finish", 0), ("mlflow.end_run", "FINISHED"), ("trackio.finish",)]
    assert ("wandb.define_metric", "*", "step") in calls
    params = [params for _, params in calls.of("mlflow.log_params")]
    assert any(each.get("model.num_segments") == 8 for each in params)
    assert all(len(each) <= 100 for each in params)
    assert list((tmp_path / "tb").iterdir())


def test_a_run_that_goes_on_is_the_same_run_there(calls: Calls, tmp_path: Path) -> None:
    open_trackers(ALL, tmp_path, find("tsm-r18"), 0)
    ((_, project, name, resume),) = calls.of("trackio.init")
    assert (project, resume) == ("marey", "never")
    assert name.startswith(f"{tmp_path.name}-")
    calls.clear()
    open_trackers((), tmp_path, find("tsm-r18"), 12)  # without being named again
    ((_, given),) = calls.of("wandb.init")
    assert (given["id"], given["resume"]) == ("w1", "allow")
    assert calls.of("mlflow.start_run") == [("mlflow.start_run", "m1", None)]
    assert calls.of("trackio.init") == [("trackio.init", "marey", name, "allow")]
    assert not calls.of("mlflow.log_params", "mlflow.set_experiment")
    calls.clear()
    (tmp_path / FILE).write_text('["damaged"')
    assert not open_trackers((), tmp_path, find("tsm-r18"), 12).notes
    assert not calls


def test_the_variables_of_the_tools_go_before_what_is_usual_here(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_NAME", "theirs")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    open_trackers(ALL, tmp_path, find("tsm-r18"), 0)
    ((_, given),) = calls.of("wandb.init")
    assert given["project"] is given["name"] is None
    assert not calls.of("mlflow.set_experiment")


def test_a_tracker_that_fails_is_said_once_and_the_run_goes_on(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self, data, step=None, commit=None):
        calls.append(("wandb.log",))
        raise ConnectionError("the server is away\nat line 3")

    monkeypatch.setattr(WandbRun, "log", away)
    monkeypatch.setattr(sys.modules["trackio"], "init", lambda **_: 1 / 0)
    made = open_trackers(ALL, tmp_path, find("tsm-r18"), 0)
    assert "trackio does not take this run any more (division by zero)" in made.notes[0]
    with RunLog(tmp_path, quiet=True, trackers=made) as log:
        for step in (1, 2):
            log.step(step, "", **VALUES)
    assert len(calls.of("wandb.log")) == 1
    assert len(calls.of("mlflow.log_metrics")) == 2
    said = (tmp_path / "train.log").read_text()
    assert said.count("wandb does not take this run any more (the server is away)") == 1


def test_what_is_no_tracker_or_not_installed_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match="no tracker 'wb'.*tensorboard, wandb, mlflow, trackio"):
        check_trackers(["wb"])
    monkeypatch.setattr("marey.engine.train.trackers.find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"wandb is not installed.*pip install 'marey\[track\]'"):
        train(find("tsm-r18"), tmp_path / "run", trackers=["wandb"])
    assert not (tmp_path / "run").exists()
    assert not open_trackers((), tmp_path, find("tsm-r18"), 0).open


def test_training_tells_what_its_log_says(calls: Calls, tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    run = train(tiny_recipe(manifest, epochs=1), tmp_path / "run", quiet=True, trackers=["wandb"])
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    logged = [
        {key: value for key, value in line.items() if key != "kind" and value is not None}
        for line in lines
        if line["kind"] in ("step", "epoch")
    ]
    assert [data for _, data in calls.of("wandb.log")] == logged
    assert "wandb: https://wandb.ai/run/w1" in (run / "train.log").read_text()
