"""The commands `marey bench`: data, model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from marey.cli import options as opt
from marey.cli.shared import console, device_or_default
from marey.cli.tables import AsJson, print_json

bench_app = typer.Typer(help="How fast this machine is.", no_args_is_help=True)


@bench_app.command("data")
def bench_data(
    manifest: opt.ManifestFile,
    recipe: Annotated[str, typer.Option(help="whose sampling and crop")] = "tsm-r18",
    split: opt.Split = "train",
    clips: Annotated[int, typer.Option(min=1, help="to read")] = 500,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    as_json: AsJson = False,
) -> None:
    """Clips a second from files to batches, and what the time goes into."""
    from marey.data.manifest.read import read_manifest, require_local_files
    from marey.engine.bench import bench_data as measure
    from marey.recipes.catalog import find

    whole = read_manifest(manifest)
    require_local_files(whole, split)
    speed = measure(
        whole.select(split),
        find(recipe).train,
        num_clips=clips,
        batch_size=batch_size or 16,
        workers=1 if workers is None else workers,
    )
    if as_json:
        print_json(speed)
        return
    table = Table("clips/s", "clips/s a core", "decode", "resize", "collate", "unreadable")
    shares = (speed.decode_share, speed.resize_share, speed.collate_share)
    table.add_row(
        f"{speed.clips_per_second:.1f}",
        f"{speed.clips_per_second_per_core:.1f}",
        *(f"{share:.0%}" for share in shares),
        str(speed.unreadable),
    )
    console.print(table, soft_wrap=False)


@bench_app.command("model")
def bench_model(
    recipe: opt.RecipeName,
    overrides: opt.Overrides = None,
    batch_size: opt.BatchSize = None,
    repeats: Annotated[int, typer.Option(min=1, help="batches to time")] = 10,
    amp: opt.Amp = False,
    device: opt.Device = None,
    as_json: AsJson = False,
) -> None:
    """Clips a second, latency, GMACs and memory of a model, with random weights."""
    from marey.engine.bench import bench_model as measure
    from marey.recipes.catalog import find
    from marey.recipes.describe import with_some_head
    from marey.recipes.val_views import override_with_val

    chosen = override_with_val(find(recipe), overrides or [])
    spec, size = with_some_head(chosen.tested_model), chosen.test.crop.size
    speed = measure(
        spec,
        size=size,
        batch_size=batch_size or 1,
        repeats=repeats,
        device=device_or_default(device),
        amp=amp,
    )
    if as_json:
        print_json(asdict(speed) | {"clips_per_second": speed.clips_per_second})
        return
    table = Table("clips/s", "median latency", "GMACs", "parameters", "peak memory")
    table.add_row(
        f"{speed.clips_per_second:.2f}",
        f"{1000 * speed.median_seconds:.1f} ms for {speed.batch_size}",
        f"{speed.gmacs:.2f}",
        f"{speed.parameters / 1e6:.2f} M",
        f"{speed.peak_memory_bytes / 2**20:.0f} MiB",
    )
    console.print(table, soft_wrap=False)
