"""The command `marey`: each command parses its words, calls one function, prints.

Everything heavy is imported inside a command, so that `marey --help` answers at once. An error of
ours is printed as two lines, without a traceback, and ends the command with status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from marey import cli_models

if TYPE_CHECKING:
    pass

app = typer.Typer(
    help="Action recognition from frames to the long tail.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Manifests: make, check and describe them.", no_args_is_help=True)
bench_app = typer.Typer(help="How fast this machine is.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

# typer reads these at run time and wants Optional
Overrides = Annotated[
    list[str] | None, typer.Argument(help="stages.0.optim.lr=0.02 ...", metavar="[KEY=VALUE]...")
]
Workers = Annotated[int | None, typer.Option("-j", "--workers", help="loader processes")]
BatchSize = Annotated[int | None, typer.Option("-b", "--batch-size", help="clips a process")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; default: what is there")]
Split = Annotated[str, typer.Option(help="rows to take, if the manifest has a split column")]
ManifestFile = Annotated[Path, typer.Argument(help="manifest: CSV or Parquet")]


def main() -> None:
    """Run a command; an error of ours ends it with status 2."""
    from marey.errors import MareyError

    try:
        app(_resume_latest(sys.argv[1:]), prog_name="marey")
    except MareyError as error:
        errors.print(f"[red]error:[/] {escape(error.message)}")
        if error.hint:
            errors.print(f"[cyan]hint:[/] {escape(error.hint)}")
        sys.exit(2)


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="name, YAML file or folder of a run")] = None,
    overrides: Overrides = None,
    manifest: Annotated[Path | None, typer.Option(help="manifest to train on")] = None,
    val_manifest: Annotated[Path | None, typer.Option(help="default: split val of it")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="default: runs/NAME")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="[PATH]", help="go on from the latest, or from PATH")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="to start from; imagenet: the official ones")
    ] = None,
    workers: Workers = None,
    batch_size: BatchSize = None,
    seed: Annotated[int | None, typer.Option(help="of everything random")] = None,
    amp: Annotated[bool, typer.Option("--amp", help="bfloat16 where it is safe")] = False,
    device: Device = None,
    save_steps: Annotated[int | None, typer.Option(help="save this often as well")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet")] = False,
) -> None:
    """Train a recipe; several processes by torchrun or srun, without another flag."""
    from marey.engine.rundir import last_checkpoint, read_run_recipe
    from marey.engine.stopping import Stopped
    from marey.engine.train import train as run_training
    from marey.recipes.catalog import find
    from marey.recipes.schema import override

    if recipe and "=" in recipe:
        overrides, recipe = [recipe, *(overrides or [])], None
    checkpoint = None if resume in (None, "latest") else Path(resume)
    if work_dir is None:
        work_dir = checkpoint.parent.parent if checkpoint else Path("runs") / find(recipe).name
    if resume == "latest":
        checkpoint = last_checkpoint(work_dir)
    chosen = find(recipe) if checkpoint is None and recipe else read_run_recipe(work_dir)
    if resume and checkpoint is None and not quiet:
        console.print(f"nothing is saved in {work_dir} yet: starting from the beginning")
    words = list(overrides or [])
    for key, value in (
        ("data.train", manifest),
        ("data.val", val_manifest),
        ("weights", weights),
        ("data.workers", workers),
        ("batch_size", batch_size),
        ("seed", seed),
        ("amp", amp or None),
    ):
        if value is not None:
            words.append(f"{key}={_yaml(value)}")
    try:
        run_training(
            override(chosen, words),
            work_dir,
            resume=checkpoint,
            device=device,
            save_steps=save_steps,
            quiet=quiet,
        )
    except Stopped as stop:
        errors.print(
            f"stopped and saved. Go on with: marey train --resume --work-dir {stop.work_dir}"
        )
        raise typer.Exit(130) from None
    console.print(f"trained: {work_dir}")


@app.command("eval")
def evaluate(
    model: Annotated[
        Path, typer.Argument(help="folder of a run or release, or a dump of predictions")
    ],
    overrides: Overrides = None,
    manifest: Annotated[Path | None, typer.Option(help="default: that of the run")] = None,
    split: Split = "val",
    name: Annotated[str | None, typer.Option(help="folder in RUN/results; default: SPLIT")] = None,
    out: Annotated[Path | None, typer.Option(help="default: MODEL/results/NAME")] = None,
    workers: Workers = None,
    batch_size: BatchSize = None,
    device: Device = None,
) -> None:
    """Score every view of every clip; KEY=VALUE changes the test views (test.crop=...)."""
    from marey.engine.evaluate import metrics_of_dump
    from marey.engine.evaluate_folder import evaluate_folder

    if model.suffix == ".parquet":
        for head, metrics in metrics_of_dump(model).items():
            _print_metrics(metrics, title=head)
        return
    with _progress("evaluating") as progress:
        result, path = evaluate_folder(
            model,
            manifest=manifest,
            split=split,
            overrides=overrides or [],
            out=out or model / "results" / (name or split),
            workers=workers,
            batch_size=batch_size,
            device=device,
            progress=progress,
        )
    _print_metrics(result.metrics, title=f"{len(result.manifest)} clips")
    if result.missing:
        errors.print(
            f"{len(result.missing)} clips could not be read and count as wrong; see {path}"
        )
    console.print(f"written: {path}")


app.command("test", hidden=True)(evaluate)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="folder of a run or release")],
    video: Annotated[Path, typer.Argument(help="file, folder of frames or folder of videos")],
    top: Annotated[int, typer.Option(help="labels to show")] = 5,
    window: Annotated[float | None, typer.Option(help="seconds: a timeline by windows")] = None,
    stride: Annotated[float | None, typer.Option(help="seconds; default: half a window")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    device: Device = None,
) -> None:
    """Say what happens in a video, or when."""
    import json

    from marey.engine.predict import load, timeline

    found = load(model, _device(device)).predict(
        video, top=top, window_seconds=window, stride_seconds=stride
    )
    by_file = found if isinstance(found, dict) else {str(video): found}
    if window is not None:
        by_file = {file: timeline(answers) for file, answers in by_file.items()}
    if as_json:
        print(json.dumps(by_file, indent=1, ensure_ascii=False))
        return
    for file, answers in by_file.items():
        console.print(escape(file))
        for answer in answers:
            console.print("  " + escape(_answer(answer)))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    out: Annotated[Path | None, typer.Option(help="default: RUN/report.html")] = None,
) -> None:
    """Write the run's curves, confusions and mistakes as one HTML file."""
    from marey.engine.report import write_report

    console.print(f"written: {write_report(run, out)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs")],
    out: Annotated[Path, typer.Option(help="HTML file")] = Path("comparison.html"),
) -> None:
    """Put runs side by side: a table here, plots in an HTML file."""
    from marey.engine.compare import write_comparison

    print_comparison(runs)
    console.print(f"written: {write_comparison(runs, out)}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    out: Annotated[Path, typer.Argument(help="new folder")],
) -> None:
    """Make a release of a run: safetensors, config, labels and a model card."""
    from marey.engine.release import export_release

    console.print(f"written: {export_release(run, out)}")


app.command()(cli_models.convert)
app.command()(cli_models.models)
app.add_typer(cli_models.recipes_app, name="recipes")
app.add_typer(cli_models.weights_app, name="weights")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for videos, runs and report")] = Path(
        "marey-demo"
    ),
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
) -> None:
    """Render videos, train TSN and TSM on them, and show that order matters (a few minutes)."""
    from marey.engine.demo import run_demo

    run_demo(out, seed=seed, say=console.print, table=print_comparison)


@app.command()
def doctor() -> None:
    """Show versions, devices and what is optional here."""
    from marey.engine.provenance import environment

    for name, value in environment().items():
        console.print(f"{name:12} {escape(value)}")


@data_app.command("init")
def data_init(
    source: Annotated[Path, typer.Argument(help="folder of class folders, CSV or list file")],
    out: Annotated[Path, typer.Argument(help="folder for manifest.csv and labels.txt")],
    root: Annotated[Path | None, typer.Option(help="where the paths of a list start")] = None,
    names: Annotated[Path | None, typer.Option(help="class names: one a line, or id,name")] = None,
    val: Annotated[float, typer.Option(help="share of the clips")] = 0.2,
    test: Annotated[float, typer.Option(help="share of the clips")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the split")] = 0,
    group: Annotated[str, typer.Option(help="column that stays together; auto, none")] = "auto",
    val_where: Annotated[str | None, typer.Option(help="column:value,value goes to val")] = None,
    test_where: Annotated[str | None, typer.Option(help="column:value,value goes to test")] = None,
    probe: Annotated[bool, typer.Option(help="open every file and count its frames")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
    workers: Workers = None,
) -> None:
    """Make a manifest of your videos, with a split that keeps groups together."""
    from marey.data.init import init_dataset
    from marey.data.splits import SplitRule, parse_where

    rule = SplitRule(
        val=val,
        test=test,
        seed=seed,
        group=None if group == "none" else group,
        val_where=parse_where(val_where) if val_where else None,
        test_where=parse_where(test_where) if test_where else None,
    )
    with _progress("opening files") as progress:
        made = init_dataset(
            source,
            out,
            rule=rule,
            root=root,
            names=names,
            probe=probe,
            overwrite=overwrite,
            num_workers=workers,
            progress=progress,
        )
    console.print(f"read as: {escape(made.found)}")
    counts = ", ".join(f"{n:,} {name}" for name, n in made.manifest.split_counts().items())
    console.print(f"split by {escape(made.split)}: {counts}")
    for note in made.notes:
        console.print(f"note: {escape(note)}")
    if made.rejects:
        errors.print(f"{len(made.rejects):,} clips left out; see {out / 'rejects.csv'}")
    console.print(f"written: {made.path}")


@data_app.command("check")
def data_check(
    manifest: ManifestFile,
    out: Annotated[Path | None, typer.Option(help="default: check.csv beside it")] = None,
    workers: Workers = None,
    timeout: Annotated[float, typer.Option(help="seconds a file may take")] = 60.0,
) -> None:
    """Decode every clip wholly, in parallel, and write down what is wrong with each."""
    from marey.data.check import check_manifest
    from marey.data.manifest import read_manifest

    with _progress("checking") as progress:
        found = check_manifest(
            read_manifest(manifest, check_files=False),
            out,
            num_workers=workers,
            timeout_seconds=timeout,
            progress=progress,
        )
    for status, count in found.counts.items():
        if count:
            console.print(f"{count:8,} {status}")
    console.print(f"written: {found.path}")
    if len(found.bad_rows):
        raise typer.Exit(1)


@data_app.command("stats")
def data_stats(
    manifest: ManifestFile,
    plot: Annotated[Path | None, typer.Option(help="SVG; default: stats.svg beside it")] = None,
    sample: Annotated[int, typer.Option(help="files to open for their size")] = 200,
    workers: Workers = None,
) -> None:
    """Count clips, lengths and sizes, say how unequal the classes are, and plot them."""
    from marey.data.manifest import read_manifest
    from marey.data.stats import class_histogram_svg
    from marey.data.stats import stats as describe

    found = read_manifest(manifest, check_files=False)
    with _progress("opening files") as progress:
        facts = describe(found, sample=sample, num_workers=workers, progress=progress)
    table = Table("what", "value")
    splits = ", ".join(f"{name} {count:,}" for name, count in facts.splits.items())
    table.add_row("clips", f"{facts.num_clips:,}" + (f" ({splits})" if splits else ""))
    for head, counts in facts.heads.items():
        most, least = int(counts.total.max()), int(counts.total.min())
        table.add_row(f"classes of {head}", f"{len(counts.classes):,}, {counts.num_empty} empty")
        table.add_row("clips a class", f"{least:,} to {most:,}; imbalance {counts.imbalance:.1f}")
    lengths = ", ".join(f"{q:.0%}: {frames}" for q, frames in facts.frames.items())
    table.add_row(f"frames ({facts.num_known:,} clips)", lengths or "unknown")
    sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in facts.sizes[:5])
    table.add_row(f"sizes ({facts.num_opened:,} opened)", sizes or "none could be read")
    table.add_row("frames a second", ", ".join(f"{fps:g} ({n})" for fps, n in facts.fps[:5]))
    table.add_row("unreadable", str(facts.num_unreadable))
    console.print(table)
    for head, counts in facts.heads.items():
        name = "stats.svg" if len(facts.heads) == 1 else f"stats.{head}.svg"
        path = plot or manifest.with_name(name)
        path.write_text(class_histogram_svg(counts), encoding="utf-8")
        console.print(f"written: {path}")


@bench_app.command("data")
def bench_data(
    manifest: ManifestFile,
    recipe: Annotated[str, typer.Option(help="whose sampling and crop")] = "tsm-r18",
    split: Split = "train",
    clips: Annotated[int, typer.Option(help="to read")] = 500,
    batch_size: BatchSize = None,
    workers: Workers = None,
) -> None:
    """Clips a second from files to batches, and what the time goes into."""
    from marey.data.manifest import read_manifest
    from marey.engine.bench import bench_data as measure
    from marey.recipes.catalog import find

    speed = measure(
        read_manifest(manifest, split=split),
        find(recipe).train,
        num_clips=clips,
        batch_size=batch_size or 16,
        workers=1 if workers is None else workers,
    )
    table = Table("clips/s", "clips/s a core", "decode", "resize", "collate", "unreadable")
    shares = (speed.decode_share, speed.resize_share, speed.collate_share)
    table.add_row(
        f"{speed.clips_per_second:.1f}",
        f"{speed.clips_per_second_per_core:.1f}",
        *(f"{share:.0%}" for share in shares),
        str(speed.unreadable),
    )
    console.print(table)


@bench_app.command("model")
def bench_model(
    recipe: Annotated[str, typer.Argument(help="name, YAML file or folder of a run")],
    overrides: Overrides = None,
    batch_size: BatchSize = None,
    repeats: Annotated[int, typer.Option(help="batches to time")] = 10,
    amp: Annotated[bool, typer.Option("--amp", help="bfloat16 where it is safe")] = False,
    device: Device = None,
) -> None:
    """Clips a second, latency, GMACs and memory of a model, with random weights."""
    from marey.engine.bench import bench_model as measure
    from marey.recipes.catalog import find
    from marey.recipes.describe import with_some_head
    from marey.recipes.schema import override

    chosen = override(find(recipe), overrides or [])
    spec, size = with_some_head(chosen.model), chosen.test.crop.size
    speed = measure(spec, size=size, batch_size=batch_size or 1, repeats=repeats,
                    device=_device(device), amp=amp)  # fmt: skip
    table = Table("clips/s", "median latency", "GMACs", "parameters", "peak memory")
    table.add_row(
        f"{speed.clips_per_second:.2f}",
        f"{1000 * speed.median_seconds:.1f} ms for {speed.batch_size}",
        f"{speed.gmacs:.2f}",
        f"{speed.parameters / 1e6:.2f} M",
        f"{speed.peak_memory_bytes / 2**20:.0f} MiB",
    )
    console.print(table)


def print_comparison(runs: Sequence[Path]) -> None:
    """The table of several runs, and what does not compare."""
    from marey.engine.compare import ComparisonRow, comparison_rows, comparison_warnings

    rows = [row.cells() for row in comparison_rows(runs)]
    table = Table(*ComparisonRow.HEADER)
    table.columns[0].min_width = min(24, max(len(name) for name, *_ in rows))
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    for warning in comparison_warnings(runs):
        errors.print(f"[yellow]warning:[/] {escape(warning)}")


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _print_metrics(metrics: dict[str, float], title: str) -> None:
    table = Table("metric", title)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.2f}")
    console.print(table)


def _answer(answer: dict[str, object]) -> str:
    if "error" in answer:
        return f"error: {answer['error']}"
    words = [f"{answer['score']:6.1%}  {answer['label']}"]
    if "start" in answer:
        words.insert(0, f"{answer['start']:8.2f} - {answer['end']:8.2f} s ")
    return " ".join([*words, f"({answer['head']})"] if "head" in answer else words)


def _yaml(value: object) -> str:
    import json

    return json.dumps(str(value) if isinstance(value, Path) else value)


def _device(name: str | None) -> str:
    import torch

    return name or ("cuda" if torch.cuda.is_available() else "cpu")


def _resume_latest(words: list[str]) -> list[str]:
    """`--resume` alone means the latest checkpoint, `--resume PATH` that one."""
    out = list(words)
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else "-"
        if word == "--resume" and not following.endswith(".pt"):
            out[i] = "--resume=latest"
    return out
