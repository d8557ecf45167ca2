"""Every command and every example of the README, run in order in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch

from tests import fresh
from tests.convert import upstream
from tests.convert.test_convert import MOBILENET, NAME
from tests.tiny import CLASSES, write_clip

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# what makes trainings of the README small, and those that time models; all else runs as it stands
SHORT = ("stages.0.epochs=1", "stages.0.warmup.epochs=0", "batch_size=4", "data.workers=0")
SMALL = (
    *SHORT,
    "model.num_segments=2",
    "train.sampling.num_segments=2",
    "test.sampling.num_segments=2",
    "train.crop.size=32",
    "test.crop.size=32",
    "test.crop.resize=36",
)


def smaller(recipe: str) -> tuple[str, ...]:
    """What makes a training small, of a recipe that is named or is to be chosen."""
    if recipe.startswith("--"):
        return ("epochs=1", "frames=2", "size=32")
    return SHORT if recipe.startswith("features-") else SMALL


TIMED = {
    ("marey", "optimize"): ("--form", "plain", "--form", "fused"),  # compiling takes a minute
    ("marey", "bench", "model"): ("--repeats", "1", "test.crop.size=32", "test.crop.resize=36"),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("bash")).splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for label, name in enumerate(CLASSES):
        (folder / "my-videos" / name).mkdir(parents=True)
        for number in range(5):
            write_clip(folder / "my-videos" / name / f"{number}.mp4", label, seed=number)
    write_clip(folder / "clip.mp4", 1)
    weights = upstream.under(upstream.tsm_mobilenet, upstream.filled(MOBILENET))
    torch.save({"state_dict": weights}, folder / NAME)
    write_clip(folder / "long.mp4", 2, num_frames=60)
    return folder


def plan(*words: str) -> str:
    """What `make` would do."""
    command = ["make", "-n", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_first_screen_installs_shows_and_trains() -> None:
    first_screen = "\n".join(README.splitlines()[:50])
    for words in ("git clone", "make demo ", "activate", "marey train --manifest", "marey report"):
        assert words in first_screen
    assert "docs/report.png" in first_screen


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_has_the_two_commands(target: str) -> None:
    assert f"make {target} " in README
    planned = plan(target, "VENV=/nowhere/venv")
    wanted = {"demo": "/nowhere/venv/bin/marey demo", "test": "-m pytest"}[target]
    assert wanted in planned
    assert "torch==2.13.0" in planned


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_runs_as_written_and_in_order(
    folder: Path, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAREY_WEIGHTS", str(shared_dir / "data" / "weights"))
    for command in commands():
        words = shlex.split(command)
        if words[0] == "make":
            plan(*words[1:])
            continue
        assert words[0] == "marey", command
        if words[1] == "train" and "--resume" not in words:
            words += smaller(words[2])
        for begin, more in TIMED.items():
            if tuple(words[: len(begin)]) == begin:
                words += more
        fresh.printed("-m", *words, cwd=folder)
    assert (folder / "runs" / "mine" / "report.html").stat().st_size > 10_000
    example, own_module = blocks("python")
    assert "%" in fresh.printed("-c", example, cwd=folder)
    fresh.printed("-c", f"{own_module}\nassert 'after_bn1' in str(model)", cwd=folder)


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
