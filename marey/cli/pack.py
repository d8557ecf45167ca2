"""The commands `marey data extract`, `pack` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marey.cli import options as opt
from marey.cli.shared import (
    above_zero,
    console,
    errors,
    executor_of_workers,
    progress_bar,
    refused_values,
)
from marey.jobs.shards import WHOLE

if TYPE_CHECKING:
    from marey.data.packs.forms import PackFormat
    from marey.jobs.executors import Executor
    from marey.jobs.shards import Shard

Size = Annotated[int, typer.Option(help="of the shorter side, in pixels")]
Fps = Annotated[
    float | None,
    typer.Option(parser=above_zero, metavar="RATE", help="frames a second to keep; default: all"),
]
Quality = Annotated[int, typer.Option(help="of JPEG: 1 (best) to 31")]


def data_extract(
    manifest: opt.ManifestFile,
    out: Annotated[Path, typer.Argument(help="folder for frames/ and manifest.csv")],
    size: Size = 256,
    template: Annotated[
        str, typer.Option(help="ssv2, kinetics, ..., or a name like img_{:05d}.jpg")
    ] = "kinetics",
    enlarge: Annotated[bool, typer.Option(help="smaller videos too get this size")] = True,
    fps: Fps = None,
    quality: Quality = 2,
    root: opt.Root = None,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 600.0,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Write the frames of every clip as JPEG files, in a folder a clip, and their manifest."""
    from marey.data.packs.forms import TEMPLATES, FrameFolders
    from marey.video.reading.pixels import ShortSide

    with refused_values():
        form = FrameFolders(
            TEMPLATES.get(template, template), ShortSide(size, enlarge), fps, quality
        )
    _pack(
        manifest, out, form, root, timeout, executor_of_workers(executor, address, workers), shard
    )


def data_pack(
    manifest: opt.ManifestFile,
    out: Annotated[Path, typer.Argument(help="folder for the packs, or NAME.arrow of features")],
    to: Annotated[Literal["jpeg", "mp4"], typer.Option(help="what clips become")] = "jpeg",
    size: Size = 256,
    enlarge: Annotated[bool, typer.Option(help="smaller videos too get this size")] = False,
    fps: Fps = None,
    quality: Quality = 3,
    crf: Annotated[int, typer.Option(help="quality of mp4: 0 (best) to 51")] = 20,
    clips: Annotated[int, typer.Option(help="in a pack")] = 128,
    root: opt.Root = None,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 600.0,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Turn videos or folders of frames into few files that are fast to read, and their manifest.

    Features that lie in many files become one that is mapped into memory.
    """
    from marey.data.features.feature_file import is_arrow
    from marey.data.manifest.location import Location
    from marey.data.manifest.read import read_manifest, require_local_files
    from marey.data.manifest.write import write_manifest
    from marey.data.packs.forms import JpegPacks, Mp4Files
    from marey.errors import ManifestError
    from marey.video.reading.pixels import ShortSide

    if is_arrow(out):
        features = read_manifest(manifest, at=Location(root))
        require_local_files(features)
        if features.features is None:
            raise ManifestError(
                f"{features.source} holds clips, {out} is a file of features", "give a folder"
            )
        with progress_bar("reading") as progress:
            write_manifest(features, out, progress=progress)
        console.print(f"written: {out}")
        return
    form: PackFormat
    with refused_values():
        scale = ShortSide(size, enlarge)
        form = JpegPacks(scale, fps, quality, clips) if to == "jpeg" else Mp4Files(scale, fps, crf)
    _pack(
        manifest, out, form, root, timeout, executor_of_workers(executor, address, workers), shard
    )


def data_verify(
    folder: Annotated[Path, typer.Argument(help="that `pack` or `extract` wrote")],
    workers: opt.Workers = None,
    executor: opt.Executor = "local",
    address: opt.Address = None,
) -> None:
    """Compare packs, files and frames with their checksums, and name what is damaged."""
    from marey.data.packs.checksums import read_checksums, verify

    with progress_bar("comparing") as progress:
        faults = verify(
            folder, executor=executor_of_workers(executor, address, workers), progress=progress
        )
    for fault in faults:
        errors.print(fault, markup=False)
    count = len(read_checksums(folder))
    console.print(f"{count:,} compared: " + (f"{len(faults):,} faults" if faults else "all sound"))
    if faults:
        raise typer.Exit(1)


def _pack(
    manifest: str,
    out: Path,
    form: PackFormat,
    root: str | None,
    timeout: float,
    executor: Executor,
    shard: Shard,
) -> None:
    from marey.data.manifest.location import Location
    from marey.data.manifest.read import read_manifest
    from marey.data.packs.pack_clips import pack_clips

    clips = read_manifest(manifest, at=Location(root))
    with progress_bar("packing") as progress:
        made = pack_clips(
            clips,
            out,
            form,
            executor=executor,
            shard=shard,
            clip_seconds=timeout,
            progress=progress,
        )
    if made is None:
        console.print(f"{out} is whole when the other shards are done too")
        return
    console.print(f"{made.num_clips:,} clips, {made.num_bytes / 2**20:,.0f} MiB")
    if made.num_rejects:
        errors.print(f"{made.num_rejects:,} clips left out; see {out / 'rejects.csv'}")
    if made.num_renamed:
        where = out / "renamed.csv"
        console.print(
            f"note: {made.num_renamed:,} clips are not called by their paths; see {where}"
        )
    if made.earlier_names:
        console.print("note: clips have names of an earlier version; remove the folder to rename")
    console.print(f"written: {made.manifest}")
