"""The command `marey weights`, and published weights where other commands take their name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.cli import completion
from marey.cli.listing import ListingGroup, Words, names_all
from marey.cli.shared import console, errors, with_usual_options
from marey.cli.tables import AsJson, print_json, print_table

if TYPE_CHECKING:
    from marey.engine.weights.published import PublishedFile
    from marey.recipes.recipe import Recipe
    from marey.storage.download import Progress

weights_app = typer.Typer(
    cls=ListingGroup, help="Published weights: what there is, what of it is here; get fetches one."
)


@weights_app.command("list")
def show(words: Words = None, as_json: AsJson = False) -> None:
    """List published weights: where they come from, their size and licence, and what is here."""
    from marey.engine.report.pages import Table
    from marey.engine.weights.imagenet import OFFICIAL
    from marey.engine.weights.published import cache_folder
    from marey.engine.weights.zoo.catalog import CODE_BASES

    known = {"ImageNet": tuple(OFFICIAL.values())} | CODE_BASES
    rows = {
        of: [file for file in files if names_all(words, of, file.name)]
        for of, files in known.items()
    }
    if as_json:
        print_json([_facts(of, file) for of, files in rows.items() for file in files])
        return
    for of, files in rows.items():
        if files:
            cells = tuple(
                (
                    file.name,
                    file.size.removeprefix("size "),
                    file.licence or "unknown",
                    _where(file),
                )
                for file in files
            )
            print_table(Table(("name", "size", "licence", "on this machine"), cells), title=of)
    console.print(f"the cache: {cache_folder()}; marey weights get NAME fetches one into it")
    console.print("and hf:ORG/NAME a network, hub:ORG/NAME a model of marey, of Hugging Face's hub")


def _facts(of: str, file: PublishedFile) -> dict[str, object]:
    facts = {"name": file.name, "code_base": of, "file": file.file, "url": file.url}
    facts |= {"page": file.page, "licence": file.licence, "source": file.source}
    return {**facts, "mebibytes": file.mebibytes, "on_this_machine": _where(file)}


def _where(file: PublishedFile) -> str:
    """Whether it is here, in one word or a few."""
    from marey.engine.weights.published import local_file
    from marey.engine.weights.zoo.catalog import CHECKPOINTS, is_here
    from marey.errors import CheckpointError

    if file.name in CHECKPOINTS and is_here(file.name):
        return "yes"
    try:
        found = local_file(file)
    except CheckpointError as error:
        return error.message
    if found is None:
        return "no" if file.url else "no; by hand"
    return "its file" if file.name in CHECKPOINTS else "yes"


@weights_app.command()
def get(
    name: Annotated[
        str,
        typer.Argument(
            help="as listed: resnet50, tsm-r50-8f-k400; hf:ORG/NAME, hub:ORG/NAME",
            autocompletion=completion.weights,
        ),
    ],
    file: Annotated[
        Path | None, typer.Option(help="of a checkpoint that was got by hand; nothing is fetched")
    ] = None,
    say: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="what a checkpoint does not tell"),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="class names of a checkpoint, one a line")
    ] = None,
) -> None:
    """Fetch published weights into the cache, verify them, and convert a checkpoint."""
    from marey.convert.get import get as run
    from marey.convert.repository import Settings
    from marey.recipes.schema import override

    settings = override(Settings(), say) if say else None
    with _bytes_bar(name) as progress:
        path = run(name, say=_say, file=file, settings=settings, labels=labels, progress=progress)
    console.print(f"here: {path}")


with_usual_options(weights_app, quiet={"get"})


def at_hand(name: Path, *, download: bool) -> Path:
    """`name`, or what it means if it is that of published weights: fetched if `download` says so.

    Raises:
        CheckpointError: they are not on this machine, or cannot be fetched.
    """
    from marey.engine.weights.hub_release import is_in_cache, is_of_hub
    from marey.engine.weights.zoo.catalog import is_published, located

    lacks = is_published(name) or (is_of_hub(name) and not is_in_cache(str(name)))
    return _fetched(str(name)) if download and lacks else located(name)


def fetch_before(recipe: str | None, weights: str | None) -> None:
    """Fetch a recipe's network of the hub, and weights by name, before a command looks for them.

    The name of a published checkpoint, as a recipe, is that of the recipe alone.
    """
    from marey.recipes.huggingface import PREFIX, cached, is_hub_name

    for name in filter(None, (recipe, weights)):
        network = name.partition("+")[0]
        of_hub = network.removeprefix(PREFIX)
        is_named = of_hub != network and is_hub_name(of_hub)
        if is_named and not Path(of_hub).exists() and not cached(of_hub):
            _fetched(network)
    if weights and weights != "imagenet":
        at_hand(Path(weights), download=True)


def fetch_start(recipe: Recipe) -> None:
    """Fetch the published weights that the recipe starts from."""
    from marey.engine.weights.imagenet import official_for
    from marey.engine.weights.starting import FROM
    from marey.engine.weights.zoo.catalog import CHECKPOINTS

    source = recipe.weights.removeprefix(FROM)
    if recipe.weights == "imagenet":
        _fetched(official_for(recipe.model.encoder).name)
    elif source in CHECKPOINTS:
        _fetched(source)


def _fetched(name: str) -> Path:
    from marey.convert.get import get

    with _bytes_bar(name) as progress:
        return get(name, say=_say, progress=progress)


def _say(line: str) -> None:
    console.print(line, markup=False)


@contextmanager
def _bytes_bar(title: str) -> Iterator[Progress]:
    """A function of bytes (done, total) that draws how far it is, on a terminal only."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    off = console.quiet or not errors.is_terminal
    with Progress(
        *columns,
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=off,
    ) as bars:
        task = bars.add_task(title, total=None, visible=False)
        yield lambda done, total: bars.update(
            task, completed=done, total=total or None, visible=True
        )
