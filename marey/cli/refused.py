"""What is said of a value that an option does not take: in our words, however typer checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

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
    expected, limits = _EXPECTED.get(first["type"], ""), first.get("ctx", {})
    if not expected:
        return first["msg"].removeprefix("Value error, ")
    return f"it is {first['input']!r}, expected {expected.format(**limits)}"


_EXPECTED = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
}
"""Kind of fault, as pydantic names it -> what was expected, with the limits that it states."""
