"""The command `marey serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli import timeline_options as timelines
from marey.cli.shared import (
    above_zero,
    called,
    console,
    device_or_default,
    errors,
    refused_values,
)
from marey.cli.weights import at_hand
from marey.errors import RunError
from marey.serve.limits import Limits

USUAL = Limits()
TOKEN = "MAREY_TOKEN"
LEAST = 16
"""Letters of a token."""
PACKAGES = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")


@timelines.with_rule
def serve(
    model: opt.Model,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 8000,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a name it is asked by; several")
    ] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="fetch videos below https://HOST/FOLDER/; several"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="file of the token asked for; or the variable MAREY_TOKEN"),
    ] = None,
    rule: timelines.Rule = None,
    segments: opt.Segments = None,
    calibrated: opt.Calibrated = False,
    runtime: opt.GraphRuntime = None,
    trusted: opt.Trusted = False,
    device: opt.Device = None,
    download: opt.Download = False,
    max_bytes: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="of an upload")
    ] = USUAL.bytes,
    max_seconds: Annotated[
        float, typer.Option(parser=above_zero, metavar="SECONDS", help="of a video")
    ] = USUAL.seconds,
    max_frames: Annotated[int, typer.Option(min=1, help="of a video")] = USUAL.frames,
    max_pixels: Annotated[int, typer.Option(min=1, help="of a frame")] = USUAL.pixels,
    max_windows: Annotated[int, typer.Option(min=1, help="of a timeline")] = USUAL.windows,
    max_memory: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="to decode one video")
    ] = USUAL.memory,
    concurrency: Annotated[
        int, typer.Option(min=1, help="requests in work at a time")
    ] = USUAL.concurrency,
    queue: Annotated[int, typer.Option(min=1, help="requests that wait; 429 beyond")] = USUAL.queue,
    request_seconds: Annotated[
        float,
        typer.Option(parser=above_zero, metavar="SECONDS", help="to send a video, and to answer"),
    ] = USUAL.request_seconds,
    streams: Annotated[int, typer.Option(min=1, help="live streams at a time")] = USUAL.streams,
    stream_bytes: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="of a frame of a stream")
    ] = USUAL.stream_bytes,
    stream_seconds: Annotated[
        float,
        typer.Option(parser=above_zero, metavar="SECONDS", help="a stream may send nothing"),
    ] = USUAL.stream_seconds,
    grace_seconds: Annotated[
        float,
        typer.Option(parser=above_zero, metavar="SECONDS", help="to finish when asked to stop"),
    ] = USUAL.grace_seconds,
) -> None:
    """Answer requests by HTTP: labels and timelines of videos, and of live streams."""
    refuse_without_packages()
    from marey.engine.inference.predict import load
    from marey.serve.app import make_app
    from marey.serve.server import is_loopback, run

    token = read_token(token_file)
    predictor = load(
        at_hand(model, download=download),
        device_or_default(device),
        segments=segments,
        calibrated=calibrated,
        runtime=runtime,
        trusted=trusted,
    )
    [name] = called(model)
    limits = Limits(
        bytes=max_bytes,
        seconds=max_seconds,
        frames=max_frames,
        pixels=max_pixels,
        windows=max_windows,
        memory=max_memory,
        concurrency=concurrency,
        queue=queue,
        request_seconds=request_seconds,
        streams=streams,
        stream_bytes=stream_bytes,
        stream_seconds=stream_seconds,
        grace_seconds=grace_seconds,
    )
    with refused_values():
        app = make_app(
            predictor,
            limits,
            token=token,
            allowed_urls=allow_url or (),
            names=allow_host or (),
            rule=rule,
            name=name,
        )
    if not is_loopback(host) and token is None:
        errors.print(
            f"[yellow]warning:[/] {escape(host)} is reached from other machines, and no token is "
            "asked for: give --token-file or MAREY_TOKEN"
        )

    def ready(url: str) -> None:
        console.print(f"{escape(name)} answers at {url} (Ctrl-C ends it)")

    if not run(app, host, port, ready=ready):
        raise typer.Exit(130)


def refuse_without_packages() -> None:
    """RunError where what a server is made of is not installed."""
    from marey.engine.runtimes.onnx_file import lacking

    if reason := lacking(*PACKAGES):
        raise RunError(f"nothing can be served: {reason}")


def read_token(file: Path | None) -> str | None:
    """The token that is asked for, never one of the command line, where others could read it."""
    import os

    if file is not None:
        try:
            token, source = file.read_text(encoding="utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(
                f"{file} holds no token that can be read: {reason}",
                f"--token-file takes a file of text, {TOKEN} the token itself",
            ) from error
    elif TOKEN in os.environ:
        token, source = os.environ[TOKEN].strip(), TOKEN
    else:
        return None
    if len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise RunError(
            f"the token of {source} has under {LEAST} letters, or others than plain ones",
            "make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return token
