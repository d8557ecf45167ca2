"""What several commands share: two consoles, a progress bar, and what their options mean."""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from typer.models import ArgumentInfo

from marey.jobs.signals import STOPPING, second_interrupt_ends
from marey.terminal import Terminal

if TYPE_CHECKING:
    from marey.data.manifest.location import Location
    from marey.data.manifest.manifest import Manifest
    from marey.jobs.executors import Executor

console = Terminal()
errors = Terminal(stderr=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that draws how far it is, on a terminal only."""
    with progress_bars(title) as (bar,):
        yield bar


@contextmanager
def progress_bars(*titles: str) -> Iterator[list[Callable[[int, int], None]]]:
    """`progress_bar` for each of several steps; those after the first show once they begin."""
    from rich.progress import Progress

    with Progress(
        console=errors, transient=True, disable=console.quiet or not errors.is_terminal
    ) as bars:

        def bar(title: str, *, visible: bool) -> Callable[[int, int], None]:
            task = bars.add_task(title, total=None, visible=visible)
            return lambda done, total: bars.update(task, completed=done, total=total, visible=True)

        yield [bar(title, visible=title == titles[0]) for title in titles]


_Q = Annotated[bool, typer.Option("-q", "--quiet", help="print warnings and errors alone")]


def quietly(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option -q: nothing is printed but warnings and errors."""
    own = inspect.signature(command, eval_str=True)
    if "quiet" in own.parameters:  # it has one: app.py was loaded twice, as `typer docs` does
        return command
    word = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Q)

    @wraps(command)
    def run(*, quiet: bool, **options: object) -> None:
        console.quiet = quiet
        try:
            command(**options)
        finally:
            console.quiet = False

    signature = own.replace(parameters=[*own.parameters.values(), word])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = command.__annotations__ | {"quiet": _Q}
    return run


def out_either_way(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which takes its argument OUT as an option --out too, as others do.

    Commands without an argument `out` stay as they are, and those that take it so already.
    """
    if "out" not in command.__annotations__:  # told without evaluating them, at each start
        return command
    own = inspect.signature(command, eval_str=True)
    notes = getattr(own.parameters.get("out"), "annotation", None)
    argument = next(iter(getattr(notes, "__metadata__", ())), None)
    if not isinstance(argument, ArgumentInfo) or "out_option" in own.parameters:
        return command
    is_needed = own.parameters["out"].default is inspect.Parameter.empty
    kinds = {
        "out": Annotated[Path | None, argument],
        "out_option": Annotated[Path | None, typer.Option("--out", help="OUT, said this way")],
    }

    @wraps(command)
    def run(*, out: Path | None, out_option: Path | None, **options: object) -> None:
        given = [path for path in (out, out_option) if path is not None]
        if len(given) > 1 or (is_needed and not given):
            number = "twice" if given else "not"
            raise typer.BadParameter(f"what is to be written, OUT, is {number} given")
        command(out=given[0] if given else None, **options)

    named = [
        each.replace(annotation=kinds["out"], default=None) if each.name == "out" else each
        for each in own.parameters.values()
    ]
    word = inspect.Parameter(
        "out_option", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kinds["out_option"]
    )
    run.__signature__ = own.replace(parameters=[*named, word])  # type: ignore[attr-defined]
    run.__annotations__ = command.__annotations__ | kinds
    return run


def with_usual_options(app: typer.Typer, *, quiet: Collection[str]) -> None:
    """Give the commands of a group an option --out beside OUT, and those named in `quiet` a -q."""
    for command in app.registered_commands:
        assert command.callback is not None
        does = out_either_way(command.callback)
        is_quiet = (command.name or command.callback.__name__) in quiet
        command.callback = quietly(does) if is_quiet else does


def executor_of_workers(name: str, address: str | None, workers: int | None) -> Executor:
    """So many processes of this machine, or of the Ray cluster at `address`, each of one core."""
    from marey.jobs.executors import Processes, Ray

    return Ray(address, workers) if _is_ray(name, address) else Processes(workers)


def executor_of_a_model(
    name: str, address: str | None, workers: int | None, device: str
) -> Executor:
    """This process, or all slots of a Ray cluster with cores for `workers`, and a GPU if needed."""
    from marey.jobs.executors import HERE, Ray

    gpus = int(device == "cuda")
    return Ray(address, None, max(workers or 0, 1), gpus) if _is_ray(name, address) else HERE


def _is_ray(name: str, address: str | None) -> bool:
    if address is not None and name != "ray":
        raise typer.BadParameter("--address is that of a Ray cluster: add --executor ray")
    return name == "ray"


def above_zero(text: str | float) -> float:
    """The number that an option is given as, which must be more than 0; for typer's `parser`."""
    from marey.types import check_numbers

    try:
        number = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"it is {text!r}, expected a number above 0") from error
    with refused_values():
        check_numbers(above=0, it=number)
    return number


@contextmanager
def ending() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the process with status 0: a server that loads has nothing to finish.

    At once, as an exception could be lost in what is being imported. A server that answers puts
    handlers of its own in their place.
    """
    before = {each: signal.signal(each, lambda *_: os._exit(0)) for each in STOPPING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def stopping() -> Iterator[None]:
    """Ctrl-C and SIGTERM leave the block as `KeyboardInterrupt`; it says so, with status 130.

    Notes of that (`add_note`) are printed too: what is kept, and how it goes on.
    A second one ends the process at once, whatever it does.
    """
    if threading.current_thread() is not threading.main_thread():  # signals reach main only
        yield
        return
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        for each in STOPPING:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in STOPPING}
    try:
        with second_interrupt_ends():
            yield
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes an exit of the former
        if isinstance(end, SystemExit) and (not asked or not end.code):
            raise  # without a code: a command for which it is the usual end
        errors.print(". ".join(["stopped", *_notes(end)]), markup=False)
        raise SystemExit(130) from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _notes(end: BaseException) -> list[str]:
    """Those of the `KeyboardInterrupt` that an exit was made of."""
    while not isinstance(end, KeyboardInterrupt):
        cause = end.__cause__ or end.__context__
        if cause is None:
            return []
        end = cause
    return getattr(end, "__notes__", [])


@contextmanager
def saved_when_stopped(
    go_on: Callable[[Path], str] = lambda _: "The same command goes on", *, speaks: bool = True
) -> Iterator[None]:
    """Training that is stopped in the block is saved: it says so, with status 130.

    Args:
        go_on: how it goes on, a sentence by the folder of the run that was under way.
        speaks: whether this process is the one of several that says what all do.
    """
    from marey.engine.train.stop_signals import Stopped

    try:
        yield
    except Stopped as stop:
        if speaks:
            done = "stopped and saved"
            if not stop.has_trained:
                done = f"stopped before a step was saved{stop.kept and '; '}{stop.kept}"
            errors.print(f"{done}. {go_on(stop.work_dir)}")
        raise typer.Exit(130) from None


@contextmanager
def refused_values(**options: str) -> Iterator[None]:
    """A `ValueError` of the block becomes one of the command line, which shows no traceback.

    options: those whose values have another name in Python, with which a message begins.
    """
    try:
        yield
    except ValueError as error:
        name, is_, rest = str(error).partition(" is ")
        message = f"{options[name]}{is_}{rest}" if name in options else str(error)
        raise typer.BadParameter(message) from error


def called(*models: Path) -> list[str]:
    """What each model is called: the last part of its path, or all of it where two are alike."""
    names = [(each if each.name not in ("", "..") else each.resolve()).name for each in models]
    return names if len(set(names)) == len(names) else [str(each) for each in models]


def device_or_default(name: str | None) -> str:
    """`name`, or the device of this machine; RunError if there is none of that name."""
    from marey.engine.environment import usable_device

    return str(usable_device(name))


def read_clips_of(manifest: str, at: Location) -> Manifest:
    """The clips of a manifest; where nothing names their classes without labels, which is said."""
    from marey.data.manifest.header import NoLabels
    from marey.data.manifest.read import read_manifest

    try:
        return read_manifest(manifest, at=at)
    except NoLabels as error:
        errors.print(f"note: {escape(error.message)}: clips without labels")
        return read_manifest(manifest, heads={}, at=at)
