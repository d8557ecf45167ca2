"""The commands about models: convert, recipes, models, weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from marey.cli import options as opt
from marey.cli.shared import console, progress_bar

recipes_app = typer.Typer(help="The recipes that come with marey.", invoke_without_command=True)
weights_app = typer.Typer(
    help="The official ImageNet weights that recipes start from.", invoke_without_command=True
)


def convert(
    file: Annotated[
        Path, typer.Argument(help="checkpoint of another code base; its name is read, too")
    ],
    out: Annotated[Path, typer.Option(help="new folder")],
    repository: Annotated[
        str | None, typer.Option("--from", metavar="REPO", help="whose it is, if it is not known")
    ] = None,
    say: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="what tensors do not tell: num_segments=8"),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="class names, one a line")] = None,
) -> None:
    """Make a release of a published checkpoint, to predict with and to evaluate."""
    from marey.convert.convert import convert as run
    from marey.convert.repository import Settings
    from marey.recipes.schema import override

    settings = override(Settings(), say or [])
    converted = run(file, out, repository=repository, settings=settings, labels=labels)
    for name, fact in converted.facts().items():
        console.print(f"{name:15} {escape(fact)}")
    console.print(f"written: {out}")


def models(
    names: Annotated[list[str] | None, typer.Argument(help="recipes; default: all")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="run each: latency on the CPU")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="clips to time")] = 5,
) -> None:
    """What models cost: parameters, GMACs, memory of one clip at the recipe's test size."""
    from marey.engine.bench import bench_model
    from marey.errors import RecipeError
    from marey.models.profile import cost
    from marey.recipes.catalog import find, rows
    from marey.recipes.describe import with_some_head

    name_column = Column("recipe", no_wrap=True)
    table = Table(name_column, "input", "parameters", "GMACs", "memory", *["latency"] * measure)
    recipes = {name: find(name) for name in names or rows()}
    cost_of = cache(cost)  # rows of several data sets have one model
    with progress_bar("counting") as progress:
        for done, (name, recipe) in enumerate(recipes.items()):
            progress(done, len(recipes))
            spec, size = with_some_head(recipe.tested_model), recipe.test.crop.size
            try:
                counted = cost_of(spec, size)
            except ValueError as error:
                raise RecipeError(f"{name} cannot be built: {error}") from error
            cells = [
                name,
                f"{spec.frames} x {spec.clip_shape(size)[-1]}",
                f"{counted.parameters / 1e6:.2f} M",
                f"{counted.gmacs:.2f}",
                f"{counted.peak_bytes / 2**20:.0f} MiB",
            ]
            if measure:
                speed = bench_model(spec, size=size, repeats=repeats)
                cells.append(f"{1000 * speed.median_seconds:.0f} ms")
            table.add_row(*cells)
    console.print(table)


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the recipes that come with marey, file by file; `show NAME` explains one."""
    if context.invoked_subcommand:
        return
    from marey.recipes.catalog import groups
    from marey.recipes.describe import claim_in_words, frames_in_words, model_in_words

    for title, recipes in groups().items():
        table = Table(
            Column("name", no_wrap=True),  # to be typed, so never cut short
            Column("model", overflow="fold"),
            *("frames", "epochs", "claim"),
            title=title,
            title_justify="left",
        )
        for name, recipe in recipes.items():
            model, epochs = model_in_words(recipe.model), str(recipe.epochs)
            frames = frames_in_words(recipe)
            table.add_row(name, model, frames, epochs, claim_in_words(recipe.claim))
        console.print(table)
    console.print(_table_of_ensembles())


def _table_of_ensembles() -> Table:
    from marey.recipes.describe import claim_in_words
    from marey.recipes.ensembles import ensembles

    name = Column("name", no_wrap=True)
    table = Table(
        name, "members", "claim", title="Ensembles, for marey eval --row", title_justify="left"
    )
    for row in ensembles().values():
        members = "\n".join(member.name for member in row.members)
        table.add_row(row.name, members, claim_in_words(row.claim))
    return table


@recipes_app.command()
def show(name: opt.RecipeName) -> None:
    """Explain one: its model, training, test views, what is claimed and what deviates."""
    from marey.recipes.catalog import deviations, find, rows
    from marey.recipes.describe import ensemble_facts, facts
    from marey.recipes.ensembles import ensembles

    if name in ensembles():
        _print_facts(name, ensemble_facts(ensembles()[name]), deviations(name))
        return
    recipe = find(name)
    is_row = recipe.name in rows()
    _print_facts(recipe.name, facts(recipe), deviations(recipe.name) if is_row else "")


@recipes_app.command("suggest")
def suggest(
    manifest: Annotated[list[str], typer.Argument(help="manifests to train on; files or urls")],
    weights: Annotated[
        str | None, typer.Option(metavar="PATH", help="a run or release to start from")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="what to do without any weights")
    ] = False,
    device: opt.Device = None,
) -> None:
    """Say which recipe suits the clips, this machine and the weights that are here, and why."""
    from marey.engine.train.choose import choose

    with progress_bar("looking at clips") as progress:
        found = choose(
            manifest,
            device=device,
            weights=weights,
            from_scratch=from_scratch,
            progress=progress,
        )
    for line in [*found.lines(), found.command()]:
        console.print(line, markup=False)


def _print_facts(name: str, facts: Mapping[str, str], deviates: str) -> None:
    console.print(name)
    for what, fact in (*facts.items(), *([("deviates", deviates)] if deviates else [])):
        console.print(f"  {what:14} {escape(fact)}")


@recipes_app.command()
def protocols(
    name: Annotated[
        str | None, typer.Argument(help="recipe, YAML file or run: those that fit it")
    ] = None,
) -> None:
    """List the test protocols with a name, for `marey eval RUN --protocol NAME`."""
    from marey.recipes.catalog import find
    from marey.recipes.protocols import PROTOCOLS, compatible_views, protocol_of

    recipe = find(name) if name else None
    names = compatible_views(recipe) if recipe else {one.name for one in PROTOCOLS}
    table = Table("clips x crops", "what they are", Column("source", overflow="fold"))
    for one in PROTOCOLS:
        if one.name in names and one.variant == "repaired":
            table.add_row(one.name, one.about, one.source)
    console.print(table)
    console.print("NAME-upstream: with the frames of the published code, faults and all")
    if recipe:
        console.print(f"{recipe.name}: {protocol_of(recipe) or 'none of those with a name'}")


@weights_app.callback()
def weights(context: typer.Context) -> None:
    """List the official ImageNet weights and where they lie; `get NAME` downloads one."""
    if context.invoked_subcommand:
        return
    from marey.engine.weights.imagenet import OFFICIAL, local_file
    from marey.errors import CheckpointError

    table = Table("name", "file", "on this machine")
    for column in table.columns:
        column.overflow = "fold"
    for name, official in OFFICIAL.items():
        try:
            where = str(local_file(official) or ("no" if official.url else f"no, {official.how}"))
        except CheckpointError as error:
            where = error.message
        table.add_row(name, official.file, where)
    console.print(table)


@weights_app.command()
def get(
    name: Annotated[str, typer.Argument(help="resnet50, mobilenet_v2 ...")],
    out: Annotated[Path | None, typer.Option(help="folder; default: $MAREY_WEIGHTS")] = None,
) -> None:
    """Download official weights and verify their checksum."""
    from marey.engine.weights.imagenet import download, named

    console.print(f"written: {download(named(name), out)}")
