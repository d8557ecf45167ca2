"""The commands `marey recipes`: list, show, suggest, protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.listing import ListingGroup, Words, names_all
from marey.cli.shared import console, progress_bar
from marey.cli.tables import AsJson, print_json

recipes_app = typer.Typer(cls=ListingGroup, help="The recipes that come with marey.")


@recipes_app.command("list")
def list_recipes(words: Words = None, as_json: AsJson = False) -> None:
    """List the recipes that come with marey, file by file; `show NAME` explains one."""
    from marey.recipes.catalog import groups
    from marey.recipes.describe import claim_in_words, frames_in_words, model_in_short

    found: list[dict[str, Any]] = []
    for title, recipes in groups().items():
        table = _table(title)
        for name, recipe in recipes.items():
            model = model_in_short(recipe.model)
            if not names_all(words, name, model):
                continue
            frames, claim = frames_in_words(recipe), claim_in_words(recipe.claim)
            table.add_row(name, model, frames, claim.partition(" / ")[0])
            facts = {"name": name, "title": title, "model": model, "frames": frames}
            found.append(facts | {"epochs": recipe.epochs, "claim": recipe.claim})
        if table.row_count and not as_json:
            console.print(table, soft_wrap=False)
    rows = [row for row in _ensembles() if names_all(words, row["name"], *row["members"])]
    if as_json:
        print_json({"recipes": found, "ensembles": rows})
        return
    if rows:
        table = Table(Column("name", no_wrap=True), "members", "claim", title_justify="left")
        table.title = "Ensembles, for marey eval --row"
        for row in rows:
            members = "\n".join(row["members"])
            table.add_row(row["name"], members, claim_in_words(row["claim"]))
        console.print(table, soft_wrap=False)
    if not found and not rows:
        console.print(f"no recipe has {' and '.join(words or ())} in its name or model")


def _table(title: str) -> Table:
    """Names are to be typed, so never cut short."""
    name, frames, claim = (Column(each, no_wrap=True) for each in ("name", "frames", "claim"))
    return Table(name, "model", frames, claim, title=title, title_justify="left")


def _ensembles() -> list[dict[str, Any]]:
    from marey.recipes.ensembles import ensembles

    return [
        {"name": row.name, "members": [m.name for m in row.members], "claim": row.claim}
        for row in ensembles().values()
    ]


@recipes_app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="name, YAML file, folder of a run or release",
            autocompletion=completion.recipes_and_ensembles,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Explain one: its model, training, test views, what is claimed and what deviates."""
    from marey.recipes.catalog import deviations, find, rows
    from marey.recipes.describe import ensemble_facts, facts
    from marey.recipes.ensembles import ensembles

    if name in ensembles():
        found, deviates = ensemble_facts(ensembles()[name]), deviations(name)
    else:
        recipe = find(name)
        name, found = recipe.name, facts(recipe)
        deviates = deviations(name) if name in rows() else ""
    found |= {"deviates": deviates} if deviates else {}
    if as_json:
        print_json({"name": name} | found)
        return
    console.print(name)
    for what, fact in found.items():
        console.print(f"  {what:14} {escape(fact)}")


@recipes_app.command("suggest")
def suggest(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MANIFEST]... [KEY=VALUE]...",
            help="manifests to train on, files or urls; what is decided already: epochs=3",
        ),
    ] = None,
    manifest: opt.TrainManifests = None,
    weights: opt.StartWeights = None,
    from_scratch: opt.FromScratch = False,
    device: opt.Device = None,
) -> None:
    """Say which recipe suits the clips, this machine and the weights that are here, and why."""
    from marey.engine.train.choose import choose

    words = words or []
    given = [word for word in words if "=" in word and not Path(word).exists()]
    manifests = [*(word for word in words if word not in given), *(manifest or [])]
    if not manifests:
        raise typer.BadParameter("which clips? marey recipes suggest MANIFEST")
    with progress_bar("looking at clips") as progress:
        found = choose(
            manifests,
            device=device,
            weights=weights,
            given=given,
            from_scratch=from_scratch,
            progress=progress,
        )
    for line in [*found.lines(), found.command()]:
        console.print(line, markup=False)


@recipes_app.command()
def protocols(
    name: Annotated[
        str | None,
        typer.Argument(
            help="recipe, YAML file, run or release: those that fit it",
            autocompletion=completion.recipes,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the test protocols with a name, for `marey eval RUN --protocol NAME`."""
    from marey.recipes.catalog import find
    from marey.recipes.protocols import PROTOCOLS, compatible_views, protocol_of

    recipe = find(name) if name else None
    names = compatible_views(recipe) if recipe else {one.name for one in PROTOCOLS}
    shown = [one for one in PROTOCOLS if one.name in names and one.variant == "repaired"]
    if as_json:
        print_json([{"name": o.name, "about": o.about, "source": o.source} for o in shown])
        return
    table = Table("clips x crops", "what they are", Column("source", overflow="fold"))
    for one in shown:
        table.add_row(one.name, one.about, one.source)
    console.print(table, soft_wrap=False)
    console.print("NAME-upstream: with the frames of the published code, faults and all")
    if recipe:
        console.print(f"{recipe.name}: {protocol_of(recipe) or 'none of those with a name'}")
