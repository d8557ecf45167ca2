"""The files in examples/slurm are scripts, and what they start are commands with those options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from marey.cli.app import app
from marey.cli.bare_options import with_values
from marey.recipes.catalog import find

SLURM = Path(__file__).resolve().parents[1] / "examples" / "slurm"
SCRIPTS = sorted(SLURM.glob("*.sbatch"))
JOB = {
    "SLURM_JOB_ID": "17",
    "SLURM_JOB_NODELIST": "node[1-4]",
    "SLURM_JOB_NUM_NODES": "4",
    "SLURM_CPUS_PER_TASK": "8",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_ARRAY_TASK_COUNT": "16",
    "WAIT": "0",
}
LATER = {"srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"', "ray": "exit 0"}


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of the commands that a script starts, none of which is really run."""
    log = tmp_path / "log"
    note = f"import json, sys; print(json.dumps(sys.argv[1:]), file=open({str(log)!r}, 'a'))"
    for name in ("marey", "scontrol"):
        LATER[name] = f'{sys.executable} -c "{note}" {name} "$@"; exit ${{STATUS:-0}}'
    for name, does in LATER.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{does}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    return log


def run(script: Path, log: Path, **environ: str) -> list[list[str]]:
    subprocess.run(["bash", "-n", str(script)], check=True)
    subprocess.run(
        ["bash", str(script)], env=os.environ | environ, cwd=log.parent, check=not environ
    )
    return [json.loads(line) for line in log.read_text().splitlines()]


def accept(words: list[str]) -> None:
    """Nothing, if marey takes these words; else the error of the parser."""
    command = typer.main.get_command(app)
    words = with_values(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_and_marey_takes_its_commands(script: Path, started: Path) -> None:
    assert script.read_text().startswith("#!/bin/bash\n")
    commands = [words[1:] for words in run(script, started) if words[0] == "marey"]
    assert commands
    for words in commands:
        accept(words)
        if words[0] == "train":
            assert find(words[1]).name == words[1]
        if "--array" in script.read_text():
            assert words[words.index("--shard") + 1] == "3/16"


def test_a_run_that_was_stopped_is_put_back_into_the_queue(started: Path) -> None:
    assert run(SLURM / "train.sbatch", started, STATUS="130")[-1] == ["scontrol", "requeue", "17"]
    started.unlink()
    assert [words[0] for words in run(SLURM / "train.sbatch", started, STATUS="1")] == ["marey"]


def test_a_share_can_be_repeated_alone(started: Path) -> None:
    (words,) = run(SLURM / "eval.sbatch", started, SLURM_ARRAY_TASK_COUNT="1", SHARES="8")
    assert words[words.index("--shard") + 1] == "3/8"
