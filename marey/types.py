"""Names for the four tensors that travel between modules, with their shapes.

Axes: ``b`` batch, ``v`` views, ``t`` frames, ``c`` channels, ``h w`` pixels, ``k`` classes. Time
stands before channels everywhere, as decoders give it.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from torch import Tensor

Frames: TypeAlias = Annotated[Tensor, "uint8 [t 3 h w], as decoded"]
Clip: TypeAlias = Annotated[Tensor, "float [b t c h w], normalised: the only thing a model takes"]
Labels: TypeAlias = dict[str, Tensor]
"""Head name -> int64 [b], or float [b k] when labels are mixed."""
Scores: TypeAlias = dict[str, Tensor]
"""Head name -> float [b k]."""
