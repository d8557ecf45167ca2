"""Forms of a model that compute the same, faster, in inference alone; for whoever scores clips.

The model that is trained and stored stays the plain one: `fused` makes its form of a copy. A file
here holds the rules of a few kinds of modules, which `forms` finds by class; write `@fuses` and
`@joins` for a module of one's own.
"""

from marey.models.fused import (
    attention,
    big_little,
    blocks,
    context,
    convolution,
    differences,
    linear,
    shifts,
)
from marey.models.fused.forms import chained, form_of, fused, fuses, joins

__all__ = [
    "attention",
    "big_little",
    "blocks",
    "chained",
    "context",
    "convolution",
    "differences",
    "form_of",
    "fused",
    "fuses",
    "joins",
    "linear",
    "shifts",
]
