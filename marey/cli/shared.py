"""What several commands share: two consoles, a progress bar, options. See `marey.cli`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from marey.jobs.executors import Executor
    from marey.jobs.shards import Shard

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

# typer reads these at run time and wants Optional
Overrides = Annotated[
    list[str] | None, typer.Argument(help="stages.0.optim.lr=0.02 ...", metavar="[KEY=VALUE]...")
]
Workers = Annotated[int | None, typer.Option("-j", "--workers", help="processes that read clips")]
BatchSize = Annotated[int | None, typer.Option("-b", "--batch-size", help="clips a process")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; default: what is there")]
Split = Annotated[str, typer.Option(help="rows to take, if the manifest has a split column")]
ExecutorName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="this machine or a Ray cluster")
]
Address = Annotated[
    str | None, typer.Option(help="of the Ray cluster; auto: the one this machine is in")
]
ShardText = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="do share I of N, from 0; the last joins"),
]
ManifestFile = Annotated[
    str, typer.Argument(help="manifest: CSV, Parquet or Arrow, a file or a url")
]


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that draws how far it is, on a terminal only."""
    from rich.progress import Progress

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


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
        raise typer.BadParameter("--address is that of a Ray cluster: add --engine ray")
    return name == "ray"


def chosen_shard(text: str | None) -> Shard:
    """The shard that --shard names; all without it."""
    from marey.jobs.shards import WHOLE, Shard

    with refused_values():
        return WHOLE if text is None else Shard.parse(text)


@contextmanager
def refused_values() -> Iterator[None]:
    """A `ValueError` of the block becomes one of the command line, which shows no traceback."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def device_or_default(name: str | None) -> str:
    """`name`, or the device of this machine."""
    import torch

    return name or ("cuda" if torch.cuda.is_available() else "cpu")
