"""What a value should have been, in our words, where pydantic says that it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_NAMES = "names and values, as {{...}}"
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "literal_error": "{expected}",
    "none_required": "null",
    "list_type": "a list, as [...]",
    "tuple_type": "a list, as [...]",
    "dict_type": _NAMES,
    "dataclass_type": _NAMES,
}
"""Kind of fault, as pydantic names it -> what was expected, with the limits that it states."""


def expected(fault: ErrorDetails) -> str:
    """What was expected in place of the value of `fault`; "" for kinds of faults with no words.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(dict[str, int]).validate_python({"a": "many"})
    ... except ValidationError as error:
    ...     expected(error.errors()[0])
    'a whole number'
    """
    return _EXPECTED.get(fault["type"], "").format(**fault.get("ctx", {}))
