"""Names for the four tensors that travel between modules, and checks of the fields of specs.

Axes: ``b`` batch, ``v`` views, ``t`` frames, ``c`` channels, ``h w`` pixels, ``k`` classes. Time
stands before channels everywhere, as decoders give it.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:  # what reads manifests and files has no need of torch, which takes a second
    from torch import Tensor

Frames: TypeAlias = Annotated["Tensor", "uint8 [t 3 h w], as decoded"]
Clip: TypeAlias = Annotated["Tensor", "float [b t c h w], normalised: the only thing a model takes"]
Labels: TypeAlias = dict[str, "Tensor"]
"""Head name -> int64 [b], or float [b k] when labels are mixed."""
Scores: TypeAlias = dict[str, "Tensor"]
"""Head name -> float [b k]."""


def check_choices(spec: Any) -> None:
    """ValueError if a field of the dataclass `spec`, annotated as a `Literal`, has another value.

    Without it a misspelt choice would mean whichever branch comes last.
    """
    hints = get_type_hints(type(spec))
    for name in (field.name for field in fields(spec)):
        value, annotation, choices = getattr(spec, name), hints[name], get_args(hints[name])
        if get_origin(annotation) is Literal and value not in choices:
            expected = " or ".join(repr(choice) for choice in choices)
            raise ValueError(f"{name} is {value!r}, expected {expected}")


def check_numbers(
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    **numbers: float | None,
) -> None:
    """ValueError for a number that is not finite or out of bounds, under its name; None is fine.

    >>> check_numbers(at_least=0, below=1, momentum=0.9, decay=None)
    >>> check_numbers(at_least=0, below=1, momentum=2)
    Traceback (most recent call last):
        ...
    ValueError: momentum is 2, expected 0 <= momentum < 1
    """
    low, high = max(at_least, above), min(at_most, below)
    for name, number in numbers.items():
        if number is None:
            continue
        inside = at_least <= number <= at_most and above < number < below
        if inside and math.isfinite(number):
            continue
        if math.isinf(low) and math.isinf(high):
            expected = "a finite number"
        elif math.isinf(high):
            expected = f"more than {low:g}" if low == above else f"at least {low:g}"
        elif low == at_least and high == at_most:
            expected = f"{low:g} to {high:g}"
        else:
            left, right = "<" if low == above else "<=", "<" if high == below else "<="
            expected = f"{low:g} {left} {name} {right} {high:g}"
        raise ValueError(f"{name} is {number}, expected {expected}")


def check_counts(**counts: int) -> None:
    """ValueError for a count below 1, under its name."""
    check_numbers(at_least=1, **counts)


MOST_SEGMENTS = 10_000
"""Of a clip, whose frames are all in memory at once; more are a slip of the finger."""


def check_segments(**counts: int) -> None:
    """ValueError for a number of segments that no clip has, under its name."""
    check_counts(**counts)
    check_numbers(at_least=1, at_most=MOST_SEGMENTS, **counts)
