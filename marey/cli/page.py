"""The command `marey app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.serve import refuse_without_packages
from marey.cli.shared import called, console, device_or_default, errors
from marey.cli.weights import at_hand


def app_page(
    model: opt.Model,
    compare: Annotated[
        Path | None,
        typer.Option(help="another model, side by side", autocompletion=completion.checkpoints),
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 8000,
    open_it: Annotated[bool, typer.Option("--open", help="open the page in a browser")] = False,
    calibrated: opt.Calibrated = False,
    trusted: opt.Trusted = False,
    device: opt.Device = None,
    download: opt.Download = False,
) -> None:
    """Serve a page to try a model: upload a video, show the camera, see where it looks."""
    refuse_without_packages()
    from marey.engine.inference.predict import load
    from marey.serve.app import make_app
    from marey.serve.pages import with_page
    from marey.serve.server import is_loopback, run

    where = device_or_default(device)
    models = [each for each in (model, compare) if each is not None]
    names = called(*models)
    predictors = [
        load(at_hand(each, download=download), where, calibrated=calibrated, trusted=trusted)
        for each in models
    ]
    if not is_loopback(host):
        errors.print(
            f"[yellow]warning:[/] {escape(host)} is reached from other machines, and whoever "
            "reaches it may ask; browsers give their camera to this machine or https alone"
        )

    def ready(url: str) -> None:
        console.print(f"{escape(' and '.join(names))} can be tried at {url} (Ctrl-C ends it)")
        if open_it:
            typer.launch(url)

    apps = [make_app(of, name=name) for of, name in zip(predictors, names, strict=True)]
    if not run(with_page(*apps), host, port, ready=ready):
        raise typer.Exit(130)
