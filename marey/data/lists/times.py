"""Times as lists write them, in seconds and in frames."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

_TIME = re.compile(r"\s*(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)\s*", re.ASCII)


def seconds(text: str) -> float | None:
    """The seconds that a number, or a time of hours, minutes and seconds, is; None for all else.

    >>> seconds("01:00:02.629"), seconds("1:02"), seconds("2.5"), seconds("noon")
    (3602.629, 62.0, 2.5, None)
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3])


def frames_of(times: ArrayLike, rates: ArrayLike) -> np.ndarray:
    """The whole frames nearest to `times` (seconds) at `rates` (a second); NaN, an open end, stays.

    Of two frames that are equally near it is the even one, as EPIC-KITCHENS publishes them.

    >>> frames_of([0.1, 60.25, 60.75], 50).tolist()
    [5.0, 3012.0, 3038.0]
    """
    return np.round(np.multiply(times, rates))
