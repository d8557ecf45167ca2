"""The commands `marey data extract`, `pack`, `flow` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli.shared import (
    above_zero,
    console,
    errors,
    executor_of_workers,
    progress_bar,
    read_clips_of,
    refused_values,
)
from marey.cli.tables import AsJson, print_json
from marey.errors import counted
from marey.jobs.shards import WHOLE

if TYPE_CHECKING:
    from marey.data.packs.forms import PackFormat
    from marey.data.packs.toolbox_lists import ListWish
    from marey.jobs.executors import Executor
    from marey.jobs.shards import Shard

Size = Annotated[int, typer.Option(help="of the shorter side, in pixels")]
Fps = Annotated[
    float | None,
    typer.Option(parser=above_zero, metavar="RATE", help="frames a second to keep; default: all"),
]
Quality = Annotated[int, typer.Option(help="of JPEG: 1 (best) to 31")]
Lists = Annotated[
    list[str] | None,
    typer.Option(help="write lists for tsm, blvnet, mmaction2, slowfast: one, a,b or repeated"),
]
Head = Annotated[str | None, typer.Option(help="whose labels lists have; default: the only one")]
_OPTIONS = {"pixels": "--size", "part_size": "--clips"}
Spaces = Annotated[bool, typer.Option(help="names keep spaces; without, they get _")]


def data_extract(
    manifest: opt.ManifestFile,
    out: Annotated[Path, typer.Argument(help="folder for frames/ and manifest.csv")],
    size: Size = 256,
    template: Annotated[
        str | None,
        typer.Option(
            help="names of frames as in ssv1, ssv2, jester, diving48, blvnet, kinetics (default),"
            " ucf101, hmdb51, egtea, tdn, epic; or your own: img_{:05d}.jpg"
        ),
    ] = None,
    enlarge: Annotated[bool, typer.Option(help="smaller videos too get this size")] = True,
    fps: Fps = None,
    quality: Quality = 2,
    lists: Lists = None,
    head: Head = None,
    spaces: Spaces = True,
    root: opt.Root = None,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 600.0,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Write the frames of every clip as JPEG files, in a folder a clip, and their manifest."""
    from marey.data.packs.forms import TEMPLATES, FrameFolders
    from marey.data.packs.toolbox_lists import ListWish
    from marey.video.reading.pixels import ShortSide

    toolboxes = _words(lists)
    template = template or ("blvnet" if "blvnet" in toolboxes else "kinetics")
    if template not in TEMPLATES and "{" not in template:
        raise typer.BadParameter(
            f"it is {template!r}, expected one of {', '.join(TEMPLATES)}, or a name of files like "
            "img_{:05d}.jpg",
            param_hint="--template",
        )
    template = TEMPLATES.get(template, template)
    with refused_values(**_OPTIONS):
        form = FrameFolders(template, ShortSide(size, enlarge), fps, quality)
    wish = ListWish(toolboxes=toolboxes, head=head, template=template)
    where = executor_of_workers(executor, address, workers)
    _pack(manifest, out, form, root, timeout, where, shard, wish, spaces=spaces)


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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace NAME.arrow; a folder is never replaced")
    ] = False,
    lists: Lists = None,
    head: Head = None,
    spaces: Spaces = True,
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
    from marey.data.packs.toolbox_lists import ListWish
    from marey.errors import ManifestError
    from marey.storage.atomic import refuse_existing
    from marey.video.reading.pixels import ShortSide

    if is_arrow(out):
        refuse_existing(out, ManifestError, overwrite=overwrite)
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
    toolboxes = _words(lists)
    if toolboxes and to == "jpeg":
        raise ManifestError(
            "packs of JPEG are read by marey alone",
            "`marey data extract` writes frames for other toolboxes, --to mp4 videos",
        )
    wish = ListWish(toolboxes=toolboxes, head=head)
    with refused_values(**_OPTIONS):
        scale = ShortSide(size, enlarge)
        form = JpegPacks(scale, fps, quality, clips) if to == "jpeg" else Mp4Files(scale, fps, crf)
    where = executor_of_workers(executor, address, workers)
    _pack(manifest, out, form, root, timeout, where, shard, wish, spaces=spaces)


def data_flow(
    manifest: opt.ManifestFile,
    out: Annotated[Path, typer.Argument(help="folder for the packs and manifest.csv")],
    method: Annotated[
        Literal["dis", "tvl1"], typer.Option(help="tvl1 is of opencv-contrib-python-headless")
    ] = "dis",
    bound: Annotated[
        float, typer.Option(parser=above_zero, metavar="PIXELS", help="a frame; more is cut")
    ] = 20.0,
    size: Size = 256,
    enlarge: Annotated[bool, typer.Option(help="smaller videos too get this size")] = False,
    quality: Quality = 2,
    clips: Annotated[int, typer.Option(help="in a pack")] = 128,
    root: opt.Root = None,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 600.0,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Compute the optical flow of every clip, or take what is there, into packs for training.

    What is there: folders with pairs of pictures, such as flow_x_00001.jpg and flow_y_00001.jpg.
    """
    from marey.data.packs.forms import FlowPacks
    from marey.data.packs.toolbox_lists import ListWish
    from marey.video.reading.flow import FlowSettings
    from marey.video.reading.pixels import ShortSide

    with refused_values(**_OPTIONS):
        settings = FlowSettings(method, bound, ShortSide(size, enlarge))
        form = FlowPacks(settings, quality, clips)
    where = executor_of_workers(executor, address, workers)
    _pack(manifest, out, form, root, timeout, where, shard, ListWish(), spaces=True)


def data_verify(
    folder: Annotated[Path, typer.Argument(help="that `pack` or `extract` wrote")],
    as_json: AsJson = False,
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
    count = len(read_checksums(folder))
    if as_json:
        print_json({"path": str(folder), "compared": count, "faults": faults})
    else:
        for fault in faults:
            errors.print(fault, markup=False)
        console.print(
            f"{count:,} compared: " + (counted(len(faults), "fault") if faults else "all sound")
        )
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
    wish: ListWish,
    *,
    spaces: bool,
) -> None:
    from marey.data.manifest.location import Location
    from marey.data.packs.forms import FlowPacks
    from marey.data.packs.pack_clips import pack_clips
    from marey.data.packs.toolbox_lists import refuse_unlistable, write_toolbox_lists
    from marey.video.reading.flow import flow_source

    clips = read_clips_of(manifest, Location(root))
    if isinstance(form, FlowPacks) and clips.features is None and len(clips):
        source = flow_source(clips.clip(0).path, form.settings)
        console.print(f"flow of the first clip: {source.partition('; ')[0]}")
    refuse_unlistable(clips, out, wish, spaces=spaces)
    with progress_bar("packing") as progress:
        made = pack_clips(
            clips,
            out,
            form,
            executor=executor,
            shard=shard,
            spaces=spaces,
            clip_seconds=timeout,
            progress=progress,
        )
    if made is None:
        console.print(f"{out} is whole when the other shards are done too")
        return
    console.print(f"{counted(made.num_clips, 'clip')}, {made.num_bytes / 2**20:,.0f} MiB")
    if made.num_rejects:
        errors.print(f"{counted(made.num_rejects, 'clip')} left out; see {out / 'rejects.csv'}")
    if made.num_renamed:
        where = out / "renamed.csv"
        console.print(
            f"note: {counted(made.num_renamed, 'clip')} not called by the path; see {where}"
        )
    if made.earlier_names:
        console.print("note: clips have names of an earlier version; remove the folder to rename")
    console.print(f"written: {made.manifest}")
    made_lists = write_toolbox_lists(made.manifest, wish, labelled=bool(clips.classes))
    for toolbox, written in made_lists.items():
        console.print(f"lists for {toolbox}: {escape(', '.join(written.files))}")
        console.print(f"    {escape(written.settings)}")


def _words(given: list[str] | None) -> tuple[str, ...]:
    """The words of an option that may be repeated and holds commas, each once."""
    words = (word.strip() for text in given or () for word in text.split(","))
    return tuple(dict.fromkeys(word for word in words if word))
