"""The commands `marey bench`: data, end2end, model, stream, train."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marey.cli import options as opt
from marey.cli.shared import device_or_default, refused_values
from marey.cli.tables import AsJson, print_json, print_table
from marey.errors import counted

if TYPE_CHECKING:
    from marey.data.manifest.manifest import Manifest
    from marey.engine.bench.end2end import EndToEndSpeed
    from marey.engine.bench.model import ModelSpeed
    from marey.models.video_model import ModelSpec
    from marey.recipes.recipe import Recipe

bench_app = typer.Typer(help="How fast this machine is.", no_args_is_help=True)

OfRecipe = Annotated[str, typer.Option("--recipe", help="whose sampling, crop and model")]
NumClips = Annotated[int, typer.Option("--clips", min=1, help="to read")]
Repeats = Annotated[int, typer.Option(min=1, help="batches to time")]
Plain = Annotated[
    bool, typer.Option("--plain", help="as it is trained, not as eval and predict run it")
]


@bench_app.command("data")
def bench_data(
    manifest: opt.ManifestFile,
    root: opt.Root = None,
    recipe: OfRecipe = "tsm-r18",
    split: opt.Split = "train",
    clips: NumClips = 500,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    as_json: AsJson = False,
) -> None:
    """Clips a second from files to batches, and what the time goes into."""
    from marey.engine.bench.data import bench_data as measure
    from marey.recipes.catalog import find

    row = find(recipe)
    speed = measure(
        _clips_of(manifest, root, split),
        row.train,
        num_clips=clips,
        batch_size=batch_size or 16,
        workers=1 if workers is None else workers,
        modality=row.model.modality,
    )
    shown = {
        "clips/s": f"{speed.clips_per_second:.1f}",
        "clips/s a core": f"{speed.clips_per_second_per_core:.1f}",
        "decode": f"{speed.decode_share:.0%}",
        "resize": f"{speed.resize_share:.0%}",
        "collate": f"{speed.collate_share:.0%}",
        "unreadable": str(speed.unreadable),
    }
    per_core = {"clips_per_second_per_core": speed.clips_per_second_per_core}
    _show(asdict(speed) | per_core, shown, "cpu", as_json=as_json)


@bench_app.command("end2end")
def bench_end2end(
    manifest: opt.ManifestFile,
    root: opt.Root = None,
    recipe: OfRecipe = "tsm-r18",
    split: opt.Split = "val",
    clips: NumClips = 100,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    plain: Plain = False,
    device: opt.Device = None,
    as_json: AsJson = False,
) -> None:
    """Clips a second from files to scores, by a model with random weights."""
    from marey.engine.bench.end2end import bench_end_to_end
    from marey.recipes.catalog import find

    device = device_or_default(device)
    speed = bench_end_to_end(
        _clips_of(manifest, root, split),
        find(recipe),
        num_clips=clips,
        batch_size=batch_size or 1,
        workers=1 if workers is None else workers,
        device=device,
        form="plain" if plain else "fused",
    )
    shown = {
        "clips/s": f"{speed.clips_per_second:.2f}",
        **_how(speed),
        "waiting for clips": f"{speed.waiting_share:.0%}",
        "unreadable": str(speed.unreadable),
    }
    _show(asdict(speed), shown, device, as_json=as_json)


@bench_app.command("model")
def bench_model(
    recipe: opt.RecipeName,
    overrides: opt.ViewOverrides = None,
    batch_size: opt.BatchSize = None,
    repeats: Repeats = 10,
    amp: opt.Amp = None,
    plain: Plain = False,
    device: opt.Device = None,
    as_json: AsJson = False,
) -> None:
    """Clips a second, latency, GMACs and memory of a model, with random weights."""
    from marey.engine.bench.model import bench_model as measure

    device = device_or_default(device)
    spec, size = _tested(recipe, overrides)
    speed = measure(
        spec,
        size=size,
        batch_size=batch_size or 1,
        repeats=repeats,
        device=device,
        amp=opt.AMP_VALUES[amp or "auto"],
        form="plain" if plain else "fused",
    )
    per_second = {"clips_per_second": speed.clips_per_second}
    _show(asdict(speed) | per_second, _of_model(speed), device, as_json=as_json)


@bench_app.command("train")
def bench_train(
    recipe: opt.RecipeName,
    overrides: opt.Overrides = None,
    batch_size: opt.BatchSize = None,
    repeats: Repeats = 5,
    amp: opt.Amp = None,
    device: opt.Device = None,
    as_json: AsJson = False,
) -> None:
    """Clips a second of training steps: forward, backward and SGD, on random clips."""
    from marey.engine.bench.model import bench_training
    from marey.recipes.catalog import as_it_lies
    from marey.recipes.describe import with_some_head
    from marey.recipes.val_views import override_with_val

    device = device_or_default(device)
    chosen = override_with_val(as_it_lies(recipe), overrides or [])
    speed = bench_training(
        with_some_head(chosen.model),
        size=chosen.train.crop.size,
        batch_size=batch_size or 4,
        repeats=repeats,
        device=device,
        amp=opt.AMP_VALUES[amp or "auto"],
    )
    per_second = {"clips_per_second": speed.clips_per_second}
    _show(asdict(speed) | per_second, _of_model(speed), device, as_json=as_json)


@bench_app.command("stream")
def bench_stream(
    recipe: opt.RecipeName,
    overrides: opt.ViewOverrides = None,
    repeats: Annotated[int, typer.Option(min=1, help="frames to time")] = 50,
    device: opt.Device = None,
    as_json: AsJson = False,
) -> None:
    """Latency of a frame of a stream, for a model that looks back only.

    Any TSM does so with 'model.temporal=[{TSM: {direction: past}}]'.
    """
    from marey.engine.bench.stream import bench_stream as measure

    device = device_or_default(device)
    spec, size = _tested(recipe, overrides)
    with refused_values():
        speed = measure(spec, size=size, repeats=repeats, device=device)
    shown = {
        "frames/s": f"{speed.frames_per_second:.1f}",
        "median latency": f"{1000 * speed.median_seconds:.1f} ms",
        "95 % below": f"{1000 * speed.slow_seconds:.1f} ms",
        f"of a clip of {counted(speed.frames, 'frame')}": f"{speed.share_of_clip:.1%}",
    }
    more = {
        "frames_per_second": speed.frames_per_second,
        "share_of_clip": speed.share_of_clip,
    }
    _show(asdict(speed) | more, shown, device, as_json=as_json)


def _clips_of(manifest: str, root: str | None, split: str) -> Manifest:
    from marey.data.manifest.location import Location
    from marey.data.manifest.read import read_manifest, require_local_files

    whole = read_manifest(manifest, at=Location(root))
    require_local_files(whole, split)
    return whole.select(split)


def _tested(recipe: str, overrides: list[str] | None) -> tuple[ModelSpec, int]:
    """The model that a recipe tests, and the pixels of a side."""
    from marey.recipes.catalog import as_it_lies
    from marey.recipes.describe import with_some_head
    from marey.recipes.val_views import override_with_val

    chosen: Recipe = override_with_val(as_it_lies(recipe), overrides or [])
    return with_some_head(chosen.tested_model), chosen.test.crop.size


def _of_model(speed: ModelSpeed) -> dict[str, str]:
    return {
        "clips/s": f"{speed.clips_per_second:.2f}",
        "median latency": f"{1000 * speed.median_seconds:.1f} ms for {speed.batch_size}",
        **_how(speed),
        "GMACs": f"{speed.gmacs:.2f}",
        "of the peak": f"{speed.peak_share:.0%}",
        "parameters": f"{speed.parameters / 1e6:.2f} M",
        "peak memory": f"{speed.peak_memory_bytes / 2**20:.0f} MiB",
    }


def _how(speed: ModelSpeed | EndToEndSpeed) -> dict[str, str]:
    return {"form": speed.form, "in": "bfloat16" if speed.amp else "float32"}


def _show(facts: dict[str, Any], shown: dict[str, str], device: str, *, as_json: bool) -> None:
    """One row of a table; or all facts and the machine as JSON."""
    from marey.engine.machine import this_machine
    from marey.engine.report import pages

    if as_json:
        print_json(facts | {"machine": asdict(this_machine(device))})
        return
    print_table(pages.of_numbers([[*shown.values()]], [*shown]))
