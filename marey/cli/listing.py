"""Commands that list what there is and have others below them: `marey recipes tsm`."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[WORD]...", help="only those that have these words")
]


class ListingGroup(TyperGroup):
    """A group whose command `list` is meant where none is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """The words, those of `list` where the first is none of the commands."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def names_all(words: list[str] | None, *texts: str) -> bool:
    """Whether each of the words is in one of the texts, whatever their letter case."""
    text = " ".join(texts).lower()
    return all(word.lower() in text for word in words or ())
