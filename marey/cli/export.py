"""The command `marey export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli import trial_options as trials
from marey.cli.shared import above_zero, console, errors, progress_bar, refused_values
from marey.cli.tables import AsJson, print_json
from marey.cli.weights import at_hand
from marey.errors import counted

if TYPE_CHECKING:
    from marey.engine.export.check import Check

CLOSE_INT8 = 95.0
"""Percent of the first labels that a file of 8 bits keeps unless something else is asked for."""


def export(
    model: opt.Model,
    out: Annotated[
        Path | None, typer.Argument(help="new folder; default: MODEL-TO, beside it")
    ] = None,
    to: Annotated[
        Literal["safetensors", "onnx", "openvino", "pt2"],
        typer.Option(help="safetensors: a release, of weights; the others: a file that runs"),
    ] = "safetensors",
    stream: Annotated[
        bool, typer.Option("--stream", help="frame by frame, buffers as inputs and outputs")
    ] = False,
    head: Annotated[
        str | None, typer.Option(help="of a stream: its label, of a model with several")
    ] = None,
    segments: opt.Segments = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="of the pictures; default: as the test views say")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "-b",
            "--batch-size",
            min=1,
            help="clips at once, fixed as TensorRT wants it; default: any number",
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="round to 8 bits, fitted to --calibration; not for pt2"),
    ] = False,
    calibration: trials.Calibration = None,
    manifest: trials.Manifest = None,
    split: trials.Split = None,
    clips: trials.Clips = 32,
    exact: trials.Exact = None,
    close: Annotated[
        float | None,
        typer.Option(
            parser=above_zero,
            metavar="PERCENT",
            help=f"instead: of answers, whose first label stays; default of --int8: {CLOSE_INT8:g}",
        ),
    ] = None,
    workers: opt.Workers = None,
    download: opt.Download = False,
    as_json: AsJson = False,
) -> None:
    """Write a trained model for others to use: its weights, or a file for another runtime.

    A file is tried on real clips, and kept if it gives the scores of the model.
    """
    of_files = {
        "--stream": stream,
        "--head": head,
        "--segments": segments,
        "--size": size,
        "--batch-size": batch_size,
        "--int8": int8,
        "--calibration": calibration is not None,
        "--manifest": manifest,
        "--split": split,
        "--exact": exact,
        "--close": close,
    }
    folder = at_hand(model, download=download)
    out = out or _beside(model, folder, to)
    if to == "safetensors":
        if given := [name for name, value in of_files.items() if value]:
            which = "onnx or openvino" if int8 else "onnx, openvino or pt2"
            raise typer.BadParameter(
                f"{', '.join(given)}: of files for a runtime; say which: --to {which}"
            )
        _export_weights(folder, out, as_json=as_json)
        return
    if calibration is not None and not int8:
        raise typer.BadParameter("--calibration is of numbers of 8 bits: give --int8 too")
    keeps, limit = trials.what_is_kept(exact, close, CLOSE_INT8 if int8 else None)
    from marey.engine.export.export import WantedFile, export_file
    from marey.engine.optimize.clips import WantedClips

    with refused_values():
        wanted = WantedFile(
            to=to,
            stream=stream,
            int8=int8,
            segments=segments,
            size=size,
            batch=batch_size,
            head=head,
            clips=WantedClips(
                manifest=manifest,
                split=split,
                calibration=calibration,
                num_clips=clips,
                workers=workers,
            ),
            keeps=keeps,
            limit=limit,
        )
    with progress_bar("exporting") as progress:
        check = export_file(
            folder,
            out,
            wanted,
            progress=progress,
            say=lambda line: None if console.quiet else errors.print(line, markup=False),
        )
    if as_json:
        print_json(check)
        return
    console.print(escape(_in_words(check)))
    if batch_size is not None and to == "onnx":
        console.print(escape(_for_tensorrt(check)))
    console.print(f"written: {out}", markup=False)


def _export_weights(folder: Path, out: Path, *, as_json: bool) -> None:
    from marey.engine.export.export import export_weights

    with progress_bar("writing the release"):
        written = export_weights(folder, out)
    if as_json:
        print_json({"written": str(written)})
        return
    console.print(f"written: {written}", markup=False)


def _beside(model: Path, folder: Path, to: str) -> Path:
    """MODEL-TO beside its folder; of published weights, which lie in the cache, here."""
    if folder != model:
        return Path(f"{model.name}-{to}")
    named = model if model.name not in ("", "..") else model.resolve()
    return named.with_name(f"{named.name}-{to}")


def _in_words(check: Check) -> str:
    """What the check found, in a line."""
    on = counted(check.num_clips, "clip")
    if check.of == "stream":
        on += f", frame by frame ({counted(check.num_answers, 'answer')})"
    return (
        f"tried on {on}: off by {check.difference:.1e} of the largest logit at most "
        f"({check.max_abs:.1e}), {check.agreement:.1f} % of the first labels are the model's"
    )


def _for_tensorrt(check: Check) -> str:
    if not check.tensorrt:
        return "for TensorRT: fixed shapes, and operators that its parser knows; not run here"
    return f"not for TensorRT: {'; '.join(check.tensorrt)}"
