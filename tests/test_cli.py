"""Errors as a person meets them: two lines, no traceback, status 2."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
import typer
from typer.testing import CliRunner

import marey as marey_package
from marey.cli.app import app, main
from marey.cli.bare_options import with_values
from marey.cli.shared import console, errors, quietly, stopping
from marey.errors import RunError
from marey.jobs.signals import STOPPING
from tests.tiny import write_set


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"), per_class=1, val_per_class=1)


Marey: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture
def marey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Marey:
    """The command, called in an empty folder: its status, and what it says.

    In this process: one of its own for each mistake would take two minutes.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(logging.getLogger("marey"), "handlers", [])

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["marey", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "tsm-r81"], "did you mean 'tsm-r18'?"),
        (["train", "tsm-r18"], "data.train names no manifest"),
        (["train", "clips.csv"], "hint: give it as the clips to train on (--manifest clips.csv)"),
        (["train", "tsm-r18", "stages.0.optim.lrr=1"], "did you mean 'lr'?"),
        (["train", "tsm-r18", "train.sampling.num_segments=4"], "the model takes 8"),
        (["train", "tsm-r18+crt", "--epochs", "3"], "stages.0.epochs=3 or stages.1.epochs=3"),
        (["train", "tsm-r18", "--manifest", "nothing.csv"], "nothing.csv"),
        (["train", "--resume", "--work-dir", "nowhere"], "is not the folder of a run"),
        (["eval", "nowhere"], "nowhere does not exist"),
        (["predict", "nowhere", "clip.mp4"], "nowhere does not exist"),
        (["report", "nowhere"], "there is no run at nowhere"),
        (["data", "init", "nothing", "out"], "nothing does not exist"),
        (["data", "check", "nothing.csv"], "nothing.csv"),
        (["data", "stats", "nothing.csv"], "nothing.csv"),
        (["train", "tsm-r18", "seed=1180591620717411303424"], "expected a whole number"),
        (["train", "tsm-r18", "learning_rate=1"], "did you mean 'lr'?"),
        (["train", "tsm-r18", "stages.0.optim.wd=1"], "did you mean 'weight_decay'?"),
        (["train", "tsm-r18", "Batch-Size=4"], "did you mean 'batch_size'?"),
        (["train", "tsm-r18", "optimizer=AdamW"], "did you mean 'stages.0.optim'?"),
        (["train", "tsm-r18", "batch_size="], "batch_size is empty, expected"),
        (["train", "hf:"], "hf: names no network\nhint: hf:ORG/NAME of the hub, or hf:FOLDER"),
        (["weights", "get", "hf:"], "'hf:' names no network of the hub\nhint: expected hf:ORG/"),
        (["train", "tsm-r18", "clip_grad=-1"], "clip_grad is -1.0, expected more than 0"),
        (
            ["bench", "model", "tsm-r18", "size=64", "--device", "gpu"],
            "there is no device 'gpu' here",
        ),
        (["eval", "nowhere", "--device", "meta"], "there is no device 'meta' here"),
        (["train", "tsm-r18", "--manifest", "x.csv", "--device", "cuda:77"], "'cuda:77'"),
    ],
)
def test_a_mistake_is_explained(
    marey: Marey, words: list[str], message: str, tmp_path: Path
) -> None:
    status, output = marey(*words)
    assert status == 2, output
    assert output.startswith("error: ")
    assert message in output
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["train", "tsm-r18", "-j", "-1"],
        ["train", "tsm-r18", "-b", "0"],
        ["train", "tsm-r18", "--seed", "-1"],
        ["train", "tsm-r18", "--save-steps", "0"],
        ["predict", "run", "a.mp4", "--window", "0"],
        ["predict", "run", "a.mp4", "--window", "nan"],
        ["predict", "run", "a.mp4", "--stride", "inf"],
        ["predict", "run", "a.mp4", "--top", "0"],
        ["data", "check", "a.csv", "--timeout", "-1"],
        ["data", "pack", "a.csv", "out", "--fps", "nan"],
        ["data", "pack", "a.csv", "out", "--size", "0"],
        ["bench", "data", "a.csv", "--clips", "0"],
    ],
)
def test_an_option_out_of_range_is_refused_by_name(words: list[str]) -> None:
    """In one process: twelve of their own would take half a minute."""
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2, shown.output
    assert isinstance(shown.exception, SystemExit)
    assert words[-2].strip("-") in shown.output or "pixels" in shown.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "tsm-r18", "--epochs", "x"], "it is 'x', expected a whole number"),
        (["train", "tsm-r18", "-j", "-1"], "it is '-1', expected 0 or more"),
        (["train", "tsm-r18", "--lr", "x"], "it is 'x', expected a number above 0"),
        (["sweep", "tsm-r18", "--search", "tree"], "'tree' is not one of 'grid', 'random', 'optun"),
        (["report", "runs/a", "runs/b"], "side by side: marey compare runs/a runs/b"),
    ],
)
def test_a_refused_value_is_told_in_words(words: list[str], message: str) -> None:
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2
    said = " ".join(line.strip("│ ") for line in shown.output.splitlines())
    assert message in said


def test_alone_it_says_what_to_begin_with() -> None:
    shown = CliRunner().invoke(app, [])
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.output.splitlines() if line.startswith("  ")] == [
        ["marey", "data"],
        ["marey", "train"],
        ["marey", "predict"],
    ]
    assert CliRunner().invoke(app, ["--version"]).output == f"marey {marey_package.__version__}\n"
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


def test_a_command_is_quiet_where_it_is_asked_to_be() -> None:
    small = typer.Typer()

    @small.command()
    @quietly
    def speak(words: list[str]) -> None:
        """Print the words."""
        console.print(*words)
        errors.print("a warning")

    for option, said in (([], "a b\n"), (["-q"], "")):
        shown = CliRunner().invoke(small, [*option, "a", "b"], catch_exceptions=False)
        assert (shown.stdout, shown.stderr) == (said, "a warning\n")
    assert all("--quiet" in CliRunner().invoke(app, [w, "--help"]).output for w in ("eval", "demo"))


def test_a_wrong_label_stops_before_training(marey: Marey, manifest: Path, tmp_path: Path) -> None:
    bad = manifest.with_name("bad.csv")
    bad.write_text(manifest.read_text().replace("blue_0.mp4,3", "blue_0.mp4,4"))
    status, output = marey("train", "tsm-r18", "--manifest", bad)
    assert status == 2
    assert "bad.csv:8: 'label' is 4" in output
    assert not (tmp_path / "runs").exists()


def test_parts_of_a_model_that_do_not_go_together_are_named(
    marey: Marey, manifest: Path, tmp_path: Path
) -> None:
    words = ("train", "tsm-r18", "model.temporal=[TSM, TAM]", "--manifest", manifest)
    status, output = marey(*words)
    assert status == 2
    assert "cannot be built: TSM(" in output
    assert "both want the site 'residual_in'" in output
    recipe = "{name: x, model: {encoder: {ResNetSpec: {depth: 18}}, temporal: [GST]}}"
    (tmp_path / "x.yaml").write_text(recipe, encoding="utf-8")
    status, output = marey("models", "x.yaml")
    assert status == 2
    assert "x.yaml cannot be built: GST(" in output


def test_check_ends_with_status_1_when_something_is_wrong(
    marey: Marey, manifest: Path, tmp_path: Path
) -> None:
    assert marey("data", "check", manifest, "--out", tmp_path / "a.csv")[0] == 0
    broken = manifest.parent / "green_0.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    try:
        status, output = marey("data", "check", manifest, "--out", tmp_path / "b.csv")
    finally:
        broken.write_bytes(whole)
    assert status == 1
    assert "1 unreadable" in output


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "--resume"], ["train", "--resume=latest"]),
        (["train", "x", "--resume", "a.b=1"], ["train", "x", "--resume=latest", "a.b=1"]),
        (["train", "--resume", "--seed", "1"], ["train", "--resume=latest", "--seed", "1"]),
        (["train", "--resume", "a/last.pt"], ["train", "--resume", "a/last.pt"]),
        (["train", "--amp", "x"], ["train", "--amp=true", "x"]),
        (["train", "x", "--amp"], ["train", "x", "--amp=true"]),
        (["train", "--amp", "auto"], ["train", "--amp", "auto"]),
        (["bench", "model", "x", "--amp"], ["bench", "model", "x", "--amp=true"]),
    ],
)
def test_an_option_alone_has_its_usual_value(words: list[str], meant: list[str]) -> None:
    assert with_values(words) == meant


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_who_asks_for_segments_without_a_number_hears_of_timelines(more: list[str]) -> None:
    with pytest.raises(RunError, match="--segments takes a number.*--window SECONDS"):
        with_values(["eval", "run", "--segments", *more])
    for words in (["eval", "run", "--segments", "8"], ["train", "x", "--segments"]):
        assert with_values(words) == words


@pytest.mark.parametrize("option", ["--executor", "--engine"])
def test_an_executor_goes_by_its_earlier_name_too(
    marey: Marey, option: str, tmp_path: Path
) -> None:
    status, output = marey("data", "check", "nothing.csv", option, "ray")
    assert (status, output.startswith("error: cannot read nothing.csv")) == (2, True)


def test_a_share_that_there_is_not_is_a_mistake_of_usage(marey: Marey, tmp_path: Path) -> None:
    status, output = marey("data", "check", "nothing.csv", "--shard", "3/3")
    assert status == 2
    assert "shard is 3/3, expected i/n" in " ".join(output.replace("│", " ").split())


def test_a_stop_says_what_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as stop:
            stop.add_note("4 of 8 clips are kept")
            try:
                raise RuntimeError from stop  # as typer does, in two steps
            except RuntimeError:
                sys.exit(130)

    with pytest.raises(SystemExit), stopping():
        run()
    assert capfd.readouterr().err == "stopped. 4 of 8 clips are kept\n"


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("caught", [False, True])
def test_a_command_that_is_asked_to_stop_says_so(
    number: int, caught: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(each) for each in STOPPING]

    def run() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # a second ends at once
            if caught:  # as typer does
                sys.exit(130)
            raise

    with pytest.raises(SystemExit) as end, stopping():
        run()
    assert end.value.code == 130
    assert capfd.readouterr().err == "stopped\n"
    assert [signal.getsignal(each) for each in STOPPING] == handlers


STUCK = """
import ctypes, sys
from marey.cli.shared import stopping
lock, mutex = ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64)
with stopping():
    print("begun", flush=True)
    lock(mutex)
    lock(mutex)  # for ever, in C
"""


def wait_until_asleep(pid: int) -> None:
    """Return when the main thread of a process waits, and nothing wakes it."""
    process, before = psutil.Process(pid), None
    while process.status() != psutil.STATUS_SLEEPING or process.num_ctx_switches() != before:
        before = process.num_ctx_switches()
        time.sleep(0.1)


def test_a_second_interrupt_ends_a_command_that_is_stuck_in_c() -> None:
    command = [sys.executable, "-c", STUCK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        wait_until_asleep(process.pid)  # in C: before, Python would hear of the first at once
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=580) == 130
