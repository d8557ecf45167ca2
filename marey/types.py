"""Names for the four tensors that travel between modules, and checks of the fields of specs.

Axes: ``b`` batch, ``v`` views, ``t`` frames, ``c`` channels, ``h w`` pixels, ``k`` classes. Time
stands before channels everywhere, as decoders give it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from torch import Tensor

Frames: TypeAlias = Annotated[Tensor, "uint8 [t 3 h w], as decoded"]
Clip: TypeAlias = Annotated[Tensor, "float [b t c h w], normalised: the only thing a model takes"]
Labels: TypeAlias = dict[str, Tensor]
"""Head name -> int64 [b], or float [b k] when labels are mixed."""
Scores: TypeAlias = dict[str, Tensor]
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


def check_counts(**counts: int) -> None:
    """ValueError for a count below 1, under its name."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}, expected at least 1")
