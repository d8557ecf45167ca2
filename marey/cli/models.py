"""The commands about models: convert and models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from marey.cli import completion
from marey.cli.shared import console, progress_bar
from marey.cli.tables import AsJson, print_json, print_table


def convert(
    file: Annotated[
        Path, typer.Argument(help="checkpoint of another code base; its name is read, too")
    ],
    out: Annotated[Path, typer.Option(help="new folder")],
    repository: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="REPO",
            help="whose it is, where the file does not tell: tsm, gc, ecal, gst, tdn, blvnet,"
            " biglittle, arp, motionformer, mmaction2, mmaction2-mobilenetv2, torchvision,"
            " torchvision-video, videolt",
            autocompletion=completion.repositories,
        ),
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
    with progress_bar("converting"):
        converted = run(file, out, repository=repository, settings=settings, labels=labels)
    for name, fact in converted.facts().items():
        console.print(f"{name:15} {escape(fact)}")
    console.print(f"written: {out}")


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="recipes, runs, releases; default: all", autocompletion=completion.recipes
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="run each: latency on the CPU")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="clips to time")] = 5,
    as_json: AsJson = False,
) -> None:
    """What models cost: parameters, GMACs, memory of one clip at the recipe's test size."""
    from marey.engine.bench.model import bench_model
    from marey.engine.costs import known_cost
    from marey.engine.report.pages import of_numbers
    from marey.errors import RecipeError
    from marey.recipes.catalog import as_it_lies, rows
    from marey.recipes.describe import with_some_head

    recipes = {name: as_it_lies(name) for name in names or rows()}
    found = []
    with progress_bar("counting") as progress:
        for done, (name, recipe) in enumerate(recipes.items()):
            progress(done, len(recipes))
            spec, size = with_some_head(recipe.tested_model), recipe.test.crop.size
            try:
                costs = known_cost(spec, size)
            except ValueError as error:
                raise RecipeError(f"{name} cannot be built: {error}") from error
            facts = {
                "recipe": name,
                "frames": spec.frames,
                "size": spec.clip_shape(size)[-1],
                "parameters": costs.parameters,
                "gmacs": costs.gmacs,
                "peak_bytes": costs.peak_bytes,
            }
            if measure:
                facts["seconds"] = bench_model(spec, size=size, repeats=repeats).median_seconds
            found.append(facts)
    if as_json:
        print_json(found)
        return
    header = ("recipe", "input", "parameters", "GMACs", "memory", *["latency"] * measure)
    print_table(of_numbers(map(_cost_row, found), header))


def _cost_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    row = (
        facts["recipe"],
        f"{facts['frames']} x {facts['size']}",
        f"{facts['parameters'] / 1e6:.2f} M",
        f"{facts['gmacs']:.2f}",
        f"{facts['peak_bytes'] / 2**20:.0f} MiB",
    )
    return (*row, f"{1000 * facts['seconds']:.0f} ms") if "seconds" in facts else row
