"""What is said of a value that an option does not take: in our words, however typer checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from marey.storage.expected import expected

if TYPE_CHECKING:
    from pydantic import ValidationError


class Commands(TyperGroup):
    """The group of all commands."""

    def invoke(self, ctx: Any) -> Any:
        """Do what the command line says; typer.BadParameter of a value that it cannot have."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            if isinstance(error.__cause__, ValidationError):  # newer releases of typer check by it
                error.message = in_words(error.__cause__)
            raise


def in_words(fault: ValidationError) -> str:
    """What the value is and what was expected."""
    first = fault.errors()[0]
    wanted = expected(first)
    if not wanted:
        return first["msg"].removeprefix("Value error, ")
    return f"it is {first['input']!r}, expected {wanted}"
